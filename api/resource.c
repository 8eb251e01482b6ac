#include "api/resource.h"

#include <string.h>

#include "api/resource.sql.h"
#include "common/actor.h"

/* --- writes ----------------------------------------------------------------------------------- */

/* Every change of the configuration begins here, so that each is told with who made it. */
static int write_begin(struct api_call *call, struct err *err)
{
    const struct actor actor = { .by = call->user_id ? "user" : "client",
                                 .client_id = call->client_id,
                                 .user_id = call->user_id,
                                 .source = publisher_source(call->api->publisher) };
    int r = db_begin(call->db, err);

    return r < 0 ? r : actor_set(call->db, &actor, call->arena, err);
}

static int write_end(struct api_call *call, int r, struct err *err)
{
    if (r == 0)
        return db_commit(call->db, err);
    db_rollback(call->db);
    return r;
}

int resource_change(struct api_call *call, resource_write *write, json_object **ret, struct err *err)
{
    int r = write_begin(call, err);

    if (r == 0)
        r = write(call, ret, err);
    return write_end(call, r, err);
}

int resource_run(struct api_call *call, const struct sql *sql, struct db_args *args, PGresult **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = write_begin(call, err);

    if (r == 0)
        r = db_run(call->db, sql, args, &rows, err);
    r = write_end(call, r, err);
    if (r == 0)
        *ret = TAKE(rows);
    return r;
}

int resource_answer_write(struct api_call *call, int status, resource_write *write, struct err *err)
{
    _cleanup_(json_object_putp) json_object *answer = NULL;
    int r = resource_change(call, write, &answer, err);

    if (r < 0)
        return r;
    return answer ? api_answer(call, status, TAKE(answer)) : api_answer_null(call, status);
}

int resource_sweep(struct api_call *call, const char *reason, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, reason);
    return db_do(call->db, &SQL_resource_sweep, args, err);
}

/* --- bulk bodies ------------------------------------------------------------------------------ */

/* The element's members that the schema knows, but for `hidden`; absent ones as null. */
static json_object *echo(const struct schema *schema, const char *hidden, json_object *element)
{
    json_object *data = json_object_new_object();

    for (const struct schema_field *field = schema->item->fields; field->name; field++)
        if (!hidden || strcmp(field->name, hidden) != 0)
            json_object_object_add(data, field->name,
                                   json_object_get(schema_get(element, field->name)));
    return data;
}

/* One element between two savepoints. Returns 1 when it failed for itself. */
static int save_element(struct api_call *call, resource_save *save, void *context,
                        json_object *element, json_object **ret, struct err *err)
{
    struct err undoing;
    int r = db_script(call->db, "savepoint element", err);

    if (r < 0)
        return r;
    r = save(call, context, element, ret, err);
    if (r == 0)
        return db_script(call->db, "release savepoint element", err);
    if (r != -ERR_BAD_REQUEST)
        return r;
    r = db_script(call->db, "rollback to savepoint element", &undoing);
    if (r < 0)
        *err = undoing;
    return r < 0 ? r : 1;
}

int resource_bulk(struct api_call *call, const struct schema *schema, const char *hidden,
                  resource_save *save, void *context, json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *bulk = api_bulk();
    size_t count = json_object_array_length(call->body);

    for (size_t i = 0; i < count; i++) {
        json_object *element = json_object_array_get_idx(call->body, i), *item = NULL;
        int r = save_element(call, save, context, element, &item, err);

        if (r < 0) {
            json_object_put(item);
            return r;
        }
        if (r == 0)
            api_bulk_succeeded(bulk, item);
        else
            api_bulk_failed(bulk, err->text, echo(schema, hidden, element));
    }
    *ret = TAKE(bulk);
    return 0;
}

int resource_refuse_first(const struct schema_errors *errors, const char *lead, struct err *err)
{
    json_object *first = json_object_array_get_idx(errors->list, 0), *loc = schema_get(first, "loc");
    _cleanup_(buf_free) struct buf place = BUF_INIT(1024);

    buf_adds(&place, "");
    for (size_t i = 0; i < json_object_array_length(loc); i++)
        buf_printf(&place, "%s%s", i ? "." : "", json_object_get_string(json_object_array_get_idx(loc, i)));
    return err_set(err, ERR_BAD_REQUEST, "%s%s%s%s", lead, place.data, *place.data ? ": " : "",
                   schema_text(first, "msg"));
}

/* --- keys and names --------------------------------------------------------------------------- */

struct resource_key resource_key(struct api_call *call, json_object *element)
{
    const char *key = schema_text(element, "key"), *name = schema_text(element, "name");

    if (key)
        return (struct resource_key){ key, true };
    key = name ? schema_derive_key(call->arena, name) : "";
    return (struct resource_key){ *key ? key : NULL, false };
}

int resource_no_key(const char *model, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "%s requires a key: none can be made of its name.", model);
}

int resource_key_taken(const char *key, const char *model, struct err *err)
{
    return err_set(
        err, ERR_BAD_REQUEST,
        "Key %s already exists in %s. Keys will be snake-cased names if not provided. If you are seeing "
        "this error without providing a key, please provide a key or a different name.",
        key, model);
}

int resource_name_taken(const char *name, const char *model, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "Name %s already exists in %s.", name, model);
}

/* --- queries ---------------------------------------------------------------------------------- */

const char *const resource_system_types[] = {
    "data_catalog", "database", "email", "manual", "saas", "service", "system", "website", NULL,
};

int resource_query_word(struct api_call *call, const char *name, const char *const *words, const char **ret,
                        struct err *err)
{
    _cleanup_(buf_free) struct buf list = BUF_INIT(4096);
    const char *text = http_query(call->http, name);
    int i = 0;

    for (; text && words[i] && strcmp(words[i], text) != 0; i++)
        buf_printf(&list, "%s'%s'", !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
    if (text && !words[i])
        return api_invalid(call, err, "query", name, "enum", "Input should be %s", list.data);
    *ret = text;
    return 0;
}

/* --- pages ------------------------------------------------------------------------------------ */

int resource_page_rows(const PGresult *rows, long long *total)
{
    *total = db_get_int(rows, 0, 0);
    return db_is_null(rows, 0, 1) ? 0 : PQntuples(rows);
}

int resource_answer_page(struct api_call *call, const struct sql *sql, const char *owner,
                         struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    json_object *items;
    struct api_page page;
    long long total;
    int count, r = api_page(call, &page, err);

    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    if (owner)
        db_text(args, owner);
    r = db_run(call->db, sql, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    items = json_object_new_array();
    for (int row = 0; row < count; row++)
        json_object_array_add(items, api_json_parse(db_get_text(rows, row, 1)));
    return api_answer_page(call, &page, items, total);
}
