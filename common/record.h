/*
 * record - a record of the lifecycle or callbacks topic, read as the event that it is to be: CloudEvents 1.0, its data as
 * schemas/events says. What can't be understood is refused with a reason. Unknown headers and members are let pass.
 *
 * Threads:   a reader is constant; any thread. Ownership: what is read is the arena's.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/dead.h"
#include "common/err.h"
#include "common/event.h"

/* A record of any topic, as it came. */
struct record_header {
    const char *name;
    const void *value; /* NULL: without one */
    size_t length;
};
struct record {
    const void *key, *value; /* NULL: without one */
    size_t key_length, length;
    const struct record_header *headers;
    int header_count;
};

/* Points into the message. */
struct record record_of(const rd_kafka_message_t *message, struct arena *arena);

/* Where a record stands: "<topic>/<partition>/<offset>". */
enum { PLACE_BYTES = 300 };
struct place {
    char topic[250]; /* as long as Kafka lets them be */
    int32_t partition;
    int64_t offset;
};
const char *place_print(const struct place *place, char text[PLACE_BYTES]);
bool place_parse(const char *text, struct place *ret);

struct record_reader;

/* Compiles the schemas of all types. ERR_BAD_REQUEST when one asks for what is not known: a mistake of the build. */
int record_reader_new(struct record_reader **ret, struct err *err) MUST_CHECK;
void record_reader_free(struct record_reader *reader); /* accepts NULL */
DEFINE_CLEANUP(struct record_reader *, record_reader_free)

enum record_topic { RECORD_LIFECYCLE, RECORD_CALLBACKS };

/* What a record says, once nothing about it is in doubt. */
struct record_event {
    enum event_type type;
    const char *request_id, *id; /* id: its ce_id */
    const char *traceparent;     /* as it came; NULL: none */
    int64_t seq;                 /* lifecycle */
    const char *webhook_id;      /* replies */
};

struct record_refusal {
    enum dead_reason reason;
    char detail[DEAD_DETAIL_BYTES]; /* which header or member, and what is wrong with it; never a value */
};

/* False, with `refusal` filled, when it can't be understood. */
bool record_read(const struct record_reader *reader, enum record_topic topic, const struct record *record,
                 struct arena *arena, struct record_event *event, struct record_refusal *refusal) MUST_CHECK;

/* "pri_" and a UUID, as docket makes them. */
bool record_is_request_id(const char *text, size_t length);
