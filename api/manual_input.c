/*
 * manual_input - what people fill in by hand while a request waits for it, and that it goes on (rest.md 12). It is
 * sealed with the request's key; beside it stand only the labels, by which a worker knows whether it is complete.
 */
#include <string.h>

#include "api/manual_input.sql.h"
#include "api/manual_webhook.h"
#include "api/search.h"
#include "common/event.h"
#include "common/journal.h"
#include "common/log.h"

/* --- what is asked for --------------------------------------------------------------------------------- */

static const char *const actions[] = { "access", "erasure" };

/* Of one webhook, for one action. */
struct form {
    const char *action, *webhook_id;
    const char *const *labels;
    int count;
};

static struct form form_of(const struct catalog_connection *connection, const char *action)
{
    const struct catalog_form form = catalog_form(connection->manual, action);

    return (struct form){ action, connection->manual->id, form.labels, form.count };
}

static bool is_complete(const struct form *form, const char **labels, int count)
{
    const struct catalog_form asked = { form->labels, form->count };

    return catalog_form_is(&asked, (const char *const *)labels, count);
}

static bool is_erasure(const struct api_call *call)
{
    return strstr(call->route->path, "/erasure_");
}

/* The connection of the path. Whether it asks for anything is looked at after the request. */
static int connection_of_path(struct api_call *call, const struct catalog_connection **ret, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 1, &key, err);

    if (r < 0)
        return r;
    *ret = catalog_connection_by_key(call->catalog, key);
    return *ret ? 0 : manual_webhook_no_connection(key, err);
}

static int form_read(const struct api_call *call, const struct catalog_connection *connection, struct form *ret,
                     struct err *err)
{
    if (strcmp(connection->type, MANUAL_WEBHOOK_TYPE) != 0)
        return manual_webhook_other_type(connection->type, err);
    if (!connection->manual)
        return manual_webhook_none(connection->key, err);
    *ret = form_of(connection, actions[is_erasure(call)]);
    return 0;
}

/* --- the request --------------------------------------------------------------------------------------- */

/* Locked until the transaction ends. */
struct held {
    const char *id, *policy_id;
    int64_t seq;
    enum pr_status status;
    const char *key_id; /* NULL: forgotten */
    struct bytes wrapped;
};

static int unknown(const char *id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No privacy request found with id '%s'.", id);
}

static struct bytes bytes_of(const PGresult *rows, int column, struct arena *arena)
{
    struct bytes bytes;

    bytes.data = db_get_bytes(rows, 0, column, &bytes.length);
    if (bytes.data)
        bytes.data = arena_memdup(arena, bytes.data, bytes.length);
    return bytes;
}

static int request_hold(struct api_call *call, struct held *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    const char *id = call->params[0];
    int r;

    db_text(args, id);
    r = db_run(call->db, &SQL_manual_input_hold, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return unknown(id, err);
    if (db_get_bool(rows, 0, 2))
        return err_set(err, ERR_INVALID, "Privacy request with id %s has been deleted.", id);
    *ret = (struct held){
        .id = id,
        .policy_id = db_dup_text(rows, 0, 3, call->arena),
        .seq = db_get_int(rows, 0, 0),
        .status = lifecycle_parse(db_get_text(rows, 0, 1)),
        .key_id = db_dup_text(rows, 0, 4, call->arena),
        .wrapped = bytes_of(rows, 5, call->arena),
    };
    return 0;
}

static int not_waiting(const char *action, const char *id, enum pr_status status, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST,
                   "Invalid manual webhook %s upload request: privacy request '%s' status = %s.", action, id,
                   lifecycle_word(status));
}

/* Work on a held request that ends in one event; both are written, or neither. */
typedef int held_work(struct api_call *call, void *context, struct journal_entry *entry, struct err *err);

static int work_write(struct api_call *call, held_work *work, void *context, struct journal_entry *entry,
                      struct err *err)
{
    int r = work(call, context, entry, err);

    if (r == 0)
        r = journal_append(call->db, &entry, 1, publisher_source(call->api->publisher), call->arena, err);
    if (r == 0 && !entry->seq) /* never: the request is locked */
        r = err_cause(err, ERR_INTERNAL, "a held request has moved");
    return r < 0 ? r : db_commit(call->db, err);
}

static int work_transact(struct api_call *call, held_work *work, void *context, struct err *err)
{
    struct journal_entry entry = {
        .actor = call->user_id,
        .time = usec_now(),
        .traceparent = event_trace_child(call->arena, http_header(call->http, "traceparent")),
    }, *entries = &entry;
    int r = db_begin(call->db, err);

    if (r < 0)
        return r;
    r = work_write(call, work, context, &entry, err);
    if (r < 0)
        db_rollback(call->db);
    else
        publish_entries(call->api->publisher, &entries, 1);
    return r;
}

static const char *actor_word(const struct api_call *call)
{
    return call->user_id ? "user" : "client";
}

/* --- filling in ---------------------------------------------------------------------------------------- */

/* The body held against the labels: those of access are texts, those of an erasure say whether it was done. */
static int body_check(struct api_call *call, const struct form *form, struct err *err)
{
    struct schema_field *fields = arena_array(call->arena, struct schema_field, (size_t)form->count + 1);
    const struct schema schema = { SCHEMA_OBJECT, .forbid_extra = true, .fields = fields };

    for (int i = 0; i < form->count; i++)
        fields[i] = (struct schema_field){
            .name = form->labels[i],
            .nullable = true,
            .schema = { is_erasure(call) ? SCHEMA_BOOL : SCHEMA_STRING },
        };
    return schema_check(&schema, call->body, NULL, &call->errors) ? 0 : err_set(err, ERR_INVALID, "invalid input");
}

/* Every label, those that were not given as null. */
static json_object *body_filled(struct api_call *call, const struct form *form)
{
    json_object *filled = json_object_new_object();

    for (int i = 0; i < form->count; i++) {
        json_object *value = schema_get(call->body, form->labels[i]);

        if (value && is_erasure(call))
            value = json_object_new_boolean(schema_bool(call->body, form->labels[i], false));
        else
            json_object_get(value);
        json_object_object_add(filled, form->labels[i], value);
    }
    return filled;
}

static const char *seal_owner(struct arena *arena, const struct form *form)
{
    return arena_printf(arena, "%s.%s", form->webhook_id, form->action);
}

static int body_seal(struct api_call *call, const struct held *held, const struct form *form, struct bytes *ret,
                     struct err *err)
{
    _cleanup_(json_object_putp) json_object *filled = body_filled(call, form);
    struct seal_key key;
    struct bytes plain;
    int r;

    if (!held->key_id)
        return err_set(err, ERR_CONFLICT, "Privacy request with id %s was forgotten.", held->id);
    r = seal_key_unwrap(call->api->ring, held->key_id, held->wrapped, held->id, &key, err);
    if (r < 0)
        return r;
    plain.data = json_object_to_json_string_length(filled, JSON_C_TO_STRING_PLAIN, &plain.length);
    *ret = seal_close(&key, "input", seal_owner(call->arena, form), plain, call->arena);
    return 0;
}

static int input_put(struct api_call *call, const struct held *held, const struct form *form, struct bytes sealed,
                     usec_t time, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *labels;

    db_text(args, held->id);
    db_text(args, form->webhook_id);
    db_text(args, form->action);
    labels = db_array(args, DB_TEXT);
    for (int i = 0; i < form->count; i++)
        db_add_text(labels, form->labels[i]);
    db_bytes(args, sealed.data, sealed.length);
    db_text(args, call->user_id ? call->user_id : call->client_id);
    db_time(args, time);
    return db_do(call->db, &SQL_manual_input_put, args, err);
}

static int fill_in(struct api_call *call, void *context, struct journal_entry *entry, struct err *err)
{
    const struct catalog_connection *connection = context;
    struct bytes sealed;
    struct held held;
    struct form form;
    int r = request_hold(call, &held, err);

    if (r == 0)
        r = form_read(call, connection, &form, err);
    if (r == 0 && held.status != PR_REQUIRES_INPUT)
        r = not_waiting(form.action, held.id, held.status, err);
    if (r == 0)
        r = body_check(call, &form, err);
    if (r == 0)
        r = body_seal(call, &held, &form, &sealed, err);
    if (r < 0)
        return r;
    entry->request_id = held.id;
    entry->expected = held.seq;
    entry->type = EVENT_INPUT_GIVEN;
    entry->payload = event_input_given(call->arena, held.id,
                                       &(struct event_input){ .connection_key = connection->key,
                                                              .webhook_id = form.webhook_id,
                                                              .action = form.action,
                                                              .user_id = call->user_id,
                                                              .client_id = call->client_id,
                                                              .labels = form.labels,
                                                              .label_count = form.count });
    return input_put(call, &held, &form, sealed, entry->time, err);
}

static int input_patch(struct api_call *call, struct err *err)
{
    const struct catalog_connection *connection;
    int r = connection_of_path(call, &connection, err);

    if (r == 0)
        r = work_transact(call, fill_in, (void *)(uintptr_t)connection, err);
    return r < 0 ? r : api_answer_null(call, 200);
}

/* --- reading ------------------------------------------------------------------------------------------- */

static int saved_open(struct api_call *call, const PGresult *rows, const struct form *form, json_object **ret,
                      struct err *err)
{
    struct bytes wrapped = bytes_of(rows, 2, call->arena), sealed = bytes_of(rows, 4, call->arena), plain;
    struct seal_key key;
    int r = seal_key_unwrap(call->api->ring, db_get_text(rows, 0, 1), wrapped, call->params[0], &key, err);

    if (r == 0)
        r = seal_open(&key, "input", seal_owner(call->arena, form), sealed, call->arena, &plain, err);
    if (r == 0)
        *ret = api_json_parse(plain.data);
    return r;
}

/* NULL: nothing was filled in, or it can't be opened any more. */
static json_object *saved_object(struct api_call *call, const PGresult *rows, const struct form *form)
{
    json_object *saved = NULL;
    struct err err = { 0 };

    if (!db_is_null(rows, 0, 1) && !db_is_null(rows, 0, 4) && saved_open(call, rows, form, &saved, &err) < 0)
        log_err("request.input_unreadable", &err, log_id("request", call->params[0]));
    return saved;
}

static json_object *form_object(struct api_call *call, const PGresult *rows, const struct form *form)
{
    _cleanup_(json_object_putp) json_object *saved = saved_object(call, rows, form);
    json_object *object = json_object_new_object(), *fields = json_object_new_object();
    int count = 0;
    const char **labels = db_get_texts(rows, 0, 3, call->arena, &count);

    for (int i = 0; i < form->count; i++)
        json_object_object_add(fields, form->labels[i], json_object_get(schema_get(saved, form->labels[i])));
    json_object_object_add(object, "checked",
                           json_object_new_boolean(!db_is_null(rows, 0, 3) && is_complete(form, labels, count)));
    json_object_object_add(object, "fields", fields);
    return object;
}

static int form_rows(struct api_call *call, const struct catalog_connection *connection, PGresult **ret,
                     struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, call->params[0]);
    db_text(args, connection->manual ? connection->manual->id : NULL);
    db_text(args, actions[is_erasure(call)]);
    r = db_run(call->db, &SQL_manual_input_read, args, ret, err);
    return r == 0 && !PQntuples(*ret) ? unknown(call->params[0], err) : r;
}

static int input_get(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const struct catalog_connection *connection;
    enum pr_status status;
    struct form form;
    int r = connection_of_path(call, &connection, err);

    if (r == 0)
        r = form_rows(call, connection, &rows, err);
    if (r == 0)
        r = form_read(call, connection, &form, err);
    if (r < 0)
        return r;
    status = lifecycle_parse(db_get_text(rows, 0, 0));
    if (status != PR_REQUIRES_INPUT)
        return not_waiting(form.action, call->params[0], status, err);
    return api_answer(call, 200, form_object(call, rows, &form));
}

/* --- going on ------------------------------------------------------------------------------------------ */

/* What was filled in of a form: 0 and NULL for nothing. */
static const char **labels_saved(struct api_call *call, const PGresult *rows, const struct form *form, int *count)
{
    *count = 0;
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), form->webhook_id) && !strcmp(db_get_text(rows, row, 1), form->action))
            return db_get_texts(rows, row, 2, call->arena, count);
    return NULL;
}

static int form_check(struct api_call *call, const PGresult *rows, const struct catalog_connection *connection,
                      const char *action, struct err *err)
{
    const struct form form = form_of(connection, action);
    int count;
    const char **labels = labels_saved(call, rows, &form, &count);

    if (labels && is_complete(&form, labels, count))
        return 0;
    return err_set(err, ERR_BAD_REQUEST,
                   "Cannot resume privacy request. %s for privacy_request_id '%s' for connection config '%s'",
                   labels ? "Fields unset" : "No data cached", call->params[0], connection->key);
}

/* Everyone who is asked has answered, for all that the policy does. */
static int inputs_check(struct api_call *call, const char *policy_id, struct err *err)
{
    const struct catalog_policy *policy = catalog_policy_by_id(call->catalog, policy_id);
    const struct catalog_connection *connections = call->catalog->connections;
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, call->params[0]);
    r = db_run(call->db, &SQL_manual_input_all, args, &rows, err);
    for (size_t action = 0; policy && action < COUNT_OF(actions); action++)
        for (int i = 0; r == 0 && i < call->catalog->connection_count; i++)
            if (catalog_asks(&connections[i], policy, actions[action]))
                r = form_check(call, rows, &connections[i], actions[action], err);
    return r;
}

static int go_on(struct api_call *call, void *context, struct journal_entry *entry, struct err *err)
{
    struct held held;
    int r = request_hold(call, &held, err);

    (void)context;
    if (r < 0)
        return r;
    if (!lifecycle_next(held.status, ON_CONTINUE, &entry->status))
        return err_set(err, ERR_BAD_REQUEST,
                       "Cannot resume privacy request from 'requires_input': privacy request '%s' status = %s.",
                       held.id, lifecycle_word(held.status));
    entry->request_id = held.id;
    entry->expected = held.seq;
    entry->type = EVENT_INPUT_COMPLETED;
    entry->payload = event_input_completed(call->arena, held.id, actor_word(call), call->user_id);
    return inputs_check(call, held.policy_id, err);
}

static int resume_post(struct api_call *call, struct err *err)
{
    int r = work_transact(call, go_on, NULL, err);

    return r < 0 ? r : search_answer_one(call, call->params[0], err);
}

#define REQUEST "/privacy-request/{id}"
#define UPLOAD "privacy-request:upload_data"
#define VIEW "privacy-request:view_data"

/* Which labels there are is known only once the connection is: the body is checked then. */
static const struct schema body_schema = { SCHEMA_OBJECT };

const struct api_route manual_input_routes[] = {
    { "PATCH", REQUEST "/access_manual_webhook/{key}", UPLOAD, &body_schema, .handler = input_patch },
    { "GET", REQUEST "/access_manual_webhook/{key}", VIEW, .handler = input_get },
    { "PATCH", REQUEST "/erasure_manual_webhook/{key}", UPLOAD, &body_schema, .handler = input_patch },
    { "GET", REQUEST "/erasure_manual_webhook/{key}", VIEW, .handler = input_get },
    { "POST", REQUEST "/resume_from_requires_input", "privacy-request:resume", .handler = resume_post },
    { 0 },
};
