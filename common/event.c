#include "common/event.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/random.h"

/* A broker takes a megabyte by default: a list that would be too long for that ends early, or is left out. */
enum { EVENT_PAYLOAD_BYTES = 1024 * 1024, EVENT_LIST_BYTES = 384 * 1024 };

static const char *const words[EVENT_TYPES] = {
    [EVENT_UNKNOWN] = "unknown",
#define EVENT(name, type) [EVENT_##name] = type,
#include "common/event.tbl.h"
#undef EVENT
    [EVENT_REPLY_ELIGIBLE] = "docket.reply.eligible.v1",
    [EVENT_REPLY_NOT_ELIGIBLE] = "docket.reply.not_eligible.v1",
    [EVENT_CONFIGURATION_CHANGED] = "docket.configuration.changed.v1",
    [EVENT_CHECKPOINT] = "docket.checkpoint.v1",
};

/* Most words begin alike: they are told apart by their lengths first. */
static const unsigned char lengths[EVENT_TYPES] = {
#define EVENT(name, type) [EVENT_##name] = sizeof(type) - 1,
#include "common/event.tbl.h"
#undef EVENT
    [EVENT_REPLY_ELIGIBLE] = sizeof("docket.reply.eligible.v1") - 1,
    [EVENT_REPLY_NOT_ELIGIBLE] = sizeof("docket.reply.not_eligible.v1") - 1,
    [EVENT_CONFIGURATION_CHANGED] = sizeof("docket.configuration.changed.v1") - 1,
    [EVENT_CHECKPOINT] = sizeof("docket.checkpoint.v1") - 1,
};

const char *event_word(enum event_type type)
{
    return words[type];
}

enum event_type event_parse(const char *word)
{
    size_t length = word ? strlen(word) : 0;

    for (int i = EVENT_UNKNOWN + 1; word && i < EVENT_TYPES; i++)
        if (lengths[i] == length && !memcmp(words[i], word, length))
            return (enum event_type)i;
    return EVENT_UNKNOWN;
}

bool event_is_lifecycle(enum event_type type)
{
    return type > EVENT_UNKNOWN && type < EVENT_REPLY_ELIGIBLE;
}

bool event_is_reply(enum event_type type)
{
    return type == EVENT_REPLY_ELIGIBLE || type == EVENT_REPLY_NOT_ELIGIBLE;
}

/* A JSON object under way: members are added in order, NULL texts and USEC_NONE become null. */
struct data {
    struct buf buf;
    struct arena *arena;
};

static struct data data_begin(struct arena *arena, const char *request_id)
{
    struct data data = { BUF_INIT(EVENT_PAYLOAD_BYTES), arena };

    buf_adds(&data.buf, "{\"request_id\":");
    buf_json_string(&data.buf, request_id);
    return data;
}

static void add_name(struct data *data, const char *name)
{
    buf_adds(&data->buf, ",\"");
    buf_adds(&data->buf, name);
    buf_adds(&data->buf, "\":");
}

static void add_text(struct data *data, const char *name, const char *value)
{
    add_name(data, name);
    buf_json_string(&data->buf, value);
}

static void add_given(struct data *data, const char *name, const char *value)
{
    if (value)
        add_text(data, name, value);
}

static void add_number(struct data *data, const char *name, int64_t value)
{
    char text[24];

    add_name(data, name);
    buf_add(&data->buf, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)value));
}

static void add_time(struct data *data, const char *name, usec_t time)
{
    char text[USEC_TEXT_BYTES];

    add_text(data, name, time == USEC_NONE ? NULL : usec_format_z(time, text));
}

static void add_time_given(struct data *data, const char *name, usec_t time)
{
    if (time != USEC_NONE)
        add_time(data, name, time);
}

static void add_true(struct data *data, const char *name, bool is_so)
{
    if (!is_so)
        return;
    add_name(data, name);
    buf_adds(&data->buf, "true");
}

static void add_status(struct data *data, enum pr_status status)
{
    if (status != PR_NONE)
        add_text(data, "status", lifecycle_word(status));
}

static void add_webhook(struct data *data, const struct event_webhook *webhook)
{
    add_text(data, "webhook_id", webhook->webhook_id);
    add_text(data, "webhook_key", webhook->webhook_key);
    if (webhook->delivery_id)
        add_text(data, "delivery_id", webhook->delivery_id);
    if (webhook->kind)
        add_text(data, "kind", webhook->kind);
    add_given(data, "connection_id", webhook->connection_id);
}

/* Names with commas, as a list of texts. */
static void add_names(struct data *data, const char *name, const char *names)
{
    add_name(data, name);
    buf_addc(&data->buf, '[');
    while (*names) {
        size_t length = strcspn(names, ",");

        buf_json_string(&data->buf, arena_strndup(data->arena, names, length));
        names += length;
        if (*names && *++names)
            buf_addc(&data->buf, ',');
    }
    buf_addc(&data->buf, ']');
}

static const char *data_end(struct data *data)
{
    const char *payload;

    buf_addc(&data->buf, '}');
    payload = arena_strndup(data->arena, data->buf.data, data->buf.length);
    buf_free(&data->buf);
    return payload;
}

const char *event_created(struct arena *arena, const char *request_id, const struct event_creation *creation)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_PENDING);
    add_text(&data, "policy_id", creation->policy_id);
    add_text(&data, "policy_key", creation->policy_key);
    add_text(&data, "action_type", creation->action_type);
    add_text(&data, "source", creation->source);
    add_given(&data, "submitted_by", creation->submitted_by);
    if (creation->requested_at != creation->time)
        add_time_given(&data, "requested_at", creation->requested_at);
    add_time(&data, "due_date", creation->due_date);
    add_time_given(&data, "started_processing_at", creation->started_processing_at);
    add_time_given(&data, "finished_processing_at", creation->finished_processing_at);
    add_true(&data, "custom_fields", creation->custom_fields);
    return data_end(&data);
}

const char *event_pre_approval_requested(struct arena *arena, const char *request_id,
                                         const struct event_webhook *webhooks, int count)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_AWAITING_PRE_APPROVAL);
    add_name(&data, "webhooks");
    buf_addc(&data.buf, '[');
    for (int i = 0; i < count; i++) {
        buf_adds(&data.buf, i ? ",{\"webhook_id\":" : "{\"webhook_id\":");
        buf_json_string(&data.buf, webhooks[i].webhook_id);
        add_text(&data, "webhook_key", webhooks[i].webhook_key);
        add_text(&data, "delivery_id", webhooks[i].delivery_id);
        add_given(&data, "connection_id", webhooks[i].connection_id);
        buf_addc(&data.buf, '}');
    }
    buf_addc(&data.buf, ']');
    return data_end(&data);
}

const char *event_webhook(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                          const char *why)
{
    struct data data = data_begin(arena, request_id);

    add_webhook(&data, webhook);
    if (why)
        add_text(&data, "reason", why);
    return data_end(&data);
}

const char *event_webhook_attempt(struct arena *arena, const char *request_id,
                                  const struct event_attempt *attempt)
{
    struct data data = data_begin(arena, request_id);

    add_webhook(&data, &attempt->webhook);
    add_number(&data, "attempt", attempt->attempt);
    add_text(&data, "outcome", attempt->outcome);
    if (attempt->status_code)
        add_number(&data, "status_code", attempt->status_code);
    add_number(&data, "duration_ms", attempt->duration / USEC_PER_MS);
    add_time_given(&data, "next_attempt_at", attempt->next_attempt_at);
    add_true(&data, "halt", attempt->halt);
    if (attempt->derived)
        add_names(&data, "derived", attempt->derived);
    if (attempt->disclosed) {
        add_name(&data, "disclosed");
        buf_adds(&data.buf, attempt->disclosed);
    }
    add_given(&data, "problem", attempt->problem);
    add_given(&data, "state", attempt->state);
    add_true(&data, "passed", attempt->passed);
    return data_end(&data);
}

const char *event_disclosed(struct arena *arena, const char *request_id, const struct event_disclosed *disclosed)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "what", disclosed->what);
    add_name(&data, "rule_keys");
    buf_addc(&data.buf, '[');
    for (int i = 0; i < disclosed->rule_count; i++) {
        buf_adds(&data.buf, i ? "," : "");
        buf_json_string(&data.buf, disclosed->rule_keys[i]);
    }
    buf_addc(&data.buf, ']');
    add_text(&data, "to", disclosed->to);
    add_given(&data, "client_id", disclosed->client_id);
    add_given(&data, "user_id", disclosed->user_id);
    return data_end(&data);
}

const char *event_reply(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                        bool eligible, enum pr_status status, const char *why)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    add_webhook(&data, webhook);
    add_name(&data, "eligible");
    buf_adds(&data.buf, eligible ? "true" : "false");
    add_given(&data, "reason", why);
    return data_end(&data);
}

const char *event_approved(struct arena *arena, const char *request_id, const char *by, const char *user_id,
                           const struct event_webhook *webhook)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_APPROVED);
    add_text(&data, "by", by);
    add_text(&data, "user_id", user_id);
    if (webhook)
        add_webhook(&data, webhook);
    return data_end(&data);
}

const char *event_reviewed(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                           const char *user_id)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    add_text(&data, "by", by);
    add_text(&data, "user_id", user_id);
    return data_end(&data);
}

const char *event_status(struct arena *arena, const char *request_id, enum pr_status status)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    return data_end(&data);
}

const char *event_started(struct arena *arena, const char *request_id, int64_t revision,
                          const struct event_webhook *webhook)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_IN_PROCESSING);
    add_number(&data, "revision", revision);
    if (webhook)
        add_webhook(&data, webhook);
    return data_end(&data);
}

const char *event_webhooks_changed(struct arena *arena, const char *request_id, int64_t revision,
                                   const char *pre_keys, const char *post_keys)
{
    struct data data = data_begin(arena, request_id);

    add_number(&data, "revision", revision);
    add_names(&data, "pre_execution", pre_keys);
    add_names(&data, "post_execution", post_keys);
    return data_end(&data);
}

const char *event_failed(struct arena *arena, const char *request_id, const char *step, const char *log,
                         const char *message)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_ERROR);
    add_text(&data, "step", step);
    add_text(&data, "log", log);
    add_text(&data, "message", message);
    return data_end(&data);
}

const char *event_paused(struct arena *arena, const char *request_id, const struct event_webhook *webhook,
                         usec_t expires_at)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, PR_PAUSED);
    add_webhook(&data, webhook);
    add_time(&data, "expires_at", expires_at);
    return data_end(&data);
}

const char *event_resumed(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                          const struct event_webhook *webhook, const char *derived)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    if (by)
        add_text(&data, "by", by);
    add_webhook(&data, webhook);
    if (derived)
        add_names(&data, "derived", derived);
    return data_end(&data);
}

const char *event_input_required(struct arena *arena, const char *request_id, enum pr_status status,
                                 const char *awaited)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    add_text(&data, "awaited", awaited);
    return data_end(&data);
}

static void add_texts(struct data *data, const char *name, const char *const *texts, int count)
{
    add_name(data, name);
    buf_addc(&data->buf, '[');
    for (int i = 0; i < count; i++) {
        if (i)
            buf_addc(&data->buf, ',');
        buf_json_string(&data->buf, texts[i]);
    }
    buf_addc(&data->buf, ']');
}

const char *event_input_given(struct arena *arena, const char *request_id, const struct event_input *input)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "connection_key", input->connection_key);
    add_text(&data, "webhook_id", input->webhook_id);
    add_text(&data, "action", input->action);
    add_texts(&data, "labels", input->labels, input->label_count);
    add_text(&data, "by", input->user_id ? "user" : "client");
    add_text(&data, "user_id", input->user_id);
    if (!input->user_id)
        add_given(&data, "client_id", input->client_id);
    return data_end(&data);
}

const char *event_input_completed(struct arena *arena, const char *request_id, const char *by,
                                  const char *user_id)
{
    return event_by(arena, request_id, PR_IN_PROCESSING, by, user_id, NULL);
}

static void add_package(struct data *data, const struct event_package *package)
{
    add_text(data, "storage_key", package->storage_key);
    add_text(data, "format", package->format);
    add_text(data, "location", package->location);
    add_number(data, "bytes", package->bytes);
    add_true(data, "encrypted", package->encrypted);
}

static void add_fields(struct data *data, const char *fields)
{
    bool fits = strlen(fields) <= EVENT_LIST_BYTES;

    if (fits) {
        add_name(data, "fields_affected");
        buf_adds(&data->buf, fields);
    }
    add_true(data, "fields_left_out", !fits);
}

const char *event_task(struct arena *arena, const char *request_id, const struct event_task *task)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "task_id", task->task_id);
    add_text(&data, "action", task->action);
    add_given(&data, "connection_key", task->connection_key);
    add_given(&data, "dataset", task->dataset);
    add_given(&data, "collection", task->collection);
    add_given(&data, "rule_key", task->rule_key);
    add_given(&data, "attempt_id", task->attempt_id);
    add_given(&data, "message", task->message);
    if (task->row_count >= 0)
        add_number(&data, "row_count", task->row_count);
    if (task->fields)
        add_fields(&data, task->fields);
    add_time_given(&data, "next_try_at", task->next_try_at);
    if (task->package)
        add_package(&data, task->package);
    return data_end(&data);
}

/* A dataset of a plan, once: its collections are all read through one connection. */
struct plan_dataset {
    const char *name;
    UT_hash_handle hh;
};

/* True when it was not known before. */
static bool dataset_note(struct plan_dataset **datasets, const char *name, struct arena *arena)
{
    struct plan_dataset *dataset;

    HASH_FIND_STR(*datasets, name, dataset);
    if (dataset)
        return false;
    dataset = arena_new_of(arena, struct plan_dataset);
    dataset->name = name;
    HASH_ADD_KEYPTR(hh, *datasets, dataset->name, strlen(name), dataset);
    return true;
}

/* About what it takes in the three lists. */
static size_t plan_task_bytes(const struct event_plan_task *task, bool new_dataset)
{
    size_t bytes = strlen(task->id) + 8 + (size_t)task->need_count * 8;

    return bytes + (new_dataset ? strlen(task->dataset) + strlen(task->connection_key) + 8 : 0);
}

static void add_plan_ids(struct data *data, const struct event_plan_task *tasks, int count)
{
    add_name(data, "tasks");
    buf_addc(&data->buf, '[');
    for (int i = 0; i < count; i++) {
        if (i)
            buf_addc(&data->buf, ',');
        buf_json_string(&data->buf, tasks[i].id);
    }
    buf_addc(&data->buf, ']');
}

static void add_plan_needs(struct data *data, const struct event_plan_task *tasks, int count)
{
    add_name(data, "needs");
    buf_addc(&data->buf, '[');
    for (int i = 0; i < count; i++) {
        buf_adds(&data->buf, i ? ",[" : "[");
        for (int j = 0; j < tasks[i].need_count; j++)
            buf_printf(&data->buf, j ? ",%d" : "%d", tasks[i].needs[j]);
        buf_addc(&data->buf, ']');
    }
    buf_addc(&data->buf, ']');
}

static void add_plan_connections(struct data *data, const struct event_plan_task *tasks, int count)
{
    struct plan_dataset *datasets = NULL;
    bool first = true;

    add_name(data, "connections");
    buf_addc(&data->buf, '{');
    for (int i = 0; i < count; i++) {
        if (!tasks[i].dataset || !dataset_note(&datasets, tasks[i].dataset, data->arena))
            continue;
        if (!first)
            buf_addc(&data->buf, ',');
        buf_json_string(&data->buf, tasks[i].dataset);
        buf_addc(&data->buf, ':');
        buf_json_string(&data->buf, tasks[i].connection_key);
        first = false;
    }
    buf_addc(&data->buf, '}');
    HASH_CLEAR(hh, datasets);
}

/* How many of them an event can tell. */
static int plan_fitting(const struct event_plan_task *tasks, int count, struct arena *arena)
{
    struct plan_dataset *datasets = NULL;
    size_t bytes = 0;
    int fitting = 0;

    for (; fitting < count; fitting++) {
        const struct event_plan_task *task = &tasks[fitting];

        bytes += plan_task_bytes(task, task->dataset && dataset_note(&datasets, task->dataset, arena));
        if (bytes > EVENT_LIST_BYTES)
            break;
    }
    HASH_CLEAR(hh, datasets);
    return fitting;
}

static void add_plan(struct data *data, const struct event_plan_task *tasks, int count)
{
    int fitting = plan_fitting(tasks, count, data->arena);

    add_plan_ids(data, tasks, fitting);
    if (!fitting || !tasks[0].dataset)
        return; /* packages need nothing, and are in no dataset */
    add_plan_needs(data, tasks, fitting);
    add_plan_connections(data, tasks, fitting);
}

static void add_skips(struct data *data, const struct event_skip *skips, int count)
{
    size_t end = data->buf.length + EVENT_LIST_BYTES;

    add_name(data, "skips");
    buf_addc(&data->buf, '[');
    for (int i = 0; i < count && data->buf.length < end; i++) {
        buf_adds(&data->buf, i ? ",{\"address\":" : "{\"address\":");
        buf_json_string(&data->buf, skips[i].address);
        add_text(data, "reason", skips[i].reason);
        buf_addc(&data->buf, '}');
    }
    buf_addc(&data->buf, ']');
}

const char *event_tasks_planned(struct arena *arena, const char *request_id, const char *action,
                                const struct event_plan_task *tasks, int count, const struct event_skip *skips,
                                int skip_count)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "action", action);
    add_number(&data, "task_count", count);
    add_number(&data, "skip_count", skip_count);
    add_plan(&data, tasks, count);
    add_skips(&data, skips, skip_count);
    return data_end(&data);
}

const char *event_forgotten(struct arena *arena, const char *request_id, const char *by)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "by", by);
    return data_end(&data);
}

const char *event_package_deleted(struct arena *arena, const char *request_id, const char *rule_key,
                                  const struct event_package *package, const char *reason)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "rule_key", rule_key);
    add_text(&data, "storage_key", package->storage_key);
    add_text(&data, "location", package->location);
    add_text(&data, "reason", reason);
    return data_end(&data);
}

const char *event_by(struct arena *arena, const char *request_id, enum pr_status status, const char *by,
                     const char *user_id, const char *step)
{
    struct data data = data_begin(arena, request_id);

    add_status(&data, status);
    add_text(&data, "by", by);
    add_text(&data, "user_id", user_id);
    if (step)
        add_text(&data, "step", step);
    return data_end(&data);
}

const char *event_callback(struct arena *arena, const char *request_id, const char *webhook_id, bool eligible,
                           usec_t received_at)
{
    struct data data = data_begin(arena, request_id);

    add_text(&data, "webhook_id", webhook_id);
    add_name(&data, "eligible");
    buf_adds(&data.buf, eligible ? "true" : "false");
    add_time(&data, "received_at", received_at);
    return data_end(&data);
}

const char *event_delivery_id(struct arena *arena, const char *request_id, const char *webhook_id)
{
    crypto_generichash_state state;
    uint8_t hash[16];
    char *id = arena_alloc(arena, 4 + 2 * sizeof(hash) + 1);

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const uint8_t *)request_id, strlen(request_id) + 1);
    crypto_generichash_update(&state, (const uint8_t *)webhook_id, strlen(webhook_id));
    crypto_generichash_final(&state, hash, sizeof(hash));
    memcpy(id, "dlv_", 4);
    sodium_bin2hex(id + 4, 2 * sizeof(hash) + 1, hash, sizeof(hash));
    return id;
}

const char *event_trace_new(struct arena *arena)
{
    uint8_t random[24];
    char hex[49];

    random_bytes(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    return arena_printf(arena, "00-%.32s-%.16s-01", hex, hex + 32);
}

static bool is_trace(const char *text)
{
    if (!text || strlen(text) != 55 || strncmp(text, "00-", 3) || text[35] != '-' || text[52] != '-')
        return false;
    return strspn(text + 3, "0123456789abcdef") == 32 && strspn(text + 36, "0123456789abcdef") == 16;
}

const char *event_trace_child(struct arena *arena, const char *parent)
{
    uint8_t random[8];
    char hex[17];

    if (!is_trace(parent))
        return event_trace_new(arena);
    random_bytes(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    return arena_printf(arena, "%.36s%s-01", parent, hex);
}

const char *event_row_id(struct arena *arena, const char *prefix)
{
    uint8_t random[16];
    char hex[33];

    random_bytes(random, sizeof(random));
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    return arena_printf(arena, "%s_%.8s-%.4s-%.4s-%.4s-%.12s", prefix, hex, hex + 8, hex + 12, hex + 16,
                        hex + 20);
}

void event_chain(const uint8_t *previous, const char *request_id, int64_t seq, const char *type, usec_t time,
                 const char *source, const char *cause, const char *traceparent, const void *payload,
                 size_t payload_length, uint8_t ret[EVENT_CHAIN_BYTES])
{
    crypto_hash_sha256_state state;
    char time_text[USEC_TEXT_BYTES], number[32];
    const char *parts[] = { request_id, ".", number, "\n", type, "\n", time_text, "\n", source, "\n",
                            cause ? cause : "", "\n", traceparent ? traceparent : "", "\n" };

    usec_format_z(time, time_text);
    snprintf(number, sizeof(number), "%lld", (long long)seq);
    crypto_hash_sha256_init(&state);
    if (previous)
        crypto_hash_sha256_update(&state, previous, EVENT_CHAIN_BYTES);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        crypto_hash_sha256_update(&state, (const uint8_t *)parts[i], strlen(parts[i]));
    crypto_hash_sha256_update(&state, payload, payload_length);
    crypto_hash_sha256_final(&state, ret);
}
