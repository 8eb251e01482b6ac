/*
 * publish - events go to Kafka, in each request's order, and what Kafka has acknowledged is told.
 *
 * A committed entry is sent at once when the one before it is known to be on the topic or on its way there from
 * here; otherwise it is left in the outbox for the relay. A record may come twice, a gap never. The producer is
 * idempotent, acks=all, and never gives an event up: while Kafka is away it waits.
 *
 * Threads:   publish_*() from any thread; events are copied. Deliveries are told on the thread that polls: the
 *            owner's loop (publisher_poll) or the janitor.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/db.h"
#include "common/err.h"
#include "common/journal.h"

struct publisher;

/* `program`: "docket-api" ...; events' source is /docket/<cluster>/<program>. */
int publisher_new(const struct config *config, const char *program, struct publisher **ret,
                  struct err *err) MUST_CHECK;
/* Waits up to `wait` for what is on its way, then lets go. What is unsent stays in the outbox. */
void publisher_free(struct publisher *publisher, usec_t wait);
const char *publisher_source(const struct publisher *publisher);

/* Sends what won (entry->seq > 0) of one statement: all the entries of an outbox row, which they share, in one call.
 * Returns how many were left to the relay. */
int publish_entries(struct publisher *publisher, struct journal_entry *const *entries, int count);

/* It was read from the topic: what follows it may be sent from here, even while its outbox row stands. */
void publish_seen(struct publisher *publisher, const char *request_id, int64_t seq);

/* An event read back from the outbox by the relay. */
struct publish_record {
    const char *aggregate; /* its topic, after the prefix: "lifecycle", "configuration" */
    const char *request_id;
    int64_t seq;
    const char *type, *source, *cause, *traceparent;
    usec_t time;
    const void *payload;
    size_t payload_length;
    const uint8_t *chain;
    bool behind; /* an earlier one of the request is in the outbox too */
};
/* All of an outbox row, sorted by request and seq. What must wait for an earlier event is left for the next time. */
void publish_outbox(struct publisher *publisher, int64_t outbox, const struct publish_record *records, int count);

/*
 * A reply for the callbacks topic. `done` is called once, from the thread that polls: with NULL when Kafka has it,
 * else ERR_UNAVAILABLE after PUBLISH_REPLY_WAIT at the latest, and then it will not come later.
 */
#define PUBLISH_REPLY_WAIT (5 * USEC_PER_S)
struct publish_reply {
    const char *request_id, *webhook_id;
    bool eligible;
    usec_t received_at;
    const char *traceparent; /* NULL: a new one */
};
typedef void publish_done(void *opaque, const struct err *err);
int publish_reply(struct publisher *publisher, const struct publish_reply *reply, publish_done *done,
                  void *opaque, struct err *err) MUST_CHECK;

/* Calls what is to be told, waiting up to `wait` for it. How many events are on their way, and how long the oldest
 * has been (0: none): a relay that sees it grow leaves the outbox alone. */
void publisher_poll(struct publisher *publisher, usec_t wait);
int publisher_underway(struct publisher *publisher, usec_t *oldest);

/* Writes a byte to `fd` when publisher_poll() has something to tell. */
void publisher_notify(struct publisher *publisher, int fd);

/* Outbox rows all of whose events were acknowledged since the last call: they may go (SQL publish_forget); then say
 * publish_forgotten(), or publish_give_back() when that failed. */
int publish_take_acked(struct publisher *publisher, int64_t *outboxes, int max);
void publish_forgotten(struct publisher *publisher, const int64_t *outboxes, int count);
void publish_give_back(struct publisher *publisher, const int64_t *outboxes, int count);
/* Rows of which something was left to the relay since the last call: they are due at once (SQL publish_hasten). */
int publish_take_left(struct publisher *publisher, int64_t *outboxes, int max);
/* The parameter of both statements. */
void publish_outbox_args(struct db_args *args, const int64_t *outboxes, int count);

/* For programs without a loop: a thread that polls and, with a postgres_url, clears the outbox. */
int publisher_start_janitor(struct publisher *publisher, const char *postgres_url, struct err *err) MUST_CHECK;
