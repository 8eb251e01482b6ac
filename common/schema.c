#include "common/schema.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/grammar.h"
#include "common/usec.h"

enum { STRING_CHARS_MAX = 100000 };
enum { KEY_CHARS_MAX = 512 }; /* an index of PostgreSQL takes no row above 2,704 bytes */
/* RFC 5321 and RFC 1035 */
enum { EMAIL_CHARS_MAX = 254, EMAIL_LOCAL_CHARS_MAX = 64, DOMAIN_LABEL_CHARS_MAX = 63 };

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

DEFINE_CLEANUP(char *, free)
DEFINE_CLEANUP(json_tokener *, json_tokener_free)

/* --- errors ----------------------------------------------------------------------------------- */

void schema_errors_free(struct schema_errors *errors)
{
    json_object_put(TAKE(errors->list));
}

static size_t errors_count(const struct schema_errors *errors)
{
    return errors->list ? json_object_array_length(errors->list) : 0;
}

static void add_loc(json_object *list, const struct schema_loc *loc)
{
    if (!loc)
        return;
    add_loc(list, loc->parent);
    json_object_array_add(list, loc->name ? json_object_new_string(loc->name)
                                          : json_object_new_int(loc->index));
}

void schema_error(struct schema_errors *errors, const struct schema_loc *loc, const char *type,
                  const char *msg, ...)
{
    _cleanup_(freep) char *text = NULL;
    json_object *entry, *where;
    va_list args;

    if (errors_count(errors) >= SCHEMA_ERRORS_MAX)
        return;
    va_start(args, msg);
    if (vasprintf(&text, msg, args) < 0)
        abort();
    va_end(args);
    if (!errors->list)
        errors->list = json_object_new_array();
    where = json_object_new_array();
    add_loc(where, loc);
    entry = json_object_new_object();
    json_object_object_add(entry, "type", json_object_new_string(type));
    json_object_object_add(entry, "loc", where);
    json_object_object_add(entry, "msg", json_object_new_string(text));
    json_object_array_add(errors->list, entry);
}

/* --- parsing ---------------------------------------------------------------------------------- */

/* Held against the text before json-c builds from it: json-c alone takes NaN, NUL characters, lone surrogates and more,
 * and which of them depends on its version. */
static bool scan_value(struct grammar *scan);

static bool scan_member(struct grammar *scan)
{
    grammar_space(scan);
    if (!grammar_string(scan))
        return false;
    grammar_space(scan);
    return grammar_char(scan, ':') && scan_value(scan);
}

/* What stands between brackets, after the opening one. */
static bool scan_items(struct grammar *scan, char end, bool (*item)(struct grammar *))
{
    if (++scan->depth > SCHEMA_DEPTH_MAX)
        return false;
    grammar_space(scan);
    if (!grammar_char(scan, end)) {
        do {
            if (!item(scan))
                return false;
        } while (grammar_char(scan, ','));
        if (!grammar_char(scan, end))
            return false;
    }
    scan->depth--;
    return true;
}

static bool scan_one(struct grammar *scan)
{
    double number;

    switch (grammar_peek(scan)) {
    case '{':
        scan->at++;
        return scan_items(scan, '}', scan_member);
    case '[':
        scan->at++;
        return scan_items(scan, ']', scan_value);
    case '"':
        return grammar_string(scan);
    case 't':
        return grammar_word(scan, "true");
    case 'f':
        return grammar_word(scan, "false");
    case 'n':
        return grammar_word(scan, "null");
    default:
        return grammar_number(scan, &number);
    }
}

static bool scan_value(struct grammar *scan)
{
    grammar_space(scan);
    if (!scan_one(scan))
        return false;
    grammar_space(scan);
    return true;
}

/* The bytes of the character that begins at `bytes`, 0 when none does. RFC 3629: shortest form,
 * no surrogates. */
static size_t utf8_step(const unsigned char *bytes, size_t length)
{
    size_t size = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;

    if (size == 1)
        return 1;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || size > length)
        return 0;
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] > 0x9f) ||
        (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* How many bytes from the start are ASCII, as far as eights of them tell. */
static size_t ascii_span(const char *bytes, size_t length)
{
    size_t at = 0;
    uint64_t eight;

    for (; length - at >= sizeof(eight); at += sizeof(eight)) {
        memcpy(&eight, bytes + at, sizeof(eight));
        if (eight & 0x8080808080808080u)
            break;
    }
    return at;
}

/* How many bytes from the start are UTF-8. */
static size_t utf8_span(const char *bytes, size_t length)
{
    size_t at = ascii_span(bytes, length), step;

    for (; at < length; at += step) {
        step = utf8_step((const unsigned char *)bytes + at, length - at);
        if (!step)
            break;
    }
    return at;
}

bool schema_is_utf8(const char *bytes, size_t length)
{
    return utf8_span(bytes, length) == length;
}

static size_t utf8_count(const char *bytes, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

static bool scan_text(struct grammar *scan)
{
    size_t valid = utf8_span(scan->text, scan->length);

    if (valid == scan->length)
        return scan_value(scan) && scan->at == scan->length;
    scan->at = valid;
    return false;
}

static json_object *build(const char *text, size_t length)
{
    _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(SCHEMA_DEPTH_MAX + 1);
    json_object *value;

    if (!tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    value = json_tokener_parse_ex(tokener, text, (int)length);
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        value = json_tokener_parse_ex(tokener, "", 1); /* NUL: a number has ended */
    if (json_tokener_get_error(tokener) != json_tokener_success)
        abort(); /* the grammar was held: out of memory */
    return value;
}

int schema_parse(const char *text, size_t length, json_object **ret, struct schema_errors *errors)
{
    struct schema_loc body = { .name = "body" }, position = { .parent = &body };
    struct grammar scan = { .text = text, .length = length };

    if (length < INT_MAX && scan_text(&scan)) {
        *ret = build(text, length);
        return 0;
    }
    position.index = (int)utf8_count(text, scan.at);
    schema_error(errors, &position, "json_invalid", "JSON decode error");
    return -ERR_INVALID;
}

/* --- checks of text alone --------------------------------------------------------------------- */

bool schema_parse_bool(const char *text, bool *ret)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "true", true }, { "yes", true }, { "on", true },     { "t", true },
        { "y", true },    { "1", true },   { "false", false }, { "no", false },
        { "off", false }, { "f", false },  { "n", false },     { "0", false },
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!strcasecmp(text, words[i].word)) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

/* "12", " -3 ", "4.0": as pydantic. */
bool schema_parse_int(const char *text, long long *ret)
{
    long long number;
    char *end;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (end == text || errno)
        return false;
    if (*end == '.' && end[1] == '0')
        end += 1 + strspn(end + 1, "0");
    if (end[strspn(end, " \t\r\n")])
        return false;
    *ret = number;
    return true;
}

bool schema_is_key(const char *text)
{
    return *text && !text[strspn(text, ALPHANUMERIC "_.-")];
}

static const char *local_problem(const char *local, size_t length)
{
    if (!length)
        return "There must be something before the @-sign.";
    if (length > EMAIL_LOCAL_CHARS_MAX)
        return "The email address is too long before the @-sign.";
    if (local[0] == '.')
        return "An email address cannot start with a period.";
    if (local[length - 1] == '.')
        return "An email address cannot have a period immediately before the @-sign.";
    for (size_t i = 0; i < length; i++) {
        if (local[i] == '.' && local[i + 1] == '.')
            return "An email address cannot have two periods in a row.";
        if (!(local[i] & 0x80) && !strchr(ALPHANUMERIC "!#$%&'*+-/=?^_`{|}~.", local[i]))
            return "The email address contains invalid characters before the @-sign.";
    }
    return NULL;
}

static const char *label_problem(const char *label, size_t length)
{
    if (!length)
        return "The part after the @-sign has a period too many.";
    if (length > DOMAIN_LABEL_CHARS_MAX)
        return "The part after the @-sign is too long between two periods.";
    if (label[0] == '-' || label[length - 1] == '-')
        return "The part after the @-sign has a hyphen beside a period.";
    for (size_t i = 0; i < length; i++)
        if (!(label[i] & 0x80) && !strchr(ALPHANUMERIC "-", label[i]))
            return "The part after the @-sign contains invalid characters.";
    return NULL;
}

static const char *domain_problem(const char *domain)
{
    const char *problem, *last = strrchr(domain, '.');

    if (!*domain)
        return "There must be something after the @-sign.";
    if (!last)
        return "The part after the @-sign is not valid. It should have a period.";
    for (const char *label = domain;; label++) {
        size_t length = strcspn(label, ".");

        problem = label_problem(label, length);
        if (problem)
            return problem;
        label += length;
        if (!*label)
            break;
    }
    if (isdigit((unsigned char)last[strlen(last) - 1]))
        return "The part after the @-sign is not valid. It is not within a valid top-level domain.";
    return NULL;
}

static const char *email_problem(const char *text)
{
    const char *at = strrchr(text, '@'), *problem;

    if (!at)
        return "An email address must have an @-sign.";
    if (strlen(text) > EMAIL_CHARS_MAX)
        return "The email address is too long.";
    problem = local_problem(text, (size_t)(at - text));
    return problem ? problem : domain_problem(at + 1);
}

bool schema_is_email(const char *text)
{
    return !email_problem(text);
}

bool schema_is_phone(const char *text)
{
    size_t length = strlen(text);

    if (!length)
        return true;
    return length >= 9 && length <= 16 && text[0] == '+' && text[1] != '0' &&
           strspn(text + 1, "0123456789") == length - 1;
}

bool schema_is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

/* --- checks of values ------------------------------------------------------------------------- */

static bool refuse(struct schema_errors *errors, const struct schema_loc *loc, const char *type,
                   const char *msg)
{
    schema_error(errors, loc, type, "%s", msg);
    return false;
}

static bool check_length(json_object *value, long long min, long long max,
                         const struct schema_loc *loc, struct schema_errors *errors)
{
    size_t length =
        utf8_count(json_object_get_string(value), (size_t)json_object_get_string_len(value));

    if (min > 0 && length < (size_t)min) {
        schema_error(errors, loc, "string_too_short",
                     "String should have at least %lld character%s", min, min == 1 ? "" : "s");
        return false;
    }
    if (length > (size_t)max) {
        schema_error(errors, loc, "string_too_long", "String should have at most %lld character%s",
                     max, max == 1 ? "" : "s");
        return false;
    }
    return true;
}

/* A string within its bounds, or the error `type`. */
static bool check_text(const struct schema *schema, long long max, json_object *value,
                       const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!json_object_is_type(value, json_type_string))
        return refuse(errors, loc, "string_type", "Input should be a valid string");
    return check_length(value, schema->min, schema->max ? schema->max : max, loc, errors);
}

static bool is_word(const char *const *words, json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return false;
    for (; *words; words++)
        if (!strcmp(*words, json_object_get_string(value)))
            return true;
    return false;
}

/* 'a', 'b' or 'c' */
static bool check_word(const char *const *words, json_object *value, const struct schema_loc *loc,
                       struct schema_errors *errors)
{
    _cleanup_(buf_free) struct buf list = BUF_INIT(64 * 1024);

    if (is_word(words, value))
        return true;
    for (int i = 0; words[i]; i++)
        buf_printf(&list, "%s'%s'", !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
    schema_error(errors, loc, "enum", "Input should be %s", list.data);
    return false;
}

static bool check_string(const struct schema *schema, json_object *value,
                         const struct schema_loc *loc, struct schema_errors *errors)
{
    if (schema->words)
        return check_word(schema->words, value, loc, errors);
    return check_text(schema, STRING_CHARS_MAX, value, loc, errors);
}

static bool double_to_int(double number, long long *ret)
{
    if (number <= -9.2e18 || number >= 9.2e18)
        return false;
    *ret = (long long)number;
    return (double)*ret == number;
}

/* NULL when `value` is one, else pydantic's error type. */
static const char *int_problem(json_object *value, long long *ret)
{
    switch (json_object_get_type(value)) {
    case json_type_int:
        *ret = json_object_get_int64(value);
        return json_object_get_uint64(value) > INT64_MAX && *ret >= 0 ? "int_parsing_size" : NULL;
    case json_type_boolean:
        *ret = json_object_get_boolean(value);
        return NULL;
    case json_type_double:
        return double_to_int(json_object_get_double(value), ret) ? NULL : "int_from_float";
    case json_type_string:
        return schema_parse_int(json_object_get_string(value), ret) ? NULL : "int_parsing";
    default:
        return "int_type";
    }
}

static bool refuse_int(const char *type, const struct schema_loc *loc, struct schema_errors *errors)
{
    static const char *const messages[][2] = {
        { "int_type", "Input should be a valid integer" },
        { "int_parsing", "Input should be a valid integer, unable to parse string as an integer" },
        { "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size" },
        { "int_from_float",
          "Input should be a valid integer, got a number with a fractional part" },
    };

    for (size_t i = 0; i < COUNT_OF(messages); i++)
        if (!strcmp(messages[i][0], type))
            schema_error(errors, loc, type, "%s", messages[i][1]);
    return false;
}

static bool check_int(const struct schema *schema, json_object *value, const struct schema_loc *loc,
                      struct schema_errors *errors)
{
    long long number = 0;
    const char *problem = int_problem(value, &number);

    if (problem)
        return refuse_int(problem, loc, errors);
    if ((schema->min || schema->max) && number < schema->min) {
        schema_error(errors, loc, "greater_than_equal",
                     "Input should be greater than or equal to %lld", schema->min);
        return false;
    }
    if (schema->max && number > schema->max) {
        schema_error(errors, loc, "less_than_equal", "Input should be less than or equal to %lld",
                     schema->max);
        return false;
    }
    return true;
}

/* NULL when `value` is one, else pydantic's error type. */
static const char *bool_problem(json_object *value, bool *ret)
{
    long long number;

    switch (json_object_get_type(value)) {
    case json_type_boolean:
        *ret = json_object_get_boolean(value);
        return NULL;
    case json_type_string:
        return schema_parse_bool(json_object_get_string(value), ret) ? NULL : "bool_parsing";
    case json_type_int:
    case json_type_double:
        if (!double_to_int(json_object_get_double(value), &number))
            return "bool_type";
        *ret = number == 1;
        return number == 0 || number == 1 ? NULL : "bool_parsing";
    default:
        return "bool_type";
    }
}

static bool check_bool(const struct schema *schema, json_object *value,
                       const struct schema_loc *loc, struct schema_errors *errors)
{
    bool ignored;
    const char *problem = bool_problem(value, &ignored);

    (void)schema;
    if (!problem)
        return true;
    return refuse(errors, loc, problem,
                  !strcmp(problem, "bool_type")
                      ? "Input should be a valid boolean"
                      : "Input should be a valid boolean, unable to interpret input");
}

/* Why `text` begins with no date: the first of its ten characters that is wrong. */
static const char *date_problem(const char *text)
{
    static const char *const problems[] = { "invalid character in year",
                                            "invalid character in month",
                                            "invalid character in day" };
    static const char form[] = "0000-11-22";
    int month;

    if (strlen(text) < strlen(form))
        return "input is too short";
    for (size_t i = 0; form[i]; i++) {
        if (form[i] == '-' && text[i] != '-')
            return "invalid date separator, expected `-`";
        if (form[i] != '-' && !isdigit((unsigned char)text[i]))
            return problems[form[i] - '0'];
    }
    month = (text[5] - '0') * 10 + text[6] - '0';
    if (month < 1 || month > 12)
        return "month value is outside expected range of 1-12";
    return text[strlen(form)] ? "unexpected extra characters at the end of the input"
                              : "day value is outside expected range";
}

static bool check_datetime(const struct schema *schema, json_object *value,
                           const struct schema_loc *loc, struct schema_errors *errors)
{
    usec_t ignored;

    (void)schema;
    if (!json_object_is_type(value, json_type_string))
        return refuse(errors, loc, "datetime_type", "Input should be a valid datetime");
    if (usec_parse(json_object_get_string(value), &ignored))
        return true;
    schema_error(errors, loc, "datetime_from_date_parsing",
                 "Input should be a valid datetime or date, %s",
                 date_problem(json_object_get_string(value)));
    return false;
}

static bool check_key(const struct schema *schema, json_object *value, const struct schema_loc *loc,
                      struct schema_errors *errors)
{
    if (!check_text(schema, KEY_CHARS_MAX, value, loc, errors))
        return false;
    if (schema_is_key(json_object_get_string(value)))
        return true;
    schema_error(
        errors, loc, "value_error",
        "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. "
        "Value provided: %s",
        json_object_get_string(value));
    return false;
}

static bool check_email(const struct schema *schema, json_object *value,
                        const struct schema_loc *loc, struct schema_errors *errors)
{
    const char *problem;

    if (!check_text(schema, STRING_CHARS_MAX, value, loc, errors))
        return false;
    problem = email_problem(json_object_get_string(value));
    if (problem)
        schema_error(errors, loc, "value_error", "value is not a valid email address: %s", problem);
    return !problem;
}

static bool check_phone(const struct schema *schema, json_object *value,
                        const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!check_text(schema, STRING_CHARS_MAX, value, loc, errors))
        return false;
    if (schema_is_phone(json_object_get_string(value)))
        return true;
    return refuse(
        errors, loc, "value_error",
        "Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'.");
}

static bool check_uuid(const struct schema *schema, json_object *value,
                       const struct schema_loc *loc, struct schema_errors *errors)
{
    (void)schema;
    if (!json_object_is_type(value, json_type_string))
        return refuse(errors, loc, "uuid_type",
                      "UUID input should be a string, bytes or UUID object");
    if (schema_is_uuid(json_object_get_string(value)))
        return true;
    return refuse(
        errors, loc, "uuid_parsing",
        "Input should be a valid UUID, expected 32 hexadecimal digits in groups of 8-4-4-4-12");
}

static bool check_field(const struct schema_field *field, json_object *object,
                        const struct schema_loc *parent, struct schema_errors *errors)
{
    struct schema_loc loc = { .parent = parent, .name = field->name };
    json_object *value = NULL;

    if (!json_object_object_get_ex(object, field->name, &value))
        return !field->required || refuse(errors, &loc, "missing", "Field required");
    return (!value && field->nullable) || schema_check(&field->schema, value, &loc, errors);
}

static bool is_field(const struct schema_field *fields, const char *name)
{
    for (; fields->name; fields++)
        if (!strcmp(fields->name, name))
            return true;
    return false;
}

static bool check_extra(const struct schema *schema, json_object *object,
                        const struct schema_loc *parent, struct schema_errors *errors)
{
    bool fits = true;

    json_object_object_foreach(object, name, value) {
        struct schema_loc loc = { .parent = parent, .name = name };

        (void)value;
        if (!is_field(schema->fields, name))
            fits = refuse(errors, &loc, "extra_forbidden", "Extra inputs are not permitted");
    }
    return fits;
}

static bool check_object(const struct schema *schema, json_object *value,
                         const struct schema_loc *loc, struct schema_errors *errors)
{
    bool fits = true;

    if (!schema->fields)
        return json_object_is_type(value, json_type_object) ||
               refuse(errors, loc, "dict_type", "Input should be a valid dictionary");
    if (!json_object_is_type(value, json_type_object))
        return refuse(errors, loc, "model_attributes_type",
                      "Input should be a valid dictionary or object to extract fields from");
    for (const struct schema_field *field = schema->fields; field->name; field++)
        fits &= check_field(field, value, loc, errors);
    if (schema->forbid_extra)
        fits &= check_extra(schema, value, loc, errors);
    return fits;
}

static bool check_strings(const struct schema *schema, json_object *value,
                          const struct schema_loc *parent, struct schema_errors *errors)
{
    static const struct schema string = { .type = SCHEMA_STRING };
    bool fits = true;

    (void)schema;
    if (!json_object_is_type(value, json_type_object))
        return refuse(errors, parent, "dict_type", "Input should be a valid dictionary");
    json_object_object_foreach(value, name, member) {
        struct schema_loc loc = { .parent = parent, .name = name };

        fits &= schema_check(&string, member, &loc, errors);
    }
    return fits;
}

static bool check_list(const struct schema *schema, json_object *value,
                       const struct schema_loc *parent, struct schema_errors *errors)
{
    long long count;
    bool fits = true;

    if (!json_object_is_type(value, json_type_array))
        return refuse(errors, parent, "list_type", "Input should be a valid list");
    count = (long long)json_object_array_length(value);
    if (schema->max && count > schema->max) {
        schema_error(errors, parent, "too_long",
                     "List should have at most %lld item%s after validation, not %lld", schema->max,
                     schema->max == 1 ? "" : "s", count);
        return false;
    }
    if (count < schema->min) {
        schema_error(errors, parent, "too_short",
                     "List should have at least %lld item%s after validation, not %lld",
                     schema->min, schema->min == 1 ? "" : "s", count);
        return false;
    }
    for (int i = 0; schema->item && i < count; i++) {
        struct schema_loc loc = { .parent = parent, .index = i };

        fits &=
            schema_check(schema->item, json_object_array_get_idx(value, (size_t)i), &loc, errors);
    }
    return fits;
}

static bool check_any(const struct schema *schema, json_object *value, const struct schema_loc *loc,
                      struct schema_errors *errors)
{
    (void)schema;
    (void)value;
    (void)loc;
    (void)errors;
    return true;
}

typedef bool type_check(const struct schema *schema, json_object *value,
                        const struct schema_loc *loc, struct schema_errors *errors);

static type_check *const type_checks[] = {
    [SCHEMA_STRING] = check_string,     [SCHEMA_INT] = check_int,   [SCHEMA_BOOL] = check_bool,
    [SCHEMA_DATETIME] = check_datetime, [SCHEMA_KEY] = check_key,   [SCHEMA_EMAIL] = check_email,
    [SCHEMA_PHONE] = check_phone,       [SCHEMA_UUID] = check_uuid, [SCHEMA_OBJECT] = check_object,
    [SCHEMA_STRINGS] = check_strings,   [SCHEMA_LIST] = check_list, [SCHEMA_ANY] = check_any,
};

bool schema_check(const struct schema *schema, json_object *value, const struct schema_loc *loc,
                  struct schema_errors *errors)
{
    size_t before;

    if (!type_checks[schema->type](schema, value, loc, errors))
        return false;
    if (!schema->check)
        return true;
    before = errors_count(errors);
    schema->check(value, loc, errors);
    /* A full list takes no more errors, so it cannot show that there was none. */
    return errors_count(errors) == before && before < SCHEMA_ERRORS_MAX;
}

/* --- members of a checked object -------------------------------------------------------------- */

json_object *schema_get(json_object *object, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(object, name, &value);
    return value;
}

bool schema_has(json_object *object, const char *name)
{
    return json_object_object_get_ex(object, name, NULL);
}

const char *schema_text(json_object *object, const char *name)
{
    json_object *value = schema_get(object, name);

    return value ? json_object_get_string(value) : NULL;
}

bool schema_bool(json_object *object, const char *name, bool fallback)
{
    json_object *value = schema_get(object, name);

    if (value)
        bool_problem(value, &fallback);
    return fallback;
}

long long schema_int(json_object *object, const char *name, long long fallback)
{
    json_object *value = schema_get(object, name);

    if (value)
        int_problem(value, &fallback);
    return fallback;
}

/* --- keys made from names --------------------------------------------------------------------- */

/* U+00C0 to U+017F, the letters of Europe, one for one; '.' stands for what has no single
 * letter. */
static const char latin[] = "AAAAAA.CEEEEIIIIDNOOOOO.OUUUUY..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y"
                            "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi..JjKkkLlLlLlLlLl"
                            "NnNnNnnNnOoOoOo..RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
_Static_assert(sizeof(latin) - 1 == 0x180 - 0xc0, "a letter for each of U+00C0 to U+017F");

static const struct {
    unsigned code;
    const char *ascii;
} latin_pairs[] = {
    { 0xc6, "AE" },  { 0xe6, "ae" },  { 0xde, "Th" },  { 0xfe, "th" },  { 0xdf, "ss" },
    { 0x132, "IJ" }, { 0x133, "ij" }, { 0x152, "OE" }, { 0x153, "oe" },
};

static unsigned utf8_decode(const unsigned char *bytes, size_t size)
{
    unsigned code = size == 1 ? bytes[0] : bytes[0] & (0x7f >> size);

    for (size_t i = 1; i < size; i++)
        code = code << 6 | (bytes[i] & 0x3f);
    return code;
}

/* What has no ASCII form is dropped. */
static void add_ascii(struct buf *ascii, unsigned code)
{
    for (size_t i = 0; i < COUNT_OF(latin_pairs); i++)
        if (latin_pairs[i].code == code)
            buf_adds(ascii, latin_pairs[i].ascii);
    if (code < 0x80)
        buf_addc(ascii, (char)code);
    else if (code >= 0xc0 && code < 0x180 && latin[code - 0xc0] != '.')
        buf_addc(ascii, latin[code - 0xc0]);
}

static struct buf transliterate(const char *name)
{
    const unsigned char *bytes = (const unsigned char *)name;
    size_t length = strlen(name), step;
    struct buf ascii = BUF_INIT(2 * length + 1);

    buf_adds(&ascii, "");
    for (size_t at = 0; at < length; at += step) {
        step = utf8_step(bytes + at, length - at);
        if (step)
            add_ascii(&ascii, utf8_decode(bytes + at, step));
        else
            step = 1;
    }
    return ascii;
}

static bool is_gap(char c)
{
    return c == '-' || isspace((unsigned char)c);
}

char *schema_derive_key(struct arena *arena, const char *name)
{
    _cleanup_(buf_free) struct buf ascii = transliterate(name);
    size_t start = 0, end = ascii.length, length = 0;
    char *key = arena_alloc(arena, ascii.length + 1);
    bool in_gap = false;

    while (start < end && isspace((unsigned char)ascii.data[start]))
        start++;
    while (end > start && isspace((unsigned char)ascii.data[end - 1]))
        end--;
    for (size_t i = start; i < end; i++) {
        char c = ascii.data[i];

        if (!is_gap(c) && c != '_' && !isalnum((unsigned char)c))
            continue;
        if (!is_gap(c))
            key[length++] = (char)tolower((unsigned char)c);
        else if (!in_gap)
            key[length++] = '_';
        in_gap = is_gap(c);
    }
    return key;
}
