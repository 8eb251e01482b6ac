/*
 * connection_try - whether what a connection stands for is there (rest.md 3, webhooks-out.md 9).
 *
 * Threads: as the call, which waits for a customer's database: outside of transactions.
 */
#pragma once

#include "api/api.h"

/* Tries the connection, notes the outcome with it unless nothing was tried, and gives the TestStatus of rest.md 1.2
 * with `what` and the key as its message. ERR_NOT_FOUND in the words of GET. */
int connection_try(struct api_call *call, const char *key, const char *what, json_object **ret,
                   struct err *err) MUST_CHECK;
