#include "api/manual_webhook.h"

#include <ctype.h>
#include <string.h>

#include "api/connection.h"
#include "api/manual_webhook.sql.h"
#include "api/resource.h"

enum { FIELDS_MAX = 100, TEXT_CHARS_MAX = 200, TYPES_MAX = 10, CATEGORIES_MAX = 100 };

/* --- the body ------------------------------------------------------------------------------------------ */

/* Without the blanks around it. */
struct span {
    const char *text;
    size_t length;
};

static struct span trim(const char *text)
{
    struct span span = { text, strlen(text) };

    for (; span.length && isspace((unsigned char)*span.text); span.text++)
        span.length--;
    while (span.length && isspace((unsigned char)span.text[span.length - 1]))
        span.length--;
    return span;
}

/* NULL for no text. */
static const char *trimmed(struct arena *arena, json_object *field, const char *name)
{
    const char *text = schema_text(field, name);
    struct span span = trim(text ? text : "");

    return text ? arena_strndup(arena, span.text, span.length) : NULL;
}

static size_t characters(struct span span)
{
    size_t count = 0;

    for (size_t i = 0; i < span.length; i++)
        count += ((unsigned char)span.text[i] & 0xc0) != 0x80;
    return count;
}

/* Blanks around a text do not count, so its length is looked at without them. */
static void check_chars(json_object *value, const struct schema_loc *loc, size_t min, struct schema_errors *errors)
{
    size_t count = characters(trim(json_object_get_string(value)));

    if (count < min)
        schema_error(errors, loc, "string_too_short", "String should have at least 1 character");
    if (count > TEXT_CHARS_MAX)
        schema_error(errors, loc, "string_too_long", "String should have at most %d characters", TEXT_CHARS_MAX);
}

static void check_pii_field(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    check_chars(value, loc, 1, errors);
}

static void check_label(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    check_chars(value, loc, 0, errors);
}

/* The label as it is asked for: made of the field's name where none is given. */
static const char *label_of(struct arena *arena, json_object *field)
{
    const char *label = trimmed(arena, field, "dsr_package_label");

    return label && *label ? label : schema_derive_key(arena, trimmed(arena, field, "pii_field"));
}

typedef const char *text_of(struct arena *arena, json_object *field);

static const char *pii_field_of(struct arena *arena, json_object *field)
{
    return trimmed(arena, field, "pii_field");
}

/* Fields are few: every pair is looked at. */
static bool are_unique(json_object *list, text_of *of, struct arena *arena)
{
    size_t count = json_object_array_length(list);
    const char *texts[FIELDS_MAX];

    for (size_t i = 0; i < count; i++) {
        texts[i] = of(arena, json_object_array_get_idx(list, i));
        for (size_t j = 0; j < i; j++)
            if (!strcmp(texts[i], texts[j]))
                return false;
    }
    return true;
}

static bool have_labels(json_object *list, const struct schema_loc *parent, struct arena *arena,
                        struct schema_errors *errors)
{
    bool all = true;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const struct schema_loc loc = { .parent = parent, .index = (int)i };

        if (*label_of(arena, json_object_array_get_idx(list, i)))
            continue;
        schema_error(errors, &loc, "value_error",
                     "Value error, a dsr_package_label is needed: none can be made of the pii_field");
        all = false;
    }
    return all;
}

static void check_fields(json_object *list, const struct schema_loc *loc, struct schema_errors *errors)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();

    if (!have_labels(list, loc, arena, errors))
        return;
    if (!are_unique(list, pii_field_of, arena))
        schema_error(errors, loc, "value_error", "Value error, pii_fields must be unique");
    else if (!are_unique(list, label_of, arena))
        schema_error(errors, loc, "value_error", "Value error, dsr_package_labels must be unique");
}

static const char *const types[] = { "string", "file", NULL };
static const struct schema type_schema = { SCHEMA_STRING, .words = types };
static const struct schema category_schema = { SCHEMA_KEY };

static const struct schema_field element_fields[] = {
    { "pii_field", .required = true, .schema = { SCHEMA_STRING, .check = check_pii_field } },
    { "dsr_package_label", .nullable = true, .schema = { SCHEMA_STRING, .check = check_label } },
    { "types", .nullable = true, .schema = { SCHEMA_LIST, .item = &type_schema, .max = TYPES_MAX } },
    { "data_categories", .nullable = true,
      .schema = { SCHEMA_LIST, .item = &category_schema, .max = CATEGORIES_MAX } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields };

static const struct schema_field body_fields[] = {
    { "fields", .required = true,
      .schema = { SCHEMA_LIST, .item = &element_schema, .min = 1, .max = FIELDS_MAX, .check = check_fields } },
    { 0 },
};
static const struct schema body_schema = { SCHEMA_OBJECT, .fields = body_fields };

/* A field as it is kept and shown. */
static json_object *field_object(struct arena *arena, json_object *given)
{
    json_object *field = json_object_new_object(), *kinds = schema_get(given, "types");

    if (!kinds) {
        kinds = json_object_new_array();
        json_object_array_add(kinds, json_object_new_string(types[0]));
    } else {
        json_object_get(kinds);
    }
    json_object_object_add(field, "pii_field", api_json_text(trimmed(arena, given, "pii_field")));
    json_object_object_add(field, "dsr_package_label", api_json_text(label_of(arena, given)));
    json_object_object_add(field, "types", kinds);
    json_object_object_add(field, "data_categories", json_object_get(schema_get(given, "data_categories")));
    return field;
}

static json_object *fields_list(struct api_call *call)
{
    json_object *given = schema_get(call->body, "fields"), *list = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(given); i++)
        json_object_array_add(list, field_object(call->arena, json_object_array_get_idx(given, i)));
    return list;
}

/* --- finding ------------------------------------------------------------------------------------------- */

int manual_webhook_no_connection(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No connection config with key '%s'.", key);
}

int manual_webhook_other_type(const char *type, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "Can't access manual webhooks for ConnectionConfigs of type '%s'", type);
}

int manual_webhook_none(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No access manual webhook exists for connection config with key '%s'", key);
}

/* What the path names. */
struct place {
    const char *key, *connection_id, *type;
    bool is_manual, is_defined;
};

static int place_read(struct api_call *call, struct place *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r < 0)
        return r;
    db_text(args, key);
    r = db_run(call->db, &SQL_manual_webhook_connection, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return manual_webhook_no_connection(key, err);
    *ret = (struct place){
        .key = key,
        .connection_id = db_dup_text(rows, 0, 0, call->arena),
        .type = db_dup_text(rows, 0, 1, call->arena),
        .is_manual = !strcmp(db_get_text(rows, 0, 1), MANUAL_WEBHOOK_TYPE),
        .is_defined = !db_is_null(rows, 0, 2),
    };
    return 0;
}

static int place_of_definition(struct api_call *call, struct place *ret, struct err *err)
{
    int r = place_read(call, ret, err);

    if (r < 0)
        return r;
    if (!ret->is_manual)
        return manual_webhook_other_type(ret->type, err);
    return ret->is_defined ? 0 : manual_webhook_none(ret->key, err);
}

/* connection_id NULL: all that are enabled. */
static int objects_read(struct api_call *call, const char *connection_id, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, connection_id);
    r = db_run(call->db, &SQL_manual_webhook_objects, args, &rows, err);
    if (r < 0)
        return r;
    *ret = json_object_new_array();
    for (int row = 0; row < PQntuples(rows); row++) {
        json_object *object = json_object_new_object();

        json_object_object_add(object, "fields", api_json_parse(db_get_text(rows, row, 1)));
        json_object_object_add(object, "connection_config", connection_object(call, rows, row, 2));
        json_object_object_add(object, "id", api_json_text(db_get_text(rows, row, 0)));
        json_object_array_add(*ret, object);
    }
    return 0;
}

static int object_read(struct api_call *call, const struct place *place, json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *list = NULL;
    int r = objects_read(call, place->connection_id, &list, err);

    if (r < 0)
        return r;
    if (!json_object_array_length(list)) /* deleted meanwhile */
        return manual_webhook_none(place->key, err);
    *ret = json_object_get(json_object_array_get_idx(list, 0));
    return 0;
}

static int definition_get(struct api_call *call, struct err *err)
{
    json_object *object = NULL;
    struct place place;
    int r = place_of_definition(call, &place, err);

    if (r == 0)
        r = object_read(call, &place, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

static int definition_list(struct api_call *call, struct err *err)
{
    json_object *list;
    int r = objects_read(call, NULL, &list, err);

    return r < 0 ? r : api_answer(call, 200, list);
}

/* --- writing ------------------------------------------------------------------------------------------- */

static struct db_args *fields_args(struct api_call *call, const struct place *place, json_object *fields)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, place->connection_id);
    db_json(args, json_object_to_json_string_ext(fields, JSON_C_TO_STRING_PLAIN));
    return args;
}

/* Who is asked for what changed: requests that wait for input are looked at again. */
static int store(struct api_call *call, const struct place *place, json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *fields = fields_list(call);
    _cleanup_(db_result_freep) PGresult *same = NULL;
    int r = db_run(call->db, &SQL_manual_webhook_is, fields_args(call, place, fields), &same, err);

    if (r == 0 && !PQntuples(same)) {
        r = db_do(call->db, &SQL_manual_webhook_put, fields_args(call, place, fields), err);
        if (r == 0)
            r = resource_sweep(call, "manual_webhook_changed", err);
    }
    return r < 0 ? r : object_read(call, place, ret, err);
}

static int create(struct api_call *call, json_object **ret, struct err *err)
{
    struct place place;
    int r = place_read(call, &place, err);

    if (r < 0)
        return r;
    if (!place.is_manual)
        return err_set(err, ERR_BAD_REQUEST,
                       "You can only create manual webhooks for ConnectionConfigs of type 'manual_webhook'.");
    if (place.is_defined)
        return err_set(err, ERR_BAD_REQUEST, "An Access Manual Webhook already exists for ConnectionConfig '%s'.",
                       place.key);
    return store(call, &place, ret, err);
}

/* Also makes it, as a product document has it. */
static int put(struct api_call *call, json_object **ret, struct err *err)
{
    struct place place;
    int r = place_read(call, &place, err);

    if (r < 0)
        return r;
    if (!place.is_manual)
        return manual_webhook_other_type(place.type, err);
    return store(call, &place, ret, err);
}

static int drop(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct place place;
    int r = place_of_definition(call, &place, err);

    (void)ret;
    if (r < 0)
        return r;
    db_text(args, place.connection_id);
    r = db_do(call->db, &SQL_manual_webhook_delete, args, err);
    return r < 0 ? r : resource_sweep(call, "manual_webhook_deleted", err);
}

static int definition_post(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 201, create, err);
}

static int definition_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, put, err);
}

static int definition_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, drop, err);
}

#define PATH "/connection/{key}/access_manual_webhook"
#define WRITE "webhook:create_or_update"

const struct api_route manual_webhook_routes[] = {
    { "GET", "/access_manual_webhook", "webhook:read", .handler = definition_list },
    { "POST", PATH, WRITE, &body_schema, .handler = definition_post },
    { "PATCH", PATH, WRITE, &body_schema, .handler = definition_put },
    { "PUT", PATH, WRITE, &body_schema, .handler = definition_put },
    { "GET", PATH, "webhook:read", .handler = definition_get },
    { "DELETE", PATH, "webhook:delete", .handler = definition_delete },
    { 0 },
};
