/*
 * reader - topics as they lie there: each partition from an offset on, in its order. It joins no group and commits
 * nothing, so that nobody notices it.
 *
 * Threads:   one at a time per reader; its runs belong to it.
 * Ownership: a record lives until the next call on its run. Memory is bounded by what is read ahead: READER_AHEAD_BYTES
 *            of keys and values over all partitions, with headers and all some five times that, however long the topics.
 * Errors:    ERR_UNAVAILABLE when a broker does not answer within the patience; ERR_GONE when what was to be read is
 *            not there any more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/record.h"

enum { READER_AHEAD_BYTES = 16 * 1024 * 1024 };

struct reader;
struct reader_run;

int reader_new(const struct config *config, usec_t patience, struct reader **ret, struct err *err) MUST_CHECK;
void reader_free(struct reader *reader); /* and its runs; accepts NULL */
DEFINE_CLEANUP(struct reader *, reader_free)

/* How many partitions `<prefix>.<name>` has; 0 when there is no such topic. */
int reader_partitions(struct reader *reader, const char *name, int *ret, struct err *err) MUST_CHECK;

/* The first offset of a partition and the one after its last record, as they are now. */
struct reader_bounds {
    int64_t low, high;
};
int reader_bounds(struct reader *reader, const char *name, int32_t partition, struct reader_bounds *ret,
                  struct err *err) MUST_CHECK;

/* The first offset whose record has that time or a later one; `high` when there is none. */
int reader_offset_at(struct reader *reader, const char *name, int32_t partition, usec_t time, int64_t high,
                     int64_t *ret, struct err *err) MUST_CHECK;

/* A run of records: of one partition when one was added, else of several, whose records come as they arrive, each
 * partition's in its order. Nothing is read before the first reader_next(). */
struct reader_run *reader_run_new(struct reader *reader);
/* Records with an offset of `from` to `until`, which is not among them. */
void reader_run_add(struct reader_run *run, const char *name, int32_t partition, int64_t from, int64_t until);
void reader_run_free(struct reader_run *run);

/* Reading ahead begins now, also where nothing is asked for yet: of several runs, all before the first is waited for. */
int reader_run_ahead(struct reader_run *run, struct err *err) MUST_CHECK;

/* The next one; NULL when all of them were read. */
int reader_next(struct reader_run *run, const struct record **ret, struct err *err) MUST_CHECK;

/* Of a run of one partition: its end is moved, back only as far as it has not been read yet. What was reached already
 * is kept, so that a run is cut into windows without a record read twice. */
void reader_run_extend(struct reader_run *run, int64_t until);
/* The offset that comes next, as far as that is known. */
int64_t reader_run_position(const struct reader_run *run);
