/* docket-api: the REST API. Keeps nothing; starts without its dependencies and waits for them. */

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "api/callback/reply.h"
#include "api/callback/resume.h"
#include "api/create.h"
#include "api/current.h"
#include "api/event_stream.h"
#include "api/server.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/migrate.h"
#include "common/ready.h"
#include "common/sign.h"

#define PROGRAM "docket-api"
#define ABOUT "serves the REST API: checks, one transaction, answer"
#define STOP_WAIT (20 * USEC_PER_S) /* for calls under way */
#define PUBLISH_WAIT \
    (5 * USEC_PER_S) /* for events on their way to Kafka; the relay sends the rest */

struct app {
    struct api api; /* first: what handlers see of all this */
    struct config *config;
    struct server *server;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    stopping = number;
}

/* Signals come to this thread only, and only where it waits: all others inherit the block. */
static void signals_block(void)
{
    const struct sigaction stop = { .sa_handler = on_signal };
    sigset_t signals;

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void signals_await(void)
{
    sigset_t none;

    sigemptyset(&none);
    while (!stopping)
        sigsuspend(&none);
    log_info("api.stopping", log_number("signal", stopping));
}

static int resumes_start(struct api *api, struct err *err)
{
    const struct resume_parts parts = {
        .config = api->config, .tokens = api->tokens, .ring = api->ring, .publisher = api->publisher
    };

    return resume_queue_new(&parts, &api->resumes, err);
}

static int app_start(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    struct api *api = &app->api;
    int r = seal_ring_new(config->sealing_keys, config->identity_hash_key, &api->ring, err);

    api->config = config;
    if (r == 0)
        r = sign_ring_new(config->checkpoint_keys, &api->signs, err);
    if (r == 0)
        r = token_key_new(config->app_encryption_key, &api->tokens, err);
    if (r == 0)
        r = publisher_new(config, PROGRAM, &api->publisher, err);
    if (r == 0)
        r = publisher_start_janitor(api->publisher, config->postgres_url, err);
    if (r == 0)
        r = create_queue_new(api, &api->creates, err);
    if (r == 0)
        r = reply_queue_new(config, api->tokens, api->publisher, &api->replies, err);
    if (r == 0)
        r = resumes_start(api, err);
    if (r == 0)
        r = ready_new(config, "lifecycle", READY_NEEDS(READY_POSTGRESQL), &api->ready, err);
    if (r == 0)
        api->current = current_new(api->ring, config);
    if (r == 0)
        r = event_streams_new(api, &api->events, err);
    return r == 0 ? server_start(api, &app->server, err) : r;
}

/* Until the schema is there, calls that need it are a 503. */
static int app_open(struct app *app, struct err *err)
{
    _cleanup_(db_freep) struct db *db = db_new(app->config->postgres_url, PROGRAM);
    sigset_t none, blocked;
    int r;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &blocked);
    r = migrate_wait(db, &stopping, err);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    if (r < 0)
        return r;
    server_open(app->server);
    ready_open(app->api.ready);
    log_info("api.open");
    return 0;
}

/* From the outside in: no new calls, those taken are answered, then what they needed. */
static void app_stop(struct app *app)
{
    struct api *api = &app->api;

    event_streams_stop(api->events); /* they would never end by themselves */
    server_stop(app->server, STOP_WAIT);
    create_queue_free(api->creates);
    reply_queue_free(api->replies);
    resume_queue_free(api->resumes);
    ready_free(api->ready);
    server_free(app->server);
    event_streams_free(api->events);
    current_free(api->current);
    if (api->publisher)
        publisher_free(api->publisher, PUBLISH_WAIT);
    token_key_free(api->tokens);
    seal_ring_free(api->ring);
    sign_ring_free(api->signs);
    config_free(app->config);
}

static int app_run(struct app *app, struct err *err)
{
    int r = app_start(app, err);

    if (r < 0)
        return r;
    log_info("api.started", log_number("port", server_port(app->server)));
    r = app_open(app, err);
    if (r < 0 && !stopping)
        return r;
    signals_await();
    return 0;
}

int main(int argc, char **argv)
{
    struct app app = { 0 };
    struct err err;
    int rest, r = config_main(CONFIG_API, PROGRAM, ABOUT, argc, argv, &rest, &app.config);

    if (r <= 0)
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    signals_block();
    metric_set(METRIC_BUILD_INFO, METRIC_LABELS(DOCKET_VERSION, PROGRAM), 1);
    r = app_run(&app, &err);
    if (r < 0)
        log_err("api.not_started", &err, log_word("text", err.text));
    app_stop(&app);
    log_info("api.stopped");
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
