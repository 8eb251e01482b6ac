/*
 * stream - an answer that is too large to be held, made piece by piece while its reader takes it. Only a piece of each
 * is ever in memory, and a slow reader holds nothing else: pieces are read by a few threads of the pool, and none of
 * them waits for who takes them.
 *
 * Threads:   a source is read by one thread at a time, not always the same; it may block.
 * Ownership: a stream closes its source, whatever happens.
 */
#pragma once

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

enum { STREAM_PIECE_BYTES = 64 * 1024 };

struct stream_source {
    /* Up to `size` bytes, fewer only when they are at hand; 0: the end. Negative: the answer is cut off, so that nobody
     * takes a part for the whole. */
    int64_t (*read)(void *context, void *buffer, size_t size, struct err *err);
    void (*close)(void *context);
    void *context;
};

struct stream_pool;
struct stream_pool *stream_pool_new(int threads, int streams_max);
void stream_pool_free(struct stream_pool *pool); /* accepts NULL; no stream may be left */

struct stream;
/* Reads the first piece, so that what can't be read at all is an error and no cut answer. ERR_UNAVAILABLE when there
 * are as many as are allowed. */
int stream_open(struct stream_pool *pool, const struct stream_source *source, struct stream **ret,
                struct err *err) MUST_CHECK;
void stream_free(struct stream *stream); /* accepts NULL */
DEFINE_CLEANUP(struct stream *, stream_free)

/* For the thread that serves `connection`; the stream must outlive the response. */
struct MHD_Response *stream_response(struct stream *stream, struct MHD_Connection *connection);
