/*
 * event - what is said on the bus: types, and the data of each. No personal data, ever: ids, words and keys of
 * the configuration only. schemas/events has a JSON Schema for each type.
 *
 * Threads: any. Ownership: payloads are the arena's.
 */
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/lifecycle.h"
#include "common/usec.h"

enum event_type {
    EVENT_UNKNOWN,
#define EVENT(name, type) EVENT_##name,
#include "common/event.tbl.h"
#undef EVENT
    EVENT_REPLY_ELIGIBLE,     /* on docket.callbacks: "docket.reply.eligible.v1" */
    EVENT_REPLY_NOT_ELIGIBLE, /* "docket.reply.not_eligible.v1" */
    EVENT_TYPES
};

const char *event_word(enum event_type type);
enum event_type event_parse(const char *word); /* EVENT_UNKNOWN for another */

/* A webhook as events name it. */
struct event_webhook {
    const char *webhook_id, *webhook_key, *delivery_id;
};

const char *event_created(struct arena *arena, const char *request_id, const char *policy_key,
                          const char *action_type, const char *source, usec_t due_date);
const char *event_pre_approval_requested(struct arena *arena, const char *request_id,
                                         const struct event_webhook *webhooks, int count);
/* owed, held, released */
const char *event_webhook(struct arena *arena, const char *request_id, const struct event_webhook *webhook);

/* sent, failed, given up. status_code 0: no answer. next_attempt_at USEC_NONE: none follows. */
struct event_attempt {
    struct event_webhook webhook;
    int attempt, status_code;
    const char *outcome;
    usec_t duration, next_attempt_at;
};
const char *event_webhook_attempt(struct arena *arena, const char *request_id,
                                  const struct event_attempt *attempt);

/* eligible, not eligible, and what was ignored (`why`: "late", "opposite", "webhook_deleted"; else NULL).
 * status: that it leads to, PR_NONE for no change. */
const char *event_reply(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                        bool eligible, enum pr_status status, const char *why);

/* by: "user", "client", "webhooks" (then webhook is the last that replied), "system" (no approval required). */
const char *event_approved(struct arena *arena, const char *request_id, const char *by, const char *user_id,
                           const struct event_webhook *webhook);
/* denied, canceled: by a person or client */
const char *event_reviewed(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                           const char *user_id);
/* started, completed */
const char *event_status(struct arena *arena, const char *request_id, enum pr_status status);
const char *event_failed(struct arena *arena, const char *request_id, const char *step, const char *message);

/* The callbacks topic's data: {"request_id","webhook_id","eligible","received_at"} */
const char *event_callback(struct arena *arena, const char *request_id, const char *webhook_id, bool eligible,
                           usec_t received_at);

/* "dlv_" and 32 hex digits, always the same for a webhook and a request: the webhook-id header. */
const char *event_delivery_id(struct arena *arena, const char *request_id, const char *webhook_id);

/* W3C trace context: a new trace / the same trace with a new span. `parent` not of that form: a new trace. */
const char *event_trace_new(struct arena *arena);
const char *event_trace_child(struct arena *arena, const char *parent);

/* `prefix` (pri, pre, con, ...) + "_" + uuid4. */
const char *event_row_id(struct arena *arena, const char *prefix);

/* The chain as request_append() computes it (schemas/sql), for those who check it. previous may be NULL. */
enum { EVENT_CHAIN_BYTES = 32 };
void event_chain(const uint8_t *previous, const char *request_id, int64_t seq, const char *type, usec_t time,
                 const char *source, const char *cause, const void *payload, size_t payload_length,
                 uint8_t ret[EVENT_CHAIN_BYTES]);
