#include <string.h>

#include "api/api.h"
#include "api/resource.h"
#include "api/secret.h"
#include "api/storage.sql.h"

/* Where packages go. The contract has many kinds of destinations, this version a directory and S3 buckets. */

enum { LIST_MAX = 50, BUCKET_MIN = 3, BUCKET_MAX = 63, RETRIES_MAX = 10, ENDPOINT_MAX = 2048, SECRET_MAX = 256 };

#define MODEL "StorageConfig"
#define LOCAL "local"
#define S3 "s3"
#define SECRET_KEYS "secret_keys"

/* --- bodies ----------------------------------------------------------------------------------- */

static const char *const types[] = { "s3", "gcs", "transcend", "onetrust", "ethyca", LOCAL, NULL };
static const char *const formats[] = { "json", "csv", "html", NULL };
static const char *const namings[] = { "request_id", NULL };

static const char *const auth_methods[] = { "automatic", SECRET_KEYS, NULL };

static void refuse(const struct schema_loc *loc, struct schema_errors *errors, const char *problem)
{
    schema_error(errors, loc, "value_error", "Value error, %s", problem);
}

/* It becomes a host's name, and a part of paths. */
static void check_bucket(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    const char *bucket = json_object_get_string(value);

    if (!schema_is_key(bucket) || *bucket == '.' || strstr(bucket, ".."))
        refuse(loc, errors, "A bucket's name has letters, digits, '-', '_' and '.' only.");
}

static void check_region(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!schema_is_key(json_object_get_string(value)))
        refuse(loc, errors, "A region has letters, digits and '-' only.");
}

static void check_endpoint(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    const char *problem = secret_url_problem(json_object_get_string(value), true);

    if (problem || strpbrk(json_object_get_string(value), "?#@"))
        refuse(loc, errors, "endpoint_url must be an http or https URL without user, query and fragment.");
}

static const struct schema_field local_fields[] = {
    { "naming", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = namings } },
    { 0 },
};
static const struct schema_field s3_fields[] = {
    { "auth_method", .required = true, .schema = { .type = SCHEMA_STRING, .words = auth_methods } },
    { "bucket", .required = true,
      .schema = { .type = SCHEMA_STRING, .min = BUCKET_MIN, .max = BUCKET_MAX, .check = check_bucket } },
    { "naming", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = namings } },
    { "max_retries", .nullable = true, .schema = { .type = SCHEMA_INT, .min = 0, .max = RETRIES_MAX } },
    { "region", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = BUCKET_MAX, .check = check_region } },
    { "endpoint_url", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = ENDPOINT_MAX, .check = check_endpoint } },
    { 0 },
};
static const struct schema_field s3_secret_fields[] = {
    { "aws_access_key_id", .required = true, .schema = { .type = SCHEMA_STRING, .min = 1, .max = SECRET_MAX } },
    { "aws_secret_access_key", .required = true, .schema = { .type = SCHEMA_STRING, .min = 1, .max = SECRET_MAX } },
    { "region_name", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .min = 1, .max = BUCKET_MAX, .check = check_region } },
    { 0 },
};

/* The kinds that this version has. */
static const struct kind {
    const char *type;
    struct schema details;
    const struct schema *secrets; /* NULL: it has none */
    const char *default_key, *default_name;
} kinds[] = {
    { LOCAL, { .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = local_fields }, NULL,
      "default_storage_config_local", "Default Storage Config [local]" },
    { S3, { .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = s3_fields },
      &(const struct schema){ .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = s3_secret_fields },
      "default_storage_config_s3", "Default Storage Config [s3]" },
};

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (!strcmp(kinds[i].type, type))
            return &kinds[i];
    return NULL;
}

static void check_destination(json_object *element, const struct schema_loc *loc,
                              struct schema_errors *errors)
{
    const struct schema_loc details = { .parent = loc, .name = "details" };
    const struct kind *kind = kind_of(schema_text(element, "type"));
    const char *format = schema_text(element, "format");

    if (!kind)
        return;
    schema_check(&kind->details, schema_get(element, "details"), &details, errors);
    if (!strcmp(kind->type, LOCAL) && format && !strcmp(format, "csv"))
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

/* Held against its kind's own once it is known which that is. */
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

static void keep_member(json_object *kept, json_object *details, const char *name)
{
    if (schema_get(details, name))
        json_object_object_add(kept, name, json_object_get(schema_get(details, name)));
}

/* The details in their normal form: what has a meaning, and what is in effect where nothing was said. */
static const char *details_text(struct api_call *call, json_object *element)
{
    static const char *const members[] = { "auth_method", "bucket", "region", "endpoint_url" };
    _cleanup_(json_object_putp) json_object *kept = json_object_new_object();
    json_object *details = schema_get(element, "details");

    json_object_object_add(kept, "naming", json_object_new_string("request_id"));
    if (strcmp(schema_text(element, "type"), LOCAL) != 0)
        json_object_object_add(kept, "max_retries", json_object_new_int64(schema_int(details, "max_retries", 0)));
    for (size_t i = 0; i < COUNT_OF(members); i++)
        keep_member(kept, details, members[i]);
    return arena_strdup(call->arena, json_object_to_json_string_ext(kept, JSON_C_TO_STRING_PLAIN));
}

static struct db_args *args_destination(struct api_call *call, const char *key, const char *name,
                                        json_object *element)
{
    struct db_args *args = args_of(call, key);
    const char *format = schema_text(element, "format");

    db_text(args, name);
    db_text(args, schema_text(element, "type"));
    db_json(args, details_text(call, element));
    db_text(args, format ? format : "json");
    return args;
}

/* Whether this version can put packages there. */
static int destination_check(json_object *element, enum err_code code, const struct kind **ret, struct err *err)
{
    const char *type = schema_text(element, "type");
    const char *method = schema_text(schema_get(element, "details"), "auth_method");

    *ret = kind_of(type);
    if (!*ret)
        return err_set(err, code, "Storage of type '%s' is not available in this version.", type);
    if (method && strcmp(method, SECRET_KEYS) != 0)
        return err_set(err, code, "Storage with auth_method '%s' is not available in this version.", method);
    return 0;
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
    const struct kind *kind;
    bool taken = false;
    int r = destination_check(element, ERR_BAD_REQUEST, &kind, err);

    (void)context;
    if (r < 0)
        return r;
    if (!key.key)
        return resource_no_key(MODEL, err);
    if (!key.given)
        r = is_taken(call, key.key, &taken, err);
    if (r < 0)
        return r;
    if (taken)
        return resource_key_taken(key.key, MODEL, err);
    return object_of(call, &SQL_storage_upsert,
                     args_destination(call, key.key, schema_text(element, "name"), element), ret, err);
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

/* --- secrets ---------------------------------------------------------------------------------- */

/* Sealed anew, the same would look like others. */
static bool secrets_are_same(struct api_call *call, const PGresult *rows)
{
    _cleanup_(json_object_putp) json_object *stored = NULL;
    struct bytes sealed, plain;
    struct err err;

    sealed.data = db_get_bytes(rows, 0, 4, &sealed.length);
    if (!sealed.data ||
        seal_ring_open(call->api->ring, "storage", db_get_text(rows, 0, 3), sealed, call->arena, &plain, &err) < 0)
        return false;
    stored = json_tokener_parse(plain.data);
    return json_object_equal(stored, call->body);
}

static int secrets_save(struct api_call *call, const char *id, struct err *err)
{
    struct db_args *args = args_of(call, id);
    struct bytes plain, sealed;

    plain.data = json_object_to_json_string_length(call->body, JSON_C_TO_STRING_PLAIN, &plain.length);
    sealed = seal_ring_close(call->api->ring, "storage", id, plain, call->arena);
    db_bytes(args, sealed.data, sealed.length);
    return db_do(call->db, &SQL_storage_set_secrets, args, err);
}

/* Nobody tries them: docket-api calls nothing outside. The first package does. */
static json_object *secrets_answer(const char *msg)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "msg", api_json_text(msg));
    json_object_object_add(object, "test_status", NULL);
    json_object_object_add(object, "failure_reason", NULL);
    return object;
}

/* `rows`: of storage_find or storage_default_find. */
static int secrets_write(struct api_call *call, const PGresult *rows, struct err *err)
{
    static const struct schema_loc body = { .name = "body" };
    const struct kind *kind = kind_of(db_get_text(rows, 0, 1));

    if (!kind || !kind->secrets)
        return err_set(err, ERR_BAD_REQUEST, "Storage of type '%s' has no secrets.", db_get_text(rows, 0, 1));
    if (!schema_check(kind->secrets, call->body, &body, &call->errors))
        return err_set(err, ERR_INVALID, "invalid secrets");
    if (secrets_are_same(call, rows))
        return 0;
    return secrets_save(call, db_get_text(rows, 0, 3), err);
}

static int destination_secrets(struct api_call *call, json_object **ret, struct err *err)
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
    r = secrets_write(call, rows, err);
    if (r == 0)
        *ret = secrets_answer(arena_printf(call->arena, "Secrets updated for StorageConfig with key: %s.", key));
    return r;
}

static int storage_secrets(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, destination_secrets, err);
}

/* --- the default ------------------------------------------------------------------------------ */

static int default_save(struct api_call *call, json_object **ret, struct err *err)
{
    const struct kind *kind;
    int r = destination_check(call->body, ERR_NOT_IMPLEMENTED, &kind, err);

    if (r < 0)
        return r;
    return object_of(call, &SQL_storage_default_upsert,
                     args_destination(call, kind->default_key, kind->default_name, call->body), ret, err);
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
    const struct kind *kind = kind_of(LOCAL);
    struct db_args *args = args_of(call, kind->default_key);
    int r = object_of(call, &SQL_storage_default_find, args_of(call, LOCAL), ret, err);

    if (r < 0 || *ret)
        return r;
    db_text(args, kind->default_name);
    db_text(args, LOCAL);
    db_json(args, "{\"naming\": \"request_id\"}");
    db_text(args, "html");
    return object_of(call, &SQL_storage_default_upsert, args, ret, err);
}

static int no_default(const char *type, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No default config for storage type %s.", type);
}

static int default_answer(struct api_call *call, const char *type, struct err *err)
{
    json_object *object = NULL;
    int r;

    if (!strcmp(type, LOCAL))
        return resource_answer_write(call, 200, default_make, err);
    r = object_of(call, &SQL_storage_default_find, args_of(call, type), &object, err);
    if (r < 0)
        return r;
    return object ? api_answer(call, 200, object) : no_default(type, err);
}

static int type_param(struct api_call *call, struct err *err)
{
    static const struct schema type_schema = { .type = SCHEMA_STRING, .words = types };
    const struct schema_loc path = { .name = "path" },
                            loc = { .parent = &path, .name = "storage_type" };
    _cleanup_(json_object_putp) json_object *type = json_object_new_string(call->params[0]);

    return schema_check(&type_schema, type, &loc, &call->errors)
               ? 0
               : err_set(err, ERR_INVALID, "The path does not fit.");
}

static int default_get(struct api_call *call, struct err *err)
{
    int r = type_param(call, err);

    return r < 0 ? r : default_answer(call, call->params[0], err);
}

static int default_secrets_save(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const char *type = call->params[0];
    int r = type_param(call, err);

    if (r == 0)
        r = db_run(call->db, &SQL_storage_default_find, args_of(call, type), &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return no_default(type, err);
    r = secrets_write(call, rows, err);
    if (r == 0)
        *ret = secrets_answer(
            arena_printf(call->arena, "Secrets updated for default config of storage type: %s.", type));
    return r;
}

static int default_secrets(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, default_secrets_save, err);
}

static int active_type(struct api_call *call, const char **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, &SQL_storage_active_type, NULL, &rows, err);

    if (r == 0)
        *ret = db_dup_text(rows, 0, 0, call->arena);
    return r;
}

static int default_active(struct api_call *call, struct err *err)
{
    const char *type;
    int r = active_type(call, &type, err);

    return r < 0 ? r : default_answer(call, type, err);
}

/* `configured`: whether packages can go there. Local storage is for trying out, so that the contract counts it as
 * none. */
static const char *status_detail(const char *type, const PGresult *rows, bool *configured)
{
    *configured = false;
    if (!strcmp(type, LOCAL))
        return "The active default storage is local, which counts as none.";
    if (!PQntuples(rows))
        return "The active default storage has no configuration.";
    *configured = !db_is_null(rows, 0, 4);
    return *configured ? "The active default storage is configured." : "The active default storage has no secrets.";
}

static int default_status(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    json_object *body;
    const char *type, *detail;
    bool configured;
    int r = active_type(call, &type, err);

    if (r == 0)
        r = db_run(call->db, &SQL_storage_default_find, args_of(call, type), &rows, err);
    if (r < 0)
        return r;
    detail = status_detail(type, rows, &configured);
    body = json_object_new_object();
    json_object_object_add(body, "config_status", api_json_text(configured ? "configured" : "not configured"));
    json_object_object_add(body, "detail", api_json_text(detail));
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
    { "GET", "/storage/default/active", "storage:read", .handler = default_active },
    { "GET", "/storage/default/status", "storage:read", .handler = default_status },
    { "GET", "/storage/default/{storage_type}", "storage:read", .handler = default_get },
    { "PUT", "/storage/default/{storage_type}/secret", "storage:create_or_update", &secrets_schema,
      .handler = default_secrets },
    { 0 },
};
