/*
 * dataset - datasets as they are uploaded and kept (rest.md 16, dsr.md 1). dataset.c has the documents and the routes
 * of /dataset, dataset_link.c what ties them to connections.
 *
 * Threads: as the call. Ownership: objects are new and the caller's, texts the call's arena's.
 */
#pragma once

#include "api/api.h"

enum { DATASETS_MAX = 1000 }; /* of a body, and of a list that is no page */

/* What a body must have to be looked at; the rest is common/dataset's to check. */
extern const struct schema dataset_document_schema, dataset_list_schema;

/* A dataset that stands. */
struct dataset_row {
    const char *id;             /* NULL: there is none */
    const char *connection_key; /* NULL: no connection has it */
};

/* Holds a document against dsr.md 1. ERR_INVALID: call->errors has what is wrong, below `loc` (NULL: the body). */
int dataset_check(struct api_call *call, json_object *document, const struct schema_loc *loc,
                  const struct dataset **ret, struct err *err) MUST_CHECK;
/* The same for one element of a bulk body: "Dataset create/update failed. Dataset 'shop', ...". */
int dataset_check_element(struct api_call *call, json_object *document, struct err *err) MUST_CHECK;

/* As it is kept and shown: what the contract knows, in its order; collections and fields by their names. */
json_object *dataset_normal(json_object *document);

int dataset_find(struct api_call *call, const char *key, struct dataset_row *ret, struct err *err) MUST_CHECK;

/* Within a write: makes or replaces the dataset of that fides_key. */
int dataset_write(struct api_call *call, json_object *document, const char **ret_id, struct err *err) MUST_CHECK;

/* The connection that the path's first parameter names. ERR_NOT_FOUND in the words of the routes of datasets. */
struct dataset_connection {
    const char *id, *key, *type;
};
int dataset_connection(struct api_call *call, struct dataset_connection *ret, struct err *err) MUST_CHECK;
