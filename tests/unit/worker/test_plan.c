#include "tests/unit/test.h"

#include "worker/plan.h"

/* A configuration with two webhooks, and a request that waits for both. */
struct world {
    struct test test;
    struct catalog catalog;
    struct catalog_connection connections[2];
    struct catalog_webhook webhooks[2];
    struct catalog_policy policy;
    struct catalog_rule rule;
    struct delivery deliveries[2];
    struct reply replies[2];
    struct request request;
    struct plan plan;
};

static int world_setup(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));

    world->test.arena = arena_new();
    world->connections[0] = (struct catalog_connection){ .id = "con_a", .key = "a", .type = "https" };
    world->connections[1] = (struct catalog_connection){ .id = "con_b", .key = "b", .type = "https" };
    world->webhooks[0] = (struct catalog_webhook){ "pre_a", "a", "A", &world->connections[0] };
    world->webhooks[1] = (struct catalog_webhook){ "pre_b", "b", "B", &world->connections[1] };
    world->rule = (struct catalog_rule){ .id = "rul_1", .key = "rule", .action_type = "consent" };
    world->policy = (struct catalog_policy){ .id = "pol_1", .key = "p", .rules = &world->rule, .rule_count = 1 };
    world->catalog = (struct catalog){ .version = 7,
                                       .policies = &world->policy,
                                       .policy_count = 1,
                                       .connections = world->connections,
                                       .connection_count = 2,
                                       .webhooks = world->webhooks,
                                       .webhook_count = 2 };
    for (int i = 0; i < 2; i++)
        world->deliveries[i] = (struct delivery){ .id = i ? "dlv_b" : "dlv_a",
                                                  .webhook_id = world->webhooks[i].id,
                                                  .state = DELIVERY_WAITING,
                                                  .due_at = USEC_NONE };
    world->request = (struct request){ .arena = world->test.arena,
                                       .id = "pri_1",
                                       .seq = 2,
                                       .status_seq = 2,
                                       .status = PR_AWAITING_PRE_APPROVAL,
                                       .policy_id = "pol_1",
                                       .deliveries = world->deliveries,
                                       .delivery_count = 2,
                                       .replies = world->replies };
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

static void reply(struct world *world, const char *webhook_id, bool eligible)
{
    world->replies[world->request.reply_count++] = (struct reply){ webhook_id, eligible };
}

static void a_request_that_waits_is_asked_of_every_webhook(void **state)
{
    struct world *world = *state;

    plan_event(EVENT_PRE_APPROVAL_REQUESTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 2);
    assert_int_equal(world->plan.steps[0].kind, PLAN_CALL);
    assert_string_equal(world->plan.steps[0].delivery->id, "dlv_a");
    assert_string_equal(world->plan.steps[1].webhook->key, "b");
}

static void what_was_delivered_or_parked_is_not_called_again(void **state)
{
    struct world *world = *state;

    world->deliveries[0].state = DELIVERY_DELIVERED;
    world->deliveries[1].due_at = 12345;
    plan_event(EVENT_PRE_APPROVAL_REQUESTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

static void a_disabled_connection_is_held_and_not_called(void **state)
{
    struct world *world = *state;

    world->connections[1].disabled = true;
    plan_event(EVENT_PRE_APPROVAL_REQUESTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 2);
    assert_int_equal(world->plan.steps[1].kind, PLAN_HOLD);
}

static void calls_of_a_decided_request_are_dropped(void **state)
{
    struct world *world = *state;

    world->request.status = PR_DENIED;
    plan_event(EVENT_PRE_APPROVAL_REQUESTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 2);
    assert_int_equal(world->plan.steps[0].kind, PLAN_DROP);
    assert_string_equal(world->plan.steps[0].word, "request_decided");
}

static void a_due_delivery_of_a_webhook_that_replied_meanwhile_is_dropped(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    world->plan.count = 0;
    plan_delivery(&world->deliveries[0], &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_DROP);
    assert_string_equal(world->plan.steps[0].word, "replied");
}

static void a_first_reply_is_recorded_and_approves_nothing_yet(void **state)
{
    struct world *world = *state;

    plan_reply("pre_a", true, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_REPLY);
    assert_int_equal(world->plan.steps[0].status, PR_NONE);
}

static void the_last_eligible_on_record_approves(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    reply(world, "pre_b", true);
    plan_reply("pre_b", true, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_APPROVE);
    assert_int_equal(world->plan.steps[0].status, PR_APPROVED);
    assert_string_equal(world->plan.steps[0].webhook->key, "b");
}

static void not_eligible_moves_the_request_to_a_person(void **state)
{
    struct world *world = *state;

    plan_reply("pre_a", false, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].status, PR_PRE_APPROVAL_NOT_ELIGIBLE);
    assert_int_equal(world->plan.steps[0].event, EVENT_NOT_ELIGIBLE);
}

static void a_repeated_verdict_does_nothing_whatever_became_of_the_request(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    for (int status = PR_NONE + 1; status < PR_STATUSES; status++) {
        world->request.status = (enum pr_status)status;
        plan_reply("pre_a", true, &world->request, &world->catalog, &world->plan);
        assert_int_equal(world->plan.count, 0);
    }
}

static void an_opposite_or_late_verdict_is_only_told(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    plan_reply("pre_a", false, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_IGNORE);
    assert_string_equal(world->plan.steps[0].word, "opposite");

    world->request.status = PR_APPROVED;
    plan_reply("pre_b", false, &world->request, &world->catalog, &world->plan);
    assert_string_equal(world->plan.steps[0].word, "late");
    assert_int_equal(world->plan.steps[0].status, PR_NONE);
}

static void a_reply_of_a_deleted_webhook_is_only_told(void **state)
{
    struct world *world = *state;

    plan_reply("pre_gone", true, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_string_equal(world->plan.steps[0].word, "webhook_deleted");
}

static void a_webhook_that_came_meanwhile_is_owed_a_call(void **state)
{
    struct world *world = *state;

    world->request.delivery_count = 1;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_OWE);
    assert_string_equal(world->plan.steps[0].webhook->key, "b");
}

static void what_waited_only_for_a_deleted_webhook_is_approved(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    world->deliveries[0].state = DELIVERY_DELIVERED;
    world->catalog.webhook_count = 1;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 2);
    assert_int_equal(world->plan.steps[0].kind, PLAN_DROP);
    assert_string_equal(world->plan.steps[0].word, "webhook_deleted");
    assert_int_equal(world->plan.steps[1].kind, PLAN_APPROVE);
}

static void with_no_webhook_left_a_person_is_waited_for(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    world->request.delivery_count = 0;
    world->catalog.webhook_count = 0;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

static void a_held_call_is_released_when_its_connection_is_enabled(void **state)
{
    struct world *world = *state;

    world->deliveries[0].state = DELIVERY_HELD;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].kind, PLAN_RELEASE);

    world->connections[0].disabled = true;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

static void nothing_is_approved_while_a_disabled_one_has_not_said_so(void **state)
{
    struct world *world = *state;

    reply(world, "pre_a", true);
    world->connections[1].disabled = true;
    world->deliveries[1].state = DELIVERY_HELD;
    plan_review(&world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

static void an_approved_request_starts_and_ends(void **state)
{
    struct world *world = *state;

    world->request.status = PR_APPROVED;
    plan_event(EVENT_APPROVED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    assert_int_equal(world->plan.steps[0].status, PR_IN_PROCESSING);
    world->request.status = PR_IN_PROCESSING;
    plan_event(EVENT_STARTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.steps[0].status, PR_COMPLETE);
}

static void a_policy_without_a_rule_is_an_error_in_the_contract_s_words(void **state)
{
    struct world *world = *state;

    world->policy.rule_count = 0;
    world->request.status = PR_IN_PROCESSING;
    plan_event(EVENT_STARTED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.steps[0].kind, PLAN_FAIL);
    assert_string_equal(world->plan.steps[0].message, "Policy with key p must contain at least one Rule.");
}

static void an_event_whose_status_is_past_plans_nothing(void **state)
{
    struct world *world = *state;

    world->request.status = PR_APPROVED;
    world->request.status_seq = 5;
    plan_event(EVENT_APPROVED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
    world->request.status_seq = 2;
    world->request.deleted = true;
    plan_event(EVENT_APPROVED, 2, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_request_that_waits_is_asked_of_every_webhook),
        WORLD(what_was_delivered_or_parked_is_not_called_again),
        WORLD(a_disabled_connection_is_held_and_not_called),
        WORLD(calls_of_a_decided_request_are_dropped),
        WORLD(a_due_delivery_of_a_webhook_that_replied_meanwhile_is_dropped),
        WORLD(a_first_reply_is_recorded_and_approves_nothing_yet),
        WORLD(the_last_eligible_on_record_approves),
        WORLD(not_eligible_moves_the_request_to_a_person),
        WORLD(a_repeated_verdict_does_nothing_whatever_became_of_the_request),
        WORLD(an_opposite_or_late_verdict_is_only_told),
        WORLD(a_reply_of_a_deleted_webhook_is_only_told),
        WORLD(a_webhook_that_came_meanwhile_is_owed_a_call),
        WORLD(what_waited_only_for_a_deleted_webhook_is_approved),
        WORLD(with_no_webhook_left_a_person_is_waited_for),
        WORLD(a_held_call_is_released_when_its_connection_is_enabled),
        WORLD(nothing_is_approved_while_a_disabled_one_has_not_said_so),
        WORLD(an_approved_request_starts_and_ends),
        WORLD(a_policy_without_a_rule_is_an_error_in_the_contract_s_words),
        WORLD(an_event_whose_status_is_past_plans_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
