/*
 * hold - who reads a partition, as a few words in the metadata of its committed offset. Whoever reads it next knows from
 * them whether the one before ended as it should. Where two in a row did not, and the second got no further than the
 * first, it reads with care: one event at a time, each written down here before it is begun; and what two died at is
 * begun no more.
 *
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/usec.h"

enum {
    HOLD_RUN_BYTES = 17,  /* 16 hex digits: a process */
    HOLD_TEXT_BYTES = 128,
    HOLD_FALLS = 2,       /* so many that died in a row: with care */
    HOLD_DEATHS = 2,      /* so many at one event: not again */
};

/* One that died later than this after it began was not killed by what it began with. */
#define HOLD_YOUNG (10 * 60 * USEC_PER_S)

struct hold {
    char run[HOLD_RUN_BYTES]; /* empty: nobody's, its last reader ended well */
    usec_t since;             /* when that one began */
    int64_t from;             /* the committed offset then */
    int falls;                /* readers before it that died young, in a row, and got on by no event */
    int64_t at;               /* the event that is being handled with care; -1: none, or not with care */
    int64_t blamed;           /* the last that one died at; -1: none */
    int deaths;               /* how many in a row died at that one */
};

/* A partition that is read from `position` on, without a word about anybody before. */
struct hold hold_new(const char *run, int64_t position, usec_t now);
const char *hold_print(const struct hold *hold, char text[HOLD_TEXT_BYTES]);
/* What is not of hold_print()'s making says that it is nobody's. */
struct hold hold_parse(const char *text);

/* `run` takes over a partition whose committed offset is `position`. */
struct hold hold_claim(const struct hold *before, int64_t position, const char *run, usec_t now);
bool hold_is_careful(const struct hold *hold);
bool hold_is_deadly(const struct hold *hold, int64_t offset);
