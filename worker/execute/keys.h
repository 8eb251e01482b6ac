/*
 * keys - the values by which the rows of a collection are found in one of its columns: each once, in the form that the
 * column's type takes. What it can't take is dropped, since no row can have it; so is null, and nothing else. Pure.
 *
 * Ownership: keys_free(). The column and the field must outlive the keys.
 */
#pragma once

#include <json-c/json.h>

#include "common/buf.h"
#include "worker/execute/source.h"

enum {
    KEYS_BYTES_MAX = 64 * 1024 * 1024, /* of all texts */
    KEYS_TEXT_MAX = 1024 * 1024,       /* of one: a longer one is dropped, as nobody is known by it */
    KEYS_STATEMENT_MAX = 100000,       /* that one statement is asked with, of a column */
    KEYS_ARRAY_MAX = 4 * KEYS_BYTES_MAX
};

struct keys;

/* Of an array's column the elements are looked for. ERR_REFUSED when rows can't be found by a column of this type.
 * `version` is the server's. */
int keys_new(const struct dataset_field *field, const struct source_column *column, int version, struct keys **ret,
             struct err *err) MUST_CHECK;
void keys_free(struct keys *keys); /* accepts NULL */
DEFINE_CLEANUP(struct keys *, keys_free)

/* A value, or all of a list's, at `path` within it: names joined by dots, NULL for the value itself. */
void keys_add(struct keys *keys, json_object *value, const char *path);
/* The same of a JSON text. */
void keys_add_json(struct keys *keys, const char *path, const char *json, size_t length);

int keys_count(const struct keys *keys);
bool keys_overflow(const struct keys *keys); /* there were more than KEYS_BYTES_MAX of them */
/* Whether equal values have equal texts, so that two statements with different keys never bring the same row. */
bool keys_can_split(const struct keys *keys);

/* Whether a row has one of the keys, which are the n-th parameter, in `expression`: the column, or what is within it.
 * The parameter is of the column's own type, so that its indexes are used. */
const char *keys_condition(const struct keys *keys, int n, const char *expression, struct arena *arena);
/* The column as it is read: of an array only the elements that are keys, as the others are not the person's. NULL: as it
 * is. */
const char *keys_column(const struct keys *keys, int n, const char *expression, struct arena *arena);
/* The parameter: an array of the keys from `first` on, as text. `array` is cleared before. */
void keys_array(const struct keys *keys, int first, int count, struct buf *array);
