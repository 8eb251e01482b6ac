/*
 * change - who changed which part of the configuration, when: its events, newest first, as they stand on the topic.
 * docket's own, beside the contract's paths.
 */
#include <inttypes.h>

#include "api/api.h"
#include "api/change.sql.h"

enum { PAGE_SIZE = 50, PAGE_SIZE_MAX = 100 };

/* --- what the list may be asked for -------------------------------------------------------------------- */

static const char *const resources[] = {
    "connection",     "dataset",        "dataset_link", "manual_webhook", "oauth_client", "policy", "policy_webhook",
    "pre_approval_webhook", "rule",     "rule_target",  "setting",        "storage",      NULL,
};

static const struct schema_field query_fields[] = {
    { "resource", .schema = { .type = SCHEMA_STRING, .words = resources } },
    { "key", .schema = { .type = SCHEMA_KEY } },
    { "since", .schema = { .type = SCHEMA_DATETIME } },
    { "cursor", .schema = { .type = SCHEMA_INT, .min = 1, .max = INT64_MAX } },
    { "size", .schema = { .type = SCHEMA_INT, .min = 1, .max = PAGE_SIZE_MAX } },
    { 0 },
};
static const struct schema query_schema = { .type = SCHEMA_OBJECT, .fields = query_fields };

/* The query as if it were a body, so that one schema tells all that is wrong with it. */
static json_object *query_object(struct api_call *call)
{
    json_object *object = json_object_new_object();

    for (const struct schema_field *field = query_fields; field->name; field++) {
        const char *value = http_query(call->http, field->name);

        if (value)
            json_object_object_add(object, field->name, api_json_text(value));
    }
    return object;
}

static struct db_args *args_of(struct api_call *call, json_object *query, long long size)
{
    struct db_args *args = db_args_new(call->arena);
    const char *since = schema_text(query, "since");
    usec_t time = USEC_NONE;

    if (since)
        usec_parse(since, &time);
    if (schema_has(query, "cursor"))
        db_int(args, schema_int(query, "cursor", 0));
    else
        db_null(args);
    db_time(args, time);
    db_text(args, schema_text(query, "resource"));
    db_text(args, schema_text(query, "key"));
    db_int(args, size + 1); /* one more, so that the last page is known for one */
    return args;
}

/* --- the list ------------------------------------------------------------------------------------------ */

/* What the event says, after what its envelope does. */
static json_object *change_object(const PGresult *rows, int row)
{
    json_object *object = json_object_new_object(), *data = api_json_parse(db_get_text(rows, row, 3));

    json_object_object_add(object, "seq", json_object_new_int64(db_get_int(rows, row, 0)));
    json_object_object_add(object, "time", api_json_time(db_get_time(rows, row, 1)));
    json_object_object_add(object, "source", api_json_text(db_get_text(rows, row, 2)));
    json_object_object_foreach(data, name, value)
        json_object_object_add(object, name, json_object_get(value));
    json_object_put(data);
    return object;
}

static int answer_page(struct api_call *call, const PGresult *rows, long long size)
{
    json_object *body = json_object_new_object(), *items = json_object_new_array();
    int count = PQntuples(rows) > size ? (int)size : PQntuples(rows);
    json_object *next = NULL;

    for (int row = 0; row < count; row++)
        json_object_array_add(items, change_object(rows, row));
    if (count < PQntuples(rows))
        next = api_json_text(arena_printf(call->arena, "%" PRId64, db_get_int(rows, count - 1, 0)));
    json_object_object_add(body, "items", items);
    json_object_object_add(body, "next_cursor", next);
    return api_answer(call, 200, body);
}

static int change_list(struct api_call *call, struct err *err)
{
    static const struct schema_loc loc = { .name = "query" };
    _cleanup_(json_object_putp) json_object *query = query_object(call);
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    long long size;
    int r;

    if (!schema_check(&query_schema, query, &loc, &call->errors))
        return err_set(err, ERR_INVALID, "The query does not fit.");
    size = schema_int(query, "size", PAGE_SIZE);
    r = db_run_planned(call->db, &SQL_change_list, args_of(call, query, size), &rows, err);
    return r < 0 ? r : answer_page(call, rows, size);
}

const struct api_route change_routes[] = {
    { "GET", "/docket/configuration-changes", "config:read", .handler = change_list },
    { 0 },
};
