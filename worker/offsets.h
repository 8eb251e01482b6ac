/*
 * offsets - which events of a partition are settled. They finish in any order; what is committed is the run from
 * the front that has no hole, so that a crash forgets none.
 *
 * Pure. Ownership: offsets_free().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct offsets;

struct offsets *offsets_new(void);
void offsets_free(struct offsets *offsets);

/* An event at `offset` (they come in rising order) is under way: its ticket for offsets_done(). */
uint64_t offsets_add(struct offsets *offsets, int64_t offset);
void offsets_done(struct offsets *offsets, uint64_t ticket);

/* True, and the offset to commit (one past the last of the settled run), when it moved since the last call. */
bool offsets_position(struct offsets *offsets, int64_t *ret);
int offsets_underway(const struct offsets *offsets);
