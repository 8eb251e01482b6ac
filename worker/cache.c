#include "worker/cache.h"

#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "common/redis.h"

#define PATIENCE (250 * USEC_PER_MS)
enum { AGAIN_MS = 1000, PORT_BYTES = 8, ADDRESS_BYTES = 64 };

/* One command under way. Redis answers in order, so they stand in a queue, and only the first can be the oldest. */
struct asked {
    struct cache *cache;
    cache_done *done;
    void *context;
    usec_t deadline;
    struct asked *next;
};

/* A name that is being looked up, on libuv's thread pool. It outlives its cache when need be. */
struct lookup {
    uv_getaddrinfo_t request;
    struct cache *cache; /* NULL: freed meanwhile */
};

/* hiredis' socket as the loop sees it. hiredis' own adapter for libuv forgets errors, so we have ours. */
struct socket_watch {
    uv_poll_t poll;
    redisAsyncContext *redis; /* NULL: gone */
    int events;
};

struct cache {
    uv_loop_t *loop;
    const struct config *config;
    struct arena *arena; /* the place's texts */
    struct redis_place place;
    redisAsyncContext *redis; /* NULL: away */
    struct lookup *lookup;
    unsigned attempts; /* to connect since it was up last: each takes the name's next address */
    bool up, told;     /* told: the log knows that it is away */
    struct asked *first, **last;
    uv_timer_t *clock; /* away: the next attempt. Else the first command's deadline */
};

static void connect_begin(struct cache *cache);
static void on_clock(uv_timer_t *clock);

/* --- the socket -------------------------------------------------------------------------------------- */

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *watch = poll->data;

    if (watch->redis && (status < 0 || (events & UV_READABLE)))
        redisAsyncHandleRead(watch->redis); /* which learns of the error */
    if (watch->redis && status == 0 && (events & UV_WRITABLE))
        redisAsyncHandleWrite(watch->redis);
}

static void watch_events(struct socket_watch *watch, int events)
{
    if (events == watch->events)
        return;
    watch->events = events;
    if (events)
        uv_poll_start(&watch->poll, events, on_socket);
    else
        uv_poll_stop(&watch->poll);
}

static void read_add(void *watch)
{
    watch_events(watch, ((struct socket_watch *)watch)->events | UV_READABLE);
}

static void read_drop(void *watch)
{
    watch_events(watch, ((struct socket_watch *)watch)->events & ~UV_READABLE);
}

static void write_add(void *watch)
{
    watch_events(watch, ((struct socket_watch *)watch)->events | UV_WRITABLE);
}

static void write_drop(void *watch)
{
    watch_events(watch, ((struct socket_watch *)watch)->events & ~UV_WRITABLE);
}

static void watch_free(uv_handle_t *handle)
{
    free(handle->data);
}

static void watch_close(void *context)
{
    struct socket_watch *watch = context;

    watch->redis = NULL;
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, watch_free);
}

static void watch_open(struct cache *cache, redisAsyncContext *redis)
{
    struct socket_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        abort();
    watch->redis = redis;
    uv_poll_init(cache->loop, &watch->poll, redis->c.fd);
    watch->poll.data = watch;
    redis->ev.data = watch;
    redis->ev.addRead = read_add;
    redis->ev.delRead = read_drop;
    redis->ev.addWrite = write_add;
    redis->ev.delWrite = write_drop;
    redis->ev.cleanup = watch_close;
}

/* --- up and away ------------------------------------------------------------------------------------- */

static void set_clock(struct cache *cache, usec_t wait)
{
    uv_timer_start(cache->clock, on_clock, wait > 0 ? (uint64_t)(wait + USEC_PER_MS - 1) / USEC_PER_MS : 0, 0);
}

static void tell_up(struct cache *cache)
{
    cache->up = true;
    cache->attempts = 0;
    metric_set(METRIC_DEPENDENCY_UP, METRIC_LABELS("redis"), 1);
    if (cache->told)
        log_info("cache.with_again");
    cache->told = false;
}

static void tell_away(struct cache *cache, const char *why)
{
    cache->up = false;
    cache->attempts++;
    metric_set(METRIC_DEPENDENCY_UP, METRIC_LABELS("redis"), 0);
    if (!cache->told)
        log_warn("cache.without", log_word("why", why));
    cache->told = true;
    uv_timer_start(cache->clock, on_clock, AGAIN_MS, 0);
}

/* hiredis gives the context up by itself. */
static void gone(struct cache *cache, const char *why)
{
    cache->redis = NULL;
    tell_away(cache, why);
}

/* hiredis answers what is under way with NULL. */
static void drop(struct cache *cache, const char *why)
{
    redisAsyncContext *redis = TAKE(cache->redis);

    tell_away(cache, why);
    redisAsyncFree(redis);
}

static void on_connected(const redisAsyncContext *redis, int status)
{
    struct cache *cache = redis->data;

    if (status != REDIS_OK && cache->redis == redis)
        gone(cache, "no connection");
}

static void on_disconnected(const redisAsyncContext *redis, int status)
{
    struct cache *cache = redis->data;

    (void)status;
    if (cache && cache->redis == redis)
        gone(cache, "connection lost");
}

/* --- commands ---------------------------------------------------------------------------------------- */

static struct asked *asked_push(struct cache *cache, cache_done *done, void *context)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    if (!asked)
        abort();
    *asked = (struct asked){ cache, done, context, usec_monotonic() + PATIENCE, NULL };
    if (!cache->first)
        set_clock(cache, PATIENCE);
    *cache->last = asked;
    cache->last = &asked->next;
    return asked;
}

static void asked_remove(struct cache *cache, struct asked *asked)
{
    struct asked **link = &cache->first;

    while (*link != asked)
        link = &(*link)->next;
    *link = asked->next;
    if (!*link)
        cache->last = link;
}

static void on_reply(redisAsyncContext *redis, void *answer, void *context)
{
    struct asked *asked = context;
    const redisReply *reply = answer;

    (void)redis;
    asked_remove(asked->cache, asked);
    if (asked->done)
        asked->done(asked->context, reply && reply->type != REDIS_REPLY_ERROR ? reply : NULL);
    free(asked);
}

static void ask(struct cache *cache, int count, const char *const *words, const size_t *lengths, cache_done *done,
                void *context)
{
    struct asked *asked = asked_push(cache, done, context);

    if (redisAsyncCommandArgv(cache->redis, on_reply, asked, count, (const char **)(uintptr_t)words, lengths) ==
        REDIS_OK)
        return;
    asked_remove(cache, asked); /* it is just being given up */
    free(asked);
    if (done)
        done(context, NULL);
}

void cache_run(struct cache *cache, int count, const char *const *words, const size_t *lengths, cache_done *done,
               void *context)
{
    if (cache->up)
        ask(cache, count, words, lengths, done, context);
    else if (done)
        done(context, NULL);
}

/* --- connecting -------------------------------------------------------------------------------------- */

static void on_greeted(void *context, const redisReply *reply)
{
    struct cache *cache = context;

    if (!reply && cache->redis)
        drop(cache, "refused");
}

static void on_pinged(void *context, const redisReply *reply)
{
    struct cache *cache = context;

    if (reply && cache->redis)
        tell_up(cache);
    else
        on_greeted(cache, reply);
}

static void greet(struct cache *cache)
{
    const struct redis_place *place = &cache->place;

    if (place->user)
        ask(cache, 3, (const char *[]){ "AUTH", place->user, place->password }, NULL, on_greeted, cache);
    else if (place->password)
        ask(cache, 2, (const char *[]){ "AUTH", place->password }, NULL, on_greeted, cache);
    if (place->database)
        ask(cache, 2, (const char *[]){ "SELECT", place->database }, NULL, on_greeted, cache);
    ask(cache, 1, (const char *[]){ "PING" }, NULL, on_pinged, cache);
}

static void connect_to(struct cache *cache, redisAsyncContext *redis)
{
    if (!redis || redis->err) {
        if (redis)
            redisAsyncFree(redis);
        tell_away(cache, "no connection");
        return;
    }
    cache->redis = redis;
    redis->data = cache;
    watch_open(cache, redis);
    redisAsyncSetConnectCallback(redis, on_connected);
    redisAsyncSetDisconnectCallback(redis, on_disconnected);
    redisEnableKeepAlive(&redis->c);
    greet(cache);
}

/* "localhost" may have an address where nobody listens before one where somebody does. */
static const struct addrinfo *choose(const struct cache *cache, const struct addrinfo *addresses)
{
    const struct addrinfo *address;
    unsigned count = 0, number;

    for (address = addresses; address; address = address->ai_next)
        count++;
    number = cache->attempts % count;
    for (address = addresses; number; address = address->ai_next)
        number--;
    return address;
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct lookup *lookup = request->data;
    struct cache *cache = lookup->cache;
    char ip[ADDRESS_BYTES] = "";

    free(lookup);
    if (cache)
        cache->lookup = NULL;
    if (cache && status == 0)
        uv_ip_name(choose(cache, addresses)->ai_addr, ip, sizeof(ip));
    uv_freeaddrinfo(addresses);
    if (cache && *ip)
        connect_to(cache, redisAsyncConnect(ip, cache->place.port));
    else if (cache)
        tell_away(cache, "no such host");
}

/* hiredis would wait for the name's address. */
static void connect_begin(struct cache *cache)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    char port[PORT_BYTES];

    if (cache->place.path) {
        connect_to(cache, redisAsyncConnectUnix(cache->place.path));
        return;
    }
    cache->lookup = calloc(1, sizeof(*cache->lookup));
    if (!cache->lookup)
        abort();
    cache->lookup->cache = cache;
    cache->lookup->request.data = cache->lookup;
    snprintf(port, sizeof(port), "%d", cache->place.port);
    if (uv_getaddrinfo(cache->loop, &cache->lookup->request, on_found, cache->place.host, port, &hints)) {
        free(TAKE(cache->lookup));
        tell_away(cache, "no such host");
    }
}

/* A loop that was busy runs its timers before it reads: so what came meanwhile is read first. */
static void on_clock(uv_timer_t *clock)
{
    struct cache *cache = clock->data;
    usec_t now = usec_monotonic();

    if (!cache->redis) {
        if (!cache->lookup)
            connect_begin(cache);
        return;
    }
    if (cache->first && cache->first->deadline <= now)
        redisAsyncHandleRead(cache->redis);
    if (!cache->redis)
        return;
    if (cache->first && cache->first->deadline <= now)
        drop(cache, "too slow");
    else if (cache->first)
        set_clock(cache, cache->first->deadline - now);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

bool cache_is_up(const struct cache *cache)
{
    return cache->up;
}

const char *cache_key(const struct cache *cache, const char *kind, const char *id, char *ret, size_t size)
{
    snprintf(ret, size, "%s:%s:%s", cache->config->topic_prefix, kind, id);
    return ret;
}

int cache_new(uv_loop_t *loop, const struct config *config, struct cache **ret, struct err *err)
{
    struct cache *cache = calloc(1, sizeof(*cache));
    int r;

    if (!cache || !(cache->clock = malloc(sizeof(*cache->clock))))
        abort();
    cache->arena = arena_new();
    r = redis_place_parse(config->redis_url, cache->arena, &cache->place, err);
    if (r < 0) {
        arena_free(cache->arena);
        free(cache->clock);
        free(cache);
        return r;
    }
    cache->loop = loop;
    cache->config = config;
    cache->last = &cache->first;
    uv_timer_init(loop, cache->clock);
    cache->clock->data = cache;
    connect_begin(cache);
    *ret = cache;
    return 0;
}

static void clock_free(uv_handle_t *handle)
{
    free(handle);
}

void cache_free(struct cache *cache)
{
    redisAsyncContext *redis;

    if (!cache)
        return;
    cache->up = false;
    if (cache->lookup) {
        cache->lookup->cache = NULL;
        uv_cancel((uv_req_t *)&cache->lookup->request);
    }
    redis = TAKE(cache->redis);
    if (redis)
        redisAsyncFree(redis);
    uv_timer_stop(cache->clock);
    uv_close((uv_handle_t *)cache->clock, clock_free);
    arena_free(cache->arena);
    free(cache);
}
