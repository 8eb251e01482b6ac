#include "worker/engine.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metric.h"
#include "worker/payload.h"
#include "worker/plan.h"
#include "worker/retry.h"

enum { ANSWER_KEPT_BYTES = 4096, TRIES_MAX = 100 };

struct engine {
    struct engine_parts parts;
    struct retry_rule retry;
    struct intake *intake;
    struct dispatch *dispatch;
    struct plan plan; /* the one being carried out */
};

static void follow(struct engine *engine, struct work *work);

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
    if (item->kind == SETTLE_REPLY) {
        struct reply *replies = arena_array(work->arena, struct reply, (size_t)request->reply_count + 1);

        memcpy(replies, request->replies, sizeof(*replies) * (size_t)request->reply_count);
        replies[request->reply_count++] = (struct reply){ item->webhook_id, item->eligible };
        request->replies = replies;
    }
}

static void decided(void *context, struct settle_item *item, bool won)
{
    struct engine *engine = context;
    struct work *work = item->work;

    if (won) {
        request_advance(work, item);
        work->type = item->entry.type;
        work->seq = item->entry.seq;
        work->cause = arena_printf(work->arena, "%s.%lld", work->request_id, (long long)work->seq);
        follow(engine, work);
        return;
    }
    if (work->tries > TRIES_MAX) {
        log_error("engine.lost_too_often", log_id("request", work->request_id));
        return;
    }
    /* Somebody was faster: look again. The work stays open until it comes back. */
    work_open(work);
    intake_submit(engine->intake, work);
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

    item->entry.payload = step->kind == PLAN_FAIL
                              ? event_failed(work->arena, work->request_id, step->checkpoint, step->word, step->message)
                              : event_status(work->arena, work->request_id, step->status);
    settle_submit(engine->parts.settle, item);
}

/* --- deliveries -------------------------------------------------------------------------------------- */

static void do_call(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct call *call = arena_new_of(work->arena, struct call);

    call->work = work;
    call->delivery = step->delivery;
    call->webhook = step->webhook;
    work_open(work);
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

static void do_hold(struct engine *engine, struct work *work, const struct plan_step *step)
{
    bool hold = step->kind == PLAN_HOLD;
    struct settle_item *item =
        delivery_item(work, SETTLE_DELIVERY, step->delivery, hold ? DELIVERY_HELD : DELIVERY_WAITING);
    struct event_webhook names = webhook_names(step->webhook, step->delivery);

    item->due_at = hold ? USEC_NONE : item->entry.time;
    item->entry.type = hold ? EVENT_WEBHOOK_HELD : EVENT_WEBHOOK_RELEASED;
    item->entry.payload = event_webhook(work->arena, work->request_id, &names, NULL);
    settle_submit(engine->parts.settle, item);
}

static void do_drop(struct engine *engine, struct work *work, const struct plan_step *step)
{
    bool replied = !strcmp(step->word, "replied");
    struct settle_item *item = delivery_item(work, SETTLE_PARK, step->delivery,
                                             replied ? DELIVERY_DELIVERED : DELIVERY_GIVEN_UP);

    item->outcome = step->word;
    settle_submit(engine->parts.settle, item);
}

static void do_owe(struct engine *engine, struct work *work, const struct plan_step *step)
{
    struct settle_item *item = item_new(work, SETTLE_OWE, NULL, NULL);
    struct event_webhook names = webhook_names(step->webhook, NULL);

    names.delivery_id = event_delivery_id(work->arena, work->request_id, step->webhook->id);
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
    [PLAN_MOVE] = do_move,       [PLAN_FAIL] = do_move,
};

static void carry_out(struct engine *engine, struct work *work)
{
    for (int i = 0; i < engine->plan.count; i++)
        acts[engine->plan.steps[i].kind](engine, work, &engine->plan.steps[i]);
}

/* A step is on record: what follows from it. */
static void follow(struct engine *engine, struct work *work)
{
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
    }
}

void engine_take(void *context, struct work *work)
{
    struct engine *engine = context;

    if (work->request) {
        plan_work(engine, work);
        carry_out(engine, work);
    } else {
        log_warn("engine.unknown_request", log_id("request", work->request_id));
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
    r = payload_body(&payload, body, length, err);
    if (r < 0)
        return r;
    return payload_headers(&payload, *body, *length, engine->parts.tokens, headers, &call->header_names, err);
}

static double chance(void)
{
    return (double)randombytes_random() / (double)UINT32_MAX;
}

/* What an attempt means for its delivery: delivered, tried again at a time, or given up. */
static void judge(const struct engine *engine, const struct call *call, const struct http_answer *answer,
                  struct settle_item *item)
{
    bool blocked = !strcmp(answer->outcome, "address_blocked") || !strcmp(answer->outcome, "bad_url");

    if (answer->status / 100 == 2) {
        item->state = DELIVERY_DELIVERED;
        item->entry.type = EVENT_WEBHOOK_SENT;
        return;
    }
    if (!blocked && retry_is_worth(answer->status))
        item->due_at = retry_next(&engine->retry, item->attempt, answer->retry_after,
                                  call->work->request->due_date, chance(), item->entry.time);
    item->state = item->due_at == USEC_NONE ? DELIVERY_GIVEN_UP : DELIVERY_WAITING;
    item->entry.type = item->due_at == USEC_NONE ? EVENT_WEBHOOK_GIVEN_UP : EVENT_WEBHOOK_FAILED;
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

static void on_answered(void *context, struct call *call, const struct http_answer *answer)
{
    struct engine *engine = context;
    struct work *work = call->work;
    struct settle_item *item = delivery_item(work, SETTLE_ATTEMPT, call->delivery, DELIVERY_WAITING);

    item->attempt = call->delivery->attempts + 1;
    item->status_code = answer->status;
    item->outcome = answer->outcome;
    item->started_at = call->started_at;
    item->duration = answer->duration;
    item->address = answer->address[0] ? arena_strdup(work->arena, answer->address) : NULL;
    keep_answer(work, answer, item);
    judge(engine, call, answer, item);
    if (item->state == DELIVERY_DELIVERED)
        metric_observe(METRIC_END_TO_END, METRIC_LABELS("pre_approval"),
                       item->entry.time - call->delivery->created_at);
    item->entry.payload =
        event_webhook_attempt(work->arena, work->request_id,
                              &(struct event_attempt){ .webhook = webhook_names(call->webhook, call->delivery),
                                                       .attempt = item->attempt,
                                                       .status_code = item->status_code,
                                                       .outcome = item->outcome,
                                                       .duration = item->duration,
                                                       .next_attempt_at = item->due_at });
    settle_submit(engine->parts.settle, item);
    work_close(work);
}

static void on_parked(void *context, struct call *call, usec_t due_at)
{
    struct engine *engine = context;
    struct settle_item *item = delivery_item(call->work, SETTLE_PARK, call->delivery, DELIVERY_WAITING);

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

void engine_connect(struct engine *engine, struct intake *intake, struct dispatch *dispatch)
{
    engine->intake = intake;
    engine->dispatch = dispatch;
}

void engine_free(struct engine *engine)
{
    free(engine);
}
