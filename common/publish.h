/*
 * publish - events go to Kafka, in each request's order, and what Kafka has acknowledged is told.
 *
 * A committed entry is sent at once when the one before it is known to be on the topic or on its way there from
 * here; otherwise it is left in the outbox for the relay. A record may come twice, a gap never. The producer is
 * idempotent, acks=all, and never gives a message up: while Kafka is away it waits.
 *
 * Threads:   publish_*() from any thread; events are copied.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/journal.h"

struct publisher;

/* `program`: "docket-api" ...; events' source is /docket/<cluster>/<program>. */
int publisher_new(const struct config *config, const char *program, struct publisher **ret,
                  struct err *err) MUST_CHECK;
/* Waits up to `wait` for what is on its way, then lets go. What is unsent stays in the outbox. */
void publisher_free(struct publisher *publisher, usec_t wait);
const char *publisher_source(const struct publisher *publisher);
rd_kafka_t *publisher_handle(struct publisher *publisher);

/* Sends what won (entry->seq > 0) of one committed batch. Returns how many were left to the relay. */
int publish_entries(struct publisher *publisher, struct journal_entry *const *entries, int count);

/* An event read back from the outbox by the relay, whose predecessors are sent or on the topic. */
struct publish_record {
    const char *request_id;
    int64_t seq;
    const char *type, *source, *cause, *traceparent;
    usec_t time;
    const void *payload;
    size_t payload_length;
    const uint8_t *chain;
};
int publish_record(struct publisher *publisher, const struct publish_record *record, struct err *err) MUST_CHECK;

/* A reply for the callbacks topic. `done` is called from the publisher's own thread once Kafka has it (err
 * NULL) or it was refused or took longer than `timeout` (err set: ERR_UNAVAILABLE). */
struct publish_reply {
    const char *request_id, *webhook_id;
    bool eligible;
    usec_t received_at;
    const char *traceparent; /* NULL: a new one */
};
typedef void publish_done(void *opaque, const struct err *err);
int publish_reply(struct publisher *publisher, const struct publish_reply *reply, publish_done *done,
                  void *opaque, struct err *err) MUST_CHECK;

/* Acknowledged since the last call: the outbox rows that may go. Up to `max`; the caller deletes them with
 * SQL_publish_forget (publish.sql) and then says publish_forgotten(), or publish_unacked() on failure. */
struct publish_ack {
    char request_id[64];
    int64_t seq;
};
int publish_take_acked(struct publisher *publisher, struct publish_ack *acks, int max);
void publish_forgotten(struct publisher *publisher, const struct publish_ack *acks, int count);
void publish_give_back(struct publisher *publisher, const struct publish_ack *acks, int count);

/* For programs without a loop: a thread with a connection of its own that deletes what was acknowledged. */
int publisher_start_janitor(struct publisher *publisher, const char *postgres_url, struct err *err) MUST_CHECK;
