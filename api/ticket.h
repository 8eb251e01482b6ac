/*
 * ticket - what a link to a package ends with: whoever has it may fetch the package until it ends. It is given to
 * nobody but who may see results, and names nothing but the request and the rule.
 *
 * Base64url of a MAC (HMAC-SHA512/256 under a key derived from DOCKET_APP_ENCRYPTION_KEY), the end in microseconds
 * (8 bytes, the highest first), and "<request id>NUL<rule key>".
 *
 * Threads: any. Ownership: the arena's.
 */
#pragma once

#include "common/arena.h"
#include "common/err.h"
#include "common/usec.h"

struct ticket {
    const char *request_id, *rule_key;
    usec_t ends_at;
};

/* `key`: the 32 bytes of DOCKET_APP_ENCRYPTION_KEY. */
const char *ticket_make(const char *key, const struct ticket *ticket, struct arena *arena);
/* ERR_FORBIDDEN for what was not made by this key, ERR_GONE for one that has ended by `now`. */
int ticket_open(const char *key, const char *token, usec_t now, struct arena *arena, struct ticket *ret,
              struct err *err) MUST_CHECK;
