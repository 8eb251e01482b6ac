/*
 * burial - records that can't be understood go to `<prefix>.dead`. One is told as buried once Kafka has acknowledged it;
 * until then its offset must not be committed. While Kafka refuses, it is tried again each second, for ever.
 *
 * Its producer is made for the first of them: while there is none, this costs nothing.
 *
 * Threads:   the loop's.
 * Ownership: what is buried is copied.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <uv.h>

#include "common/config.h"
#include "common/dead.h"
#include "common/place.h"

struct burial;

typedef void burial_told(void *context, void *token);

/* A byte is written to `wake` when burial_poll() has something to do. */
struct burial *burial_new(uv_loop_t *loop, const struct config *config, int wake, burial_told *told, void *context);
void burial_free(struct burial *burial);

struct burial_case {
    struct place place;
    enum dead_reason reason;
    const char *detail;   /* NULL: none */
    const char *sqlstate; /* NULL or empty: none */
    void *token;          /* from malloc(): told() takes it, or burial_free() what is left */
};
/* `message` NULL: it is read again by its place. */
void burial_bury(struct burial *burial, const struct burial_case *of, rd_kafka_message_t *message);

void burial_poll(struct burial *burial);
/* Tries nothing again: what is not acknowledged by the end is read by the next worker. */
void burial_stop(struct burial *burial);
/* Some are read again on another thread: not to be freed now. */
bool burial_is_reading(const struct burial *burial);
