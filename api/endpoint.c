/*
 * endpoint - connections as calls see them: how they fare, how fast and how often they are called, whether they are
 * called at all, and a call to try them. docket's own, beside the contract's paths.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/connection.h"
#include "api/delivery.h"
#include "api/endpoint.sql.h"
#include "api/redelivery.h"
#include "api/resource.h"
#include "common/disclosure.h"
#include "common/event.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/redis.h"

/* Deliveries that are counted: of one endpoint that is asked for, of each in a page. */
enum { COUNTED_MAX = 50000, COUNTED_PAGE_MAX = 1000 };
/* A redelivering call's bounds: what goes, and looks of so many deliveries each. */
enum { REDELIVERED_MAX = 10000, LOOKS_MAX = 40, LOOK_DELIVERIES = 20000 };
enum { RATE_LIMIT_MAX = 100000, TRIALS_WAITING_MAX = 10, WORKERS_MAX = 1000 };
/* Of a statement in a customer's database, and of the rows of one collection for one person. */
enum { STATEMENT_TIMEOUT_S_MAX = 86400, ROW_LIMIT_MAX = 1000000000 };

/* Redis is asked for what may be missing: nobody waits for it. What a worker has not renewed is not shown. */
#define REDIS_PATIENCE (300 * USEC_PER_MS)
#define WORKER_FRESH (10 * USEC_PER_S)

/* --- what workers show --------------------------------------------------------------------------------- */

static const char *const breaker_words[] = { "closed", "half_open", "open" }; /* from good to bad */

static int breaker_rank(json_object *worker)
{
    const char *word = schema_text(worker, "breaker");

    for (int i = 0; word && i < (int)COUNT_OF(breaker_words); i++)
        if (!strcmp(breaker_words[i], word))
            return i;
    return -1;
}

static bool is_fresh(json_object *worker, usec_t now)
{
    const char *at = schema_text(worker, "at");
    usec_t time;

    return at && usec_parse(at, &time) && now - time < WORKER_FRESH;
}

/* One field of the hash as it is shown; NULL when it is not of the form, or of a worker that is gone. */
static json_object *worker_object(const char *name, const char *value, usec_t now)
{
    static const char *const members[] = { "breaker", "open_until", "underway", "queued", "calls", "failures", "at" };
    _cleanup_(json_object_putp) json_object *shown = value ? json_tokener_parse(value) : NULL;
    json_object *object;

    if (!name || !json_object_is_type(shown, json_type_object) || !is_fresh(shown, now))
        return NULL;
    object = json_object_new_object();
    json_object_object_add(object, "worker", api_json_text(name));
    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i], json_object_get(schema_get(shown, members[i])));
    return object;
}

/* Of HGETALL: names and values in turn. */
static json_object *workers_object(const struct redis_answer *answer, usec_t now)
{
    json_object *workers = json_object_new_array();

    for (int i = 0; i + 1 < answer->count && i < 2 * WORKERS_MAX; i += 2) {
        json_object *worker = worker_object(answer->items[i].text, answer->items[i + 1].text, now);

        if (worker)
            json_object_array_add(workers, worker);
    }
    return workers;
}

/* The worst that a worker has; NULL when none tells. */
static const char *breaker_of(json_object *workers)
{
    int worst = -1;

    for (size_t i = 0; workers && i < json_object_array_length(workers); i++) {
        int rank = breaker_rank(json_object_array_get_idx(workers, i));

        worst = rank > worst ? rank : worst;
    }
    return worst < 0 ? NULL : breaker_words[worst];
}

/* An answer for each connection, or NULL: without Redis there is nothing to show. */
static const struct redis_answer *ask_redis(struct api_call *call, const char *const *ids, int count)
{
    struct redis_command *commands = arena_array(call->arena, struct redis_command, (size_t)count + 1);
    _cleanup_(redis_freep) struct redis *redis = NULL;
    const struct config *config = call->api->config;
    const struct redis_answer *answers = NULL;
    struct err err;

    for (int i = 0; i < count; i++)
        commands[i] = REDIS_COMMAND("HGETALL",
                                    arena_printf(call->arena, "%s:endpoint:%s", config->topic_prefix, ids[i]));
    if (!count || redis_new(config->redis_url, REDIS_PATIENCE, &redis, &err) < 0 ||
        redis_run(redis, commands, count, call->arena, &answers, &err) < 0)
        return NULL;
    return answers;
}

/* --- the object ---------------------------------------------------------------------------------------- */

/* The columns of SQL_endpoint_page and SQL_endpoint_row. */
enum {
    TOTAL, ID, KEY, NAME, DISABLED, PAUSED_AT, PAUSED_REASON, RATE_LIMIT, RETRY_SCHEDULE, STATEMENT_TIMEOUT, ROW_LIMIT,
    DISCLOSE, WAITING, HELD, GIVEN_UP, DELIVERED, COUNTED_SINCE,
};

static json_object *number(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NULL : json_object_new_int64(db_get_int(rows, row, column));
}

/* As it may be given again: "30s", or "1500ms" where it is no whole number of seconds. */
static json_object *timeout_text(const PGresult *rows, int row, int column)
{
    long long ms = db_get_int(rows, row, column);
    char text[32];

    if (db_is_null(rows, row, column))
        return NULL;
    snprintf(text, sizeof(text), ms % 1000 ? "%lldms" : "%llds", ms % 1000 ? ms : ms / 1000);
    return api_json_text(text);
}

static bool is_signing(const struct api_call *call, const char *id)
{
    const struct catalog_connection *connection = catalog_connection_by_id(call->catalog, id);

    return connection && connection->signing_secret;
}

static json_object *endpoint_object(struct api_call *call, const PGresult *rows, int row,
                                    const struct redis_answer *shown)
{
    json_object *object = json_object_new_object(), *workers = shown ? workers_object(shown, call->now) : NULL;
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "key", api_json_text(db_get_text(rows, row, KEY)) },
        { "name", api_json_text(db_get_text(rows, row, NAME)) },
        { "disabled", json_object_new_boolean(db_get_bool(rows, row, DISABLED)) },
        { "paused_at", api_json_time(db_get_time(rows, row, PAUSED_AT)) },
        { "paused_reason", api_json_text(db_get_text(rows, row, PAUSED_REASON)) },
        { "rate_limit", number(rows, row, RATE_LIMIT) },
        { "retry_schedule", api_json_text(db_get_text(rows, row, RETRY_SCHEDULE)) },
        { "statement_timeout", timeout_text(rows, row, STATEMENT_TIMEOUT) },
        { "row_limit", number(rows, row, ROW_LIMIT) },
        { "disclose", api_json_parse(db_get_text(rows, row, DISCLOSE)) },
        { "signing", json_object_new_boolean(is_signing(call, db_get_text(rows, row, ID))) },
        { "breaker", api_json_text(breaker_of(workers)) },
        { "waiting", number(rows, row, WAITING) },
        { "held", number(rows, row, HELD) },
        { "given_up_24h", number(rows, row, GIVEN_UP) },
        { "delivered_24h", number(rows, row, DELIVERED) },
        { "counted_since", api_json_time(db_get_time(rows, row, COUNTED_SINCE)) },
        { "workers", workers },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

static json_object *endpoint_objects(struct api_call *call, const PGresult *rows, int count)
{
    const char **ids = arena_array(call->arena, const char *, (size_t)count + 1);
    json_object *list = json_object_new_array();
    const struct redis_answer *shown;

    for (int row = 0; row < count; row++)
        ids[row] = db_get_text(rows, row, ID);
    shown = ask_redis(call, ids, count);
    for (int row = 0; row < count; row++)
        json_object_array_add(list, endpoint_object(call, rows, row, shown ? &shown[row] : NULL));
    return list;
}

static int endpoint_list(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct api_page page;
    long long total;
    int count, r = api_page(call, &page, err);

    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    db_int(args, COUNTED_PAGE_MAX);
    r = db_run_planned(call->db, &SQL_endpoint_page, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    return api_answer_page(call, &page, endpoint_objects(call, rows, count), total);
}

static int answer_endpoint(struct api_call *call, const char *key, struct err *err)
{
    _cleanup_(json_object_putp) json_object *list = NULL;
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    db_int(args, COUNTED_MAX);
    r = db_run_planned(call->db, &SQL_endpoint_row, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(key, err);
    list = endpoint_objects(call, rows, 1);
    return api_answer(call, 200, json_object_get(json_object_array_get_idx(list, 0)));
}

static int endpoint_get(struct api_call *call, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    return r < 0 ? r : answer_endpoint(call, key, err);
}

/* --- changing ------------------------------------------------------------------------------------------ */

struct state {
    const char *key, *id;
    bool disabled, paused, callable, is_source, is_called; /* callable: it has a url too */
};

/* Of the endpoint that the path names. */
static int read_state(struct api_call *call, struct state *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r = api_key_param(call, 0, &ret->key, err);

    if (r < 0)
        return r;
    db_text(args, ret->key);
    r = db_run(call->db, &SQL_endpoint_state, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(ret->key, err);
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->disabled = db_get_bool(rows, 0, 1);
    ret->paused = db_get_bool(rows, 0, 2);
    ret->callable = db_get_bool(rows, 0, 3);
    ret->is_source = db_get_bool(rows, 0, 4);
    ret->is_called = db_get_bool(rows, 0, 5);
    return 0;
}

static void check_schedule(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    struct config_schedule schedule;
    struct err err;

    if (config_parse_schedule(json_object_get_string(value), &schedule, &err) < 0)
        schema_error(errors, loc, "value_error", "Value error, %s", err.text);
}

static void check_timeout(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    const char *text = json_object_get_string(value);
    usec_t timeout;

    if (!usec_parse_duration(text, strlen(text), &timeout) || timeout < USEC_PER_MS ||
        timeout > STATEMENT_TIMEOUT_S_MAX * USEC_PER_S)
        schema_error(errors, loc, "value_error",
                     "Value error, This must be a time from 1ms to 24h: a number and ms, s, m, h or d.");
}

/* An object that leaves nothing out is as likely a mistake as a wish: who wants no limit gives null. */
static void check_disclose(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!schema_get(value, "identity") && !schema_get(value, "parts"))
        schema_error(errors, loc, "value_error", "Value error, At least one of identity and parts must be a list.");
}

static const struct schema identity_key_schema = { .type = SCHEMA_STRING, .min = 1, .max = IDENTITY_NAME_MAX };
static const struct schema part_schema = { .type = SCHEMA_STRING, .words = disclosure_parts };
static const struct schema_field disclose_fields[] = {
    { "identity", .schema = { .type = SCHEMA_LIST, .item = &identity_key_schema, .max = IDENTITY_MAX } },
    { "parts", .schema = { .type = SCHEMA_LIST, .item = &part_schema, .max = DISCLOSURE_PARTS } },
    { 0 },
};

static const struct schema_field change_fields[] = {
    { "rate_limit", .nullable = true, .schema = { .type = SCHEMA_INT, .min = 1, .max = RATE_LIMIT_MAX } },
    { "retry_schedule", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = 1024, .check = check_schedule } },
    { "statement_timeout", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = 32, .check = check_timeout } },
    { "row_limit", .nullable = true, .schema = { .type = SCHEMA_INT, .min = 1, .max = ROW_LIMIT_MAX } },
    { "disclose", .nullable = true,
      .schema = { .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = disclose_fields, .check = check_disclose } },
    { 0 },
};
static const struct schema change_schema = { .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = change_fields };

/* What a run reads is a customer's database. */
static int check_source_limits(struct api_call *call, const struct state *state, struct err *err)
{
    static const char *const names[] = { "statement_timeout", "row_limit" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (schema_has(call->body, names[i]) && !state->is_source)
            return api_invalid(call, err, "body", names[i], "value_error",
                               "Value error, Only connections of type 'postgres' have this limit.");
    return 0;
}

/* Who is called is told something. */
static int check_disclosed(struct api_call *call, const struct state *state, struct err *err)
{
    if (!schema_has(call->body, "disclose") || state->is_called)
        return 0;
    return api_invalid(call, err, "body", "disclose", "value_error",
                       "Value error, Only connections of type 'https' are told something.");
}

/* Whether it is given, and what it is. */
static void number_args(struct db_args *args, json_object *body, const char *name)
{
    db_bool(args, schema_has(body, name));
    if (schema_get(body, name))
        db_int(args, schema_int(body, name, 0));
    else
        db_null(args);
}

static void timeout_args(struct db_args *args, json_object *body)
{
    const char *text = schema_text(body, "statement_timeout");
    usec_t timeout;

    db_bool(args, schema_has(body, "statement_timeout"));
    if (text && usec_parse_duration(text, strlen(text), &timeout))
        db_int(args, timeout / USEC_PER_MS);
    else
        db_null(args);
}

static void disclose_args(struct db_args *args, json_object *body)
{
    json_object *disclose = schema_get(body, "disclose");

    db_bool(args, schema_has(body, "disclose"));
    db_json(args, disclose ? json_object_to_json_string_ext(disclose, JSON_C_TO_STRING_PLAIN) : NULL);
}

static int write_change(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct state state;
    int r = read_state(call, &state, err);

    (void)ret;
    if (r == 0)
        r = check_source_limits(call, &state, err);
    if (r == 0)
        r = check_disclosed(call, &state, err);
    if (r < 0)
        return r;
    db_text(args, state.id);
    number_args(args, call->body, "rate_limit");
    db_bool(args, schema_has(call->body, "retry_schedule"));
    db_text(args, schema_text(call->body, "retry_schedule"));
    timeout_args(args, call->body);
    number_args(args, call->body, "row_limit");
    disclose_args(args, call->body);
    return db_do(call->db, &SQL_endpoint_update, args, err);
}

static int set_paused(struct api_call *call, bool paused, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct state state;
    int r = read_state(call, &state, err);

    if (r < 0 || state.paused == paused)
        return r;
    db_text(args, state.id);
    r = db_do(call->db, paused ? &SQL_endpoint_pause : &SQL_endpoint_resume, args, err);
    return r < 0 ? r : resource_sweep(call, paused ? "endpoint_paused" : "endpoint_resumed", err);
}

static int write_pause(struct api_call *call, json_object **ret, struct err *err)
{
    (void)ret;
    return set_paused(call, true, err);
}

static int write_resume(struct api_call *call, json_object **ret, struct err *err)
{
    (void)ret;
    return set_paused(call, false, err);
}

/* The endpoint as it is then: asked for after the change, so that nobody waits for Redis with the catalog locked. */
static int change(struct api_call *call, resource_write *write, struct err *err)
{
    json_object *none = NULL;
    int r = resource_change(call, write, &none, err);

    return r < 0 ? r : answer_endpoint(call, call->params[0], err);
}

static int endpoint_patch(struct api_call *call, struct err *err)
{
    return change(call, write_change, err);
}

static int endpoint_pause(struct api_call *call, struct err *err)
{
    return change(call, write_pause, err);
}

static int endpoint_resume(struct api_call *call, struct err *err)
{
    return change(call, write_resume, err);
}

/* --- the signing secret -------------------------------------------------------------------------------- */

/* Shown this once. The former one signs beside it for DOCKET_SIGNING_OVERLAP. */
static int write_signing_secret(struct api_call *call, json_object **ret, struct err *err)
{
    const char *key, *secret;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = connection_rotate_secret(call, key, &secret, err);
    if (r < 0)
        return r;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "signing_secret", api_json_text(secret));
    return 0;
}

static int drop_signing_secret(struct api_call *call, json_object **ret, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    (void)ret;
    return r < 0 ? r : connection_drop_secret(call, key, err);
}

static int signing_secret_post(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, write_signing_secret, err);
}

static int signing_secret_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, drop_signing_secret, err);
}

/* --- redelivering -------------------------------------------------------------------------------------- */

static const char *const redelivered_states[] = { "given_up", "skipped", "delivered", NULL };
static const struct schema redelivered_state = { .type = SCHEMA_STRING, .words = redelivered_states };
static const struct schema_field redeliver_fields[] = {
    { "since", .required = true, .schema = { .type = SCHEMA_DATETIME } },
    { "states", .nullable = true,
      .schema = { .type = SCHEMA_LIST, .item = &redelivered_state, .min = 1, .max = COUNT_OF(redelivered_states) } },
    { "cursor", .nullable = true, .schema = { .type = SCHEMA_STRING } },
    { 0 },
};
static const struct schema redeliver_schema = {
    .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = redeliver_fields,
};

/* A call of it under way. */
struct sweep {
    struct api_call *call;
    const char *connection_id;
    usec_t since;
    struct delivery_place at; /* created_at USEC_NONE: from the beginning */
    bool is_over;
    int64_t redelivered, refused;
};

static void states_args(struct db_args *args, json_object *states)
{
    struct db_column *column = db_array(args, DB_TEXT);

    if (!states)
        db_add_text(column, redelivered_states[0]);
    for (size_t i = 0; states && i < json_object_array_length(states); i++)
        db_add_text(column, json_object_get_string(json_object_array_get_idx(states, i)));
}

static struct db_args *sweep_args(const struct sweep *sweep)
{
    struct db_args *args = db_args_new(sweep->call->arena);
    int64_t left = REDELIVERED_MAX - sweep->redelivered;

    db_text(args, sweep->connection_id);
    db_time(args, sweep->since);
    db_time(args, sweep->call->now);
    db_time(args, sweep->at.created_at);
    db_text(args, sweep->at.request_id);
    db_text(args, sweep->at.id);
    states_args(args, schema_get(sweep->call->body, "states"));
    db_int(args, LOOK_DELIVERIES);
    db_int(args, left < REDELIVERY_MAX ? left : REDELIVERY_MAX);
    return args;
}

/* Columns of SQL_endpoint_redeliver_page; the places are three columns each. */
enum { LOOKED, LAST, FOUND = LAST + 3 };

static struct delivery_place place_of(const struct sweep *sweep, const PGresult *rows, int row, int column)
{
    return (struct delivery_place){
        .created_at = db_get_time(rows, row, column),
        .request_id = db_dup_text(rows, row, column + 1, sweep->call->arena),
        .id = db_dup_text(rows, row, column + 2, sweep->call->arena),
    };
}

/* Goes on behind what was found where that was all that a page takes, else behind what was looked at. */
static void sweep_advance(struct sweep *sweep, const PGresult *rows, int found)
{
    int64_t left = REDELIVERED_MAX - sweep->redelivered;

    if (found == REDELIVERY_MAX || (found && found == left))
        sweep->at = place_of(sweep, rows, found - 1, FOUND);
    else if (PQntuples(rows))
        sweep->at = place_of(sweep, rows, 0, LAST);
    sweep->is_over = !PQntuples(rows) || (db_get_int(rows, 0, LOOKED) < LOOK_DELIVERIES && found < REDELIVERY_MAX &&
                                          found < left);
}

static int sweep_redeliver(struct sweep *sweep, const PGresult *rows, int found, struct err *err)
{
    struct redelivery *each = arena_array(sweep->call->arena, struct redelivery, (size_t)found + 1);
    int r;

    for (int row = 0; row < found; row++) {
        each[row].request_id = db_dup_text(rows, row, FOUND + 1, sweep->call->arena);
        each[row].id = db_dup_text(rows, row, FOUND + 2, sweep->call->arena);
    }
    r = redelivery_run(sweep->call, each, found, err);
    for (int i = 0; r == 0 && i < found; i++) {
        sweep->redelivered += each[i].found && !each[i].refused;
        sweep->refused += each[i].found && each[i].refused;
    }
    return r;
}

static int sweep_page(struct sweep *sweep, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int found, r = db_run_planned(sweep->call->db, &SQL_endpoint_redeliver_page, sweep_args(sweep), &rows, err);

    if (r < 0)
        return r;
    found = PQntuples(rows) && !db_is_null(rows, 0, FOUND) ? PQntuples(rows) : 0;
    sweep_advance(sweep, rows, found); /* by what was still to go when the page was asked for */
    return sweep_redeliver(sweep, rows, found, err);
}

static int sweep_begin(struct sweep *sweep, struct err *err)
{
    struct api_call *call = sweep->call;
    struct state state;
    int r = read_state(call, &state, err);

    if (r < 0)
        return r;
    if (state.disabled)
        return err_set(err, ERR_CONFLICT, "Connection '%s' is disabled.", state.key);
    if (state.paused)
        return err_set(err, ERR_CONFLICT, "Endpoint '%s' is paused.", state.key);
    sweep->connection_id = state.id;
    usec_parse(schema_text(call->body, "since"), &sweep->since);
    return delivery_cursor_param(call, "body", schema_text(call->body, "cursor"), &sweep->at, err);
}

/* What was redelivered stays so when a later page fails: who asks again finds it waiting. */
static int endpoint_redeliver(struct api_call *call, struct err *err)
{
    struct sweep sweep = { .call = call, .at = { .created_at = USEC_NONE } };
    json_object *body;
    int r = sweep_begin(&sweep, err);

    for (int look = 0; r == 0 && !sweep.is_over && look < LOOKS_MAX && sweep.redelivered < REDELIVERED_MAX; look++)
        r = sweep_page(&sweep, err);
    if (r < 0)
        return r;
    body = json_object_new_object();
    json_object_object_add(body, "redelivered", json_object_new_int64(sweep.redelivered));
    json_object_object_add(body, "refused", json_object_new_int64(sweep.refused));
    json_object_object_add(body, "more", json_object_new_boolean(!sweep.is_over));
    json_object_object_add(body, "next_cursor",
                           sweep.is_over ? NULL : api_json_text(delivery_cursor(call->arena, &sweep.at)));
    return api_answer(call, 200, body);
}

/* --- trials -------------------------------------------------------------------------------------------- */

static int check_trial(struct api_call *call, const struct state *state, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    if (state->disabled)
        return err_set(err, ERR_CONFLICT, "Connection '%s' is disabled.", state->key);
    if (!state->callable)
        return err_set(err, ERR_CONFLICT, "Connection '%s' has no secrets, so no URL to call.", state->key);
    db_text(args, state->id);
    r = db_run(call->db, &SQL_endpoint_trial_waiting, args, &rows, err);
    if (r == 0 && db_get_int(rows, 0, 0) >= TRIALS_WAITING_MAX)
        r = err_set(err, ERR_CONFLICT, "%d test calls to '%s' wait already.", TRIALS_WAITING_MAX, state->key);
    return r;
}

static int write_trial(struct api_call *call, json_object **ret, struct err *err)
{
    const char *id = event_row_id(call->arena, "trl");
    struct db_args *args = db_args_new(call->arena);
    struct state state;
    int r = read_state(call, &state, err);

    if (r == 0)
        r = check_trial(call, &state, err);
    if (r < 0)
        return r;
    db_text(args, id);
    db_text(args, state.id);
    r = db_do(call->db, &SQL_endpoint_trial_insert, args, err);
    if (r < 0)
        return r;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "id", api_json_text(id));
    return 0;
}

/* One at a time in the whole fleet, as a change is, so that the number that may wait is exact. */
static int trial_post(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 202, write_trial, err);
}

enum { T_ID, T_KEY, T_DUE_AT, T_CREATED_AT, T_STARTED_AT, T_DURATION, T_ADDRESS, T_STATUS, T_OUTCOME, T_ANSWER };

static const char *trial_state(const PGresult *rows)
{
    if (!db_is_null(rows, 0, T_DUE_AT))
        return "waiting";
    return !strcmp(db_get_text(rows, 0, T_OUTCOME), "succeeded") ? "succeeded" : "failed";
}

/* About no person, so that who sees the endpoint may see it. */
static json_object *trial_answer(struct api_call *call, const PGresult *rows)
{
    struct bytes sealed, plain;
    struct err err;

    sealed.data = db_get_bytes(rows, 0, T_ANSWER, &sealed.length);
    if (!sealed.data)
        return NULL;
    if (seal_ring_open(call->api->ring, "trial", db_get_text(rows, 0, T_ID), sealed, call->arena, &plain, &err) < 0) {
        log_err("endpoint.trial_unreadable", &err, log_id("trial", db_get_text(rows, 0, T_ID)));
        return NULL;
    }
    return delivery_answer_text(plain.data, plain.length);
}

static json_object *trial_object(struct api_call *call, const PGresult *rows)
{
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "id", api_json_text(db_get_text(rows, 0, T_ID)) },
        { "endpoint", api_json_text(db_get_text(rows, 0, T_KEY)) },
        { "state", api_json_text(trial_state(rows)) },
        { "created_at", api_json_time(db_get_time(rows, 0, T_CREATED_AT)) },
        { "started_at", api_json_time(db_get_time(rows, 0, T_STARTED_AT)) },
        { "duration_ms", delivery_duration(rows, 0, T_DURATION) },
        { "address", api_json_text(db_get_text(rows, 0, T_ADDRESS)) },
        { "status_code", number(rows, 0, T_STATUS) },
        { "outcome", api_json_text(db_get_text(rows, 0, T_OUTCOME)) },
        { "answer", trial_answer(call, rows) },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

static int trial_get(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct state state;
    int r = read_state(call, &state, err);

    if (r < 0)
        return r;
    db_text(args, state.key);
    db_text(args, call->params[1]);
    r = db_run(call->db, &SQL_endpoint_trial_row, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return err_set(err, ERR_NOT_FOUND, "No test with id '%s' found of endpoint '%s'.", call->params[1],
                       state.key);
    return api_answer(call, 200, trial_object(call, rows));
}

#define READ "webhook:read"
#define WRITE "webhook:create_or_update"

const struct api_route endpoint_routes[] = {
    { "GET", "/docket/endpoint", READ, .handler = endpoint_list },
    { "GET", "/docket/endpoint/{key}", READ, .handler = endpoint_get },
    { "PATCH", "/docket/endpoint/{key}", WRITE, &change_schema, .handler = endpoint_patch },
    { "POST", "/docket/endpoint/{key}/pause", WRITE, .handler = endpoint_pause },
    { "POST", "/docket/endpoint/{key}/resume", WRITE, .handler = endpoint_resume },
    { "POST", "/docket/endpoint/{key}/signing-secret", WRITE, .handler = signing_secret_post },
    { "DELETE", "/docket/endpoint/{key}/signing-secret", WRITE, .handler = signing_secret_delete },
    { "POST", "/docket/endpoint/{key}/redeliver", "privacy-request:resume", &redeliver_schema,
      .handler = endpoint_redeliver },
    { "POST", "/docket/endpoint/{key}/test", WRITE, .handler = trial_post },
    { "GET", "/docket/endpoint/{key}/test/{id}", READ, .handler = trial_get },
    { 0 },
};
