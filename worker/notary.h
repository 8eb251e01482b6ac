/*
 * notary - makes checkpoints (common/checkpoint.h): what came on the topics since the last one is read, summed up,
 * signed and published. One worker is at it at a time, under a lease; the checkpoint's number in PostgreSQL decides
 * whose is the next one, so that two of them make neither a fork nor a gap, and a crash at any moment neither.
 *
 * Threads: the loop's; a round runs on a thread of libuv's pool, with a connection and Kafka clients of its own.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/sign.h"
#include "worker/pipe.h"

struct notary;

/* What it sends on `pipe`; ends with NULL. */
extern const struct sql *const notary_statements[];

/* `ring` NULL, without DOCKET_CHECKPOINT_KEYS: there are none, which is said once. */
struct notary *notary_new(uv_loop_t *loop, const struct config *config, const struct sign_ring *ring,
                          struct pipe *pipe, const char *worker);
/* Looks whether it is this worker's turn, now and then. */
void notary_turn(struct notary *notary);
/* No round begins any more; one under way ends with the record that it is at. */
void notary_stop(struct notary *notary);
/* After its pipe. The loop turns until a round is over. Accepts NULL. */
void notary_free(struct notary *notary);
