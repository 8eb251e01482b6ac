/*
 * cache - Redis on the loop, for what may be forgotten: OAuth2 tokens, rates, what other programs show of endpoints.
 * Whatever it can't do is answered with "unknown" at once; nobody waits for it longer than its patience.
 *
 * Threads:   the loop's.
 * Ownership: words are copied; an answer is the caller's only during `done`.
 */
#pragma once

#include <hiredis/hiredis.h>
#include <uv.h>

#include "common/config.h"
#include "common/err.h"

struct cache;

/* reply NULL: Redis is away, too slow, or refused. Called once, maybe from within cache_run(). */
typedef void cache_done(void *context, const redisReply *reply);

int cache_new(uv_loop_t *loop, const struct config *config, struct cache **ret, struct err *err) MUST_CHECK;
void cache_free(struct cache *cache); /* accepts NULL; answers what is under way with NULL */
bool cache_is_up(const struct cache *cache);

/* One command of `count` words (binary-safe); done may be NULL. */
void cache_run(struct cache *cache, int count, const char *const *words, const size_t *lengths, cache_done *done,
               void *context);
/* "<topic prefix>:<kind>:<id>", for the keys of all programs. */
const char *cache_key(const struct cache *cache, const char *kind, const char *id, char *ret, size_t size);
