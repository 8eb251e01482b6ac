/*
 * engine - the worker's middle: a request that was looked up is planned for, each step is carried out, what came of
 * it is settled, and what follows is planned at once. The events on the topic are for when this worker dies: a
 * request under way does not wait for its own events behind those of others.
 *
 *   intake -> plan -> dispatch, execute -> settle -> publish
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
#include "worker/execute/execute.h"
#include "worker/intake.h"
#include "worker/settle.h"

struct engine;

struct engine_parts {
    const struct config *config;
    const struct seal_ring *ring;
    const struct token_key *tokens;
    struct settle *settle;
    usec_t lease;       /* how long a call that was owed is left to whoever makes it */
    const char *worker; /* this process, as the holder of leases */
};

struct engine *engine_new(const struct engine_parts *parts);
void engine_free(struct engine *engine);
/* Those that feed it and are fed by it, made after it. */
void engine_connect(struct engine *engine, struct intake *intake, struct dispatch *dispatch, struct execute *execute);

/* intake's outlet, dispatch's outlets. */
void engine_take(void *engine, struct work *work);
struct dispatch_outlets engine_outlets(struct engine *engine);
/* execute's outlet. */
void engine_take_job(void *engine, struct job *job);

/* How long a task is left to its worker, which renews that while it is at it. */
#define ENGINE_TASK_LEASE (30 * USEC_PER_S)
