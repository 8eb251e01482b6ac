/*
 * dataset_link - which connection a dataset's collections are read through (rest.md 16). A dataset has one connection
 * at the most; under which key it is linked there is the link's own, by default the dataset's.
 */
#include <string.h>

#include "api/dataset.h"
#include "api/dataset_link.sql.h"
#include "api/resource.h"
#include "api/yaml.h"

enum { PAGE_SIZE = 50, PROPERTIES_MAX = 100 };

/* --- the connection ------------------------------------------------------------------------------------ */

int dataset_connection(struct api_call *call, struct dataset_connection *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r = api_key_param(call, 0, &ret->key, err);

    if (r < 0)
        return r;
    db_text(args, ret->key);
    r = db_run(call->db, &SQL_dataset_link_connection, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return err_set(err, ERR_NOT_FOUND, "No connection config with key '%s'", ret->key);
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->type = db_dup_text(rows, 0, 1, call->arena);
    return 0;
}

/* Only a database has collections. */
static int connection_of_path(struct api_call *call, struct dataset_connection *ret, struct err *err)
{
    int r = dataset_connection(call, ret, err);

    if (r < 0 || !strcmp(ret->type, "postgres"))
        return r;
    return err_set(err, ERR_BAD_REQUEST, "Datasets need a connection of type 'postgres': '%s' is of type '%s'.",
                   ret->key, ret->type);
}

/* --- writing ------------------------------------------------------------------------------------------- */

static int run_rename(struct api_call *call, const struct dataset_connection *connection, const char *dataset_id,
                      const char *key, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, connection->id);
    db_text(args, dataset_id);
    db_text(args, key);
    return db_do(call->db, &SQL_dataset_link_rename, args, err);
}

/* `properties` NULL: as they are. */
static int link_write(struct api_call *call, const struct dataset_connection *connection, const char *dataset_id,
                      const char *key, json_object *properties, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *column;
    int r = run_rename(call, connection, dataset_id, key, err);

    if (r < 0)
        return r;
    db_text(args, connection->id);
    db_text(args, dataset_id);
    db_text(args, key);
    if (!properties) {
        db_null(args);
        return db_do(call->db, &SQL_dataset_link_write, args, err);
    }
    column = db_array(args, DB_TEXT);
    for (size_t i = 0; i < json_object_array_length(properties); i++)
        db_add_text(column, json_object_get_string(json_object_array_get_idx(properties, i)));
    return db_do(call->db, &SQL_dataset_link_write, args, err);
}

/* A dataset's collections are read through one connection: two would tell of each person twice. */
static int check_free(const struct dataset_connection *connection, const char *key, const struct dataset_row *row,
                      struct err *err)
{
    if (!row->connection_key || !strcmp(row->connection_key, connection->key))
        return 0;
    return err_set(err, ERR_BAD_REQUEST,
                   "Dataset create/update failed. Dataset '%s' belongs to the connection '%s' already.", key,
                   row->connection_key);
}

/* --- datasets of a connection -------------------------------------------------------------------------- */

static int save_document(struct api_call *call, void *context, json_object *document, json_object **ret,
                         struct err *err)
{
    const struct dataset_connection *connection = context;
    const char *key = schema_text(document, "fides_key"), *id;
    struct dataset_row row;
    int r = dataset_check_element(call, document, err);

    if (r == 0)
        r = dataset_find(call, key, &row, err);
    if (r == 0)
        r = check_free(connection, key, &row, err);
    if (r == 0)
        r = dataset_write(call, document, &id, err);
    if (r == 0)
        r = link_write(call, connection, id, key, NULL, err);
    if (r == 0)
        *ret = dataset_normal(document);
    return r;
}

static int save_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct dataset_connection connection;
    int r = connection_of_path(call, &connection, err);

    if (r == 0)
        r = resource_bulk(call, &dataset_list_schema, "collections", save_document, &connection, ret, err);
    if (r == 0)
        json_object_object_add(*ret, "warnings", json_object_new_array());
    return r;
}

static int documents_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, save_all, err);
}

/* --- the same as YAML ---------------------------------------------------------------------------------- */

static const struct schema_field yaml_fields[] = {
    { "dataset", .required = true, .schema = { SCHEMA_LIST, .item = &dataset_document_schema, .max = DATASETS_MAX } },
    { 0 },
};
static const struct schema yaml_schema = { SCHEMA_OBJECT, .fields = yaml_fields };

/* Errors of a whole YAML body are told in one line, as the contract has it. */
static int check_yaml(json_object *body, struct err *err)
{
    struct schema_errors errors = { 0 };
    struct err first;

    if (schema_check(&yaml_schema, body, NULL, &errors))
        return 0;
    (void)resource_refuse_first(&errors, "Dataset validation failed: ", &first);
    schema_errors_free(&errors);
    return err_set(err, ERR_INVALID, "%s", first.text);
}

static int read_yaml(struct api_call *call, struct err *err)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    int r = yaml_read(call->http->body, call->http->body_length, &body, err);

    if (r == 0)
        r = check_yaml(body, err);
    if (r == 0)
        call->body = json_object_get(schema_get(body, "dataset")); /* goes with the call */
    return r;
}

static int answer_unsupported(struct api_call *call)
{
    json_object *body = json_object_new_object();

    json_object_object_add(body, "detail",
                           api_json_text("Unsupported media type: the Content-Type must be application/x-yaml."));
    return api_answer(call, 415, body);
}

static int yaml_patch(struct api_call *call, struct err *err)
{
    const char *type = http_header(call->http, "Content-Type");
    int r;

    if (!type || strcmp(type, "application/x-yaml") != 0)
        return answer_unsupported(call);
    r = read_yaml(call, err);
    return r < 0 ? r : documents_patch(call, err);
}

/* --- links --------------------------------------------------------------------------------------------- */

static const struct schema property_schema = { SCHEMA_STRING, .min = 1, .max = 255 };
static const struct schema_field link_fields[] = {
    { "fides_key", .required = true, .schema = { SCHEMA_KEY } },
    { "ctl_dataset_fides_key", .required = true, .schema = { SCHEMA_KEY } },
    { "property_ids", .nullable = true,
      .schema = { SCHEMA_LIST, .item = &property_schema, .max = PROPERTIES_MAX } },
    { 0 },
};
static const struct schema link_schema = { SCHEMA_OBJECT, .fields = link_fields };
static const struct schema links_schema = { SCHEMA_LIST, .item = &link_schema, .max = DATASETS_MAX };

static json_object *document_of(const PGresult *rows, int row, int column)
{
    _cleanup_(json_object_putp) json_object *document = api_json_parse(db_get_text(rows, row, column));

    return dataset_normal(document);
}

static int read_link(struct api_call *call, const struct dataset_connection *connection, const char *key,
                     PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, connection->id);
    db_text(args, key);
    return db_run(call->db, &SQL_dataset_link_row, args, ret, err);
}

static int save_link(struct api_call *call, void *context, json_object *element, json_object **ret, struct err *err)
{
    const char *key = schema_text(element, "fides_key"), *dataset = schema_text(element, "ctl_dataset_fides_key");
    const struct dataset_connection *connection = context;
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct dataset_row row;
    int r = dataset_find(call, dataset, &row, err);

    if (r < 0)
        return r;
    if (!row.id)
        return err_set(err, ERR_NOT_FOUND, "No ctl dataset with key '%s'", dataset);
    r = check_free(connection, dataset, &row, err);
    if (r == 0)
        r = link_write(call, connection, row.id, key, schema_get(element, "property_ids"), err);
    if (r == 0)
        r = read_link(call, connection, key, &rows, err);
    if (r == 0)
        *ret = document_of(rows, 0, 1);
    return r;
}

static int prune(struct api_call *call, const struct dataset_connection *connection, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *keys;

    db_text(args, connection->id);
    keys = db_array(args, DB_TEXT);
    for (size_t i = 0; i < json_object_array_length(call->body); i++)
        db_add_text(keys, schema_text(json_object_array_get_idx(call->body, i), "fides_key"));
    return db_do(call->db, &SQL_dataset_link_prune, args, err);
}

static int write_links(struct api_call *call, bool all, json_object **ret, struct err *err)
{
    struct dataset_connection connection;
    int r = connection_of_path(call, &connection, err);

    if (r == 0 && all)
        r = prune(call, &connection, err);
    if (r == 0)
        r = resource_bulk(call, &links_schema, NULL, save_link, &connection, ret, err);
    if (r == 0)
        json_object_object_add(*ret, "warnings", json_object_new_array());
    return r;
}

static int replace_links(struct api_call *call, json_object **ret, struct err *err)
{
    return write_links(call, true, ret, err);
}

static int merge_links(struct api_call *call, json_object **ret, struct err *err)
{
    return write_links(call, false, ret, err);
}

static int links_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_links, err);
}

static int links_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, merge_links, err);
}

/* --- reading, as datasets and as links ----------------------------------------------------------------- */

typedef json_object *link_shown(const PGresult *rows, int row, int column);

static json_object *link_of(const PGresult *rows, int row, int column)
{
    json_object *link = json_object_new_object();

    json_object_object_add(link, "fides_key", api_json_text(db_get_text(rows, row, column)));
    json_object_object_add(link, "ctl_dataset", document_of(rows, row, column + 1));
    return link;
}

static json_object *dataset_of(const PGresult *rows, int row, int column)
{
    return document_of(rows, row, column + 1);
}

static int answer_list(struct api_call *call, int size_max, link_shown *shown, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct dataset_connection connection;
    json_object *items;
    struct api_page page;
    long long total;
    int count, r = api_page_of(call, PAGE_SIZE, size_max, &page, err);

    if (r == 0)
        r = dataset_connection(call, &connection, err);
    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    db_text(args, connection.id);
    r = db_run(call->db, &SQL_dataset_link_page, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    items = json_object_new_array();
    for (int row = 0; row < count; row++)
        json_object_array_add(items, shown(rows, row, 1));
    return api_answer_page(call, &page, items, total);
}

static int documents_list(struct api_call *call, struct err *err)
{
    return answer_list(call, 100, dataset_of, err);
}

static int links_list(struct api_call *call, struct err *err)
{
    return answer_list(call, DATASETS_MAX, link_of, err);
}

/* The contract's words, its quotes included. */
static int unknown(const struct dataset_connection *connection, const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No dataset with fides_key '%s' and connection key %s'", key, connection->key);
}

/* The link of the path. */
static int link_of_path(struct api_call *call, struct dataset_connection *connection, const char **key,
                        PGresult **ret, struct err *err)
{
    int r = dataset_connection(call, connection, err);

    if (r == 0)
        r = api_key_param(call, 1, key, err);
    if (r == 0)
        r = read_link(call, connection, *key, ret, err);
    if (r < 0)
        return r;
    return PQntuples(*ret) ? 0 : unknown(connection, *key, err);
}

static int answer_one(struct api_call *call, link_shown *shown, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct dataset_connection connection;
    const char *key;
    int r = link_of_path(call, &connection, &key, &rows, err);

    return r < 0 ? r : api_answer(call, 200, shown(rows, 0, 0));
}

static int document_get(struct api_call *call, struct err *err)
{
    return answer_one(call, dataset_of, err);
}

static int link_get(struct api_call *call, struct err *err)
{
    return answer_one(call, link_of, err);
}

/* --- deleting ------------------------------------------------------------------------------------------ */

/* The dataset stays, under /dataset. */
static int delete_link(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct dataset_connection connection;
    const char *key;
    int r = link_of_path(call, &connection, &key, &rows, err);

    (void)ret;
    if (r < 0)
        return r;
    db_text(args, connection.id);
    db_text(args, key);
    return db_do(call->db, &SQL_dataset_link_delete, args, err);
}

static int document_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_link, err);
}

#define READ "dataset:read"
#define WRITE "dataset:create_or_update"

const struct api_route dataset_link_routes[] = {
    { "GET", "/connection/{key}/dataset", READ, .handler = documents_list },
    { "PATCH", "/connection/{key}/dataset", WRITE, &dataset_list_schema, .handler = documents_patch },
    { "PATCH", "/yml/connection/{key}/dataset", WRITE, .handler = yaml_patch },
    { "GET", "/connection/{key}/dataset/{dataset}", READ, .handler = document_get },
    { "DELETE", "/connection/{key}/dataset/{dataset}", "dataset:delete", .handler = document_delete },
    { "GET", "/connection/{key}/datasetconfig", READ, .handler = links_list },
    { "PUT", "/connection/{key}/datasetconfig", WRITE, &links_schema, .handler = links_put },
    { "PATCH", "/connection/{key}/datasetconfig", WRITE, &links_schema, .handler = links_patch },
    { "GET", "/connection/{key}/datasetconfig/{dataset}", READ, .handler = link_get },
    { 0 },
};
