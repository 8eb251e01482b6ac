#include "api/create.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/create.sql.h"
#include "api/request.h"
#include "common/identity.h"
#include "common/journal.h"
#include "common/log.h"

/* Requests in one call, in one transaction at the most, and handed over but not yet written. */
enum { CALL_MAX = 50, BATCH_MAX = 256, QUEUE_MAX = 8192, ATTEMPTS = 3 };
enum { CUSTOM_FIELDS_MAX = 100, ENCRYPTION_KEY_BYTES = 16, EXTERNAL_ID_CHARS = 500 };

/* --- what a caller may send ---------------------------------------------------------------------------- */

static void check_identity(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    identity_check(value, loc, errors);
}

static void check_custom_fields(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (json_object_object_length(value) > CUSTOM_FIELDS_MAX) {
        schema_error(errors, loc, "value_error", "Value error, At most %d custom fields are allowed",
                     CUSTOM_FIELDS_MAX);
        return;
    }
    json_object_object_foreach(value, name, field)
    {
        const struct schema_loc here = { .parent = loc, .name = name };

        identity_check_labelled(field, &here, errors);
    }
}

static void check_encryption_key(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (json_object_get_string_len(value) != ENCRYPTION_KEY_BYTES)
        schema_error(errors, loc, "value_error", "Value error, Encryption key must be %d bytes long",
                     ENCRYPTION_KEY_BYTES);
}

static void check_location(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    char normal[REQUEST_LOCATION_BYTES];

    if (!request_location(json_object_get_string(value), normal))
        schema_error(errors, loc, "value_error",
                     "Value error, Invalid location format. Locations are ISO 3166 codes (e.g., 'US', 'US-CA') "
                     "or 'EEA'");
}

static const char *const sources[] = {
    "Privacy Center", "Request Manager", "Consent Webhook", "Fides.js", "Dataset Test", "Janus SDK", NULL,
};

static const struct schema_field element_fields[] = {
    { "policy_key", .required = true, .schema = { .type = SCHEMA_KEY } },
    { "identity", .required = true, .schema = { .type = SCHEMA_OBJECT, .check = check_identity } },
    { "custom_privacy_request_fields", .nullable = true,
      .schema = { .type = SCHEMA_OBJECT, .check = check_custom_fields } },
    { "external_id", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = EXTERNAL_ID_CHARS } },
    { "requested_at", .nullable = true, .schema = { .type = SCHEMA_DATETIME } },
    { "started_processing_at", .nullable = true, .schema = { .type = SCHEMA_DATETIME } },
    { "finished_processing_at", .nullable = true, .schema = { .type = SCHEMA_DATETIME } },
    { "encryption_key", .nullable = true, .schema = { .type = SCHEMA_STRING, .check = check_encryption_key } },
    { "property_id", .nullable = true, .schema = { .type = SCHEMA_STRING } },
    { "consent_request_id", .nullable = true, .schema = { .type = SCHEMA_STRING } },
    { "consent_preferences", .nullable = true, .schema = { .type = SCHEMA_LIST } },
    { "source", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = sources } },
    { "location", .nullable = true, .schema = { .type = SCHEMA_STRING, .check = check_location } },
    { 0 },
};
static const struct schema element_schema = { .type = SCHEMA_OBJECT, .fields = element_fields };
const struct schema create_schema = { .type = SCHEMA_LIST, .max = CALL_MAX, .item = &element_schema };

/* --- preparing ----------------------------------------------------------------------------------------- */

/* One request as it will be written. Texts and bytes are its call's arena's. */
struct row {
    struct request_view view;
    usec_t requested_at;
    struct bytes identity, custom_fields, encryption_key, wrapped_key; /* sealed */
    const char *key_id;
    struct identity_hash *hashes;
    int hash_count;
    struct event_webhook *owed; /* calls */
    int owed_count;
    struct journal_entry created, second; /* second.seq 0: there is only one */
};

/* The requests of one call. */
struct unit {
    struct api_call *call;
    int64_t version; /* of the catalog they were made by */
    json_object *answer;
    struct row *rows;
    int count;
    bool doubtful; /* something was refused that a newer catalog may have */
    struct unit *next;
};

/* Why an element can't become a request, in the contract's words; NULL when it can. */
static const char *element_problem(const struct api_call *call, json_object *element)
{
    const char *source = schema_text(element, "source");

    if (!identity_has_value(schema_get(element, "identity")))
        return "You must provide at least one identity to process";
    if (schema_get(element, "property_id"))
        return "Property ID must be valid to process"; /* no property exists in this version */
    if (!catalog_policy_by_key(call->catalog, schema_text(element, "policy_key")))
        return arena_printf(call->arena, "Policy with key %s does not exist", schema_text(element, "policy_key"));
    if (schema_get(element, "consent_request_id") || schema_get(element, "consent_preferences"))
        return "Consent requests are not available in this version.";
    if (source && !strcmp(source, "Dataset Test"))
        return "Dataset tests are not available in this version.";
    return NULL;
}

static usec_t element_time(json_object *element, const char *name, usec_t fallback)
{
    const char *text = schema_text(element, name);

    if (text)
        usec_parse(text, &fallback);
    return fallback;
}

static struct bytes seal_text(const struct seal_key *key, const char *what, const char *request_id,
                              const char *text, struct arena *arena)
{
    if (!text)
        return (struct bytes){ 0 };
    return seal_close(key, what, request_id, (struct bytes){ text, strlen(text) }, arena);
}

/* {"name": {"label", "value"}}, and nothing else that the caller may have sent along; NULL when there are none. */
static const char *custom_fields_text(json_object *fields, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *kept = json_object_new_object();

    if (!fields || !json_object_object_length(fields))
        return NULL;
    json_object_object_foreach(fields, name, field)
    {
        json_object *labelled = json_object_new_object();

        json_object_object_add(labelled, "label", json_object_get(schema_get(field, "label")));
        json_object_object_add(labelled, "value", json_object_get(schema_get(field, "value")));
        json_object_object_add(kept, name, labelled);
    }
    return arena_strdup(arena, json_object_to_json_string_ext(kept, JSON_C_TO_STRING_PLAIN |
                                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void row_seal(struct row *row, const struct api_call *call, json_object *element)
{
    json_object *identity = schema_get(element, "identity");
    struct identity_hash hashes[IDENTITY_MAX];
    struct arena *arena = call->arena;
    const char *id = row->view.id;
    struct seal_key key;

    seal_key_new(&key);
    row->wrapped_key = seal_key_wrap(call->api->ring, &key, id, arena, &row->key_id);
    row->identity = seal_text(&key, "identity", id, identity_body(identity, arena), arena);
    row->custom_fields = seal_text(
        &key, "custom_fields", id,
        custom_fields_text(schema_get(element, "custom_privacy_request_fields"), arena), arena);
    row->encryption_key =
        seal_text(&key, "encryption_key", id, schema_text(element, "encryption_key"), arena);
    row->hash_count = identity_hashes(identity, call->api->ring, hashes, IDENTITY_MAX, arena);
    row->hashes = arena_memdup(arena, hashes, (size_t)row->hash_count * sizeof(*hashes));
}

static const char *location_of(json_object *element, struct arena *arena)
{
    const char *text = schema_text(element, "location");
    char normal[REQUEST_LOCATION_BYTES];

    return text && request_location(text, normal) ? arena_strdup(arena, normal) : NULL;
}

/* Who submitted is kept only for what a person enters in the request manager. */
static const char *submitter(const struct api_call *call, const char *source)
{
    return source && !strcmp(source, "Request Manager") ? call->user_id : NULL;
}

/* The last moment whose year has four digits, as all forms of a date want it. */
#define LAST_MOMENT ((usec_t)253402300799999999)

static usec_t due_date(usec_t from, int days)
{
    if (!days)
        return USEC_NONE;
    return days > (LAST_MOMENT - from) / USEC_PER_DAY ? LAST_MOMENT : from + days * USEC_PER_DAY;
}

static void row_describe(struct row *row, const struct api_call *call, json_object *element)
{
    struct arena *arena = call->arena;
    struct request_view *view = &row->view;

    *view = request_view_empty();
    view->id = event_row_id(arena, "pri");
    view->policy = catalog_policy_by_key(call->catalog, schema_text(element, "policy_key"));
    view->external_id = schema_text(element, "external_id");
    view->source = schema_text(element, "source");
    view->location = location_of(element, arena);
    view->submitted_by = submitter(call, view->source);
    view->created_at = call->now;
    view->started_processing_at = element_time(element, "started_processing_at", USEC_NONE);
    view->finished_processing_at = element_time(element, "finished_processing_at", USEC_NONE);
    row->requested_at = element_time(element, "requested_at", call->now);
    view->due_date = due_date(row->requested_at, view->policy->execution_timeframe);
}

static void row_owe_calls(struct row *row, const struct api_call *call)
{
    const struct catalog *catalog = call->catalog;

    row->owed = arena_array(call->arena, struct event_webhook, (size_t)catalog->webhook_count);
    row->owed_count = catalog->webhook_count;
    for (int i = 0; i < row->owed_count; i++)
        row->owed[i] = (struct event_webhook){
            .webhook_id = catalog->webhooks[i].id,
            .webhook_key = catalog->webhooks[i].key,
            .delivery_id = event_delivery_id(call->arena, row->view.id, catalog->webhooks[i].id),
            .connection_id = catalog->webhooks[i].connection->id,
        };
}

static void entry_make(struct journal_entry *entry, const struct row *row, int64_t seq, enum pr_status status,
                       enum event_type type, const char *payload)
{
    *entry = (struct journal_entry){
        .request_id = row->view.id,
        .status = status,
        .type = type,
        .time = row->view.created_at,
        .payload = payload,
        .seq = seq,
    };
}

/* What follows creation at once, lifecycle.md 5. A person's approval: nothing, the request stays pending. */
static void row_approval(struct row *row, const struct api_call *call)
{
    const char *id = row->view.id;

    switch (catalog_approval(call->catalog, row->view.policy)) {
    case APPROVAL_BY_PERSON:
        return;
    case APPROVAL_BY_WEBHOOKS:
        row_owe_calls(row, call);
        entry_make(&row->second, row, 2, PR_AWAITING_PRE_APPROVAL, EVENT_PRE_APPROVAL_REQUESTED,
                   event_pre_approval_requested(call->arena, id, row->owed, row->owed_count));
        return;
    case APPROVAL_NOT_REQUIRED:
        entry_make(&row->second, row, 2, PR_APPROVED, EVENT_APPROVED,
                   event_approved(call->arena, id, "system", NULL, NULL));
        row->view.reviewed_at = row->view.created_at;
        if (row->custom_fields.data)
            row->view.custom_approved_at = row->view.created_at;
        return;
    }
}

static void entry_chain(struct journal_entry *entry, const uint8_t *previous, const char *source)
{
    event_chain(previous, entry->request_id, entry->seq, event_word(entry->type), entry->time, source,
                entry->cause, entry->traceparent, entry->payload, strlen(entry->payload), entry->chain);
}

static const char *created_payload(const struct row *row, struct arena *arena)
{
    const struct request_view *view = &row->view;

    return event_created(arena, view->id,
                         &(struct event_creation){
                             .policy_id = view->policy->id,
                             .policy_key = view->policy->key,
                             .action_type = catalog_policy_action(view->policy),
                             .source = view->source,
                             .submitted_by = view->submitted_by,
                             .time = view->created_at,
                             .requested_at = row->requested_at,
                             .due_date = view->due_date,
                             .started_processing_at = view->started_processing_at,
                             .finished_processing_at = view->finished_processing_at,
                             .custom_fields = row->custom_fields.data,
                         });
}

static void row_events(struct row *row, const struct api_call *call, const char *traceparent)
{
    const struct request_view *view = &row->view;
    const char *source = publisher_source(call->api->publisher);

    entry_make(&row->created, row, 1, PR_PENDING, EVENT_CREATED, created_payload(row, call->arena));
    row->created.traceparent = traceparent;
    entry_chain(&row->created, NULL, source);
    row_approval(row, call);
    if (!row->second.seq)
        return;
    row->second.cause = arena_printf(call->arena, "%s.1", view->id);
    row->second.traceparent = traceparent;
    row->second.behind = true; /* behind the first, which goes out just before it */
    entry_chain(&row->second, row->created.chain, source);
}

static void row_prepare(struct row *row, const struct api_call *call, json_object *element)
{
    const char *parent = http_header(call->http, "traceparent");

    row_describe(row, call, element);
    row_seal(row, call, element);
    row_events(row, call, event_trace_child(call->arena, parent));
    row->view.status = row->second.seq ? row->second.status : PR_PENDING;
}

static struct unit *unit_new(struct api_call *call)
{
    struct unit *unit = arena_new_of(call->arena, struct unit);
    size_t elements = json_object_array_length(call->body);

    unit->call = call;
    unit->version = call->catalog->version;
    unit->answer = api_bulk();
    unit->rows = arena_array(call->arena, struct row, elements);
    for (size_t i = 0; i < elements; i++) {
        json_object *element = json_object_array_get_idx(call->body, i);
        const char *problem = element_problem(call, element);
        struct row *row = &unit->rows[unit->count];

        if (problem) {
            unit->doubtful |= !catalog_policy_by_key(call->catalog, schema_text(element, "policy_key"));
            api_bulk_failed(unit->answer, problem, json_object_get(element));
            continue;
        }
        row_prepare(row, call, element);
        api_bulk_succeeded(unit->answer, request_object(&row->view, call->now));
        unit->count++;
    }
    return unit;
}

static int unit_answer(struct unit *unit)
{
    return api_answer(unit->call, 200, TAKE(unit->answer));
}

/* --- the queue ----------------------------------------------------------------------------------------- */

struct create_queue {
    struct api *api;
    struct db *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    /* Under the lock: */
    struct unit *first, **last;
    int rows;
    bool ending;
};

/* One without a request still asks whether its catalog stands. */
static int unit_weight(const struct unit *unit)
{
    return unit->count ? unit->count : 1;
}

static bool queue_push(struct create_queue *queue, struct unit *unit)
{
    bool taken;

    pthread_mutex_lock(&queue->lock);
    taken = !queue->ending && queue->rows < QUEUE_MAX;
    if (taken) {
        *queue->last = unit;
        queue->last = &unit->next;
        queue->rows += unit_weight(unit);
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

int create_handle(struct api_call *call, struct err *err)
{
    struct unit *unit = unit_new(call);

    if (!unit->count && !unit->doubtful)
        return unit_answer(unit);
    if (queue_push(call->api->creates, unit))
        return API_PENDING;
    json_object_put(unit->answer);
    return err_cause(err, ERR_UNAVAILABLE, "the queue of creates is full");
}

/* What one transaction takes: units of one catalog version, up to BATCH_MAX rows but one unit at least. */
static struct unit *queue_cut(struct create_queue *queue)
{
    struct unit *first = queue->first, **end = &queue->first;
    int rows = 0;

    while (*end && (*end)->version == first->version && (!rows || rows + unit_weight(*end) <= BATCH_MAX)) {
        rows += unit_weight(*end);
        end = &(*end)->next;
    }
    queue->rows -= rows;
    queue->first = *end;
    *end = NULL;
    if (!queue->first)
        queue->last = &queue->first;
    return first;
}

/* Waits; NULL when the queue is ending and empty. */
static struct unit *queue_take(struct create_queue *queue)
{
    struct unit *batch = NULL;

    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->ending)
        pthread_cond_wait(&queue->filled, &queue->lock);
    if (queue->first)
        batch = queue_cut(queue);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

/* --- writing ------------------------------------------------------------------------------------------- */

/* The columns of SQL_create_requests after $1 and $2, in its order. */
struct columns {
    struct db_column *id, *status, *policy_id, *source, *location, *external_id, *submitted_by;
    struct db_column *created_at, *requested_at, *due_date, *started_at, *finished_at;
    struct db_column *identity, *custom_fields, *encryption_key, *key_id, *wrapped;
    struct db_column *traceparent, *payload, *chain, *second_type, *second_payload, *second_chain;
    struct db_column *hash_request, *hash_field, *hash;
    struct db_column *owed_request, *owed_id, *owed_webhook, *owed_at;
};

static void columns_add_events(struct columns *to, const struct row *row)
{
    const struct journal_entry *first = &row->created, *second = row->second.seq ? &row->second : NULL;

    db_add_text(to->traceparent, first->traceparent);
    db_add_bytes(to->payload, first->payload, strlen(first->payload));
    db_add_bytes(to->chain, first->chain, EVENT_CHAIN_BYTES);
    db_add_text(to->second_type, second ? event_word(second->type) : NULL);
    db_add_bytes(to->second_payload, second ? second->payload : NULL, second ? strlen(second->payload) : 0);
    db_add_bytes(to->second_chain, second ? second->chain : NULL, EVENT_CHAIN_BYTES);
}

static void columns_add_lists(struct columns *to, const struct row *row)
{
    for (int i = 0; i < row->hash_count; i++) {
        db_add_text(to->hash_request, row->view.id);
        db_add_text(to->hash_field, row->hashes[i].field);
        db_add_bytes(to->hash, row->hashes[i].hash, SEAL_HASH_BYTES);
    }
    for (int i = 0; i < row->owed_count; i++) {
        db_add_text(to->owed_request, row->view.id);
        db_add_text(to->owed_id, row->owed[i].delivery_id);
        db_add_text(to->owed_webhook, row->owed[i].webhook_id);
        db_add_time(to->owed_at, row->view.created_at);
    }
}

static void columns_add(struct columns *to, const struct row *row)
{
    const struct request_view *view = &row->view;

    db_add_text(to->id, view->id);
    db_add_text(to->status, lifecycle_word(view->status));
    db_add_text(to->policy_id, view->policy->id);
    db_add_text(to->source, view->source);
    db_add_text(to->location, view->location);
    db_add_text(to->external_id, view->external_id);
    db_add_text(to->submitted_by, view->submitted_by);
    db_add_time(to->created_at, view->created_at);
    db_add_time(to->requested_at, row->requested_at);
    db_add_time(to->due_date, view->due_date);
    db_add_time(to->started_at, view->started_processing_at);
    db_add_time(to->finished_at, view->finished_processing_at);
    db_add_bytes(to->identity, row->identity.data, row->identity.length);
    db_add_bytes(to->custom_fields, row->custom_fields.data, row->custom_fields.length);
    db_add_bytes(to->encryption_key, row->encryption_key.data, row->encryption_key.length);
    db_add_text(to->key_id, row->key_id);
    db_add_bytes(to->wrapped, row->wrapped_key.data, row->wrapped_key.length);
    columns_add_events(to, row);
    columns_add_lists(to, row);
}

static struct columns columns_new(struct db_args *args)
{
    /* Initializers are evaluated in no order of their own, the parameters have one. */
    static const struct {
        size_t offset;
        enum db_type type;
    } order[] = {
#define COLUMN(name, type) { offsetof(struct columns, name), DB_##type }
        COLUMN(id, TEXT), COLUMN(status, TEXT), COLUMN(policy_id, TEXT), COLUMN(source, TEXT),
        COLUMN(location, TEXT), COLUMN(external_id, TEXT), COLUMN(submitted_by, TEXT),
        COLUMN(created_at, TIME), COLUMN(requested_at, TIME), COLUMN(due_date, TIME),
        COLUMN(started_at, TIME), COLUMN(finished_at, TIME), COLUMN(identity, BYTES),
        COLUMN(custom_fields, BYTES), COLUMN(encryption_key, BYTES), COLUMN(key_id, TEXT),
        COLUMN(wrapped, BYTES), COLUMN(traceparent, TEXT), COLUMN(payload, BYTES), COLUMN(chain, BYTES),
        COLUMN(second_type, TEXT), COLUMN(second_payload, BYTES), COLUMN(second_chain, BYTES),
        COLUMN(hash_request, TEXT), COLUMN(hash_field, TEXT), COLUMN(hash, BYTES),
        COLUMN(owed_request, TEXT), COLUMN(owed_id, TEXT), COLUMN(owed_webhook, TEXT), COLUMN(owed_at, TIME),
#undef COLUMN
    };
    struct columns columns;

    for (size_t i = 0; i < COUNT_OF(order); i++)
        *(struct db_column **)((char *)&columns + order[i].offset) = db_array(args, order[i].type);
    return columns;
}

/* All events of the transaction, which share a row of the outbox. */
static void batch_publish(struct create_queue *queue, const struct unit *batch, int64_t outbox)
{
    struct journal_entry *entries[2 * (BATCH_MAX + CALL_MAX)];
    int count = 0;

    for (const struct unit *unit = batch; outbox && unit; unit = unit->next)
        for (int i = 0; i < unit->count; i++) {
            struct row *row = &unit->rows[i];

            row->created.outbox = row->second.outbox = outbox;
            entries[count++] = &row->created;
            if (row->second.seq)
                entries[count++] = &row->second;
        }
    publish_entries(queue->api->publisher, entries, count);
}

/* Writes a batch as one transaction. *stands: whether its catalog does; otherwise nothing was written. */
static int batch_write(struct create_queue *queue, const struct unit *batch, bool *stands, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct db_args *args = db_args_new(arena);
    struct columns columns;
    int r;

    db_int(args, batch->version);
    db_text(args, publisher_source(queue->api->publisher));
    columns = columns_new(args);
    for (const struct unit *unit = batch; unit; unit = unit->next)
        for (int i = 0; i < unit->count; i++)
            columns_add(&columns, &unit->rows[i]);
    r = db_run(queue->db, &SQL_create_requests, args, &result, err);
    if (r < 0)
        return r;
    *stands = db_get_bool(result, 0, 0);
    batch_publish(queue, batch, db_get_int(result, 0, 1));
    return 0;
}

static void unit_written(struct create_queue *queue, struct unit *unit)
{
    (void)queue;
    unit_answer(unit);
}

static void unit_again(struct create_queue *queue, struct unit *unit)
{
    (void)queue;
    json_object_put(unit->answer);
    api_again(unit->call);
}

/* Does the same to each of a batch. A unit is gone once it was answered, so its successor is read before. */
static void batch_each(struct create_queue *queue, struct unit *batch,
                       void (*act)(struct create_queue *queue, struct unit *unit))
{
    for (struct unit *unit = batch, *next; unit; unit = next) {
        next = unit->next;
        act(queue, unit);
    }
}

/* The caller may try again; what is wrong with us is in the log. */
static void unit_refuse(struct create_queue *queue, struct unit *unit)
{
    const struct err err = { .code = ERR_UNAVAILABLE, .text = "Service Unavailable" };

    (void)queue;
    json_object_put(unit->answer);
    api_answer_err(unit->call, &err);
}

static void batch_run(struct create_queue *queue, struct unit *batch);

static void unit_alone(struct create_queue *queue, struct unit *unit)
{
    unit->next = NULL;
    batch_run(queue, unit);
}

/* With the database away nobody's turn has come. Any other failure may be one caller's, so each tries alone. */
static void batch_failed(struct create_queue *queue, struct unit *batch, const struct err *err)
{
    log_err("create.failed", err);
    batch_each(queue, batch, batch->next && err->code != ERR_UNAVAILABLE ? unit_alone : unit_refuse);
}

static void batch_run(struct create_queue *queue, struct unit *batch)
{
    struct err err = { 0 };
    bool stands = false;
    int r = -ERR_STALE;

    /* Stale: who deletes a policy and who makes requests by it have waited for each other. */
    for (int attempt = 0; attempt < ATTEMPTS && r == -ERR_STALE; attempt++)
        r = batch_write(queue, batch, &stands, &err);
    if (r < 0)
        batch_failed(queue, batch, &err);
    else
        batch_each(queue, batch, stands ? unit_written : unit_again);
}

static void *queue_run(void *context)
{
    struct create_queue *queue = context;
    struct unit *batch;

    while ((batch = queue_take(queue)))
        batch_run(queue, batch);
    return NULL;
}

int create_queue_new(struct api *api, struct create_queue **ret, struct err *err)
{
    struct create_queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        abort();
    queue->api = api;
    queue->last = &queue->first;
    queue->db = db_new(api->config->postgres_url, "docket-api create");
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    if (pthread_create(&queue->thread, NULL, queue_run, queue)) {
        db_free(queue->db);
        free(queue);
        return err_cause(err, ERR_INTERNAL, "create: no thread");
    }
    *ret = queue;
    return 0;
}

void create_queue_free(struct create_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->ending = true;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    db_free(queue->db);
    free(queue);
}
