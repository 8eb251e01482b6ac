#include "worker/execute/keys.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema.h"

enum { SLOTS_MIN = 64, PATH_NAME_MAX = 256, DIGITS_MAX = 1000,
       SERVER_CHECKS_INPUT = 160000 /* pg_input_is_valid() */ };

/* Writes the form of `text` that the type takes; false when it takes none. */
typedef bool cast(const char *text, size_t length, struct buf *ret);

struct key_type {
    Oid base;
    cast *cast;
    bool can_split;
};

struct keys {
    const struct source_column *column; /* of an array its element */
    struct source_column element;
    bool is_array, is_whole; /* whole: its other elements are read, too */
    cast *declared; /* of the dataset; NULL: none */
    const struct key_type *type;
    struct buf texts;    /* each ends with NUL */
    uint32_t *starts;    /* of the texts, in the order of their arrival */
    uint32_t *slots;     /* hash table: a key's number plus one; 0: free */
    uint32_t count, capacity, slot_count;
    struct buf once, twice; /* a value under way */
};

static bool keep(const char *text, size_t length, struct buf *ret)
{
    buf_add(ret, text, length);
    return true;
}

static size_t digits_of(const char *text, size_t length)
{
    size_t count = 0;

    while (count < length && isdigit((unsigned char)text[count]))
        count++;
    return count;
}

/* A decimal number in parts: sign, digits without leading zeros, digits of the fraction without trailing ones, and
 * what follows them (an exponent). */
struct decimal {
    bool negative;
    const char *whole, *fraction, *rest;
    size_t whole_length, fraction_length, rest_length;
};

static bool decimal_read(const char *text, size_t length, struct decimal *ret)
{
    const char *end = text + length;
    size_t any;

    *ret = (struct decimal){ .negative = length && *text == '-', .fraction = "" };
    text += length && (*text == '-' || *text == '+');
    ret->whole = text;
    any = ret->whole_length = digits_of(text, (size_t)(end - text));
    text += ret->whole_length;
    if (text < end && *text == '.') {
        ret->fraction = ++text;
        ret->fraction_length = digits_of(text, (size_t)(end - text));
        any += ret->fraction_length;
        text += ret->fraction_length;
    }
    for (; ret->whole_length && *ret->whole == '0'; ret->whole++)
        ret->whole_length--;
    while (ret->fraction_length && ret->fraction[ret->fraction_length - 1] == '0')
        ret->fraction_length--;
    ret->rest = text;
    ret->rest_length = (size_t)(end - text);
    return any > 0 && any <= DIGITS_MAX;
}

static bool int_read(const char *text, size_t length, int64_t *ret)
{
    char copy[24];
    struct decimal number;

    if (!decimal_read(text, length, &number) || number.rest_length || number.fraction_length ||
        number.whole_length > 19)
        return false;
    snprintf(copy, sizeof(copy), "%s%.*s", number.negative ? "-" : "", (int)number.whole_length, number.whole);
    errno = 0;
    *ret = strtoll(copy, NULL, 10);
    return errno == 0;
}

static bool cast_bounded(const char *text, size_t length, int64_t max, struct buf *ret)
{
    int64_t value;

    if (!int_read(text, length, &value) || value > max || value < -max - 1)
        return false;
    buf_printf(ret, "%" PRId64, value);
    return true;
}

static bool cast_int2(const char *text, size_t length, struct buf *ret)
{
    return cast_bounded(text, length, INT16_MAX, ret);
}

static bool cast_int4(const char *text, size_t length, struct buf *ret)
{
    return cast_bounded(text, length, INT32_MAX, ret);
}

static bool cast_int8(const char *text, size_t length, struct buf *ret)
{
    return cast_bounded(text, length, INT64_MAX, ret);
}

/* "e+20": of a float that is a key to a numeric; its digits are written out by the server. */
static bool is_exponent(const char *text, size_t length)
{
    size_t sign = length > 1 && (text[1] == '-' || text[1] == '+') ? 2 : 1;

    return length > sign && length <= sign + 3 && tolower((unsigned char)*text) == 'e' &&
           digits_of(text + sign, length - sign) == length - sign;
}

static bool cast_numeric(const char *text, size_t length, struct buf *ret)
{
    struct decimal number;

    if (!decimal_read(text, length, &number) || (number.rest_length && !is_exponent(number.rest, number.rest_length)))
        return false;
    if (number.negative && number.whole_length + number.fraction_length)
        buf_addc(ret, '-');
    buf_add(ret, number.whole_length ? number.whole : "0", number.whole_length ? number.whole_length : 1);
    if (number.fraction_length)
        buf_addc(ret, '.');
    buf_add(ret, number.fraction, number.fraction_length);
    buf_add(ret, number.rest, number.rest_length);
    return true;
}

static bool float_read(const char *text, size_t length, double *ret)
{
    char copy[DIGITS_MAX + 1], *end;

    if (!length || length > DIGITS_MAX || strspn(text, "0123456789+-.eE") < length)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    errno = 0;
    *ret = strtod(copy, &end);
    return !*end && errno == 0 && isfinite(*ret);
}

static bool cast_float8(const char *text, size_t length, struct buf *ret)
{
    double value;

    if (!float_read(text, length, &value))
        return false;
    buf_printf(ret, "%.17g", value);
    return true;
}

static bool cast_float4(const char *text, size_t length, struct buf *ret)
{
    double value;

    if (!float_read(text, length, &value) || fabs(value) > (double)FLT_MAX ||
        (value != 0 && fabs(value) < (double)FLT_MIN))
        return false;
    buf_printf(ret, "%.9g", value);
    return true;
}

static bool cast_bool(const char *text, size_t length, struct buf *ret)
{
    static const char *const words[] = { "false", "False", "0", "f", "true", "True", "1", "t" };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strlen(words[i]) == length && !memcmp(words[i], text, length))
            return keep(i < 4 ? "false" : "true", i < 4 ? 5 : 4, ret);
    return false;
}

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

/* With its four dashes or without any. */
static bool cast_uuid(const char *text, size_t length, struct buf *ret)
{
    static const int groups[] = { 8, 4, 4, 4, 12 };
    size_t dash = length == 36, at = 0;

    if (length != 36 && length != 32)
        return false;
    for (size_t i = 0; i < COUNT_OF(groups); at += (size_t)groups[i++]) {
        if (i && dash && text[at++] != '-')
            return false;
        if (!is_hex(text + at, (size_t)groups[i]))
            return false;
        for (int j = 0; j < groups[i]; j++)
            buf_addc(ret, (char)tolower((unsigned char)text[at + (size_t)j]));
    }
    return true;
}

/* The day's first moment, for what has no clock; years 1 to 9999. */
static bool time_read(const char *text, size_t length, usec_t *ret)
{
    const usec_t first = -62135596800 * USEC_PER_S, last = 253402300799 * USEC_PER_S;
    char copy[USEC_TEXT_BYTES];

    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return usec_parse(copy, ret) && *ret >= first && *ret <= last;
}

static bool cast_date(const char *text, size_t length, struct buf *ret)
{
    char formatted[USEC_TEXT_BYTES];
    usec_t time;

    if (!time_read(text, length, &time) || time % (86400 * USEC_PER_S))
        return false;
    return keep(usec_format_bare(time, formatted), strlen("2026-01-02"), ret);
}

static bool cast_timestamp(const char *text, size_t length, struct buf *ret)
{
    char formatted[USEC_TEXT_BYTES];
    usec_t time;

    if (!time_read(text, length, &time))
        return false;
    buf_adds(ret, usec_format_bare(time, formatted));
    return true;
}

static bool cast_timestamptz(const char *text, size_t length, struct buf *ret)
{
    char formatted[USEC_TEXT_BYTES];
    usec_t time;

    if (!time_read(text, length, &time))
        return false;
    buf_adds(ret, usec_format_z(time, formatted));
    return true;
}

/* char(n) is equal to itself with blanks after it. */
static bool cast_blank(const char *text, size_t length, struct buf *ret)
{
    while (length && text[length - 1] == ' ')
        length--;
    return keep(text, length, ret);
}

static bool cast_object_id(const char *text, size_t length, struct buf *ret)
{
    return length == 24 && is_hex(text, length) && keep(text, length, ret);
}

static bool cast_none(const char *text, size_t length, struct buf *ret)
{
    (void)text;
    (void)length;
    (void)ret;
    return false;
}

/* Of what the dataset says that the field is: dsr.md 3. */
static cast *const declared[] = {
    [DATASET_STRING] = keep,       [DATASET_INTEGER] = cast_int8,        [DATASET_FLOAT] = cast_numeric,
    [DATASET_BOOLEAN] = cast_bool, [DATASET_OBJECT_ID] = cast_object_id, [DATASET_OBJECT] = cast_none,
};

static const struct key_type types[] = {
    { 16, cast_bool, true },
    { 20, cast_int8, true },
    { 21, cast_int2, true },
    { 23, cast_int4, true },
    { 25, keep, true },
    { 700, cast_float4, true },
    { 701, cast_float8, true },
    { 1042, cast_blank, true },
    { 1043, keep, true },
    { 1082, cast_date, true },
    { 1114, cast_timestamp, true },
    { 1184, cast_timestamptz, true },
    { 1700, cast_numeric, false }, /* 1e2 is 100 */
    { 2950, cast_uuid, true },
};
/* citext and others whose equality is not ours to know. */
static const struct key_type type_string = { 0, keep, false };

static const struct key_type *type_of(const struct source_column *column)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].base == column->base)
            return &types[i];
    return &type_string;
}

/* What is within a json column is asked for as text. */
static const struct source_column column_within = { .base = 25, .base_name = "text", .category = 'S' };

static bool is_json(const struct source_column *column)
{
    return column->base == 114 || column->base == 3802;
}

/* There is no equality of json and xml. */
static bool is_document(const struct source_column *column)
{
    return column->base == 114 || column->base == 142;
}

/* Any text is a value of a string type; of an enum, and from PostgreSQL 16 on of every scalar type, the server can be
 * asked what is. */
static bool can_be_found(const struct source_column *column, int version)
{
    if (type_of(column) != &type_string || column->category == 'S' || column->category == 'E')
        return true;
    return version >= SERVER_CHECKS_INPUT && column->category && !strchr("ACGPRXZ", column->category) &&
           !is_document(column);
}

/* The element as a column of its own. */
static struct source_column element_of(const struct source_column *column)
{
    struct source_column element = *column;

    if (column->element_name) {
        element.base = column->element;
        element.base_name = column->element_name;
        element.category = column->element_category;
    }
    return element;
}

int keys_new(const struct dataset_field *field, const struct source_column *column, int version, struct keys **ret,
             struct err *err)
{
    const struct source_column element = element_of(column);
    struct keys *keys;

    if (field->parent && is_json(column))
        column = &column_within;
    else if (field->parent || !can_be_found(&element, version))
        return err_set(err, ERR_REFUSED, "Field '%.200s' is of type %.100s: rows can't be found by it.", field->path,
                       column->type_name);
    keys = calloc(1, sizeof(*keys));
    if (!keys)
        abort();
    keys->element = element;
    keys->is_array = column->element_name;
    keys->is_whole = field->return_all_elements;
    keys->column = keys->is_array ? &keys->element : column;
    keys->type = type_of(keys->column);
    keys->declared = declared[field->type];
    keys->texts = BUF_INIT(KEYS_BYTES_MAX);
    keys->once = keys->twice = BUF_INIT(2 * KEYS_TEXT_MAX);
    *ret = keys;
    return 0;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    buf_free(&keys->texts);
    buf_free(&keys->once);
    buf_free(&keys->twice);
    free(keys->starts);
    free(keys->slots);
    free(keys);
}

static const char *key_text(const struct keys *keys, uint32_t number)
{
    return keys->texts.data + keys->starts[number];
}

/* Values come from people: the hash has a key of this process, so that nobody can make them all meet in one slot. */
static uint64_t hash_of(const char *text, size_t length)
{
    static _Thread_local uint8_t key[crypto_shorthash_KEYBYTES];
    static _Thread_local bool is_made;
    uint64_t hash;

    if (!is_made)
        randombytes_buf(key, sizeof(key));
    is_made = true;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)text, length, key);
    return hash;
}

/* The slot that has it, or the free one where it belongs. */
static uint32_t *slot_of(const struct keys *keys, const char *text, size_t length)
{
    uint64_t i = hash_of(text, length);

    for (;; i++) {
        uint32_t *slot = &keys->slots[i & (keys->slot_count - 1)];

        if (!*slot || !strcmp(key_text(keys, *slot - 1), text))
            return slot;
    }
}

static void *grown(void *memory, size_t count, size_t size)
{
    void *larger = reallocarray(memory, count, size);

    if (!larger)
        abort();
    return larger;
}

/* Twice as many slots as there may be keys. */
static void keys_grow(struct keys *keys)
{
    keys->capacity = keys->capacity ? keys->capacity * 2 : SLOTS_MIN / 2;
    keys->slot_count = keys->capacity * 2;
    keys->starts = grown(keys->starts, keys->capacity, sizeof(*keys->starts));
    keys->slots = grown(keys->slots, keys->slot_count, sizeof(*keys->slots));
    memset(keys->slots, 0, keys->slot_count * sizeof(*keys->slots));
    for (uint32_t i = 0; i < keys->count; i++)
        *slot_of(keys, key_text(keys, i), strlen(key_text(keys, i))) = i + 1;
}

static void key_keep(struct keys *keys, const char *text, size_t length)
{
    uint32_t start = (uint32_t)keys->texts.length, *slot;

    if (keys->count == keys->capacity)
        keys_grow(keys);
    slot = slot_of(keys, text, length);
    if (*slot)
        return;
    buf_add(&keys->texts, text, length + 1);
    if (keys->texts.overflow)
        return;
    keys->starts[keys->count] = start;
    *slot = ++keys->count;
}

static void key_add(struct keys *keys, const char *text, size_t length)
{
    buf_clear(&keys->once);
    buf_clear(&keys->twice);
    if (length > KEYS_TEXT_MAX || memchr(text, '\0', length))
        return;
    if (keys->declared && !keys->declared(text, length, &keys->once))
        return;
    if (!keys->declared)
        buf_add(&keys->once, text, length);
    buf_add(&keys->once, "", 0); /* an empty text too ends with NUL */
    if (!keys->type->cast(keys->once.data, keys->once.length, &keys->twice))
        return;
    buf_add(&keys->twice, "", 0);
    if (!keys->once.overflow && !keys->twice.overflow)
        key_keep(keys, keys->twice.data, keys->twice.length);
}

static void list_add(struct keys *keys, json_object *list, const char *path)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        keys_add(keys, json_object_array_get_idx(list, i), path);
}

static void member_add(struct keys *keys, json_object *object, const char *path)
{
    size_t length = strcspn(path, ".");
    json_object *member = NULL;
    char name[PATH_NAME_MAX];

    if (length >= sizeof(name))
        return;
    memcpy(name, path, length);
    name[length] = '\0';
    if (json_object_object_get_ex(object, name, &member))
        keys_add(keys, member, path[length] ? path + length + 1 : NULL);
}

void keys_add(struct keys *keys, json_object *value, const char *path)
{
    const char *text;

    if (json_object_is_type(value, json_type_array)) {
        list_add(keys, value, path);
    } else if (json_object_is_type(value, json_type_object)) {
        if (path)
            member_add(keys, value, path);
    } else if (value && !path) {
        text = json_object_get_string(value);
        key_add(keys, text,
                json_object_is_type(value, json_type_string) ? (size_t)json_object_get_string_len(value)
                                                             : strlen(text));
    }
}

/* Lists, objects and texts with escapes: the rest, which is nearly all, is taken as it stands. */
static void parse_add(struct keys *keys, const char *path, const char *json, size_t length)
{
    struct json_tokener *tokener = json_tokener_new_ex(SCHEMA_DEPTH_MAX);
    json_object *value;

    if (!tokener)
        abort();
    value = length <= INT32_MAX ? json_tokener_parse_ex(tokener, json, (int)length) : NULL;
    keys_add(keys, value, path);
    json_object_put(value);
    json_tokener_free(tokener);
}

void keys_add_json(struct keys *keys, const char *path, const char *json, size_t length)
{
    if (!length || (length == 4 && !memcmp(json, "null", 4)))
        return;
    if (json[0] == '[' || json[0] == '{' || isspace((unsigned char)json[0]) || memchr(json, '\\', length))
        parse_add(keys, path, json, length);
    else if (!path && json[0] == '"')
        key_add(keys, json + 1, length - 2);
    else if (!path)
        key_add(keys, json, length);
}

int keys_count(const struct keys *keys)
{
    return (int)keys->count;
}

bool keys_overflow(const struct keys *keys)
{
    return keys->texts.overflow;
}

bool keys_can_split(const struct keys *keys)
{
    return keys->type->can_split && !keys->is_array; /* a row may have several of them */
}

/* As an SQL text: a type may have any name. */
static const char *quoted(const char *text, struct arena *arena)
{
    char *copy = arena_alloc(arena, 2 * strlen(text) + 3), *p = copy;

    *p++ = '\'';
    for (; *text; text++) {
        if (*text == '\'')
            *p++ = '\'';
        *p++ = *text;
    }
    *p = '\'';
    return copy;
}

static const char *placeholder(const struct keys *keys, int n, struct arena *arena)
{
    const char *type = keys->column->base_name;

    if (keys->type != &type_string || keys->column->category == 'S')
        return arena_printf(arena, "$%d::%s[]", n, type);
    if (keys->column->category == 'E')
        return arena_printf(arena, "array(select v::%s from unnest($%d::text[]) v "
                                   "where v = any(enum_range(null::%s)::text[]))", type, n, type);
    return arena_printf(arena, "array(select v::%s from unnest($%d::text[]) v where pg_input_is_valid(v, %s))", type,
                        n, quoted(type, arena));
}

const char *keys_condition(const struct keys *keys, int n, const char *expression, struct arena *arena)
{
    return arena_printf(arena, keys->is_array ? "%s && %s" : "%s = any(%s)", expression, placeholder(keys, n, arena));
}

const char *keys_column(const struct keys *keys, int n, const char *expression, struct arena *arena)
{
    if (!keys->is_array || keys->is_whole)
        return NULL;
    return arena_printf(arena, "case when %s is not null then array(select e from unnest(%s) with ordinality as u(e, i) "
                        "where e = any(%s) order by i) end", expression, expression, placeholder(keys, n, arena));
}

static void element_put(const char *text, struct buf *array)
{
    buf_addc(array, '"');
    for (size_t run = strcspn(text, "\"\\");; run = strcspn(text, "\"\\")) {
        buf_add(array, text, run);
        text += run;
        if (!*text)
            break;
        buf_add(array, (char[]){ '\\', *text++ }, 2);
    }
    buf_addc(array, '"');
}

void keys_array(const struct keys *keys, int first, int count, struct buf *array)
{
    int end = first + count < keys_count(keys) ? first + count : keys_count(keys);

    buf_clear(array);
    buf_addc(array, '{');
    for (int i = first; i < end; i++) {
        if (i > first)
            buf_addc(array, ',');
        element_put(key_text(keys, (uint32_t)i), array);
    }
    buf_addc(array, '}');
}
