/* A body, parsed and held against a table that has every type; and the same bytes as each text
 * that is read. */

#include "common/schema.h"

#include "tests/fuzz/fuzz.h"

static void whole(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (schema_has(value, "int"))
        schema_error(errors, loc, "value_error", "Value error, %s", "int");
}

static const struct schema any = { .type = SCHEMA_ANY }, key = { .type = SCHEMA_KEY };
static const char *const words[] = { "one", "two", "three", NULL };

static const struct schema_field fields[] = {
    { "string", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = 5 } },
    { "word", .nullable = true, .schema = { SCHEMA_STRING, .words = words } },
    { "int", .schema = { SCHEMA_INT, .min = 1, .max = 100 } },
    { "bool", .schema = { .type = SCHEMA_BOOL } },
    { "time", .schema = { .type = SCHEMA_DATETIME } },
    { "key", .schema = { .type = SCHEMA_KEY } },
    { "email", .schema = { .type = SCHEMA_EMAIL } },
    { "phone", .schema = { .type = SCHEMA_PHONE } },
    { "uuid", .schema = { .type = SCHEMA_UUID } },
    { "object", .schema = { .type = SCHEMA_OBJECT } },
    { "strings", .schema = { .type = SCHEMA_STRINGS } },
    { "keys", .schema = { SCHEMA_LIST, .min = 1, .max = 3, .item = &key } },
    { "list", .schema = { SCHEMA_LIST, .item = &any } },
    { 0 },
};
static const struct schema object = { SCHEMA_OBJECT, .forbid_extra = true, .fields = fields,
                                      .check = whole };
static const struct schema list = { SCHEMA_LIST, .max = 50, .item = &object };

static const struct schema_loc body = { .name = "body" };

static void check_value(json_object *value)
{
    struct schema_errors errors = { 0 };
    bool fits = schema_check(&list, value, &body, &errors);

    CHECK(fits == !errors.list);
    CHECK(fits || json_object_array_length(errors.list) <= SCHEMA_ERRORS_MAX);
    schema_errors_free(&errors);
    if (!json_object_is_type(value, json_type_object))
        return;
    for (const struct schema_field *field = fields; field->name; field++) {
        schema_text(value, field->name);
        schema_bool(value, field->name, false);
        schema_int(value, field->name, 0);
    }
}

/* What json-c writes of a parsed body is a body again. */
static void check_again(json_object *value)
{
    const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
    struct schema_errors errors = { 0 };
    json_object *again = NULL;

    CHECK(schema_parse(text, strlen(text), &again, &errors) == 0);
    json_object_put(again);
}

static void check_text(const char *text, struct arena *arena)
{
    const char *derived = schema_derive_key(arena, text);
    long long number;
    bool flag;

    CHECK(!*derived || schema_is_key(derived));
    CHECK(!schema_is_email(text) || strchr(text, '@'));
    CHECK(!schema_is_phone(text) || strlen(text) <= 16);
    schema_is_uuid(text);
    schema_parse_bool(text, &flag);
    schema_parse_int(text, &number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct schema_errors errors = { 0 };
    json_object *value = NULL;

    if (schema_parse((const char *)data, size, &value, &errors) == 0) {
        CHECK(schema_is_utf8((const char *)data, size) && !errors.list);
        check_value(value);
        check_again(value);
    } else {
        CHECK(json_object_array_length(errors.list) == 1);
    }
    json_object_put(value);
    schema_errors_free(&errors);
    check_text(arena_strndup(arena, (const char *)data, size), arena);
    return 0;
}
