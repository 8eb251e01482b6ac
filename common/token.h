/*
 * token - reply tokens and access tokens: JWE compact, alg "dir", enc "A256GCM" (RFC 7516), the key being the
 * 32 bytes of DOCKET_APP_ENCRYPTION_KEY. Contract: webhooks-out.md 6, rest.md 1.3. Any JOSE library opens them.
 *
 * Threads:   a token_key is read-only after token_key_new(); any thread.
 * Errors:    ERR_FORBIDDEN "Not Authorized for this action" for whatever does not open or has not its parts;
 *            "Webhook token expired" for an old reply token.
 */
#pragma once

#include <stdbool.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/usec.h"

struct token_key;

int token_key_new(const char *app_encryption_key, struct token_key **ret, struct err *err) MUST_CHECK;
void token_key_free(struct token_key *key);
DEFINE_CLEANUP(struct token_key *, token_key_free)

/* Any JSON text sealed / a token opened (bounded: 16 KiB). */
int token_seal(const struct token_key *key, const char *json, struct arena *arena, char **ret,
               struct err *err) MUST_CHECK;
int token_open(const struct token_key *key, const char *token, struct arena *arena, char **ret_json,
               struct err *err) MUST_CHECK;

#define TOKEN_SCOPE_REVIEW "privacy-request:review" /* pre-approval replies */
#define TOKEN_SCOPE_RESUME "privacy-request:resume"

/*
 * {"webhook_id","scopes":[scope],"iat"} and the claim that binds it: "privacy_request_id". `iat` is UTC in the
 * contract's form without a zone. request_id NULL leaves the claim out (as tokens from before a move).
 */
struct token_reply {
    const char *webhook_id;
    const char *request_id; /* NULL: not bound */
    const char *scope;      /* the one that was asked for */
    usec_t issued_at;
};

int token_reply_make(const struct token_key *key, const struct token_reply *reply, struct arena *arena,
                     char **ret, struct err *err) MUST_CHECK;

/* Opens and checks in the contract's order: decrypts, has its parts, has `scope`, is young enough at `now`. A
 * token bound to another request than `request_id` is ERR_FORBIDDEN too. */
int token_reply_open(const struct token_key *key, const char *token, const char *scope, const char *request_id,
                     usec_t now, usec_t life, struct arena *arena, struct token_reply *ret,
                     struct err *err) MUST_CHECK;

struct token_access {
    const char *client_id;
    const char **scopes; /* NULL-terminated */
    const char **roles;  /* NULL-terminated */
    usec_t issued_at, expires_at;
};

int token_access_make(const struct token_key *key, const struct token_access *access, struct arena *arena,
                      char **ret, struct err *err) MUST_CHECK;
int token_access_open(const struct token_key *key, const char *token, usec_t now, usec_t life,
                      struct arena *arena, struct token_access *ret, struct err *err) MUST_CHECK;
