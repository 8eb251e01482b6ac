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

bool plan_is_run(enum event_type type)
{
    switch (type) {
    case EVENT_STARTED:
    case EVENT_RETRIED:
    case EVENT_RESUMED:
    case EVENT_WEBHOOK_OWED:
    case EVENT_WEBHOOK_ANSWERED:
    case EVENT_WEBHOOK_GIVEN_UP:
    case EVENT_WEBHOOK_SKIPPED:
    case EVENT_WEBHOOKS_CHANGED:
    case EVENT_ENDPOINT_PAUSED:
    case EVENT_INPUT_COMPLETED:
    case EVENT_TASKS_PLANNED:
    case EVENT_TASK_COMPLETED:
    case EVENT_TASK_SKIPPED:
    case EVENT_TASK_FAILED:
        return true;
    default:
        return false;
    }
}

bool plan_concerns(enum event_type type)
{
    /* What was owed or planned is under a lease: whoever finds that it ended goes on. */
    return type == EVENT_PRE_APPROVAL_REQUESTED || type == EVENT_APPROVED ||
           (plan_is_run(type) && type != EVENT_WEBHOOK_OWED && type != EVENT_TASKS_PLANNED);
}

const char *plan_checkpoint(enum webhook_kind kind)
{
    return kind == WEBHOOK_POST ? "post_webhooks" : "pre_webhooks";
}

/* --- calls that are due ------------------------------------------------------------------------------ */

static void plan_drop(struct plan *plan, const struct delivery *delivery, const char *word)
{
    struct plan_step *step = step_add(plan, PLAN_DROP);

    step->delivery = delivery;
    step->word = word;
}

static void plan_call(struct plan *plan, const struct delivery *delivery, const struct catalog_webhook *webhook)
{
    const struct catalog_connection *connection = webhook->connection;
    struct plan_step *step = step_add(plan, connection->disabled || connection->paused ? PLAN_HOLD : PLAN_CALL);

    step->delivery = delivery;
    step->webhook = webhook;
    step->word = connection->disabled ? "connection_disabled" : "endpoint_paused";
}

/* It was delivered, and its reply is still to come. */
static void plan_reminder(const struct delivery *delivery, const struct request *request,
                          const struct catalog_webhook *webhook, struct plan *plan)
{
    struct plan_step *step;

    if (webhook && !request->deleted && lifecycle_takes_replies(request->status) &&
        !request_reply_of(request, delivery->webhook_id) && !webhook->connection->disabled &&
        !webhook->connection->paused) {
        plan_call(plan, delivery, webhook);
        return;
    }
    step = step_add(plan, PLAN_QUIET);
    step->delivery = delivery;
}

static void plan_approval_call(const struct delivery *delivery, const struct request *request,
                               const struct catalog_webhook *webhook, struct plan *plan)
{
    if (delivery->state == DELIVERY_DELIVERED && delivery->due_at != USEC_NONE)
        plan_reminder(delivery, request, webhook, plan);
    if (delivery->state != DELIVERY_WAITING)
        return;
    if (!lifecycle_takes_replies(request->status) || request->deleted)
        plan_drop(plan, delivery, "request_decided");
    else if (!webhook)
        plan_drop(plan, delivery, "webhook_deleted");
    else if (request_reply_of(request, delivery->webhook_id))
        plan_drop(plan, delivery, "replied"); /* the attempt that seemed to fail had arrived */
    else
        plan_call(plan, delivery, webhook);
}

static void plan_skip(struct plan *plan, const char *webhook_id, const struct delivery *delivery,
                      const struct catalog_webhook *webhook)
{
    struct plan_step *step = step_add(plan, PLAN_SKIP);

    step->webhook_id = webhook_id;
    step->delivery = delivery;
    step->webhook = webhook;
    step->event = EVENT_WEBHOOK_SKIPPED;
    step->word = webhook ? "connection_disabled" : "webhook_deleted";
}

/* A waiting or held call of a policy webhook. What the run has passed is finished beside it. */
static void plan_run_call(const struct delivery *delivery, const struct request *request,
                          const struct catalog_webhook *webhook, struct plan *plan)
{
    bool wanted = !request->deleted && (delivery->passed ? request->status != PR_CANCELED
                                                         : request->status == PR_IN_PROCESSING);

    if (!wanted)
        plan_drop(plan, delivery, "request_decided");
    else if (webhook && !webhook->connection->disabled)
        plan_call(plan, delivery, webhook);
    else if (delivery->passed)
        plan_drop(plan, delivery, webhook ? "connection_disabled" : "webhook_deleted");
    else
        plan_skip(plan, delivery->webhook_id, delivery, webhook);
}

static void plan_run(const struct request *request, const struct catalog *catalog, struct plan *plan);

static void plan_due(const struct delivery *delivery, const struct request *request, const struct catalog *catalog,
                     struct plan *plan)
{
    const struct catalog_webhook *webhook = catalog_webhook_by_id(catalog, delivery->webhook_id);

    if (delivery->redelivery && delivery->state == DELIVERY_WAITING) {
        if (webhook)
            plan_call(plan, delivery, webhook);
        else
            plan_drop(plan, delivery, "webhook_deleted");
    } else if (delivery->kind == WEBHOOK_PRE_APPROVAL) {
        plan_approval_call(delivery, request, webhook, plan);
    } else if (delivery->state == DELIVERY_WAITING) {
        plan_run_call(delivery, request, webhook, plan);
    } else {
        plan_run(request, catalog, plan);
    }
}

void plan_delivery(const struct delivery *delivery, const struct request *request, const struct catalog *catalog,
                   struct plan *plan)
{
    plan->count = 0;
    plan_due(delivery, request, catalog, plan);
}

/* All calls that the event owes: those not parked, held or settled meanwhile. */
static void plan_calls(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    for (int i = 0; i < request->delivery_count; i++) {
        const struct delivery *delivery = &request->deliveries[i];

        if (delivery->kind == WEBHOOK_PRE_APPROVAL && delivery->due_at == USEC_NONE)
            plan_due(delivery, request, catalog, plan);
    }
}

/* --- a run ------------------------------------------------------------------------------------------- */

static void plan_move(struct plan *plan, enum pr_status status, enum event_type event)
{
    struct plan_step *step = step_add(plan, PLAN_MOVE);

    step->status = status;
    step->event = event;
}

static void plan_fail(struct plan *plan, const char *checkpoint, const char *log, const char *message)
{
    struct plan_step *step = step_add(plan, PLAN_FAIL);

    step->status = PR_ERROR;
    step->event = EVENT_FAILED;
    step->checkpoint = checkpoint;
    step->word = log;
    step->message = message;
}

/* The run may go on past it, now and after a retry. */
static bool is_over(const struct delivery *delivery)
{
    bool halts = delivery->kind == WEBHOOK_PRE && delivery->halted && !delivery->resumed;

    return delivery->state == DELIVERY_SKIPPED || (delivery->passed && !halts);
}

static void plan_pause(struct plan *plan, const struct delivery *delivery, const struct catalog_webhook *webhook)
{
    struct plan_step *step = step_add(plan, PLAN_PAUSE);

    step->status = PR_PAUSED;
    step->event = EVENT_PAUSED;
    step->delivery = delivery;
    step->webhook = webhook;
    step->webhook_id = delivery->webhook_id;
}

static void plan_owe(struct plan *plan, const struct delivery *delivery, const struct catalog_webhook *webhook)
{
    struct plan_step *step;

    if (webhook->connection->disabled) {
        plan_skip(plan, webhook->id, delivery, webhook);
        return;
    }
    step = step_add(plan, PLAN_STEP);
    step->delivery = delivery;
    step->webhook = webhook;
    step->webhook_id = webhook->id;
    step->event = EVENT_WEBHOOK_OWED;
}

/* What one webhook of the list asks for next; false: nothing may follow it yet. A step that an earlier run left
 * undone (it failed, or its pause expired) is done anew. */
static bool plan_webhook(const struct catalog_webhook *webhook, const struct request *request, struct plan *plan)
{
    const struct delivery *delivery = request_delivery_of(request, webhook->id);

    if (delivery && is_over(delivery))
        return true;
    if (!delivery || delivery->run != request->run)
        plan_owe(plan, delivery, webhook);
    else if (delivery->halted)
        plan_pause(plan, delivery, webhook);
    else if (delivery->state == DELIVERY_GIVEN_UP)
        plan_fail(plan, plan_checkpoint(webhook->kind),
                  arena_printf(request->arena, "Webhook: %s", webhook->key),
                  delivery->problem ? delivery->problem : "The call was given up.");
    /* else it is under way, or held */
    return false;
}

static bool plan_webhooks(const struct catalog_webhook *webhooks, int count, const struct request *request,
                          struct plan *plan)
{
    for (int i = 0; i < count; i++)
        if (!plan_webhook(&webhooks[i], request, plan))
            return false;
    return true;
}

/* --- a run: what people are asked for ------------------------------------------------------------------ */

static bool is_filled(const struct input *input, const struct catalog_connection *connection, const char *action)
{
    const struct catalog_form form = catalog_form(connection->manual, action);

    return input && catalog_form_is(&form, input->labels, input->label_count);
}

/* Those whose input is missing: "action:connection key" with commas; NULL: nobody. */
static const char *awaited(const struct request *request, const struct catalog *catalog,
                           const struct catalog_policy *policy)
{
    static const char *const actions[] = { "access", "erasure" };
    const char *list = NULL;

    for (size_t action = 0; action < COUNT_OF(actions); action++)
        for (int i = 0; i < catalog->connection_count; i++) {
            const struct catalog_connection *connection = &catalog->connections[i];

            if (!catalog_asks(connection, policy, actions[action]) ||
                is_filled(request_input(request, connection->manual->id, actions[action]), connection,
                          actions[action]))
                continue;
            list = arena_printf(request->arena, "%s%s%s:%s", list ? list : "", list ? "," : "", actions[action],
                                connection->key);
        }
    return list;
}

/* True: the run stops here until they have answered. */
static bool plan_input(const struct request *request, const struct catalog *catalog,
                       const struct catalog_policy *policy, struct plan *plan)
{
    const char *list = catalog->asks_people ? awaited(request, catalog, policy) : NULL;
    struct plan_step *step;

    if (!list)
        return false;
    step = step_add(plan, PLAN_INPUT);
    step->status = PR_REQUIRES_INPUT;
    step->event = EVENT_INPUT_REQUIRED;
    step->word = list;
    return true;
}

/* Of those who were told to be waited for: whether one is asked no more. */
static bool somebody_left(const struct request *request, const struct catalog *catalog,
                          const struct catalog_policy *policy)
{
    char *list = arena_strdup(request->arena, request->input_awaited ? request->input_awaited : ""), *rest, *key;

    for (char *one = strtok_r(list, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        const char *action = strtok_r(one, ":", &key);
        const struct catalog_connection *connection = catalog_connection_by_key(catalog, key);

        if (!connection || !catalog_asks(connection, policy, action))
            return true;
    }
    return false;
}

/* After the configuration changed: others are asked, or nobody. One whose input is all there waits for a person to let
 * it go on, but not where the last who was missing went away. */
static void plan_input_review(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_policy *policy = catalog_policy_by_id(catalog, request->policy_id);
    const char *list = policy ? awaited(request, catalog, policy) : NULL;
    struct plan_step *step;

    if (!list && policy && !somebody_left(request, catalog, policy))
        return;
    if (list && request->input_awaited && !strcmp(list, request->input_awaited))
        return;
    step = step_add(plan, list ? PLAN_INPUT : PLAN_GO_ON);
    step->event = list ? EVENT_INPUT_REQUIRED : EVENT_INPUT_COMPLETED;
    step->status = list ? PR_NONE : PR_IN_PROCESSING;
    step->word = list;
}

/* --- a run: collections and packages ------------------------------------------------------------------- */

static const char *const task_checkpoints[TASK_ACTIONS] = {
    [TASK_ACCESS] = "access",
    [TASK_PACKAGE] = "upload_access",
    [TASK_ERASURE] = "erasure",
};

const char *plan_task_checkpoint(enum task_action action)
{
    return task_checkpoints[action];
}

static bool has_tasks(const struct request *request, enum task_action action)
{
    for (int i = 0; i < request->task_count; i++)
        if (request->tasks[i].action == action)
            return true;
    return false;
}

static bool needs_are_over(const struct request *request, const struct task *task)
{
    for (int i = 0; i < task->need_count; i++) {
        const struct task *need = request_task(request, task->needs[i]);

        if (need && need->state != TASK_COMPLETE && need->state != TASK_SKIPPED)
            return false;
    }
    return true;
}

static void plan_begin(const struct request *request, const struct task *task, struct plan *plan)
{
    if (needs_are_over(request, task))
        step_add(plan, PLAN_TASK)->task = task;
}

/* The log's group of an entry about a task (dsr.md 7). */
static const char *task_log(const struct task *task)
{
    return task->action == TASK_PACKAGE ? "Access package upload" : task->dataset;
}

/* True: all of this action are over. Those that may be begun are; one that failed ends the run, and waits again after a
 * retry. What is under way (it has a `due_at`) is left to whoever holds it. */
static bool plan_tasks(const struct request *request, enum task_action action, struct plan *plan)
{
    bool over = true;

    for (int i = 0; i < request->task_count; i++) {
        const struct task *task = &request->tasks[i];

        if (task->action != action || task->state == TASK_COMPLETE || task->state == TASK_SKIPPED)
            continue;
        if (task->state == TASK_FAILED) {
            plan->count = 0;
            plan_fail(plan, task_checkpoints[action], task_log(task), task->message);
            return false;
        }
        over = false;
        if (task->due_at == USEC_NONE)
            plan_begin(request, task, plan);
    }
    return over;
}

static struct plan_step *plan_new_tasks(struct plan *plan, struct task *tasks, int count)
{
    struct plan_step *step = step_add(plan, PLAN_TASKS);

    step->event = EVENT_TASKS_PLANNED;
    step->tasks = tasks;
    step->task_count = count;
    return step;
}

static struct task task_new(const struct request *request, enum task_action action, int place, const char *id)
{
    return (struct task){ .id = id, .action = action, .place = place, .run = request->run, .due_at = USEC_NONE };
}

static const char *node_task_id(struct arena *arena, enum task_action action, const struct graph_node *node)
{
    return arena_printf(arena, "%s:%s", task_action_word(action), node->address);
}

static void needs_of(struct arena *arena, enum task_action action, const struct graph_node *const *needs, int count,
                     struct task *task)
{
    const char **ids = arena_array(arena, const char *, (size_t)count);

    for (int i = 0; i < count; i++)
        ids[i] = node_task_id(arena, action, needs[i]);
    task->needs = ids;
    task->need_count = count;
}

static struct task node_task(const struct request *request, enum task_action action, int place,
                             const struct graph_node *node)
{
    struct task task = task_new(request, action, place, node_task_id(request->arena, action, node));

    task.connection_key = node->connection_key;
    task.dataset = node->dataset->key;
    task.collection = node->collection->name;
    return task;
}

/* What the policy's access and erasure rules aim at. */
static struct dataset_texts targets_of(const struct catalog_policy *policy, struct arena *arena)
{
    struct dataset_texts targets = { 0 };
    const char **texts;
    int most = 0;

    for (int i = 0; i < policy->rule_count; i++)
        most += policy->rules[i].targets.count;
    texts = arena_array(arena, const char *, (size_t)most);
    for (int i = 0; i < policy->rule_count; i++)
        for (int j = 0; j < policy->rules[i].targets.count; j++)
            texts[targets.count++] = policy->rules[i].targets.texts[j];
    targets.texts = texts;
    return targets;
}

/* False: the graph is none, or can't be walked, and the run has failed. */
static bool plan_walk(const struct request *request, const struct catalog *catalog,
                      const struct catalog_policy *policy, struct plan *plan, const struct graph_walk **walk)
{
    const struct dataset_texts targets = targets_of(policy, request->arena);
    struct err err = { 0 };

    if (!catalog->graph)
        plan_fail(plan, "access", "Dataset reference validation", catalog->graph_problem);
    else if (graph_walk(catalog->graph, &request->identity_keys, &targets, request->arena, walk, &err) < 0)
        plan_fail(plan, "access", "Dataset traversal", arena_strdup(request->arena, err.text));
    else
        return true;
    return false;
}

static const struct event_skip *skips_of(const struct graph_walk *walk, struct arena *arena)
{
    struct event_skip *skips = arena_array(arena, struct event_skip, (size_t)walk->skip_count);

    for (int i = 0; i < walk->skip_count; i++)
        skips[i] = (struct event_skip){ walk->skips[i].address, walk->skips[i].reason ? walk->skips[i].reason : "" };
    return skips;
}

/* True: every collection that the person's identity leads to was read, or there is none. */
static bool plan_collections(const struct request *request, const struct catalog *catalog,
                             const struct catalog_policy *policy, struct plan *plan)
{
    const struct graph_walk *walk = NULL;
    struct plan_step *step;
    struct task *tasks;

    if (has_tasks(request, TASK_ACCESS))
        return plan_tasks(request, TASK_ACCESS, plan);
    if (!catalog->dataset_count)
        return true;
    if (!plan_walk(request, catalog, policy, plan, &walk))
        return false;
    if (!walk->count)
        return true;
    tasks = arena_array(request->arena, struct task, (size_t)walk->count);
    for (int i = 0; i < walk->count; i++) {
        tasks[i] = node_task(request, TASK_ACCESS, i, walk->nodes[i]);
        needs_of(request->arena, TASK_ACCESS, walk->nodes[i]->needs, walk->nodes[i]->need_count, &tasks[i]);
    }
    step = plan_new_tasks(plan, tasks, walk->count);
    step->skips = skips_of(walk, request->arena);
    step->skip_count = walk->skip_count;
    return false;
}

/* One for each access rule. */
static bool plan_packages(const struct request *request, const struct catalog_policy *policy, struct plan *plan)
{
    struct task *tasks;
    int count = 0;

    if (has_tasks(request, TASK_PACKAGE))
        return plan_tasks(request, TASK_PACKAGE, plan);
    if (!catalog_policy_has(policy, "access"))
        return true;
    tasks = arena_array(request->arena, struct task, (size_t)policy->rule_count);
    for (int i = 0; i < policy->rule_count; i++)
        if (!strcmp(policy->rules[i].action_type, "access")) {
            const char *id = arena_printf(request->arena, "package:%s", policy->rules[i].key);

            tasks[count] = task_new(request, TASK_PACKAGE, request->task_count + count, id);
            count++;
        }
    plan_new_tasks(plan, tasks, count);
    return false;
}

static bool was_read(const struct request *request, const struct graph_node *node)
{
    const struct task *read = request_task(request, node_task_id(request->arena, TASK_ACCESS, node));

    return read && read->state == TASK_COMPLETE;
}

/* Those after which it is erased, as far as they are. */
static void erase_needs_of(const struct request *request, const struct graph_node *node, struct task *task)
{
    const struct graph_node **needs =
        arena_array(request->arena, const struct graph_node *, (size_t)node->erase_need_count);
    int count = 0;

    for (int i = 0; i < node->erase_need_count; i++)
        if (was_read(request, node->erase_needs[i]))
            needs[count++] = node->erase_needs[i];
    needs_of(request->arena, TASK_ERASURE, needs, count, task);
}

/* What was read is what is erased; `erase_after` says in which order. */
static bool plan_erasures(const struct request *request, const struct catalog *catalog,
                          const struct catalog_policy *policy, struct plan *plan)
{
    const struct graph_walk *walk = NULL;
    struct task *tasks;
    int count = 0;

    if (has_tasks(request, TASK_ERASURE))
        return plan_tasks(request, TASK_ERASURE, plan);
    if (!catalog_policy_has(policy, "erasure") || !has_tasks(request, TASK_ACCESS))
        return true;
    if (!plan_walk(request, catalog, policy, plan, &walk))
        return false;
    tasks = arena_array(request->arena, struct task, (size_t)walk->count);
    for (int i = 0; i < walk->count; i++) {
        const struct graph_node *node = walk->nodes[i];

        if (!was_read(request, node))
            continue;
        tasks[count] = node_task(request, TASK_ERASURE, request->task_count + count, node);
        erase_needs_of(request, node, &tasks[count]);
        count++;
    }
    if (!count)
        return true;
    plan_new_tasks(plan, tasks, count);
    return false;
}

/* Between the webhooks before and after: true when there is nothing left to do. */
static bool plan_execution(const struct request *request, const struct catalog *catalog,
                           const struct catalog_policy *policy, struct plan *plan)
{
    if (!catalog_policy_has(policy, "access") && !catalog_policy_has(policy, "erasure"))
        return true;
    return plan_collections(request, catalog, policy, plan) && plan_packages(request, policy, plan) &&
           plan_erasures(request, catalog, policy, plan);
}

void plan_task(const struct task *task, const struct request *request, const struct catalog *catalog,
               struct plan *plan)
{
    const struct catalog_policy *policy = catalog_policy_by_id(catalog, request->policy_id);
    struct plan_step *step;

    plan->count = 0;
    if (task->state != TASK_WAITING)
        return;
    step = step_add(plan, request->deleted || request->status != PR_IN_PROCESSING || !policy ? PLAN_IDLE : PLAN_TASK);
    step->task = task;
}

/* --- a run, in all --------------------------------------------------------------------------------------- */

/* What runs between approval and completion: what people are asked for, the webhooks before, the policy's rules, the
 * webhooks after. */
static void plan_steps(const struct request *request, const struct catalog *catalog,
                       const struct catalog_policy *policy, struct plan *plan)
{
    if (policy && plan_input(request, catalog, policy, plan))
        return;
    if (policy && !plan_webhooks(policy->pre, policy->pre_count, request, plan))
        return;
    if (!policy || !policy->rule_count) {
        plan_fail(plan, plan_checkpoint(WEBHOOK_PRE), "Policy validation",
                  arena_printf(request->arena, "Policy with key %s must contain at least one Rule.",
                               policy ? policy->key : request->policy_id));
        return;
    }
    if (!plan_execution(request, catalog, policy, plan))
        return;
    if (plan_webhooks(policy->post, policy->post_count, request, plan))
        plan_move(plan, PR_COMPLETE, EVENT_COMPLETED);
}

/* A call that the run waits for, of a webhook that is not in any list any more: it is passed over, and told. */
static bool plan_lost(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    for (int i = 0; i < request->delivery_count; i++) {
        const struct delivery *delivery = &request->deliveries[i];

        if (delivery->kind == WEBHOOK_PRE_APPROVAL || delivery->passed || delivery->redelivery ||
            (delivery->state != DELIVERY_WAITING && delivery->state != DELIVERY_HELD) ||
            catalog_webhook_by_id(catalog, delivery->webhook_id))
            continue;
        plan_skip(plan, delivery->webhook_id, delivery, NULL);
        return true;
    }
    return false;
}

/* Nothing while a call of it is under way: whoever makes that call, or finds its lease ended, goes on. */
static void plan_run(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_policy *policy = catalog_policy_by_id(catalog, request->policy_id);

    if (request->deleted || request->status != PR_IN_PROCESSING)
        return;
    if (plan_lost(request, catalog, plan))
        return;
    if (policy && policy->webhooks_revision != request->webhooks_revision)
        step_add(plan, PLAN_CHANGED)->event = EVENT_WEBHOOKS_CHANGED;
    else
        plan_steps(request, catalog, policy, plan);
}

/* The first call that a run owes goes into the event that starts it. */
static void plan_start(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_policy *policy = catalog_policy_by_id(catalog, request->policy_id);

    if (policy && policy->pre_count && !(catalog->asks_people && awaited(request, catalog, policy)))
        plan_webhook(&policy->pre[0], request, plan);
    if (plan->count == 1 && plan->steps[0].kind == PLAN_STEP) {
        plan->steps[0].status = PR_IN_PROCESSING;
        plan->steps[0].event = EVENT_STARTED;
        return;
    }
    plan->count = 0;
    plan_move(plan, PR_IN_PROCESSING, EVENT_STARTED);
}

void plan_event(enum event_type type, int64_t seq, const struct request *request, const struct catalog *catalog,
                struct plan *plan)
{
    plan->count = 0;
    if (type == EVENT_PRE_APPROVAL_REQUESTED)
        plan_calls(request, catalog, plan);
    else if (plan_is_run(type))
        plan_run(request, catalog, plan);
    else if (type == EVENT_APPROVED && request->status == PR_APPROVED && seq == request->status_seq &&
             !request->deleted)
        plan_start(request, catalog, plan);
}

void plan_timer(const struct request *request, struct plan *plan)
{
    plan->count = 0;
    if (request->deleted || request->status != PR_PAUSED)
        return; /* whoever changed that has taken the timer away */
    plan_fail(plan, plan_checkpoint(WEBHOOK_PRE), "Privacy request processing",
              "Privacy request has expired. Please resubmit information.");
    plan->steps[0].event = EVENT_EXPIRED;
}

/* --- replies ----------------------------------------------------------------------------------------- */

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

/* --- after the configuration changed ----------------------------------------------------------------- */

static void plan_release(struct plan *plan, const struct delivery *delivery, const struct catalog_webhook *webhook)
{
    struct plan_step *step;

    if (delivery->state != DELIVERY_HELD || webhook->connection->disabled || webhook->connection->paused)
        return;
    step = step_add(plan, PLAN_RELEASE);
    step->delivery = delivery;
    step->webhook = webhook;
    if (delivery->kind != WEBHOOK_PRE_APPROVAL)
        step->word = "endpoint_paused"; /* a run does not wait for a disabled connection */
}

static void plan_approval_review(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    for (int i = 0; i < catalog->webhook_count; i++) {
        const struct catalog_webhook *webhook = &catalog->webhooks[i];
        const struct delivery *delivery = request_delivery_of(request, webhook->id);

        if (delivery)
            plan_release(plan, delivery, webhook);
        else if (!request_reply_of(request, webhook->id))
            step_add(plan, PLAN_OWE)->webhook = webhook;
    }
    for (int i = 0; i < request->delivery_count; i++) {
        const struct delivery *delivery = &request->deliveries[i];

        if (!catalog_webhook_by_id(catalog, delivery->webhook_id) &&
            (delivery->state == DELIVERY_WAITING || delivery->state == DELIVERY_HELD))
            plan_drop(plan, delivery, "webhook_deleted");
    }
    plan_approval(request, catalog, NULL, plan);
}

/* A call whose webhook went or was disabled is passed over; one that was held and may go is released. */
static void plan_call_review(const struct delivery *delivery, const struct request *request,
                             const struct catalog *catalog, struct plan *plan)
{
    const struct catalog_webhook *webhook = catalog_webhook_by_id(catalog, delivery->webhook_id);

    if (delivery->state != DELIVERY_WAITING && delivery->state != DELIVERY_HELD)
        return;
    if (!webhook || webhook->connection->disabled)
        plan_run_call(delivery, request, webhook, plan);
    else
        plan_release(plan, delivery, webhook);
}

static void plan_run_review(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    struct plan_step *step;

    for (int i = 0; i < request->delivery_count; i++)
        if (request->deliveries[i].kind != WEBHOOK_PRE_APPROVAL)
            plan_call_review(&request->deliveries[i], request, catalog, plan);
    if (plan->count)
        return;
    plan_run(request, catalog, plan);
    if (request->status != PR_PAUSED || catalog_webhook_by_id(catalog, request->paused_webhook_id))
        return;
    step = step_add(plan, PLAN_RESUME);
    step->status = PR_IN_PROCESSING;
    step->event = EVENT_RESUMED;
    step->webhook_id = request->paused_webhook_id;
}

void plan_review(const struct request *request, const struct catalog *catalog, struct plan *plan)
{
    plan->count = 0;
    if (request->deleted)
        return;
    if (request->status == PR_AWAITING_PRE_APPROVAL)
        plan_approval_review(request, catalog, plan);
    else if (request->status == PR_IN_PROCESSING || request->status == PR_PAUSED)
        plan_run_review(request, catalog, plan);
    else if (request->status == PR_REQUIRES_INPUT)
        plan_input_review(request, catalog, plan);
}
