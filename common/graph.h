/*
 * graph - how the collections of all datasets hang together, and in which order a person's data is reached (dsr.md 2).
 * Pure.
 *
 * Threads:   a graph never changes; any thread.
 * Ownership: the arena's; it points into the datasets.
 */
#pragma once

#include "common/dataset.h"

struct graph;

struct graph_dataset {
    const struct dataset *dataset;
    const char *connection_key;
};

struct graph_node;

struct graph_edge {
    const struct graph_node *from;      /* NULL: the identity of `key` */
    const char *key;                    /* identity key; NULL with `from` */
    const struct dataset_field *source; /* of `from`; NULL with `key` */
    const struct dataset_field *target; /* of the node that it leads to */
};

/* A collection that is reached. */
struct graph_node {
    const char *address; /* "dataset:collection" */
    const struct dataset *dataset;
    const struct dataset_collection *collection;
    const char *connection_key;
    const struct graph_edge *in; /* that bring its key values */
    int in_count;
    /* That must be complete before: where edges come from, and `after` as far as reached. All stand before it. */
    const struct graph_node *const *needs;
    int need_count;
    const struct graph_node *const *erase_needs; /* `erase_after`, as far as reached */
    int erase_need_count;
};

/* Unreached but allowed. reason: the contract's, where another identity would lead there; NULL: nothing is told, as it
 * has no category of the policy, or a custom_request_field. */
struct graph_skip {
    const char *address, *reason;
};

struct graph_walk {
    /* Breadth-first from the identities, and by dataset and collection at an equal distance: it keeps every need. */
    const struct graph_node *const *nodes;
    int count;
    const struct graph_skip *skips; /* in the order of their addresses */
    int skip_count;
};

/* ERR_BAD_REQUEST: the contract's "Dataset reference validation" text. */
int graph_new(const struct graph_dataset *datasets, int count, struct arena *arena, const struct graph **ret,
              struct err *err) MUST_CHECK;

/* From these identity keys, for a policy with these target categories. ERR_BAD_REQUEST: the "Dataset traversal" text:
 * an order that can't be kept, all unreachable collections, joined with "; " (those that don't fit are counted), or
 * collections that are to be erased after each other. */
int graph_walk(const struct graph *graph, const struct dataset_texts *keys, const struct dataset_texts *targets,
               struct arena *arena, const struct graph_walk **ret, struct err *err) MUST_CHECK;

/* NULL when there is none in the walk. */
const struct graph_node *graph_node(const struct graph_walk *walk, const char *dataset, const char *collection);
