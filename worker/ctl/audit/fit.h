/*
 * fit - where a checkpoint's window ends in a topic that was written anew: what is missing or too much there has moved
 * the offsets of all that follows.
 *
 * The heads say of each record whether it may lie in the window: its chain has a head, and had not come further. Of a
 * repeat they do not say it: what it repeats lay there, it may lie in any window behind. So the end is where the fewest
 * records lie on the wrong side. Pure.
 */
#pragma once

#include <stddef.h>

enum fit { FIT_BEYOND, FIT_EITHER, FIT_WITHIN };

/* Of `count` records from the window's beginning on, with the side of its end that each belongs to: how many lie in it.
 * Of several ends that are as good, `by_offset` is it, the one that the offsets tell; else the one that is nearest to
 * `expected`, the number that the checkpoint states, and of two such the later one. */
size_t fit_end(const enum fit *sides, size_t count, size_t by_offset, size_t expected);

/* How many lie on the wrong side of an end. */
size_t fit_wrong(const enum fit *sides, size_t count, size_t end);
