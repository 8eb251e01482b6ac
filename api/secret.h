/*
 * secret - what an https connection keeps to itself: its url, authorization and headers (rest.md
 * 3). What may be stored, how stored and new ones are laid together, what of it may be shown.
 *
 * Pure. Threads: any. Errors name the place and the rule, never the value.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/schema.h"

#define SECRET_MASK "**********"

enum {
    SECRET_URL_MAX = 2048,
    SECRET_HEADERS_MAX = 32,
    SECRET_HEADER_NAME_MAX = 128,
    SECRET_HEADER_VALUE_MAX = 4096,
    SECRET_AUTHORIZATION_MAX = 8192
};

/* True when `secrets`, an object, may be stored. Plain http only with `allow_http`. */
bool secret_check(json_object *secrets, bool allow_http, struct schema_errors *errors);

/* What is stored of it: {"url", "authorization", "headers"}, headers null when there are none. A
 * new object. */
json_object *secret_trim(json_object *secrets);

/* `changes` laid over `stored` (NULL: nothing yet); the mask means "as it is". A new object, to be
 * checked. */
json_object *secret_merge(json_object *stored, json_object *changes);

/* As it is shown: the url in the clear, the rest masked. A new object. */
json_object *secret_masked(json_object *secrets);
