/*
 * schema - bodies and queries from outside: parsed within bounds, checked by a table, refused in the
 * contract's shape {"detail":[{"type","loc","msg"}, ...]} (rest.md 1.1).
 *
 * Threads:   tables are constant; any thread.
 * Ownership: json_object results are the caller's (json_object_put).
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/arena.h"
#include "common/err.h"

DEFINE_CLEANUP(json_object *, json_object_put)

enum { SCHEMA_DEPTH_MAX = 32, SCHEMA_ERRORS_MAX = 100 };

/* The list of errors of one call: [{"type","loc","msg"}]. Errors past SCHEMA_ERRORS_MAX are dropped. */
struct schema_errors {
    json_object *list; /* NULL until the first */
};
void schema_errors_free(struct schema_errors *errors);

/* Adds one. `loc` is a list of text and index parts, written "body", then e.g. index 0, then "name". */
struct schema_loc {
    const struct schema_loc *parent; /* NULL at the root */
    const char *name;                /* NULL: index */
    int index;
};
void schema_error(struct schema_errors *errors, const struct schema_loc *loc, const char *type,
                  const char *msg, ...) PRINTF_LIKE(4, 5);

/*
 * Parses a body: valid UTF-8 without NUL characters in strings, at most SCHEMA_DEPTH_MAX deep, nothing after
 * it, no NaN or Infinity. On failure one error "json_invalid", loc ["body", position], msg "JSON decode error".
 */
int schema_parse(const char *text, size_t length, json_object **ret, struct schema_errors *errors) MUST_CHECK;

enum schema_type {
    SCHEMA_STRING,   /* min and max: characters; `words`: enum */
    SCHEMA_INT,      /* min and max: value; a string of digits or a whole float passes too, as in pydantic */
    SCHEMA_BOOL,     /* also 0/1 and pydantic's words (true, false, yes, no, on, off, t, f, y, n, 1, 0) */
    SCHEMA_DATETIME, /* ISO 8601 text */
    SCHEMA_KEY,      /* ^[a-zA-Z0-9_.-]+$ in the contract's words (rest.md 1.2) */
    SCHEMA_EMAIL,
    SCHEMA_PHONE,    /* E.164, or "" */
    SCHEMA_UUID,
    SCHEMA_OBJECT,   /* checked by `fields` when that is given */
    SCHEMA_STRINGS,  /* object of string -> string */
    SCHEMA_LIST,     /* min and max: elements; checked by `item` when given */
    SCHEMA_ANY
};

struct schema_field;

struct schema {
    enum schema_type type;
    bool forbid_extra;                   /* objects: an unknown member is "extra_forbidden" */
    const struct schema_field *fields;   /* objects; ends with a NULL name */
    const struct schema *item;           /* lists */
    const char *const *words;            /* strings: enum, ends with NULL */
    long long min, max;                  /* max 0: no bound of its own (strings: 100,000 characters) */
    /* A check of the whole value, after the rest passed. Adds its errors ("value_error", "Value error, ..."). */
    void (*check)(json_object *value, const struct schema_loc *loc, struct schema_errors *errors);
};

struct schema_field {
    const char *name;
    bool required;
    bool nullable; /* null is as if absent */
    struct schema schema;
};

/* True when `value` fits. Adds every error found, pydantic's types and words. */
bool schema_check(const struct schema *schema, json_object *value, const struct schema_loc *loc,
                  struct schema_errors *errors);

/* Members of a checked object: absent and null are NULL, `fallback`. */
const char *schema_text(json_object *object, const char *name);
bool schema_bool(json_object *object, const char *name, bool fallback);
long long schema_int(json_object *object, const char *name, long long fallback);
json_object *schema_get(json_object *object, const char *name);   /* absent or null: NULL */
bool schema_has(json_object *object, const char *name);            /* present, even null */

/* The same leniency for one text, for query parameters. */
bool schema_parse_bool(const char *text, bool *ret);
bool schema_parse_int(const char *text, long long *ret);

/* Checks of text alone. */
bool schema_is_key(const char *text);
bool schema_is_email(const char *text);
bool schema_is_phone(const char *text);
bool schema_is_uuid(const char *text);
bool schema_is_utf8(const char *bytes, size_t length);

/* rest.md 1.2, derived key: ASCII transliteration (é -> e), lower case, trim, other characters than word
 * characters, spaces and `-` dropped, runs of spaces and `-` to one `_`. */
char *schema_derive_key(struct arena *arena, const char *name);
