#include "common/httpd.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/schema.h"

/* Memory that libmicrohttpd has for a connection: the request line and headers, of which there may
 * be 16 KiB, and its tables of them. Larger ones it answers with 431 itself. */
enum { CONNECTION_BYTES = 40 * 1024 };
/* What is kept between calls, so that a usual call allocates nothing. */
enum { SPARES_MAX = 256, SPARE_BODY_BYTES = 64 * 1024 };
enum { FORM_BYTES_MAX = 64 * 1024 };
/* Shorter answers are not worth compressing (rest.md 1.2). */
enum { GZIP_BYTES_MIN = 1000, GZIP_LEVEL = 1 };

enum state {
    CALL_NEW,    /* its body is still read */
    CALL_HANDED, /* the handler has it */
    CALL_PARKED, /* and the connection is suspended */
    CALL_ANSWERED
};

struct pair {
    const char *name, *value;
    struct pair *next;
};

/* A call with what only this module needs of it. */
struct exchange {
    struct http_call call; /* first: the handle is a pointer to it */
    struct httpd *httpd;
    struct exchange *next; /* among the spares */
    struct buf body;
    size_t dropped;        /* bytes of a body that is too large */
    const char *malformed; /* why the target can't be understood; NULL: it can */
    struct pair *queries, *form, *headers;
    struct stream *stream; /* the answer, instead of call.answer */
    struct feed *feed;     /* or this one */
    bool begun, too_large, counted, form_parsed;
    _Atomic enum state state;
};

struct httpd {
    struct MHD_Daemon *daemon;
    http_handler *handler;
    void *context;
    struct stream_pool *streams; /* NULL: none */
    size_t body_bytes;
    int port;
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    /* Under the lock: */
    struct exchange *spares;
    int spare_count, underway;
};

static struct exchange *exchange_of(const struct http_call *call)
{
    return (struct exchange *)(uintptr_t)call;
}

/* --- exchanges, reused ------------------------------------------------------------------------ */

static struct exchange *exchange_new(struct httpd *httpd)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (!exchange)
        abort();
    exchange->httpd = httpd;
    exchange->call.arena = arena_new();
    exchange->body = BUF_INIT(httpd->body_bytes + 1);
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    arena_free(exchange->call.arena);
    buf_free(&exchange->body);
    free(exchange);
}

static struct exchange *exchange_take(struct httpd *httpd)
{
    struct exchange *exchange;

    pthread_mutex_lock(&httpd->lock);
    exchange = httpd->spares;
    if (exchange) {
        httpd->spares = exchange->next;
        httpd->spare_count--;
    }
    pthread_mutex_unlock(&httpd->lock);
    return exchange ? exchange : exchange_new(httpd);
}

static void exchange_reset(struct exchange *exchange)
{
    struct buf body = exchange->body;
    struct arena *arena = exchange->call.arena;
    struct httpd *httpd = exchange->httpd;

    stream_free(exchange->stream);
    feed_leave(exchange->feed);
    arena_clear(arena);
    buf_clear(&body);
    if (body.capacity > SPARE_BODY_BYTES) {
        buf_free(&body);
        body = BUF_INIT(httpd->body_bytes + 1);
    }
    *exchange = (struct exchange){ .call = { .arena = arena }, .httpd = httpd, .body = body };
}

static void exchange_give_back(struct exchange *exchange)
{
    struct httpd *httpd = exchange->httpd;
    bool counted = exchange->counted, spare;

    exchange_reset(exchange);
    pthread_mutex_lock(&httpd->lock);
    spare = httpd->spare_count < SPARES_MAX;
    if (spare) {
        exchange->next = httpd->spares;
        httpd->spares = exchange;
        httpd->spare_count++;
    }
    if (counted && !--httpd->underway)
        pthread_cond_broadcast(&httpd->idle);
    pthread_mutex_unlock(&httpd->lock);
    if (!spare)
        exchange_free(exchange);
}

/* --- the target: path and query --------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One part of the target, decoded; NULL when it is no text. */
static const char *decode(struct exchange *exchange, const char *raw, size_t length,
                          bool plus_is_space)
{
    char *text = arena_strndup(exchange->call.arena, raw, length), *to = text;
    size_t i = 0;

    while (i < length) {
        int high, low;

        if (raw[i] != '%') {
            *to++ = plus_is_space && raw[i] == '+' ? ' ' : raw[i];
            i++;
            continue;
        }
        high = i + 2 < length ? hex(raw[i + 1]) : -1;
        low = high >= 0 ? hex(raw[i + 2]) : -1;
        if (low < 0 || high + low == 0)
            return NULL;
        *to++ = (char)(high * 16 + low);
        i += 3;
    }
    *to = '\0';
    return schema_is_utf8(text, (size_t)(to - text)) ? text : NULL;
}

/* name=value&name=value, as in a query and in the body of a form. */
static bool pairs_parse(struct exchange *exchange, const char *raw, struct pair **end)
{
    while (*raw) {
        size_t length = strcspn(raw, "&"), name = strcspn(raw, "=&");
        struct pair *pair = arena_new_of(exchange->call.arena, struct pair);

        pair->name = decode(exchange, raw, name, true);
        pair->value =
            name < length ? decode(exchange, raw + name + 1, length - name - 1, true) : "";
        if (!pair->name || !pair->value)
            return false;
        if (length) {
            *end = pair;
            end = &pair->next;
        }
        raw += length + (raw[length] == '&');
    }
    return true;
}

/* A proxy's form of a target, http://host/path, is one too. */
static const char *target_path(const char *target)
{
    const char *host = strncasecmp(target, "http://", 7) ? NULL : target + 7;

    if (!host && !strncasecmp(target, "https://", 8))
        host = target + 8;
    return host ? host + strcspn(host, "/?") : target;
}

static void target_parse(struct exchange *exchange, const char *target)
{
    const char *raw = target_path(target);
    size_t length = strcspn(raw, "?");

    exchange->call.path = strchr(raw, ' ') ? NULL : decode(exchange, raw, length, false);
    if (!exchange->call.path)
        exchange->malformed = "The path is not well-formed percent-encoded UTF-8.";
    else if (raw[length] && !pairs_parse(exchange, raw + length + 1, &exchange->queries))
        exchange->malformed = "The query is not well-formed percent-encoded UTF-8.";
    if (!exchange->call.path)
        exchange->call.path = "";
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct exchange *exchange = exchange_take(context);

    exchange->call.connection = connection;
    target_parse(exchange, target ? target : "");
    return exchange;
}

/* Targets are decoded above, strictly; libmicrohttpd's own decoding is not. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* --- compression ------------------------------------------------------------------------------ */

static pthread_key_t deflate_key;
static pthread_once_t deflate_once = PTHREAD_ONCE_INIT;

static void deflate_free(void *stream)
{
    deflateEnd(stream);
    free(stream);
}

static void deflate_key_new(void)
{
    if (pthread_key_create(&deflate_key, deflate_free))
        abort();
}

/* A thread's own, as making one costs more than most answers do. */
static z_stream *deflate_stream(void)
{
    z_stream *stream;

    pthread_once(&deflate_once, deflate_key_new);
    stream = pthread_getspecific(deflate_key);
    if (stream) {
        deflateReset(stream);
        return stream;
    }
    stream = calloc(1, sizeof(*stream));
    if (!stream ||
        deflateInit2(stream, GZIP_LEVEL, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    pthread_setspecific(deflate_key, stream);
    return stream;
}

/* True when `list` (Accept-Encoding) names gzip, and not with q=0. */
static bool accepts_gzip(const char *list)
{
    while (list && *list) {
        size_t length = strcspn(list, ",");
        const char *name = list + strspn(list, " \t"), *weight;

        if (!strncasecmp(name, "gzip", 4) && strchr(",; \t", name[4])) {
            weight = memmem(name, length - (size_t)(name - list), "q=", 2);
            return !weight || strtod(weight + 2, NULL) > 0;
        }
        list += length + (list[length] == ',');
    }
    return false;
}

/* Compresses the answer when that is worth it and allowed. */
static bool answer_gzip(struct http_call *call)
{
    z_stream *stream;
    size_t bound;
    char *out;

    if (!accepts_gzip(http_header(call, "Accept-Encoding")))
        return false;
    stream = deflate_stream();
    bound = deflateBound(stream, call->answer_length);
    out = arena_alloc(call->arena, bound);
    stream->next_in = (Bytef *)(uintptr_t)call->answer;
    stream->avail_in = (uInt)call->answer_length;
    stream->next_out = (Bytef *)out;
    stream->avail_out = (uInt)bound;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return false;
    call->answer = out;
    call->answer_length = bound - stream->avail_out;
    return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool has_header(const struct exchange *exchange, const char *name)
{
    for (const struct pair *header = exchange->headers; header; header = header->next)
        if (!strcasecmp(header->name, name))
            return true;
    return false;
}

/* What goes with a status whoever gives it. */
static void add_status_header(struct exchange *exchange)
{
    static const struct {
        int status;
        const char *name, *value;
    } rows[] = { { 401, "WWW-Authenticate", "Bearer" }, { 503, "Retry-After", "1" } };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].status == exchange->call.status && !has_header(exchange, rows[i].name))
            http_set_header(&exchange->call, rows[i].name, rows[i].value);
}

static void add_headers(struct exchange *exchange)
{
    struct http_call *call = &exchange->call;

    add_status_header(exchange);
    if (exchange->too_large || exchange->malformed || atomic_load(&exchange->httpd->stopping))
        http_set_header(call, "Connection", "close");
    if (call->status == 204 || call->status == 304)
        return;
    http_set_header(call, "Content-Type",
                    call->content_type ? call->content_type : "application/json");
    if (exchange->stream || exchange->feed || call->answer_length < GZIP_BYTES_MIN)
        return;
    http_set_header(call, "Vary", "Accept-Encoding");
    if (answer_gzip(call))
        http_set_header(call, "Content-Encoding", "gzip");
}

static void answer_count(const struct http_call *call)
{
    static const char *const classes[] = { "other", "1xx", "2xx", "3xx", "4xx", "5xx" };
    size_t class = (size_t)call->status / 100;

    metric_add(METRIC_HTTP_REQUESTS,
               METRIC_LABELS(program_invocation_short_name,
                             classes[class < COUNT_OF(classes) ? class : 0]),
               1);
    metric_observe(METRIC_HTTP_DURATION, METRIC_LABELS(program_invocation_short_name),
                   usec_monotonic() - call->started);
}

/* The answer stays where it is, in the arena, until the call is completed. */
static struct MHD_Response *answer_response(struct exchange *exchange)
{
    struct http_call *call = &exchange->call;

    if (exchange->stream)
        return stream_response(exchange->stream, call->connection);
    if (exchange->feed)
        return feed_response(exchange->feed, call->connection);
    return MHD_create_response_from_buffer(call->answer_length, (void *)(uintptr_t)call->answer,
                                           MHD_RESPMEM_PERSISTENT);
}

/* On the connection's own thread. */
static enum MHD_Result answer_queue(struct exchange *exchange)
{
    struct http_call *call = &exchange->call;
    struct MHD_Response *response;
    enum MHD_Result result;

    add_headers(exchange);
    response = answer_response(exchange);
    if (!response)
        return MHD_NO;
    for (const struct pair *header = exchange->headers; header; header = header->next)
        MHD_add_response_header(response, header->name, header->value);
    result = MHD_queue_response(call->connection, (unsigned)call->status, response);
    MHD_destroy_response(response);
    answer_count(call);
    return result;
}

/* Whoever comes second, the answer or the parking, sees to it that the connection goes on. */
void http_answer(struct http_call *call)
{
    struct exchange *exchange = exchange_of(call);
    struct MHD_Connection *connection = call->connection;

    if (!call->answer)
        call->answer_length = 0;
    if (atomic_exchange(&exchange->state, CALL_ANSWERED) == CALL_PARKED)
        MHD_resume_connection(connection);
}

int http_answer_stream(struct http_call *call, const struct stream_source *source, struct err *err)
{
    struct exchange *exchange = exchange_of(call);
    int r = stream_open(exchange->httpd->streams, source, &exchange->stream, err);

    if (r < 0) {
        exchange->headers = NULL; /* they were meant for another answer */
        call->content_type = NULL;
        return r;
    }
    call->answer = NULL;
    http_answer(call);
    return 0;
}

void http_answer_feed(struct http_call *call, struct feed *feed)
{
    exchange_of(call)->feed = feed;
    call->answer = NULL;
    http_answer(call);
}

void http_answer_json(struct http_call *call, int status, const char *json)
{
    call->status = status;
    call->answer = json;
    call->answer_length = strlen(json);
    http_answer(call);
}

void http_answer_err(struct http_call *call, const struct err *err)
{
    _cleanup_(buf_free) struct buf body = BUF_INIT(8 * sizeof(err->text));

    if (*err->cause)
        log_err("http.failed", err);
    buf_adds(&body, "{\"detail\":");
    buf_json_string(&body, err->text);
    buf_addc(&body, '}');
    http_answer_json(call, err_http_status(err->code),
                     arena_strndup(call->arena, body.data, body.length));
}

/* --- what a call brings ----------------------------------------------------------------------- */

const char *http_header(const struct http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_call *call, const char *name)
{
    const char *value = NULL;

    http_queries(call, name, &value, 1);
    return value;
}

static int pairs_find(const struct pair *pairs, const char *name, const char **ret, int max)
{
    int count = 0;

    for (const struct pair *pair = pairs; pair && count < max; pair = pair->next)
        if (!strcmp(pair->name, name))
            ret[count++] = pair->value;
    return count;
}

int http_queries(const struct http_call *call, const char *name, const char **ret, int max)
{
    return pairs_find(exchange_of(call)->queries, name, ret, max);
}

const char *http_form(struct http_call *call, const char *name)
{
    struct exchange *exchange = exchange_of(call);
    const char *value = NULL;

    if (!exchange->form_parsed &&
        (call->body_length > FORM_BYTES_MAX || !pairs_parse(exchange, call->body, &exchange->form)))
        exchange->form = NULL;
    exchange->form_parsed = true;
    pairs_find(exchange->form, name, &value, 1);
    return value;
}

void http_set_header(struct http_call *call, const char *name, const char *value)
{
    struct exchange *exchange = exchange_of(call);
    struct pair *header = arena_new_of(call->arena, struct pair);

    header->name = name;
    header->value = arena_strdup(call->arena, value);
    header->next = exchange->headers;
    exchange->headers = header;
}

/* --- the life of a call ----------------------------------------------------------------------- */

static void answer_refusal(struct exchange *exchange, enum err_code code, const char *text)
{
    struct err err;

    err_set(&err, code, "%s", text);
    http_answer_err(&exchange->call, &err);
}

/* Calls that the handler never sees. */
static bool is_refused(struct exchange *exchange)
{
    struct httpd *httpd = exchange->httpd;

    if (exchange->too_large)
        answer_refusal(exchange, ERR_TOO_LARGE,
                       arena_printf(exchange->call.arena, "Request body is larger than %zu bytes.",
                                    httpd->body_bytes));
    else if (exchange->malformed)
        answer_refusal(exchange, ERR_BAD_REQUEST, exchange->malformed);
    else if (atomic_load(&httpd->stopping))
        answer_refusal(exchange, ERR_UNAVAILABLE, "Service Unavailable");
    else
        return false;
    return true;
}

static void call_count(struct exchange *exchange)
{
    struct httpd *httpd = exchange->httpd;

    exchange->counted = true;
    pthread_mutex_lock(&httpd->lock);
    httpd->underway++;
    pthread_mutex_unlock(&httpd->lock);
}

/* The whole call is here. Most are answered by another thread, and later: then the connection is
 * suspended. The answer may come before it is, so the two agree by `state` who resumes it. */
static enum MHD_Result call_hand_over(struct exchange *exchange)
{
    struct http_call *call = &exchange->call;
    struct MHD_Connection *connection = call->connection;
    enum state handed = CALL_HANDED;

    call->started = usec_monotonic();
    call->body = exchange->body.data ? exchange->body.data : "";
    call->body_length = exchange->body.length;
    atomic_store(&exchange->state, CALL_HANDED);
    call_count(exchange);
    if (!is_refused(exchange))
        exchange->httpd->handler(call, exchange->httpd->context);
    if (atomic_load(&exchange->state) == CALL_ANSWERED)
        return answer_queue(exchange);
    MHD_suspend_connection(connection);
    if (!atomic_compare_exchange_strong(&exchange->state, &handed, CALL_PARKED))
        MHD_resume_connection(connection);
    return MHD_YES;
}

/* What would let two programs disagree about where a call ends, or whom it is for. libmicrohttpd
 * leaves it to us, and what it refuses itself is no JSON. */
struct framing {
    int hosts, lengths, encodings;
    bool chunked, blank_name;
};

static enum MHD_Result framing_look(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct framing *framing = context;

    (void)kind;
    framing->hosts += !strcasecmp(name, "Host");
    framing->lengths += !strcasecmp(name, "Content-Length");
    framing->blank_name |= name[strcspn(name, " \t")] != '\0';
    if (!strcasecmp(name, "Transfer-Encoding")) {
        framing->encodings++;
        framing->chunked = value && !strcasecmp(value, "chunked");
    }
    return MHD_YES;
}

static const char *framing_problem(const struct http_call *call, const char *version)
{
    struct framing framing = { 0 };

    MHD_get_connection_values(call->connection, MHD_HEADER_KIND, framing_look, &framing);
    if (framing.blank_name)
        return "The name of a header has a blank.";
    if (framing.hosts > 1 || (!framing.hosts && !strcmp(version, "HTTP/1.1")))
        return "One Host header is required.";
    if (framing.lengths + framing.encodings > 1)
        return "The length of the body is given more than once.";
    if (framing.encodings && !framing.chunked)
        return "The transfer encoding is not supported.";
    return NULL;
}

/* A body that is said to be too large is read up to twice the bound, so that its sender, who reads
 * no answer before all is sent, sees why; and no further. */
static enum MHD_Result call_begin(struct exchange *exchange, const char *version)
{
    const char *announced = http_header(&exchange->call, "Content-Length");
    size_t bound = exchange->httpd->body_bytes;
    unsigned long long length = announced ? strtoull(announced, NULL, 10) : 0;

    exchange->begun = true;
    exchange->too_large = length > bound;
    if (!exchange->malformed)
        exchange->malformed = framing_problem(&exchange->call, version);
    return exchange->malformed || length > 2 * bound ? call_hand_over(exchange) : MHD_YES;
}

/* libmicrohttpd can't answer amid a body of unknown length: one that never ends is cut off without
 * an answer. */
static enum MHD_Result call_read(struct exchange *exchange, const char *bytes, size_t length)
{
    size_t bound = exchange->httpd->body_bytes;

    if (!exchange->too_large && exchange->body.length + length <= bound) {
        buf_add(&exchange->body, bytes, length);
        return MHD_YES;
    }
    exchange->too_large = true;
    exchange->dropped += length;
    return exchange->dropped > 2 * bound ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_call(void *context, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *bytes,
                               size_t *length, void **state)
{
    struct exchange *exchange = *state;
    size_t read = *length;

    (void)context;
    (void)connection;
    (void)url;
    exchange->call.method = method;
    if (!exchange->begun)
        return call_begin(exchange, version);
    if (read) {
        *length = 0;
        return call_read(exchange, bytes, read);
    }
    if (atomic_load(&exchange->state) == CALL_ANSWERED)
        return answer_queue(exchange);
    return call_hand_over(exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    if (*state)
        exchange_give_back(*state);
    *state = NULL;
}

/* --- listening -------------------------------------------------------------------------------- */

/* host:port or [v6]:port; an empty host is every address. */
static int listen_resolve(const char *listen_at, struct addrinfo **ret, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM };
    const char *colon = strrchr(listen_at, ':');
    size_t length = colon ? (size_t)(colon - listen_at) : 0;
    long long port;
    char host[256];
    int r;

    if (!colon || length >= sizeof(host) || !schema_parse_int(colon + 1, &port) || port < 0 ||
        port > UINT16_MAX)
        return err_set(err, ERR_BAD_REQUEST,
                       "'%s' is no address to listen on: host:port or [v6]:port", listen_at);
    if (length > 1 && listen_at[0] == '[' && listen_at[length - 1] == ']') {
        listen_at++;
        length -= 2;
    }
    memcpy(host, listen_at, length);
    host[length] = '\0';
    r = getaddrinfo(length ? host : NULL, colon + 1, &hints, ret);
    return r ? err_set(err, ERR_BAD_REQUEST, "Can't listen on '%s': %s", host, gai_strerror(r)) : 0;
}

static int socket_listen(const struct addrinfo *address)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    close(fd);
    return -1;
}

static int listen_open(const char *listen_at, int *ret, struct err *err)
{
    struct addrinfo *addresses = NULL;
    int r = listen_resolve(listen_at, &addresses, err), fd = -1;

    if (r < 0)
        return r;
    for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
        fd = socket_listen(address);
    freeaddrinfo(addresses);
    if (fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "Can't listen on '%s': %s", listen_at,
                       strerror(errno));
    *ret = fd;
    return 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* --- starting and stopping -------------------------------------------------------------------- */

static struct MHD_Daemon *daemon_start(struct httpd *httpd, const struct httpd_options *options,
                                       int fd)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    const struct MHD_OptionItem pool[] = {
        { MHD_OPTION_THREAD_POOL_SIZE, options->threads, NULL }, /* of one it complains */
        { MHD_OPTION_END, 0, NULL },
    };

    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_call, httpd, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, httpd, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((options->idle_timeout + USEC_PER_S - 1) / USEC_PER_S),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_ARRAY,
        options->threads > 1 ? pool : pool + 1, MHD_OPTION_END);
}

static void httpd_free(struct httpd *httpd)
{
    while (httpd->spares) {
        struct exchange *exchange = httpd->spares;

        httpd->spares = exchange->next;
        exchange_free(exchange);
    }
    stream_pool_free(httpd->streams);
    pthread_cond_destroy(&httpd->idle);
    pthread_mutex_destroy(&httpd->lock);
    free(httpd);
}

static struct httpd *httpd_new(const struct httpd_options *options)
{
    struct httpd *httpd = calloc(1, sizeof(*httpd));
    pthread_condattr_t monotonic;

    if (!httpd)
        abort();
    httpd->handler = options->handler;
    httpd->context = options->context;
    httpd->body_bytes = options->body_bytes;
    if (options->stream_threads)
        httpd->streams = stream_pool_new(options->stream_threads, HTTP_STREAMS_MAX);
    pthread_mutex_init(&httpd->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&httpd->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return httpd;
}

int httpd_start(const struct httpd_options *options, struct httpd **ret, struct err *err)
{
    struct httpd *httpd;
    int fd = -1, r;

    r = listen_open(options->listen, &fd, err);
    if (r < 0)
        return r;
    httpd = httpd_new(options);
    httpd->port = port_of(fd);
    httpd->daemon = daemon_start(httpd, options, fd);
    if (!httpd->daemon) {
        close(fd);
        httpd_free(httpd);
        return err_set(err, ERR_INTERNAL, "The HTTP server did not start on '%s'", options->listen);
    }
    *ret = httpd;
    return 0;
}

int httpd_port(const struct httpd *httpd)
{
    return httpd->port;
}

/* Returns how many calls are under way after `wait`, at the most. */
static int wait_idle(struct httpd *httpd, usec_t wait)
{
    usec_t until = usec_monotonic() + wait;
    const struct timespec deadline = { .tv_sec = until / USEC_PER_S,
                                       .tv_nsec = until % USEC_PER_S * 1000 };
    int underway, r = 0;

    pthread_mutex_lock(&httpd->lock);
    while (httpd->underway && r == 0)
        r = pthread_cond_timedwait(&httpd->idle, &httpd->lock, &deadline);
    underway = httpd->underway;
    pthread_mutex_unlock(&httpd->lock);
    return underway;
}

void httpd_stop(struct httpd *httpd, usec_t wait)
{
    int fd, underway;

    if (!httpd)
        return;
    atomic_store(&httpd->stopping, true);
    fd = MHD_quiesce_daemon(httpd->daemon);
    underway = wait_idle(httpd, wait);
    if (fd >= 0)
        close(fd);
    if (underway) {
        /* Somebody still holds these calls; they are left to the end of the process. */
        log_warn("http.stop_overdue", log_number("calls", underway));
        return;
    }
    MHD_stop_daemon(httpd->daemon);
    httpd_free(httpd);
}
