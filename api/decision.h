/*
 * decision - what a caller wants done to many requests, each decided by what it is when that is written: it is read,
 * the lifecycle is asked, and the append names the sequence number that was read. What was faster makes it look again.
 *
 * A batch is one transaction: the event, the status, the reason, and that calls need not be made any more. What was
 * decided stays decided when a later batch fails: who asks again is told which those are.
 *
 * Threads: the call's. Ownership: everything is the call's arena's.
 */
#pragma once

#include "api/api.h"
#include "common/event.h"
#include "common/journal.h"

enum { DECISION_BATCH_MAX = 100 };

enum decision_fate {
    DECISION_OPEN,    /* not answered yet; to the caller never */
    DECISION_DONE,
    DECISION_UNKNOWN, /* no such request */
    DECISION_DELETED,
    DECISION_UNFIT,   /* the lifecycle knows no such step from `from` */
    DECISION_FORGOTTEN, /* there is nothing left that it could go on with */
    DECISION_LOST     /* others were faster every time */
};

/* One of the requests. */
struct decision_case {
    const char *id;
    enum decision_fate fate;
    enum pr_status from;     /* as it was found */
    const char *failed_step; /* NULL: none */
    /* decision.c's own: */
    struct journal_entry entry;
    struct bytes reason; /* sealed */
};

struct decision {
    struct api_call *call;
    enum pr_on on;
    bool keeps_status;  /* `on` is nothing: whatever the request's status is, it stays */
    bool ends_calls;    /* those that wait need not be made any more */
    enum event_type type;
    /* The event's data; `to` is PR_NONE when the status stays. `by`: "user" or "client". */
    const char *(*payload)(const struct decision *decision, const struct decision_case *of, enum pr_status to,
                           const char *by);
    /* What is told of a deleted, unfit, forgotten or lost one, among many. */
    const char *(*refusal)(const struct decision *decision, const struct decision_case *of);
    const char *reason; /* a person's words, kept sealed; NULL: none */
};

/* What is told of a case, among many; NULL when it was decided. */
const char *decision_problem(const struct decision *decision, const struct decision_case *of);

/* At most DECISION_BATCH_MAX ids, none twice. Fills cases[]: none is open after it. */
int decision_make(const struct decision *decision, const char *const *ids, int count, struct decision_case *cases,
                  struct err *err) MUST_CHECK;

/* Any number of ids, in batches; `told` has each batch once it is on record. */
typedef int decision_told(const struct decision *decision, const struct decision_case *cases, int count, void *context,
                          struct err *err);
int decision_make_all(const struct decision *decision, const char *const *ids, int count, decision_told *told,
                      void *context, struct err *err) MUST_CHECK;

/* The same for all that the call's body selects (selection.h), answered as a bulk result, which is told's context. */
int decision_answer_bulk(const struct decision *decision, decision_told *told, struct err *err) MUST_CHECK;
void decision_failed(json_object *bulk, const char *message, const char *id);

/* The whole of it for one request and one answer: 404, 422 for a deleted one, 503 where others were faster every time.
 * An unfit or forgotten one is the caller's to tell: 0, and its fate. */
int decision_make_one(const struct decision *decision, const char *id, struct decision_case *ret,
                      struct err *err) MUST_CHECK;
