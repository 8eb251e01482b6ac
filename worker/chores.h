/*
 * chores - what happens by the clock, on any worker, each under a lease or a lock so that no two do the same:
 *
 *   park    deliveries that are due again are taken up, as many as their endpoints have room for
 *   tasks   the leases of this worker's tasks are kept; those whose lease has ended are taken up
 *   timers  what happens to a request at a time of its own: a pause that is over
 *   sweep   waiting requests are looked at again after the configuration changed
 *   relay   events that their program did not live to publish are published
 *   gauge   what waits is counted
 *   retention  what has had its time is forgotten and deleted (worker/retention.h)
 *   patrol  the ledger of calls is looked over (worker/patrol.h)
 *
 * Threads: the loop's.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/publish.h"
#include "worker/dispatch.h"
#include "worker/execute/execute.h"
#include "worker/intake.h"
#include "worker/pipe.h"

struct chores;

extern const struct sql *const chores_statements[];

/* `worker`: intake_name(); must outlive chores. */
struct chores_parts {
    struct pipe *pipe;
    struct publisher *publisher;
    struct intake *intake;
    struct dispatch *dispatch;
    struct execute *execute;
};

struct chores *chores_new(uv_loop_t *loop, const struct config *config, const struct chores_parts *parts,
                          const char *worker);
/* How long a call is left to the worker that makes it: longer than the longest call takes. */
usec_t chores_lease(const struct config *config);
void chores_stop(struct chores *chores); /* begins nothing new */
void chores_free(struct chores *chores);
