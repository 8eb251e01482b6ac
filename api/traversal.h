/*
 * traversal - how the collections of linked datasets would be reached, were every identity known that they name: what
 * can be said of datasets before there is a request.
 *
 * Pure. Ownership: the call's arena's.
 */
#pragma once

#include "api/api.h"
#include "common/graph.h"

/* The linked datasets of connections that are not disabled, with room for one more; but for `but` (NULL: none). */
struct graph_dataset *traversal_datasets(struct api_call *call, const char *but, int *ret_count);

/* The walk from all identities, for all categories. ERR_BAD_REQUEST: the contract's text of what is in its way. */
int traversal_walk(struct api_call *call, const struct graph_dataset *datasets, int count,
                   const struct graph_walk **ret, struct err *err) MUST_CHECK;
