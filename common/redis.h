/*
 * redis - one connection to Redis, for what may be forgotten. Commands go in batches: one round trip each.
 *
 * Threads:   one caller at a time per `struct redis`.
 * Errors:    ERR_UNAVAILABLE for whatever keeps a batch from its answers: no connection, no answer within the
 *            patience, an answer that is an error (err->cause has its first word, never more). Part of the batch may
 *            have been done. The next call connects anew.
 */
#pragma once

#include <hiredis/hiredis.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/usec.h"

struct redis;

/* What a URL says, decoded. NULL: not said. */
struct redis_place {
    char *user, *password, *host, *database, *path;
    int port;
};
/* `url` as DOCKET_REDIS_URL: redis://[[user:]password@]host[:port][/db], or unix:///path. ERR_BAD_REQUEST for another,
 * without showing it. */
int redis_place_parse(const char *url, struct arena *arena, struct redis_place *ret, struct err *err) MUST_CHECK;

/* Never connects by itself: the first call does. A call, connecting included, gives up after `patience`. */
int redis_new(const char *url, usec_t patience, struct redis **ret, struct err *err) MUST_CHECK;
void redis_free(struct redis *redis); /* accepts NULL */
DEFINE_CLEANUP(struct redis *, redis_free)

enum { REDIS_WORDS_MAX = 8 };

struct redis_command {
    int count;
    const char *words[REDIS_WORDS_MAX];
};
#define REDIS_COMMAND(...)                                                                         \
    ((struct redis_command){ COUNT_OF(((const char *[]){ __VA_ARGS__ })), { __VA_ARGS__ } })

/* All commands in one go; their answers, in order, live in the arena. */
struct redis_answer {
    long long number;             /* integers */
    const char *text;             /* strings and states; NULL: nil, or something else */
    const struct redis_answer *items; /* lists */
    int count;
};
int redis_run(struct redis *redis, const struct redis_command *commands, int count, struct arena *arena,
              const struct redis_answer **ret, struct err *err) MUST_CHECK;
