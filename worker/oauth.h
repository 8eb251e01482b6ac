/*
 * oauth - tokens of OAuth2 client credentials (webhooks-out.md 5), for the calls of connections that are so configured.
 * A token is kept in memory and, sealed with the master key ring, in Redis for the other workers, until shortly before
 * it expires. One fetch a connection is under way at a time; who comes meanwhile waits for it. A fetch that failed is
 * the answer to all who ask within OAUTH_AGAIN_MS, so that a token endpoint in trouble gets one call a second.
 *
 * Threads:   the loop's.
 */
#pragma once

#include "common/catalog.h"
#include "common/seal.h"
#include "worker/cache.h"
#include "worker/http.h"

enum {
    OAUTH_AGAIN_MS = 1000,
    OAUTH_LIFE_S = 300,          /* of a token that doesn't say */
    OAUTH_LIFE_MAX_S = 86400,    /* whatever it says */
    OAUTH_MARGIN_S = 30,         /* not used so shortly before its end, or in the last tenth of its life */
    OAUTH_TOKEN_BYTES = 16384,   /* the longest that is taken */
    OAUTH_ANSWER_BYTES = 65536,
};

struct oauth;

/* token NULL: none was to be had, and `outcome` says why: "token_" and the outcome of the token call, e.g.
 * "token_timeout", "token_http_4xx", "token_bad_answer". was_cached: not fetched for this caller. Both texts are valid
 * during the call only. Called once, maybe from within oauth_token(). */
typedef void oauth_done(void *context, const char *token, bool was_cached, const char *outcome);

struct oauth *oauth_new(const struct seal_ring *ring, struct http *http, struct cache *cache);
void oauth_free(struct oauth *oauth); /* accepts NULL; after http_free() and cache_free() */
/* connection->oauth is not NULL. A configuration that changed is another token. The call to the token endpoint goes
 * with the connection's own certificates. */
void oauth_token(struct oauth *oauth, const struct catalog_connection *connection, oauth_done *done, void *context);
/* The endpoint refused this token: it is used no more, here and elsewhere. */
void oauth_refused(struct oauth *oauth, const struct catalog_connection *connection, const char *token);
