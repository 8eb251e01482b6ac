#include "common/identity.h"

#include <ctype.h>
#include <string.h>

enum { LABEL_CHARS_MAX = 1000, LIST_MAX = 100, EXTERNAL_CHARS_MAX = 1000 };

/* In the order of webhook bodies. Names, types and the labels of the API are the contract's. */
static const struct schema_field defaults[] = {
    { "phone_number", .nullable = true, .schema = { .type = SCHEMA_PHONE } },
    { "email", .nullable = true, .schema = { .type = SCHEMA_EMAIL } },
    { "ga_client_id", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = EXTERNAL_CHARS_MAX } },
    { "ljt_readerID", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = EXTERNAL_CHARS_MAX } },
    { "fides_user_device_id", .nullable = true, .schema = { .type = SCHEMA_UUID } },
    { "external_id", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = EXTERNAL_CHARS_MAX } },
    { 0 },
};
static const struct schema defaults_schema = { .type = SCHEMA_OBJECT, .fields = defaults };

const char *const identity_defaults[IDENTITY_DEFAULTS + 1] = {
    "phone_number", "email", "ga_client_id", "ljt_readerID", "fides_user_device_id", "external_id", NULL,
};
static const char *const default_labels[IDENTITY_DEFAULTS] = {
    "Phone number", "Email", "GA client ID", "LJT reader ID", "Fides user device ID", "External ID",
};

static const char *default_label(const char *name)
{
    for (int i = 0; i < IDENTITY_DEFAULTS; i++)
        if (!strcmp(identity_defaults[i], name))
            return default_labels[i];
    return NULL;
}

/* --- checks --- */

static bool is_scalar(json_object *value)
{
    return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_string);
}

static bool is_value(json_object *value)
{
    if (!json_object_is_type(value, json_type_array))
        return is_scalar(value);
    for (size_t i = 0; i < json_object_array_length(value); i++)
        if (!is_scalar(json_object_array_get_idx(value, i)))
            return false;
    return true;
}

static void check_value(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    static const struct schema text = { .type = SCHEMA_STRING };
    static const struct schema list = { .type = SCHEMA_LIST, .max = LIST_MAX };

    if (!is_value(value))
        schema_error(errors, loc, "value_error",
                     "Value error, Input should be a valid integer, string or list of these");
    else if (json_object_is_type(value, json_type_string))
        schema_check(&text, value, loc, errors);
    else if (json_object_is_type(value, json_type_array))
        schema_check(&list, value, loc, errors);
}

static const struct schema_field labelled[] = {
    { "label", .required = true, .schema = { .type = SCHEMA_STRING, .max = LABEL_CHARS_MAX } },
    { "value", .required = true, .schema = { .type = SCHEMA_ANY, .check = check_value } },
    { 0 },
};
static const struct schema labelled_schema = { .type = SCHEMA_OBJECT, .fields = labelled };

bool identity_check_labelled(json_object *field, const struct schema_loc *loc, struct schema_errors *errors)
{
    return schema_check(&labelled_schema, field, loc, errors);
}

/* `loc` says what the errors call it. */
static bool check_custom(const char *name, json_object *value, const struct schema_loc *loc,
                         struct schema_errors *errors)
{
    if (strlen(name) > IDENTITY_NAME_MAX) {
        schema_error(errors, loc, "value_error", "Value error, Names of identities have at most %d bytes",
                     IDENTITY_NAME_MAX);
        return false;
    }
    if (!schema_has(value, "label") || !schema_has(value, "value")) {
        schema_error(errors, loc, "value_error",
                     "Value error, Custom identity \"%s\" must be an instance of LabeledIdentity "
                     "(e.g. {\"label\": \"Field label\", \"value\": \"123\"})",
                     loc->name);
        return false;
    }
    return identity_check_labelled(value, loc, errors);
}

/* custom_word: what errors call a custom key; NULL: by its name. */
static bool check_all(json_object *identity, const char *custom_word, const struct schema_loc *loc,
                      struct schema_errors *errors)
{
    bool fits = schema_check(&defaults_schema, identity, loc, errors);
    int custom = 0;

    if (!json_object_is_type(identity, json_type_object))
        return false;
    json_object_object_foreach(identity, name, value) {
        const struct schema_loc here = { .parent = loc, .name = custom_word ? custom_word : name };

        if (default_label(name))
            continue;
        if (++custom > IDENTITY_CUSTOM_MAX) {
            schema_error(errors, loc, "value_error", "Value error, At most %d custom identities are allowed",
                         IDENTITY_CUSTOM_MAX);
            return false;
        }
        fits &= check_custom(name, value, &here, errors);
    }
    return fits;
}

bool identity_check(json_object *identity, const struct schema_loc *loc, struct schema_errors *errors)
{
    return check_all(identity, NULL, loc, errors);
}

bool identity_check_derived(json_object *derived, const struct schema_loc *loc, struct schema_errors *errors)
{
    return check_all(derived, IDENTITY_CUSTOM_WORD, loc, errors);
}

/* --- values --- */

/* The value itself: a custom identity's without its label. */
static json_object *bare_value(json_object *value)
{
    return json_object_is_type(value, json_type_object) ? schema_get(value, "value") : value;
}

static bool is_given(json_object *value)
{
    json_object *bare = bare_value(value);

    return bare && !(json_object_is_type(bare, json_type_string) && !*json_object_get_string(bare));
}

bool identity_has_value(json_object *identity)
{
    json_object_object_foreach(identity, name, value) {
        (void)name;
        if (is_given(value))
            return true;
    }
    return false;
}

static const char *json_text(json_object *value)
{
    return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Domains know no case; what stands before the @-sign may. */
static const char *email_normal(const char *email, struct arena *arena)
{
    char *normal = arena_strdup(arena, email), *domain = strrchr(normal, '@');

    for (; domain && *domain; domain++)
        *domain = (char)tolower((unsigned char)*domain);
    return normal;
}

static const char *value_normal(const char *name, const char *value, struct arena *arena)
{
    return strcmp(name, "email") != 0 ? value : email_normal(value, arena);
}

static json_object *default_value(json_object *identity, const char *name, struct arena *arena)
{
    json_object *value = schema_get(identity, name);

    if (!value || !is_given(value))
        return NULL;
    return json_object_new_string(value_normal(name, json_object_get_string(value), arena));
}

static json_object *labelled_new(json_object *label, json_object *value)
{
    json_object *field = json_object_new_object();

    json_object_object_add(field, "label", label);
    json_object_object_add(field, "value", value);
    return field;
}

static json_object *custom_value(json_object *value)
{
    return labelled_new(json_object_get(schema_get(value, "label")), json_object_get(schema_get(value, "value")));
}

const char *identity_body(json_object *identity, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *body = json_object_new_object();

    for (int i = 0; i < IDENTITY_DEFAULTS; i++)
        json_object_object_add(body, identity_defaults[i],
                               default_value(identity, identity_defaults[i], arena));
    json_object_object_foreach(identity, name, value) {
        if (!default_label(name))
            json_object_object_add(body, name, custom_value(value));
    }
    return arena_strdup(arena, json_text(body));
}

/* --- what receivers tell beside ------------------------------------------------------------------------ */

static json_object *derived_value(const char *name, json_object *value, struct arena *arena)
{
    if (!default_label(name))
        return custom_value(value);
    return json_object_new_string(value_normal(name, json_object_get_string(value), arena));
}

const char *identity_derived(json_object *derived, struct arena *arena, const char **names)
{
    _cleanup_(json_object_putp) json_object *given = json_object_new_object();
    const char *all = NULL;

    json_object_object_foreach(derived, name, value) {
        const char *shown = default_label(name) ? name : IDENTITY_CUSTOM_WORD;

        if (!value)
            continue;
        json_object_object_add(given, name, derived_value(name, value, arena));
        all = all ? arena_printf(arena, "%s,%s", all, shown) : arena_strdup(arena, shown);
    }
    *names = all;
    return all ? arena_strdup(arena, json_text(given)) : NULL;
}

static void overlay(json_object *body, json_object *derived)
{
    json_object_object_foreach(derived, name, value) {
        bool known = !default_label(name) || is_given(value);

        json_object_object_add(body, name, known ? json_object_get(value) : NULL);
    }
}

const char *identity_overlay(const char *body, const char *const *derived, int count, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *whole = json_tokener_parse(body);

    for (int i = 0; i < count; i++) {
        _cleanup_(json_object_putp) json_object *one = json_tokener_parse(derived[i]);

        overlay(whole, one);
    }
    return arena_strdup(arena, json_text(whole));
}

/* --- as the API shows it ------------------------------------------------------------------------------- */

json_object *identity_labelled(json_object *body)
{
    json_object *shown = json_object_new_object();

    json_object_object_foreach(body, name, value) {
        const char *label = default_label(name);

        json_object_object_add(shown, name,
                               label ? labelled_new(json_object_new_string(label), json_object_get(value))
                                     : json_object_get(value));
    }
    return shown;
}

/* --- hashes --- */

int identity_hashes(json_object *identity, const struct seal_ring *ring, struct identity_hash *ret, int max,
                    struct arena *arena)
{
    int count = 0;

    json_object_object_foreach(identity, name, value) {
        json_object *bare = bare_value(value);
        bool is_text = json_object_is_type(bare, json_type_string);

        if (!is_given(value) || count == max)
            continue;
        ret[count].field = arena_strdup(arena, name);
        identity_search_hash(ring, name, is_text ? json_object_get_string(bare) : json_text(bare), arena,
                             ret[count].hash);
        count++;
    }
    return count;
}

void identity_search_hash(const struct seal_ring *ring, const char *field, const char *value,
                          struct arena *arena, uint8_t ret[SEAL_HASH_BYTES])
{
    seal_hash(ring, field, value_normal(field, value, arena), ret);
}
