/*
 * work - one thing to be seen to about one request: an event that was read, a delivery that is due, a waiting
 * request that must be looked at again. It is over when every step that it led to is on record; only then may its
 * event's offset be committed.
 *
 * Threads:   the loop's.
 * Ownership: counted: work_open() for each step that is begun, work_close() when it is settled. The last close
 *            tells the source and frees the work with its arena.
 */
#pragma once

#include "common/catalog.h"
#include "common/dead.h"
#include "common/event.h"
#include "worker/execute/job.h"
#include "worker/request.h"

enum work_kind { WORK_EVENT, WORK_REPLY, WORK_DELIVERY, WORK_REVIEW, WORK_TIMER, WORK_TASK };

struct work;

/* Told once, when the work is over. */
typedef void work_over(struct work *work, void *source);

struct work {
    enum work_kind kind;
    struct arena *arena;
    const char *request_id;
    enum event_type type;    /* EVENT */
    int64_t seq;             /* EVENT: its number */
    const char *webhook_id;  /* REPLY */
    bool eligible;           /* REPLY */
    const char *delivery_id; /* DELIVERY */
    const char *task_id;     /* TASK: claimed by the clock */
    bool job_settled;
    struct job *job;         /* TASK: done, its outcome to be put on record; the work's own. NULL: claimed */
    const char *cause, *traceparent; /* of the event; NULL */
    int64_t offset;          /* of its record; -1: it has none */
    int faults;              /* how often handling its record has failed before */
    enum dead_reason dead;   /* NONE: nothing is wrong with it; else it is over, and so */
    const char *dead_detail; /* our own words; NULL */
    char sqlstate[6];        /* PostgreSQL's, when that refused it */
    int open, tries;
    bool first_step;         /* begins a request: goes after those that are under way */
    work_over *over;
    void *source;
    uint64_t ticket;         /* the source's own */
    usec_t since;            /* the source's own, monotonic */
    struct work *next;       /* in whatever queue it stands */
    int *active;             /* the count that it is part of; NULL: of none */
    /* Once it was looked up: */
    struct request *request;
    const struct catalog *catalog; /* a reference */
    struct seal_key key;
    bool has_key;
#ifdef DOCKET_TRIGGERS
    bool deadly; /* trigger.h */
#endif
};

struct work *work_new(enum work_kind kind, const char *request_id, work_over *over, void *source);
void work_open(struct work *work);
void work_close(struct work *work);
/* It can't be done: its record is to be buried, or after a fault of our own (INTERNAL) read and tried once more. */
void work_fail(struct work *work, enum dead_reason reason, const char *detail);
/* Takes it out of the count that it is part of, and into another (NULL: none). Its end takes it out too. */
void work_set_active(struct work *work, int *count);

/* A first-in, first-out list of works. */
struct work_queue {
    struct work *first, **last;
    int count;
};
void work_queue_init(struct work_queue *queue);
void work_push(struct work_queue *queue, struct work *work);
void work_push_front(struct work_queue *queue, struct work *work);
struct work *work_pop(struct work_queue *queue); /* NULL when empty */
