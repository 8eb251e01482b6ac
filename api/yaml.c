#include "api/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* A list or a mapping that is not at its end yet. `key`: the member that waits for its value; NULL in lists. */
struct level {
    json_object *container; /* the one above holds it, or `root` */
    char *key;
};

struct reader {
    yaml_parser_t parser;
    json_object *root;
    struct level levels[YAML_DEPTH_MAX];
    int depth, nodes, documents;
};

static int refuse(const yaml_event_t *event, const char *problem, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "Invalid YAML format: %s (line %zu).", problem, event->start_mark.line + 1);
}

/* libyaml's own words: they are constants. */
static int refuse_syntax(const yaml_parser_t *parser, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "Invalid YAML format: %s (line %zu).",
                   parser->problem ? parser->problem : "it cannot be read", parser->problem_mark.line + 1);
}

/* --- scalars ------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(text, *words))
            return true;
    return false;
}

static bool is_null(const char *text)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };

    return is_one_of(text, words);
}

static bool is_bool(const char *text, bool *ret)
{
    static const char *const yes[] = { "true", "True", "TRUE", NULL };
    static const char *const no[] = { "false", "False", "FALSE", NULL };

    *ret = is_one_of(text, yes);
    return *ret || is_one_of(text, no);
}

static bool is_all_of(const char *text, const char *characters)
{
    return *text && !text[strspn(text, characters)];
}

#define DIGITS "0123456789"

/* The base in which `text` is an integer; 0: it is none. `*digits` is where strtoll() begins. */
static int integer_base(const char *text, const char **digits)
{
    *digits = text;
    if (is_all_of(text + (*text == '-' || *text == '+'), DIGITS))
        return 10;
    *digits = text + 2;
    if (!strncmp(text, "0o", 2) && is_all_of(text + 2, "01234567"))
        return 8;
    return !strncmp(text, "0x", 2) && is_all_of(text + 2, DIGITS "abcdefABCDEF") ? 16 : 0;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *text)
{
    size_t whole, fraction = 0;

    text += *text == '-' || *text == '+';
    whole = strspn(text, DIGITS);
    text += whole;
    if (*text == '.') {
        fraction = strspn(text + 1, DIGITS);
        text += 1 + fraction;
    }
    if (!whole && !fraction)
        return false;
    if (*text != 'e' && *text != 'E')
        return !*text;
    text++;
    return is_all_of(text + (*text == '-' || *text == '+'), DIGITS);
}

static bool is_no_number(const char *text)
{
    static const char *const words[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL };

    return is_one_of(text + (*text == '-' || *text == '+'), words);
}

static int read_integer(const yaml_event_t *event, const char *digits, int base, json_object **ret, struct err *err)
{
    long long number;

    errno = 0;
    number = strtoll(digits, NULL, base);
    if (errno == ERANGE)
        return refuse(event, "an integer is out of range", err);
    *ret = json_object_new_int64(number);
    return 0;
}

static int read_float(const yaml_event_t *event, const char *text, json_object **ret, struct err *err)
{
    double number = strtod(text, NULL);

    if (!isfinite(number))
        return refuse(event, "a number is out of range", err);
    *ret = json_object_new_double(number);
    return 0;
}

/* A scalar without quotes, which may be more than text. */
static int read_plain(const yaml_event_t *event, const char *text, json_object **ret, struct err *err)
{
    const char *digits;
    bool flag;
    int base = integer_base(text, &digits);

    if (base)
        return read_integer(event, digits, base, ret, err);
    if (is_float(text))
        return read_float(event, text, ret, err);
    if (is_no_number(text))
        return refuse(event, "JSON has no such number", err);
    if (is_bool(text, &flag))
        *ret = json_object_new_boolean(flag);
    else
        *ret = is_null(text) ? NULL : json_object_new_string(text);
    return 0;
}

/* --- building ------------------------------------------------------------------------------------------ */

static struct level *top(struct reader *reader)
{
    return reader->depth ? &reader->levels[reader->depth - 1] : NULL;
}

static bool awaits_key(const struct level *level)
{
    return level && json_object_is_type(level->container, json_type_object) && !level->key;
}

/* Takes `value`. */
static void put_value(struct reader *reader, json_object *value)
{
    struct level *level = top(reader);

    if (!level)
        reader->root = value;
    else if (level->key)
        json_object_object_add(level->container, level->key, value);
    else
        json_object_array_add(level->container, value);
    if (level) {
        free(level->key);
        level->key = NULL;
    }
}

static int put_key(struct level *level, const yaml_event_t *event, const char *text, struct err *err)
{
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !strcmp(text, "<<"))
        return refuse(event, "merge keys are not taken", err);
    if (json_object_object_get_ex(level->container, text, NULL))
        return refuse(event, "a key is given twice", err);
    level->key = strdup(text);
    if (!level->key)
        abort(); /* as an arena does */
    return 0;
}

static int take_scalar(struct reader *reader, const yaml_event_t *event, struct err *err)
{
    const char *text = (const char *)event->data.scalar.value;
    struct level *level = top(reader);
    json_object *value = NULL;
    int r = 0;

    if (event->data.scalar.tag)
        return refuse(event, "tags are not taken", err);
    if (strlen(text) != event->data.scalar.length)
        return refuse(event, "a text has a NUL character", err);
    if (awaits_key(level))
        return put_key(level, event, text, err);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        r = read_plain(event, text, &value, err);
    else
        value = json_object_new_string(text);
    if (r == 0)
        put_value(reader, value);
    return r;
}

static int take_begin(struct reader *reader, const yaml_event_t *event, struct err *err)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    json_object *container;

    if (is_list ? event->data.sequence_start.tag : event->data.mapping_start.tag)
        return refuse(event, "tags are not taken", err);
    if (awaits_key(top(reader)))
        return refuse(event, "a key is no scalar", err);
    if (reader->depth == YAML_DEPTH_MAX)
        return refuse(event, "lists and mappings are nested too deeply", err);
    container = is_list ? json_object_new_array() : json_object_new_object();
    put_value(reader, container);
    reader->levels[reader->depth++] = (struct level){ container, NULL };
    return 0;
}

static int take_document(struct reader *reader, const yaml_event_t *event, struct err *err)
{
    return reader->documents++ ? refuse(event, "there is more than one document", err) : 0;
}

static bool has_anchor(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

static int take_event(struct reader *reader, const yaml_event_t *event, struct err *err)
{
    if (event->type == YAML_ALIAS_EVENT || has_anchor(event))
        return refuse(event, "anchors and aliases are not taken", err);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return take_document(reader, event, err);
    case YAML_SCALAR_EVENT:
        return take_scalar(reader, event, err);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return take_begin(reader, event, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->depth--;
        return 0;
    default:
        return 0;
    }
}

/* Returns 1 at the end of the text. */
static int step(struct reader *reader, struct err *err)
{
    _cleanup_(yaml_event_delete) yaml_event_t event = { 0 };
    int r;

    if (!yaml_parser_parse(&reader->parser, &event))
        return refuse_syntax(&reader->parser, err);
    if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT ||
        event.type == YAML_MAPPING_START_EVENT)
        reader->nodes++;
    if (reader->nodes > YAML_NODES_MAX)
        return refuse(&event, "it has more than 1000000 parts", err);
    r = take_event(reader, &event, err);
    return r < 0 ? r : event.type == YAML_STREAM_END_EVENT;
}

static void reader_end(struct reader *reader)
{
    for (int i = 0; i < YAML_DEPTH_MAX; i++)
        free(reader->levels[i].key);
    json_object_put(reader->root);
    yaml_parser_delete(&reader->parser);
}

int yaml_read(const char *text, size_t length, json_object **ret, struct err *err)
{
    _cleanup_(reader_end) struct reader reader = { 0 };
    int r = 0;

    if (!schema_is_utf8(text, length))
        return err_set(err, ERR_BAD_REQUEST, "Invalid YAML format: it is not UTF-8.");
    if (!yaml_parser_initialize(&reader.parser))
        abort(); /* out of memory, as an arena does */
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
    while (r == 0)
        r = step(&reader, err);
    if (r < 0)
        return r;
    *ret = TAKE(reader.root);
    return 0;
}
