/*
 * dead - records that could not be understood, as they stand on `<prefix>.dead`: key, headers and value as they came, and
 * after these headers some of docket's own; and the notes there that tell what became of one (schemas/README.md).
 *
 * Pure, but for librdkafka's lists of headers. Threads: any. Ownership: what is read is the arena's, and points into the
 * record.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/usec.h"

enum dead_reason {
    DEAD_NONE,
#define DEAD(name, word, help) DEAD_##name,
#include "common/dead.tbl.h"
#undef DEAD
    DEAD_REASONS
};

const char *dead_word(enum dead_reason reason);
const char *dead_help(enum dead_reason reason);
enum dead_reason dead_parse(const char *word); /* DEAD_NONE for another */

enum { DEAD_DETAIL_BYTES = 200 };

struct arrival;

/* What is written beside a dead record. */
struct dead_letter {
    const char *reason;   /* a word; of a newer version maybe one that is not known here */
    const char *place;
    usec_t time;
    const char *detail;   /* NULL: none */
    const char *sqlstate; /* internal, when PostgreSQL refused it; else NULL */
    const char *lacks;    /* "key, headers and value" where they could not be had or kept; NULL: it is whole */
};

/* The headers that the record came with (NULL: none), and the letter's after them. */
rd_kafka_headers_t *dead_headers(const rd_kafka_headers_t *original, const struct dead_letter *letter);
/* False when it is no dead letter; else `original` has what the record was before. */
bool dead_read(const struct arrival *record, struct arena *arena, struct arrival *original, struct dead_letter *letter);

/* What became of the dead letter that stands at the offset `of` of the dead topic. */
enum dead_state { DEAD_OPEN, DEAD_RETRIED, DEAD_DROPPED, DEAD_STATES };
const char *dead_state_word(enum dead_state state);
bool dead_state_parse(const char *word, enum dead_state *ret);

struct dead_note {
    int64_t of;
    enum dead_state state;
    usec_t time;
    const char *by;     /* who did it */
    const char *to;     /* retried: where it stands now */
    const char *mended; /* retried: what was changed, with commas; NULL: nothing */
};
rd_kafka_headers_t *dead_note_headers(const struct dead_note *note);
const char *dead_note_value(const struct dead_note *note, struct arena *arena);
/* False when it is no note. */
bool dead_note_read(const struct arrival *record, struct arena *arena, struct dead_note *note);
