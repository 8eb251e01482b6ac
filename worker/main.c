#include <curl/curl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/chores.h"
#include "worker/engine.h"
#include "worker/health.h"
#include "worker/notary.h"
#include "worker/trial.h"

/* A worker that is told to end gives what is under way this long, parks the rest and goes. */
#define STOP_WAIT (20 * USEC_PER_S)

enum { TURN_MS = 100, WORKING_STATEMENTS_MAX = 32 };

struct app {
    uv_loop_t loop;
    char name[INTAKE_NAME_BYTES];
    struct config *config;
    struct seal_ring *ring;
    struct sign_ring *signs; /* of checkpoints; NULL: none are made */
    struct token_key *tokens;
    struct guard *guard;
    struct publisher *publisher;
    struct pipe *reading, *settling, *working;
    struct http *http;
    struct cache *cache;
    struct oauth *oauth;
    struct rate *rate;
    struct settle *settle;
    struct engine *engine;
    struct intake *intake;
    struct dispatch *dispatch;
    struct execute *execute;
    struct chores *chores;
    struct trials *trials;
    struct notary *notary;
    const struct sql *working_statements[WORKING_STATEMENTS_MAX]; /* ends with NULL */
    struct health *health;
    uv_signal_t term, interrupt;
    uv_timer_t turn;
    usec_t stopping_since; /* 0: it runs */
};

static void on_signal(uv_signal_t *signal, int number)
{
    struct app *app = signal->data;

    if (app->stopping_since)
        return;
    log_info("worker.stopping", log_number("signal", number));
    app->stopping_since = usec_monotonic();
    chores_stop(app->chores);
    trials_stop(app->trials);
    notary_stop(app->notary);
    intake_stop(app->intake);
    execute_stop(app->execute);
}

static bool is_done(struct app *app)
{
    dispatch_park_all(app->dispatch);
    if (intake_is_loading(app->intake))
        return false;
    return (!dispatch_underway(app->dispatch) && settle_is_idle(app->settle) && !trials_underway(app->trials) &&
            execute_is_idle(app->execute)) ||
           usec_monotonic() - app->stopping_since > STOP_WAIT;
}

static void on_turn(uv_timer_t *timer)
{
    struct app *app = timer->data;

    health_turn(app->health);
    notary_turn(app->notary);
    rate_set_share(app->rate, intake_share(app->intake));
    dispatch_configure(app->dispatch, intake_catalog(app->intake));
    if (intake_is_broken(app->intake) || (app->stopping_since && is_done(app)))
        uv_stop(&app->loop);
}

static int app_open(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    int r = seal_ring_new(config->sealing_keys, NULL, &app->ring, err);

    if (r == 0)
        r = sign_ring_new(config->checkpoint_keys, &app->signs, err);
    if (r == 0)
        r = token_key_new(config->app_encryption_key, &app->tokens, err);
    if (r == 0)
        r = guard_new(config->webhook_allowed_networks, &app->guard, err);
    if (r == 0)
        r = publisher_new(config, "docket-worker", &app->publisher, err);
    if (r == 0)
        r = health_start(config, &app->health, err);
    return r;
}

static void on_rate(void *context)
{
    struct app *app = context;

    dispatch_go_on(app->dispatch);
}

/* The ways that calls go out by. */
static void app_open_ways(struct app *app)
{
    struct dispatch_outlets outlets = engine_outlets(app->engine);
    struct dispatch_parts parts = { .config = app->config, .name = app->name, .cache = app->cache };

    app->http = http_new(&app->loop, app->config, app->guard);
    app->oauth = oauth_new(app->ring, app->http, app->cache);
    app->rate = rate_new(&app->loop, app->cache, on_rate, app);
    parts.http = app->http;
    parts.oauth = app->oauth;
    parts.rate = app->rate;
    app->dispatch = dispatch_new(&app->loop, &parts, &outlets);
}

/* Chores, trials and the notary share a connection. */
static const struct sql *const *working_statements(struct app *app)
{
    const struct sql *const *const lists[] = { chores_statements, trial_statements, notary_statements };
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const struct sql *const *sql = lists[i]; *sql; sql++) {
            if (count == WORKING_STATEMENTS_MAX - 1)
                abort();
            app->working_statements[count++] = *sql;
        }
    return app->working_statements;
}

static void app_begin_trials(struct app *app)
{
    struct trial_parts parts = { app->config, app->ring, app->working, app->http, app->oauth, app->intake };

    app->trials = trials_new(&app->loop, &parts);
}

static int app_connect(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    int r = cache_new(&app->loop, config, &app->cache, err);

    if (r < 0)
        return r;
    app->reading = pipe_new(&app->loop, config->postgres_url, "docket-worker intake", request_statements);
    app->settling = pipe_new(&app->loop, config->postgres_url, "docket-worker settle", settle_statements);
    app->working = pipe_new(&app->loop, config->postgres_url, "docket-worker chores", working_statements(app));
    intake_name(config, app->name);
    app->settle = settle_new(&app->loop, config, app->settling, app->publisher, app->name);
    app->engine = engine_new(
        &(struct engine_parts){ config, app->ring, app->tokens, app->settle, chores_lease(config), app->name });
    app->execute = execute_new(&app->loop, config, engine_take_job, app->engine);
    app_open_ways(app);
    r = intake_new(&app->loop, config, app->ring, app->reading, app->publisher, engine_take, app->engine,
                   &app->intake, err);
    if (r < 0)
        return r;
    engine_connect(app->engine, app->intake, app->dispatch, app->execute);
    app->chores =
        chores_new(&app->loop, config,
                   &(struct chores_parts){ app->working, app->publisher, app->intake, app->dispatch, app->execute },
                   app->name);
    app_begin_trials(app);
    app->notary = notary_new(&app->loop, config, app->signs, app->working, app->name);
    return 0;
}

static void app_watch(struct app *app)
{
    uv_signal_init(&app->loop, &app->term);
    uv_signal_init(&app->loop, &app->interrupt);
    uv_timer_init(&app->loop, &app->turn);
    app->term.data = app->interrupt.data = app->turn.data = app;
    uv_signal_start(&app->term, on_signal, SIGTERM);
    uv_signal_start(&app->interrupt, on_signal, SIGINT);
    uv_timer_start(&app->turn, on_turn, TURN_MS, TURN_MS);
}

/* From the edges inwards: first nothing more comes, then what never came back is let go, then the parts. */
static void app_close(struct app *app)
{
    trials_stop(app->trials);
    execute_stop(app->execute);
    while (intake_is_reading(app->intake) || !execute_is_idle(app->execute))
        uv_run(&app->loop, UV_RUN_ONCE);
    cache_free(app->cache);
    http_free(app->http);
    pipe_free(app->reading);
    pipe_free(app->settling);
    pipe_free(app->working);
    intake_close(app->intake);
    settle_free(app->settle);
    intake_free(app->intake);
    chores_free(app->chores);
    notary_free(app->notary);
    trials_free(app->trials);
    dispatch_free(app->dispatch);
    execute_free(app->execute);
    rate_free(app->rate);
    oauth_free(app->oauth);
    engine_free(app->engine);
    uv_close((uv_handle_t *)&app->term, NULL);
    uv_close((uv_handle_t *)&app->interrupt, NULL);
    uv_close((uv_handle_t *)&app->turn, NULL);
    uv_run(&app->loop, UV_RUN_DEFAULT); /* the handles' last callbacks */
    uv_loop_close(&app->loop);
    health_stop(app->health);
    publisher_free(app->publisher, 5 * USEC_PER_S);
    guard_free(app->guard);
    token_key_free(app->tokens);
    sign_ring_free(app->signs);
    seal_ring_free(app->ring);
}

/* A thread for each task under way, and some for what else blocks: connecting, the configuration, retention, notary. */
static void set_thread_pool(const struct config *config)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", (int)config->execute_tasks + 5);
    setenv("UV_THREADPOOL_SIZE", text, 1);
}

int main(int argc, char **argv)
{
    _cleanup_(config_freep) struct config *config = NULL;
    struct app app = { 0 };
    struct err err;
    bool broken;
    int rest, r;

    r = config_main(CONFIG_WORKER, "docket-worker", "Runs privacy requests: calls webhooks, records what came of it.",
                    argc, argv, &rest, &config);
    if (r <= 0)
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    app.config = config;
    signal(SIGPIPE, SIG_IGN);
    set_thread_pool(config);
    uv_loop_init(&app.loop);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    metric_set(METRIC_BUILD_INFO, METRIC_LABELS(DOCKET_VERSION, "docket-worker"), 1);
    if (app_open(&app, &err) < 0 || app_connect(&app, &err) < 0) {
        log_error("worker.failed", log_word("text", err.text), log_word("cause", err.cause));
        return EXIT_FAILURE;
    }
    app_watch(&app);
    log_info("worker.started", log_word("listen", config->worker_listen));
    uv_run(&app.loop, UV_RUN_DEFAULT);
    broken = intake_is_broken(app.intake);
    app_close(&app);
    log_info("worker.stopped");
    curl_global_cleanup();
    return broken ? EXIT_FAILURE : EXIT_SUCCESS;
}
