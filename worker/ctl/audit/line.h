/*
 * line - the checkpoints of a log, one after another: each signed by a key that is known, each following from the one
 * before. What does not is found and named; the rest may be believed.
 *
 * A checkpoint that is signed by a key which is not known is believed all the same when one that is signed by a known key
 * follows from it, over any number of others: its hash is in what that one states.
 *
 * Threads: one at a time.
 */
#pragma once

#include "common/checkpoint.h"
#include "common/record.h"
#include "worker/ctl/audit/finding.h"
#include "worker/ctl/audit/trust.h"

struct line;

struct line_counts {
    int64_t checkpoints, repeats; /* of different numbers; the same once more */
    int64_t attested;             /* signed by another key, and believed by a later one */
    int64_t last;                 /* the highest number */
    bool is_broken;               /* something was found */
};

struct line *line_new(struct findings *findings, const struct trust *trust);
void line_free(struct line *line); /* accepts NULL */
DEFINE_CLEANUP(struct line *, line_free)

/* Every record of the topic, in order; then the end. */
void line_take(struct line *line, const struct record *record);
void line_finish(struct line *line);

/* Whether the checkpoint at that offset may be believed. */
bool line_believes(const struct line *line, int64_t offset);
struct line_counts line_counts(const struct line *line);
