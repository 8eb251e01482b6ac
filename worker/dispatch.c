#include "worker/dispatch.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/breaker.h"

enum { TICK_MS = 50, LATENCY_SHARE = 8 };

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
    struct dispatch *dispatch;
    struct endpoint *next_ready, *next_held; /* among those with something queued */
    bool ready;
    UT_hash_handle hh;
};

struct dispatch {
    const struct config *config;
    struct http *http;
    struct dispatch_outlets outlets;
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

static struct endpoint *endpoint_of(struct dispatch *dispatch, const char *id)
{
    struct endpoint *endpoint;

    HASH_FIND_STR(dispatch->endpoints, id, endpoint);
    if (endpoint)
        return endpoint;
    endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint)
        abort();
    endpoint->dispatch = dispatch;
    snprintf(endpoint->id, sizeof(endpoint->id), "%s", id);
    HASH_ADD_STR(dispatch->endpoints, id, endpoint);
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

static void tell_breaker(struct dispatch *dispatch, struct endpoint *endpoint, const struct http_answer *answer)
{
    static const double gauge[] = { [BREAKER_CLOSED] = 0, [BREAKER_HALF_OPEN] = 1, [BREAKER_OPEN] = 2 };
    /* An endpoint that refuses what it was sent is up: only its own faults count. */
    bool failed = answer->status == 0 || answer->status >= 500 || answer->status == 429;

    if (!breaker_told(&endpoint->breaker, &dispatch->rule, failed, usec_now()))
        return;
    metric_set(METRIC_BREAKER, METRIC_LABELS(endpoint->key), gauge[endpoint->breaker.state]);
    log_warn(endpoint->breaker.state == BREAKER_OPEN ? "breaker.opened" : "breaker.closed",
             log_id("endpoint", endpoint->key), log_word("outcome", answer->outcome));
}

/* How long a call that is queued now would wait, by what the endpoint's calls take. */
static usec_t queue_wait(const struct dispatch *dispatch, const struct endpoint *endpoint)
{
    return endpoint_queued(endpoint) * endpoint->latency / dispatch->config->endpoint_calls;
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

    endpoint->underway--;
    dispatch->underway--;
    endpoint->latency += (answer->duration - endpoint->latency) / LATENCY_SHARE;
    metric_add(METRIC_ATTEMPTS, METRIC_LABELS("pre_approval", endpoint->key, answer->outcome), 1);
    metric_observe(METRIC_ATTEMPT_DURATION, METRIC_LABELS("pre_approval", endpoint->key), answer->duration);
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

static void call_start(struct dispatch *dispatch, struct call *call)
{
    struct curl_slist *headers = NULL;
    const char *body;
    size_t length;
    struct err err;

    call->started_at = usec_now();
    if (!call->webhook->connection->url) {
        err_set(&err, ERR_BAD_REQUEST, "The connection has no secrets.");
        call_unsendable(dispatch, call, &err);
        return;
    }
    if (dispatch->outlets.prepare(dispatch->outlets.context, call, &headers, &body, &length, &err) < 0) {
        call_unsendable(dispatch, call, &err);
        return;
    }
    call->endpoint->underway++;
    dispatch->underway++;
    http_post(dispatch->http, call->webhook->connection->url, NULL, headers, body, length, on_answer, call);
}

/* Starts what of this endpoint may go; true when it could start more if the whole worker had room. */
static void endpoint_pump(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    while (endpoint_queued(endpoint) && dispatch->underway < dispatch->config->webhook_calls &&
           endpoint->underway < dispatch->config->endpoint_calls && breaker_admit(&endpoint->breaker, now)) {
        dispatch->queued--;
        call_start(dispatch, endpoint_pop(endpoint));
    }
}

static void pump(struct dispatch *dispatch)
{
    usec_t now = usec_now();
    struct endpoint *endpoint, *held_first = NULL, **held_last = &held_first;

    while (dispatch->underway < dispatch->config->webhook_calls && (endpoint = ready_pop(dispatch))) {
        endpoint_pump(dispatch, endpoint, now);
        if (!endpoint_queued(endpoint))
            continue;
        endpoint->next_held = NULL; /* its cap or its breaker: asked again when a call of its comes back */
        *held_last = endpoint;
        held_last = &endpoint->next_held;
    }
    for (endpoint = held_first; endpoint; endpoint = endpoint->next_held)
        ready_add(dispatch, endpoint);
}

void dispatch_submit(struct dispatch *dispatch, struct call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;
    struct endpoint *endpoint = endpoint_of(dispatch, connection->id);
    usec_t now = usec_now(), opens_at = breaker_opens_at(&endpoint->breaker, now);

    snprintf(endpoint->key, sizeof(endpoint->key), "%s", connection->key);
    call->endpoint = endpoint;
    call->queued_at = now;
    if (opens_at) {
        call_park(dispatch, call, opens_at);
        return;
    }
    if (queue_wait(dispatch, endpoint) > QUEUE_WAIT_MAX) {
        call_park(dispatch, call, now + queue_wait(dispatch, endpoint));
        return;
    }
    queue_push(call->work->first_step ? &endpoint->fresh : &endpoint->running, call);
    dispatch->queued++;
    ready_add(dispatch, endpoint);
    pump(dispatch);
}

/* Those at the head of the queue that have waited too long, or whose breaker opened meanwhile. */
static void endpoint_tick(struct dispatch *dispatch, struct endpoint *endpoint, usec_t now)
{
    usec_t opens_at = breaker_opens_at(&endpoint->breaker, now);
    struct call_queue *queues[] = { &endpoint->running, &endpoint->fresh };

    for (size_t i = 0; i < COUNT_OF(queues); i++)
        while (queues[i]->first && (opens_at || now - queues[i]->first->queued_at > QUEUE_WAIT_MAX)) {
            dispatch->queued--;
            call_park(dispatch, queue_pop(queues[i]), opens_at ? opens_at : now + USEC_PER_S);
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
    pump(dispatch);
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

int dispatch_room(struct dispatch *dispatch, const char *connection_id)
{
    struct endpoint *endpoint;
    int room;

    HASH_FIND_STR(dispatch->endpoints, connection_id, endpoint);
    if (!endpoint)
        return (int)dispatch->config->endpoint_calls;
    if (breaker_opens_at(&endpoint->breaker, usec_now()))
        return 0;
    if (endpoint->breaker.state != BREAKER_CLOSED)
        return 1; /* the probe */
    room = (int)dispatch->config->endpoint_calls - endpoint->underway - endpoint_queued(endpoint);
    return room > 0 ? room : 0;
}

void dispatch_refuse_token(struct dispatch *dispatch, const struct call *call)
{
    (void)dispatch;
    (void)call;
}

int dispatch_underway(const struct dispatch *dispatch)
{
    return dispatch->underway + dispatch->queued;
}

struct dispatch *dispatch_new(uv_loop_t *loop, const struct config *config, struct http *http,
                              const struct dispatch_outlets *outlets)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));

    if (!dispatch || !(dispatch->tick = malloc(sizeof(*dispatch->tick))))
        abort();
    dispatch->config = config;
    dispatch->http = http;
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
    free(dispatch);
}
