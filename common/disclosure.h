/*
 * disclosure - what of a person a webhook's endpoint is told: which keys of the identity and which parts of the privacy
 * request its calls carry, and what is said on the bus of a call that was made.
 *
 * A name of an identity key is told as it is where it is the contract's or the configuration's. Every other was chosen
 * by whoever made the request, and may be about a person: it is told as "custom".
 *
 * Threads: any. Ownership: the arena's.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/arena.h"

/* Parts of the privacy request in a webhook's body, in its order; ends with NULL. */
extern const char *const disclosure_parts[];
enum { DISCLOSURE_PARTS = 28 };

/* A connection's `disclose`: NULL for one that is told all. */
struct disclosure {
    bool whole_identity, whole_request;
    const char *const *identity; /* keys; unless whole_identity */
    int identity_count;
    const char *const *parts; /* in the body's order; id and status always; unless whole_request */
    int part_count;
};

/* {"identity": [keys], "parts": [names]}, each absent for all; NULL: none. What it has that is no list of texts counts
 * as an empty one, so that a mistake discloses less and not more. */
const struct disclosure *disclosure_read(const char *json, struct arena *arena);

bool disclosure_has_part(const struct disclosure *disclosure, const char *name);

/* Of an identity as it is sealed (a JSON object; NULL: none) what may be told: keys that are not listed are absent,
 * those of the contract that are listed null where they are unknown, as ever. */
const char *disclosure_identity(const struct disclosure *disclosure, const char *identity, struct arena *arena);

/* Whom a call tells something, and for which policy; host and policy_key NULL: left out. */
struct disclosure_place {
    const char *connection_key, *host, *policy_key;
};

/* {"connection_key", "host", "policy_key", "identity": [keys that have a value], "parts": [names, or "*" for all]}.
 * `identity` is disclosure_identity()'s. */
const char *disclosure_tell(const struct disclosure *disclosure, const struct disclosure_place *place,
                            const char *identity, struct arena *arena);

/* Of a url; NULL when it has none. */
const char *disclosure_host(const char *url, struct arena *arena);
