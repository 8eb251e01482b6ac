/*
 * way - how the graph leads from the person's identities to a job's collection.
 *
 * Ownership: the job's arena's.
 */
#pragma once

#include "worker/execute/job.h"

/* ERR_REFUSED: nothing leads there any more; or the graph has become none, in the contract's words. What the planner
 * refused to leave unreached is not asked again. */
int way_find(const struct job *job, const struct graph_walk **walk, const struct graph_node **node,
             struct err *err) MUST_CHECK;
