/*
 * jsonschema - JSON Schemas (2020-12), compiled once, and JSON text held against them while it is read: in one pass, and
 * without an object for any value. Knows the keywords that schemas/events uses, and refuses a schema that has another.
 *
 * Beside what a schema says, text must be UTF-8, at most SCHEMA_DEPTH_MAX deep, and as grammar.h has it; a member that
 * its schema names must not be there twice. `format` counts: date-time is the only one.
 *
 * Threads:   a schema is constant; any thread. Ownership: a schema is its arena's; texts that were found lie in the text.
 * Errors:    ERR_BAD_REQUEST for a schema that is none, or uses more than is known here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"

struct jsonschema;

/* open: members that it does not name are let pass, though `additionalProperties` is false. */
int jsonschema_compile(const char *text, bool open, struct arena *arena, const struct jsonschema **ret,
                       struct err *err) MUST_CHECK;

/* A member of the outermost object that somebody wants: its text as it stands there, strings with their quotes. */
struct jsonschema_member {
    const char *name;
    const char *text; /* NULL: it is not there */
    size_t length;
};

enum jsonschema_verdict { JSONSCHEMA_FITS, JSONSCHEMA_MISFIT, JSONSCHEMA_NO_JSON };

enum { JSONSCHEMA_WHY_BYTES = 160 };

/* `schema` NULL: any JSON. `why`, unless it fits: the place and what is wrong there, in names of the schema and words of
 * ours; never a value of the text. `members` ends with a NULL name; NULL: none. */
enum jsonschema_verdict jsonschema_check(const struct jsonschema *schema, const char *text, size_t length,
                                         struct jsonschema_member *members, char why[JSONSCHEMA_WHY_BYTES]);
