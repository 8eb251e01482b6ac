/*
 * request - a privacy request as the worker needs it: read in batches, decided upon, never written from here.
 *
 * Threads: the loop's. Ownership: everything is its arena's.
 */
#pragma once

#include "common/arena.h"
#include "common/catalog.h"
#include "common/db.h"
#include "common/lifecycle.h"
#include "common/seal.h"
#include "worker/pipe.h"
#include "worker/task.h"

enum delivery_state { DELIVERY_WAITING, DELIVERY_HELD, DELIVERY_DELIVERED, DELIVERY_GIVEN_UP, DELIVERY_SKIPPED };

struct delivery {
    const char *id, *webhook_id;
    enum webhook_kind kind;
    enum delivery_state state;
    int attempts;
    int base;          /* attempts before it was owed anew: its schedule counts from there */
    int run;           /* the request's, when it was owed */
    usec_t due_at;     /* pre-approval, USEC_NONE: the event that owes it makes the call */
    usec_t created_at, settled_at;
    bool passed;       /* the run may go on past it */
    bool halted;       /* its answer said so */
    bool resumed;      /* the reply to that is here; maybe before the answer */
    bool redelivery;   /* an operator asked for it */
    const char *problem; /* of the last attempt, in the contract's words; NULL */
    /* JSON objects of identity fields, sealed with the request's key as "derived" of the delivery's id: what the
     * answer brought, then what the reply did. */
    struct bytes sealed_derived, sealed_resumed;
};

struct reply {
    const char *webhook_id;
    bool eligible;
};

/* What a person filled in. */
struct input {
    const char *webhook_id, *action; /* "access", "erasure" */
    const char *const *labels;       /* that it has, sorted */
    int label_count;
    struct bytes sealed; /* a JSON object, the request's key: "input" of "<webhook id>.<action>" */
};

struct request {
    struct arena *arena;
    const char *id;
    int64_t seq, status_seq;
    enum pr_status status;
    bool deleted;
    int run;                       /* how often it was retried */
    int64_t webhooks_revision;     /* of its policy's lists, as its run last saw them */
    const char *paused_webhook_id; /* while paused: who halted it */
    const char *policy_id, *external_id, *source, *location, *property_id, *submitted_by, *reviewed_by,
        *custom_approved_by, *finalized_by;
    usec_t requested_at, started_processing_at, finished_processing_at, reviewed_at, custom_approved_at,
        identity_verified_at, canceled_at, paused_at, finalized_at, due_date;
    /* Sealed, with the request's key: `key_id` is NULL once that was forgotten. */
    const char *key_id;
    struct bytes wrapped_key, sealed_identity, sealed_custom_fields, sealed_reason, sealed_encryption_key;
    const char *input_awaited;     /* while requires_input: who was told to be waited for */
    struct dataset_texts identity_keys; /* of what it came with and what was derived; filled by who opened them */
    struct task *tasks; /* in their order */
    int task_count;
    struct input *inputs;
    int input_count;
    struct delivery *deliveries;
    int delivery_count;
    struct reply *replies; /* only where they were asked for */
    int reply_count;
};

const char *delivery_word(enum delivery_state state);

extern const struct sql *const request_statements[]; /* for pipe_new(); ends with NULL */

/* Adds the statements that read `ids`; with_replies those that read their replies too. */
enum { REQUEST_RESULTS = 6 }; /* catalog version, requests, deliveries, replies, tasks, inputs */
void request_fetch(struct pipe_group *group, const char *const *ids, int count, const char *const *reply_ids,
                   int reply_count, struct arena *arena);

/* Of the group's results, starting at `results`: the catalog's version, and one request, copied into `arena`; NULL
 * when there is none of that id. */
int64_t request_fetch_version(PGresult *const *results);
struct request *request_read(PGresult *const *results, const char *id, struct arena *arena);

/* NULL when there is none. */
const struct delivery *request_delivery(const struct request *request, const char *id);
/* The picture after something was put on record: `delivery` in the place of the one of its id, or as one more. What
 * pointed to deliveries before still may, and sees them as they were. */
void request_put_delivery(struct request *request, const struct delivery *delivery);
const struct delivery *request_delivery_of(const struct request *request, const char *webhook_id);
/* The same for a task. */
const struct task *request_task(const struct request *request, const char *id);
void request_put_task(struct request *request, const struct task *task);
/* NULL when nothing was filled in. */
const struct input *request_input(const struct request *request, const char *webhook_id, const char *action);
const struct reply *request_reply_of(const struct request *request, const char *webhook_id);
