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
