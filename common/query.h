/*
 * query - the SELECT that reads a collection (dsr.md 3), as text. Identifiers are always quoted. Pure.
 *
 * Ownership: the arena's.
 */
#pragma once

#include <stdint.h>

#include "common/graph.h"

/* The collection's columns that are read, in the order of their names: primary keys, identities, ends of edges,
 * references, and whatever has a category; if none, all. Sub-fields bring their top-level column, whole. */
int query_columns(const struct graph_walk *walk, const struct graph_node *node, struct arena *arena,
                  const struct dataset_field *const **ret);

/* What depends on the types over there. condition: whether an entry field (`expression`, one within a column as text,
 * ->>) has one of the values that are the n-th parameter, e.g. "\"id\" = any($1::bigint[])". column: an entry column as
 * it is read; NULL: as it is. */
struct query_words {
    const char *(*condition)(void *context, int n, const struct dataset_field *field, const char *expression);
    const char *(*column)(void *context, int n, const struct dataset_field *field, const char *expression);
    void *context;
};

/* One condition a target field of the node's edges, in the order of their paths, OR-ed. `limit` 0: none. A node without
 * edges has no rows. */
const char *query_select(const struct graph_walk *walk, const struct graph_node *node, const struct query_words *words,
                         int64_t limit, struct arena *arena);

/* "\"schema\".\"table\"", or the table alone. */
const char *query_table(const struct graph_node *node, struct arena *arena);
const char *query_identifier(const char *name, struct arena *arena); /* quoted, quotes doubled */

/* As shown to people by `preview`: the contract's form, an identity's value as = :name, those of a reference, of which
 * there may be many, as IN (:name...). */
const char *query_preview(const struct graph_walk *walk, const struct graph_node *node, struct arena *arena);
