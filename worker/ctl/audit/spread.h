/*
 * spread - how long many things took, in a few kilobytes however many they were: counts by length, in steps that are a
 * thirty-second of what they measure. Percentiles are therefore up to 3.2 % too long; least, most and count are exact.
 *
 * Threads: one at a time per spread. Ownership: spread_free().
 */
#pragma once

#include <stdint.h>

#include "common/usec.h"

struct spread;

struct spread *spread_new(void);
void spread_free(struct spread *spread); /* accepts NULL */

void spread_add(struct spread *spread, usec_t duration); /* less than none counts as none */
void spread_merge(struct spread *to, const struct spread *from);

int64_t spread_count(const struct spread *spread);
/* The shortest within which so many per mille lie (nearest rank); USEC_NONE when there is nothing. 1000: the longest. */
usec_t spread_at(const struct spread *spread, int per_mille);
