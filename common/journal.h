/*
 * journal - what happens to requests, as rows of one request_append() call (schemas/sql). The only way by
 * which a status changes, for API and worker alike.
 *
 * Threads: none of its own. Ownership: entries and args are the caller's arena's.
 */
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/db.h"
#include "common/event.h"
#include "common/lifecycle.h"

#define JOURNAL_ANY ((int64_t)-1) /* expected: whatever the request's seq is */

struct journal_entry {
    const char *request_id;
    int64_t expected;       /* the request's seq as it was read: another one loses */
    enum pr_status status;  /* PR_NONE: unchanged */
    const char *actor;      /* reviewed_by; NULL for none */
    enum event_type type;
    usec_t time;
    const char *cause;       /* ce_id of the event that led to this; NULL */
    const char *traceparent; /* NULL */
    const char *payload;     /* event.h */
    /* Filled when it was appended (seq 0: it lost the race and nothing was written). */
    int64_t seq;
    uint8_t chain[EVENT_CHAIN_BYTES];
    bool behind;     /* an earlier one may not be on the topic yet */
    int64_t outbox;  /* the row that stands until Kafka has it */
};

/* The first ten parameters of a statement that calls request_append($1, ..., $10): `entries` sorted by
 * request id, no request twice (journal_sort() and rounds of the caller's see to that). */
void journal_args(struct db_args *args, struct journal_entry *const *entries, int count, const char *source);
void journal_sort(struct journal_entry **entries, int count);

/* Columns 0 to 4 (id, seq, chain, behind, outbox) of the rows that came back, into the entries that won. */
void journal_read(const PGresult *result, struct journal_entry *const *entries, int count);

/* One plain append, on a blocking connection. */
int journal_append(struct db *db, struct journal_entry *const *entries, int count, const char *source,
                   struct arena *arena, struct err *err) MUST_CHECK;
