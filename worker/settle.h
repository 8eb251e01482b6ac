/*
 * settle - what finished goes to PostgreSQL: everything of the last few milliseconds in one transaction, arrays in,
 * through the pipeline; then the events to Kafka; then whoever waited is told.
 *
 * One transaction is under way at a time; what comes meanwhile is the next one. While PostgreSQL is away, items wait.
 *
 * Threads:   the loop's.
 * Ownership: an item is its work's arena's; settle_submit() holds the work open until the item was told.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/journal.h"
#include "common/publish.h"
#include "worker/execute/job.h"
#include "worker/pipe.h"
#include "worker/work.h"

struct settle;
struct plan_step;

enum settle_kind {
    SETTLE_ENDPOINT, /* the endpoint of `connection_id` is paused: it answered 410; no event */
    SETTLE_PARK,     /* when a delivery is looked at next; no event */
    SETTLE_ATTEMPT,  /* a delivery's attempt, with its event */
    SETTLE_DELIVERY, /* a delivery's state, with its event: may hold only while the catalog's version stands */
    SETTLE_OWE,      /* a new delivery, with its event */
    SETTLE_REPLY,    /* a reply, with its event */
    SETTLE_APPROVE,  /* an event that holds only while the catalog's version stands */
    SETTLE_STEP,     /* a run's delivery, with its event: holds only while the catalog's version stands */
    SETTLE_PLAN,     /* new tasks, with their event: holds only while the catalog's version stands */
    SETTLE_LEASE,    /* a task is this worker's for a while, or nobody's; no event */
    SETTLE_TASK,     /* what came of a task, with its event */
    SETTLE_ENTRY,    /* an event alone */
    SETTLE_KINDS
};

struct settle_item;
/* won: it is on record. Not: somebody was faster, and nothing of it was written. */
typedef void settle_done(void *context, struct settle_item *item, bool won);

struct settle_item {
    enum settle_kind kind;
    struct work *work;
    struct journal_entry entry; /* all but PARK, LEASE and ENDPOINT; its request_id is always set */
    /* ENDPOINT, PARK, ATTEMPT, DELIVERY, OWE, STEP, REPLY */
    const char *delivery_id, *webhook_id, *connection_id;
    enum delivery_state state;
    usec_t due_at;
    const char *outcome;
    /* ATTEMPT */
    int attempt, status_code;
    usec_t started_at, duration;
    const char *address;
    struct bytes answer, derived; /* sealed; derived: absent unless it brought an identity */
    bool passed, halted;
    const char *problem, *header_names;
    /* STEP */
    enum webhook_kind webhook_kind;
    int run;
    /* PLAN: a JSON list of request_task's columns */
    const char *tasks;
    /* LEASE, TASK; `run` and `due_at` too */
    const char *task_id;
    const struct plan_step *step; /* PLAN: the submitter's */
    bool claimed;        /* LEASE: by the clock, in this worker's name */
    const struct job_outcome *outcome_of; /* TASK */
    const char *rule_key, *attempt_id;    /* TASK */
    enum task_state task_state;           /* TASK */
    bool eligible;       /* REPLY */
    int64_t version;     /* APPROVE, STEP, PLAN; DELIVERY: 0 for whatever it is */
    settle_done *done;
    void *context;
    bool failed;         /* alone, when `wins` of its kind had been written: settle's own */
    int64_t wins;
    struct settle_item *next;
};

extern const struct sql *const settle_statements[];

/* `worker`: this process, as the holder of leases; must outlive settle. */
struct settle *settle_new(uv_loop_t *loop, const struct config *config, struct pipe *pipe,
                          struct publisher *publisher, const char *worker);
void settle_free(struct settle *settle);
void settle_submit(struct settle *settle, struct settle_item *item);
/* Nothing waits, nothing is under way, every acknowledged event is out of the outbox. */
bool settle_is_idle(const struct settle *settle);
