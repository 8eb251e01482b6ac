/*
 * arrival - a record of the lifecycle or callbacks topic as it came to us, taken as the event that it is to be: CloudEvents
 * 1.0, its data as schemas/events says. What can't be understood is refused with a reason. Unknown headers and members
 * are let pass.
 *
 * Threads:   a reader is constant; any thread.
 * Ownership: what is read is the arena's. Headers' values end in NUL, which their length does not count.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/dead.h"
#include "common/err.h"
#include "common/event.h"
#include "common/record.h"

/* A record of any topic, with all of its headers, however many somebody gave it. */
struct arrival {
    const void *key, *value; /* NULL: without one */
    size_t key_length, length;
    const struct record_header *headers;
    int header_count;
};

/* Points into the message. */
struct arrival arrival_of(const rd_kafka_message_t *message, struct arena *arena);

struct arrival_reader;

/* Compiles the schemas of all types. ERR_BAD_REQUEST when one asks for what is not known: a mistake of the build. */
int arrival_reader_new(struct arrival_reader **ret, struct err *err) MUST_CHECK;
void arrival_reader_free(struct arrival_reader *reader); /* accepts NULL */
DEFINE_CLEANUP(struct arrival_reader *, arrival_reader_free)

enum arrival_topic { ARRIVAL_LIFECYCLE, ARRIVAL_CALLBACKS };

/* What a record says, once nothing about it is in doubt. */
struct arrival_event {
    enum event_type type;
    const char *request_id, *id; /* id: its ce_id */
    const char *traceparent;     /* as it came; NULL: none */
    int64_t seq;                 /* lifecycle */
    const char *webhook_id;      /* replies */
};

struct arrival_refusal {
    enum dead_reason reason;
    char detail[DEAD_DETAIL_BYTES]; /* which header or member, and what is wrong with it; never a value */
};

/* False, with `refusal` filled, when it can't be understood. */
bool arrival_read(const struct arrival_reader *reader, enum arrival_topic topic, const struct arrival *record,
                  struct arena *arena, struct arrival_event *event, struct arrival_refusal *refusal) MUST_CHECK;

/* "pri_" and a UUID, as docket makes them. */
bool arrival_is_request_id(const char *text, size_t length);
