/*
 * intake - what there is to do comes in: events of both topics, deliveries that are due, requests to look at again.
 * Each is looked up in batches, with the configuration that stands, and handed on.
 *
 * Reads far ahead, so that events of requests under way are found behind those of requests not begun, and go first.
 * Commits a partition's offsets up to the first event that is not settled.
 *
 * Threads:   the loop's; the configuration is read on libuv's thread pool.
 * Ownership: works belong to themselves (work.h).
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "common/publish.h"
#include "common/seal.h"
#include "worker/pipe.h"
#include "worker/work.h"

struct intake;

/* Who this worker is, always the same for a host and its DOCKET_WORKER_LISTEN: member of the group, holder of leases. */
enum { INTAKE_NAME_BYTES = 256 };
void intake_name(const struct config *config, char ret[INTAKE_NAME_BYTES]);

/* work->request is set, NULL when there is no such request. */
typedef void intake_outlet(void *context, struct work *work);

int intake_new(uv_loop_t *loop, const struct config *config, const struct seal_ring *ring, struct pipe *pipe,
               struct publisher *publisher, intake_outlet *outlet, void *context, struct intake **ret,
               struct err *err) MUST_CHECK;
/* Commits what is settled and leaves the group; what ends from now on is not marked as settled any more. */
void intake_close(struct intake *intake);
void intake_free(struct intake *intake);

/* A work from elsewhere (park, sweep), or one that must be looked up again after it lost a race. */
void intake_submit(struct intake *intake, struct work *work);

/* Event `seq` of the request's approval or run is on record, and what follows from it is seen to here or stands under
 * a lease: the events before it need not be looked at when they are read. */
void intake_overtake(struct intake *intake, const char *request_id, int64_t seq);

/* The latest configuration that was read; NULL before the first. */
const struct catalog *intake_catalog(const struct intake *intake);
/* Somebody has seen that it moved: it is read anew, soon. */
void intake_refresh(struct intake *intake);

/* Reads no more events; what is under way goes on. */
void intake_stop(struct intake *intake);
/* The thread pool writes into it: not to be freed yet. Never again true after intake_stop(), once it was false. */
bool intake_is_loading(const struct intake *intake);
/* How much of the lifecycle topic this worker has: 0 to 1; 0 until that is known. */
double intake_share(const struct intake *intake);
/* It can read no more: the program must end, so that it is started anew. */
bool intake_is_broken(const struct intake *intake);
/* Nothing that it has read is under way. */
bool intake_is_idle(const struct intake *intake);
bool intake_is_reading(const struct intake *intake); /* on another thread: not to be freed now */
/* Those who read before died again and again: one event at a time, and nothing else is begun (hold.h). */
bool intake_is_careful(const struct intake *intake);
