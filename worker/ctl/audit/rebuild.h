/*
 * rebuild - what the parts of `docketctl audit rebuild` share: an empty database is filled from the lifecycle topic
 * alone, its tables are derived from that, and held against those of the database that docket runs on.
 *
 * Memory is bounded by a page, however long the topic is.
 *
 * Threads: one at a time.
 */
#pragma once

#include "common/arena.h"
#include "common/config.h"
#include "common/db.h"

enum { REBUILD_PAGE = 1000, REBUILD_ID_BYTES = 128, REBUILD_TABLES_MAX = 16 };

struct rebuild_options {
    const char *into;
    bool compare, json;
};

/* What was counted of a table. */
struct rebuild_table {
    char name[64];
    int64_t columns; /* that the log covers */
    int64_t rows;    /* rebuilt */
    int64_t differences;
};

struct rebuild {
    const struct config *config;
    struct rebuild_options options;
    struct db *into, *original; /* original NULL: nothing to compare with */
    struct arena *arena;        /* of a page or batch */
    usec_t opened_at;           /* when the topic was first looked at */
    struct rebuild_table tables[REBUILD_TABLES_MAX];
    int table_count;
    int64_t events, repeats, requests, compared;
    int64_t older;       /* requests that a release before 0.4.0 made: not compared */
    int64_t unpublished; /* whose last events are on no topic yet: not compared */
    int64_t findings;
};

/* Everything that is on the topic by now and is not here yet. */
int rebuild_fill(struct rebuild *rebuild, usec_t since, struct err *err) MUST_CHECK;
/* Every request's rows. */
int rebuild_derive(struct rebuild *rebuild, struct err *err) MUST_CHECK;
/* Holds them against the original's, as these were at one moment. */
int rebuild_compare(struct rebuild *rebuild, struct err *err) MUST_CHECK;

struct rebuild_table *rebuild_table(struct rebuild *rebuild, const char *name); /* NULL: none of this name */
struct db_args *rebuild_ids(struct rebuild *rebuild, const char *const *ids, int count);

/* One more thing that is not as it should be. `where`: what stands there, as members of JSON ("request_id", id, ...), then
 * NULL; `text`: for a person. */
void rebuild_tell(struct rebuild *rebuild, const char *kind, const char *const *members, const char *format, ...)
    PRINTF_LIKE(4, 5);
