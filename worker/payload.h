/*
 * payload - what a webhook is sent: the body and headers of webhooks-out.md 2 to 4, and its signature.
 *
 * Pure but for the random bytes of a token. Ownership: the request's arena.
 */
#pragma once

#include <curl/curl.h>

#include "common/catalog.h"
#include "common/seal.h"
#include "common/token.h"
#include "worker/request.h"

/* One call, and what is known for it. */
struct payload_call {
    const struct request *request;
    const struct delivery *delivery;
    const struct catalog_webhook *webhook;
    const struct catalog_policy *policy; /* NULL: deleted */
    const struct seal_key *key;          /* the request's, opened */
    const char *bearer;                  /* OAuth2 token; NULL: none, the connection's authorization goes */
    const char *traceparent;
    usec_t now;
};

/* Opens the request's key; ERR_NOT_FOUND when it was forgotten. */
int payload_key(const struct request *request, const struct seal_ring *ring, struct seal_key *ret,
                struct err *err) MUST_CHECK;

/* The request's identity, a JSON object, with what webhooks derived over it; NULL: it has none. `key` is its own. */
int payload_identity(const struct request *request, const struct seal_key *key, const char **ret,
                     struct err *err) MUST_CHECK;

/* The body, without what the connection's configuration leaves out; *disclosed: what it tells of a person, as events say
 * it (common/disclosure.h). */
int payload_body(const struct payload_call *call, const char **ret, size_t *length, const char **disclosed,
                 struct err *err) MUST_CHECK;

/*
 * All headers of a call, in the contract's order: the connection's own, then docket's. The reply headers are those of
 * the webhook's kind and direction (webhooks-out.md 4); a signature where the connection has a secret. *names: the
 * connection's own headers that are sent, Authorization and the signature included, with commas; NULL for none.
 */
int payload_headers(const struct payload_call *call, const char *body, size_t length, const struct token_key *tokens,
                    struct curl_slist **ret, const char **names, struct err *err) MUST_CHECK;

/* Of a call about no request (trial.h): the connection's own headers, those that name the call, and its signature. */
int payload_trial_headers(const struct catalog_connection *connection, const char *bearer, const char *id,
                          const char *body, size_t length, usec_t now, struct arena *arena, struct curl_slist **ret,
                          struct err *err) MUST_CHECK;

/* "v1,<base64>", two of them with a blank while the former secret still signs; NULL when the connection has none.
 * Standard Webhooks 1.0: HMAC-SHA256 over `id`.`seconds`.`body`. */
const char *payload_signature(const struct catalog_connection *connection, const char *id, const char *seconds,
                              const char *body, size_t length, usec_t now, struct arena *arena);
