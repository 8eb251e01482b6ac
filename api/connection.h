/*
 * connection - what is called: its one object for all answers that show it (rest.md 3).
 *
 * Threads: as the call. Ownership: objects are new and the caller's.
 */
#pragma once

#include "api/api.h"

/* The object of a row that has, from `column` on: id, key, name, description, connection_type,
 * access, created_at, updated_at, disabled, last_test_at, last_test_succeeded, enabled_actions,
 * secrets. Secrets that can't be opened are logged and shown as null. */
json_object *connection_object(struct api_call *call, const PGresult *rows, int row, int column);

/* 404 in the words of GET. */
int connection_unknown(const char *key, struct err *err);

/* What a connection keeps sealed with the master key ring: `what` is "secrets" or "oauth", and
 * `column` holds it. NULL when there is none, or none that can be opened, which is logged. */
json_object *connection_unseal(struct api_call *call, const char *what, const char *id,
                               const PGresult *rows, int row, int column);
struct bytes connection_seal(struct api_call *call, const char *what, const char *id,
                             json_object *object);

/* TestStatus of rest.md 1.2: `msg` is "<what>: <key>.". */
json_object *connection_test_status(struct api_call *call, const char *what, const char *key,
                                    const char *status);

/* Within a write: a new signing secret, beside which the former one signs for a while. Its text is
 * nowhere else in the clear. ERR_NOT_FOUND; ERR_CONFLICT for a connection without secrets. */
int connection_rotate_secret(struct api_call *call, const char *key, const char **ret_secret,
                             struct err *err) MUST_CHECK;

/* Within a write: its calls are signed no more. ERR_NOT_FOUND; none to drop is no error. */
int connection_drop_secret(struct api_call *call, const char *key, struct err *err) MUST_CHECK;
