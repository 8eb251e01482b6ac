#include "tests/unit/test.h"

#include "worker/plan.h"

/* A policy with two webhooks before and one after, and a request whose run has begun. */
struct world {
    struct test test;
    struct catalog catalog;
    struct catalog_connection connections[3];
    struct catalog_webhook webhooks[3];
    const struct catalog_webhook *by_id[3];
    struct catalog_policy policy;
    struct catalog_rule rule;
    struct delivery deliveries[3];
    struct request request;
    struct plan plan;
};

static int world_setup(void **state)
{
    static const char *const ids[] = { "pol_a", "pol_b", "pol_z" }, *const keys[] = { "a", "b", "z" };
    struct world *world = test_calloc(1, sizeof(*world));

    world->test.arena = arena_new();
    for (int i = 0; i < 3; i++) {
        world->connections[i] = (struct catalog_connection){ .id = keys[i], .key = keys[i], .type = "https" };
        world->webhooks[i] = (struct catalog_webhook){ .id = ids[i],
                                                       .key = keys[i],
                                                       .connection = &world->connections[i],
                                                       .kind = i < 2 ? WEBHOOK_PRE : WEBHOOK_POST,
                                                       .two_way = true };
        world->by_id[i] = &world->webhooks[i];
    }
    world->rule = (struct catalog_rule){ .id = "rul_1", .key = "rule", .action_type = "consent" }; /* nothing between */
    world->policy = (struct catalog_policy){ .id = "pol_1",
                                             .key = "p",
                                             .rules = &world->rule,
                                             .rule_count = 1,
                                             .pre = world->webhooks,
                                             .pre_count = 2,
                                             .post = &world->webhooks[2],
                                             .post_count = 1,
                                             .webhooks_revision = 5 };
    world->catalog = (struct catalog){ .version = 7,
                                       .policies = &world->policy,
                                       .policy_count = 1,
                                       .policy_webhooks = world->by_id,
                                       .policy_webhook_count = 3 };
    world->request = (struct request){ .arena = world->test.arena,
                                       .id = "pri_1",
                                       .seq = 4,
                                       .status_seq = 3,
                                       .status = PR_IN_PROCESSING,
                                       .webhooks_revision = 5,
                                       .policy_id = "pol_1",
                                       .deliveries = world->deliveries };
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;

    arena_free(world->test.arena);
    test_free(world);
    return 0;
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

/* The next delivery of the request, of webhook `i`. */
static struct delivery *owed(struct world *world, int i, enum delivery_state state)
{
    struct delivery *delivery = &world->deliveries[world->request.delivery_count++];

    *delivery = (struct delivery){ .id = world->webhooks[i].key,
                                   .webhook_id = world->webhooks[i].id,
                                   .kind = world->webhooks[i].kind,
                                   .state = state,
                                   .attempts = 1,
                                   .due_at = state == DELIVERY_WAITING ? 1000 : USEC_NONE,
                                   .passed = state == DELIVERY_DELIVERED };
    return delivery;
}

static const struct plan_step *only_step(struct world *world, enum event_type type)
{
    plan_event(type, world->request.seq, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    return &world->plan.steps[0];
}

static void nothing_follows(struct world *world, enum event_type type)
{
    plan_event(type, world->request.seq, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

/* --- one after another --------------------------------------------------------------------------------- */

static void an_approved_request_starts_with_its_first_call(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    world->request.status = PR_APPROVED;
    world->request.status_seq = world->request.seq;
    step = only_step(world, EVENT_APPROVED);
    assert_int_equal(step->kind, PLAN_STEP);
    assert_int_equal(step->event, EVENT_STARTED);
    assert_int_equal(step->status, PR_IN_PROCESSING);
    assert_string_equal(step->webhook->key, "a");
}

static void without_webhooks_it_just_starts(void **state)
{
    struct world *world = *state;

    world->policy.pre_count = 0;
    world->request.status = PR_APPROVED;
    world->request.status_seq = world->request.seq;
    assert_int_equal(only_step(world, EVENT_APPROVED)->kind, PLAN_MOVE);
    assert_int_equal(world->plan.steps[0].event, EVENT_STARTED);
}

static void the_webhooks_are_called_in_their_order(void **state)
{
    static const char *const order[] = { "a", "b", "z" };
    struct world *world = *state;

    for (int i = 0; i < 3; i++) {
        const struct plan_step *step = only_step(world, EVENT_WEBHOOK_ANSWERED);

        assert_int_equal(step->kind, PLAN_STEP);
        assert_int_equal(step->event, EVENT_WEBHOOK_OWED);
        assert_int_equal(step->status, PR_NONE);
        assert_string_equal(step->webhook->key, order[i]);
        owed(world, i, DELIVERY_DELIVERED);
    }
    assert_int_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->status, PR_COMPLETE);
}

static void while_a_call_is_under_way_or_held_nothing_follows(void **state)
{
    struct world *world = *state;
    struct delivery *delivery = owed(world, 0, DELIVERY_WAITING);

    nothing_follows(world, EVENT_STARTED);
    delivery->state = DELIVERY_HELD;
    nothing_follows(world, EVENT_ENDPOINT_PAUSED);
}

static void a_one_way_call_that_was_answered_is_passed_while_it_is_tried_again(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING)->passed = true;
    assert_string_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->webhook->key, "b");
}

static void what_was_passed_over_is_behind(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_SKIPPED);
    assert_string_equal(only_step(world, EVENT_WEBHOOK_SKIPPED)->webhook->key, "b");
}

static void a_policy_without_rules_fails_after_its_first_webhooks(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    world->policy.rule_count = 0;
    owed(world, 0, DELIVERY_DELIVERED);
    owed(world, 1, DELIVERY_DELIVERED);
    step = only_step(world, EVENT_WEBHOOK_ANSWERED);
    assert_int_equal(step->kind, PLAN_FAIL);
    assert_string_equal(step->word, "Policy validation");
    assert_string_equal(step->message, "Policy with key p must contain at least one Rule.");
}

static void a_request_that_was_canceled_or_deleted_goes_no_further(void **state)
{
    struct world *world = *state;

    world->request.status = PR_CANCELED;
    nothing_follows(world, EVENT_WEBHOOK_ANSWERED);
    world->request.status = PR_IN_PROCESSING;
    world->request.deleted = true;
    nothing_follows(world, EVENT_WEBHOOK_ANSWERED);
}

/* --- failing and trying anew --------------------------------------------------------------------------- */

static void a_call_that_was_given_up_fails_the_run_in_its_own_words(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    owed(world, 0, DELIVERY_GIVEN_UP)->problem = "Webhook 'a' returned an error: ...";
    step = only_step(world, EVENT_WEBHOOK_GIVEN_UP);
    assert_int_equal(step->kind, PLAN_FAIL);
    assert_int_equal(step->status, PR_ERROR);
    assert_string_equal(step->checkpoint, "pre_webhooks");
    assert_string_equal(step->word, "Webhook: a");
    assert_string_equal(step->message, "Webhook 'a' returned an error: ...");
}

static void after_the_run_the_checkpoint_is_another(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_DELIVERED);
    owed(world, 1, DELIVERY_DELIVERED);
    owed(world, 2, DELIVERY_GIVEN_UP);
    assert_string_equal(only_step(world, EVENT_WEBHOOK_GIVEN_UP)->checkpoint, "post_webhooks");
}

static void a_retry_goes_on_from_the_webhook_that_failed(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    owed(world, 0, DELIVERY_DELIVERED);
    owed(world, 1, DELIVERY_GIVEN_UP);
    world->request.run = 1;
    step = only_step(world, EVENT_RETRIED);
    assert_int_equal(step->kind, PLAN_STEP);
    assert_string_equal(step->webhook->key, "b");
    assert_ptr_equal(step->delivery, &world->deliveries[1]); /* the same call, with its id */
}

/* --- halting ------------------------------------------------------------------------------------------- */

static void an_answer_that_halts_pauses_the_run(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    owed(world, 0, DELIVERY_DELIVERED)->halted = true;
    step = only_step(world, EVENT_WEBHOOK_ANSWERED);
    assert_int_equal(step->kind, PLAN_PAUSE);
    assert_int_equal(step->status, PR_PAUSED);
    assert_string_equal(step->webhook_id, "pol_a");
}

static void a_reply_that_came_before_the_answer_lets_it_go_on(void **state)
{
    struct world *world = *state;
    struct delivery *delivery = owed(world, 0, DELIVERY_DELIVERED);

    delivery->halted = delivery->resumed = true;
    assert_string_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->webhook->key, "b");
}

static void after_the_run_nothing_halts(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_DELIVERED);
    owed(world, 1, DELIVERY_DELIVERED);
    owed(world, 2, DELIVERY_DELIVERED)->halted = true;
    assert_int_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->status, PR_COMPLETE);
}

static void a_pause_that_is_over_fails_the_request_and_a_retry_asks_again(void **state)
{
    struct world *world = *state;
    const struct plan_step *step = &world->plan.steps[0];

    owed(world, 0, DELIVERY_DELIVERED)->halted = true;
    world->request.status = PR_PAUSED;
    plan_timer(&world->request, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(step->event, EVENT_EXPIRED);
    assert_string_equal(step->word, "Privacy request processing");
    assert_string_equal(step->message, "Privacy request has expired. Please resubmit information.");

    world->request.status = PR_IN_PROCESSING;
    world->request.run = 1;
    step = only_step(world, EVENT_RETRIED);
    assert_int_equal(step->kind, PLAN_STEP);
    assert_string_equal(step->webhook->key, "a");
}

static void a_timer_of_what_is_paused_no_more_does_nothing(void **state)
{
    struct world *world = *state;

    plan_timer(&world->request, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

/* --- the configuration changes ------------------------------------------------------------------------- */

static void a_list_that_changed_under_way_is_told_before_the_next_step(void **state)
{
    struct world *world = *state;

    world->policy.webhooks_revision = 6;
    assert_int_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->kind, PLAN_CHANGED);
    world->request.webhooks_revision = 6;
    assert_int_equal(only_step(world, EVENT_WEBHOOKS_CHANGED)->kind, PLAN_STEP);
}

static void in_another_order_nothing_is_called_twice_and_nothing_forgotten(void **state)
{
    struct world *world = *state;
    struct catalog_webhook first = world->webhooks[0];

    owed(world, 0, DELIVERY_DELIVERED);
    world->webhooks[0] = world->webhooks[1];
    world->webhooks[1] = first;
    assert_string_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->webhook->key, "b");
    owed(world, 0, DELIVERY_DELIVERED);
    assert_string_equal(only_step(world, EVENT_WEBHOOK_ANSWERED)->webhook->key, "z");
}

static void a_disabled_connection_is_passed_over(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    world->connections[0].disabled = true;
    step = only_step(world, EVENT_STARTED);
    assert_int_equal(step->kind, PLAN_SKIP);
    assert_string_equal(step->word, "connection_disabled");
    assert_string_equal(step->webhook_id, "pol_a");
}

static void a_waiting_call_of_a_deleted_webhook_is_passed_over(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING);
    world->by_id[0] = &world->webhooks[1];
    world->catalog.policy_webhook_count = 1;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_SKIP);
    assert_string_equal(world->plan.steps[0].word, "webhook_deleted");
}

static void it_is_passed_over_before_the_run_goes_on_by_the_new_list(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    owed(world, 0, DELIVERY_WAITING);
    world->policy.pre = &world->webhooks[1];
    world->policy.pre_count = 1;
    world->policy.webhooks_revision = 6;
    world->by_id[0] = &world->webhooks[1];
    world->by_id[1] = &world->webhooks[2];
    world->catalog.policy_webhook_count = 2;
    step = only_step(world, EVENT_STARTED);
    assert_int_equal(step->kind, PLAN_SKIP);
    assert_string_equal(step->webhook_id, "pol_a");
    world->deliveries[0].state = DELIVERY_SKIPPED;
    assert_int_equal(only_step(world, EVENT_WEBHOOK_SKIPPED)->kind, PLAN_CHANGED);
}

static void a_pause_whose_webhook_was_deleted_is_over(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_DELIVERED)->halted = true;
    world->request.status = PR_PAUSED;
    world->request.paused_webhook_id = "pol_gone";
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_RESUME);
}

static void what_was_held_for_a_paused_endpoint_is_released(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_HELD);
    world->connections[0].paused = true;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
    world->connections[0].paused = false;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.steps[0].kind, PLAN_RELEASE);
    assert_string_equal(world->plan.steps[0].word, "endpoint_paused");
}

static void a_run_that_waits_on_nobody_is_found_by_a_review(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_DELIVERED);
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_STEP);
}

/* --- calls that are due again -------------------------------------------------------------------------- */

static void due(struct world *world)
{
    plan_delivery(&world->deliveries[0], &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
}

static void a_due_call_is_made_unless_its_endpoint_is_paused(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING);
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_CALL);
    world->connections[0].paused = true;
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_HOLD);
    assert_string_equal(world->plan.steps[0].word, "endpoint_paused");
}

static void a_due_call_of_a_canceled_request_is_dropped(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING);
    world->request.status = PR_CANCELED;
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_DROP);
    assert_string_equal(world->plan.steps[0].word, "request_decided");
}

static void what_the_run_has_passed_is_finished_beside_it(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING)->passed = true;
    world->request.status = PR_COMPLETE;
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_CALL);
}

static void what_an_operator_asked_for_is_called_in_any_status(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_WAITING)->redelivery = true;
    world->request.status = PR_ERROR;
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_CALL);
}

static void a_settled_call_that_is_looked_at_again_leads_to_the_next_step(void **state)
{
    struct world *world = *state;

    owed(world, 0, DELIVERY_DELIVERED);
    due(world);
    assert_int_equal(world->plan.steps[0].kind, PLAN_STEP);
    assert_string_equal(world->plan.steps[0].webhook->key, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(an_approved_request_starts_with_its_first_call),
        WORLD(without_webhooks_it_just_starts),
        WORLD(the_webhooks_are_called_in_their_order),
        WORLD(while_a_call_is_under_way_or_held_nothing_follows),
        WORLD(a_one_way_call_that_was_answered_is_passed_while_it_is_tried_again),
        WORLD(what_was_passed_over_is_behind),
        WORLD(a_policy_without_rules_fails_after_its_first_webhooks),
        WORLD(a_request_that_was_canceled_or_deleted_goes_no_further),
        WORLD(a_call_that_was_given_up_fails_the_run_in_its_own_words),
        WORLD(after_the_run_the_checkpoint_is_another),
        WORLD(a_retry_goes_on_from_the_webhook_that_failed),
        WORLD(an_answer_that_halts_pauses_the_run),
        WORLD(a_reply_that_came_before_the_answer_lets_it_go_on),
        WORLD(after_the_run_nothing_halts),
        WORLD(a_pause_that_is_over_fails_the_request_and_a_retry_asks_again),
        WORLD(a_timer_of_what_is_paused_no_more_does_nothing),
        WORLD(a_list_that_changed_under_way_is_told_before_the_next_step),
        WORLD(in_another_order_nothing_is_called_twice_and_nothing_forgotten),
        WORLD(a_disabled_connection_is_passed_over),
        WORLD(a_waiting_call_of_a_deleted_webhook_is_passed_over),
        WORLD(it_is_passed_over_before_the_run_goes_on_by_the_new_list),
        WORLD(a_pause_whose_webhook_was_deleted_is_over),
        WORLD(what_was_held_for_a_paused_endpoint_is_released),
        WORLD(a_run_that_waits_on_nobody_is_found_by_a_review),
        WORLD(a_due_call_is_made_unless_its_endpoint_is_paused),
        WORLD(a_due_call_of_a_canceled_request_is_dropped),
        WORLD(what_the_run_has_passed_is_finished_beside_it),
        WORLD(what_an_operator_asked_for_is_called_in_any_status),
        WORLD(a_settled_call_that_is_looked_at_again_leads_to_the_next_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
