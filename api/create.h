/*
 * create - privacy requests come to be (rest.md 8, lifecycle.md 4 and 5).
 *
 * A handler checks and prepares a call's requests; the queue's one thread writes what all callers have handed
 * over since its last transaction as one: rows, keys, hashes, first events, calls owed. Then it publishes, and
 * answers each caller. A request that fails its own checks is told under "failed" and keeps nobody else back.
 *
 * Threads:   create_queue_*() by main(); handlers by any number of threads.
 * Ownership: a call that was handed over belongs to the queue until it is answered.
 */
#pragma once

#include "api/api.h"

/* Starts the thread, with a connection of its own. `api` must outlive the queue. */
int create_queue_new(struct api *api, struct create_queue **ret, struct err *err) MUST_CHECK;
/* Takes no more, writes and answers what was handed over, ends the thread. Accepts NULL. */
void create_queue_free(struct create_queue *queue);

extern const struct schema create_schema;

/* POST /privacy-request and /privacy-request/authenticated */
int create_handle(struct api_call *call, struct err *err);
