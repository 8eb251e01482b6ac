#include "worker/plan.h"

#include <string.h>

static struct plan_step *step_add(struct plan *plan, enum plan_kind kind)
{
    struct plan_step *step;

    if (plan->count == PLAN_STEPS_MAX)
        plan->count--; /* what does not fit is found again by the next sweep or claim */
    step = &plan->steps[plan->count++];
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    return step;
}

bool plan_concerns(enum event_type type)
{
    return type == EVENT_PRE_APPROVAL_REQUESTED || type == EVENT_APPROVED || type == EVENT_STARTED;
}

void plan_delivery(const struct delivery *delivery, const struct request *request, const struct catalog *catalog,
                   struct plan *plan)
{
    const struct catalog_webhook *webhook = catalog_webhook_by_id(catalog, delivery->webhook_id);
    struct plan_step *step;

    if (delivery->state != DELIVERY_WAITING)
        return;
    step = step_add(plan, PLAN_DROP);
    step->delivery = delivery;
    step->webhook = webhook;
    if (!lifecycle_takes_replies(request->status) || request->deleted)
        step->word = "request_decided";
    else if (!webhook)
        step->word = "webhook_deleted";
    else if (request_reply_of(request, delivery->webhook_id))
        step->word = "replied"; /* the attempt that seemed to fail had arrived */
    else
        step->kind = webhook->connection->disabled ? PLAN_HOLD : PLAN_CALL;
}

/* All calls that the event owes: those not parked, held or settled meanwhile. */
static void plan_calls(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    for (int i = 0; i < request->delivery_count; i++)
        if (request->deliveries[i].due_at == USEC_NONE)
            plan_delivery(&request->deliveries[i], request, catalog, plan);
}

static void plan_move(struct plan *plan, enum pr_status status, enum event_type event)
{
    struct plan_step *step = step_add(plan, PLAN_MOVE);

    step->status = status;
    step->event = event;
}

/* What runs between approval and completion. Nothing is configured that a run would do, so it ends at once. */
static void plan_run(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_policy *policy = catalog_policy_by_id(catalog, request->policy_id);
    struct plan_step *step;

    if (policy && policy->rule_count) {
        plan_move(plan, PR_COMPLETE, EVENT_COMPLETED);
        return;
    }
    step = step_add(plan, PLAN_FAIL);
    step->status = PR_ERROR;
    step->event = EVENT_FAILED;
    step->checkpoint = "pre_webhooks";
    step->word = "Policy validation";
    step->message = arena_printf(request->arena, "Policy with key %s must contain at least one Rule.",
                                 policy ? policy->key : request->policy_id);
}

void plan_event(enum event_type type, int64_t seq, const struct request *request, const struct catalog *catalog,
                struct plan *plan)
{
    plan->count = 0;
    if (type == EVENT_PRE_APPROVAL_REQUESTED)
        plan_calls(request, catalog, plan);
    if (seq != request->status_seq || request->deleted)
        return; /* the request has moved on since */
    if (type == EVENT_APPROVED && request->status == PR_APPROVED)
        plan_move(plan, PR_IN_PROCESSING, EVENT_STARTED);
    if (type == EVENT_STARTED && request->status == PR_IN_PROCESSING)
        plan_run(request, catalog, plan);
}

/* Every webhook that exists said eligible, and there is at least one (lifecycle.md 5.1). */
static bool all_eligible(const struct request *request, const struct catalog *catalog)
{
    for (int i = 0; i < catalog->webhook_count; i++) {
        const struct reply *reply = request_reply_of(request, catalog->webhooks[i].id);

        if (!reply || !reply->eligible)
            return false;
    }
    return catalog->webhook_count > 0;
}

static void plan_approval(const struct request *request, const struct catalog *catalog, const char *last,
                          struct plan *plan)
{
    struct plan_step *step;
    enum pr_status next;

    if (request->deleted || request->status != PR_AWAITING_PRE_APPROVAL ||
        !lifecycle_next(request->status, ON_APPROVE, &next) || !all_eligible(request, catalog))
        return;
    step = step_add(plan, PLAN_APPROVE);
    step->status = next;
    step->event = EVENT_APPROVED;
    step->webhook = last ? catalog_webhook_by_id(catalog, last) : NULL;
}

static void plan_ignore(struct plan *plan, const char *webhook_id, bool eligible, const char *why)
{
    struct plan_step *step = step_add(plan, PLAN_IGNORE);

    step->webhook_id = webhook_id;
    step->eligible = eligible;
    step->word = why;
    step->event = EVENT_REPLY_IGNORED;
}

void plan_reply(const char *webhook_id, bool eligible, const struct request *request,
                const struct catalog *catalog, struct plan *plan)
{
    const struct reply *recorded = request_reply_of(request, webhook_id);
    struct plan_step *step;

    plan->count = 0;
    if (recorded && recorded->eligible == eligible) {
        plan_approval(request, catalog, webhook_id, plan); /* a crash may have come between the two */
        return;
    }
    if (recorded) {
        plan_ignore(plan, webhook_id, eligible, "opposite");
        return;
    }
    if (request->deleted || !lifecycle_takes_replies(request->status)) {
        plan_ignore(plan, webhook_id, eligible, "late");
        return;
    }
    if (!catalog_webhook_by_id(catalog, webhook_id)) {
        plan_ignore(plan, webhook_id, eligible, "webhook_deleted");
        return;
    }
    step = step_add(plan, PLAN_REPLY);
    step->webhook_id = webhook_id;
    step->eligible = eligible;
    step->event = eligible ? EVENT_ELIGIBLE : EVENT_NOT_ELIGIBLE;
    if (!eligible)
        lifecycle_next(request->status, ON_NOT_ELIGIBLE, &step->status);
}

static void plan_webhook_review(const struct catalog_webhook *webhook, const struct request *request,
                                struct plan *plan)
{
    const struct delivery *delivery = request_delivery_of(request, webhook->id);
    struct plan_step *step;

    if (!delivery && !request_reply_of(request, webhook->id)) {
        step_add(plan, PLAN_OWE)->webhook = webhook;
        return;
    }
    if (!delivery || webhook->connection->disabled || delivery->state != DELIVERY_HELD)
        return;
    step = step_add(plan, PLAN_RELEASE);
    step->delivery = delivery;
    step->webhook = webhook;
}

void plan_review(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    plan->count = 0;
    if (request->status != PR_AWAITING_PRE_APPROVAL || request->deleted)
        return;
    for (int i = 0; i < catalog->webhook_count; i++)
        plan_webhook_review(&catalog->webhooks[i], request, plan);
    for (int i = 0; i < request->delivery_count; i++) {
        const struct delivery *delivery = &request->deliveries[i];
        struct plan_step *step;

        if (catalog_webhook_by_id(catalog, delivery->webhook_id) ||
            (delivery->state != DELIVERY_WAITING && delivery->state != DELIVERY_HELD))
            continue;
        step = step_add(plan, PLAN_DROP);
        step->delivery = delivery;
        step->word = "webhook_deleted";
    }
    plan_approval(request, catalog, NULL, plan);
}
