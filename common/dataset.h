/*
 * dataset - where a person's data is: a dataset's document (dsr.md 1), checked and read. Pure.
 *
 * Threads:   a dataset never changes; any thread.
 * Ownership: everything is the arena's, nothing points into the document.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/schema.h"

/* Fields: of the whole dataset, at every depth. Lists: categories, references, `after` and the like, each. */
enum { DATASET_COLLECTIONS_MAX = 1000, DATASET_FIELDS_MAX = 10000, DATASET_FIELD_DEPTH_MAX = 8 };
enum { DATASET_LIST_MAX = 1000 };
enum { DATASET_NAME_CHARS_MAX = 255, DATASET_PATH_CHARS_MAX = DATASET_NAME_CHARS_MAX * (DATASET_FIELD_DEPTH_MAX + 2) };

enum dataset_type { /* of a field's values; NONE: not declared */
    DATASET_NONE,
    DATASET_STRING,
    DATASET_INTEGER,
    DATASET_FLOAT,
    DATASET_BOOLEAN,
    DATASET_OBJECT_ID,
    DATASET_OBJECT
};

enum dataset_direction { DATASET_BOTH, DATASET_TO, DATASET_FROM };

struct dataset_reference {
    const char *dataset, *collection, *path; /* of the other field; path without its collection */
    enum dataset_direction direction;
};

struct dataset_texts {
    const char *const *texts;
    int count;
};

struct dataset_field {
    const char *name;
    const char *path;   /* from the collection: "address.city" */
    const char *column; /* the top-level field's name */
    const struct dataset_field *parent; /* NULL at the top */
    struct dataset_texts categories;
    enum dataset_type type;
    bool is_array, primary_key, read_only, return_all_elements, redact;
    int length;                       /* characters that a masked string is cut to; 0: none */
    const char *identity;             /* seed key; NULL */
    const char *custom_request_field; /* NULL */
    const char *strategy;             /* its own masking strategy; NULL: the rule's */
    const char *strategy_configuration; /* JSON object; NULL with `strategy` */
    const struct dataset_reference *references;
    int reference_count;
    const struct dataset_field *fields; /* sub-fields, sorted by name */
    int field_count;
};

struct dataset_collection {
    const char *name;
    struct dataset_texts categories;
    const struct dataset_field *fields; /* at the top, sorted by name */
    int field_count;
    const struct dataset_field *const *all; /* of every depth, sorted by path */
    int all_count;
    struct dataset_texts after, erase_after; /* "dataset.collection" */
    bool skip_processing, redact;
};

struct dataset {
    const char *key, *name; /* fides_key */
    const char *schema, *database; /* of fides_meta.namespace; NULL: none */
    struct dataset_texts after;    /* dataset keys */
    bool redact;
    const struct dataset_collection *collections; /* sorted by name */
    int collection_count;
};

/* Checks and reads one document. ERR_BAD_REQUEST: `errors` has what is wrong and where, below `loc`; err->text names
 * the first in one line: dataset, collection, field and reason. Categories must be in `category_known`; NULL: any will
 * do. `errors` may be NULL. */
int dataset_read(json_object *document, const struct schema_loc *loc, bool (*category_known)(const char *category),
                 struct arena *arena, const struct dataset **ret, struct schema_errors *errors,
                 struct err *err) MUST_CHECK;

/* NULL when there is none. */
const struct dataset_collection *dataset_collection(const struct dataset *dataset, const char *name);
const struct dataset_field *dataset_field(const struct dataset_collection *collection, const char *path);

/* Whether `category` is `target` or below it, by segments: "user.name" holds "user.name.first", not "user.names". */
bool dataset_category_in(const char *category, const char *target);
bool dataset_field_in(const struct dataset_field *field, const struct dataset_texts *targets);
