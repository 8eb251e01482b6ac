/*
 * patrol - the ledger of calls is looked over, a page of requests at a time: those that wait, over and over, and beside
 * them all there are. What does not balance, and requests that nobody moves on, stand in ledger_finding until they are
 * mended, and are counted by docket_ledger_imbalance and docket_requests_waiting_on_nobody.
 *
 * One worker of the fleet looks after each DOCKET_LEDGER_INTERVAL, so that this costs the same however many there are and
 * however long the history is. What somebody may be at is only counted once it was seen twice, and no event of it was
 * left that a worker was not done with.
 *
 * On a thread of libuv's pool, with a connection of its own.
 *
 * Threads: the loop's.
 */
#pragma once

#include <uv.h>

#include "common/config.h"

struct patrol;

struct patrol *patrol_new(uv_loop_t *loop, const struct config *config);
/* Begins a round when it is time for one. */
void patrol_turn(struct patrol *patrol);
/* A round under way comes to its end, and the loop turns until then. */
void patrol_free(struct patrol *patrol);
