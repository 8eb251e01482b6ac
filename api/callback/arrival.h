/*
 * arrival - what every reply of a webhook brings: a body within bounds, and the token that its call carried. Checked
 * in the contract's order (rest.md 1.1): JSON, token, and then whatever the body must be.
 *
 * Threads: any. Ownership: results are the call's arena's; the body is the caller's (json_object_put).
 */
#pragma once

#include "common/config.h"
#include "common/httpd.h"
#include "common/schema.h"
#include "common/token.h"

enum { REPLY_BODY_BYTES = 64 * 1024, ARRIVAL_ID_BYTES = 64 };

/* A body that is absent is fine here: *ret is NULL, and so it is for JSON null. */
int arrival_body(const struct http_call *call, json_object **ret, struct schema_errors *errors,
                 struct err *err) MUST_CHECK;

/* A token of `scope` that may speak about this request, as far as the token itself tells. */
int arrival_token(const struct http_call *call, const struct token_key *tokens, const struct config *config,
                  const char *scope, const char *request_id, struct token_reply *ret, struct err *err) MUST_CHECK;

/* True when `id` may be one of ours: what nothing of ours is called need not be looked for, nor go on the bus. */
bool arrival_is_id(const char *id);

/* {"detail": [...]} where `errors` has any, else what `err` says. */
void arrival_refuse(struct http_call *call, const struct schema_errors *errors, const struct err *err);
