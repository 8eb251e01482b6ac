#include "api/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/current.h"
#include "api/route.h"
#include "common/log.h"

/* Calls that wait for a thread: at a few milliseconds each, about a second of one thread. */
enum { QUEUE_MAX = 1024, STREAM_THREADS = 2 };
/* A statement that takes longer is given up, so that a PostgreSQL that hangs can't keep all threads
 * for good. */
#define PATIENCE (30 * USEC_PER_S)

/* A call with what only this module needs of it. Memory: the call's arena. */
struct job {
    struct api_call call; /* first: the handle is a pointer to it */
    struct server *server;
    bool parsed, again;
    struct job *next;
};

struct server {
    struct api *api;
    struct httpd *httpd;
    atomic_bool open;
    pthread_t *threads;
    int thread_count;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    /* Under the lock: */
    struct job *first, **last;
    int waiting;
    bool ending;
};

static struct job *job_of(struct api_call *call)
{
    return (struct job *)call;
}

/* --- the queue -------------------------------------------------------------------------------- */

static bool queue_push(struct server *server, struct job *job)
{
    bool taken;

    pthread_mutex_lock(&server->lock);
    taken = server->waiting < QUEUE_MAX && !server->ending;
    if (taken) {
        job->next = NULL;
        *server->last = job;
        server->last = &job->next;
        server->waiting++;
        pthread_cond_signal(&server->filled);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

/* Waits; NULL when the server is ending. */
static struct job *queue_pop(struct server *server)
{
    struct job *job;

    pthread_mutex_lock(&server->lock);
    while (!server->first && !server->ending)
        pthread_cond_wait(&server->filled, &server->lock);
    job = server->first;
    if (job) {
        server->first = job->next;
        server->waiting--;
        if (!server->first)
            server->last = &server->first;
    }
    pthread_mutex_unlock(&server->lock);
    return job;
}

/* --- one call --------------------------------------------------------------------------------- */

/* A body that is no JSON is told before anything else; one that is only wrong, after who calls is
 * known. */
static int body_parse(struct job *job, struct err *err)
{
    struct api_call *call = &job->call;

    if (job->parsed || !call->route->schema || !call->http->body_length)
        return 0;
    job->parsed = true;
    if (schema_parse(call->http->body, call->http->body_length, &call->body, &call->errors) < 0)
        return err_set(err, ERR_INVALID, "JSON decode error");
    return 0;
}

static int body_check(struct api_call *call, struct err *err)
{
    const struct schema_loc body = { .name = "body" };

    if (!call->route->schema || (!call->body && call->route->body_optional))
        return 0;
    if (!call->body && !job_of(call)->parsed)
        return api_invalid(call, err, "body", NULL, "missing", "Field required");
    if (!schema_check(call->route->schema, call->body, &body, &call->errors))
        return err_set(err, ERR_INVALID, "The body does not fit.");
    return 0;
}

static bool needs_catalog(const struct api_route *route)
{
    return *route->scope || route->optimistic;
}

static int catalog_take(struct job *job, struct err *err)
{
    struct api_call *call = &job->call;

    if (!needs_catalog(call->route) || call->catalog)
        return 0;
    if (!call->db)
        return err_cause(err, ERR_INTERNAL, "a prompt route that needs the database");
    return current_take(call->api->current, call->db, &call->catalog, err);
}

/* The contract's order (rest.md 1.1). */
static int job_try(struct job *job, struct err *err)
{
    struct api_call *call = &job->call;
    int r = body_parse(job, err);

    if (r == 0)
        r = catalog_take(job, err);
    if (r == 0 && *call->route->scope)
        r = auth_check(call, call->route->scope, err);
    if (r == 0)
        r = body_check(call, err);
    return r == 0 ? call->route->handler(call, err) : r;
}

static void job_refuse(struct job *job, const char *cause)
{
    struct err err;

    err_cause(&err, ERR_UNAVAILABLE, "%s", cause);
    api_answer_err(&job->call, &err);
}

/* The catalog in hand may be older than who calls. */
static bool is_doubtful(const struct job *job, const struct err *err)
{
    return job->call.route->optimistic && !job->again && err->code == ERR_FORBIDDEN;
}

/* Once this returns, the call may be gone. */
static void job_run(struct job *job)
{
    struct err err = { 0 };

    if (job_try(job, &err) >= 0)
        return;
    if (is_doubtful(job, &err)) {
        api_again(&job->call);
        return;
    }
    if (err.code == ERR_INTERNAL && !atomic_load(&job->server->open))
        job_refuse(job, "the database is waited for"); /* its tables may not be there */
    else
        api_answer_err(&job->call, &err);
}

static void job_queue(struct job *job)
{
    if (!queue_push(job->server, job))
        job_refuse(job, "more calls than the threads can take");
}

void api_again(struct api_call *call)
{
    struct job *job = job_of(call);

    catalog_unref(call->catalog);
    call->catalog = NULL;
    schema_errors_free(&call->errors);
    job->again = true;
    job_queue(job);
}

/* --- the pool --------------------------------------------------------------------------------- */

static void pool_run_job(struct job *job, struct db *db)
{
    struct server *server = job->server;

    job->call.db = db;
    job->call.now = usec_now();
    if (job->call.route->optimistic && !job->again)
        job->call.catalog = current_peek(server->api->current);
    job_run(job);
}

static void *pool_run(void *context)
{
    struct server *server = context;
    struct db *db = db_new(server->api->config->postgres_url, "docket-api");
    struct job *job;

    db_set_patience(db, PATIENCE);
    while ((job = queue_pop(server)))
        pool_run_job(job, db);
    db_free(db);
    return NULL;
}

static int pool_start(struct server *server, int threads, struct err *err)
{
    server->threads = calloc((size_t)threads, sizeof(*server->threads));
    if (!server->threads)
        abort();
    for (; server->thread_count < threads; server->thread_count++)
        if (pthread_create(&server->threads[server->thread_count], NULL, pool_run, server))
            return err_cause(err, ERR_INTERNAL, "no thread for handlers");
    return 0;
}

static void pool_stop(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->ending = true;
    pthread_cond_broadcast(&server->filled);
    pthread_mutex_unlock(&server->lock);
    for (; server->thread_count; server->thread_count--)
        pthread_join(server->threads[server->thread_count - 1], NULL);
}

/* --- taking calls ----------------------------------------------------------------------------- */

/* "GET of an unknown path" is 404, every other method there is 405, as on a path that has not got
 * it. */
static void answer_no_route(struct http_call *http, const struct route_match *match)
{
    const char *method = http->method;
    struct err err;

    if (*match->allowed)
        http_set_header(http, "Allow", match->allowed);
    if (*match->allowed && !strcmp(method, "OPTIONS")) {
        http_answer_json(http, 204, "");
        return;
    }
    if (*match->allowed || (strcmp(method, "GET") && strcmp(method, "HEAD")))
        err_set(&err, ERR_NOT_ALLOWED, "Method Not Allowed");
    else
        err_set(&err, ERR_NOT_FOUND, "Item not found");
    http_answer_err(http, &err);
}

static struct job *job_new(struct server *server, struct http_call *http,
                           const struct route_match *match)
{
    struct job *job = arena_new_of(http->arena, struct job);

    job->server = server;
    job->call = (struct api_call){
        .api = server->api, .http = http, .arena = http->arena, .route = match->route
    };
    memcpy(job->call.params, match->params, sizeof(match->params));
    return job;
}

/* True when the call needs no other thread: its handler never waits, and neither do the checks
 * before it. */
static bool is_prompt(struct job *job)
{
    struct api_call *call = &job->call;

    if (!call->route->prompt)
        return false;
    if (!needs_catalog(call->route))
        return true;
    call->catalog = call->route->optimistic ? current_peek(call->api->current) : NULL;
    return call->catalog;
}

static void on_call(struct http_call *http, void *context)
{
    struct server *server = context;
    struct route_match match;
    struct job *job;

    route_find(http->method, http->path, http->arena, &match);
    if (!match.route) {
        answer_no_route(http, &match);
        return;
    }
    job = job_new(server, http, &match);
    job->call.now = usec_now();
    if (is_prompt(job))
        job_run(job);
    else if (atomic_load(&server->open) || !needs_catalog(match.route))
        job_queue(job);
    else
        job_refuse(job, "the database is waited for");
}

/* --- birth and end ---------------------------------------------------------------------------- */

static struct server *server_new(struct api *api)
{
    struct server *server = calloc(1, sizeof(*server));

    if (!server)
        abort();
    server->api = api;
    server->last = &server->first;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->filled, NULL);
    return server;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    pool_stop(server);
    free(server->threads);
    pthread_cond_destroy(&server->filled);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int server_start(struct api *api, struct server **ret, struct err *err)
{
    struct server *server = server_new(api);
    const struct httpd_options options = { .listen = api->config->api_listen,
                                           .threads = (int)api->config->http_threads,
                                           .connections = (int)api->config->http_connections,
                                           .body_bytes = (size_t)api->config->http_body_bytes,
                                           .idle_timeout = api->config->http_timeout,
                                           .stream_threads = STREAM_THREADS,
                                           .handler = on_call,
                                           .context = server };
    int r = pool_start(server, (int)api->config->api_threads, err);

    if (r == 0)
        r = httpd_start(&options, &server->httpd, err);
    if (r < 0) {
        server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

void server_open(struct server *server)
{
    atomic_store(&server->open, true);
}

void server_stop(struct server *server, usec_t wait)
{
    if (!server)
        return;
    httpd_stop(server->httpd, wait);
    server->httpd = NULL;
    pool_stop(server);
}

int server_port(const struct server *server)
{
    return httpd_port(server->httpd);
}
