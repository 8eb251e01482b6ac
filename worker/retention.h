/*
 * retention - what has had its time goes: complete requests are forgotten (DOCKET_FORGET_AFTER), collected rows of what
 * has ended are deleted (DOCKET_RESULTS_LIFE), and so are packages (DOCKET_PACKAGE_LIFE, or forgotten). In small
 * batches, on a thread of libuv's pool with a connection of its own; rows are claimed, so that no two workers do the
 * same.
 *
 * Threads: the loop's.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/publish.h"
#include "worker/intake.h"

struct retention;

struct retention *retention_new(uv_loop_t *loop, const struct config *config, struct publisher *publisher,
                                struct intake *intake);
/* Begins a round when it is time for one. */
void retention_turn(struct retention *retention);
/* A round under way ends with the batch that it is at, and the loop turns until then. */
void retention_free(struct retention *retention);
