/*
 * refetch - one record of a topic, read again by its place: for what happens so rarely that nothing is kept for it.
 *
 * Threads:   any; blocks up to the patience given.
 * Ownership: a refetched record has its own consumer, and goes with it.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "common/config.h"
#include "common/err.h"
#include "common/place.h"
#include "common/usec.h"

struct refetched {
    rd_kafka_t *consumer;
    rd_kafka_message_t *message;
};

/* ERR_GONE when the topic has it no more, ERR_UNAVAILABLE when that can't be told now. */
int refetch(const struct config *config, const struct place *place, usec_t patience, struct refetched **ret,
            struct err *err) MUST_CHECK;
void refetched_free(struct refetched *refetched); /* accepts NULL */
DEFINE_CLEANUP(struct refetched *, refetched_free)
