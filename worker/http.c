#include "worker/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/buf.h"
#include "worker/retry.h"

/* One POST under way, with an easy handle that is used again for the next one. */
struct post {
    struct http *http;
    CURL *easy;
    struct buf answer;
    bool blocked; /* the guard refused every address */
    bool cut;     /* the answer was longer than is read */
    bool own_tls; /* its handle has a connection's certificates */
    char words[CURL_ERROR_SIZE];
    usec_t started;
    http_done *done;
    void *context;
    struct post *next;     /* in the free list */
    struct post *next_made; /* in the list of all */
};

struct http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t *timer;
    const struct config *config;
    const struct guard *guard;
    struct post *idle, *made;
    struct watch *watches; /* by socket */
};

/* A socket that curl watches. */
struct watch {
    uv_poll_t poll;
    curl_socket_t socket;
    struct http *http;
    int events;     /* that are polled for */
    bool unused;    /* between two calls: polled on, as the next call will want the same */
    bool is_inward; /* by which curl's resolver wakes it: no connection, and closed without on_close() */
    UT_hash_handle hh;
};

static void watch_free(uv_handle_t *handle)
{
    free(handle->data);
}

/* --- outcomes ---------------------------------------------------------------------------------------- */

static const char *connect_outcome(CURL *easy)
{
    long error = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
    switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return "network_unreachable";
    case ETIMEDOUT:
        return "timeout";
    default:
        return "connection_refused";
    }
}

static bool is_connected(CURL *easy)
{
    const char *ip = NULL;

    return curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && *ip;
}

/* In TLS 1.3 an endpoint that misses a certificate or doesn't like it says so after the handshake, when for curl it is
 * an error of reading like any other; the words are OpenSSL's then. Where the endpoint hangs up before its word was
 * read, it is a reset. */
static bool is_tls_alert(const struct post *post)
{
    return strstr(post->words, "SSL") && strstr(post->words, "alert");
}

static const char *transport_outcome(const struct post *post, CURLcode code)
{
    CURL *easy = post->easy;

    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "dns_error";
    case CURLE_COULDNT_CONNECT:
        return connect_outcome(easy);
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CLIENTCERT:
        return "tls_error";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return is_tls_alert(post) ? "tls_error" : "connection_reset";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return "connection_reset";
    case CURLE_URL_MALFORMAT:
        return "bad_url";
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or what was connected to speaks another than HTTP */
        return is_connected(easy) ? "bad_answer" : "bad_url";
    default:
        return "bad_answer"; /* what came back was not HTTP */
    }
}

static const char *status_outcome(int status)
{
    switch (status / 100) {
    case 2:
        return "succeeded";
    case 3:
        return "redirect";
    case 4:
        return "http_4xx";
    case 5:
        return "http_5xx";
    default:
        return "bad_answer";
    }
}

/* --- one post ---------------------------------------------------------------------------------------- */

/* Past its maximum the answer is cut and the connection given up, so that an endless one holds nobody. */
static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct post *post = context;
    size_t room = post->answer.max - post->answer.length, length = size * count;

    buf_add(&post->answer, bytes, length < room ? length : room);
    post->cut = length > room;
    return post->cut ? 0 : length;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct post *post = context;

    (void)purpose;
    if (!guard_allows(post->http->guard, &address->addr)) {
        post->blocked = true;
        return CURL_SOCKET_BAD;
    }
    post->blocked = false;
    return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

/* The answer's header lines are needed only when the call failed, and only two of them. */
static const char *answer_header(CURL *easy, const char *name)
{
    struct curl_header *header;

    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

static void read_location(CURL *easy, struct http_answer *answer)
{
    char *url = NULL, *host = NULL;
    CURLU *parts;

    if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &url) || !url || !(parts = curl_url()))
        return;
    if (!curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) &&
        !curl_url_get(parts, CURLUPART_HOST, &host, 0))
        snprintf(answer->location_host, sizeof(answer->location_host), "%s", host);
    curl_free(host);
    curl_url_cleanup(parts);
}

static void read_answer(struct post *post, CURLcode code, struct http_answer *answer)
{
    const char *ip = NULL, *wait;
    long status = 0, port = 0;
    curl_off_t told = 0;

    curl_easy_getinfo(post->easy, CURLINFO_PRIMARY_IP, &ip);
    curl_easy_getinfo(post->easy, CURLINFO_PRIMARY_PORT, &port);
    if (ip && *ip)
        snprintf(answer->address, sizeof(answer->address), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
    curl_easy_getinfo(post->easy, CURLINFO_SIZE_UPLOAD_T, &told);
    answer->told = told > 0;
    answer->duration = usec_monotonic() - post->started;
    answer->body = post->answer.data;
    answer->body_length = post->answer.length;
    answer->body_cut = post->cut;
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && post->cut)) {
        answer->outcome = post->blocked ? "address_blocked" : transport_outcome(post, code);
        return;
    }
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (int)status;
    answer->outcome = status_outcome(answer->status);
    if (answer->status / 100 == 3)
        read_location(post->easy, answer);
    if (answer->status / 100 > 3 && (wait = answer_header(post->easy, "Retry-After")))
        answer->retry_after = retry_after_parse(wait, usec_now());
}

static void post_finish(struct post *post, CURLcode code)
{
    struct http *http = post->http;
    struct http_answer answer = { .outcome = "" };

    read_answer(post, code, &answer);
    curl_multi_remove_handle(http->multi, post->easy);
    post->done(post->context, &answer);
    buf_clear(&post->answer);
    post->next = http->idle;
    http->idle = post;
}

static void finish_all(struct http *http)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct post *post;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&post);
        post_finish(post, code);
    }
}

static int on_close(void *context, curl_socket_t socket);

static struct post *post_new(struct http *http)
{
    const struct config *config = http->config;
    struct post *post = calloc(1, sizeof(*post));

    if (!post || !(post->easy = curl_easy_init()))
        abort();
    post->http = http;
    post->next_made = http->made;
    http->made = post;
    curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
    curl_easy_setopt(post->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(post->easy, CURLOPT_ERRORBUFFER, post->words);
    curl_easy_setopt(post->easy, CURLOPT_NOPROXY, "*"); /* the guard must see the endpoint's own address */
    curl_easy_setopt(post->easy, CURLOPT_PROTOCOLS_STR, config->webhook_allow_http ? "http,https" : "https");
    curl_easy_setopt(post->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(post->easy, CURLOPT_TIMEOUT_MS, (long)(config->webhook_timeout / USEC_PER_MS));
    curl_easy_setopt(post->easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(config->webhook_connect_timeout / USEC_PER_MS));
    curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(post->easy, CURLOPT_WRITEDATA, post);
    curl_easy_setopt(post->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(post->easy, CURLOPT_OPENSOCKETDATA, post);
    curl_easy_setopt(post->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(post->easy, CURLOPT_CLOSESOCKETDATA, http);
    return post;
}

static void set_blob(CURL *easy, CURLoption option, const char *pem)
{
    struct curl_blob blob = { (void *)(uintptr_t)pem, pem ? strlen(pem) : 0, CURL_BLOB_COPY };

    curl_easy_setopt(easy, option, pem ? &blob : NULL);
}

/* curl uses a kept connection again only for the certificates that it was made with; it compares them. A CA's blob
 * stands in the place of the system's file of CAs, and its directory of the same is looked into as ever. */
static void set_tls(struct post *post, const struct http_tls *tls)
{
    bool own = tls->ca_certificate || tls->client_certificate;

    if (!own && !post->own_tls)
        return;
    post->own_tls = own;
    set_blob(post->easy, CURLOPT_CAINFO_BLOB, tls->ca_certificate);
    set_blob(post->easy, CURLOPT_SSLCERT_BLOB, tls->client_certificate);
    set_blob(post->easy, CURLOPT_SSLKEY_BLOB, tls->client_certificate ? tls->client_key : NULL);
}

void http_post(struct http *http, const struct http_request *request, http_done *done, void *context)
{
    struct post *post = http->idle;

    if (post)
        http->idle = post->next;
    else
        post = post_new(http);
    post->done = done;
    post->context = context;
    post->blocked = post->cut = false;
    post->words[0] = '\0';
    post->answer.max = request->answer_bytes;
    post->started = usec_monotonic();
    set_tls(post, &request->tls);
    curl_easy_setopt(post->easy, CURLOPT_URL, request->url);
    curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, request->body);
    if (curl_multi_add_handle(http->multi, post->easy) != CURLM_OK)
        abort(); /* out of memory */
}

/* --- the loop ---------------------------------------------------------------------------------------- */

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct http *http = watch->http;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;

    if (watch->unused) {
        uv_poll_stop(poll); /* the endpoint closed it; curl finds out when it takes the connection up again */
        watch->events = 0;
        return;
    }
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(http->multi, watch->socket, flags, &running);
    finish_all(http);
}

static bool is_inward(curl_socket_t socket)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);

    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
           (domain != AF_INET && domain != AF_INET6);
}

static struct watch *watch_new(struct http *http, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        abort();
    watch->socket = socket;
    watch->http = http;
    watch->is_inward = is_inward(socket);
    HASH_ADD_INT(http->watches, socket, watch);
    uv_poll_init_socket(http->loop, &watch->poll, socket);
    watch->poll.data = watch;
    return watch;
}

static struct watch *watch_find(struct http *http, curl_socket_t socket)
{
    struct watch *watch;

    HASH_FIND_INT(http->watches, &socket, watch);
    return watch;
}

static void watch_end(struct watch *watch)
{
    HASH_DEL(watch->http->watches, watch);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, watch_free);
}

/* Adding a socket to epoll and taking it out for every call costs two system calls of five. So a connection's is watched
 * from its first call until it is closed, which curl asks us to do. */
static int on_socket(CURL *easy, curl_socket_t socket, int action, void *context, void *assigned)
{
    struct http *http = context;
    struct watch *watch = assigned ? assigned : watch_find(http, socket);
    int events = 0;

    (void)easy;
    if (action == CURL_POLL_REMOVE) {
        if (watch && watch->is_inward)
            watch_end(watch);
        else if (watch)
            watch->unused = true;
        return 0;
    }
    if (!watch)
        watch = watch_new(http, socket);
    if (!assigned)
        curl_multi_assign(http->multi, socket, watch);
    if (action != CURL_POLL_OUT)
        events |= UV_READABLE;
    if (action != CURL_POLL_IN)
        events |= UV_WRITABLE;
    watch->unused = false;
    if (events != watch->events)
        uv_poll_start(&watch->poll, events, on_socket_ready);
    watch->events = events;
    return 0;
}

static int on_close(void *context, curl_socket_t socket)
{
    struct http *http = context;
    struct watch *watch = watch_find(http, socket);

    if (watch)
        watch_end(watch);
    return close(socket);
}

static void on_timer(uv_timer_t *timer)
{
    struct http *http = timer->data;
    int running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(http);
}

static int on_timeout(CURLM *multi, long wait_ms, void *context)
{
    struct http *http = context;

    (void)multi;
    if (wait_ms < 0)
        uv_timer_stop(http->timer);
    else
        uv_timer_start(http->timer, on_timer, (uint64_t)wait_ms, 0);
    return 0;
}

struct http *http_new(uv_loop_t *loop, const struct config *config, const struct guard *guard)
{
    struct http *http = calloc(1, sizeof(*http));

    if (!http || !(http->timer = malloc(sizeof(*http->timer))) || !(http->multi = curl_multi_init()))
        abort();
    http->loop = loop;
    http->config = config;
    http->guard = guard;
    uv_timer_init(loop, http->timer);
    http->timer->data = http;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)config->webhook_calls * 2);
    return http;
}

static void timer_free(uv_handle_t *handle)
{
    free(handle);
}

void http_free(struct http *http)
{
    struct post *post;

    if (!http)
        return;
    while ((post = http->made)) {
        http->made = post->next_made;
        curl_multi_remove_handle(http->multi, post->easy);
        curl_easy_cleanup(post->easy);
        buf_free(&post->answer);
        free(post);
    }
    curl_multi_cleanup(http->multi);
    uv_timer_stop(http->timer);
    uv_close((uv_handle_t *)http->timer, timer_free);
    free(http);
}
