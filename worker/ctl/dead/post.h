/*
 * post - records that docketctl puts on a topic: known to be there, or known not to be.
 *
 * Threads: one. Ownership: what is sent is copied; a slip must stay where it is until post_wait().
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/arrival.h"
#include "common/config.h"
#include "common/dead.h"
#include "common/err.h"

struct post;

/* What became of one. */
struct slip {
    rd_kafka_resp_err_t error; /* 0 once it is there */
    int32_t partition;
    int64_t offset;
};

int post_new(const struct config *config, struct post **ret, struct err *err) MUST_CHECK;
void post_free(struct post *post); /* accepts NULL */
DEFINE_CLEANUP(struct post *, post_free)

/* partition RD_KAFKA_PARTITION_UA: by the key. The headers are its own from here on. */
void post_send(struct post *post, const char *topic, int32_t partition, const struct arrival *record,
               rd_kafka_headers_t *headers, struct slip *slip);
/* Until all that was sent has a slip that tells. */
void post_wait(struct post *post);

/* A note for the dead topic. */
void post_note(struct post *post, const struct config *config, const struct dead_note *note, struct slip *slip);
/* `given`, or who runs this program: "user@host". */
const char *post_author(const char *given, struct arena *arena);
