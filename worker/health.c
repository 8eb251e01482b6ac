#include "worker/health.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/metric.h"
#include "common/ready.h"

enum { METRICS_BYTES = 16 * 1024 * 1024 };

struct health {
    struct httpd *httpd;
    struct ready *ready;
    atomic_llong turned_at;
};

static void answer_health(struct health *health, struct http_call *call)
{
    usec_t ago = usec_monotonic() - atomic_load(&health->turned_at);

    http_answer_json(call, ago < HEALTH_STALL ? 200 : 503,
                     arena_printf(call->arena, "{\"worker\":\"%s\",\"version\":\"%s\",\"loop_ms\":%lld}",
                                  ago < HEALTH_STALL ? "healthy" : "stalled", DOCKET_VERSION,
                                  (long long)(ago / USEC_PER_MS)));
}

static void answer_ready(struct health *health, struct http_call *call)
{
    ready_answer(health->ready, call);
}

static void answer_metrics(struct health *health, struct http_call *call)
{
    struct buf out = BUF_INIT(METRICS_BYTES);

    (void)health;
    metric_print(&out);
    call->status = 200;
    call->content_type = "text/plain; version=0.0.4";
    call->answer = arena_strndup(call->arena, out.data ? out.data : "", out.length);
    call->answer_length = out.length;
    buf_free(&out);
    http_answer(call);
}

static void on_call(struct http_call *call, void *context)
{
    static const struct {
        const char *path;
        void (*answer)(struct health *health, struct http_call *call);
    } paths[] = { { "/health", answer_health }, { "/ready", answer_ready }, { "/metrics", answer_metrics } };
    struct err err;

    for (size_t i = 0; i < COUNT_OF(paths); i++)
        if (!strcmp(call->path, paths[i].path)) {
            paths[i].answer(context, call);
            return;
        }
    err_set(&err, ERR_NOT_FOUND, "Item not found");
    http_answer_err(call, &err);
}

int health_start(const struct config *config, struct health **ret, struct err *err)
{
    struct health *health = calloc(1, sizeof(*health));
    struct httpd_options options = { .listen = config->worker_listen,
                                     .threads = 1,
                                     .connections = 64,
                                     .body_bytes = 1024,
                                     .idle_timeout = 30 * USEC_PER_S,
                                     .handler = on_call,
                                     .context = health };
    int r;

    if (!health)
        abort();
    atomic_store(&health->turned_at, usec_monotonic());
    r = ready_new(config, "lifecycle", READY_NEEDS(READY_POSTGRESQL) | READY_NEEDS(READY_KAFKA), &health->ready,
                  err);
    if (r == 0)
        r = httpd_start(&options, &health->httpd, err);
    if (r < 0) {
        ready_free(health->ready);
        free(health);
        return r;
    }
    ready_open(health->ready);
    *ret = health;
    return 0;
}

void health_stop(struct health *health)
{
    if (!health)
        return;
    httpd_stop(health->httpd, USEC_PER_S);
    ready_free(health->ready);
    free(health);
}

void health_turn(struct health *health)
{
    atomic_store(&health->turned_at, usec_monotonic());
}
