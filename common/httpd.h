/*
 * httpd - HTTP in: libmicrohttpd with epoll and a thread pool, calls that are answered now or later.
 *
 * A whole call (method, path, headers, body within its bound) is handed to the handler once; the handler, or
 * whoever it passes the call to, answers it exactly once with http_answer(), from any thread. No thread of the
 * server ever waits for an answer.
 *
 * Ownership: a call and its arena live until its answer is sent; nothing of it may be used after http_answer().
 */
#pragma once

#include <microhttpd.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/feed.h"
#include "common/stream.h"
#include "common/usec.h"

struct httpd;

struct http_call {
    struct arena *arena;
    const char *method, *path; /* path: percent-decoded, without the query */
    const char *body;          /* NUL-terminated; "" when there is none */
    size_t body_length;
    usec_t started;            /* monotonic */
    void *context;             /* the owner's, for its own use between handing over and answer */
    struct MHD_Connection *connection;
    /* The answer, filled before http_answer(): */
    int status;
    const char *content_type;  /* NULL: application/json */
    const char *answer;        /* arena's; NULL: empty */
    size_t answer_length;
};

typedef void http_handler(struct http_call *call, void *context);

struct httpd_options {
    const char *listen;      /* host:port, [v6]:port; port 0: any */
    int threads, connections;
    size_t body_bytes;       /* a larger body is answered 413 without the handler */
    usec_t idle_timeout;
    int stream_threads;      /* that read pieces of streamed answers; 0: none is streamed */
    http_handler *handler;
    void *context;
};

int httpd_start(const struct httpd_options *options, struct httpd **ret, struct err *err) MUST_CHECK;
int httpd_port(const struct httpd *httpd);
/* Takes no new calls, waits up to `wait` for those under way, closes. */
void httpd_stop(struct httpd *httpd, usec_t wait);

const char *http_header(const struct http_call *call, const char *name); /* NULL when absent */
const char *http_query(const struct http_call *call, const char *name);  /* the first; NULL when absent */
/* All values of a repeated parameter, in order. */
int http_queries(const struct http_call *call, const char *name, const char **ret, int max);
/* A member of a body that is an HTML form (application/x-www-form-urlencoded); NULL when absent or ill-formed. */
const char *http_form(struct http_call *call, const char *name);
void http_set_header(struct http_call *call, const char *name, const char *value);

/* Sends it. Answers over 1000 bytes are gzip-encoded when the caller accepts that (rest.md 1.2). */
void http_answer(struct http_call *call);
/* {"detail": err->text} with the code's status; the cause goes to the log. */
void http_answer_err(struct http_call *call, const struct err *err);
void http_answer_json(struct http_call *call, int status, const char *json);
/* Sends `source` piece by piece, never compressed; HTTP_STREAMS_MAX at a time. The source is closed in any case.
 * Negative: nothing was answered, and headers that were set are forgotten. */
enum { HTTP_STREAMS_MAX = 64 };
int http_answer_stream(struct http_call *call, const struct stream_source *source, struct err *err) MUST_CHECK;
/* Sends what is put into `feed`, as it comes, never compressed. The answer's part of it is taken over. */
void http_answer_feed(struct http_call *call, struct feed *feed);
