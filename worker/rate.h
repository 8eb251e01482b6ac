/*
 * rate - how many calls a second an endpoint gets, over all workers together: a token bucket in Redis, from which a
 * worker takes what it needs, a few at a time. Without Redis each worker keeps to its share of the limit: as much of
 * it as it has of the topic's partitions.
 *
 * A bucket holds RATE_BURST_MS worth of the limit at the most, and a worker takes RATE_BATCH_MS worth at once, each at
 * least one call: so any span of time sees the limit's worth of calls, one bucket and a batch of each worker, no more.
 *
 * Threads:   the loop's.
 */
#pragma once

#include "common/usec.h"
#include "worker/cache.h"

enum { RATE_BATCH_MS = 50, RATE_BURST_MS = 100 };

struct rate;

/* `changed` is called whenever more may go; not from within rate_take(). */
struct rate *rate_new(uv_loop_t *loop, struct cache *cache, void (*changed)(void *context), void *context);
void rate_free(struct rate *rate); /* accepts NULL; after cache_free() */
/* Of the whole fleet's partitions, as intake sees it: 0 to 1. */
void rate_set_share(struct rate *rate, double share);

/* Takes one call of `endpoint_id` at `limit` a second, where `waiting` calls (this one too) want to go. 0: go. Else
 * when to ask again at the latest; `changed` may come earlier. */
usec_t rate_take(struct rate *rate, const char *endpoint_id, int limit, int waiting, usec_t now);
