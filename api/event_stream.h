/*
 * event_stream - events of the lifecycle topic to clients of the API, as server-sent events: a thread and a Kafka client
 * of its own for each, so that none waits for another and a slow one keeps only itself waiting.
 *
 * Of a client no more than EVENT_STREAM_HELD bytes and an event are held, beside what its tail has read ahead; who does
 * not take them is not read for. A stream ends when its client goes, when what it was opened with does not allow it any
 * more (looked at every few seconds, on every docket-api), and when the program ends.
 *
 * Threads:   any may open one; event_streams_stop() and _free() are main's.
 * Ownership: a stream keeps copies of all that it was opened with.
 */
#pragma once

#include "api/api.h"
#include "api/event_place.h"

enum { EVENT_STREAM_HELD = 64 * 1024, EVENT_STREAM_TYPES_MAX = 16 };

struct event_streams;
struct record; /* common/record.h */

int event_streams_new(struct api *api, struct event_streams **ret, struct err *err) MUST_CHECK;
/* Ends all of them and takes no more; returns when they are over. */
void event_streams_stop(struct event_streams *streams); /* accepts NULL */
void event_streams_free(struct event_streams *streams); /* accepts NULL */

/* What a client wants to see, and from where on. */
struct event_wish {
    const struct event_place *after; /* NULL: what comes from now on, unless */
    bool from_beginning;
    const char *types[EVENT_STREAM_TYPES_MAX]; /* wholes or beginnings; none: all */
    int type_count;
    const char *request_id; /* NULL: all */
};

/* True when an event of this type and key is among what is wished for. */
bool event_wish_has(const struct event_wish *wish, const char *type, const void *key, size_t key_length);

/* API_PENDING: the call is answered by the stream. ERR_UNAVAILABLE when there are as many as are allowed. */
int event_stream_open(struct event_streams *streams, struct api_call *call, const struct event_wish *wish,
                      struct err *err) MUST_CHECK;

/* An event as it is sent: id, type, and the event in CloudEvents' JSON format. Exported for its test. */
void event_stream_write(struct buf *out, const char *id, const struct record *record);
