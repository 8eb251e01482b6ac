/*
 * request - all events of one request, from the topic alone.
 *
 * Threads:   one at a time.
 * Ownership: results live in the caller's arena.
 * Errors:    as in log.h; ERR_NOT_FOUND when the topic has no event of it.
 */
#pragma once

#include "common/arena.h"
#include "common/digest.h"
#include "worker/ctl/audit/log.h"

struct request_event {
    struct record record;
    struct record_event event;
};

struct request {
    const char *id;
    const struct request_event *const *events; /* by number; of repeats the first */
    int count;
    int whole; /* so many of them, from the first, are an unbroken chain */
    int repeats;
};

/* Only the partition of its key is read, and all of them when nothing is there. */
int request_read(const struct config *config, const char *id, struct arena *arena, struct request *ret,
                 struct err *err) MUST_CHECK;

/* The same of records that are there: in the order of their numbers, each once, and how far their chain is whole. */
void request_settle(const char *id, const struct request_event **events, int count, struct digest *digest,
                    struct request *ret);

/* The chain after the whole part. NULL: no event is in it. */
const uint8_t *request_chain(const struct request *request);
