/*
 * feed - an answer that is written as things happen, for as long as its reader stays. What was put and is not taken yet
 * is all that is in memory of it: who writes looks how much that is before he puts more, so a slow reader is waited for.
 *
 * Threads:   one writes; the HTTP thread of its connection takes. Neither waits for the other but in feed_wait().
 * Ownership: two hold it, the writer until feed_end() and the answer until it is over; who comes last frees it.
 */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/usec.h"

struct feed;

/* `max`: bytes that are put and not taken yet. */
struct feed *feed_new(size_t max);

/* True when it was put; false when there is no room for it, or nobody to take it. */
bool feed_put(struct feed *feed, const void *bytes, size_t length);
/* How much is put and not taken. */
size_t feed_held(struct feed *feed);
/* Until no more than `held` bytes are left, the reader is gone, or it is `until` (monotonic). */
void feed_wait(struct feed *feed, size_t held, usec_t until);
/* True when the reader has gone. One that is waited on with nothing to say is looked for here, as nobody else does. */
bool feed_is_gone(struct feed *feed);
/* What was put is sent, then the answer ends as it should. The writer has it no more. */
void feed_end(struct feed *feed);

/* For httpd: on the thread that serves `connection`, and when its answer is over. */
struct MHD_Response *feed_response(struct feed *feed, struct MHD_Connection *connection);
void feed_leave(struct feed *feed); /* accepts NULL */
