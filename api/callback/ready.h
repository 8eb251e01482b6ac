/*
 * ready - whether docket-callback can do its work: each dependency with its state and how fast it answered, looked at
 * every second by a thread of its own, so that who asks never waits. Ready is who reaches Kafka and its topic; without
 * the others replies are taken all the same.
 *
 * Threads: ready_answer() from any; the rest by main().
 */
#pragma once

#include "common/config.h"
#include "common/err.h"
#include "common/httpd.h"

struct ready;

int ready_new(const struct config *config, struct ready **ret, struct err *err) MUST_CHECK;
void ready_free(struct ready *ready); /* accepts NULL */

/* 200 when ready, else 503. */
void ready_answer(struct ready *ready, struct http_call *call);
