/*
 * trial - signed test calls that operators ask for, to see whether an endpoint can be called: about no request, made
 * once by whichever worker claims them, with all that the connection's configuration brings. They pass the guard and
 * the limits of every call, but neither breaker nor rate: who tries an endpoint wants to know now.
 *
 * Threads:   the loop's.
 * Ownership: a call under way keeps the configuration that it was made by.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/seal.h"
#include "worker/http.h"
#include "worker/intake.h"
#include "worker/oauth.h"
#include "worker/pipe.h"

/* Under way in a worker at the most; how long one is kept after it was asked for is in trial.sql: a week. */
enum { TRIALS_MAX = 4, TRIAL_ANSWER_BYTES = 4096 };

struct trials;

extern const struct sql *const trial_statements[]; /* for the pipe; ends with NULL */

struct trial_parts {
    const struct config *config;
    const struct seal_ring *ring;
    struct pipe *pipe;
    struct http *http;
    struct oauth *oauth;
    struct intake *intake; /* whose configuration it goes by */
};

struct trials *trials_new(uv_loop_t *loop, const struct trial_parts *parts);
void trials_stop(struct trials *trials); /* begins nothing new */
int trials_underway(const struct trials *trials);
void trials_free(struct trials *trials); /* stopped; after http_free() and pipe_free() */
