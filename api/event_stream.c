#include "api/event_stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/current.h"
#include "api/tail.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/structured.h"

/* An event: a record is never larger than a few MiB, unless Kafka is told to take such. */
enum { EVENT_BYTES_MAX = 16 * 1024 * 1024, ID_BYTES_MAX = EVENT_PLACE_CHARS_MAX };
/* How long a listener looks at one thing; how long Kafka is waited for by who wants to see what comes now. */
#define TURN (250 * USEC_PER_MS)
#define NOW_PATIENCE (5 * USEC_PER_S)
/* How often it is asked whether those who read may still do so, and how long that may take. */
#define WATCH_EVERY (5 * USEC_PER_S)
#define WATCH_PATIENCE (5 * USEC_PER_S)

#define SCOPE "privacy-request:read"
#define RETRY "retry: 3000\n" /* after how many milliseconds a client comes back */
#define RETRY_AFTER "5"       /* seconds, where there are too many */

enum reason { STAYS, CLIENT_GONE, NOT_ALLOWED, PROGRAM_ENDS };
static const char *const reason_words[] = {
    [STAYS] = "failed", [CLIENT_GONE] = "client", [NOT_ALLOWED] = "token", [PROGRAM_ENDS] = "shutdown"
};

struct listener {
    struct event_streams *streams;
    struct listener *next;
    struct arena *arena;
    struct event_wish wish;
    char *bearer;
    struct api_call *call; /* until it is answered */
    struct feed *feed;
    struct tail *tail;
    struct buf id, text;
    bool moved;            /* beyond the last id that was sent */
    usec_t heartbeat_at;   /* monotonic */
    _Atomic enum reason ending;
};

struct event_streams {
    struct api *api;
    pthread_t watcher;
    struct db *db; /* the watcher's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    struct listener *first;
    int count;
    bool stopping;
};

/* --- what is sent -------------------------------------------------------------------------------------- */

bool event_wish_has(const struct event_wish *wish, const char *type, const void *key, size_t key_length)
{
    if (wish->request_id &&
        (!key || strlen(wish->request_id) != key_length || memcmp(wish->request_id, key, key_length) != 0))
        return false;
    for (int i = 0; i < wish->type_count; i++)
        if (!strncmp(type, wish->types[i], strlen(wish->types[i])))
            return true;
    return !wish->type_count;
}

/* A line of its own may be begun by nothing that stands in a record. */
static bool is_word(const char *text)
{
    return text && *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-")];
}

void event_stream_write(struct buf *out, const char *id, const struct record *record)
{
    struct record_event event;
    size_t begun;

    record_event(record, &event);
    buf_printf(out, "id: %s\n", id);
    if (is_word(event.attributes[RECORD_TYPE]))
        buf_printf(out, "event: %s\n", event.attributes[RECORD_TYPE]);
    buf_adds(out, "data: ");
    begun = out->length;
    structured_add(out, record);
    for (size_t i = begun; i < out->length; i++)
        if (out->data[i] == '\r')
            out->data[i] = ' '; /* white space of JSON, which would end the line */
    buf_adds(out, "\n\n");
}

static const char *listener_id(struct listener *listener)
{
    buf_clear(&listener->id);
    event_place_add(&listener->id, tail_topic(listener->tail), tail_place(listener->tail));
    listener->moved = false;
    return listener->id.data;
}

static void listener_put(struct listener *listener)
{
    if (!listener->text.overflow)
        feed_put(listener->feed, listener->text.data, listener->text.length);
    buf_clear(&listener->text);
    listener->heartbeat_at = usec_monotonic() + listener->streams->api->config->event_heartbeat;
}

/* So that who goes before anything comes, or where nothing of it is for him, need not read it again. */
static void listener_put_comment(struct listener *listener, const char *lines)
{
    buf_adds(&listener->text, lines);
    if (listener->moved && tail_place(listener->tail)->count)
        buf_printf(&listener->text, "id: %s\n", listener_id(listener));
    buf_addc(&listener->text, '\n');
    listener_put(listener);
}

static void listener_tell(struct listener *listener, const struct record *record)
{
    struct record_event event;
    const char *type;

    record_event(record, &event);
    type = event.attributes[RECORD_TYPE];
    listener->moved = true;
    if (!event_wish_has(&listener->wish, type ? type : "", record->key, record->key_length))
        return;
    event_stream_write(&listener->text, listener_id(listener), record);
    if (listener->text.overflow) {
        log_error("events.too_large", log_number("bytes", (int64_t)record->value_length));
        buf_free(&listener->text);
        listener->text = BUF_INIT(EVENT_BYTES_MAX);
        return;
    }
    listener_put(listener);
}

/* --- a listener's thread --------------------------------------------------------------------------------- */

static int listener_begin(struct listener *listener, struct err *err)
{
    int r = tail_new(listener->streams->api->config, &listener->tail, err);

    if (r < 0)
        return r;
    listener->moved = true;
    if (listener->wish.after)
        tail_from(listener->tail, listener->wish.after);
    else if (!listener->wish.from_beginning)
        r = tail_from_end(listener->tail, NOW_PATIENCE, err);
    return r;
}

static void listener_answer(struct listener *listener)
{
    struct http_call *http = listener->call->http;

    listener->feed = feed_new(2 * EVENT_STREAM_HELD + EVENT_BYTES_MAX);
    http_set_header(http, "Cache-Control", "no-store");
    http_set_header(http, "X-Accel-Buffering", "no"); /* nginx would collect events before it sends them on */
    api_answer_feed(listener->call, 200, "text/event-stream", listener->feed);
    listener->call = NULL;
}

static void listener_serve(struct listener *listener)
{
    listener_put_comment(listener, RETRY);
    while (!atomic_load(&listener->ending)) {
        usec_t now = usec_monotonic();
        size_t held = feed_held(listener->feed);
        const struct record *record;

        if (feed_is_gone(listener->feed)) {
            atomic_store(&listener->ending, CLIENT_GONE);
        } else if (held > EVENT_STREAM_HELD) {
            feed_wait(listener->feed, EVENT_STREAM_HELD / 2, now + TURN);
        } else {
            if (now >= listener->heartbeat_at && !held)
                listener_put_comment(listener, ": heartbeat\n");
            record = tail_next(listener->tail, TURN);
            if (record)
                listener_tell(listener, record);
        }
    }
    feed_end(listener->feed);
}

static void listener_free(struct listener *listener)
{
    tail_free(listener->tail);
    buf_free(&listener->id);
    buf_free(&listener->text);
    explicit_bzero(listener->bearer, strlen(listener->bearer));
    arena_free(listener->arena);
    free(listener);
}

/* The last that is done with the streams: they may be freed afterwards. */
static void listener_remove(struct event_streams *streams, const struct listener *listener)
{
    pthread_mutex_lock(&streams->lock);
    for (struct listener **at = &streams->first; *at; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    metric_set(METRIC_EVENT_STREAMS, NULL, --streams->count);
    pthread_cond_broadcast(&streams->changed);
    pthread_mutex_unlock(&streams->lock);
}

static void *listener_run(void *context)
{
    struct listener *listener = context;
    struct event_streams *streams = listener->streams;
    struct err err;

    if (listener_begin(listener, &err) < 0) {
        api_answer_err(listener->call, &err);
    } else {
        listener_answer(listener);
        listener_serve(listener);
        metric_add(METRIC_EVENT_STREAM_ENDS, METRIC_LABELS(reason_words[atomic_load(&listener->ending)]), 1);
    }
    tail_free(listener->tail); /* before others may come in its stead, as it is most of what a listener takes */
    listener->tail = NULL;
    listener_remove(streams, listener);
    listener_free(listener);
    return NULL;
}

/* --- opening ------------------------------------------------------------------------------------------- */

static void wish_copy(struct arena *arena, const struct event_wish *from, struct event_wish *to)
{
    *to = *from;
    to->request_id = arena_strdup(arena, from->request_id);
    for (int i = 0; i < from->type_count; i++)
        to->types[i] = arena_strdup(arena, from->types[i]);
    if (from->after) {
        struct event_place *after = arena_new_of(arena, struct event_place);

        after->count = from->after->count;
        after->offsets = arena_memdup(arena, from->after->offsets, sizeof(int64_t) * (size_t)after->count);
        to->after = after;
    }
}

static struct listener *listener_new(struct event_streams *streams, struct api_call *call,
                                     const struct event_wish *wish)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        abort();
    listener->streams = streams;
    listener->arena = arena_new();
    listener->call = call;
    listener->bearer = arena_strdup(listener->arena, auth_bearer(call->http));
    listener->id = BUF_INIT(ID_BYTES_MAX);
    listener->text = BUF_INIT(EVENT_BYTES_MAX);
    wish_copy(listener->arena, wish, &listener->wish);
    return listener;
}

static bool listener_add(struct event_streams *streams, struct listener *listener)
{
    bool added;

    pthread_mutex_lock(&streams->lock);
    added = !streams->stopping && streams->count < streams->api->config->event_streams;
    if (added) {
        listener->next = streams->first;
        streams->first = listener;
        metric_set(METRIC_EVENT_STREAMS, NULL, ++streams->count);
        pthread_cond_broadcast(&streams->changed);
    }
    pthread_mutex_unlock(&streams->lock);
    return added;
}

static bool thread_start(struct listener *listener)
{
    pthread_attr_t detached;
    pthread_t thread;
    int r;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &detached, listener_run, listener);
    pthread_attr_destroy(&detached);
    return r == 0;
}

int event_stream_open(struct event_streams *streams, struct api_call *call, const struct event_wish *wish,
                      struct err *err)
{
    struct listener *listener = listener_new(streams, call, wish);

    if (!listener_add(streams, listener)) {
        listener_free(listener);
        http_set_header(call->http, "Retry-After", RETRY_AFTER);
        return err_set(err, ERR_UNAVAILABLE, "More than %lld clients read events. Try again later.",
                       streams->api->config->event_streams);
    }
    if (!thread_start(listener)) {
        listener_remove(streams, listener);
        listener_free(listener);
        return err_cause(err, ERR_UNAVAILABLE, "no thread for a listener of events");
    }
    return API_PENDING;
}

/* --- whether they may still read ----------------------------------------------------------------------- */

static bool may_read(struct event_streams *streams, const struct catalog *catalog, const char *bearer)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct api_call call = { .api = streams->api, .arena = arena, .catalog = catalog, .now = usec_now() };
    struct err err;

    return auth_check_bearer(&call, bearer, SCOPE, &err) == 0;
}

/* With PostgreSQL away by what is known of it: a token's end is told by itself. */
static const struct catalog *catalog_now(struct event_streams *streams)
{
    const struct catalog *catalog = NULL;
    struct err err;

    return current_take(streams->api->current, streams->db, &catalog, &err) == 0
               ? catalog
               : current_peek(streams->api->current);
}

static void streams_look(struct event_streams *streams)
{
    _cleanup_(catalog_unrefp) const struct catalog *catalog = catalog_now(streams);

    if (!catalog)
        return;
    pthread_mutex_lock(&streams->lock);
    for (struct listener *listener = streams->first; listener; listener = listener->next)
        if (!may_read(streams, catalog, listener->bearer))
            atomic_store(&listener->ending, NOT_ALLOWED);
    pthread_mutex_unlock(&streams->lock);
}

/* True when there are some to be looked at; false when the program ends. */
static bool watch_wait(struct event_streams *streams)
{
    usec_t until = usec_monotonic() + WATCH_EVERY;
    struct timespec deadline = { .tv_sec = until / USEC_PER_S, .tv_nsec = until % USEC_PER_S * 1000 };
    bool go_on;
    int r = 0;

    pthread_mutex_lock(&streams->lock);
    while (!streams->stopping && (r == 0 || !streams->count))
        r = streams->count ? pthread_cond_timedwait(&streams->changed, &streams->lock, &deadline)
                           : pthread_cond_wait(&streams->changed, &streams->lock);
    go_on = !streams->stopping;
    pthread_mutex_unlock(&streams->lock);
    return go_on;
}

static void *watch(void *context)
{
    struct event_streams *streams = context;

    while (watch_wait(streams))
        streams_look(streams);
    return NULL;
}

/* --- birth and end ------------------------------------------------------------------------------------- */

int event_streams_new(struct api *api, struct event_streams **ret, struct err *err)
{
    struct event_streams *streams = calloc(1, sizeof(*streams));
    pthread_condattr_t monotonic;

    if (!streams)
        abort();
    streams->api = api;
    streams->db = db_new(api->config->postgres_url, "docket-api events");
    db_set_patience(streams->db, WATCH_PATIENCE);
    pthread_mutex_init(&streams->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&streams->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    metric_set(METRIC_EVENT_STREAMS, NULL, 0);
    *ret = streams;
    if (pthread_create(&streams->watcher, NULL, watch, streams) == 0)
        return 0;
    streams->stopping = true;
    return err_cause(err, ERR_INTERNAL, "no thread that watches streams of events");
}

void event_streams_stop(struct event_streams *streams)
{
    if (!streams)
        return;
    pthread_mutex_lock(&streams->lock);
    streams->stopping = true;
    for (struct listener *listener = streams->first; listener; listener = listener->next)
        atomic_store(&listener->ending, PROGRAM_ENDS);
    pthread_cond_broadcast(&streams->changed);
    while (streams->count)
        pthread_cond_wait(&streams->changed, &streams->lock);
    pthread_mutex_unlock(&streams->lock);
    if (streams->watcher)
        pthread_join(streams->watcher, NULL);
    streams->watcher = 0;
}

void event_streams_free(struct event_streams *streams)
{
    if (!streams)
        return;
    db_free(streams->db);
    pthread_cond_destroy(&streams->changed);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}
