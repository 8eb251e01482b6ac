/*
 * source - what a connection of type postgres keeps to itself (rest.md 3): where a customer's database is, and how
 * docket logs in there. What may be stored, how stored and new ones are laid together, what of it may be shown, and
 * whether the database answers.
 *
 * Stored are "host", "port", "dbname", "username", "password", "db_schema" and "sslmode", those that are there;
 * common/catalog reads them. Callers call the last one "ssl_mode", as the contract does, or as libpq does.
 *
 * Threads: any. Errors name the place and the rule, never the value.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/schema.h"
#include "common/usec.h"

enum {
    SOURCE_HOST_MAX = 253,
    SOURCE_NAME_MAX = 63, /* characters of a name in PostgreSQL */
    SOURCE_PASSWORD_MAX = 1024,
    SOURCE_PORT = 5432    /* where none is given */
};

/* True when `secrets`, an object, may be stored. */
bool source_check(json_object *secrets, struct schema_errors *errors);

/* Of checked ones, what is stored. A new object. */
json_object *source_trim(json_object *secrets);

/* `changes` laid over `stored` (NULL: nothing yet); null clears, the mask means "as it is". A new object, to be
 * checked. */
json_object *source_merge(json_object *stored, json_object *changes);

/* As it is shown, in the contract's names: all in the clear but the password. A new object. */
json_object *source_masked(json_object *secrets);

/* Connects and asks for 1, within `timeout` in all but the resolving of the name, for which the resolver has its own.
 * ERR_REFUSED: the contract's text, and a cause that names neither the place nor a person. Waits. */
int source_try(json_object *secrets, usec_t timeout, struct err *err) MUST_CHECK;
