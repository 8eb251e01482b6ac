#include <string.h>

#include "api/api.h"
#include "api/resource.h"
#include "api/storage.sql.h"

/* Where packages go. The contract has many kinds of destinations, this version the local one. */

enum { LIST_MAX = 50 };

#define MODEL "StorageConfig"
#define LOCAL "local"
#define DEFAULT_NAME "Default Storage Config [local]"
#define DEFAULT_KEY "default_storage_config_local"
#define DETAILS "{\"naming\": \"request_id\"}"

/* --- bodies ----------------------------------------------------------------------------------- */

static const char *const types[] = { "s3", "gcs", "transcend", "onetrust", "ethyca", LOCAL, NULL };
static const char *const formats[] = { "json", "csv", "html", NULL };
static const char *const namings[] = { "request_id", NULL };

static const struct schema_field local_fields[] = {
    { "naming", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = namings } },
    { 0 },
};
static const struct schema local_schema = { .type = SCHEMA_OBJECT,
                                            .forbid_extra = true,
                                            .fields = local_fields };

static bool is_local(json_object *element)
{
    return !strcmp(schema_text(element, "type"), LOCAL);
}

static void check_destination(json_object *element, const struct schema_loc *loc,
                              struct schema_errors *errors)
{
    const struct schema_loc details = { .parent = loc, .name = "details" };
    const char *format = schema_text(element, "format");

    if (!is_local(element))
        return;
    schema_check(&local_schema, schema_get(element, "details"), &details, errors);
    if (format && !strcmp(format, "csv"))
        schema_error(errors, loc, "value_error",
                     "Value error, Only JSON or HTML upload format are supported for local "
                     "storage destinations.");
}

static const struct schema_field element_fields[] = {
    { "name", .required = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { .type = SCHEMA_KEY } },
    { "type", .required = true, .schema = { .type = SCHEMA_STRING, .words = types } },
    { "details", .required = true, .schema = { .type = SCHEMA_OBJECT } },
    { "format", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = formats } },
    { 0 },
};
static const struct schema element_schema = { .type = SCHEMA_OBJECT,
                                              .fields = element_fields,
                                              .check = check_destination };
static const struct schema list_schema = { .type = SCHEMA_LIST,
                                           .max = LIST_MAX,
                                           .item = &element_schema };

static const struct schema_field default_fields[] = {
    { "type", .required = true, .schema = { .type = SCHEMA_STRING, .words = types } },
    { "details", .required = true, .schema = { .type = SCHEMA_OBJECT } },
    { "format", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = formats } },
    { 0 },
};
static const struct schema default_schema = { .type = SCHEMA_OBJECT,
                                              .fields = default_fields,
                                              .check = check_destination };

static const struct schema secrets_schema = { .type = SCHEMA_OBJECT };

/* --- destinations ----------------------------------------------------------------------------- */

static int not_found(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No configuration with key %s.", key);
}

/* The statement's first row, first column, as the object to answer; NULL when there is none. */
static int object_of(struct api_call *call, const struct sql *sql, struct db_args *args,
                     json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, sql, args, &rows, err);

    if (r == 0)
        *ret = PQntuples(rows) ? api_json_parse(db_get_text(rows, 0, 0)) : NULL;
    return r;
}

static struct db_args *args_of(struct api_call *call, const char *text)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, text);
    return args;
}

static struct db_args *args_destination(struct api_call *call, const char *key, const char *name,
                                        const char *format)
{
    struct db_args *args = args_of(call, key);

    db_text(args, name);
    db_text(args, LOCAL);
    db_json(args, DETAILS);
    db_text(args, format);
    return args;
}

static int is_taken(struct api_call *call, const char *key, bool *ret, struct err *err)
{
    json_object *object = NULL;
    int r = object_of(call, &SQL_storage_find, args_of(call, key), &object, err);

    *ret = object;
    json_object_put(object);
    return r;
}

static int destination_save(struct api_call *call, void *context, json_object *element,
                            json_object **ret, struct err *err)
{
    struct resource_key key = resource_key(call, element);
    const char *format = schema_text(element, "format");
    bool taken = false;
    int r = 0;

    (void)context;
    if (!is_local(element))
        return err_set(err, ERR_BAD_REQUEST,
                       "Storage of type '%s' is not available in this version.",
                       schema_text(element, "type"));
    if (!key.key)
        return resource_no_key(MODEL, err);
    if (!key.given)
        r = is_taken(call, key.key, &taken, err);
    if (r < 0)
        return r;
    if (taken)
        return resource_key_taken(key.key, MODEL, err);
    return object_of(
        call, &SQL_storage_upsert,
        args_destination(call, key.key, schema_text(element, "name"), format ? format : "json"),
        ret, err);
}

static int destinations_save(struct api_call *call, json_object **ret, struct err *err)
{
    return resource_bulk(call, &list_schema, NULL, destination_save, NULL, ret, err);
}

static int storage_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, destinations_save, err);
}

static int storage_list(struct api_call *call, struct err *err)
{
    return resource_answer_page(call, &SQL_storage_page, NULL, err);
}

static int storage_get(struct api_call *call, struct err *err)
{
    json_object *object = NULL;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = object_of(call, &SQL_storage_find, args_of(call, key), &object, err);
    if (r < 0)
        return r;
    return object ? api_answer(call, 200, object) : not_found(key, err);
}

/* Whether it may go. */
static int deletion_check(struct api_call *call, const char *key, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL, *uses = NULL;
    int r = db_run(call->db, &SQL_storage_find, args_of(call, key), &rows, err);

    if (r == 0)
        r = db_run(call->db, &SQL_storage_in_use, args_of(call, key), &uses, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return not_found(key, err);
    if (db_get_bool(rows, 0, 2))
        return err_set(err, ERR_BAD_REQUEST, "Default storage configurations cannot be deleted.");
    if (db_get_bool(uses, 0, 0))
        return err_set(err, ERR_CONFLICT,
                       "Cannot delete storage %s: it is referenced by one or more rules.", key);
    return 0;
}

static int destination_delete(struct api_call *call, json_object **ret, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    *ret = NULL;
    if (r == 0)
        r = deletion_check(call, key, err);
    return r < 0 ? r : db_do(call->db, &SQL_storage_delete, args_of(call, key), err);
}

static int storage_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, destination_delete, err);
}

static int storage_secrets(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = db_run(call->db, &SQL_storage_find, args_of(call, key), &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return not_found(key, err);
    return err_set(err, ERR_BAD_REQUEST, "Storage of type '%s' has no secrets.",
                   db_get_text(rows, 0, 1));
}

/* --- the default ------------------------------------------------------------------------------ */

static int default_save(struct api_call *call, json_object **ret, struct err *err)
{
    const char *format = schema_text(call->body, "format");

    if (!is_local(call->body))
        return err_set(err, ERR_NOT_IMPLEMENTED,
                       "Storage of type '%s' is not available in this version.",
                       schema_text(call->body, "type"));
    return object_of(call, &SQL_storage_default_upsert,
                     args_destination(call, DEFAULT_KEY, DEFAULT_NAME, format ? format : "json"),
                     ret, err);
}

static int default_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, default_save, err);
}

static int default_list(struct api_call *call, struct err *err)
{
    return resource_answer_page(call, &SQL_storage_default_page, NULL, err);
}

/* Whoever asks for the local one gets it: there always is a disk. */
static int default_make(struct api_call *call, json_object **ret, struct err *err)
{
    int r = object_of(call, &SQL_storage_default_find, args_of(call, LOCAL), ret, err);

    if (r < 0 || *ret)
        return r;
    return object_of(call, &SQL_storage_default_upsert,
                     args_destination(call, DEFAULT_KEY, DEFAULT_NAME, "html"), ret, err);
}

static int default_local(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, default_make, err);
}

static int default_get(struct api_call *call, struct err *err)
{
    static const struct schema type_schema = { .type = SCHEMA_STRING, .words = types };
    const struct schema_loc path = { .name = "path" },
                            loc = { .parent = &path, .name = "storage_type" };
    _cleanup_(json_object_putp) json_object *type = json_object_new_string(call->params[0]);

    if (!schema_check(&type_schema, type, &loc, &call->errors))
        return err_set(err, ERR_INVALID, "The path does not fit.");
    if (!strcmp(call->params[0], LOCAL))
        return default_local(call, err);
    return err_set(err, ERR_NOT_FOUND, "No default config for storage type %s.", call->params[0]);
}

/* Local storage is for trying out, so that the contract counts it as none. */
static int default_status(struct api_call *call, struct err *err)
{
    json_object *body = json_object_new_object();

    (void)err;
    json_object_object_add(body, "config_status", json_object_new_string("not configured"));
    json_object_object_add(
        body, "detail",
        json_object_new_string("The active default storage is local, which counts as none."));
    return api_answer(call, 200, body);
}

const struct api_route storage_routes[] = {
    { "PATCH", "/storage/config", "storage:create_or_update", &list_schema,
      .handler = storage_patch },
    { "GET", "/storage/config", "storage:read", .handler = storage_list },
    { "GET", "/storage/config/{config_key}", "storage:read", .handler = storage_get },
    { "DELETE", "/storage/config/{config_key}", "storage:delete", .handler = storage_delete },
    { "PUT", "/storage/config/{config_key}/secret", "storage:create_or_update", &secrets_schema,
      .handler = storage_secrets },
    { "PUT", "/storage/default", "storage:create_or_update", &default_schema,
      .handler = default_put },
    { "GET", "/storage/default", "storage:read", .handler = default_list },
    { "GET", "/storage/default/active", "storage:read", .handler = default_local },
    { "GET", "/storage/default/status", "storage:read", .handler = default_status },
    { "GET", "/storage/default/{storage_type}", "storage:read", .handler = default_get },
    { 0 },
};
