/*
 * tables - what PostgreSQL has, held against what the topics have: the last event of each request and of the
 * configuration, each event's chain, each row that follows from events, each checkpoint.
 *
 * One snapshot is looked at, page by page. What is in it and not yet known to be on the topic stands in its outbox; what
 * it has beyond that is on the topic by then, so the topics are read on once the snapshot is taken.
 *
 * Threads: one at a time.
 */
#pragma once

#include "common/config.h"
#include "common/reader.h"
#include "worker/ctl/audit/finding.h"
#include "worker/ctl/audit/line.h"
#include "worker/ctl/audit/states.h"

struct tables_parts {
    const struct config *config;
    struct findings *findings;
    struct states *states;   /* how far each chain has come on the topics */
    struct reader *reader;
    const struct line *line; /* checkpoints that are found out already are not told again */
    int (*catch_up)(void *context, struct err *err); /* reads the topics on, into `states` */
    void *context;
    bool progress;
};

struct tables_counts {
    bool looked;
    int64_t chains, events, unpublished;
};

int tables_verify(const struct tables_parts *parts, struct tables_counts *ret, struct err *err) MUST_CHECK;
