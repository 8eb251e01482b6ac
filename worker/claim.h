/*
 * claim - partitions that were assigned are taken over: how their last readers ended is read from the metadata of their
 * offsets (hold.h), and that this process reads them now is written there, before the first event is read.
 *
 * Threads:   the loop's; the broker is asked on libuv's thread pool.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <uv.h>

#include "worker/hold.h"

struct claimed {
    const char *topic;
    int32_t partition;
    struct hold hold;
    int64_t position; /* the committed offset */
    int64_t until;    /* read with care: up to here; else 0 */
};

/* count -1: the broker could not be asked. Valid during the call only. */
typedef void claim_done(void *context, const struct claimed *claimed, int count);

/* Told once. `run` is copied. */
void claim_begin(uv_loop_t *loop, rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *partitions,
                 const char *run, claim_done *done, void *context);
