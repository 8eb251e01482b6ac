/*
 * engine - the worker's middle: a request that was looked up is planned for, each step is carried out, what came of
 * it is settled, and what follows is planned at once. The events on the topic are for when this worker dies: a
 * request under way does not wait for its own events behind those of others.
 *
 *   intake -> plan -> dispatch -> settle -> publish
 *
 * Threads:   the loop's.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/publish.h"
#include "common/seal.h"
#include "common/token.h"
#include "worker/dispatch.h"
#include "worker/intake.h"
#include "worker/settle.h"

struct engine;

struct engine_parts {
    const struct config *config;
    const struct seal_ring *ring;
    const struct token_key *tokens;
    struct settle *settle;
    usec_t lease; /* how long a call that was owed is left to whoever makes it */
};

struct engine *engine_new(const struct engine_parts *parts);
void engine_free(struct engine *engine);
/* The two that feed it and are fed by it, made after it. */
void engine_connect(struct engine *engine, struct intake *intake, struct dispatch *dispatch);

/* intake's outlet, dispatch's outlets. */
void engine_take(void *engine, struct work *work);
struct dispatch_outlets engine_outlets(struct engine *engine);
