/*
 * manual_webhook - what people are asked for by hand: one definition a connection of type manual_webhook (rest.md 7).
 *
 * Threads: as the call.
 */
#pragma once

#include "api/api.h"

#define MANUAL_WEBHOOK_TYPE "manual_webhook"

/* 404 in the words of everything that is about manual webhooks. */
int manual_webhook_no_connection(const char *key, struct err *err);
int manual_webhook_other_type(const char *type, struct err *err);
int manual_webhook_none(const char *key, struct err *err);
