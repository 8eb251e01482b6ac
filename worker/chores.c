#include "worker/chores.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/engine.h"
#include "worker/chores.sql.h"
#include "worker/patrol.h"
#include "worker/retention.h"

enum {
    TICK_MS = 100,
    PARK_CLAIM_MAX = 512,   /* deliveries at once */
    SWEEP_PAGE = 256,       /* requests at once */
    ORPHANS_MAX = 256,      /* deliveries at once */
    RELAY_OUTBOXES = 256,
    TIMERS_MAX = 256,
    TASKS_CLAIM_MAX = 16,
    TASKS_MOST = 64, /* here at a time; what is due beyond is left to others */
    GAUGE_S = 15,
    IDLE_S = 2,
};

const struct sql *const chores_statements[] = {
    &SQL_park_claim,    &SQL_park_return, &SQL_timer_claim,   &SQL_sweep_claim, &SQL_sweep_page,
    &SQL_sweep_advance, &SQL_sweep_end,   &SQL_sweep_orphans, &SQL_relay_claim, &SQL_gauge_counts,
    &SQL_task_return,   &SQL_task_claim,  &SQL_task_renew,    &SQL_timer_return,  &SQL_sweep_return,
    NULL,
};

struct sweep {
    bool busy;
    int64_t id;
    char cursor[64];
    int open; /* works of the page that are not over */
    bool last_page, cleared; /* cleared: no orphan is left */
};

struct chores {
    uv_timer_t *timer;
    const struct config *config;
    struct pipe *pipe;
    struct publisher *publisher;
    struct intake *intake;
    struct dispatch *dispatch;
    struct execute *execute;
    struct retention *retention;
    struct patrol *patrol;
    struct arena *arena;
    const char *worker;
    bool stopping, returned, parking, timing, relaying, gauging, claiming, renewing;
    int park_wait, task_wait, timer_wait; /* ticks until the next look: nothing was due */
    int timers_open;           /* works of timers that are not over */
    usec_t gauged_at, renewed_at;
    usec_t busy_at; /* 0: what is not needed was given back since */
    struct sweep sweep;
};

/* --- park -------------------------------------------------------------------------------------------- */

static void on_returned(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;

    (void)results;
    chores->returned = !err;
    chores->parking = false;
}

/* Once, before anything is claimed in this worker's name. */
static void take_back(struct chores *chores)
{
    struct db_args *args = db_args_new(chores->arena);
    struct pipe_group *group = pipe_group_new(chores->pipe);

    db_text(args, chores->worker);
    pipe_add(group, &SQL_park_return, args);
    pipe_add(group, &SQL_task_return, args);
    pipe_add(group, &SQL_timer_return, args);
    pipe_add(group, &SQL_sweep_return, args);
    chores->parking = true;
    pipe_send(group, on_returned, chores);
}

static void on_parked(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    int count = err ? 0 : PQntuples(results[0]);

    chores->parking = false;
    chores->park_wait = count ? 0 : 2;
    for (int row = 0; row < count; row++) {
        struct work *work = work_new(WORK_DELIVERY, db_get_text(results[0], row, 0), NULL, NULL);

        work->delivery_id = db_dup_text(results[0], row, 1, work->arena);
        intake_submit(chores->intake, work);
    }
}

static int add_webhook_room(struct chores *chores, const struct catalog_webhook *webhook, struct db_column *ids,
                            struct db_column *rooms)
{
    int room = dispatch_room(chores->dispatch, webhook->connection->id);

    if (!room)
        return 0;
    db_add_text(ids, webhook->id);
    db_add_int(rooms, room);
    return 1;
}

/* Every webhook whose endpoint has room, with how much. By the webhook, as it may have moved to another endpoint. */
static int add_room(struct chores *chores, struct db_column *ids, struct db_column *rooms)
{
    const struct catalog *catalog = intake_catalog(chores->intake);
    int count = 0;

    for (int i = 0; catalog && i < catalog->webhook_count; i++)
        count += add_webhook_room(chores, &catalog->webhooks[i], ids, rooms);
    for (int i = 0; catalog && i < catalog->policy_webhook_count; i++)
        count += add_webhook_room(chores, catalog->policy_webhooks[i], ids, rooms);
    return count;
}

static void park(struct chores *chores)
{
    struct db_args *args;
    struct db_column *ids, *rooms;
    struct pipe_group *group;

    if (chores->parking || chores->park_wait-- > 0)
        return;
    if (!chores->returned) {
        take_back(chores);
        return;
    }
    args = db_args_new(chores->arena);
    ids = db_array(args, DB_TEXT);
    rooms = db_array(args, DB_INT);
    if (!add_room(chores, ids, rooms)) {
        (void)db_args_wire(args); /* gives the columns' memory to the arena */
        return;
    }
    db_int(args, chores_lease(chores->config));
    db_int(args, PARK_CLAIM_MAX);
    db_text(args, chores->worker);
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_park_claim, args);
    chores->parking = true;
    pipe_send(group, on_parked, chores);
}

usec_t chores_lease(const struct config *config)
{
    return 2 * config->webhook_timeout + 15 * USEC_PER_S;
}

/* --- tasks ------------------------------------------------------------------------------------------- */

static void on_tasks_claimed(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    int count = err ? 0 : PQntuples(results[0]);

    chores->claiming = false;
    chores->task_wait = count ? 0 : 4;
    for (int row = 0; row < count; row++) {
        struct work *work = work_new(WORK_TASK, db_get_text(results[0], row, 0), NULL, NULL);

        work->task_id = db_dup_text(results[0], row, 1, work->arena);
        intake_submit(chores->intake, work);
    }
}

static void tasks(struct chores *chores)
{
    struct db_args *args;
    struct pipe_group *group;

    if (!chores->returned || chores->claiming || chores->task_wait-- > 0 ||
        execute_each(chores->execute, NULL, NULL) >= TASKS_MOST)
        return;
    args = db_args_new(chores->arena);
    db_int(args, TASKS_CLAIM_MAX);
    db_int(args, ENGINE_TASK_LEASE);
    db_text(args, chores->worker);
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_task_claim, args);
    chores->claiming = true;
    pipe_send(group, on_tasks_claimed, chores);
}

static bool is_kept(const PGresult *rows, const struct job *job)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), job->request_id) && !strcmp(db_get_text(rows, row, 1), job->task.id))
            return true;
    return false;
}

static void cancel_lost(void *rows, struct job *job)
{
    /* What came after the renewal was sent is not in its answer. */
    if (job->renewed && !is_kept(rows, job))
        atomic_store(&job->canceled, true);
}

static void on_renewed(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;

    chores->renewing = false;
    if (!err)
        execute_each(chores->execute, cancel_lost, results[0]);
}

struct renewal {
    struct db_column *requests, *tasks;
};

static void renew_job(void *context, struct job *job)
{
    struct renewal *renewal = context;

    job->renewed = true;
    db_add_text(renewal->requests, job->request_id);
    db_add_text(renewal->tasks, job->task.id);
}

static void renew(struct chores *chores)
{
    usec_t now = usec_monotonic();
    struct pipe_group *group;
    struct renewal renewal;
    struct db_args *args;

    if (chores->renewing || now - chores->renewed_at < ENGINE_TASK_LEASE / 3 ||
        !execute_each(chores->execute, NULL, NULL))
        return;
    chores->renewed_at = now;
    args = db_args_new(chores->arena);
    renewal.requests = db_array(args, DB_TEXT);
    renewal.tasks = db_array(args, DB_TEXT);
    execute_each(chores->execute, renew_job, &renewal);
    db_int(args, ENGINE_TASK_LEASE);
    db_text(args, chores->worker);
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_task_renew, args);
    chores->renewing = true;
    pipe_send(group, on_renewed, chores);
}

/* --- timers ------------------------------------------------------------------------------------------ */

static void on_timer_over(struct work *work, void *source)
{
    struct chores *chores = source;

    (void)work;
    chores->timers_open--;
}

static void on_timed(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    int count = err ? 0 : PQntuples(results[0]);

    chores->timing = false;
    chores->timer_wait = count ? 0 : 2;
    chores->timers_open += count;
    for (int row = 0; row < count; row++)
        intake_submit(chores->intake, work_new(WORK_TIMER, db_get_text(results[0], row, 0), on_timer_over, chores));
}

/* The next ones are claimed when these are over: their lease does not end before. */
static void timers(struct chores *chores)
{
    struct db_args *args;
    struct pipe_group *group;

    if (!chores->returned || chores->timing || chores->timers_open || chores->timer_wait-- > 0)
        return;
    args = db_args_new(chores->arena);
    db_int(args, TIMERS_MAX);
    db_text(args, chores->worker);
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_timer_claim, args);
    chores->timing = true;
    pipe_send(group, on_timed, chores);
}

/* --- sweep ------------------------------------------------------------------------------------------- */

static void sweep_next_page(struct chores *chores);

static void on_sweep_advanced(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;

    (void)results;
    if (err || chores->stopping || chores->sweep.last_page)
        chores->sweep.busy = false; /* on an error: the lease ends, and any worker goes on from the cursor */
    else
        sweep_next_page(chores);
}

static void sweep_move(struct chores *chores)
{
    struct db_args *args = db_args_new(chores->arena);
    struct pipe_group *group = pipe_group_new(chores->pipe);

    db_int(args, chores->sweep.id);
    if (!chores->sweep.last_page)
        db_text(args, chores->sweep.cursor);
    pipe_add(group, chores->sweep.last_page ? &SQL_sweep_end : &SQL_sweep_advance, args);
    pipe_send(group, on_sweep_advanced, chores);
}

static void on_review_over(struct work *work, void *source);

static void on_orphans(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    struct sweep *sweep = &chores->sweep;
    int count = err ? 0 : PQntuples(results[0]);

    if (err) {
        sweep->busy = false;
        return;
    }
    sweep->cleared = count < ORPHANS_MAX;
    sweep->open = count + 1;
    for (int row = 0; row < count; row++) {
        struct work *work = work_new(WORK_DELIVERY, db_get_text(results[0], row, 0), on_review_over, chores);

        work->delivery_id = db_dup_text(results[0], row, 1, work->arena);
        intake_submit(chores->intake, work);
    }
    on_review_over(NULL, chores);
}

static void sweep_orphans(struct chores *chores)
{
    struct db_args *args = db_args_new(chores->arena);
    struct pipe_group *group = pipe_group_new(chores->pipe);

    db_int(args, ORPHANS_MAX);
    db_int(args, chores_lease(chores->config));
    db_text(args, chores->worker);
    pipe_add(group, &SQL_sweep_orphans, args);
    pipe_send(group, on_orphans, chores);
}

static void sweep_page_over(struct chores *chores)
{
    if (chores->sweep.last_page && !chores->sweep.cleared)
        sweep_orphans(chores);
    else
        sweep_move(chores);
}

static void on_review_over(struct work *work, void *source)
{
    struct chores *chores = source;

    (void)work;
    if (!--chores->sweep.open && !chores->stopping)
        sweep_page_over(chores); /* else the lease ends, and another worker goes on */
}

static void on_sweep_page(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    struct sweep *sweep = &chores->sweep;
    int count = err ? 0 : PQntuples(results[0]);

    if (err) {
        sweep->busy = false;
        return;
    }
    sweep->last_page = count < SWEEP_PAGE;
    sweep->open = count + 1; /* one of our own, so that the page is not over before it is handed on */
    for (int row = 0; row < count; row++) {
        const char *id = db_get_text(results[0], row, 0);

        snprintf(sweep->cursor, sizeof(sweep->cursor), "%s", id);
        intake_submit(chores->intake, work_new(WORK_REVIEW, id, on_review_over, chores));
    }
    on_review_over(NULL, chores);
}

static void sweep_next_page(struct chores *chores)
{
    struct db_args *args = db_args_new(chores->arena);
    struct pipe_group *group = pipe_group_new(chores->pipe);

    db_text(args, chores->sweep.cursor);
    db_int(args, SWEEP_PAGE);
    pipe_add(group, &SQL_sweep_page, args);
    pipe_send(group, on_sweep_page, chores);
}

static void on_sweep_claimed(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    struct sweep *sweep = &chores->sweep;

    if (err || !PQntuples(results[0]) || chores->stopping) {
        sweep->busy = false;
        return;
    }
    sweep->id = db_get_int(results[0], 0, 0);
    sweep->cleared = false;
    snprintf(sweep->cursor, sizeof(sweep->cursor), "%s", db_get_text(results[0], 0, 1));
    log_info("sweep.began", log_number("sweep", sweep->id));
    sweep_next_page(chores);
}

static void sweep(struct chores *chores)
{
    struct pipe_group *group;
    struct db_args *args;

    if (chores->sweep.busy || !chores->returned)
        return;
    chores->sweep.busy = true;
    group = pipe_group_new(chores->pipe);
    args = db_args_new(chores->arena);
    db_text(args, chores->worker);
    pipe_add(group, &SQL_sweep_claim, args);
    pipe_send(group, on_sweep_claimed, chores);
}

/* --- relay ------------------------------------------------------------------------------------------- */

static struct publish_record relay_record(const PGresult *result, int row)
{
    struct publish_record record = { .request_id = db_get_text(result, row, 1),
                                     .seq = db_get_int(result, row, 2),
                                     .type = db_get_text(result, row, 3),
                                     .source = db_get_text(result, row, 4),
                                     .cause = db_get_text(result, row, 5),
                                     .traceparent = db_get_text(result, row, 6),
                                     .time = db_get_time(result, row, 7),
                                     .aggregate = db_get_text(result, row, 10),
                                     .behind = !db_get_bool(result, row, 11) };
    size_t chain_length;

    record.payload = db_get_bytes(result, row, 8, &record.payload_length);
    record.chain = db_get_bytes(result, row, 9, &chain_length);
    return record;
}

/* The rows of an outbox row follow each other. */
static void on_relay_claimed(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;
    int rows = err ? 0 : PQntuples(results[0]), first = 0;
    struct publish_record *records = arena_array(chores->arena, struct publish_record, (size_t)rows + 1);

    chores->relaying = false;
    for (int row = 0; row < rows; row++) {
        int64_t outbox = db_get_int(results[0], row, 0);

        records[row] = relay_record(results[0], row);
        if (row + 1 < rows && db_get_int(results[0], row + 1, 0) == outbox)
            continue;
        publish_outbox(chores->publisher, outbox, records + first, row + 1 - first);
        first = row + 1;
    }
}

static void relay(struct chores *chores)
{
    struct pipe_group *group;
    struct db_args *args;
    usec_t oldest;

    /* While our own don't get through, Kafka is away: more of the same would only grow the queue. */
    publisher_underway(chores->publisher, &oldest);
    if (chores->relaying || oldest > 2 * USEC_PER_S)
        return;
    args = db_args_new(chores->arena);
    db_int(args, RELAY_OUTBOXES);
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_relay_claim, args);
    chores->relaying = true;
    pipe_send(group, on_relay_claimed, chores);
}

/* --- gauge ------------------------------------------------------------------------------------------- */

static void on_gauged(void *context, PGresult **results, const struct err *err)
{
    struct chores *chores = context;

    chores->gauging = false;
    if (err)
        return;
    metric_set(METRIC_PARKED, NULL, (double)db_get_int(results[0], 0, 0));
    metric_set(METRIC_OUTBOX_OLDEST, NULL, (double)db_get_int(results[0], 0, 1));
}

static void gauge(struct chores *chores)
{
    usec_t now = usec_monotonic();
    struct pipe_group *group;

    if (chores->gauging || now - chores->gauged_at < GAUGE_S * USEC_PER_S)
        return;
    chores->gauged_at = now;
    chores->gauging = true;
    group = pipe_group_new(chores->pipe);
    pipe_add(group, &SQL_gauge_counts, NULL);
    pipe_send(group, on_gauged, chores);
}

/* --- memory ------------------------------------------------------------------------------------------ */

/* After a burst the allocator keeps what ten thousand requests took once: it is given back when there is nothing to do. */
static void give_back(struct chores *chores)
{
    usec_t now = usec_monotonic();

    if (!intake_is_idle(chores->intake) || execute_each(chores->execute, NULL, NULL)) {
        chores->busy_at = now;
        return;
    }
    if (!chores->busy_at || now - chores->busy_at < IDLE_S * USEC_PER_S)
        return;
    chores->busy_at = 0;
    malloc_trim(0);
}

/* --- the clock --------------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    struct chores *chores = timer->data;

    if (chores->stopping || !pipe_is_up(chores->pipe))
        return;
    arena_clear(chores->arena); /* groups copied theirs when they were sent */
    renew(chores);
    if (intake_is_careful(chores->intake))
        return; /* whatever kills the worker now is to be an event */
    park(chores);
    tasks(chores);
    timers(chores);
    sweep(chores);
    relay(chores);
    gauge(chores);
    retention_turn(chores->retention);
    patrol_turn(chores->patrol);
    give_back(chores);
}

struct chores *chores_new(uv_loop_t *loop, const struct config *config, const struct chores_parts *parts,
                          const char *worker)
{
    struct chores *chores = calloc(1, sizeof(*chores));

    if (!chores || !(chores->timer = malloc(sizeof(*chores->timer))))
        abort();
    chores->config = config;
    chores->pipe = parts->pipe;
    chores->publisher = parts->publisher;
    chores->intake = parts->intake;
    chores->dispatch = parts->dispatch;
    chores->execute = parts->execute;
    chores->worker = worker;
    chores->arena = arena_new();
    chores->retention = retention_new(loop, config, parts->publisher, parts->intake);
    chores->patrol = patrol_new(loop, config);
    uv_timer_init(loop, chores->timer);
    chores->timer->data = chores;
    uv_timer_start(chores->timer, on_tick, TICK_MS, TICK_MS);
    return chores;
}

void chores_stop(struct chores *chores)
{
    chores->stopping = true;
}

static void timer_free(uv_handle_t *handle)
{
    free(handle);
}

void chores_free(struct chores *chores)
{
    if (!chores)
        return;
    uv_timer_stop(chores->timer);
    uv_close((uv_handle_t *)chores->timer, timer_free);
    retention_free(chores->retention);
    patrol_free(chores->patrol);
    arena_free(chores->arena);
    free(chores);
}
