/*
 * dispatch - calls go out: so many at a time in all and to one endpoint, so many a second where the endpoint has a
 * limit, none through an open breaker, those of requests under way before those of requests not begun. What can't go
 * soon is handed back to be parked. Tells the other programs how the endpoints stand (board.h).
 *
 * Threads:   the loop's.
 * Ownership: a call is its work's arena's; the work is held open by whoever submits.
 */
#pragma once

#include <uv.h>

#include "common/config.h"
#include "worker/http.h"
#include "worker/oauth.h"
#include "worker/rate.h"
#include "worker/work.h"

struct dispatch;

struct call {
    struct work *work;
    const struct delivery *delivery;
    const struct catalog_webhook *webhook;
    usec_t queued_at, started_at; /* started: wall clock */
    const char *bearer;          /* of an OAuth2 connection: the token that it carries; NULL: none */
    bool bearer_was_cached;      /* so that a 401 may be its age */
    const char *disclosed;       /* what its body tells of a person, as JSON; set by prepare() */
    const char *header_names;    /* of the connection's own headers that were sent, with commas; set by prepare() */
    struct endpoint *endpoint;
    struct call *next;
};

struct dispatch_outlets {
    void *context;
    /* Builds what the call sends, just before it goes. Negative: it can't be made, `err` says why; answered() gets
     * it as an answer without a status and the outcome "not_sendable". */
    int (*prepare)(void *context, struct call *call, struct curl_slist **headers, const char **body,
                   size_t *length, struct err *err);
    void (*answered)(void *context, struct call *call, const struct http_answer *answer);
    void (*parked)(void *context, struct call *call, usec_t due_at);
};

struct dispatch_parts {
    const struct config *config;
    const char *name; /* this worker's */
    struct http *http;
    struct cache *cache;
    struct oauth *oauth;
    struct rate *rate;
};

struct dispatch *dispatch_new(uv_loop_t *loop, const struct dispatch_parts *parts,
                              const struct dispatch_outlets *outlets);
void dispatch_free(struct dispatch *dispatch); /* after cache_free() */

void dispatch_submit(struct dispatch *dispatch, struct call *call);

/* More may go: what waits is looked at. */
void dispatch_go_on(struct dispatch *dispatch);
/* The configuration that stands, NULL for none yet: calls that wait for an endpoint that was paused, disabled or
 * deleted are parked. To be told often; one that was told before costs nothing. */
void dispatch_configure(struct dispatch *dispatch, const struct catalog *catalog);

/* How many more calls of `connection_id` are to be looked at now: 0 while it is saturated or out of its rate, its breaker
 * is open, or it is no more. Of one that is paused or disabled none goes out; they are held as they become due. */
int dispatch_room(struct dispatch *dispatch, const char *connection_id);
int dispatch_underway(const struct dispatch *dispatch); /* in flight and queued */
/* Parks what has not gone out yet: before the program ends. */
void dispatch_park_all(struct dispatch *dispatch);
/* The endpoint refused the OAuth2 token that this call carried: it is used no more. */
void dispatch_refuse_token(struct dispatch *dispatch, const struct call *call);
