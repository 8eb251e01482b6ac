/*
 * selection - which requests a caller means to change at once (rest.md 10): a list of ids, or filters and what they
 * leave out.
 *
 * Threads:   any. Ownership: ids are the call's body's and arena's.
 */
#pragma once

#include "api/api.h"

/* A body that is a selection and nothing else. */
extern const struct schema selection_schema;

/* Adds what makes `value` none; other members than a selection's are not looked at. */
void selection_check(json_object *value, const struct schema_loc *loc, struct schema_errors *errors);

struct selection {
    const char **ids;
    int count;
};

/* The ids that a checked body means, each once, where it came first. ERR_BAD_REQUEST for filters that match more than
 * 10,000 requests. */
int selection_read(struct api_call *call, struct selection *ret, struct err *err) MUST_CHECK;
