/*
 * plan - what to do next about a request. Pure: (what happened, the request, the configuration) in, steps out; no
 * clock, no I/O. Every step is one durable act; what follows from it is planned anew once it is on record.
 *
 * Ownership: a plan is plain values that point into the request, the catalog and the arguments.
 */
#pragma once

#include "common/catalog.h"
#include "common/event.h"
#include "worker/request.h"

enum plan_kind {
    PLAN_CALL,    /* make the call of `delivery` */
    PLAN_HOLD,    /* its connection is disabled: keep the call until it is enabled */
    PLAN_RELEASE, /* enabled again: due at once */
    PLAN_DROP,    /* the call is wanted no more: settle it with `word` */
    PLAN_OWE,     /* a webhook that came meanwhile: owe it a call */
    PLAN_REPLY,   /* record `eligible` of `webhook_id`; `status` is what it leads to */
    PLAN_IGNORE,  /* a reply that came too late or contradicts: on the timeline, with `word`; no effect */
    PLAN_APPROVE, /* every webhook said eligible; holds only while the catalog stands */
    PLAN_MOVE,    /* to `status`, by `event` */
    PLAN_FAIL,    /* to error: `checkpoint`, `word` as the log's name, `message` */
    PLAN_STEP,    /* the run's next call: owe it (or what stands of it anew), then make it; may start the run */
    PLAN_SKIP,    /* the run goes on past the webhook of `webhook_id`, for the reason `word` */
    PLAN_CHANGED, /* the policy's lists are others than the run has seen: on the timeline */
    PLAN_PAUSE,   /* a webhook's answer halts the run */
    PLAN_RESUME,  /* who halted it was deleted: nobody is left to reply */
    PLAN_QUIET,   /* a delivered call is not to be reminded any more */
    PLAN_TASKS,   /* put `tasks` on record; those that need nothing are begun at once */
    PLAN_TASK,    /* begin `task`, under a lease */
    PLAN_IDLE,    /* `task` is due, and not wanted now */
    PLAN_INPUT,   /* people are asked for input, or others than were told: `word` */
    PLAN_GO_ON,   /* nobody is asked for input any more */
};

enum { PLAN_STEPS_MAX = 128 };

struct plan_step {
    enum plan_kind kind;
    const struct delivery *delivery;       /* CALL, HOLD, RELEASE, DROP */
    const struct catalog_webhook *webhook; /* CALL, OWE, HOLD, RELEASE, STEP; APPROVE: the last that said eligible;
                                            * PAUSE, SKIP and RESUME: NULL when it was deleted */
    const char *webhook_id;                /* REPLY, IGNORE, SKIP, PAUSE, RESUME */
    bool eligible;
    enum pr_status status;
    enum event_type event;
    const char *word, *message, *checkpoint;
    const struct task *task;   /* TASK, IDLE */
    const struct task *tasks;  /* TASKS: of one action, in their order */
    int task_count;
    const struct event_skip *skips;
    int skip_count;
};

struct plan {
    int count;
    struct plan_step steps[PLAN_STEPS_MAX];
};

/* An event of the lifecycle topic: `seq` is its number. One whose status is no longer the request's own, or whose
 * work is on record, plans nothing. */
void plan_event(enum event_type type, int64_t seq, const struct request *request, const struct catalog *catalog,
                struct plan *plan);

/* One delivery that is due again; or, when it is settled, what follows from it. */
void plan_delivery(const struct delivery *delivery, const struct request *request, const struct catalog *catalog,
                   struct plan *plan);

/* A reply of the callbacks topic. */
void plan_reply(const char *webhook_id, bool eligible, const struct request *request,
                const struct catalog *catalog, struct plan *plan);

/* A waiting request after the configuration changed. */
void plan_review(const struct request *request, const struct catalog *catalog, struct plan *plan);

/* A task whose lease has ended, or whose next try has come: this worker holds it now. */
void plan_task(const struct task *task, const struct request *request, const struct catalog *catalog,
               struct plan *plan);

/* A time of the request's has come: a pause is over. */
void plan_timer(const struct request *request, struct plan *plan);

/* True for events that plan_event() may have something to do for; others need not be looked up. */
bool plan_concerns(enum event_type type);
/* True for those of a run: what follows from any of them is the run's next step. */
bool plan_is_run(enum event_type type);

/* "access", "upload_access", "erasure": where a retry goes on. */
const char *plan_task_checkpoint(enum task_action action);
/* "pre_webhooks", "post_webhooks" (lifecycle.md 7) */
const char *plan_checkpoint(enum webhook_kind kind);
