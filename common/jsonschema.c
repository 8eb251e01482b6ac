#include "common/jsonschema.h"

#include <math.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/grammar.h"
#include "common/pattern.h"
#include "common/scan.h"
#include "common/schema.h"
#include "common/usec.h"

enum {
    PROPERTIES_MAX = 64, /* a bit each */
    DIGEST_BYTES = 16,
};

enum type {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_FRACTION = 8, /* a number that is no integer */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127,
};

/* One of an enum's values, or a const. */
struct constant {
    enum type type;
    const char *text; /* strings */
    size_t length;
    double number; /* numbers; booleans: 1 or 0 */
};

struct property {
    const char *name;
    size_t length;
    const struct jsonschema *schema; /* NULL: anything */
};

struct dependency {
    int property;
    uint64_t needs;
};

struct jsonschema {
    unsigned types;
    const struct constant *constants; /* NULL: any */
    int constant_count;
    size_t min_length, max_length; /* characters */
    const struct pattern *pattern;
    bool is_time;
    double min, max;
    const struct jsonschema *item;
    size_t min_items, max_items;
    bool is_set; /* no element twice */
    struct property *properties;
    int property_count;
    uint64_t required;
    const struct jsonschema *additional; /* NULL: anything */
    struct dependency *dependencies;
    int dependency_count;
    const struct jsonschema **any_of;
    int any_count;
};

static const struct jsonschema never;

/* --- compiling --------------------------------------------------------------------------------------- */

struct compiler {
    struct arena *arena;
    struct err *err;
    bool open;
};

static int refuse(const struct compiler *compiler, const char *keyword)
{
    return err_set(compiler->err, ERR_BAD_REQUEST, "A schema's '%.64s' is not known here.", keyword);
}

static int compile(const struct compiler *compiler, json_object *value, const struct jsonschema **ret);

static const struct {
    const char *word;
    unsigned types;
} type_words[] = {
    { "null", TYPE_NULL },       { "boolean", TYPE_BOOLEAN },
    { "integer", TYPE_INTEGER }, { "number", TYPE_INTEGER | TYPE_FRACTION },
    { "string", TYPE_STRING },   { "array", TYPE_ARRAY },
    { "object", TYPE_OBJECT },
};

static bool type_add(json_object *word, unsigned *types)
{
    for (size_t i = 0; i < COUNT_OF(type_words); i++)
        if (json_object_is_type(word, json_type_string) &&
            !strcmp(type_words[i].word, json_object_get_string(word))) {
            *types |= type_words[i].types;
            return true;
        }
    return false;
}

static int compile_type(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    bool known = true;

    schema->types = 0;
    if (!json_object_is_type(value, json_type_array))
        return type_add(value, &schema->types) ? 0 : refuse(compiler, "type");
    for (size_t i = 0; i < json_object_array_length(value); i++)
        known = known && type_add(json_object_array_get_idx(value, i), &schema->types);
    return known ? 0 : refuse(compiler, "type");
}

static enum type number_type(double number)
{
    return number == floor(number) ? TYPE_INTEGER : TYPE_FRACTION;
}

static bool constant_of(const struct compiler *compiler, json_object *value, struct constant *ret)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        *ret = (struct constant){ .type = TYPE_NULL };
        return true;
    case json_type_boolean:
        *ret = (struct constant){ .type = TYPE_BOOLEAN, .number = json_object_get_boolean(value) };
        return true;
    case json_type_int:
    case json_type_double:
        *ret = (struct constant){ .number = json_object_get_double(value) };
        ret->type = number_type(ret->number);
        return true;
    case json_type_string:
        *ret = (struct constant){ .type = TYPE_STRING, .length = (size_t)json_object_get_string_len(value) };
        ret->text = arena_strndup(compiler->arena, json_object_get_string(value), ret->length);
        return true;
    default:
        return false;
    }
}

static int compile_const(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    struct constant *constant = arena_new_of(compiler->arena, struct constant);

    schema->constants = constant;
    schema->constant_count = 1;
    return constant_of(compiler, value, constant) ? 0 : refuse(compiler, "const");
}

static int compile_enum(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    struct constant *constants;
    bool known = true;

    if (!json_object_is_type(value, json_type_array))
        return refuse(compiler, "enum");
    schema->constant_count = (int)json_object_array_length(value);
    constants = arena_array(compiler->arena, struct constant, (size_t)schema->constant_count + 1);
    for (int i = 0; i < schema->constant_count; i++)
        known = known && constant_of(compiler, json_object_array_get_idx(value, (size_t)i), &constants[i]);
    schema->constants = constants;
    return known ? 0 : refuse(compiler, "enum");
}

static int compile_size(const struct compiler *compiler, json_object *value, const char *keyword, size_t *ret)
{
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
        return refuse(compiler, keyword);
    *ret = (size_t)json_object_get_int64(value);
    return 0;
}

static int compile_min_length(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return compile_size(compiler, value, "minLength", &schema->min_length);
}

static int compile_max_length(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return compile_size(compiler, value, "maxLength", &schema->max_length);
}

static int compile_min_items(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return compile_size(compiler, value, "minItems", &schema->min_items);
}

static int compile_max_items(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return compile_size(compiler, value, "maxItems", &schema->max_items);
}

/* Of strings only, see compile(). */
static int compile_unique(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    schema->is_set = json_object_get_boolean(value);
    return json_object_is_type(value, json_type_boolean) ? 0 : refuse(compiler, "uniqueItems");
}

static bool is_number(json_object *value)
{
    return json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);
}

static int compile_minimum(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    schema->min = json_object_get_double(value);
    return is_number(value) ? 0 : refuse(compiler, "minimum");
}

static int compile_maximum(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    schema->max = json_object_get_double(value);
    return is_number(value) ? 0 : refuse(compiler, "maximum");
}

static int compile_pattern(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    bool known = json_object_is_type(value, json_type_string) &&
                 pattern_compile(json_object_get_string(value), compiler->arena, &schema->pattern);

    return known ? 0 : refuse(compiler, "pattern");
}

static int compile_format(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    schema->is_time = json_object_is_type(value, json_type_string) &&
                      !strcmp(json_object_get_string(value), "date-time");
    return schema->is_time ? 0 : refuse(compiler, "format");
}

static int compile_items(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return compile(compiler, value, &schema->item);
}

static int compile_additional(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    if (compiler->open && json_object_is_type(value, json_type_boolean))
        return 0;
    return compile(compiler, value, &schema->additional);
}

static int compile_any(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    int r = 0;

    if (!json_object_is_type(value, json_type_array))
        return refuse(compiler, "anyOf");
    schema->any_count = (int)json_object_array_length(value);
    schema->any_of = arena_array(compiler->arena, const struct jsonschema *, (size_t)schema->any_count + 1);
    for (int i = 0; r == 0 && i < schema->any_count; i++)
        r = compile(compiler, json_object_array_get_idx(value, (size_t)i), &schema->any_of[i]);
    return r;
}

/* The place of a property of that name, a new one where there was none; -1: no room. */
static int property_of(const struct compiler *compiler, const char *name, struct jsonschema *schema)
{
    int i = 0;

    while (i < schema->property_count && strcmp(schema->properties[i].name, name) != 0)
        i++;
    if (i == PROPERTIES_MAX || i < schema->property_count)
        return i == PROPERTIES_MAX ? -1 : i;
    if (!schema->properties)
        schema->properties = arena_array(compiler->arena, struct property, PROPERTIES_MAX);
    schema->properties[i] = (struct property){ arena_strdup(compiler->arena, name), strlen(name), NULL };
    return schema->property_count++;
}

static int compile_properties(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    int r = 0;

    if (!json_object_is_type(value, json_type_object))
        return refuse(compiler, "properties");
    json_object_object_foreach(value, name, member) {
        int place = property_of(compiler, name, schema);

        if (place < 0)
            return refuse(compiler, "properties");
        r = compile(compiler, member, &schema->properties[place].schema);
        if (r < 0)
            return r;
    }
    return r;
}

/* A list of names, as their bits; false: it is none. */
static bool names_of(const struct compiler *compiler, json_object *value, struct jsonschema *schema, uint64_t *ret)
{
    *ret = 0;
    if (!json_object_is_type(value, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        int place = property_of(compiler, json_object_get_string(json_object_array_get_idx(value, i)), schema);

        if (place < 0)
            return false;
        *ret |= (uint64_t)1 << place;
    }
    return true;
}

static int compile_required(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    return names_of(compiler, value, schema, &schema->required) ? 0 : refuse(compiler, "required");
}

static int compile_dependent(const struct compiler *compiler, json_object *value, struct jsonschema *schema)
{
    if (!json_object_is_type(value, json_type_object))
        return refuse(compiler, "dependentRequired");
    schema->dependencies =
        arena_array(compiler->arena, struct dependency, (size_t)json_object_object_length(value) + 1);
    json_object_object_foreach(value, name, member) {
        struct dependency *dependency = &schema->dependencies[schema->dependency_count++];

        dependency->property = property_of(compiler, name, schema);
        if (dependency->property < 0 || !names_of(compiler, member, schema, &dependency->needs))
            return refuse(compiler, "dependentRequired");
    }
    return 0;
}

/* run NULL: says nothing about what fits. */
static const struct {
    const char *name;
    int (*run)(const struct compiler *compiler, json_object *value, struct jsonschema *schema);
} keywords[] = {
    { "$schema", NULL },
    { "$id", NULL },
    { "$comment", NULL },
    { "title", NULL },
    { "description", NULL },
    { "examples", NULL },
    { "type", compile_type },
    { "enum", compile_enum },
    { "const", compile_const },
    { "minLength", compile_min_length },
    { "maxLength", compile_max_length },
    { "pattern", compile_pattern },
    { "format", compile_format },
    { "minimum", compile_minimum },
    { "maximum", compile_maximum },
    { "items", compile_items },
    { "minItems", compile_min_items },
    { "maxItems", compile_max_items },
    { "uniqueItems", compile_unique },
    { "properties", compile_properties },
    { "required", compile_required },
    { "dependentRequired", compile_dependent },
    { "additionalProperties", compile_additional },
    { "anyOf", compile_any },
};

static int compile_keyword(const struct compiler *compiler, const char *name, json_object *value,
                           struct jsonschema *schema)
{
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (!strcmp(keywords[i].name, name))
            return keywords[i].run ? keywords[i].run(compiler, value, schema) : 0;
    return refuse(compiler, name);
}

static int compile(const struct compiler *compiler, json_object *value, const struct jsonschema **ret)
{
    struct jsonschema *schema;

    *ret = NULL;
    if (json_object_is_type(value, json_type_boolean)) {
        if (!json_object_get_boolean(value))
            *ret = &never;
        return 0;
    }
    if (!json_object_is_type(value, json_type_object))
        return refuse(compiler, "schema");
    schema = arena_new_of(compiler->arena, struct jsonschema);
    *schema = (struct jsonschema){ .types = TYPE_ANY,
                                   .max_length = SIZE_MAX,
                                   .max_items = SIZE_MAX,
                                   .min = -INFINITY,
                                   .max = INFINITY };
    json_object_object_foreach(value, name, member) {
        int r = compile_keyword(compiler, name, member, schema);

        if (r < 0)
            return r;
    }
    if (schema->is_set && (!schema->item || schema->item->types != TYPE_STRING))
        return refuse(compiler, "uniqueItems");
    *ret = schema;
    return 0;
}

int jsonschema_compile(const char *text, bool open, struct arena *arena, const struct jsonschema **ret,
                       struct err *err)
{
    const struct compiler compiler = { arena, err, open };
    _cleanup_(json_object_putp) json_object *value = NULL;
    struct schema_errors errors = { 0 };

    if (schema_parse(text, strlen(text), &value, &errors) < 0) {
        schema_errors_free(&errors);
        return err_set(err, ERR_BAD_REQUEST, "A schema is no JSON.");
    }
    return compile(&compiler, value, ret);
}

/* --- reading ----------------------------------------------------------------------------------------- */

/* The way to a value. */
struct place {
    const struct place *parent; /* NULL: the outermost */
    const char *name;           /* NULL: an element; "*": a member that the schema does not name */
    size_t index;
};

struct reader {
    struct grammar in;
    struct buf plain; /* a string with escapes, without them */
    struct jsonschema_member *members;
    bool misfit, quiet;
    char *why;
};

static void place_print(const struct place *place, struct buf *out)
{
    if (!place->parent)
        return;
    place_print(place->parent, out);
    if (out->length)
        buf_addc(out, '/');
    if (place->name)
        buf_adds(out, place->name);
    else
        buf_printf(out, "%zu", place->index);
}

/* Only the first is told. */
static void misfit(struct reader *reader, const struct place *place, const char *what)
{
    _cleanup_(buf_free) struct buf path = BUF_INIT(JSONSCHEMA_WHY_BYTES);

    if (!reader->misfit && !reader->quiet) {
        place_print(place, &path);
        snprintf(reader->why, JSONSCHEMA_WHY_BYTES, "%.*s %s", (int)(path.length ? path.length : 4),
                 path.length ? path.data : "data", what);
    }
    reader->misfit = true;
}

struct text {
    const char *bytes;
    size_t length;
};

/* What the string that begins at `start` and ends at `end` says; valid until the next. */
static struct text string_text(struct reader *reader, size_t start, size_t end)
{
    const char *string = reader->in.text + start;
    size_t length = end - start;

    if (!memchr(string, '\\', length))
        return (struct text){ string + 1, length - 2 };
    buf_clear(&reader->plain);
    buf_adds(&reader->plain, "");
    scan_text((struct scan_token){ SCAN_STRING, string, length }, &reader->plain);
    return (struct text){ reader->plain.data, reader->plain.length };
}

static size_t characters(struct text text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.bytes[i] & 0xc0) != 0x80;
    return count;
}

static bool is_time(struct text text)
{
    char copy[USEC_TEXT_BYTES];
    usec_t time;

    if (text.length >= sizeof(copy))
        return false;
    memcpy(copy, text.bytes, text.length);
    copy[text.length] = '\0';
    /* More than ISO 8601 asks for: RFC 3339 wants seconds and a zone. */
    return text.length >= sizeof("2026-01-02T03:04:05Z") - 1 && copy[10] == 'T' && copy[16] == ':' &&
           strpbrk(copy + 19, "Z+-") && usec_parse(copy, &time);
}

/* Whether the value is one of the constants; `text` of a string, `number` of the others. */
static bool is_constant(const struct jsonschema *schema, enum type type, struct text text, double number)
{
    for (int i = 0; i < schema->constant_count; i++) {
        const struct constant *constant = &schema->constants[i];

        if (constant->type != type)
            continue;
        if (type == TYPE_STRING ? constant->length == text.length && !memcmp(constant->text, text.bytes, text.length)
                                : constant->number == number)
            return true;
    }
    return false;
}

static bool check_type(struct reader *reader, const struct jsonschema *schema, const struct place *place,
                       enum type type)
{
    if (schema->types & type)
        return true;
    misfit(reader, place, "is not of its type");
    return false;
}

static void check_scalar(struct reader *reader, const struct jsonschema *schema, const struct place *place,
                         enum type type, double number)
{
    if (!schema || !check_type(reader, schema, place, type))
        return;
    if (schema->constants && !is_constant(schema, type, (struct text){ 0 }, number))
        misfit(reader, place, "is none of its words");
    if (!(type & (TYPE_INTEGER | TYPE_FRACTION)))
        return;
    if (number < schema->min)
        misfit(reader, place, "is too small");
    if (number > schema->max)
        misfit(reader, place, "is too large");
}

static void check_text(struct reader *reader, const struct jsonschema *schema, const struct place *place,
                       struct text text)
{
    if (schema->constants && !is_constant(schema, TYPE_STRING, text, 0))
        misfit(reader, place, "is none of its words");
    if (text.length < schema->min_length || (schema->min_length > 1 && characters(text) < schema->min_length))
        misfit(reader, place, "is too short");
    if (text.length > schema->max_length && characters(text) > schema->max_length)
        misfit(reader, place, "is too long");
    if (schema->pattern && !pattern_matches(schema->pattern, text.bytes, text.length))
        misfit(reader, place, "is not of its pattern");
    if (schema->is_time && !is_time(text))
        misfit(reader, place, "is no date and time");
}

static bool read_string(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    size_t start = reader->in.at;

    if (!grammar_string(&reader->in))
        return false;
    if (schema && check_type(reader, schema, place, TYPE_STRING))
        check_text(reader, schema, place, string_text(reader, start, reader->in.at));
    return true;
}

static bool read_value(struct reader *reader, const struct jsonschema *schema, const struct place *place);

/* --- objects ----------------------------------------------------------------------------------------- */

/* -1: none of that name. Members mostly come in the schema's order, so `next` is looked at first. */
static int property_find(const struct jsonschema *schema, struct text name, int next)
{
    for (int i = 0; schema && i < schema->property_count; i++) {
        int at = (next + i) % schema->property_count;
        const struct property *property = &schema->properties[at];

        if (property->length == name.length && !memcmp(property->name, name.bytes, name.length))
            return at;
    }
    return -1;
}

static void keep_member(struct reader *reader, const struct property *property, size_t start)
{
    for (struct jsonschema_member *member = reader->members; member && member->name; member++)
        if (!strcmp(member->name, property->name)) {
            member->text = reader->in.text + start;
            member->length = reader->in.at - start;
        }
}

static const struct jsonschema *member_schema(const struct jsonschema *schema, int place)
{
    if (!schema)
        return NULL;
    return place < 0 ? schema->additional : schema->properties[place].schema;
}

/* One member, from its name to the end of its value. */
static bool read_member(struct reader *reader, const struct jsonschema *schema, const struct place *parent,
                        uint64_t *seen, int *next)
{
    size_t start = reader->in.at;
    struct place place = { parent, "*", 0 };
    int property;

    if (!grammar_string(&reader->in))
        return false;
    property = property_find(schema, string_text(reader, start, reader->in.at), *next);
    if (property >= 0) {
        place.name = schema->properties[property].name;
        if (*seen >> property & 1)
            misfit(reader, &place, "is there twice");
        *seen |= (uint64_t)1 << property;
        *next = property + 1;
    }
    grammar_space(&reader->in);
    if (!grammar_char(&reader->in, ':'))
        return false;
    grammar_space(&reader->in);
    start = reader->in.at;
    if (!read_value(reader, member_schema(schema, property), &place))
        return false;
    if (property >= 0 && !parent->parent && !reader->quiet)
        keep_member(reader, &schema->properties[property], start);
    return true;
}

static void check_needed(struct reader *reader, const struct jsonschema *schema, const struct place *parent,
                         uint64_t missing)
{
    struct place place = { parent, NULL, 0 };

    if (!missing)
        return;
    place.name = schema->properties[__builtin_ctzll(missing)].name;
    misfit(reader, &place, "is missing");
}

static void check_object(struct reader *reader, const struct jsonschema *schema, const struct place *place,
                         uint64_t seen)
{
    if (schema->constants)
        misfit(reader, place, "is none of its words");
    check_needed(reader, schema, place, schema->required & ~seen);
    for (int i = 0; i < schema->dependency_count; i++)
        if (seen >> schema->dependencies[i].property & 1)
            check_needed(reader, schema, place, schema->dependencies[i].needs & ~seen);
}

/* After the opening brace. */
static bool read_members(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    uint64_t seen = 0;
    int next = 0;

    grammar_space(&reader->in);
    if (!grammar_char(&reader->in, '}')) {
        do {
            grammar_space(&reader->in);
            if (!read_member(reader, schema, place, &seen, &next))
                return false;
        } while (grammar_char(&reader->in, ','));
        if (!grammar_char(&reader->in, '}'))
            return false;
    }
    if (schema && check_type(reader, schema, place, TYPE_OBJECT))
        check_object(reader, schema, place, seen);
    return true;
}

/* --- arrays and the rest ----------------------------------------------------------------------------- */

/* The element that begins at `start`: what stands for it among those that there are. */
static void set_add(struct reader *reader, size_t start, struct buf *set)
{
    unsigned char digest[DIGEST_BYTES];
    size_t end = reader->in.at;
    struct text text;

    if (reader->in.text[start] != '"')
        return; /* a misfit anyway */
    while (reader->in.text[end - 1] != '"') /* of the space after it */
        end--;
    text = string_text(reader, start, end);
    crypto_generichash(digest, sizeof(digest), (const unsigned char *)text.bytes, text.length, NULL, 0);
    buf_add(set, digest, sizeof(digest));
}

static int digest_compare(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_BYTES);
}

static bool set_is_one(struct buf *set)
{
    size_t count = set->length / DIGEST_BYTES;

    if (count > 1)
        qsort(set->data, count, DIGEST_BYTES, digest_compare);
    for (size_t i = 1; i < count; i++)
        if (!memcmp(set->data + (i - 1) * DIGEST_BYTES, set->data + i * DIGEST_BYTES, DIGEST_BYTES))
            return false;
    return true;
}

static void check_array(struct reader *reader, const struct jsonschema *schema, const struct place *place,
                        size_t count, struct buf *set)
{
    if (schema->constants)
        misfit(reader, place, "is none of its words");
    if (count < schema->min_items)
        misfit(reader, place, "has too few elements");
    if (count > schema->max_items)
        misfit(reader, place, "has too many elements");
    if (!set_is_one(set))
        misfit(reader, place, "has an element twice");
}

/* After the opening bracket. */
static bool read_elements(struct reader *reader, const struct jsonschema *schema, const struct place *parent)
{
    _cleanup_(buf_free) struct buf set = BUF_INIT(DIGEST_BYTES * reader->in.length);
    struct place place = { parent, NULL, 0 };

    grammar_space(&reader->in);
    if (!grammar_char(&reader->in, ']')) {
        do {
            size_t start;

            grammar_space(&reader->in);
            start = reader->in.at;
            if (!read_value(reader, schema ? schema->item : NULL, &place))
                return false;
            if (schema && schema->is_set)
                set_add(reader, start, &set);
            place.index++;
        } while (grammar_char(&reader->in, ','));
        if (!grammar_char(&reader->in, ']'))
            return false;
    }
    if (schema && check_type(reader, schema, parent, TYPE_ARRAY))
        check_array(reader, schema, parent, place.index, &set);
    return true;
}

static bool read_within(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    bool is_object = reader->in.text[reader->in.at++] == '{';

    if (++reader->in.depth > SCHEMA_DEPTH_MAX)
        return false;
    if (is_object ? !read_members(reader, schema, place) : !read_elements(reader, schema, place))
        return false;
    reader->in.depth--;
    return true;
}

static bool read_word(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    switch (grammar_peek(&reader->in)) {
    case 't':
        check_scalar(reader, schema, place, TYPE_BOOLEAN, 1);
        return grammar_word(&reader->in, "true");
    case 'f':
        check_scalar(reader, schema, place, TYPE_BOOLEAN, 0);
        return grammar_word(&reader->in, "false");
    default:
        check_scalar(reader, schema, place, TYPE_NULL, 0);
        return grammar_word(&reader->in, "null");
    }
}

static bool read_number(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    double number;

    if (!grammar_number(&reader->in, &number))
        return false;
    check_scalar(reader, schema, place, number_type(number), number);
    return true;
}

static bool read_one(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    switch (grammar_peek(&reader->in)) {
    case '{':
    case '[':
        return read_within(reader, schema, place);
    case '"':
        return read_string(reader, schema, place);
    case 't':
    case 'f':
    case 'n':
        return read_word(reader, schema, place);
    default:
        return read_number(reader, schema, place);
    }
}

/* Reads the value at `start` once more for each, until one fits. */
static void check_any(struct reader *reader, const struct jsonschema *schema, const struct place *place, size_t start)
{
    struct reader again = *reader;

    again.quiet = true;
    again.misfit = true;
    again.plain = BUF_INIT(reader->plain.max);
    for (int i = 0; again.misfit && i < schema->any_count; i++) {
        again.misfit = false;
        again.in.at = start;
        (void)read_value(&again, schema->any_of[i], place);
    }
    buf_free(&again.plain);
    if (again.misfit)
        misfit(reader, place, "is none of what it may be");
}

static bool read_value(struct reader *reader, const struct jsonschema *schema, const struct place *place)
{
    size_t start;

    grammar_space(&reader->in);
    start = reader->in.at;
    if (schema == &never) {
        misfit(reader, place, "is not known");
        schema = NULL;
    }
    if (!read_one(reader, schema, place))
        return false;
    if (schema && schema->any_count)
        check_any(reader, schema, place, start);
    grammar_space(&reader->in);
    return true;
}

static bool read_all(struct reader *reader, const struct jsonschema *schema)
{
    static const struct place outermost;

    return read_value(reader, schema, &outermost) && reader->in.at == reader->in.length;
}

enum jsonschema_verdict jsonschema_check(const struct jsonschema *schema, const char *text, size_t length,
                                         struct jsonschema_member *members, char why[JSONSCHEMA_WHY_BYTES])
{
    struct reader reader = { .in = { .text = text, .length = length },
                             .plain = BUF_INIT(length + 8),
                             .members = members,
                             .why = why };
    bool is_json = schema_is_utf8(text, length);

    if (!is_json) {
        snprintf(why, JSONSCHEMA_WHY_BYTES, "is not UTF-8");
        return JSONSCHEMA_NO_JSON;
    }
    is_json = read_all(&reader, schema);
    buf_free(&reader.plain);
    if (!is_json)
        snprintf(why, JSONSCHEMA_WHY_BYTES, "%s at byte %zu",
                 reader.in.depth > SCHEMA_DEPTH_MAX ? "is too deep" : "is no JSON", reader.in.at);
    return !is_json ? JSONSCHEMA_NO_JSON : reader.misfit ? JSONSCHEMA_MISFIT : JSONSCHEMA_FITS;
}
