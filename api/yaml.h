/*
 * yaml - YAML text as the JSON value that says the same, by the core schema of YAML 1.2: null, booleans, integers,
 * floats, and all else is text ("no" and 2020-01-01 are). What JSON cannot say, or what makes a small text a large
 * value, is refused: aliases and anchors, tags, merge keys, a key given twice, keys that are no scalars, .inf and .nan,
 * more than one document.
 *
 * Pure. Threads: any. Ownership: the result is the caller's (json_object_put).
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "common/err.h"
#include "common/schema.h"

enum {
    YAML_DEPTH_MAX = SCHEMA_DEPTH_MAX, /* lists and mappings within each other: what a JSON body may have */
    YAML_NODES_MAX = 1000000           /* keys count */
};

/* ERR_BAD_REQUEST: "Invalid YAML format: <problem> (line 3)." The text's own words are never part of it. *ret is NULL
 * for an empty text, as for null. */
int yaml_read(const char *text, size_t length, json_object **ret, struct err *err) MUST_CHECK;
