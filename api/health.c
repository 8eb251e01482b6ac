#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/health.sql.h"
#include "common/kafka.h"
#include "common/metric.h"
#include "common/migrate.h"
#include "common/ready.h"

enum { METRICS_BYTES = 16 * 1024 * 1024, GROUP_BYTES = 192, GROUP_WAIT_MS = 1000 };

/* 200 with `body`, or 503 with it as the detail. */
static int answer_health(struct api_call *call, bool healthy, json_object *body)
{
    json_object *detail;

    if (healthy)
        return api_answer(call, 200, body);
    detail = json_object_new_object();
    json_object_object_add(detail, "detail", body);
    return api_answer(call, 503, detail);
}

static int health(struct api_call *call, struct err *err)
{
    bool with_cache, cache_up = true;
    json_object *body;
    int r = api_query_bool(call, "include_cache", false, &with_cache, err);

    if (r < 0)
        return r;
    if (with_cache)
        cache_up = ready_is_up(call->api->ready, READY_REDIS);
    body = json_object_new_object();
    json_object_object_add(body, "webserver", json_object_new_string("healthy"));
    json_object_object_add(body, "version", json_object_new_string(DOCKET_VERSION));
    json_object_object_add(body, "cache",
                           json_object_new_string(!with_cache ? "skipped"
                                                  : cache_up  ? "healthy"
                                                              : "unhealthy"));
    return answer_health(call, cache_up, body);
}

static json_object *pools(const struct api_call *call)
{
    json_object *all = json_object_new_object(), *handlers = json_object_new_object();

    json_object_object_add(handlers, "size", json_object_new_int64(call->api->config->api_threads));
    json_object_object_add(all, "handlers", handlers);
    return all;
}

static int health_database(struct api_call *call, struct err *err)
{
    bool up = ready_is_up(call->api->ready, READY_POSTGRESQL);
    struct migrate_state state = { 0 };
    json_object *body = json_object_new_object();
    const char *revision;

    up = up && migrate_state(call->db, &state, err) == 0;
    revision = arena_printf(call->arena, "%04d", state.version);
    json_object_object_add(body, "database",
                           json_object_new_string(!up             ? "unhealthy"
                                                  : state.current ? "healthy"
                                                                  : "needs migration"));
    json_object_object_add(body, "pools", pools(call));
    json_object_object_add(body, "database_revision", up ? json_object_new_string(revision) : NULL);
    return answer_health(call, up && state.current, body);
}

/* The members of the workers' consumer group: who takes part, not who is idle. */
static json_object *workers(const struct api_call *call)
{
    json_object *names = json_object_new_array();
    const struct rd_kafka_group_list *groups = NULL;
    char group[GROUP_BYTES];

    snprintf(group, sizeof(group), "%s.worker", call->api->config->topic_prefix);
    if (!ready_is_up(call->api->ready, READY_KAFKA) ||
        rd_kafka_list_groups(ready_kafka(call->api->ready), group, &groups, GROUP_WAIT_MS))
        return names;
    for (int i = 0; i < groups->group_cnt; i++)
        for (int j = 0; j < groups->groups[i].member_cnt; j++)
            json_object_array_add(names,
                                  json_object_new_string(groups->groups[i].members[j].member_id));
    rd_kafka_group_list_destroy(groups);
    return names;
}

static json_object *queue_counts(struct api_call *call)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    json_object *counts = json_object_new_object();
    struct err err;

    if (!ready_is_up(call->api->ready, READY_POSTGRESQL) ||
        db_run(call->db, &SQL_health_queues, NULL, &rows, &err) < 0)
        return counts;
    json_object_object_add(counts, "outbox", json_object_new_int64(db_get_int(rows, 0, 0)));
    json_object_object_add(counts, "deliveries", json_object_new_int64(db_get_int(rows, 0, 1)));
    return counts;
}

static int health_workers(struct api_call *call, struct err *err)
{
    json_object *body = json_object_new_object();

    (void)err;
    json_object_object_add(body, "workers_enabled", json_object_new_boolean(true));
    json_object_object_add(body, "workers", workers(call));
    json_object_object_add(body, "queue_counts", queue_counts(call));
    return api_answer(call, 200, body);
}

static int ready(struct api_call *call, struct err *err)
{
    (void)err;
    ready_answer(call->api->ready, call->http);
    return 0;
}

static int metrics(struct api_call *call, struct err *err)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(METRICS_BYTES);

    (void)err;
    metric_print(&out);
    return api_answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8",
                           out.data ? out.data : "", out.length);
}

const struct api_route health_routes[] = {
    { "GET", "/health", "", .prompt = true, .handler = health },
    { "GET", "/health/database", "", .handler = health_database },
    { "GET", "/health/workers", "", .handler = health_workers },
    { "GET", "/ready", "", .prompt = true, .handler = ready },
    { "GET", "/metrics", "", .prompt = true, .handler = metrics },
    { 0 },
};
