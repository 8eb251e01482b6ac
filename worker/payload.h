/*
 * payload - what a webhook is sent: the body and headers of webhooks-out.md 2 to 4.
 *
 * Pure but for the random bytes of a token. Ownership: the request's arena.
 */
#pragma once

#include <curl/curl.h>

#include "common/catalog.h"
#include "common/seal.h"
#include "common/token.h"
#include "worker/request.h"

/* Opens the request's key; ERR_NOT_FOUND when it was forgotten. */
int payload_key(const struct request *request, const struct seal_ring *ring, struct seal_key *ret,
                struct err *err) MUST_CHECK;

/* The body of a pre-approval call. */
int payload_body(const struct request *request, const struct catalog_policy *policy, const struct seal_key *key,
                 usec_t now, const char **ret, size_t *length, struct err *err) MUST_CHECK;

/* All headers of a call, in the contract's order: the connection's own, then docket's. */
int payload_headers(const struct request *request, const struct delivery *delivery,
                    const struct catalog_connection *connection, const struct token_key *tokens,
                    const char *traceparent, usec_t now, struct curl_slist **ret, struct err *err) MUST_CHECK;
