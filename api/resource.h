/*
 * resource - what the handlers of configured things (connections, policies, webhooks) share: writes
 * of which only one is under way in the whole fleet, bulk bodies, keys and names, pages.
 *
 * Threads:   as the call. Ownership: texts are the call's arena's.
 */
#pragma once

#include "api/api.h"

/* Characters of a name, so that an index takes it whatever they are. */
enum { RESOURCE_NAME_MAX = 255 };

/* Reads and writes the configuration, and gives what is to be answered: NULL for nothing. */
typedef int resource_write(struct api_call *call, json_object **ret, struct err *err);

/* A handler's whole work: `write` within a transaction that waits for the one before it, so that
 * what it reads stands until it is done and no two interleave; then the answer. When it fails,
 * nothing was written. */
int resource_answer_write(struct api_call *call, int status, resource_write *write,
                          struct err *err);

/* The same without the answer, for who has more to do before it. */
int resource_change(struct api_call *call, resource_write *write, json_object **ret,
                    struct err *err) MUST_CHECK;

/* Such a write that is one statement. *ret is the caller's. */
int resource_run(struct api_call *call, const struct sql *sql, struct db_args *args, PGresult **ret,
                 struct err *err) MUST_CHECK;

/* All waiting requests are to be looked at again; the write that gives them cause asks for it. */
int resource_sweep(struct api_call *call, const char *reason, struct err *err) MUST_CHECK;

/* Saves one element of a bulk body and gives its object. -ERR_BAD_REQUEST fails the element, whose
 * writes are undone; everything else fails the whole call. */
typedef int resource_save(struct api_call *call, void *context, json_object *element,
                          json_object **ret, struct err *err);

/* A bulk call's elements, in their order, within a write. What failed is told with its members in
 * `schema` (of the list), but for `hidden`. */
int resource_bulk(struct api_call *call, const struct schema *schema, const char *hidden,
                  resource_save *save, void *context, json_object **ret,
                  struct err *err) MUST_CHECK;

/* ERR_BAD_REQUEST in the words of the first of these errors: "<lead>url: Value error, ...". */
int resource_refuse_first(const struct schema_errors *errors, const char *lead, struct err *err);

/* The element's `key`, or one made of its `name`; NULL when neither gives one. */
struct resource_key {
    const char *key;
    bool given;
};
struct resource_key resource_key(struct api_call *call, json_object *element);

/* ERR_BAD_REQUEST in the contract's words (rest.md 1.2); `model` is the contract's name of the
 * thing. */
int resource_no_key(const char *model, struct err *err);
int resource_key_taken(const char *key, const char *model, struct err *err);
int resource_name_taken(const char *name, const char *model, struct err *err);

/* A query parameter that must be one of these words; NULL when it is absent. ERR_INVALID. */
int resource_query_word(struct api_call *call, const char *name, const char *const *words, const char **ret,
                        struct err *err) MUST_CHECK;
extern const char *const resource_system_types[]; /* of connections (rest.md 3); ends with NULL */

/*
 * Rows of one page: column 0 is how many there are in all, and a page beyond the end has one row
 * with nothing else in it (`total left join page`). Returns the number of rows that are things, and
 * the total.
 */
int resource_page_rows(const PGresult *rows, long long *total);
/* A page whose things are JSON texts in column 1. `owner` (NULL: none) is the statement's third
 * parameter, after limit and offset. */
int resource_answer_page(struct api_call *call, const struct sql *sql, const char *owner,
                         struct err *err);
