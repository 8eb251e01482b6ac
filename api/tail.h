/*
 * tail - the lifecycle topic as it grows, from a place on, for one reader. It joins no group and commits nothing: the
 * reader keeps its place itself.
 *
 * What is read ahead is bounded (TAIL_AHEAD_KIB, and an answer of a broker that is under way), however long nothing is
 * taken. A partition that is added is read from its beginning. While Kafka is away nothing comes, and then it goes on.
 *
 * Threads:   one at a time. Ownership: a record lives until the next tail_next().
 */
#pragma once

#include "api/event_place.h"
#include "common/config.h"
#include "common/err.h"
#include "common/record.h"

enum { TAIL_AHEAD_KIB = 256 };

struct tail;

int tail_new(const struct config *config, struct tail **ret, struct err *err) MUST_CHECK;
void tail_free(struct tail *tail); /* accepts NULL */
DEFINE_CLEANUP(struct tail *, tail_free)

const char *tail_topic(const struct tail *tail);

/* Begins behind what is there now. ERR_UNAVAILABLE when that is not to be known within the patience. */
int tail_from_end(struct tail *tail, usec_t patience, struct err *err) MUST_CHECK;
/* Or there, which asks nobody. Without either of them it begins with the first record. */
void tail_from(struct tail *tail, const struct event_place *place);

/* The next record, or NULL when none came within `wait`. */
const struct record *tail_next(struct tail *tail, usec_t wait);
/* Behind the last record that tail_next() gave; a count of 0 while it is not known how many partitions there are. */
const struct event_place *tail_place(const struct tail *tail);
