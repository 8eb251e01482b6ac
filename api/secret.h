/*
 * secret - what an https connection keeps to itself: its url, authorization and headers (rest.md
 * 3), and docket's own: what its calls are signed with, and the certificates and key of their TLS.
 * What may be stored, how stored and new ones are laid together, what of it may be shown.
 *
 * Pure. Threads: any. Errors name the place and the rule, never the value.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/arena.h"
#include "common/schema.h"
#include "common/usec.h"

#define SECRET_MASK "**********"

enum {
    SECRET_URL_MAX = 2048,
    SECRET_HEADERS_MAX = 32,
    SECRET_HEADER_NAME_MAX = 128,
    SECRET_HEADER_VALUE_MAX = 4096,
    SECRET_AUTHORIZATION_MAX = 8192,
    SECRET_PEM_BYTES_MAX = 65536,
    SECRET_SIGNING_BYTES_MIN = 24, /* of the key, before it is base64 (Standard Webhooks) */
    SECRET_SIGNING_BYTES_MAX = 64
};

/* True when `secrets`, an object, may be stored. Plain http only with `allow_http`. */
bool secret_check(json_object *secrets, bool allow_http, struct schema_errors *errors);

/* NULL when calls may go to this url, else a sentence that says what is wrong with it. */
const char *secret_url_problem(const char *url, bool allow_http);

/* What a caller may give of it: {"url", "authorization", "headers"}, headers null when there are
 * none, and of docket's own parts those that are there. A new object. */
json_object *secret_trim(json_object *secrets);

/* `changes` laid over `stored` (NULL: nothing yet); the mask means "as it is". A new object, to be
 * checked. */
json_object *secret_merge(json_object *stored, json_object *changes);

/* As it is shown: the url in the clear, the rest masked. A new object. */
json_object *secret_masked(json_object *secrets);

/* Adds to `next`, trimmed, what is stored beside what callers give: the signing secret that `next`
 * replaces, and until when it signs too ("signing_previous", "signing_until": microseconds since
 * the epoch). One that is replaced within the overlap takes the place of the one before it.
 * `stored` as it was stored, NULL: nothing yet. */
void secret_keep_previous(json_object *next, json_object *stored, usec_t now, usec_t overlap);

/* A new signing secret, "whsec_" and base64. */
const char *secret_signing_new(struct arena *arena);
