/*
 * task - a part of a request's run that is no webhook: a collection read or erased, a package made.
 * schemas/sql: request_task.
 */
#pragma once

#include <stdint.h>

#include "common/usec.h"

enum task_action { TASK_ACCESS, TASK_PACKAGE, TASK_ERASURE, TASK_ACTIONS };
enum task_state { TASK_WAITING, TASK_COMPLETE, TASK_SKIPPED, TASK_FAILED, TASK_STATES };

struct task {
    const char *id; /* "access:dataset:collection", "package:rule key", "erasure:dataset:collection" */
    enum task_action action;
    int place;
    const char *connection_key, *dataset, *collection; /* NULL: a package */
    const char *const *needs;                          /* ids */
    int need_count;
    enum task_state state;
    int run, tries;
    usec_t due_at;   /* while waiting: the end of a lease, or the next try; USEC_NONE: not begun */
    const char *worker;
    const char *attempt; /* whose rows count, once complete; NULL */
    const char *message; /* of the log; NULL */
    int64_t row_count;
    const char *erase_xid; /* NULL: no erasure of it is in doubt */
    int64_t erase_count;
};

const char *task_action_word(enum task_action action); /* "access", "package", "erasure" */
enum task_action task_action_parse(const char *word);
const char *task_state_word(enum task_state state); /* "waiting", "complete", "skipped", "failed" */
enum task_state task_state_parse(const char *word);
