#include "worker/work.h"

#include <sodium.h>
#include <stdlib.h>

#include "worker/execute/execute.h"

struct work *work_new(enum work_kind kind, const char *request_id, work_over *over, void *source)
{
    struct arena *arena = arena_new();
    struct work *work = arena_new_of(arena, struct work);

    work->kind = kind;
    work->arena = arena;
    work->request_id = arena_strdup(arena, request_id);
    work->over = over;
    work->source = source;
    work->offset = -1;
    work->open = 1;
    return work;
}

void work_open(struct work *work)
{
    work->open++;
}

void work_set_active(struct work *work, int *count)
{
    if (work->active)
        --*work->active;
    work->active = count;
    if (count)
        ++*count;
}

void work_close(struct work *work)
{
    if (--work->open)
        return;
    work_set_active(work, NULL);
    if (work->over)
        work->over(work, work->source);
    job_free(work->job);
    catalog_unref(work->catalog);
    sodium_memzero(&work->key, sizeof(work->key));
    arena_free(work->arena);
}

void work_fail(struct work *work, enum dead_reason reason, const char *detail)
{
    if (work->dead != DEAD_NONE)
        return; /* the first tells most */
    work->dead = reason;
    work->dead_detail = detail;
}

void work_queue_init(struct work_queue *queue)
{
    *queue = (struct work_queue){ .last = &queue->first };
}

void work_push(struct work_queue *queue, struct work *work)
{
    work->next = NULL;
    *queue->last = work;
    queue->last = &work->next;
    queue->count++;
}

void work_push_front(struct work_queue *queue, struct work *work)
{
    work->next = queue->first;
    queue->first = work;
    if (!work->next)
        queue->last = &work->next;
    queue->count++;
}

struct work *work_pop(struct work_queue *queue)
{
    struct work *work = queue->first;

    if (!work)
        return NULL;
    queue->first = work->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return work;
}
