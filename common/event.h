/*
 * event - what is said on the bus: types, and the data of each. No personal data, ever: ids, words and keys of
 * the configuration only. schemas/events has a JSON Schema for each type.
 *
 * Threads: any. Ownership: payloads are the arena's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/lifecycle.h"
#include "common/usec.h"

enum event_type {
    EVENT_UNKNOWN,
#define EVENT(name, type) EVENT_##name, /* on docket.lifecycle */
#include "common/event.tbl.h"
#undef EVENT
    EVENT_REPLY_ELIGIBLE,     /* on docket.callbacks: "docket.reply.eligible.v1" */
    EVENT_REPLY_NOT_ELIGIBLE, /* "docket.reply.not_eligible.v1" */
    EVENT_CONFIGURATION_CHANGED, /* on docket.configuration, made by triggers: schemas/sql/0009_configuration.sql */
    EVENT_CHECKPOINT,         /* on docket.checkpoints: "docket.checkpoint.v1"; common/checkpoint.h has its data */
    EVENT_TYPES
};

const char *event_word(enum event_type type);
enum event_type event_parse(const char *word); /* EVENT_UNKNOWN for another */
bool event_is_lifecycle(enum event_type type); /* of the lifecycle topic */
bool event_is_reply(enum event_type type);     /* of the callbacks topic */

/* A webhook as events name it. kind: "pre_approval", "pre" or "post". connection_id: where a call that is owed goes. These
 * and delivery_id are left out when NULL. */
struct event_webhook {
    const char *webhook_id, *webhook_key, *delivery_id, *kind, *connection_id;
};

/* What a request begins with, but for what only its sealed columns hold. source, submitted_by: NULL for none; times:
 * USEC_NONE for none. requested_at is left out when it is `time`, the event's. */
struct event_creation {
    const char *policy_id, *policy_key, *action_type, *source, *submitted_by;
    usec_t time, requested_at, due_date, started_processing_at, finished_processing_at;
    bool custom_fields; /* it has some */
};
const char *event_created(struct arena *arena, const char *request_id, const struct event_creation *creation);
const char *event_pre_approval_requested(struct arena *arena, const char *request_id,
                                         const struct event_webhook *webhooks, int count);
/* owed, held, released, redelivered, skipped, withdrawn; `why` (NULL: left out), e.g. "connection_disabled",
 * "webhook_deleted", "endpoint_paused", "request_decided", "replied". */
const char *event_webhook(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                          const char *why);

/* sent, failed, given up, answered, reminded, endpoint paused. status_code 0: no answer. next_attempt_at USEC_NONE:
 * none follows. halt, derived: of a two_way answer; derived are names of identity fields with commas, NULL for none.
 * problem: what is wrong with an answer; NULL: what outcome and status code say. state, passed: of an endpoint paused,
 * what becomes of the call ("held", "given_up"), and whether the run goes on past it. */
struct event_attempt {
    struct event_webhook webhook;
    int attempt, status_code;
    const char *outcome;
    usec_t duration, next_attempt_at;
    bool halt;
    const char *derived, *problem, *state;
    const char *disclosed; /* disclosure_tell(); NULL: nothing went out */
    bool passed;
};
const char *event_webhook_attempt(struct arena *arena, const char *request_id,
                                  const struct event_attempt *attempt);

/* What was collected is handed out. what: "package" (one that lies in a storage), "links" (to those), "transfer" (a
 * rule's part of the rows); rule_keys: whose; to: "link" (whoever has it), "client", "user" (with their ids). */
struct event_disclosed {
    const char *what, *const *rule_keys, *to, *client_id, *user_id;
    int rule_count;
};
const char *event_disclosed(struct arena *arena, const char *request_id, const struct event_disclosed *disclosed);

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
/* completed */
const char *event_status(struct arena *arena, const char *request_id, enum pr_status status);
/* started: the policy's webhooks as of `revision`; `webhook` is the first call owed, NULL for none. */
const char *event_started(struct arena *arena, const char *request_id, int64_t revision,
                          const struct event_webhook *webhook);
/* The keys that the lists have now, "" for none, in their order with commas. */
const char *event_webhooks_changed(struct arena *arena, const char *request_id, int64_t revision,
                                   const char *pre_keys, const char *post_keys);
/* failed, expired: `step` is the checkpoint that a retry goes on from, `log` what the timeline files it under. */
const char *event_failed(struct arena *arena, const char *request_id, const char *step, const char *log,
                         const char *message);
const char *event_paused(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                         usec_t expires_at);
/* resumed: by "webhook", or "system" when its webhook was deleted. resume kept: status PR_NONE, by NULL. derived as in
 * event_attempt. */
const char *event_resumed(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                          const struct event_webhook *webhook, const char *derived);
/* input required: `awaited` as "action:connection key" with commas; input given, completed: by a person or client;
 * completed also "system", when nobody is waited for any more. */
const char *event_input_required(struct arena *arena, const char *request_id, enum pr_status status,
                                 const char *awaited);
/* labels: of the configuration, what was asked for. client_id is left out when a user did it. */
struct event_input {
    const char *connection_key, *webhook_id, *action, *user_id, *client_id;
    const char *const *labels;
    int label_count;
};
const char *event_input_given(struct arena *arena, const char *request_id, const struct event_input *input);
const char *event_input_completed(struct arena *arena, const char *request_id, const char *by,
                                  const char *user_id);
/* A package as it lies in a storage. */
struct event_package {
    const char *storage_key, *format, *location;
    int64_t bytes;
    bool encrypted;
};
/* A part of a run. action: "access", "package", "erasure"; names of the configuration; NULL: left out. `fields` is left
 * out too when it is very long, and that is told. attempt_id: of the try. */
struct event_task {
    const char *task_id, *action, *connection_key, *dataset, *collection, *rule_key, *attempt_id, *message;
    int64_t row_count; /* -1: left out */
    const char *fields; /* JSON list, fields_affected; NULL */
    usec_t next_try_at; /* USEC_NONE: left out */
    const struct event_package *package; /* that was made; NULL */
};
const char *event_task(struct arena *arena, const char *request_id, const struct event_task *task);
/* `tasks` in their order, with the places in it of those that each `needs`; dataset, connection_key: of a collection,
 * NULL for a package. skips: addresses that are not reached, with the reason that the log gives ("": none). The lists end
 * where the event would be too long for a broker; how many there are is told all the same. */
struct event_plan_task {
    const char *id, *dataset, *connection_key;
    const int *needs;
    int need_count;
};
struct event_skip {
    const char *address, *reason;
};
const char *event_tasks_planned(struct arena *arena, const char *request_id, const char *action,
                                const struct event_plan_task *tasks, int count, const struct event_skip *skips,
                                int skip_count);
/* by: "user", "client", "retention", "operator" */
const char *event_forgotten(struct arena *arena, const char *request_id, const char *by);
/* reason: "expired", "forgotten" */
const char *event_package_deleted(struct arena *arena, const char *request_id, const char *rule_key,
                                  const struct event_package *package, const char *reason);
/* retried, deleted (status PR_NONE): by a person or client; retried: from `step`, NULL from the beginning */
const char *event_by(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                     const char *user_id, const char *step);

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

/* The chain as request_append() computes it (schemas/sql), for those who check it. previous, cause and traceparent may be
 * NULL. */
enum { EVENT_CHAIN_BYTES = 32 };
void event_chain(const uint8_t *previous, const char *request_id, int64_t seq, const char *type, usec_t time,
                 const char *source, const char *cause, const char *traceparent, const void *payload,
                 size_t payload_length, uint8_t ret[EVENT_CHAIN_BYTES]);
