#include "worker/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum { RECONNECT_MS = 500 };

struct statement {
    const struct sql *sql;
    struct db_wire wire; /* points into the caller's arena until sent; see group_send() */
};

struct pipe_group {
    struct pipe *pipe;
    struct statement statements[PIPE_GROUP_MAX];
    PGresult *results[PIPE_GROUP_MAX];
    int count, answered;
    struct arena *arena; /* parameters of a group that waits for a connection */
    struct err err;
    bool failed;
    pipe_done *done;
    void *context;
    struct pipe_group *next;
};

struct queue {
    struct pipe_group *first, **last;
};

struct pipe {
    uv_loop_t *loop;
    const char *url, *name;
    const struct sql *const *statements;
    PGconn *conn;         /* NULL while there is none */
    uv_poll_t *poll;
    uv_timer_t *retry;
    uv_work_t connecting;
    bool is_connecting, closing, told_away;
    PGconn *fresh;        /* made by the thread pool, NULL when that failed */
    struct queue sent, waiting;
};

static void queue_push(struct queue *queue, struct pipe_group *group)
{
    group->next = NULL;
    *queue->last = group;
    queue->last = &group->next;
}

static struct pipe_group *queue_pop(struct queue *queue)
{
    struct pipe_group *group = queue->first;

    if (!group)
        return NULL;
    queue->first = group->next;
    if (!queue->first)
        queue->last = &queue->first;
    return group;
}

static void group_finish(struct pipe_group *group)
{
    group->done(group->context, group->failed ? NULL : group->results, group->failed ? &group->err : NULL);
    for (int i = 0; i < group->count; i++)
        PQclear(group->results[i]);
    arena_free(group->arena);
    free(group);
}

static void connect_begin(struct pipe *pipe);
static void on_ready(uv_poll_t *poll, int status, int events);

static void close_free(uv_handle_t *handle)
{
    free(handle);
}

static void on_retry(uv_timer_t *timer)
{
    connect_begin(timer->data);
}

/* The connection is gone: what was sent is answered so, and another one is made. */
static void connection_lost(struct pipe *pipe)
{
    struct pipe_group *group;
    struct queue lost = pipe->sent;

    if (pipe->poll) {
        uv_poll_stop(pipe->poll);
        uv_close((uv_handle_t *)pipe->poll, close_free);
        pipe->poll = NULL;
    }
    PQfinish(TAKE(pipe->conn));
    if (!lost.first)
        lost.last = &lost.first;
    pipe->sent = (struct queue){ 0 };
    pipe->sent.last = &pipe->sent.first;
    if (!pipe->closing) {
        log_warn("postgresql.away", log_word("connection", pipe->name));
        pipe->told_away = true;
        uv_timer_start(pipe->retry, on_retry, RECONNECT_MS, 0);
    }
    while ((group = queue_pop(&lost))) {
        group->failed = true;
        err_cause(&group->err, ERR_UNAVAILABLE, "postgresql: connection lost");
        group_finish(group);
    }
}

static void poll_update(struct pipe *pipe)
{
    int pending = PQflush(pipe->conn);

    if (pending < 0) {
        connection_lost(pipe);
        return;
    }
    uv_poll_start(pipe->poll, pending ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready);
}

static bool group_send(struct pipe *pipe, struct pipe_group *group)
{
    for (int i = 0; i < group->count; i++) {
        const struct statement *statement = &group->statements[i];
        const struct db_wire *wire = &statement->wire;

        if (!PQsendQueryPrepared(pipe->conn, statement->sql->name, wire->count, wire->values, wire->lengths,
                                 wire->formats, 1))
            return false;
    }
    return PQpipelineSync(pipe->conn) == 1;
}

static void group_start(struct pipe *pipe, struct pipe_group *group)
{
    queue_push(&pipe->sent, group);
    if (!group_send(pipe, group))
        connection_lost(pipe);
}

/* One result of the oldest group that was sent. */
static void take_result(struct pipe *pipe, PGresult *result)
{
    struct pipe_group *group = pipe->sent.first;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        queue_pop(&pipe->sent);
        group_finish(group);
        return;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        group->answered++;
        return;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        group->results[group->answered++] = result;
        return;
    default:
        if (!group->failed) {
            group->failed = true;
            db_err(pipe->conn, result, &group->err);
            if (group->err.code == ERR_INTERNAL)
                log_error("postgresql.statement_failed",
                          log_word("statement", group->statements[group->answered].sql->name),
                          log_word("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
        }
        group->answered++;
        PQclear(result);
    }
}

static void take_results(struct pipe *pipe)
{
    int nulls = 0;

    /* A statement's results end with NULL; a second NULL in a row means that nothing is left. */
    while (pipe->conn && pipe->sent.first && !PQisBusy(pipe->conn)) {
        PGresult *result = PQgetResult(pipe->conn);

        if (!result) {
            if (++nulls > 1)
                break;
            continue;
        }
        nulls = 0;
        take_result(pipe, result);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct pipe *pipe = poll->data;

    if (status < 0 || ((events & UV_READABLE) && !PQconsumeInput(pipe->conn))) {
        connection_lost(pipe);
        return;
    }
    take_results(pipe);
    if (pipe->conn && PQstatus(pipe->conn) == CONNECTION_BAD)
        connection_lost(pipe);
    if (pipe->conn)
        poll_update(pipe);
}

/* --- connecting -------------------------------------------------------------------------------------- */

static bool prepare_all(PGconn *conn, const struct sql *const *statements)
{
    for (; *statements; statements++) {
        PGresult *result = PQprepare(conn, (*statements)->name, (*statements)->text, 0, NULL);
        bool fine = PQresultStatus(result) == PGRES_COMMAND_OK;

        if (!fine)
            log_error("postgresql.prepare_failed", log_word("statement", (*statements)->name),
                      log_word("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
        PQclear(result);
        if (!fine)
            return false;
    }
    return true;
}

static void ignore_notice(void *unused, const PGresult *result)
{
    (void)unused;
    (void)result;
}

static void connect_blocking(uv_work_t *work)
{
    struct pipe *pipe = work->data;
    /* Every statement here finds its rows by key, for arrays of them: the planner must not take a fresh table's
     * statistics for a reason to read it whole, nor plan the same again for each batch. */
    static const char options[] = "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_hashjoin=off "
                                  "-c enable_mergejoin=off -c enable_seqscan=off";
    const char *keys[] = { "dbname", "application_name", "connect_timeout", "client_encoding", "options", NULL };
    const char *values[] = { pipe->url, pipe->name, "5", "UTF8", options, NULL };
    PGconn *conn = PQconnectdbParams(keys, values, 1);

    if (PQstatus(conn) == CONNECTION_OK) {
        PQsetNoticeReceiver(conn, ignore_notice, NULL);
        if (prepare_all(conn, pipe->statements) && !PQsetnonblocking(conn, 1) && PQenterPipelineMode(conn)) {
            pipe->fresh = conn;
            return;
        }
    }
    PQfinish(conn);
}

static void pipe_destroy(struct pipe *pipe)
{
    uv_close((uv_handle_t *)pipe->retry, close_free);
    free(pipe);
}

static void connect_done(uv_work_t *work, int status)
{
    struct pipe *pipe = work->data;
    struct pipe_group *group;

    (void)status;
    pipe->is_connecting = false;
    if (pipe->closing) {
        PQfinish(pipe->fresh);
        pipe_destroy(pipe);
        return;
    }
    if (!pipe->fresh) {
        if (!pipe->told_away)
            log_warn("postgresql.away", log_word("connection", pipe->name));
        pipe->told_away = true;
        uv_timer_start(pipe->retry, on_retry, RECONNECT_MS, 0);
        return;
    }
    log_info("postgresql.connected", log_word("connection", pipe->name));
    pipe->told_away = false;
    pipe->conn = TAKE(pipe->fresh);
    pipe->poll = malloc(sizeof(*pipe->poll));
    if (!pipe->poll)
        abort();
    uv_poll_init(pipe->loop, pipe->poll, PQsocket(pipe->conn));
    pipe->poll->data = pipe;
    while (pipe->conn && (group = queue_pop(&pipe->waiting)))
        group_start(pipe, group);
    if (pipe->conn)
        poll_update(pipe);
}

static void connect_begin(struct pipe *pipe)
{
    if (pipe->is_connecting || pipe->conn)
        return;
    pipe->is_connecting = true;
    pipe->connecting.data = pipe;
    uv_queue_work(pipe->loop, &pipe->connecting, connect_blocking, connect_done);
}

struct pipe *pipe_new(uv_loop_t *loop, const char *url, const char *name, const struct sql *const *statements)
{
    struct pipe *pipe = calloc(1, sizeof(*pipe));

    if (!pipe || !(pipe->retry = malloc(sizeof(*pipe->retry))))
        abort();
    pipe->loop = loop;
    pipe->url = url;
    pipe->name = name;
    pipe->statements = statements;
    pipe->sent.last = &pipe->sent.first;
    pipe->waiting.last = &pipe->waiting.first;
    uv_timer_init(loop, pipe->retry);
    pipe->retry->data = pipe;
    connect_begin(pipe);
    return pipe;
}

void pipe_free(struct pipe *pipe)
{
    struct pipe_group *group;

    if (!pipe)
        return;
    pipe->closing = true;
    uv_timer_stop(pipe->retry);
    while ((group = queue_pop(&pipe->waiting))) {
        group->failed = true;
        err_cause(&group->err, ERR_UNAVAILABLE, "closing");
        group_finish(group);
    }
    if (pipe->conn)
        connection_lost(pipe);
    if (!pipe->is_connecting)
        pipe_destroy(pipe);
}

bool pipe_is_up(const struct pipe *pipe)
{
    return pipe->conn != NULL;
}

struct pipe_group *pipe_group_new(struct pipe *pipe)
{
    struct pipe_group *group = calloc(1, sizeof(*group));

    if (!group)
        abort();
    group->pipe = pipe;
    return group;
}

void pipe_add(struct pipe_group *group, const struct sql *sql, struct db_args *args)
{
    static const struct db_wire none;

    if (group->count == PIPE_GROUP_MAX)
        abort();
    group->statements[group->count++] = (struct statement){ sql, args ? *db_args_wire(args) : none };
}

/* Copies what the caller's arena holds, as the group outlives it. */
static void wire_keep(struct db_wire *wire, struct arena *arena)
{
    const char **values = arena_array(arena, const char *, (size_t)wire->count + 1);

    for (int i = 0; i < wire->count; i++)
        values[i] = wire->values[i] ? arena_memdup(arena, wire->values[i], (size_t)wire->lengths[i]) : NULL;
    wire->values = values;
    wire->lengths = arena_memdup(arena, wire->lengths, sizeof(int) * (size_t)wire->count);
    wire->formats = arena_memdup(arena, wire->formats, sizeof(int) * (size_t)wire->count);
}

void pipe_send(struct pipe_group *group, pipe_done *done, void *context)
{
    struct pipe *pipe = group->pipe;

    group->done = done;
    group->context = context;
    if (pipe->conn) {
        group_start(pipe, group);
        if (pipe->conn)
            poll_update(pipe);
        return;
    }
    group->arena = arena_new();
    for (int i = 0; i < group->count; i++)
        wire_keep(&group->statements[i].wire, group->arena);
    queue_push(&pipe->waiting, group);
}
