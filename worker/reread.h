/*
 * reread - a record is read again by its place (common/refetch.h), on libuv's thread pool: to be handled once more, or
 * to be buried. So nothing is kept of those many for which neither is needed.
 *
 * Threads:   the loop's.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <uv.h>

#include "common/config.h"
#include "common/err.h"
#include "common/place.h"

/* `message` NULL: `err` says why; ERR_GONE when the topic has it no more. Valid during the call only. */
typedef void reread_done(void *context, rd_kafka_message_t *message, const struct err *err);

/* Told once, also when the loop is at its end. */
void reread_begin(uv_loop_t *loop, const struct config *config, const struct place *place, reread_done *done,
                  void *context);
