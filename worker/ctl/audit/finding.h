/*
 * finding - what is not as it should be, told as it is found: a line for people, or an object for programs.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/cleanup.h"

enum finding_kind {
#define FINDING(NAME, word, means) FINDING_##NAME,
#include "worker/ctl/audit/finding.tbl.h"
#undef FINDING
    FINDING_KINDS
};

const char *finding_word(enum finding_kind kind);
const char *finding_means(enum finding_kind kind);

/* Where it is: what is not known, or is not of a place, stays as FINDING_NOWHERE has it. */
struct finding_place {
    const char *topic;  /* without its prefix; NULL */
    int32_t partition;  /* -1 */
    int64_t offset;     /* -1 */
    const char *id;     /* the request, or `configuration`; NULL */
    int64_t seq, until; /* 0; `until`: the last of several */
    int64_t checkpoint; /* 0 */
    const char *field;  /* the header, or relation.column; NULL */
};
#define FINDING_NOWHERE { .partition = -1, .offset = -1 }

struct findings {
    FILE *out;
    bool json;
    long long count, counts[FINDING_KINDS];
};

/* `text`: what happened, in words; NULL: what the kind means. */
void finding_tell(struct findings *findings, enum finding_kind kind, const struct finding_place *place,
                  const char *text, ...) PRINTF_LIKE(4, 5);
