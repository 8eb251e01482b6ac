/* docket-callback: takes replies from outside. Keeps nothing, and starts and serves without any dependency. */

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "api/callback/arrival.h"
#include "api/callback/reply.h"
#include "api/callback/resume.h"
#include "common/config.h"
#include "common/httpd.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/publish.h"
#include "common/ready.h"
#include "common/token.h"

#define PROGRAM "docket-callback"
#define ABOUT "takes the replies of webhooks and puts them on the bus"
#define STOP_WAIT (PUBLISH_REPLY_WAIT + 2 * USEC_PER_S) /* every call under way is answered within */

enum { METRICS_BYTES = 4 * 1024 * 1024, PATHS_PREFIXES = 3 };

struct app {
    struct config *config;
    struct token_key *tokens;
    struct seal_ring *ring;
    struct publisher *publisher;
    struct reply_queue *replies;
    struct resume_queue *resumes;
    struct ready *ready;
    struct httpd *httpd;
};

/* --- what is served ---------------------------------------------------------------------------------- */

typedef void route_handler(struct app *app, struct http_call *call, const char *request_id);

static void eligible(struct app *app, struct http_call *call, const char *request_id)
{
    reply_take(app->replies, call, request_id, true);
}

static void not_eligible(struct app *app, struct http_call *call, const char *request_id)
{
    reply_take(app->replies, call, request_id, false);
}

static void resume(struct app *app, struct http_call *call, const char *request_id)
{
    resume_take(app->resumes, call, request_id);
}

static void health(struct app *app, struct http_call *call, const char *request_id)
{
    (void)app;
    (void)request_id;
    http_answer_json(call, 200, "{\"webserver\":\"healthy\",\"version\":\"" DOCKET_VERSION "\"}");
}

static void ready(struct app *app, struct http_call *call, const char *request_id)
{
    (void)request_id;
    ready_answer(app->ready, call);
}

static void metrics(struct app *app, struct http_call *call, const char *request_id)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(METRICS_BYTES);

    (void)app;
    (void)request_id;
    metric_print(&text);
    call->status = 200;
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    call->answer = arena_strndup(call->arena, text.data ? text.data : "", text.length);
    call->answer_length = text.length;
    http_answer(call);
}

/* `path` has one {id} or none. Those that webhooks call are reached under every prefix that documents of the API
 * have shown, and under none, as the reply-to headers have none. */
static const struct route {
    const char *method, *path;
    bool prefixed;
    route_handler *handler;
} routes[] = {
    { "POST", "/privacy-request/{id}/pre-approve/eligible", true, eligible },
    { "POST", "/privacy-request/{id}/pre-approve/not-eligible", true, not_eligible },
    { "POST", "/privacy-request/{id}/resume", true, resume },
    { "POST", "/privacy_request/{id}/pre-approve/eligible", true, eligible },
    { "POST", "/privacy_request/{id}/pre-approve/not-eligible", true, not_eligible },
    { "POST", "/privacy_request/{id}/resume", true, resume },
    { "GET", "/health", false, health },
    { "GET", "/ready", false, ready },
    { "GET", "/metrics", false, metrics },
};

static const char *const prefixes[PATHS_PREFIXES] = { "/api/v1", "/v1", "" };

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

/* The path may end in one slash more. */
static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(end);

    return !strncmp(path, end, length) && (!path[length] || (path[length] == '/' && !path[length + 1]));
}

/* On a match *id is what stood for {id}, else NULL. */
static bool path_matches(const char *pattern, const char *path, struct arena *arena, const char **id)
{
    const char *open = strchr(pattern, '{'), *end;

    *id = NULL;
    if (!open)
        return ends_with(path, pattern);
    if (strncmp(path, pattern, (size_t)(open - pattern)) != 0)
        return false;
    path += open - pattern;
    end = strchrnul(path, '/');
    if (end == path || !ends_with(end, strchr(open, '}') + 1))
        return false;
    *id = arena_strndup(arena, path, (size_t)(end - path));
    return true;
}

static bool route_matches(const struct route *route, const struct http_call *call, const char **id)
{
    if (!route->prefixed)
        return path_matches(route->path, call->path, call->arena, id);
    for (int i = 0; i < PATHS_PREFIXES; i++)
        if (starts_with(call->path, prefixes[i]) &&
            path_matches(route->path, call->path + strlen(prefixes[i]), call->arena, id))
            return true;
    return false;
}

/* HEAD is GET of which the server sends no body. */
static bool method_fits(const struct route *route, const char *method)
{
    return !strcmp(route->method, method) || (!strcmp(route->method, "GET") && !strcmp(method, "HEAD"));
}

static void dispatch(struct http_call *call, void *opaque)
{
    const char *allowed = NULL, *id;
    struct err err;

    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (!route_matches(&routes[i], call, &id))
            continue;
        if (method_fits(&routes[i], call->method)) {
            routes[i].handler(opaque, call, id);
            return;
        }
        allowed = routes[i].method;
    }
    if (allowed) {
        http_set_header(call, "Allow", allowed);
        err_set(&err, ERR_NOT_ALLOWED, "Method Not Allowed");
    } else {
        err_set(&err, ERR_NOT_FOUND, "Item not found");
    }
    http_answer_err(call, &err);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

static int serve(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    struct httpd_options options = {
        .listen = config->callback_listen,
        .threads = (int)config->http_threads,
        .connections = (int)config->http_connections,
        .body_bytes = config->http_body_bytes < REPLY_BODY_BYTES ? (size_t)config->http_body_bytes : REPLY_BODY_BYTES,
        .idle_timeout = config->http_timeout,
        .handler = dispatch,
        .context = app,
    };

    return httpd_start(&options, &app->httpd, err);
}

static int keys_read(struct app *app, struct err *err)
{
    int r = token_key_new(app->config->app_encryption_key, &app->tokens, err);

    return r == 0 ? seal_ring_new(app->config->sealing_keys, NULL, &app->ring, err) : r;
}

static int queues_start(struct app *app, struct err *err)
{
    const struct resume_parts parts = {
        .config = app->config, .tokens = app->tokens, .ring = app->ring, .publisher = app->publisher
    };
    int r = reply_queue_new(app->config, app->tokens, app->publisher, &app->replies, err);

    return r == 0 ? resume_queue_new(&parts, &app->resumes, err) : r;
}

static int app_start(struct app *app, struct err *err)
{
    int r = keys_read(app, err);

    if (r == 0)
        r = publisher_new(app->config, PROGRAM, &app->publisher, err);
    if (r == 0)
        r = publisher_start_janitor(app->publisher, app->config->postgres_url, err);
    if (r == 0)
        r = queues_start(app, err);
    if (r == 0)
        r = ready_new(app->config, "callbacks", READY_NEEDS(READY_KAFKA), &app->ready, err);
    if (r == 0)
        r = serve(app, err);
    if (r == 0)
        ready_open(app->ready);
    return r;
}

/* From the outside in: no new calls, those taken are answered, then what they needed. */
static void app_stop(struct app *app)
{
    if (app->httpd)
        httpd_stop(app->httpd, STOP_WAIT);
    ready_free(app->ready);
    reply_queue_free(app->replies);
    resume_queue_free(app->resumes);
    publisher_free(app->publisher, PUBLISH_REPLY_WAIT);
    seal_ring_free(app->ring);
    token_key_free(app->tokens);
    config_free(app->config);
}

/* In every thread, so that the one signal that ends us is waited for in one place. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct app app = { 0 };
    struct err err;
    sigset_t signals;
    int r, rest, number = 0;

    r = config_main(CONFIG_CALLBACK, PROGRAM, ABOUT, argc, argv, &rest, &app.config);
    if (r <= 0)
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    block_signals(&signals);
    metric_set(METRIC_BUILD_INFO, METRIC_LABELS(DOCKET_VERSION, PROGRAM), 1);
    r = app_start(&app, &err);
    if (r == 0) {
        log_info("callback.started", log_number("port", httpd_port(app.httpd)));
        sigwait(&signals, &number);
        log_info("callback.stopping", log_number("signal", number));
    } else {
        log_err("callback.not_started", &err, log_word("text", err.text));
    }
    app_stop(&app);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
