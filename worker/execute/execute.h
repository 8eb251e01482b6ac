/*
 * execute - jobs on threads of the pool: a few at a time, the others wait in order. Each thread has its own connection
 * to docket's database while it works.
 *
 * Threads:   the loop's.
 * Ownership: a job that is submitted is execute's until its outcome is told; then the outlet's, who frees it.
 */
#pragma once

#include <uv.h>

#include "worker/execute/job.h"

struct execute;

typedef void execute_outlet(void *context, struct job *job);

struct execute *execute_new(uv_loop_t *loop, const struct config *config, execute_outlet *outlet, void *context);
void execute_free(struct execute *execute); /* idle */

/* An empty job with an arena of its own, `catalog` and the texts its maker's to fill. */
struct job *job_new(const struct config *config, const struct seal_ring *ring, const struct catalog *catalog);
void job_free(struct job *job);

/* Dropped when the same task of the request is here already: its lease ended, but not its work. */
void execute_submit(struct execute *execute, struct job *job);

/* What is here, waiting or under way: the leases to keep. Returns the number; `visit` may be NULL. */
int execute_each(const struct execute *execute, void (*visit)(void *context, struct job *job), void *context);
/* Somebody else has it now: it stops at the next opportunity. */
void execute_cancel(struct execute *execute, const char *request_id, const char *task_id);

/* Begins nothing more, and tells what is under way to stop. */
void execute_stop(struct execute *execute);
bool execute_is_idle(const struct execute *execute);
