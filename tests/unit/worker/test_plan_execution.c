#include "tests/unit/test.h"

#include "common/graph.h"
#include "worker/plan.h"

/* A policy that reads and erases, two collections of which one leads to the other, two who are asked by hand. */
struct world {
    struct test test;
    struct catalog catalog;
    struct catalog_connection connections[3]; /* db, then those of people */
    struct catalog_manual manuals[2];
    struct catalog_dataset dataset;
    struct catalog_policy policy;
    struct catalog_rule rules[2];
    struct task tasks[8];
    struct input inputs[4];
    struct request request;
    struct plan plan;
};

static const char *const labels[] = { "first_name", "last_name" };
static const char *const names[] = { "email" };
static const char *const targets[] = { "user" };

static const char document[] =
    "{\"fides_key\":\"shop\",\"collections\":["
    "{\"name\":\"customer\",\"fields\":[{\"name\":\"id\",\"fides_meta\":{\"primary_key\":true}},"
    "{\"name\":\"email\",\"data_categories\":[\"user.contact.email\"],\"fides_meta\":{\"identity\":\"email\"}}]},"
    "{\"name\":\"orders\",\"fides_meta\":{\"erase_after\":[\"shop.customer\"]},\"fields\":[{\"name\":\"customer_id\",\"data_categories\":[\"user.unique_id\"],"
    "\"fides_meta\":{\"references\":[{\"dataset\":\"shop\",\"field\":\"customer.id\",\"direction\":\"from\"}]}}]}]}";

static const struct dataset *read_dataset(struct arena *arena)
{
    json_object *parsed = json_tokener_parse(document);
    const struct schema_loc loc = { .name = "body" };
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;
    struct err err = { 0 };

    assert_int_equal(dataset_read(parsed, &loc, NULL, arena, &dataset, &errors, &err), 0);
    json_object_put(parsed);
    return dataset;
}

static void world_catalog(struct world *world)
{
    struct graph_dataset graphed;
    struct err err;

    for (int i = 0; i < 3; i++)
        world->connections[i] = (struct catalog_connection){ .does_access = true, .does_erasure = true };
    world->connections[0].id = world->connections[0].key = "db";
    world->connections[1].id = world->connections[1].key = "hr";
    world->connections[2].id = world->connections[2].key = "shelf";
    for (int i = 0; i < 2; i++)
        world->manuals[i] = (struct catalog_manual){ .id = i ? "man_2" : "man_1",
                                                     .labels = labels,
                                                     .label_count = 2,
                                                     .erasure_labels = labels,
                                                     .erasure_count = 1 };
    world->dataset = (struct catalog_dataset){ read_dataset(world->test.arena), &world->connections[0] };
    graphed = (struct graph_dataset){ world->dataset.dataset, "db" };
    world->catalog = (struct catalog){ .version = 7,
                                       .policies = &world->policy,
                                       .policy_count = 1,
                                       .connections = world->connections,
                                       .connection_count = 3,
                                       .datasets = &world->dataset,
                                       .dataset_count = 1 };
    assert_int_equal(graph_new(&graphed, 1, world->test.arena, &world->catalog.graph, &err), 0);
}

static int world_setup(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));

    world->test.arena = arena_new();
    world->rules[0] = (struct catalog_rule){ .key = "read", .action_type = "access", .targets = { targets, 1 } };
    world->rules[1] = (struct catalog_rule){ .key = "wipe", .action_type = "erasure", .targets = { targets, 1 } };
    world->policy = (struct catalog_policy){ .id = "pol_1", .key = "p", .rules = world->rules, .rule_count = 2 };
    world_catalog(world);
    world->request = (struct request){ .arena = world->test.arena,
                                       .id = "pri_1",
                                       .seq = 4,
                                       .status = PR_IN_PROCESSING,
                                       .policy_id = "pol_1",
                                       .identity_keys = { names, 1 },
                                       .tasks = world->tasks,
                                       .inputs = world->inputs };
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

static const struct plan_step *only_step(struct world *world)
{
    plan_event(EVENT_TASK_COMPLETED, world->request.seq, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 1);
    return &world->plan.steps[0];
}

static void nothing_follows(struct world *world)
{
    plan_event(EVENT_TASK_COMPLETED, world->request.seq, &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

/* What was planned, on record; those that need nothing are under way. */
static void put_tasks(struct world *world, const struct plan_step *step)
{
    for (int i = 0; i < step->task_count; i++) {
        struct task *task = &world->tasks[world->request.task_count++];

        *task = step->tasks[i];
        task->due_at = task->need_count ? USEC_NONE : 1000;
    }
}

static void finish(struct world *world, int first, int count, enum task_state state)
{
    for (int i = first; i < first + count; i++) {
        world->tasks[i].state = state;
        world->tasks[i].due_at = USEC_NONE;
        world->tasks[i].message = "said";
    }
}

/* --- collections, packages, erasures --------------------------------------------------------------------- */

static void a_run_goes_from_reading_to_packing_to_erasing_to_its_end(void **state)
{
    struct world *world = *state;
    const struct plan_step *step = only_step(world);

    assert_int_equal(step->kind, PLAN_TASKS);
    assert_int_equal(step->task_count, 2);
    assert_string_equal(step->tasks[0].id, "access:shop:customer");
    assert_string_equal(step->tasks[1].id, "access:shop:orders");
    assert_string_equal(step->tasks[1].needs[0], "access:shop:customer");
    put_tasks(world, step);
    nothing_follows(world); /* the first is under way, the second waits for it */
    finish(world, 0, 1, TASK_COMPLETE);
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_TASK);
    assert_string_equal(step->task->id, "access:shop:orders");
    finish(world, 1, 1, TASK_COMPLETE);
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_TASKS);
    assert_string_equal(step->tasks[0].id, "package:read");
    put_tasks(world, step);
    finish(world, 2, 1, TASK_COMPLETE);
    step = only_step(world);
    assert_int_equal(step->task_count, 2);
    assert_string_equal(step->tasks[0].id, "erasure:shop:customer");
    put_tasks(world, step);
    finish(world, 3, 2, TASK_COMPLETE);
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_MOVE);
    assert_int_equal(step->status, PR_COMPLETE);
}

static void without_datasets_an_access_still_makes_its_package(void **state)
{
    struct world *world = *state;

    world->catalog.dataset_count = 0;
    assert_string_equal(only_step(world)->tasks[0].id, "package:read");
    world->policy.rules = &world->rules[1];
    world->policy.rule_count = 1;
    assert_int_equal(only_step(world)->status, PR_COMPLETE);
}

static void a_collection_that_was_skipped_holds_nobody_up(void **state)
{
    struct world *world = *state;

    put_tasks(world, only_step(world));
    finish(world, 0, 1, TASK_SKIPPED);
    assert_string_equal(only_step(world)->task->id, "access:shop:orders");
}

static void one_that_failed_ends_the_run_where_a_retry_goes_on(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    put_tasks(world, only_step(world));
    finish(world, 0, 1, TASK_FAILED);
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_FAIL);
    assert_string_equal(step->checkpoint, "access");
    assert_string_equal(step->word, "shop");
    assert_string_equal(step->message, "said");
    world->request.run = world->tasks[0].run = 1; /* retried: request_append() has begun it anew */
    world->tasks[0].state = TASK_WAITING;
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_TASK);
    assert_string_equal(step->task->id, "access:shop:customer");
}

static void an_erasure_waits_for_others_only_as_far_as_they_are_erased(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    put_tasks(world, only_step(world));
    finish(world, 0, 2, TASK_COMPLETE);
    put_tasks(world, only_step(world)); /* the package */
    finish(world, 2, 1, TASK_COMPLETE);
    step = only_step(world);
    assert_int_equal(step->task_count, 2);
    assert_int_equal(step->tasks[1].need_count, 1);
    assert_string_equal(step->tasks[1].needs[0], "erasure:shop:customer");
    world->tasks[0].state = TASK_SKIPPED;
    step = only_step(world);
    assert_int_equal(step->task_count, 1);
    assert_string_equal(step->tasks[0].id, "erasure:shop:orders");
    assert_int_equal(step->tasks[0].need_count, 0);
}

static void a_task_that_comes_due_is_done_only_while_the_request_runs(void **state)
{
    struct world *world = *state;

    put_tasks(world, only_step(world));
    plan_task(&world->tasks[0], &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.steps[0].kind, PLAN_TASK);
    world->request.status = PR_CANCELED;
    plan_task(&world->tasks[0], &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.steps[0].kind, PLAN_IDLE);
    finish(world, 0, 1, TASK_COMPLETE);
    plan_task(&world->tasks[0], &world->request, &world->catalog, &world->plan);
    assert_int_equal(world->plan.count, 0);
}

static void a_graph_that_is_none_or_can_t_be_walked_is_told(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    world->catalog.graph = NULL;
    world->catalog.graph_problem = "Referenced object";
    step = only_step(world);
    assert_string_equal(step->word, "Dataset reference validation");
    assert_string_equal(step->message, "Referenced object");
}

/* --- people ---------------------------------------------------------------------------------------------- */

static void ask(struct world *world, int people)
{
    world->catalog.asks_people = true;
    for (int i = 0; i < people; i++)
        world->connections[1 + i].manual = &world->manuals[i];
}

static void give(struct world *world, int i, const char *action, int count)
{
    world->inputs[world->request.input_count++] = (struct input){
        .webhook_id = world->manuals[i].id, .action = action, .labels = labels, .label_count = count
    };
}

static void a_run_stops_until_everybody_has_answered_for_both_actions(void **state)
{
    struct world *world = *state;
    const struct plan_step *step;

    ask(world, 2);
    step = only_step(world);
    assert_int_equal(step->kind, PLAN_INPUT);
    assert_int_equal(step->status, PR_REQUIRES_INPUT);
    assert_string_equal(step->word, "access:hr,access:shelf,erasure:hr,erasure:shelf");
    give(world, 0, "access", 2);
    give(world, 1, "access", 2);
    assert_string_equal(only_step(world)->word, "erasure:hr,erasure:shelf");
    give(world, 0, "erasure", 1);
    give(world, 1, "erasure", 1);
    assert_int_equal(only_step(world)->kind, PLAN_TASKS);
}

static void who_is_disabled_or_does_not_do_that_action_is_not_asked(void **state)
{
    struct world *world = *state;

    ask(world, 2);
    world->connections[1].disabled = true;
    world->connections[2].does_erasure = false;
    assert_string_equal(only_step(world)->word, "access:shelf");
    world->manuals[1].label_count = 0;
    assert_int_equal(only_step(world)->kind, PLAN_TASKS);
}

static void input_of_other_labels_is_asked_for_anew(void **state)
{
    struct world *world = *state;

    ask(world, 1);
    world->policy.rule_count = 1;
    give(world, 0, "access", 1); /* before the second was added */
    assert_string_equal(only_step(world)->word, "access:hr");
}

static void review(struct world *world)
{
    plan_review(&world->request, &world->catalog, &world->plan);
}

static void who_waits_for_input_is_looked_at_again_when_that_changes(void **state)
{
    struct world *world = *state;

    ask(world, 2);
    world->policy.rule_count = 1;
    world->request.status = PR_REQUIRES_INPUT;
    world->request.input_awaited = "access:hr,access:shelf";
    review(world);
    assert_int_equal(world->plan.count, 0);
    world->connections[1].disabled = true;
    review(world); /* fewer are waited for: told */
    assert_int_equal(world->plan.steps[0].kind, PLAN_INPUT);
    assert_int_equal(world->plan.steps[0].status, PR_NONE);
    assert_string_equal(world->plan.steps[0].word, "access:shelf");
    give(world, 1, "access", 2);
    review(world); /* the last who was missing went away */
    assert_int_equal(world->plan.steps[0].kind, PLAN_GO_ON);
    assert_int_equal(world->plan.steps[0].status, PR_IN_PROCESSING);
}

static void who_has_all_input_is_left_to_the_person_who_lets_it_go_on(void **state)
{
    struct world *world = *state;

    ask(world, 1);
    world->policy.rule_count = 1;
    world->request.status = PR_REQUIRES_INPUT;
    world->request.input_awaited = "access:hr";
    give(world, 0, "access", 2);
    review(world);
    assert_int_equal(world->plan.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_run_goes_from_reading_to_packing_to_erasing_to_its_end),
        WORLD(without_datasets_an_access_still_makes_its_package),
        WORLD(a_collection_that_was_skipped_holds_nobody_up),
        WORLD(one_that_failed_ends_the_run_where_a_retry_goes_on),
        WORLD(an_erasure_waits_for_others_only_as_far_as_they_are_erased),
        WORLD(a_task_that_comes_due_is_done_only_while_the_request_runs),
        WORLD(a_graph_that_is_none_or_can_t_be_walked_is_told),
        WORLD(a_run_stops_until_everybody_has_answered_for_both_actions),
        WORLD(who_is_disabled_or_does_not_do_that_action_is_not_asked),
        WORLD(input_of_other_labels_is_asked_for_anew),
        WORLD(who_waits_for_input_is_looked_at_again_when_that_changes),
        WORLD(who_has_all_input_is_left_to_the_person_who_lets_it_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
