/*
 * health - GET /health, /ready and /metrics of the worker. Alive means that the loop turns: the loop says so all the
 * time, and when it has not for HEALTH_STALL, /health fails.
 *
 * Threads: health_turn() is the loop's; the answers come from libmicrohttpd's thread.
 */
#pragma once

#include "common/config.h"
#include "common/err.h"
#include "common/httpd.h"

#define HEALTH_STALL (10 * USEC_PER_S)

struct health;

int health_start(const struct config *config, struct health **ret, struct err *err) MUST_CHECK;
void health_stop(struct health *health);

/* Once a loop turn. */
void health_turn(struct health *health);
