/*
 * record - one record of a topic with all that it has, and what it says of itself as an event (CloudEvents, Kafka
 * binding, binary mode: schemas/README.md). Nothing is judged here beyond the form of a number and of a hash.
 *
 * Threads:   any, each its own records.
 * Ownership: everything points into the message, and lives as long as it does. Headers' values end in NUL, which their
 *            length does not count.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/usec.h"

enum { RECORD_HEADERS_MAX = 64, RECORD_CHAIN_BYTES = 32 };

struct record_header {
    const char *name;
    const void *value; /* NULL: none */
    size_t length;
};

struct record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    usec_t timestamp; /* Kafka's; USEC_NONE: none */
    const void *key;  /* NULL: none */
    size_t key_length;
    const void *value; /* NULL: none, a tombstone */
    size_t value_length;
    int header_count;  /* of those below */
    bool has_more_headers; /* beyond RECORD_HEADERS_MAX; they are left out */
    struct record_header headers[RECORD_HEADERS_MAX];
};

void record_read(const rd_kafka_message_t *message, struct record *ret);

/* The headers that events have. Texts are NULL where there is no such header. */
enum record_attribute {
#define ATTRIBUTE(NAME, name) RECORD_##NAME,
#include "common/record.tbl.h"
#undef ATTRIBUTE
    RECORD_ATTRIBUTES
};

struct record_event {
    const char *attributes[RECORD_ATTRIBUTES];
    int64_t sequence;    /* 0: no ce_sequence, or not 20 digits above 0 */
    bool has_chain;      /* ce_chain is there, 64 lower-case hex digits */
    uint8_t chain[RECORD_CHAIN_BYTES];
    const char *unknown; /* name of a header that is none of these; NULL */
    const char *doubled; /* name of one that is there twice, or holds a NUL; NULL */
};

/* Attributes as they stand; the last one where a header is there twice. */
void record_event(const struct record *record, struct record_event *ret);
void record_attributes(const struct record_header *headers, int count, struct record_event *ret);

const char *record_attribute_name(enum record_attribute attribute);
