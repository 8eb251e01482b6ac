/*
 * log - one of docket's topics as a stream of records: from its beginning or from a time, to where it ended when it was
 * opened. For audits: no group is joined and nothing is committed.
 *
 * Threads:   one at a time per log.
 * Ownership: a record lives until the next log_next(). Memory is bounded, however long the topic is (common/reader.h).
 * Errors:    as in common/reader.h; ERR_NOT_FOUND when there is no such topic.
 */
#pragma once

#include "common/reader.h"

#define LOG_PATIENCE (30 * USEC_PER_S) /* for a broker that does not answer */

struct log;

struct log_range {
    usec_t since;      /* Kafka's time of a record, at the earliest; USEC_NONE: from the beginning */
    int32_t partition; /* LOG_ALL, or this one alone */
    const char *key;   /* only the partition that docket's producers put it in; NULL: all the same */
};
enum { LOG_ALL = -1 };

/* `name`: without the prefix. `range` NULL: all of it. */
int log_open(const struct config *config, const char *name, const struct log_range *range, struct log **ret,
             struct err *err) MUST_CHECK;
void log_close(struct log *log); /* accepts NULL */
DEFINE_CLEANUP(struct log *, log_close)

/* Each partition's records in their order, of several partitions as they arrive. *ret NULL: that was all. */
int log_next(struct log *log, const struct record **ret, struct err *err) MUST_CHECK;

/* How many offsets there are to read, for those who tell how far they have come; how many partitions the topic has. */
int64_t log_length(const struct log *log);
int log_partitions(const struct log *log);

/* Where docket's producers put a key: librdkafka's own partitioner. */
int32_t log_partition_of(const void *key, size_t length, int partitions);
