#include "common/ready.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/db.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/ready.sql.h"
#include "common/redis.h"

#define READY_PATIENCE (1 * USEC_PER_S)
enum { READY_EVERY_S = 1, READY_TEXT_BYTES = 1024, TOPIC_BYTES = 192 };

enum state { UNKNOWN, UP, DOWN };

static const char *const state_words[] = { [UNKNOWN] = "unknown", [UP] = "up", [DOWN] = "down" };

struct ready {
    pthread_t thread;
    unsigned needs;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t ending;
    bool stopping, open;
    struct {
        enum state state;
        usec_t took;
    } seen[READY_DEPENDENCIES];
    /* The thread's: */
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    struct db *db;
    struct redis *redis;
    struct arena *arena; /* of a turn */
};

static int probe_kafka(struct ready *ready, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(ready->kafka, 0, ready->topic, &metadata,
                                                  (int)(READY_PATIENCE / USEC_PER_MS));

    if (error)
        return kafka_err(error, err);
    error = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    return error ? kafka_err(error, err) : 0;
}

static int probe_postgresql(struct ready *ready, struct err *err)
{
    return db_do(ready->db, &SQL_ready_probe, NULL, err);
}

static int probe_redis(struct ready *ready, struct err *err)
{
    const struct redis_answer *answer;

    return redis_run(ready->redis, &REDIS_COMMAND("PING"), 1, ready->arena, &answer, err);
}

static const struct {
    const char *name;
    int (*probe)(struct ready *ready, struct err *err);
} dependencies[READY_DEPENDENCIES] = {
    [READY_KAFKA] = { "kafka", probe_kafka },
    [READY_POSTGRESQL] = { "postgresql", probe_postgresql },
    [READY_REDIS] = { "redis", probe_redis },
};

static void ready_look(struct ready *ready, enum ready_dependency which)
{
    usec_t began = usec_monotonic();
    struct err err;
    int r = dependencies[which].probe(ready, &err);
    enum state before, now = r == 0 ? UP : DOWN;

    pthread_mutex_lock(&ready->lock);
    before = ready->seen[which].state;
    ready->seen[which].state = now;
    ready->seen[which].took = usec_monotonic() - began;
    pthread_mutex_unlock(&ready->lock);
    metric_set(METRIC_DEPENDENCY_UP, METRIC_LABELS(dependencies[which].name), now == UP);
    if (now == before)
        return;
    if (now == UP)
        log_info("dependency.up", log_word("dependency", dependencies[which].name));
    else
        log_warn("dependency.down", log_word("dependency", dependencies[which].name), log_word("cause", err.cause));
}

/* False when it is time to end. */
static bool ready_pause(struct ready *ready)
{
    struct timespec until;
    bool stopping;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += READY_EVERY_S;
    pthread_mutex_lock(&ready->lock);
    while (!ready->stopping && !pthread_cond_timedwait(&ready->ending, &ready->lock, &until))
        ;
    stopping = ready->stopping;
    pthread_mutex_unlock(&ready->lock);
    return !stopping;
}

static void *ready_run(void *opaque)
{
    struct ready *ready = opaque;

    do {
        for (int i = 0; i < READY_DEPENDENCIES; i++)
            ready_look(ready, (enum ready_dependency)i);
        arena_clear(ready->arena);
    } while (ready_pause(ready));
    return NULL;
}

static void ready_close(struct ready *ready)
{
    if (ready->topic)
        rd_kafka_topic_destroy(ready->topic);
    if (ready->kafka)
        rd_kafka_destroy(ready->kafka);
    db_free(ready->db);
    redis_free(ready->redis);
    arena_free(ready->arena);
    pthread_cond_destroy(&ready->ending);
    pthread_mutex_destroy(&ready->lock);
    free(ready);
}

/* A client that only asks where the topic is. The publisher tells of lost brokers; this one need not. */
static int kafka_open(struct ready *ready, const struct config *config, const char *topic, struct err *err)
{
    rd_kafka_conf_t *conf;
    char name[TOPIC_BYTES], text[256];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    ready->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!ready->kafka) {
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
    }
    rd_kafka_set_log_level(ready->kafka, 0);
    snprintf(name, sizeof(name), "%s.%s", config->topic_prefix, topic);
    ready->topic = rd_kafka_topic_new(ready->kafka, name, NULL);
    return ready->topic ? 0 : err_cause(err, ERR_INTERNAL, "kafka: no topic of this name");
}

static void ending_init(pthread_cond_t *ending)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(ending, &attributes);
    pthread_condattr_destroy(&attributes);
}

int ready_new(const struct config *config, const char *topic, unsigned needs, struct ready **ret, struct err *err)
{
    struct ready *ready = calloc(1, sizeof(*ready));
    int r;

    if (!ready)
        abort();
    pthread_mutex_init(&ready->lock, NULL);
    ending_init(&ready->ending);
    ready->needs = needs;
    ready->arena = arena_new();
    ready->db = db_new(config->postgres_url, "docket readiness");
    db_set_patience(ready->db, READY_PATIENCE);
    r = redis_new(config->redis_url, READY_PATIENCE, &ready->redis, err);
    if (r == 0)
        r = kafka_open(ready, config, topic, err);
    if (r == 0 && pthread_create(&ready->thread, NULL, ready_run, ready))
        r = err_cause(err, ERR_INTERNAL, "no thread for readiness");
    if (r < 0) {
        ready_close(ready);
        return r;
    }
    *ret = ready;
    return 0;
}

void ready_free(struct ready *ready)
{
    if (!ready)
        return;
    pthread_mutex_lock(&ready->lock);
    ready->stopping = true;
    pthread_cond_signal(&ready->ending);
    pthread_mutex_unlock(&ready->lock);
    pthread_join(ready->thread, NULL);
    ready_close(ready);
}

void ready_open(struct ready *ready)
{
    pthread_mutex_lock(&ready->lock);
    ready->open = true;
    pthread_mutex_unlock(&ready->lock);
}

/* Under the lock. */
static bool is_ready(const struct ready *ready)
{
    for (int i = 0; i < READY_DEPENDENCIES; i++)
        if (ready->needs & READY_NEEDS(i) && ready->seen[i].state != UP)
            return false;
    return ready->open;
}

void ready_answer(struct ready *ready, struct http_call *call)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(READY_TEXT_BYTES);
    bool is;

    pthread_mutex_lock(&ready->lock);
    is = is_ready(ready);
    buf_printf(&text, "{\"ready\":%s,\"open\":%s,\"dependencies\":{", is ? "true" : "false",
               ready->open ? "true" : "false");
    for (int i = 0; i < READY_DEPENDENCIES; i++)
        buf_printf(&text, "%s\"%s\":{\"state\":\"%s\",\"needed\":%s,\"latency_ms\":%.3f}", i ? "," : "",
                   dependencies[i].name, state_words[ready->seen[i].state],
                   ready->needs & READY_NEEDS(i) ? "true" : "false",
                   (double)ready->seen[i].took / (double)USEC_PER_MS);
    pthread_mutex_unlock(&ready->lock);
    buf_adds(&text, "}}");
    http_answer_json(call, is ? 200 : 503, arena_strndup(call->arena, text.data, text.length));
}

bool ready_is_up(struct ready *ready, enum ready_dependency dependency)
{
    bool up;

    pthread_mutex_lock(&ready->lock);
    up = ready->seen[dependency].state == UP;
    pthread_mutex_unlock(&ready->lock);
    return up;
}

rd_kafka_t *ready_kafka(const struct ready *ready)
{
    return ready->kafka;
}
