/*
 * tally - what the events of requests add up to over a period: how many came, how they stand, how long they took, who
 * decided, what failed, what was called. It is what `docketctl audit report` shows.
 *
 * Of each request it keeps what later events need (some 250 bytes), so a tally is for some of a topic's requests at a
 * time: each partition by itself, a slice of its requests where they are too many; tally_merge() adds them up. A
 * request belongs to its slice by its id. Everything else is bounded by the configuration and by TALLY_ROWS_MAX.
 *
 * Threads:   one at a time per tally.
 * Ownership: tally_free(). What tally_add() is given is copied.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/lifecycle.h"
#include "common/record.h"
#include "common/usec.h"
#include "worker/ctl/audit/spread.h"

enum { TALLY_ROWS_MAX = 4096, TALLY_OVERDUE_MAX = 100, TALLY_COUNTS = 8 };

struct tally;

/* From `since` on, up to `until`: USEC_NONE for no beginning. */
struct tally_period {
    usec_t since, until;
};

/* Requests whose ids fall to `slice` of `slices`. */
struct tally *tally_new(const struct tally_period *period, int slice, int slices);
void tally_free(struct tally *tally); /* accepts NULL */
DEFINE_CLEANUP(struct tally *, tally_free)

/* A record of the lifecycle topic, in the order of its partition; repeats change nothing. */
void tally_add(struct tally *tally, const struct record *record);
/* Memory that its requests take. */
int64_t tally_bytes(const struct tally *tally);
/* No more records come: how each request stands is counted, and the requests are forgotten. */
void tally_close(struct tally *tally);
/* Both are closed, of the same period. */
void tally_merge(struct tally *to, const struct tally *from);

/* --- what came of it ----------------------------------------------------------------------------------- */

/* A row of a table: names in `key`, with a line feed between, and counts by what the table counts. What was too much for
 * a table is the row "(others)". */
struct tally_row {
    const char *key;
    int64_t counts[TALLY_COUNTS];
    const struct spread *spread; /* NULL: none of this table */
    const char *endpoint;        /* TALLY_CALLS: the connection that was called last; NULL: no event tells */
};

enum tally_table {
    TALLY_STATUSES, /* status: [0] received in the period, [1] all, as they stand at its end */
    TALLY_ACTIONS,  /* what the policy does: enum tally_course */
    TALLY_POLICIES, /* policy: the same */
    TALLY_DECIDERS, /* by whom: [0] approved, [1] denied, [2] canceled */
    TALLY_TIMES,    /* which time \n action: a spread. Times: "decided", "done", "over" */
    TALLY_FAILURES, /* step: [0] times that a request failed there */
    TALLY_TASKS,    /* action of a part: [0] done, [1] skipped, [2] tried again, [3] failed */
    TALLY_CALLS,    /* kind \n webhook: enum tally_call, and a spread of the attempts' durations */
    TALLY_OUTCOMES, /* kind \n webhook \n outcome: [0] attempts */
    TALLY_TABLES
};

/* Of requests, by what happened in the period; COURSE_OPEN: at its end. */
enum tally_course {
    COURSE_RECEIVED, COURSE_APPROVED, COURSE_COMPLETED, COURSE_DENIED, COURSE_CANCELED, COURSE_FAILED, COURSE_RETRIED,
    COURSE_OPEN,
};
/* TAKEN: of the attempts, those that succeeded; AGAIN: those after the first of their call. */
enum tally_call { CALLS_ATTEMPTS, CALLS_TAKEN, CALLS_AGAIN, CALLS_GIVEN_UP, CALLS_REMINDED, CALLS_SKIPPED };

/* In the order of their keys; NULL after the last one. */
const struct tally_row *tally_first(const struct tally *tally, enum tally_table table);
const struct tally_row *tally_next(const struct tally_row *row);

struct tally_overdue {
    const char *request_id, *policy_key;
    enum pr_status status;
    usec_t due;
};

struct tally_sums {
    int64_t events, repeats; /* read; of them seen before */
    int64_t strangers;       /* that are no events of requests, or cannot be read */
    int64_t beginless;       /* requests of which the first event is not there */
    int64_t folded;          /* rows that were too many for a table, and stand under "(others)" */
    int64_t late;            /* completed in the period, after they were due */
    int64_t overdue;         /* open at its end, due before it */
    int64_t deleted;         /* in the period */
    int overdue_count;       /* of the list: those that are due longest, the longest first */
    struct tally_overdue overdue_list[TALLY_OVERDUE_MAX];
};
const struct tally_sums *tally_sums(const struct tally *tally);
