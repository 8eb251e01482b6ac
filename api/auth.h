/*
 * auth - who calls, and whether they may (rest.md 1.3 and 2.1): access tokens and credentials.
 *
 * Threads: any. Ownership: what is given back is the call's arena's.
 */
#pragma once

#include "api/api.h"
#include "api/scope.h"

/* Fills the call's client_id, is_root and scopes when it may do what needs `scope`;
 * ERR_UNAUTHORIZED or ERR_FORBIDDEN in the contract's words. The call's catalog says what its
 * client may do. */
int auth_check(struct api_call *call, const char *scope, struct err *err) MUST_CHECK;

/* The same for a token that is in hand, whenever it came: for who keeps answering. */
int auth_check_bearer(struct api_call *call, const char *bearer, const char *scope, struct err *err) MUST_CHECK;

/* The bearer token of the call; NULL when there is none. */
const char *auth_bearer(const struct http_call *http);

/* The root client is in the configuration, not in the database. */
bool auth_is_root(const struct config *config, const char *client_id);
/* Takes the same time wherever the two differ. */
bool auth_is_same(const char *expected, const char *given);

/* {"access_token","token_type","expires_in","expires_at"}. What a token is for is told by either
 * list. */
int auth_token(struct api_call *call, const char *client_id, const char **scopes,
               const char **roles, json_object **ret, struct err *err) MUST_CHECK;
/* A token of the root client: all that its role implies. */
int auth_root_token(struct api_call *call, json_object **ret, struct err *err) MUST_CHECK;
