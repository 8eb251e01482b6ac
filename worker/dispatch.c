#include "worker/dispatch.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/board.h"
#include "worker/breaker.h"

enum { TICK_MS = 50, LATENCY_SHARE = 8 };

#define BOARD_EVERY USEC_PER_S
#define BOARD_IDLE (10 * USEC_PER_S) /* an endpoint without a call for so long is shown no more */
#define RATE_SOON (100 * USEC_PER_MS)

/* A call that would wait longer than this for its turn is parked: it must not hold memory and its event's offset. */
#define QUEUE_WAIT_MAX USEC_PER_S

struct call_queue {
    struct call *first, **last;
    int count;
};

struct endpoint {
    char id[64], key[128];
    int underway;
    struct call_queue running, fresh; /* of requests under way; of those not begun */
    struct breaker breaker;
    usec_t latency; /* moving average of a call */
    int64_t version;    /* of the configuration that the next two are of */
    bool closed, gone;  /* paused, disabled or deleted; deleted */
    int rate_limit;     /* calls a second; 0: none */
    usec_t rate_at;     /* out of its rate: when there may be more; 0: not so */
    usec_t called_at, looked_at; /* the last call; the last look at the board */
    struct dispatch *dispatch;
    struct endpoint *next_ready, *next_held; /* among those with something queued */
    bool ready;
    UT_hash_handle hh;
};

struct dispatch {
    const struct config *config;
    struct dispatch_parts parts;
    struct dispatch_outlets outlets;
    struct board *board;
    usec_t shown_at;
    int64_t version; /* of the configuration that was told last */
    bool pumping, again;
    struct breaker_rule rule;
    struct endpoint *endpoints;
    struct endpoint *ready_first, **ready_last;
    int underway, queued;
    uv_timer_t *tick;
};

static void queue_push(struct call_queue *queue, struct call *call)
{
    call->next = NULL;
    if (!queue->first)
        queue->last = &queue->first;
    *queue->last = call;
    queue->last = &call->next;
    queue->count++;
}

static struct call *queue_pop(struct call_queue *queue)
{
    struct call *call = queue->first;

    if (call) {
        queue->first = call->next;
        queue->count--;
    }
    return call;
}

static int endpoint_queued(const struct endpoint *endpoint)
{
    return endpoint->running.count + endpoint->fresh.count;
}

static struct call *endpoint_pop(struct endpoint *endpoint)
{
    struct call *call = queue_pop(&endpoint->running);

    return call ? call : queue_pop(&endpoint->fresh);
}

static struct endpoint *endpoint_find(struct dispatch *dispatch, const char *id)
{
    struct endpoint *endpoint;

    HASH_FIND_STR(dispatch->endpoints, id, endpoint);
    return endpoint;
}

/* connection NULL: there is none any more. */
static void endpoint_configure(struct endpoint *endpoint, const struct catalog_connection *connection, int64_t version)
{
    if (version < endpoint->version)
        return;
    endpoint->version = version;
    endpoint->gone = !connection;
    endpoint->closed = !connection || connection->disabled || connection->paused;
    endpoint->rate_limit = connection ? connection->rate_limit : 0;
    if (!endpoint->rate_limit)
        endpoint->rate_at = 0;
    if (connection)
        snprintf(endpoint->key, sizeof(endpoint->key), "%s", connection->key);
}

static struct endpoint *endpoint_of(struct dispatch *dispatch, const struct call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;
    struct endpoint *endpoint = endpoint_find(dispatch, connection->id);

    if (!endpoint) {
        endpoint = calloc(1, sizeof(*endpoint));
        if (!endpoint)
            abort();
        endpoint->dispatch = dispatch;
        snprintf(endpoint->id, sizeof(endpoint->id), "%s", connection->id);
        HASH_ADD_STR(dispatch->endpoints, id, endpoint);
    }
    endpoint_configure(endpoint, connection, call->work->catalog->version);
    return endpoint;
}

/* Endpoints with something queued take turns. */
static void ready_add(struct dispatch *dispatch, struct endpoint *endpoint)
{
    if (endpoint->ready)
        return;
    endpoint->ready = true;
    endpoint->next_ready = NULL;
    *dispatch->ready_last = endpoint;
    dispatch->ready_last = &endpoint->next_ready;
}

static struct endpoint *ready_pop(struct dispatch *dispatch)
{
    struct endpoint *endpoint = dispatch->ready_first;

    if (!endpoint)
        return NULL;
    dispatch->ready_first = endpoint->next_ready;
    if (!dispatch->ready_first)
        dispatch->ready_last = &dispatch->ready_first;
    endpoint->ready = false;
    return endpoint;
}

static void pump(struct dispatch *dispatch);

static void show_breaker(const struct endpoint *endpoint)
{
    static const double gauge[] = { [BREAKER_CLOSED] = 0, [BREAKER_HALF_OPEN] = 1, [BREAKER_OPEN] = 2 };

    metric_set(METRIC_BREAKER, METRIC_LABELS(endpoint->key), gauge[endpoint->breaker.state]);
}

static void tell_breaker(struct dispatch *dispatch, struct endpoint *endpoint, const struct http_answer *answer)
{
    /* An endpoint that refuses what it was sent is up: only its own faults count. */
    bool failed = answer->status == 0 || answer->status >= 500 || answer->status == 429;

    if (!breaker_told(&endpoint->breaker, &dispatch->rule, failed, usec_now()))
        return;
    show_breaker(endpoint);
    log_warn(endpoint->breaker.state == BREAKER_OPEN ? "breaker.opened" : "breaker.closed",
             log_id("endpoint", endpoint->key), log_word("outcome", answer->outcome));
    if (endpoint->breaker.state == BREAKER_OPEN)
        board_opened(dispatch->board, endpoint->id, dispatch->rule.open_for);
}

/* Another worker found it down. */
static void on_hint(void *context, const char *endpoint_id, usec_t open_for)
{
    struct dispatch *dispatch = context;
    struct endpoint *endpoint = endpoint_find(dispatch, endpoint_id);
    usec_t now = usec_now();

    if (!endpoint || !breaker_hinted(&endpoint->breaker, now + open_for, now))
        return;
    show_breaker(endpoint);
    log_warn("breaker.hinted", log_id("endpoint", endpoint->key), log_ms("open_ms", open_for));
}

/* How long a call that is queued now would wait, by what the endpoint's calls take and by its rate. */
static usec_t queue_wait(const struct dispatch *dispatch, const struct endpoint *endpoint, usec_t now)
{
    int queued = endpoint_queued(endpoint);
    usec_t by_calls = queued * endpoint->latency / dispatch->config->endpoint_calls, by_rate = 0;

    if (endpoint->rate_limit) {
        by_rate = queued * USEC_PER_S / endpoint->rate_limit;
        if (endpoint->rate_at > now)
            by_rate += endpoint->rate_at - now;
    }
    return by_calls > by_rate ? by_calls : by_rate;
}

static void call_park(struct dispatch *dispatch, struct call *call, usec_t due_at)
{
    /* A second more or less, so that not all come back at once. */
    due_at += randombytes_uniform((uint32_t)USEC_PER_S);
    dispatch->outlets.parked(dispatch->outlets.context, call, due_at);
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct call *call = context;
    struct endpoint *endpoint = call->endpoint;
    struct dispatch *dispatch = endpoint->dispatch;
    const char *kind = webhook_kind_word(call->webhook->kind);

    endpoint->underway--;
    dispatch->underway--;
    endpoint->latency += (answer->duration - endpoint->latency) / LATENCY_SHARE;
    metric_add(METRIC_ATTEMPTS, METRIC_LABELS(kind, endpoint->key, answer->outcome), 1);
    metric_observe(METRIC_ATTEMPT_DURATION, METRIC_LABELS(kind, endpoint->key), answer->duration);
    tell_breaker(dispatch, endpoint, answer);
    dispatch->outlets.answered(dispatch->outlets.context, call, answer);
    pump(dispatch);
}

/* What can't be sent is told like an answer, on the next turn of the caller's stack: it was admitted. */
static void call_unsendable(struct dispatch *dispatch, struct call *call, const struct err *err)
{
    static const struct http_answer unsendable = { .outcome = "not_sendable" };

    log_err("webhook.not_sendable", err, log_id("request", call->work->request_id),
            log_id("webhook", call->webhook->key));
    breaker_told(&call->endpoint->breaker, &dispatch->rule, true, usec_now());
    dispatch->outlets.answered(dispatch->outlets.context, call, &unsendable);
}

/* It has its slot, and its token where it needs one. */
static void call_send(struct dispatch *dispatch, struct call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;
    struct http_request request = { .url = connection->url,
                                    .tls = { connection->ca_certificate, connection->client_certificate,
                                             connection->client_key },
                                    .answer_bytes = (size_t)dispatch->config->webhook_answer_bytes };
    struct err err;

    call->started_at = usec_now();
    if (dispatch->outlets.prepare(dispatch->outlets.context, call, &request.headers, &request.body,
                                  &request.body_length, &err) < 0) {
        call->endpoint->underway--;
        dispatch->underway--;
        call_unsendable(dispatch, call, &err);
        return;
    }
    http_post(dispatch->parts.http, &request, on_answer, call);
}

static void on_token(void *context, const char *token, bool was_cached, const char *outcome)
{
    struct call *call = context;
    struct http_answer answer = { .outcome = outcome, .duration = usec_now() - call->started_at };

    if (!token) {
        on_answer(call, &answer);
        return;
    }
    call->bearer = arena_strdup(call->work->arena, token);
    call->bearer_was_cached = was_cached;
    call_send(call->endpoint->dispatch, call);
}

static void call_start(struct dispatch *dispatch, struct call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;
    struct err err;

    call->started_at = call->endpoint->called_at = usec_now();
    if (!connection->url) {
        err_set(&err, ERR_BAD_REQUEST, "The connection has no secrets.");
        call_unsendable(dispatch, call, &err);
        return;
    }
    call->endpoint->underway++;
    dispatch->underway++;
    if (connection->oauth)
        oauth_token(dispatch->parts.oauth, connection, on_token, call);
    else
        call_send(dispatch, call);
}

/* What the endpoint could start now, were it not for its rate. */
static int endpoint_wanted(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    int queued = endpoint_queued(endpoint), room = (int)dispatch->config->endpoint_calls - endpoint->underway;

    if (room > dispatch->config->webhook_calls - dispatch->underway)
        room = (int)dispatch->config->webhook_calls - dispatch->underway;
    return queued < room ? queued : room;
}

/* Takes of its rate and the probe's place, so nothing but the start of a call may follow a yes. */
static bool endpoint_admits(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    int wanted = endpoint_wanted(dispatch, endpoint);

    if (wanted <= 0 || endpoint->closed || breaker_opens_at(&endpoint->breaker, now))
        return false;
    if (endpoint->rate_limit)
        endpoint->rate_at = rate_take(dispatch->parts.rate, endpoint->id, endpoint->rate_limit, wanted, now);
    return !endpoint->rate_at && breaker_admit(&endpoint->breaker, now);
}

static void endpoint_pump(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    while (endpoint_admits(dispatch, endpoint, now)) {
        dispatch->queued--;
        call_start(dispatch, endpoint_pop(endpoint));
    }
}

static void pump_once(struct dispatch *dispatch)
{
    usec_t now = usec_now();
    struct endpoint *endpoint, *held_first = NULL, **held_last = &held_first;

    while (dispatch->underway < dispatch->config->webhook_calls && (endpoint = ready_pop(dispatch))) {
        endpoint_pump(dispatch, endpoint, now);
        if (!endpoint_queued(endpoint))
            continue;
        endpoint->next_held = NULL; /* its cap, rate or breaker: asked again when a call of its comes back */
        *held_last = endpoint;
        held_last = &endpoint->next_held;
    }
    for (endpoint = held_first; endpoint; endpoint = endpoint->next_held)
        ready_add(dispatch, endpoint);
}

/* A call that starts may be over at once (no token is to be had), which is a reason to look again, but not within. */
static void pump(struct dispatch *dispatch)
{
    dispatch->again = true;
    if (dispatch->pumping)
        return;
    dispatch->pumping = true;
    while (dispatch->again) {
        dispatch->again = false;
        pump_once(dispatch);
    }
    dispatch->pumping = false;
}

void dispatch_go_on(struct dispatch *dispatch)
{
    pump(dispatch);
}

static void board_see(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    if (now - endpoint->looked_at < BOARD_EVERY)
        return;
    endpoint->looked_at = now;
    board_look(dispatch->board, endpoint->id);
}

/* When a call that is submitted now must be parked until; 0: it may wait here. */
static usec_t endpoint_refuses(const struct dispatch *dispatch, const struct endpoint *endpoint, usec_t now)
{
    usec_t opens_at = breaker_opens_at(&endpoint->breaker, now), wait = queue_wait(dispatch, endpoint, now);

    if (opens_at)
        return opens_at;
    if (endpoint->closed)
        return now;
    return wait > QUEUE_WAIT_MAX ? now + wait : 0;
}

void dispatch_submit(struct dispatch *dispatch, struct call *call)
{
    struct endpoint *endpoint = endpoint_of(dispatch, call);
    usec_t now = usec_now(), until = endpoint_refuses(dispatch, endpoint, now);

    call->endpoint = endpoint;
    call->queued_at = now;
    board_see(dispatch, endpoint, now);
    if (until) {
        call_park(dispatch, call, until);
        return;
    }
    queue_push(call->work->first_step ? &endpoint->fresh : &endpoint->running, call);
    dispatch->queued++;
    ready_add(dispatch, endpoint);
    pump(dispatch);
}

/* Those at the head of the queue that have waited too long, or whose breaker opened or endpoint closed meanwhile. */
static void endpoint_tick(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    usec_t opens_at = breaker_opens_at(&endpoint->breaker, now);
    struct call_queue *queues[] = { &endpoint->running, &endpoint->fresh };
    bool none = opens_at || endpoint->closed;

    for (size_t i = 0; i < COUNT_OF(queues); i++)
        while (queues[i]->first && (none || now - queues[i]->first->queued_at > QUEUE_WAIT_MAX)) {
            dispatch->queued--;
            call_park(dispatch, queue_pop(queues[i]), opens_at ? opens_at : now + USEC_PER_S);
        }
}

static void endpoint_show(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    const struct breaker *breaker = &endpoint->breaker;
    bool open = breaker->state == BREAKER_OPEN && breaker->open_until > now;
    bool half_open = breaker->state != BREAKER_CLOSED && !open; /* its time is up: the next call is the probe */
    struct board_row row = { .endpoint_id = endpoint->id,
                             .breaker = half_open ? BREAKER_HALF_OPEN : breaker->state,
                             .open_until = open ? breaker->open_until : 0,
                             .underway = endpoint->underway,
                             .queued = endpoint_queued(endpoint) };

    breaker_count(breaker, &dispatch->rule, now, &row.calls, &row.failures);
    board_show(dispatch->board, &row, now);
    board_see(dispatch, endpoint, now);
}

static bool endpoint_is_idle(const struct endpoint *endpoint, usec_t now)
{
    return now - endpoint->called_at > BOARD_IDLE && !endpoint->underway && !endpoint_queued(endpoint) &&
           (endpoint->breaker.state == BREAKER_CLOSED || endpoint->gone);
}

static void show_all(struct dispatch *dispatch, usec_t now)
{
    struct endpoint *endpoint, *next;

    if (now - dispatch->shown_at < BOARD_EVERY)
        return;
    dispatch->shown_at = now;
    HASH_ITER(hh, dispatch->endpoints, endpoint, next)
    {
        if (!endpoint_is_idle(endpoint, now))
            endpoint_show(dispatch, endpoint, now);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct dispatch *dispatch = timer->data;
    struct endpoint *endpoint, *next;
    usec_t now = usec_now();

    HASH_ITER(hh, dispatch->endpoints, endpoint, next)
    {
        endpoint_tick(dispatch, endpoint, now);
    }
    metric_set(METRIC_INFLIGHT, NULL, dispatch->underway);
    show_all(dispatch, now);
    pump(dispatch);
}

void dispatch_configure(struct dispatch *dispatch, const struct catalog *catalog)
{
    struct endpoint *endpoint, *next;

    if (!catalog || catalog->version == dispatch->version)
        return;
    dispatch->version = catalog->version;
    HASH_ITER(hh, dispatch->endpoints, endpoint, next)
    {
        endpoint_configure(endpoint, catalog_connection_by_id(catalog, endpoint->id), catalog->version);
        endpoint_tick(dispatch, endpoint, usec_now());
    }
}

void dispatch_park_all(struct dispatch *dispatch)
{
    struct endpoint *endpoint, *next;
    struct call *call;

    HASH_ITER(hh, dispatch->endpoints, endpoint, next)
    {
        while ((call = endpoint_pop(endpoint))) {
            dispatch->queued--;
            dispatch->outlets.parked(dispatch->outlets.context, call, usec_now());
        }
    }
}

/* A quarter of a second's worth may stand here, so that there is something to send whenever the rate allows it. */
static int rate_room(const struct endpoint *endpoint, usec_t now)
{
    int room = endpoint->rate_limit / 4;

    if (endpoint->rate_at > now + RATE_SOON)
        return 0;
    return (room > 1 ? room : 1) - endpoint_queued(endpoint);
}

int dispatch_room(struct dispatch *dispatch, const char *connection_id)
{
    struct endpoint *endpoint = endpoint_find(dispatch, connection_id);
    usec_t now = usec_now();
    int room;

    if (!endpoint)
        return (int)dispatch->config->endpoint_calls;
    if (endpoint->gone)
        return 0;
    if (endpoint->closed)
        return (int)dispatch->config->endpoint_calls; /* looked at they are held, and that is told */
    if (breaker_opens_at(&endpoint->breaker, now))
        return 0;
    if (endpoint->breaker.state != BREAKER_CLOSED)
        return 1; /* the probe */
    room = (int)dispatch->config->endpoint_calls - endpoint->underway - endpoint_queued(endpoint);
    if (endpoint->rate_limit && rate_room(endpoint, now) < room)
        room = rate_room(endpoint, now);
    return room > 0 ? room : 0;
}

int dispatch_underway(const struct dispatch *dispatch)
{
    return dispatch->underway + dispatch->queued;
}

void dispatch_refuse_token(struct dispatch *dispatch, const struct call *call)
{
    if (call->bearer)
        oauth_refused(dispatch->parts.oauth, call->webhook->connection, call->bearer);
}

struct dispatch *dispatch_new(uv_loop_t *loop, const struct dispatch_parts *parts,
                              const struct dispatch_outlets *outlets)
{
    const struct config *config = parts->config;
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));

    if (!dispatch || !(dispatch->tick = malloc(sizeof(*dispatch->tick))))
        abort();
    dispatch->config = config;
    dispatch->parts = *parts;
    dispatch->board = board_new(parts->name, parts->cache, on_hint, dispatch);
    dispatch->version = -1;
    dispatch->outlets = *outlets;
    dispatch->rule = (struct breaker_rule){ .window = config->breaker_window,
                                            .open_for = config->breaker_open,
                                            .calls = (int)config->breaker_calls,
                                            .failures_percent = (int)config->breaker_failures };
    dispatch->ready_last = &dispatch->ready_first;
    uv_timer_init(loop, dispatch->tick);
    dispatch->tick->data = dispatch;
    uv_timer_start(dispatch->tick, on_tick, TICK_MS, TICK_MS);
    return dispatch;
}

static void tick_free(uv_handle_t *handle)
{
    free(handle);
}

void dispatch_free(struct dispatch *dispatch)
{
    struct endpoint *endpoint, *next;

    if (!dispatch)
        return;
    HASH_ITER(hh, dispatch->endpoints, endpoint, next)
    {
        HASH_DEL(dispatch->endpoints, endpoint);
        free(endpoint);
    }
    uv_timer_stop(dispatch->tick);
    uv_close((uv_handle_t *)dispatch->tick, tick_free);
    board_free(dispatch->board);
    free(dispatch);
}
