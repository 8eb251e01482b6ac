#include "api/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "api/category.h"
#include "api/dataset.sql.h"
#include "api/resource.h"

static const struct schema_field document_fields[] = {
    { "fides_key", .required = true, .schema = { SCHEMA_KEY } },
    { "name", .nullable = true, .schema = { .type = SCHEMA_ANY } },
    { "description", .nullable = true, .schema = { .type = SCHEMA_ANY } },
    { "collections", .required = true, .schema = { .type = SCHEMA_LIST } },
    { 0 },
};
const struct schema dataset_document_schema = { SCHEMA_OBJECT, .fields = document_fields };
const struct schema dataset_list_schema = { SCHEMA_LIST, .item = &dataset_document_schema, .max = DATASETS_MAX };

/* --- documents ----------------------------------------------------------------------------------------- */

int dataset_check(struct api_call *call, json_object *document, const struct schema_loc *loc,
                  const struct dataset **ret, struct err *err)
{
    static const struct schema_loc body = { .name = "body" };
    struct err reason;
    int r = dataset_read(document, loc ? loc : &body, category_exists, call->arena, ret, &call->errors, &reason);

    return r < 0 ? err_set(err, ERR_INVALID, "%s", reason.text) : 0;
}

int dataset_check_element(struct api_call *call, json_object *document, struct err *err)
{
    const struct dataset *dataset;
    struct err reason;
    int r = dataset_read(document, NULL, category_exists, call->arena, &dataset, NULL, &reason);

    return r < 0 ? err_set(err, ERR_BAD_REQUEST, "Dataset create/update failed. %s", reason.text) : 0;
}

/* What is known of a level, in the order in which it is shown. */
struct level {
    const char *const *members; /* ends with NULL */
    const char *list;           /* the one of them that has the level below */
    const struct level *below;
};

#define DESCRIBED "name", "description", "data_categories", "data_uses", "data_subjects", "fides_meta"

static const char *const dataset_members[] = { "fides_key", "organization_fides_key", "tags", "meta", DESCRIBED,
                                               "collections", NULL };
static const char *const collection_members[] = { DESCRIBED, "fields", NULL };

static const struct level field_level = { collection_members, "fields", &field_level };
static const struct level collection_level = { collection_members, "fields", &field_level };
static const struct level dataset_level = { dataset_members, "collections", &collection_level };

static int by_name(const void *a, const void *b)
{
    return strcmp(schema_text(*(json_object *const *)a, "name"), schema_text(*(json_object *const *)b, "name"));
}

static json_object *normal(const struct level *level, json_object *object);

static json_object *normal_list(const struct level *level, json_object *list)
{
    json_object *sorted = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(list); i++)
        json_object_array_add(sorted, normal(level, json_object_array_get_idx(list, i)));
    json_object_array_sort(sorted, by_name);
    return sorted;
}

/* New, or NULL. fidesops_meta is what fides_meta was called before. */
static json_object *member_of(json_object *object, const char *name)
{
    json_object *value = schema_get(object, name);

    if (!value && !strcmp(name, "fides_meta"))
        value = schema_get(object, "fidesops_meta");
    if (!value && !strcmp(name, "organization_fides_key"))
        return json_object_new_string("default_organization");
    return json_object_get(value);
}

static json_object *normal(const struct level *level, json_object *object)
{
    json_object *known = json_object_new_object();

    for (const char *const *name = level->members; *name; name++) {
        json_object *value = strcmp(*name, level->list)      ? member_of(object, *name)
                             : schema_get(object, *name) ? normal_list(level->below, schema_get(object, *name))
                                                         : NULL;

        if (value)
            json_object_object_add(known, *name, value);
    }
    return known;
}

json_object *dataset_normal(json_object *document)
{
    return normal(&dataset_level, document);
}

/* --- rows ---------------------------------------------------------------------------------------------- */

static int run_by(struct api_call *call, const struct sql *sql, const char *value, PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, value);
    return db_run(call->db, sql, args, ret, err);
}

int dataset_find(struct api_call *call, const char *key, struct dataset_row *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = run_by(call, &SQL_dataset_row, key, &rows, err);

    if (r < 0)
        return r;
    *ret = (struct dataset_row){ 0 };
    if (!PQntuples(rows))
        return 0;
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->connection_key = db_dup_text(rows, 0, 1, call->arena);
    return 0;
}

int dataset_write(struct api_call *call, json_object *document, const char **ret_id, struct err *err)
{
    _cleanup_(json_object_putp) json_object *known = dataset_normal(document);
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, schema_text(known, "fides_key"));
    db_json(args, json_object_to_json_string_ext(known, JSON_C_TO_STRING_PLAIN));
    r = db_run(call->db, &SQL_dataset_write, args, &rows, err);
    if (r < 0)
        return r;
    *ret_id = db_dup_text(rows, 0, 0, call->arena);
    return 0;
}

static int unknown(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No dataset with fides_key '%s' found.", key);
}

/* A document as the database gives it, whose members have no order there. */
static json_object *shown(const PGresult *rows, int row, int column)
{
    _cleanup_(json_object_putp) json_object *document = api_json_parse(db_get_text(rows, row, column));

    return dataset_normal(document);
}

/* --- reading ------------------------------------------------------------------------------------------- */

static json_object *shown_rows(const PGresult *rows, int count)
{
    json_object *items = json_object_new_array();

    for (int row = 0; row < count; row++)
        json_object_array_add(items, shown(rows, row, 1));
    return items;
}

static int read_page(struct api_call *call, const struct api_page *page, PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    bool unlinked = false;
    int r = api_query_bool(call, "only_unlinked_datasets", false, &unlinked, err);

    if (r < 0)
        return r;
    db_int(args, page->size);
    db_int(args, api_page_offset(page));
    db_text(args, http_query(call->http, "search"));
    db_bool(args, unlinked);
    return db_run(call->db, &SQL_dataset_page, args, ret, err);
}

/* Without `page` and `size` all of them, as the contract has it; so many that they need pages are refused. */
static int dataset_list(struct api_call *call, struct err *err)
{
    bool paged = http_query(call->http, "page") || http_query(call->http, "size");
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct api_page page;
    long long total;
    int count, r = api_page_of(call, paged ? 50 : DATASETS_MAX, DATASETS_MAX, &page, err);

    if (r == 0)
        r = read_page(call, &page, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    if (!paged && total > count)
        return err_set(err, ERR_BAD_REQUEST, "There are %lld datasets: ask for pages of them, by page and size.",
                       total);
    return paged ? api_answer_page(call, &page, shown_rows(rows, count), total)
                 : api_answer(call, 200, shown_rows(rows, count));
}

static int read_document(struct api_call *call, const char *key, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = run_by(call, &SQL_dataset_document, key, &rows, err);

    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return unknown(key, err);
    *ret = shown(rows, 0, 0);
    return 0;
}

static int dataset_get(struct api_call *call, struct err *err)
{
    json_object *document;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = read_document(call, key, &document, err);
    return r < 0 ? r : api_answer(call, 200, document);
}

/* --- writing ------------------------------------------------------------------------------------------- */

static int write_one(struct api_call *call, bool exists, json_object **ret, struct err *err)
{
    const char *key = schema_text(call->body, "fides_key"), *id;
    const struct dataset *dataset;
    struct dataset_row row;
    int r = dataset_check(call, call->body, NULL, &dataset, err);

    if (r == 0)
        r = dataset_find(call, key, &row, err);
    if (r < 0)
        return r;
    if (exists && !row.id)
        return unknown(key, err);
    if (!exists && row.id)
        return err_set(err, ERR_CONFLICT, "Dataset '%s' exists already.", key);
    r = dataset_write(call, call->body, &id, err);
    if (r == 0)
        *ret = dataset_normal(call->body);
    return r;
}

static int create_one(struct api_call *call, json_object **ret, struct err *err)
{
    return write_one(call, false, ret, err);
}

static int replace_one(struct api_call *call, json_object **ret, struct err *err)
{
    return write_one(call, true, ret, err);
}

static int dataset_post(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 201, create_one, err);
}

static int dataset_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_one, err);
}

/* One of a body's list; `*added` counts those that are new. */
static int upsert_one(struct api_call *call, int index, int *added, struct err *err)
{
    const struct schema_loc body = { .name = "body" }, loc = { .parent = &body, .index = index };
    json_object *document = json_object_array_get_idx(call->body, (size_t)index);
    const struct dataset *dataset;
    struct dataset_row row;
    const char *id;
    int r = dataset_check(call, document, &loc, &dataset, err);

    if (r == 0)
        r = dataset_find(call, schema_text(document, "fides_key"), &row, err);
    if (r < 0)
        return r;
    *added += !row.id;
    return dataset_write(call, document, &id, err);
}

static bool may_update(const struct api_call *call)
{
    for (const char **scope = call->scopes; !call->is_root && *scope; scope++)
        if (!strcmp(*scope, "ctl_dataset:update"))
            return true;
    return call->is_root;
}

/* All or nothing. */
static int upsert_all(struct api_call *call, json_object **ret, struct err *err)
{
    int count = (int)json_object_array_length(call->body), added = 0, r = 0;

    for (int i = 0; r == 0 && i < count; i++)
        r = upsert_one(call, i, &added, err);
    if (r < 0)
        return r;
    if (added < count && !may_update(call))
        return err_set(err, ERR_FORBIDDEN,
                       "Not Authorized for this action. Required scope(s): [ctl_dataset:update]");
    *ret = json_object_new_object();
    json_object_object_add(*ret, "message", api_json_text(arena_printf(call->arena, "Upserted %d Dataset(s)!", count)));
    json_object_object_add(*ret, "inserted", json_object_new_int(added));
    json_object_object_add(*ret, "updated", json_object_new_int(count - added));
    return 0;
}

/* 201 when any is new, as the contract has it. */
static int dataset_upsert(struct api_call *call, struct err *err)
{
    json_object *answer = NULL;
    int r = resource_change(call, upsert_all, &answer, err);

    return r < 0 ? r : api_answer(call, schema_int(answer, "inserted", 0) ? 201 : 200, answer);
}

/* --- deleting ------------------------------------------------------------------------------------------ */

static int check_unlinked(const char *key, const struct dataset_row *row, struct err *err)
{
    if (!row->id)
        return unknown(key, err);
    if (!row->connection_key)
        return 0;
    return err_set(err, ERR_CONFLICT, "Cannot delete dataset '%s': connection '%s' uses it.", key, row->connection_key);
}

static int delete_one(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    json_object *document = NULL;
    struct dataset_row row;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = dataset_find(call, key, &row, err);
    if (r == 0)
        r = check_unlinked(key, &row, err);
    if (r == 0)
        r = read_document(call, key, &document, err);
    if (r < 0)
        return r;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "message", api_json_text("resource deleted"));
    json_object_object_add(*ret, "resource", document);
    db_text(args, row.id);
    return db_do(call->db, &SQL_dataset_delete, args, err);
}

static int dataset_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, delete_one, err);
}

const struct api_route dataset_routes[] = {
    { "GET", "/dataset", "ctl_dataset:read", .handler = dataset_list },
    { "POST", "/dataset", "ctl_dataset:create", &dataset_document_schema, .handler = dataset_post },
    { "PUT", "/dataset", "ctl_dataset:update", &dataset_document_schema, .handler = dataset_put },
    { "POST", "/dataset/upsert", "ctl_dataset:create", &dataset_list_schema, .handler = dataset_upsert },
    { "GET", "/dataset/{key}", "ctl_dataset:read", .handler = dataset_get },
    { "DELETE", "/dataset/{key}", "ctl_dataset:delete", .handler = dataset_delete },
    { 0 },
};
