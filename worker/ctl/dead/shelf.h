/*
 * shelf - the dead topic as it stands: its letters in their order, each with what became of it.
 *
 * Threads: one. Ownership: all that is read is the arena's.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/arrival.h"
#include "common/config.h"
#include "common/dead.h"
#include "common/err.h"

/* A letter, known by the offset at which it stands. */
struct entry {
    int64_t number;
    struct dead_letter letter;
    const char *topic; /* of its place */
    size_t bytes;      /* of its value */
    bool repeat;       /* the same record was buried before: a worker died in between */
    struct dead_note note; /* the last; state DEAD_OPEN: none */
};

struct shelf {
    struct entry *entries;
    int count;
};

int shelf_read(const struct config *config, struct arena *arena, struct shelf *ret, struct err *err) MUST_CHECK;
/* NULL when there is none of that number. */
struct entry *shelf_find(const struct shelf *shelf, int64_t number);

/* Every record of the dead topic from the offset `first` up to its end as of now. Goes on while `visit` returns 0. */
typedef int shelf_visit(void *context, rd_kafka_message_t *message);
int shelf_scan(const struct config *config, int64_t first, shelf_visit *visit, void *context, struct err *err) MUST_CHECK;

/* "<prefix>.dead" */
enum { SHELF_TOPIC_BYTES = 192 };
const char *shelf_topic(const struct config *config, char text[SHELF_TOPIC_BYTES]);
