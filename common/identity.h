/*
 * identity - who a request is about: checked, put into the form that is sealed, hashed for search.
 * Contract: rest.md 8 and 9.1, webhooks-out.md 2.1 and 7.
 *
 * Threads: any. Ownership: texts are the arena's.
 */
#pragma once

#include "common/arena.h"
#include "common/schema.h"
#include "common/seal.h"

/* An identity has no more values than this: the default ones and IDENTITY_CUSTOM_MAX others. */
enum { IDENTITY_DEFAULTS = 6, IDENTITY_CUSTOM_MAX = 34, IDENTITY_MAX = IDENTITY_DEFAULTS + IDENTITY_CUSTOM_MAX };
/* Bytes of a custom one's name, which is part of an index of PostgreSQL that takes no row above 2,704 bytes. */
enum { IDENTITY_NAME_MAX = 512 };
/* What custom keys are called where their names, chosen by who knows whom, must not be seen. */
#define IDENTITY_CUSTOM_WORD "custom"
extern const char *const identity_defaults[IDENTITY_DEFAULTS + 1]; /* their names; ends with NULL */

/* True when `identity` (an object) is well formed: email, phone_number, ga_client_id, ljt_readerID,
 * fides_user_device_id, external_id; every other key {"label": text, "value": int, text or a list of these}. */
bool identity_check(json_object *identity, const struct schema_loc *loc, struct schema_errors *errors);

/* The same rules for what a receiver tells beside (webhooks-out.md 7). It chose the names of custom keys, and they may
 * hold personal data: the errors say "custom" in their place. */
bool identity_check_derived(json_object *derived, const struct schema_loc *loc, struct schema_errors *errors);

/* True when `field` is {"label": text, "value": int, text or a list of these}: custom identities and fields. */
bool identity_check_labelled(json_object *field, const struct schema_loc *loc, struct schema_errors *errors);

/* At least one value that is not null and not "". */
bool identity_has_value(json_object *identity);

/* The JSON that webhook bodies carry and that is sealed: the six default keys always, null when unknown, the
 * email's domain in lower case, then the custom keys. */
const char *identity_body(json_object *identity, struct arena *arena);

/* Of a checked derived identity: the JSON object of its values that are not null, the email's domain in lower case, and
 * in *names what they are called, with commas, in the same order, custom keys as "custom". Both NULL for none. */
const char *identity_derived(json_object *derived, struct arena *arena, const char **names);

/* identity_body()'s text with the values of each derived object over it, in turn; a default one that is "" is unknown
 * again. */
const char *identity_overlay(const char *body, const char *const *derived, int count, struct arena *arena);

/* That JSON as the API shows it: {"email": {"label": "Email", "value": ...}, ...}. A new object. */
json_object *identity_labelled(json_object *body);

struct identity_hash {
    const char *field;
    uint8_t hash[SEAL_HASH_BYTES];
};
/* One hash a value that is given (lists: one of the list's JSON text). Returns their number, at most `max`. */
int identity_hashes(json_object *identity, const struct seal_ring *ring, struct identity_hash *ret, int max,
                    struct arena *arena);
/* The hash of a value as a searcher gives it. */
void identity_search_hash(const struct seal_ring *ring, const char *field, const char *value,
                          struct arena *arena, uint8_t ret[SEAL_HASH_BYTES]);
