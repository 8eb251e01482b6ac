/*
 * lifecycle - which status may follow which, on what. The one table that API, callback receiver and worker ask.
 * Contract: lifecycle.md 1 and 3. Pure: no clock, no I/O.
 */
#pragma once

#include <stdbool.h>

enum pr_status {
    PR_NONE, /* before its first event */
#define STATUS(name, word, terminal, active) PR_##name,
#include "common/lifecycle.tbl.h"
#undef STATUS
    PR_STATUSES
};

enum pr_on {
    ON_CREATE,       /* received; its identity needs no check */
    ON_CALLS_OWED,   /* manual approval is required and pre-approval webhooks exist */
    ON_APPROVE,      /* a person, the rules, or the last eligible */
    ON_NOT_ELIGIBLE, /* a pre-approval webhook said so */
    ON_DENY,
    ON_CANCEL,
    ON_RUN,          /* a worker starts on it */
    ON_FINISH,       /* the last step is done */
    ON_FAILURE,
    ON_HALT,         /* a pre-execution webhook said so */
    ON_RESUME,       /* it has replied */
    ON_INPUT,        /* people are asked for what no connector reaches */
    ON_CONTINUE,     /* they have answered, or nobody is asked any more */
    ON_EXPIRE,       /* it has not, in time */
    ON_RETRY,        /* a person, from where it failed */
    PR_ONS
};

struct lifecycle_edge {
    enum pr_status from;
    enum pr_on on;
    enum pr_status to;
};

extern const struct lifecycle_edge lifecycle_edges[];
extern const int lifecycle_edge_count;

/* True, and *to set, when `on` may happen in `from`. */
bool lifecycle_next(enum pr_status from, enum pr_on on, enum pr_status *to);

const char *lifecycle_word(enum pr_status status);              /* "awaiting_pre_approval"; "none" */
enum pr_status lifecycle_parse(const char *word);               /* PR_NONE for an unknown word or NULL */
bool lifecycle_is_terminal(enum pr_status status);
bool lifecycle_is_active(enum pr_status status);                /* counts for the overdue filter */

/* What goes with pre-approval: replies count, and a person is waited for, in these. */
bool lifecycle_takes_replies(enum pr_status status);            /* pending, awaiting_pre_approval */
