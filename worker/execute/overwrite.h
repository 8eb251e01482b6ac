/*
 * overwrite - the UPDATE that masks a collection's rows (dsr.md 6): which columns, what is written there, how each row
 * is found, the statement and its values. Pure: whoever has the rows and the connection runs it.
 *
 * A column is written over as it stands at that time: of an array the elements that were collected, of JSON the members
 * that the dataset names, so that what others have changed meanwhile stays.
 *
 * Threads:   one caller at a time.
 * Ownership: the arena's, but the batch: overwrite_free().
 */
#pragma once

#include "common/catalog.h"
#include "common/graph.h"
#include "common/rows.h"
#include "worker/execute/source.h"

/* OVERWRITE_ROWS rows, or OVERWRITE_BYTES, make a batch; a row alone may be larger, up to OVERWRITE_ROW_BYTES_MAX.
 * Of a JSON value OVERWRITE_MEMBERS_MAX members can be masked. */
enum {
    OVERWRITE_ROWS = 1000,
    OVERWRITE_BYTES = 4 * 1024 * 1024,
    OVERWRITE_ROW_BYTES_MAX = 512 * 1024 * 1024,
    OVERWRITE_MEMBERS_MAX = 1000
};

struct overwrite;

/* Which fields the policy's erasure rules mask, and how. ERR_BAD_REQUEST: a masking strategy that does not exist or is
 * wrongly configured, of any rule, whether it speaks of this collection or not. */
int overwrite_new(const struct graph_node *node, const struct catalog_policy *policy, const struct seal_key *key,
                  const char *request_id, struct arena *arena, struct overwrite **ret, struct err *err) MUST_CHECK;
void overwrite_free(struct overwrite *overwrite);
DEFINE_CLEANUP(struct overwrite *, overwrite_free)
bool overwrite_is_empty(const struct overwrite *overwrite); /* there is nothing to mask */

/* Holds it against the table, and against the columns that were collected. ERR_REFUSED names every field that can't be
 * masked, and why: nothing may be written then. */
int overwrite_bind(struct overwrite *overwrite, const struct source_table *table, const char *const *columns, int count,
                   struct err *err) MUST_CHECK;

/* Takes a row into the batch. 0: taken (or known to be written over with one before it, which has the same key).
 * 1: the batch must be run first, and the row offered again. ERR_REFUSED: it has no key, or can't be masked. */
int overwrite_add(struct overwrite *overwrite, const struct rows_value *row, struct err *err) MUST_CHECK;
/* Once a batch. NULL: it is empty. The one parameter is JSON. */
const char *overwrite_statement(struct overwrite *overwrite, const char **ret_json);
void overwrite_clear(struct overwrite *overwrite); /* the batch was run */
