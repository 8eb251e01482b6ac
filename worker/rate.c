#include "worker/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/cleanup.h"

#define HELD_FOR USEC_PER_S           /* calls that were granted and not made by then are lost */
#define ASK_AGAIN (5 * USEC_PER_MS)   /* no earlier, however high the limit */
#define ANSWER_WAIT (300 * USEC_PER_MS) /* a little more than the cache's patience */
#define REFUSED_WAIT USEC_PER_S       /* Redis is there and doesn't run the script (a replica, no memory) */
#define LOCAL_WAIT_MAX (2 * USEC_PER_S)
#define IDLE_MAX (600 * USEC_PER_S)

/* KEYS: the bucket. ARGV: calls a second, calls wanted, the most that the bucket holds. Answers the calls granted, and
 * in how many microseconds there is one more. By Redis' own clock, so that the workers' need not agree. Short enough to
 * be sent whole: there is no second way for a Redis that forgot it. */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local limit, wanted, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local b = redis.call('HMGET', KEYS[1], 'calls', 'at')\n"
    "local calls = b[1] and math.min(most, b[1] + math.max(0, now - b[2]) * limit / 1000000) or most\n"
    "local granted = math.min(wanted, math.floor(calls))\n"
    "calls = calls - granted\n"
    "redis.call('HSET', KEYS[1], 'calls', tostring(calls), 'at', string.format('%.0f', now))\n"
    "redis.call('PEXPIRE', KEYS[1], 60000)\n"
    "return { granted, math.ceil((1 - math.min(calls, 1)) * 1000000 / limit) }\n";

/* One endpoint's, as this worker sees it. */
struct bucket {
    char id[64];
    int limit;
    int held; /* granted by Redis, not made yet */
    usec_t held_until;
    bool asking;
    usec_t ask_at;      /* Redis again: not before */
    usec_t local_until; /* Redis refused: without it until then */
    double calls;       /* without Redis: what may go */
    usec_t counted_at;  /* as of then; 0: not yet */
    usec_t used_at;
    struct rate *rate;
    UT_hash_handle hh;
};

struct rate {
    struct cache *cache;
    void (*changed)(void *context);
    void *context;
    double share;
    struct bucket *buckets;
    uv_timer_t *clock;
    usec_t wake_at; /* 0: the clock stands */
};

static int batch_of(int limit, int waiting)
{
    int most = limit * RATE_BATCH_MS / 1000;

    most = most > 1 ? most : 1;
    return waiting < most ? waiting : most;
}

static double burst_of(double limit)
{
    double most = limit * RATE_BURST_MS / 1000;

    return most > 1 ? most : 1;
}

/* --- the clock --------------------------------------------------------------------------------------- */

static void on_clock(uv_timer_t *clock)
{
    struct rate *rate = clock->data;

    rate->wake_at = 0;
    rate->changed(rate->context);
}

static void wake(struct rate *rate, usec_t at, usec_t now)
{
    usec_t wait = at > now ? at - now : 0;

    if (rate->wake_at && rate->wake_at <= at && rate->wake_at > now)
        return;
    rate->wake_at = at;
    uv_timer_start(rate->clock, on_clock, (uint64_t)(wait / USEC_PER_MS) + 1, 0);
}

/* --- without Redis ----------------------------------------------------------------------------------- */

/* Begins with nothing, as the others may just have used what Redis gave. */
static usec_t local_take(struct bucket *bucket, double limit, usec_t now)
{
    double most = burst_of(limit);

    if (!bucket->counted_at || now < bucket->counted_at) {
        bucket->counted_at = now;
        bucket->calls = 0;
    }
    bucket->calls += (double)(now - bucket->counted_at) * limit / USEC_PER_S;
    bucket->calls = bucket->calls < most ? bucket->calls : most;
    bucket->counted_at = now;
    if (bucket->calls >= 1) {
        bucket->calls -= 1;
        return 0;
    }
    if ((1 - bucket->calls) * USEC_PER_S > limit * LOCAL_WAIT_MAX)
        return now + LOCAL_WAIT_MAX; /* the share may be another then, and Redis back */
    return now + (usec_t)((1 - bucket->calls) * USEC_PER_S / limit) + 1;
}

/* --- with Redis -------------------------------------------------------------------------------------- */

static bool is_grant(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[1]->type == REDIS_REPLY_INTEGER;
}

static void on_granted(void *context, const redisReply *reply)
{
    struct bucket *bucket = context;
    usec_t now = usec_now(), wait;

    bucket->asking = false;
    if (!is_grant(reply)) {
        bucket->local_until = now + REFUSED_WAIT;
        wake(bucket->rate, now, now);
        return;
    }
    wait = reply->element[1]->integer;
    bucket->held += (int)reply->element[0]->integer;
    bucket->held_until = now + HELD_FOR;
    bucket->counted_at = 0;
    bucket->ask_at = now + (wait > ASK_AGAIN ? wait : ASK_AGAIN);
    if (bucket->held)
        bucket->rate->changed(bucket->rate->context);
    else
        wake(bucket->rate, bucket->ask_at, now);
}

static void ask(struct bucket *bucket, int waiting)
{
    struct cache *cache = bucket->rate->cache;
    char key[256], limit[16], wanted[16], most[16];

    cache_key(cache, "rate", bucket->id, key, sizeof(key));
    snprintf(limit, sizeof(limit), "%d", bucket->limit);
    snprintf(wanted, sizeof(wanted), "%d", batch_of(bucket->limit, waiting));
    snprintf(most, sizeof(most), "%.0f", burst_of(bucket->limit));
    bucket->asking = true;
    cache_run(cache, 7, (const char *[]){ "EVAL", script, "1", key, limit, wanted, most }, NULL, on_granted, bucket);
}

static usec_t shared_take(struct bucket *bucket, int waiting, usec_t now)
{
    if (now > bucket->held_until)
        bucket->held = 0;
    if (!bucket->asking && bucket->held <= 1 && waiting > bucket->held && now >= bucket->ask_at)
        ask(bucket, waiting - bucket->held); /* the last one goes while more are asked for */
    if (bucket->held) {
        bucket->held--;
        return 0;
    }
    if (bucket->asking)
        return now + ANSWER_WAIT;
    wake(bucket->rate, bucket->ask_at, now);
    return bucket->ask_at > now ? bucket->ask_at : now + 1;
}

/* --- buckets ----------------------------------------------------------------------------------------- */

static void prune(struct rate *rate, usec_t now)
{
    struct bucket *bucket, *next;

    HASH_ITER(hh, rate->buckets, bucket, next)
    {
        if (bucket->asking || now - bucket->used_at < IDLE_MAX)
            continue;
        HASH_DEL(rate->buckets, bucket);
        free(bucket);
    }
}

static struct bucket *bucket_of(struct rate *rate, const char *id, usec_t now)
{
    struct bucket *bucket;

    HASH_FIND_STR(rate->buckets, id, bucket);
    if (bucket)
        return bucket;
    prune(rate, now);
    bucket = calloc(1, sizeof(*bucket));
    if (!bucket)
        abort();
    bucket->rate = rate;
    snprintf(bucket->id, sizeof(bucket->id), "%s", id);
    HASH_ADD_STR(rate->buckets, id, bucket);
    return bucket;
}

usec_t rate_take(struct rate *rate, const char *endpoint_id, int limit, int waiting, usec_t now)
{
    struct bucket *bucket = bucket_of(rate, endpoint_id, now);
    usec_t at;

    bucket->used_at = now;
    bucket->limit = limit;
    if (cache_is_up(rate->cache) && now >= bucket->local_until)
        return shared_take(bucket, waiting, now);
    at = local_take(bucket, limit * rate->share, now);
    if (at)
        wake(rate, at, now);
    return at;
}

void rate_set_share(struct rate *rate, double share)
{
    rate->share = share;
}

struct rate *rate_new(uv_loop_t *loop, struct cache *cache, void (*changed)(void *context), void *context)
{
    struct rate *rate = calloc(1, sizeof(*rate));

    if (!rate || !(rate->clock = malloc(sizeof(*rate->clock))))
        abort();
    rate->cache = cache;
    rate->changed = changed;
    rate->context = context;
    uv_timer_init(loop, rate->clock);
    rate->clock->data = rate;
    return rate;
}

static void clock_free(uv_handle_t *handle)
{
    free(handle);
}

void rate_free(struct rate *rate)
{
    struct bucket *bucket, *next;

    if (!rate)
        return;
    HASH_ITER(hh, rate->buckets, bucket, next)
    {
        HASH_DEL(rate->buckets, bucket);
        free(bucket);
    }
    uv_timer_stop(rate->clock);
    uv_close((uv_handle_t *)rate->clock, clock_free);
    free(rate);
}
