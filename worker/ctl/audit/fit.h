/*
 * fit - where a checkpoint's window ends in a topic that was written anew: what is missing or too much there has moved
 * the offsets of all that follows.
 *
 * The heads say of each record whether it may lie in the window: its chain has a head, and had not come further. So the
 * end is where the fewest records lie on the wrong side. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Of `count` records from the window's beginning on, of which `belongs` says whether each may lie in it: how many do.
 * Of several ends that are as good, `by_offset` is it, the one that the offsets tell; else the one that is nearest to
 * `expected`, the number that the checkpoint states, and of two such the later one. */
size_t fit_end(const bool *belongs, size_t count, size_t by_offset, size_t expected);

/* How many lie on the wrong side of an end. */
size_t fit_wrong(const bool *belongs, size_t count, size_t end);
