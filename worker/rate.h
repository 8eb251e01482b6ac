/*
 * rate - how many calls a second an endpoint gets, over all workers together: a token bucket in Redis, from which a
 * worker takes a few at a time. Without Redis each worker keeps to its share of the limit: as much of it as it has of
 * the topic's partitions.
 *
 * Threads:   the loop's.
 */
#pragma once

#include "common/usec.h"
#include "worker/cache.h"

struct rate;

/* `changed` is called whenever more may go. */
struct rate *rate_new(uv_loop_t *loop, struct cache *cache, void (*changed)(void *context), void *context);
void rate_free(struct rate *rate); /* accepts NULL */
/* Of the whole fleet's partitions, as intake sees it: 0 to 1. */
void rate_set_share(struct rate *rate, double share);

/* Takes one call of `endpoint_id` at `limit` a second. 0: go. Else when to ask again at the latest (wall clock);
 * `changed` may come earlier. */
usec_t rate_take(struct rate *rate, const char *endpoint_id, int limit, usec_t now);
