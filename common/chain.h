/*
 * chain - the hash chain of a request's events, taken from records as they stand on a topic (schemas/README.md, "The
 * chain"). PostgreSQL makes it; this is for those who check it.
 *
 * Threads: one at a time per `struct digest`.
 */
#pragma once

#include <stdbool.h>

#include "common/buf.h"
#include "common/digest.h"
#include "common/record.h"

/* The longest id of a chain: a request's, or `configuration`. */
enum { CHAIN_ID_MAX = 63 };

/* The chain after an event that has these headers and this value. `previous` NULL: it is the first. */
void chain_next(struct digest *digest, const uint8_t *previous, const struct record_event *event, const void *value,
                size_t length, uint8_t ret[DIGEST_BYTES]);

/* What is hashed after the previous chain: for who knows that one only later. */
void chain_text(const struct record_event *event, const void *value, size_t length, struct buf *out);

/* Whether these bytes may be the id of a chain: printable ASCII without quote and backslash. */
bool chain_id_read(const void *bytes, size_t length, char ret[CHAIN_ID_MAX + 1]);

/* Whose event a record is: its key, when that may be an id and the record says which event of it it is and the chain
 * after it. False for anything else, which is no event of docket's. */
struct chain_link {
    char id[CHAIN_ID_MAX + 1];
    int64_t seq;
    uint8_t chain[DIGEST_BYTES];
};
bool chain_link_of(const struct record *record, const struct record_event *event, struct chain_link *ret);

/* What a record counts with in a checkpoint: its chain, or the SHA-256 of its value where it is no event. */
void chain_mark(struct digest *digest, const struct record *record, const struct chain_link *link,
                uint8_t ret[DIGEST_BYTES]); /* link NULL: no event */
