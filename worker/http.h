/*
 * http - POSTs on the loop: libcurl's multi interface, connections kept and used again, answers cut, no redirects,
 * and the guard asked about every address that a socket is opened to.
 *
 * Threads:   the loop's.
 * Ownership: url, headers and body stay the caller's until `done`; certificates are copied.
 */
#pragma once

#include <curl/curl.h>
#include <uv.h>

#include "common/config.h"
#include "common/err.h"
#include "worker/guard.h"

struct http;

struct http_answer {
    int status;            /* 0: there was none */
    const char *outcome;   /* "succeeded", "http_4xx", "timeout", "connection_refused" ...: never NULL */
    char address[64];      /* that the socket was connected to; "" when there was none */
    const char *body;      /* cut at the request's answer_bytes; valid during `done` */
    size_t body_length;
    bool body_cut;         /* there was more */
    bool told;             /* something of the request's body went out, whether or not it arrived */
    usec_t duration;
    usec_t retry_after;    /* a wait; 0: not asked for */
    char location_host[128]; /* of a redirect, which is not followed; "" otherwise */
};
typedef void http_done(void *context, const struct http_answer *answer);

struct http *http_new(uv_loop_t *loop, const struct config *config, const struct guard *guard);
/* What is under way is dropped without a word. The loop must turn once more. */
void http_free(struct http *http);

/* A connection's own TLS, PEM texts; NULL for what is as usual. Its CA is trusted beside those of the system. */
struct http_tls {
    const char *ca_certificate, *client_certificate, *client_key;
};

struct http_request {
    const char *url;
    struct http_tls tls;
    struct curl_slist *headers;
    const char *body;
    size_t body_length;
    size_t answer_bytes; /* read of the answer at the most */
};

/* `done` is called later, never from within. The request itself is copied, what it points to is not. */
void http_post(struct http *http, const struct http_request *request, http_done *done, void *context);
