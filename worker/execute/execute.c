#include "worker/execute/execute.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* A job here, in the list of all: those that are begun have a thread. */
struct running {
    uv_work_t work;
    struct execute *execute;
    struct job *job;
    bool begun;
    struct running *next;
};

struct execute {
    uv_loop_t *loop;
    const struct config *config;
    execute_outlet *outlet;
    void *context;
    struct running *first; /* in the order of their coming */
    struct db **free;      /* connections that no thread uses, as many as may be under way */
    int free_count, underway;
    bool stopping;
};

static void (*const runs[TASK_ACTIONS])(struct job *job, struct job_outcome *outcome) = {
    [TASK_ACCESS] = collect_run,
    [TASK_PACKAGE] = package_run,
    [TASK_ERASURE] = erase_run,
};

struct job *job_new(const struct config *config, const struct seal_ring *ring, const struct catalog *catalog)
{
    struct arena *arena = arena_new();
    struct job *job = arena_new_of(arena, struct job);

    job->arena = arena;
    job->config = config;
    job->ring = ring;
    job->catalog = catalog_ref(catalog);
    atomic_init(&job->canceled, false);
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    catalog_unref(job->catalog);
    sodium_memzero(&job->key, sizeof(job->key));
    arena_free(job->arena);
}

struct execute *execute_new(uv_loop_t *loop, const struct config *config, execute_outlet *outlet, void *context)
{
    struct execute *execute = calloc(1, sizeof(*execute));
    int count = (int)config->execute_tasks;

    if (!execute || !(execute->free = calloc((size_t)count, sizeof(*execute->free))))
        abort();
    execute->loop = loop;
    execute->config = config;
    execute->outlet = outlet;
    execute->context = context;
    for (int i = 0; i < count; i++)
        execute->free[execute->free_count++] = db_new(config->postgres_url, "docket-worker execute");
    return execute;
}

void execute_free(struct execute *execute)
{
    if (!execute)
        return;
    for (int i = 0; i < execute->free_count; i++)
        db_free(execute->free[i]);
    while (execute->first) {
        struct running *running = execute->first;

        execute->first = running->next;
        job_free(running->job);
        free(running);
    }
    free(execute->free);
    free(execute);
}

/* On the thread. */
static void run_blocking(uv_work_t *work)
{
    struct running *running = work->data;
    struct job *job = running->job;

    runs[job->task.action](job, &job->outcome);
}

static void begin_next(struct execute *execute);

static void running_remove(struct execute *execute, struct running *running)
{
    struct running **place = &execute->first;

    while (*place != running)
        place = &(*place)->next;
    *place = running->next;
}

static void run_done(uv_work_t *work, int status)
{
    struct running *running = work->data;
    struct execute *execute = running->execute;
    struct job *job = running->job;

    (void)status;
    execute->underway--;
    execute->free[execute->free_count++] = job->db;
    job->db = NULL;
    running_remove(execute, running);
    free(running);
    log_debug("execute.done", log_id("request", job->request_id), log_word("task", job->task.id),
              log_number("result", job->outcome.result));
    execute->outlet(execute->context, job);
    begin_next(execute);
}

static void begin(struct execute *execute, struct running *running)
{
    running->begun = true;
    running->work.data = running;
    running->job->db = execute->free[--execute->free_count];
    execute->underway++;
    uv_queue_work(execute->loop, &running->work, run_blocking, run_done);
}

static void begin_next(struct execute *execute)
{
    struct running *running = execute->first;

    while (running && execute->free_count && !execute->stopping) {
        if (!running->begun)
            begin(execute, running);
        running = running->next;
    }
}

static bool is_same(const struct job *job, const char *request_id, const char *task_id)
{
    return !strcmp(job->request_id, request_id) && !strcmp(job->task.id, task_id);
}

void execute_submit(struct execute *execute, struct job *job)
{
    struct running **last = &execute->first, *running;

    for (; *last; last = &(*last)->next)
        if (is_same((*last)->job, job->request_id, job->task.id)) {
            job_free(job);
            return;
        }
    running = calloc(1, sizeof(*running));
    if (!running)
        abort();
    running->execute = execute;
    running->job = job;
    *last = running;
    begin_next(execute);
}

int execute_each(const struct execute *execute, void (*visit)(void *context, struct job *job), void *context)
{
    int count = 0;

    for (struct running *running = execute->first; running; running = running->next, count++)
        if (visit)
            visit(context, running->job);
    return count;
}

void execute_cancel(struct execute *execute, const char *request_id, const char *task_id)
{
    for (struct running *running = execute->first; running; running = running->next)
        if (is_same(running->job, request_id, task_id))
            atomic_store(&running->job->canceled, true);
}

void execute_stop(struct execute *execute)
{
    execute->stopping = true;
    for (struct running *running = execute->first; running; running = running->next)
        atomic_store(&running->job->canceled, true);
}

bool execute_is_idle(const struct execute *execute)
{
    return !execute->underway;
}
