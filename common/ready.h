/*
 * ready - whether a program can do its work: each dependency with its state and how fast it answered, looked at every
 * second by a thread of its own, so that who asks never waits. Some dependencies are needed; without the others the
 * program serves all the same.
 *
 * Threads: ready_new() and ready_free() by main(); the rest by any.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"
#include "common/httpd.h"

struct ready;

enum ready_dependency { READY_KAFKA, READY_POSTGRESQL, READY_REDIS, READY_DEPENDENCIES };
#define READY_NEEDS(dependency) (1u << (dependency))

/* `topic` without its prefix: Kafka is up when this topic is there. `needs`: bits of READY_NEEDS(). */
int ready_new(const struct config *config, const char *topic, unsigned needs, struct ready **ret,
              struct err *err) MUST_CHECK;
void ready_free(struct ready *ready); /* accepts NULL */

/* Says that the program itself has come up. Before that it is not ready, whatever it depends on. */
void ready_open(struct ready *ready);

/* 200 when ready, else 503. */
void ready_answer(struct ready *ready, struct http_call *call);

bool ready_is_up(struct ready *ready, enum ready_dependency dependency);
/* A client that may be asked about the cluster; it neither produces nor consumes. */
rd_kafka_t *ready_kafka(const struct ready *ready);
