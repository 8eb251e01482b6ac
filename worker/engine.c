#include "worker/engine.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/answer.h"
#include "worker/payload.h"
#include "worker/plan.h"
#include "worker/retry.h"
#include "worker/trigger.h"

enum { ANSWER_KEPT_BYTES = 4096, TRIES_MAX = 100 };

struct engine {
    struct engine_parts parts;
    struct retry_rule retry;
    struct intake *intake;
    struct dispatch *dispatch;
    struct execute *execute;
    struct plan plan; /* the one being carried out */
};

static void follow(struct engine *engine, struct work *work);

static double chance(void)
{
    return (double)randombytes_random() / (double)UINT32_MAX;
}

/* --- items ------------------------------------------------------------------------------------------- */

static struct settle_item *item_new(struct work *work, enum settle_kind kind, settle_done *done, void *context)
{
    struct settle_item *item = arena_new_of(work->arena, struct settle_item);

    item->kind = kind;
    item->work = work;
    item->done = done;
    item->context = context;
    item->due_at = USEC_NONE;
    item->entry.request_id = work->request_id;
    item->entry.expected = JOURNAL_ANY;
    item->entry.time = usec_now();
    item->entry.cause = work->cause;
    item->entry.traceparent = event_trace_child(work->arena, work->traceparent);
    return item;
}

static struct event_webhook webhook_names(const struct catalog_webhook *webhook, const struct delivery *delivery)
{
    return (struct event_webhook){ .webhook_id = webhook->id,
                                   .webhook_key = webhook->key,
                                   .delivery_id = delivery ? delivery->id : NULL,
                                   .kind = delivery ? webhook_kind_word(webhook->kind) : NULL };
}

static const struct catalog_policy *policy_of(const struct work *work)
{
    return catalog_policy_by_id(work->catalog, work->request->policy_id);
}

static int64_t revision_of(const struct work *work)
{
    const struct catalog_policy *policy = policy_of(work);

    return policy ? policy->webhooks_revision : 0;
}

/* --- decisions: reply, approval, moves --------------------------------------------------------------- */

/* What is on record now, in the picture of the request that this work has. */
static void request_advance(struct work *work, const struct settle_item *item)
{
    struct request *request = work->request;

    request->seq = item->entry.seq;
    if (item->entry.status != PR_NONE) {
        request->status = item->entry.status;
        request->status_seq = item->entry.seq;
    }
    if (item->entry.type == EVENT_STARTED) {
        request->webhooks_revision = revision_of(work);
        if (request->started_processing_at == USEC_NONE)
            request->started_processing_at = item->entry.time;
    }
    if (item->kind == SETTLE_REPLY) {
        struct reply *replies = arena_array(work->arena, struct reply, (size_t)request->reply_count + 1);

        memcpy(replies, request->replies, sizeof(*replies) * (size_t)request->reply_count);
        replies[request->reply_count++] = (struct reply){ item->webhook_id, item->eligible };
        request->replies = replies;
    }
}

/* The work goes on from what is now on record, as whoever reads that event would. */
static void work_goes_on(struct engine *engine, struct work *work, const struct settle_item *item)
{
    /* Not facts beside the run, such as a late reply: what was decided before may still be to be seen to. */
    if (item->entry.status != PR_NONE || plan_is_run(item->entry.type))
        intake_overtake(engine->intake, work->request_id, item->entry.seq);
    work->type = item->entry.type;
    work->seq = item->entry.seq;
    work->cause = arena_printf(work->arena, "%s.%lld", work->request_id, (long long)work->seq);
    work->first_step = false;
    if (plan_is_run(work->type))
        work->kind = WORK_EVENT;
}

/* The work stays open until it comes back. */
static void look_again(struct engine *engine, struct work *work)
{
    if (work->tries > TRIES_MAX) {
        log_error("engine.lost_too_often", log_id("request", work->request_id));
        work_fail(work, DEAD_INTERNAL, "others were faster each time");
        return;
    }
    work_open(work);
    intake_submit(engine->intake, work);
}

static void decided(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;

    if (!won) {
        look_again(engine, work); /* somebody was faster */
        return;
    }
    request_advance(work, item);
    work_goes_on(engine, work, item);
    follow(engine, work);
}

static struct settle_item *decision_new(struct engine *engine, struct work *work, enum settle_kind kind,
                                        const struct plan_step *step)
{
    struct settle_item *item = item_new(work, kind, decided, engine);

    item->entry.expected = work->request->seq;
    item->entry.status = step->status;
    item->entry.type = step->event;
    return item;
}

static void do_reply(struct engine *engine, struct work *work, const struct plan_step *step)
{
    bool counts = step->kind == PLAN_REPLY;
    struct settle_item *item = decision_new(engine, work, counts ? SETTLE_REPLY : SETTLE_ENTRY, step);
    const struct catalog_webhook *webhook = catalog_webhook_by_id(work->catalog, step->webhook_id);
    struct event_webhook names = { .webhook_id = step->webhook_id, .webhook_key = webhook ? webhook->key : NULL };

    item->webhook_id = step->webhook_id;
    item->eligible = step->eligible;
    item->entry.payload =
        event_reply(work->arena, work->request_id, &names, step->eligible, step->status, step->word);
    settle_submit(engine->parts.settle, item);
}

static void do_approve(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_APPROVE, step);
    struct event_webhook names;

    if (step->webhook)
        names = webhook_names(step->webhook, NULL);
    item->version = work->catalog->version;
    item->entry.payload =
        event_approved(work->arena, work->request_id, "webhooks", NULL, step->webhook ? &names : NULL);
    settle_submit(engine->parts.settle, item);
}

static void do_move(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_ENTRY, step);
    struct arena *arena = work->arena;
    const char *id = work->request_id;

    if (step->kind == PLAN_FAIL)
        item->entry.payload = event_failed(arena, id, step->checkpoint, step->word, step->message);
    else if (step->event == EVENT_STARTED)
        item->entry.payload = event_started(arena, id, revision_of(work), NULL);
    else
        item->entry.payload = event_status(arena, id, step->status);
    settle_submit(engine->parts.settle, item);
}

/* --- decisions: a run -------------------------------------------------------------------------------- */

static void do_call(struct engine *engine, struct work *work, const struct plan_step *step);
static void do_hold(struct engine *engine, struct work *work, const struct plan_step *step);

/* As the steps' statement wrote it. */
static void put_step(struct work *work, const struct settle_item *item)
{
    const struct delivery *stood = request_delivery(work->request, item->delivery_id);
    int attempts = stood ? stood->attempts : 0;

    request_put_delivery(work->request,
                         &(struct delivery){
                             .id = item->delivery_id,
                             .webhook_id = item->webhook_id,
                             .kind = item->webhook_kind,
                             .state = item->state,
                             .attempts = attempts,
                             .base = attempts,
                             .run = item->run,
                             .due_at = item->due_at,
                             .created_at = stood ? stood->created_at : item->entry.time,
                             .settled_at = item->due_at == USEC_NONE ? item->entry.time : USEC_NONE,
                             .sealed_derived = stood ? stood->sealed_derived : (struct bytes){ 0 },
                         });
}

/* The call that was owed is made at once, by whoever owed it: its lease runs. To a paused endpoint it is owed too, and
 * held. */
static void stepped(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;
    struct plan_step call = { .word = "endpoint_paused" };

    if (!won) {
        look_again(engine, work);
        return;
    }
    put_step(work, item);
    request_advance(work, item);
    work_goes_on(engine, work, item);
    if (item->state == DELIVERY_SKIPPED) {
        follow(engine, work);
        return;
    }
    call.delivery = request_delivery(work->request, item->delivery_id);
    call.webhook = catalog_webhook_by_id(work->catalog, item->webhook_id);
    call.kind = call.webhook->connection->paused ? PLAN_HOLD : PLAN_CALL;
    (call.kind == PLAN_HOLD ? do_hold : do_call)(engine, work, &call);
}

static struct settle_item *step_new(struct engine *engine, struct work *work, const struct plan_step *step,
                                    enum delivery_state state)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_STEP, step);

    item->done = stepped;
    item->version = work->catalog->version;
    item->delivery_id = step->delivery ? step->delivery->id
                                       : event_delivery_id(work->arena, work->request_id, step->webhook_id);
    item->webhook_id = step->webhook_id;
    item->webhook_kind = step->webhook ? step->webhook->kind : step->delivery->kind;
    item->connection_id = step->webhook ? step->webhook->connection->id : "";
    item->state = state;
    item->run = work->request->run;
    return item;
}

static struct event_webhook step_names(const struct settle_item *item, const struct plan_step *step)
{
    return (struct event_webhook){ .webhook_id = item->webhook_id,
                                   .webhook_key = step->webhook ? step->webhook->key : NULL,
                                   .delivery_id = item->delivery_id,
                                   .kind = webhook_kind_word(item->webhook_kind),
                                   .connection_id = step->webhook ? item->connection_id : NULL };
}

static void do_step(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = step_new(engine, work, step, DELIVERY_WAITING);
    struct event_webhook names = step_names(item, step);

    item->due_at = item->entry.time + engine->parts.lease;
    item->entry.payload =
        step->event == EVENT_STARTED
            ? event_started(work->arena, work->request_id, revision_of(work), &names)
            : event_webhook(work->arena, work->request_id, &names, NULL);
    settle_submit(engine->parts.settle, item);
}

static void do_skip(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = step_new(engine, work, step, DELIVERY_SKIPPED);
    struct event_webhook names = step_names(item, step);

    item->outcome = step->word;
    item->entry.payload = event_webhook(work->arena, work->request_id, &names, step->word);
    settle_submit(engine->parts.settle, item);
}

static const char *keys_of(struct arena *arena, const struct catalog_webhook *webhooks, int count)
{
    const char *keys = "";

    for (int i = 0; i < count; i++)
        keys = arena_printf(arena, "%s%s%s", keys, i ? "," : "", webhooks[i].key);
    return keys;
}

static void changed(void *context, struct settle_item *item, bool won)
{
    if (won)
        item->work->request->webhooks_revision = revision_of(item->work);
    decided(context, item, won);
}

static void do_changed(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_ENTRY, step);
    const struct catalog_policy *policy = policy_of(work);

    item->done = changed;
    item->entry.payload =
        event_webhooks_changed(work->arena, work->request_id, policy->webhooks_revision,
                               keys_of(work->arena, policy->pre, policy->pre_count),
                               keys_of(work->arena, policy->post, policy->post_count));
    settle_submit(engine->parts.settle, item);
}

static void do_pause(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_ENTRY, step);
    struct event_webhook names = { .webhook_id = step->webhook_id,
                                   .webhook_key = step->webhook ? step->webhook->key : NULL,
                                   .delivery_id = step->delivery->id,
                                   .kind = webhook_kind_word(step->delivery->kind) };

    item->entry.payload = event_paused(work->arena, work->request_id, &names,
                                       item->entry.time + engine->parts.config->pause_life);
    settle_submit(engine->parts.settle, item);
}

static void do_resume(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_ENTRY, step);
    struct event_webhook names = { .webhook_id = step->webhook_id };

    item->entry.payload =
        event_resumed(work->arena, work->request_id, step->status, "system", &names, NULL);
    settle_submit(engine->parts.settle, item);
}

/* --- what people are asked for ----------------------------------------------------------------------- */

static void asked(void *context, struct settle_item *item, bool won)
{
    if (won && item->entry.type == EVENT_INPUT_REQUIRED)
        item->work->request->input_awaited = item->outcome;
    decided(context, item, won);
}

static void do_input(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_ENTRY, step);

    item->done = asked;
    item->outcome = step->word;
    item->entry.payload =
        step->kind == PLAN_INPUT
            ? event_input_required(work->arena, work->request_id, step->status, step->word)
            : event_input_completed(work->arena, work->request_id, "system", NULL);
    settle_submit(engine->parts.settle, item);
}

/* --- tasks: collections and packages ----------------------------------------------------------------- */

static void add_member(json_object *object, const char *name, const char *value)
{
    if (value)
        json_object_object_add(object, name, json_object_new_string(value));
}

static json_object *task_json(const struct task *task)
{
    json_object *object = json_object_new_object(), *needs;

    add_member(object, "id", task->id);
    add_member(object, "action", task_action_word(task->action));
    add_member(object, "connection_key", task->connection_key);
    add_member(object, "dataset", task->dataset);
    add_member(object, "collection", task->collection);
    json_object_object_add(object, "place", json_object_new_int(task->place));
    json_object_object_add(object, "run", json_object_new_int(task->run));
    if (!task->need_count)
        return object;
    needs = json_object_new_array();
    for (int i = 0; i < task->need_count; i++)
        json_object_array_add(needs, json_object_new_string(task->needs[i]));
    json_object_object_add(object, "needs", needs);
    return object;
}

static const char *tasks_json(const struct plan_step *step, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *list = json_object_new_array();

    for (int i = 0; i < step->task_count; i++)
        json_object_array_add(list, task_json(&step->tasks[i]));
    return arena_strdup(arena, json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN));
}

static const char *seal_text(const struct work *work, const char *what, const char *owner, struct bytes sealed)
{
    struct bytes plain = { 0 };
    struct err err;

    if (sealed.data && seal_open(&work->key, what, owner, sealed, work->arena, &plain, &err) < 0)
        log_err("engine.unreadable", &err, log_id("request", work->request_id), log_word("what", what));
    return plain.data;
}

/* Who filled something in for an access, with the key that the package shows it by. */
static void job_take_inputs(struct job *job, const struct work *work)
{
    const struct request *request = work->request;
    struct job_input *inputs = arena_array(job->arena, struct job_input, (size_t)request->input_count);

    job->inputs = inputs;
    for (int i = 0; i < work->catalog->connection_count; i++) {
        const struct catalog_connection *connection = &work->catalog->connections[i];
        const struct input *input =
            connection->manual ? request_input(request, connection->manual->id, "access") : NULL;

        if (!input || connection->disabled || !connection->does_access)
            continue;
        inputs[job->input_count++] = (struct job_input){
            .connection_key = connection->key,
            .webhook_id = connection->manual->id,
            .sealed = { arena_memdup(job->arena, input->sealed.data, input->sealed.length), input->sealed.length },
        };
    }
}

static struct task task_dup(const struct task *task, struct arena *arena)
{
    struct task copy = *task;
    const char **needs = arena_array(arena, const char *, (size_t)task->need_count);

    for (int i = 0; i < task->need_count; i++)
        needs[i] = arena_strdup(arena, task->needs[i]);
    copy.needs = needs;
    copy.id = arena_strdup(arena, task->id);
    copy.connection_key = arena_strdup(arena, task->connection_key);
    copy.dataset = arena_strdup(arena, task->dataset);
    copy.collection = arena_strdup(arena, task->collection);
    copy.worker = arena_strdup(arena, task->worker);
    copy.attempt = arena_strdup(arena, task->attempt);
    copy.message = arena_strdup(arena, task->message);
    copy.erase_xid = arena_strdup(arena, task->erase_xid);
    return copy;
}

static void job_take_tasks(struct job *job, const struct request *request)
{
    struct task *tasks = arena_array(job->arena, struct task, (size_t)request->task_count);

    for (int i = 0; i < request->task_count; i++)
        tasks[i] = task_dup(&request->tasks[i], job->arena);
    job->tasks = tasks;
    job->task_count = request->task_count;
}

/* A job outlives its work: it has copies of all that it needs. */
static struct job *job_make(struct engine *engine, const struct work *work, const struct task *task)
{
    const struct request *request = work->request;
    struct job *job = job_new(engine->parts.config, engine->parts.ring, work->catalog);
    const char *identity = NULL;
    struct err err;

    if (payload_identity(request, &work->key, &identity, &err) < 0)
        log_err("engine.unreadable", &err, log_id("request", work->request_id), log_word("what", "identity"));
    job->request_id = arena_strdup(job->arena, work->request_id);
    job->policy = catalog_policy_by_id(work->catalog, request->policy_id);
    job->key = work->key;
    job->identity = arena_strdup(job->arena, identity ? identity : "{}");
    job->encryption_key = arena_strdup(
        job->arena, seal_text(work, "encryption_key", request->id, request->sealed_encryption_key));
    job->requested_at = request->requested_at;
    job->attempt = event_row_id(job->arena, "try");
    job->traceparent = arena_strdup(job->arena, work->traceparent);
    job->cause = arena_strdup(job->arena, work->cause);
    job->task = task_dup(task, job->arena);
    job_take_tasks(job, request);
    if (task->action == TASK_PACKAGE)
        job_take_inputs(job, work);
    return job;
}

static void task_begin(struct engine *engine, struct work *work, const struct task *task)
{
    if (intake_is_careful(engine->intake))
        return; /* its lease ends, and it is begun when nobody is watched any more */
    if (work->has_key)
        execute_submit(engine->execute, job_make(engine, work, task));
    else
        log_error("engine.no_key", log_id("request", work->request_id)); /* the lease ends, and it is looked at anew */
}

static void planned(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;
    const struct plan_step *step = item->step;

    if (!won) {
        look_again(engine, work);
        return;
    }
    for (int i = 0; i < step->task_count; i++) {
        struct task task = step->tasks[i];

        task.due_at = task.need_count ? USEC_NONE : item->due_at;
        request_put_task(work->request, &task);
    }
    request_advance(work, item);
    work_goes_on(engine, work, item);
    for (int i = 0; i < step->task_count; i++)
        if (!step->tasks[i].need_count)
            task_begin(engine, work, &step->tasks[i]);
}

/* A task's place in its plan, by its id. */
struct place {
    const char *id;
    int place;
    UT_hash_handle hh;
};

static struct place *places_of(const struct plan_step *step, struct arena *arena)
{
    struct place *places = NULL, *list = arena_array(arena, struct place, (size_t)step->task_count);

    for (int i = 0; i < step->task_count; i++) {
        list[i] = (struct place){ .id = step->tasks[i].id, .place = i };
        HASH_ADD_KEYPTR(hh, places, list[i].id, strlen(list[i].id), &list[i]);
    }
    return places;
}

static void tell_needs(const struct task *task, struct place *places, struct event_plan_task *told, struct arena *arena)
{
    int *needs = arena_array(arena, int, (size_t)task->need_count);

    for (int i = 0; i < task->need_count; i++) {
        struct place *place;

        HASH_FIND_STR(places, task->needs[i], place);
        if (place) /* always: a task needs others of its own plan */
            needs[told->need_count++] = place->place;
    }
    told->needs = needs;
}

/* As the event tells them. */
static const struct event_plan_task *plan_told(const struct plan_step *step, struct arena *arena)
{
    struct event_plan_task *told = arena_array(arena, struct event_plan_task, (size_t)step->task_count);
    struct place *places = places_of(step, arena);

    for (int i = 0; i < step->task_count; i++) {
        const struct task *task = &step->tasks[i];

        told[i] = (struct event_plan_task){
            .id = task->id, .dataset = task->dataset, .connection_key = task->connection_key
        };
        tell_needs(task, places, &told[i], arena);
    }
    HASH_CLEAR(hh, places);
    return told;
}

static void do_tasks(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = decision_new(engine, work, SETTLE_PLAN, step);

    item->done = planned;
    item->step = arena_memdup(work->arena, step, sizeof(*step));
    item->version = work->catalog->version;
    item->tasks = tasks_json(step, work->arena);
    item->due_at = item->entry.time + ENGINE_TASK_LEASE;
    item->entry.payload =
        event_tasks_planned(work->arena, work->request_id, task_action_word(step->tasks[0].action),
                            plan_told(step, work->arena), step->task_count, step->skips, step->skip_count);
    settle_submit(engine->parts.settle, item);
}

static void leased(void *context, struct settle_item *item, bool won)
{
    const struct task *task = request_task(item->work->request, item->task_id);
    struct task held;

    if (!won || !task || item->due_at == USEC_NONE)
        return;
    held = *task;
    held.due_at = item->due_at;
    request_put_task(item->work->request, &held);
    task_begin(context, item->work, &held);
}

static void do_task(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = item_new(work, SETTLE_LEASE, leased, engine);

    item->task_id = step->task->id;
    item->run = work->request->run;
    item->claimed = work->kind == WORK_TASK && work->task_id && !strcmp(work->task_id, step->task->id);
    item->due_at = step->kind == PLAN_TASK ? item->entry.time + ENGINE_TASK_LEASE : USEC_NONE;
    settle_submit(engine->parts.settle, item);
}

/* What a failed try leads to: another, while the schedule has one. */
static usec_t next_try(const struct engine *engine, const struct job *job, usec_t now)
{
    const struct retry_rule rule = { .schedule = engine->parts.config->task_retry_schedule,
                                     .jitter_percent = (int)engine->parts.config->webhook_retry_jitter };

    return retry_next(&rule, job->task.tries + 1, 0, USEC_NONE, chance(), now);
}

static const struct {
    enum task_state state;
    enum event_type event;
} results[] = {
    [JOB_COMPLETE] = { TASK_COMPLETE, EVENT_TASK_COMPLETED },
    [JOB_SKIPPED] = { TASK_SKIPPED, EVENT_TASK_SKIPPED },
    [JOB_RETRY] = { TASK_WAITING, EVENT_TASK_RETRIED },
    [JOB_FAILED] = { TASK_FAILED, EVENT_TASK_FAILED },
};

static const char *rule_key_of(const struct task *task)
{
    return task->action == TASK_PACKAGE ? strchr(task->id, ':') + 1 : NULL;
}

static const char *task_event(struct work *work, const struct job *job, const struct settle_item *item)
{
    const struct task *task = &job->task;
    const struct job_outcome *outcome = &job->outcome;
    const struct event_package package = {
        outcome->storage_key, outcome->format, outcome->location, outcome->bytes, outcome->encrypted
    };

    return event_task(work->arena, work->request_id,
                      &(struct event_task){
                          .task_id = task->id,
                          .action = task_action_word(task->action),
                          .connection_key = task->connection_key,
                          .dataset = task->dataset,
                          .collection = task->collection,
                          .rule_key = rule_key_of(task),
                          .attempt_id = item->attempt_id,
                          .message = outcome->message,
                          .row_count = outcome->result == JOB_COMPLETE ? outcome->row_count : -1,
                          .fields = outcome->fields,
                          .next_try_at = item->due_at,
                          .package = outcome->location ? &package : NULL,
                      });
}

static void put_result(struct work *work, const struct settle_item *item)
{
    const struct task *stood = request_task(work->request, item->task_id);
    struct task task;

    if (!stood)
        return;
    task = *stood;
    task.state = item->task_state;
    task.due_at = item->due_at;
    task.tries++;
    task.attempt = item->attempt_id;
    task.row_count = item->outcome_of->row_count;
    task.message = item->outcome_of->message;
    request_put_task(work->request, &task);
}

/* As attempted(): the run goes on from what is on record. */
static void task_settled(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;
    bool alone = item->entry.seq == work->request->seq + 1;

    if (!won)
        return; /* its lease had ended, and somebody else has done it */
    put_result(work, item);
    request_advance(work, item);
    work_goes_on(engine, work, item);
    if (!plan_is_run(work->type))
        return;
    if (alone && work->catalog == intake_catalog(engine->intake))
        follow(engine, work);
    else
        look_again(engine, work);
}

/* A job is done, and its request looked up anew. One that was stopped leaves its lease to end. */
static void settle_job(struct engine *engine, struct work *work)
{
    struct job *job = work->job;
    struct settle_item *item = item_new(work, SETTLE_TASK, task_settled, engine);

    if (job->outcome.result == JOB_RETRY) {
        item->due_at = next_try(engine, job, item->entry.time);
        if (item->due_at == USEC_NONE)
            job->outcome.result = JOB_FAILED;
    }
    item->task_id = job->task.id;
    item->run = job->task.run;
    item->task_state = results[job->outcome.result].state;
    item->entry.type = results[job->outcome.result].event;
    item->outcome_of = &job->outcome;
    item->attempt_id = job->attempt;
    item->rule_key = rule_key_of(&job->task);
    item->entry.payload = task_event(work, job, item);
    settle_submit(engine->parts.settle, item);
}

void engine_take_job(void *context, struct job *job)
{
    struct engine *engine = context;
    struct work *work;

    if (atomic_load(&job->canceled) && job->outcome.result == JOB_RETRY) {
        job_free(job);
        return;
    }
    work = work_new(WORK_TASK, job->request_id, NULL, NULL);
    work->job = job;
    work->cause = arena_strdup(work->arena, job->cause);
    work->traceparent = arena_strdup(work->arena, job->traceparent);
    intake_submit(engine->intake, work);
}

/* --- deliveries -------------------------------------------------------------------------------------- */

static int on_prepare(void *context, struct call *call, struct curl_slist **headers, const char **body,
                      size_t *length, struct err *err);
static void on_parked(void *context, struct call *call, usec_t due_at);

/* While events are handled with care none waits for an endpoint: what is sent is made, as that may be what kills, and
 * the call is left to the clock. */
static void call_later(struct engine *engine, struct call *call)
{
    struct curl_slist *headers; /* the work's arena's, like the body */
    const char *body;
    size_t length;
    struct err err;

    if (on_prepare(engine, call, &headers, &body, &length, &err) < 0)
        log_err("engine.not_sendable", &err, log_id("request", call->work->request_id));
    on_parked(engine, call, usec_now());
}

static void do_call(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct call *call = arena_new_of(work->arena, struct call);

    call->work = work;
    call->delivery = step->delivery;
    call->webhook = step->webhook;
    call->started_at = usec_now();
    work_open(work);
    if (intake_is_careful(engine->intake))
        call_later(engine, call);
    else
        dispatch_submit(engine->dispatch, call);
}

static struct settle_item *delivery_item(struct work *work, enum settle_kind kind, const struct delivery *delivery,
                                         enum delivery_state state)
{
    struct settle_item *item = item_new(work, kind, NULL, NULL);

    item->delivery_id = delivery->id;
    item->state = state;
    return item;
}

/* Looked at anew, by the configuration as it is then: this one has moved. */
static void held(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    const struct delivery *delivery = request_delivery(item->work->request, item->delivery_id);
    struct settle_item *again;

    if (won || !delivery)
        return;
    again = delivery_item(item->work, SETTLE_PARK, delivery, DELIVERY_WAITING);
    again->due_at = again->entry.time;
    settle_submit(engine->parts.settle, again);
}

static void do_hold(struct engine *engine, struct work *work, const struct plan_step *step)
{
    bool hold = step->kind == PLAN_HOLD;
    struct settle_item *item =
        delivery_item(work, SETTLE_DELIVERY, step->delivery, hold ? DELIVERY_HELD : DELIVERY_WAITING);
    struct event_webhook names = webhook_names(step->webhook, step->delivery);

    item->due_at = hold ? USEC_NONE : item->entry.time;
    item->entry.type = hold ? EVENT_WEBHOOK_HELD : EVENT_WEBHOOK_RELEASED;
    item->entry.payload = event_webhook(work->arena, work->request_id, &names, step->word);
    if (hold) {
        item->version = work->catalog->version;
        item->done = held;
        item->context = engine;
    }
    settle_submit(engine->parts.settle, item);
}

/* The time of its reminder has come, and nobody is waited for. */
static void do_quiet(struct engine *engine, struct work *work, const struct plan_step *step)
{
    settle_submit(engine->parts.settle,
                  delivery_item(work, SETTLE_PARK, step->delivery, DELIVERY_DELIVERED));
}

static void do_drop(struct engine *engine, struct work *work, const struct plan_step *step)
{
    bool replied = !strcmp(step->word, "replied");
    struct settle_item *item = delivery_item(work, SETTLE_DELIVERY, step->delivery,
                                             replied ? DELIVERY_DELIVERED : DELIVERY_GIVEN_UP);
    const struct catalog_webhook *webhook = catalog_webhook_by_id(work->catalog, step->delivery->webhook_id);
    struct event_webhook names = { .webhook_id = step->delivery->webhook_id,
                                   .webhook_key = webhook ? webhook->key : NULL,
                                   .delivery_id = step->delivery->id,
                                   .kind = webhook_kind_word(step->delivery->kind) };

    item->outcome = step->word;
    item->entry.type = EVENT_WEBHOOK_WITHDRAWN;
    item->entry.payload = event_webhook(work->arena, work->request_id, &names, step->word);
    settle_submit(engine->parts.settle, item);
}

static void do_owe(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = item_new(work, SETTLE_OWE, NULL, NULL);
    struct event_webhook names = webhook_names(step->webhook, NULL);

    names.delivery_id = event_delivery_id(work->arena, work->request_id, step->webhook->id);
    names.connection_id = step->webhook->connection->id;
    item->delivery_id = names.delivery_id;
    item->webhook_id = step->webhook->id;
    item->connection_id = step->webhook->connection->id;
    item->entry.type = EVENT_WEBHOOK_OWED;
    item->entry.payload = event_webhook(work->arena, work->request_id, &names, NULL);
    settle_submit(engine->parts.settle, item);
}

/* --- carrying out ------------------------------------------------------------------------------------ */

static void (*const acts[])(struct engine *engine, struct work *work, const struct plan_step *step) = {
    [PLAN_CALL] = do_call,       [PLAN_HOLD] = do_hold,   [PLAN_RELEASE] = do_hold, [PLAN_DROP] = do_drop,
    [PLAN_OWE] = do_owe,         [PLAN_REPLY] = do_reply, [PLAN_IGNORE] = do_reply, [PLAN_APPROVE] = do_approve,
    [PLAN_MOVE] = do_move,       [PLAN_FAIL] = do_move,   [PLAN_STEP] = do_step,    [PLAN_SKIP] = do_skip,
    [PLAN_CHANGED] = do_changed, [PLAN_PAUSE] = do_pause, [PLAN_RESUME] = do_resume, [PLAN_QUIET] = do_quiet,
    [PLAN_TASKS] = do_tasks,     [PLAN_TASK] = do_task,   [PLAN_IDLE] = do_task,    [PLAN_INPUT] = do_input,
    [PLAN_GO_ON] = do_input,
};

static void carry_out(struct engine *engine, struct work *work)
{
    for (int i = 0; i < engine->plan.count; i++)
        acts[engine->plan.steps[i].kind](engine, work, &engine->plan.steps[i]);
}

/* The names of the identity's values, for the walk through the datasets; its values stay sealed until they are read
 * by. Only where a run may need them. */
static void open_identity_keys(struct engine *engine, struct work *work)
{
    _cleanup_(json_object_putp) json_object *object = NULL;
    struct request *request = work->request;
    const char *identity = NULL, **keys;
    struct err err;

    if (request->status != PR_IN_PROCESSING || !request->key_id)
        return;
    if (!work->has_key) {
        if (payload_key(request, engine->parts.ring, &work->key, &err) < 0) {
            log_err("engine.unreadable", &err, log_id("request", work->request_id), log_word("what", "key"));
            return;
        }
        work->has_key = true;
    }
    if (!work->catalog->dataset_count || payload_identity(request, &work->key, &identity, &err) < 0 || !identity)
        return;
    object = json_tokener_parse(identity);
    keys = arena_array(work->arena, const char *, (size_t)json_object_object_length(object));
    request->identity_keys = (struct dataset_texts){ .texts = keys };
    json_object_object_foreach(object, name, value)
        if (value)
            keys[request->identity_keys.count++] = arena_strdup(work->arena, name);
}

/* A step is on record: what follows from it. */
static void follow(struct engine *engine, struct work *work)
{
    open_identity_keys(engine, work);
    if (work->type == EVENT_ELIGIBLE)
        plan_reply(work->webhook_id, true, work->request, work->catalog, &engine->plan);
    else
        plan_event(work->type, work->seq, work->request, work->catalog, &engine->plan);
    carry_out(engine, work);
}

static void plan_work(struct engine *engine, const struct work *work)
{
    struct plan *plan = &engine->plan;
    const struct delivery *delivery;
    const struct task *task;

    plan->count = 0;
    switch (work->kind) {
    case WORK_EVENT:
        plan_event(work->type, work->seq, work->request, work->catalog, plan);
        break;
    case WORK_REPLY:
        plan_reply(work->webhook_id, work->eligible, work->request, work->catalog, plan);
        break;
    case WORK_DELIVERY:
        delivery = request_delivery(work->request, work->delivery_id);
        if (delivery)
            plan_delivery(delivery, work->request, work->catalog, plan);
        break;
    case WORK_REVIEW:
        plan_review(work->request, work->catalog, plan);
        break;
    case WORK_TIMER:
        plan_timer(work->request, plan);
        break;
    case WORK_TASK:
        task = request_task(work->request, work->task_id);
        if (task)
            plan_task(task, work->request, work->catalog, plan);
        break;
    }
}

/* An event is on record before it is on the topic: one that is not is of a database that is no more, or never was. */
static bool is_unknown(struct work *work)
{
    if (!work->request) {
        log_warn("engine.unknown_request", log_id("request", work->request_id));
        work_fail(work, DEAD_UNKNOWN_REQUEST, "its request is not in the database");
        return true;
    }
    if (work->kind != WORK_EVENT || work->seq <= work->request->seq)
        return false;
    log_warn("engine.unknown_event", log_id("request", work->request_id), log_number("seq", work->seq));
    work_fail(work, DEAD_UNKNOWN_EVENT, "ce_sequence is beyond what the database has");
    return true;
}

void engine_take(void *context, struct work *work)
{
    struct engine *engine = context;

    TRIGGER_NOW(work);
    if (is_unknown(work)) {
        /* told by it */
    } else if (work->job && !work->job_settled) {
        work->job_settled = true;
        settle_job(engine, work);
    } else {
        open_identity_keys(engine, work);
        plan_work(engine, work);
        carry_out(engine, work);
    }
    work_close(work);
}

/* --- calls ------------------------------------------------------------------------------------------- */

static int on_prepare(void *context, struct call *call, struct curl_slist **headers, const char **body,
                      size_t *length, struct err *err)
{
    struct engine *engine = context;
    struct work *work = call->work;
    const struct request *request = work->request;
    struct payload_call payload;
    int r;

    if (!work->has_key) {
        r = payload_key(request, engine->parts.ring, &work->key, err);
        if (r < 0)
            return r;
        work->has_key = true;
    }
    payload = (struct payload_call){
        .request = request,
        .delivery = call->delivery,
        .webhook = call->webhook,
        .policy = catalog_policy_by_id(work->catalog, request->policy_id),
        .key = &work->key,
        .bearer = call->bearer,
        .traceparent = work->traceparent,
        .now = call->started_at,
    };
    r = payload_body(&payload, body, length, &call->disclosed, err);
    if (r < 0)
        return r;
    return payload_headers(&payload, *body, *length, engine->parts.tokens, headers, &call->header_names, err);
}

/* What an attempt means: for its delivery (delivered, tried again at a time, given up), and for the run. */
struct judgement {
    const struct engine *engine;
    const struct call *call;
    const struct http_answer *answer;
    struct settle_item *item;
    struct event_attempt *event;
};

static struct retry_rule rule_of(const struct judgement *judgement)
{
    struct retry_rule rule = judgement->engine->retry;
    const struct catalog_connection *connection = judgement->call->webhook->connection;

    if (connection->retry)
        rule.schedule = *connection->retry;
    return rule;
}

static bool is_two_way(const struct call *call)
{
    return call->webhook->kind != WEBHOOK_PRE_APPROVAL && call->webhook->two_way && !call->delivery->redelivery;
}

/* Sealed like everything about a person. */
static void keep_derived(const struct judgement *judgement, const struct answer *answer)
{
    struct work *work = judgement->call->work;

    if (!answer->derived || !work->has_key)
        return;
    judgement->item->derived = seal_close(&work->key, "derived", judgement->item->delivery_id,
                                          (struct bytes){ answer->derived, strlen(answer->derived) }, work->arena);
    judgement->event->derived = answer->derived_names;
}

static void judge_success(const struct judgement *judgement)
{
    const struct call *call = judgement->call;
    struct settle_item *item = judgement->item;
    struct answer answer;
    struct err err;

    item->state = DELIVERY_DELIVERED;
    if (!is_two_way(call))
        return;
    if (answer_read(judgement->answer->body, judgement->answer->body_length, judgement->answer->body_cut,
                    call->webhook->key, call->work->arena, &answer, &err) < 0) {
        item->state = DELIVERY_GIVEN_UP;
        item->outcome = "bad_answer";
        item->problem = arena_strdup(call->work->arena, err.text);
        judgement->event->problem = item->problem;
        return;
    }
    item->halted = answer.halt && call->webhook->kind == WEBHOOK_PRE;
    judgement->event->halt = item->halted;
    keep_derived(judgement, &answer);
}

/* What no other attempt can change: the address may not be called, or is none. Of the token's endpoint too. */
static bool is_hopeless(const char *outcome)
{
    static const char *const words[] = { "address_blocked", "bad_url", "token_address_blocked", "token_bad_url" };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcmp(words[i], outcome))
            return true;
    return false;
}

static void judge_failure(const struct judgement *judgement)
{
    const struct http_answer *answer = judgement->answer;
    const struct call *call = judgement->call;
    const struct delivery *delivery = call->delivery;
    struct settle_item *item = judgement->item;
    struct retry_rule rule = rule_of(judgement);
    usec_t due_date = call->work->request->due_date, now = item->entry.time;

    if (answer->status == 401 && call->bearer_was_cached)
        item->due_at = now; /* the token may have aged: once more with a fresh one */
    else if (!is_hopeless(answer->outcome) && retry_is_worth(answer->status))
        item->due_at = retry_next(&rule, item->attempt - delivery->base, answer->retry_after,
                                  due_date > now ? due_date : USEC_NONE, chance(), now);
    item->state = item->due_at == USEC_NONE ? DELIVERY_GIVEN_UP : DELIVERY_WAITING;
    /* Where there was no answer, the contract counts it as a 500. */
    item->problem = arena_printf(call->work->arena, "Webhook '%s' returned an error: Client call failed with status "
                                 "code '%d'", call->webhook->key, answer->status ? answer->status : 500);
}

/* 410: the endpoint is gone for good, until somebody says otherwise. Who waits for it is held, but for a run that
 * makes one attempt only, or that goes on whatever the answer. */
static void judge_gone(const struct judgement *judgement)
{
    const struct retry_rule rule = rule_of(judgement);
    struct settle_item *item = judgement->item;

    judge_failure(judgement);
    if (rule.schedule.count && (judgement->call->webhook->kind == WEBHOOK_PRE_APPROVAL || is_two_way(judgement->call)))
        item->state = DELIVERY_HELD;
}

/* An answer of any status lets the run go on past a one_way call; a two_way one needs a good answer. */
static bool is_passing(const struct judgement *judgement)
{
    const struct call *call = judgement->call;

    if (call->webhook->kind == WEBHOOK_PRE_APPROVAL || call->delivery->redelivery || call->delivery->passed)
        return false;
    return is_two_way(call) ? judgement->item->state == DELIVERY_DELIVERED : judgement->answer->status != 0;
}

static enum event_type judged_type(const struct judgement *judgement)
{
    const struct settle_item *item = judgement->item;

    if (judgement->answer->status == 410)
        return EVENT_ENDPOINT_PAUSED;
    if (item->passed)
        return EVENT_WEBHOOK_ANSWERED;
    return item->state == DELIVERY_DELIVERED  ? EVENT_WEBHOOK_SENT
           : item->state == DELIVERY_GIVEN_UP ? EVENT_WEBHOOK_GIVEN_UP
                                              : EVENT_WEBHOOK_FAILED;
}

/* A call that was delivered before and waits for its reply: whatever came of it, it stays delivered. */
static void judge_reminder(const struct judgement *judgement)
{
    judgement->item->state = DELIVERY_DELIVERED;
    judgement->item->due_at = judgement->item->entry.time + judgement->engine->parts.config->reminder;
    judgement->item->entry.type = EVENT_WEBHOOK_REMINDED;
}

static void judge(const struct judgement *judgement)
{
    const struct engine *engine = judgement->engine;
    struct settle_item *item = judgement->item;

    if (judgement->call->delivery->state == DELIVERY_DELIVERED) {
        judge_reminder(judgement);
        return;
    }
    if (judgement->answer->status / 100 == 2)
        judge_success(judgement);
    else if (judgement->answer->status == 410)
        judge_gone(judgement);
    else
        judge_failure(judgement);
    item->passed = is_passing(judgement);
    item->entry.type = judged_type(judgement);
    if (item->entry.type == EVENT_ENDPOINT_PAUSED) { /* the others' types say it */
        judgement->event->state = delivery_word(item->state);
        judgement->event->passed = item->passed;
    }
    if (item->entry.type == EVENT_WEBHOOK_SENT && judgement->call->webhook->kind == WEBHOOK_PRE_APPROVAL &&
        engine->parts.config->reminder)
        item->due_at = item->entry.time + engine->parts.config->reminder;
}

static void keep_answer(const struct work *work, const struct http_answer *answer, struct settle_item *item)
{
    struct bytes plain = { answer->body, answer->body_length };

    if (answer->location_host[0]) {
        plain.data = arena_printf(work->arena, "redirect to %s", answer->location_host);
        plain.length = strlen(plain.data);
    }
    if (plain.length > ANSWER_KEPT_BYTES)
        plain.length = ANSWER_KEPT_BYTES;
    if (plain.length && work->has_key)
        item->answer = seal_close(&work->key, "answer", item->delivery_id, plain, work->arena);
}

/* The endpoint is paused first: a call that is held for it is then released when it is enabled again. */
static void pause_endpoint(struct engine *engine, const struct call *call)
{
    struct settle_item *item = item_new(call->work, SETTLE_ENDPOINT, NULL, NULL);

    item->connection_id = call->webhook->connection->id;
    log_warn("endpoint.paused", log_id("endpoint", call->webhook->connection->key), log_word("reason", "gone"));
    metric_add(METRIC_ENDPOINTS_PAUSED, METRIC_LABELS(call->webhook->connection->key), 1);
    settle_submit(engine->parts.settle, item);
}

static void put_attempt(struct work *work, const struct settle_item *item)
{
    struct delivery delivery = *request_delivery(work->request, item->delivery_id);

    delivery.state = item->state;
    delivery.attempts = item->attempt;
    delivery.due_at = item->due_at;
    delivery.settled_at = item->entry.time;
    delivery.passed = delivery.passed || item->passed;
    delivery.halted = item->halted;
    delivery.problem = item->problem;
    if (item->derived.data)
        delivery.sealed_derived = item->derived;
    request_put_delivery(work->request, &delivery);
}

/* The attempt is on record: the run goes on from it, unless something else happened to the request meanwhile, or the
 * configuration is another by now. */
static void attempted(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;
    bool alone = item->entry.seq == work->request->seq + 1;

    if (!won)
        return; /* somebody else made the same call, when this one's lease had ended, and goes on */
    put_attempt(work, item);
    request_advance(work, item);
    work_goes_on(engine, work, item);
    if (!plan_is_run(work->type))
        return;
    if (alone && work->catalog == intake_catalog(engine->intake))
        follow(engine, work);
    else
        look_again(engine, work);
}

static void fill_attempt(struct settle_item *item, const struct call *call, const struct http_answer *answer)
{
    struct work *work = call->work;

    item->attempt = call->delivery->attempts + 1;
    item->status_code = answer->status;
    item->outcome = arena_strdup(work->arena, answer->outcome);
    item->started_at = call->started_at;
    item->duration = answer->duration;
    item->address = answer->address[0] ? arena_strdup(work->arena, answer->address) : NULL;
    item->header_names = call->header_names;
    keep_answer(work, answer, item);
}

static void on_answered(void *context, struct call *call, const struct http_answer *answer)
{
    struct engine *engine = context;
    struct work *work = call->work;
    struct settle_item *item = delivery_item(work, SETTLE_ATTEMPT, call->delivery, DELIVERY_WAITING);
    struct event_attempt event = { .webhook = webhook_names(call->webhook, call->delivery) };

    fill_attempt(item, call, answer);
    judge(&(struct judgement){ engine, call, answer, item, &event });
    if (answer->status == 410)
        pause_endpoint(engine, call);
    if (answer->status == 401 && call->bearer_was_cached)
        dispatch_refuse_token(engine->dispatch, call);
    if (item->state == DELIVERY_DELIVERED)
        metric_observe(METRIC_END_TO_END, METRIC_LABELS(event.webhook.kind),
                       item->entry.time - call->delivery->created_at);
    event.attempt = item->attempt;
    event.status_code = item->status_code;
    event.outcome = item->outcome;
    event.duration = item->duration;
    event.next_attempt_at = item->due_at;
    event.disclosed = answer->told ? call->disclosed : NULL;
    item->entry.payload = event_webhook_attempt(work->arena, work->request_id, &event);
    if (call->webhook->kind != WEBHOOK_PRE_APPROVAL) {
        item->done = attempted;
        item->context = engine;
    }
    settle_submit(engine->parts.settle, item);
    work_close(work);
}

static void on_parked(void *context, struct call *call, usec_t due_at)
{
    struct engine *engine = context;
    struct settle_item *item = delivery_item(call->work, SETTLE_PARK, call->delivery, call->delivery->state);

    item->due_at = due_at;
    settle_submit(engine->parts.settle, item);
    work_close(call->work);
}

struct dispatch_outlets engine_outlets(struct engine *engine)
{
    return (struct dispatch_outlets){ engine, on_prepare, on_answered, on_parked };
}

struct engine *engine_new(const struct engine_parts *parts)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    if (!engine)
        abort();
    engine->parts = *parts;
    engine->retry = (struct retry_rule){ .schedule = parts->config->webhook_retry_schedule,
                                         .jitter_percent = (int)parts->config->webhook_retry_jitter,
                                         .retry_after_max = parts->config->webhook_retry_after_max };
    return engine;
}

void engine_connect(struct engine *engine, struct intake *intake, struct dispatch *dispatch, struct execute *execute)
{
    engine->execute = execute;
    engine->intake = intake;
    engine->dispatch = dispatch;
}

void engine_free(struct engine *engine)
{
    free(engine);
}
