#include "tests/unit/test.h"

#include <json-c/json.h>
#include <sodium.h>

#include "common/event.c"

static void every_type_has_a_word_that_leads_back(void **state)
{
    (void)state;
    for (int i = EVENT_UNKNOWN + 1; i < EVENT_TYPES; i++) {
        const char *word = event_word((enum event_type)i);

        assert_int_equal(event_parse(word), i);
        assert_int_equal(strncmp(word, "docket.", 7), 0);
        assert_string_equal(word + strlen(word) - 3, ".v1");
    }
    assert_int_equal(event_parse("docket.request.created.v2"), EVENT_UNKNOWN);
    assert_int_equal(event_parse(NULL), EVENT_UNKNOWN);
}

/* `payload` is JSON with this member, printed as `expected`. */
static void assert_member(const char *payload, const char *name, const char *expected)
{
    json_object *data = json_tokener_parse(payload), *member;

    assert_non_null(data);
    assert_true(json_object_object_get_ex(data, name, &member));
    assert_string_equal(json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN), expected);
    json_object_put(data);
}

static void assert_no_member(const char *payload, const char *name)
{
    json_object *data = json_tokener_parse(payload);

    assert_non_null(data);
    assert_false(json_object_object_get_ex(data, name, NULL));
    json_object_put(data);
}

static void payloads_are_json_whatever_a_key_holds(void **state)
{
    struct test *test = *state;
    struct event_webhook webhook = { "pre_1", "a \"quoted\"\nkey", "dlv_1" };
    struct event_attempt attempt = { .webhook = webhook,
                                     .attempt = 2,
                                     .status_code = 503,
                                     .outcome = "http_5xx",
                                     .duration = 1500,
                                     .next_attempt_at = (usec_t)1700000000 * USEC_PER_S };
    const char *payload = event_webhook_attempt(test->arena, "pri_1", &attempt);

    assert_member(payload, "request_id", "\"pri_1\"");
    assert_member(payload, "webhook_key", "\"a \\\"quoted\\\"\\nkey\"");
    assert_member(payload, "status_code", "503");
    assert_member(payload, "next_attempt_at", "\"2023-11-14T22:13:20.000000Z\"");
    assert_no_member(payload, "disclosed"); /* nothing went out */
    attempt.disclosed = "{\"identity\":[\"email\"]}";
    payload = event_webhook_attempt(test->arena, "pri_1", &attempt);
    assert_member(payload, "disclosed", "{\"identity\":[\"email\"]}");
    payload = event_pre_approval_requested(test->arena, "pri_1", &webhook, 1);
    assert_member(payload, "status", "\"awaiting_pre_approval\"");
}

static void input_that_is_required_sets_the_status_when_it_is_told_first(void **state)
{
    struct test *test = *state;
    const char *payload = event_input_required(test->arena, "pri_1", PR_REQUIRES_INPUT, "access:a,erasure:a");

    assert_string_equal(payload, "{\"request_id\":\"pri_1\",\"status\":\"requires_input\","
                                 "\"awaited\":\"access:a,erasure:a\"}");
    payload = event_input_required(test->arena, "pri_1", PR_NONE, "access:a");
    assert_no_member(payload, "status");
    assert_member(payload, "awaited", "\"access:a\"");
}

static void input_is_told_without_what_was_filled_in(void **state)
{
    struct test *test = *state;

    static const char *const labels[] = { "a, b", "c" };
    struct event_input input = { "archive", "man_1", "erasure", "fid_1", "cli_1", labels, 2 };

    assert_string_equal(event_input_given(test->arena, "pri_1", &input),
                        "{\"request_id\":\"pri_1\",\"connection_key\":\"archive\",\"webhook_id\":\"man_1\","
                        "\"action\":\"erasure\",\"labels\":[\"a, b\",\"c\"],\"by\":\"user\","
                        "\"user_id\":\"fid_1\"}");
    input.user_id = NULL;
    input.label_count = 0;
    assert_string_equal(event_input_given(test->arena, "pri_1", &input),
                        "{\"request_id\":\"pri_1\",\"connection_key\":\"archive\",\"webhook_id\":\"man_1\","
                        "\"action\":\"erasure\",\"labels\":[],\"by\":\"client\",\"user_id\":null,"
                        "\"client_id\":\"cli_1\"}");
    assert_string_equal(event_input_completed(test->arena, "pri_1", "system", NULL),
                        "{\"request_id\":\"pri_1\",\"status\":\"in_processing\",\"by\":\"system\","
                        "\"user_id\":null}");
    assert_string_equal(event_forgotten(test->arena, "pri_1", "retention"),
                        "{\"request_id\":\"pri_1\",\"by\":\"retention\"}");
}

static void what_is_handed_out_is_told_with_whose_and_to_whom(void **state)
{
    static const char *const keys[] = { "all", "orders" };
    struct test *test = *state;
    struct event_disclosed disclosed = { .what = "package", .rule_keys = keys, .rule_count = 1, .to = "link" };

    assert_string_equal(event_disclosed(test->arena, "pri_1", &disclosed),
                        "{\"request_id\":\"pri_1\",\"what\":\"package\",\"rule_keys\":[\"all\"],\"to\":\"link\"}");
    disclosed = (struct event_disclosed){ "links", keys, "user", "portal", "fid_1", 2 };
    assert_string_equal(event_disclosed(test->arena, "pri_1", &disclosed),
                        "{\"request_id\":\"pri_1\",\"what\":\"links\",\"rule_keys\":[\"all\",\"orders\"],"
                        "\"to\":\"user\",\"client_id\":\"portal\",\"user_id\":\"fid_1\"}");
}

static void a_task_is_told_with_what_there_is_to_tell(void **state)
{
    struct test *test = *state;
    struct event_task task = { .task_id = "access:shop:orders",
                               .action = "access",
                               .dataset = "shop",
                               .row_count = 0,
                               .fields = "[{\"path\":\"shop:orders:id\"}]",
                               .next_try_at = (usec_t)1700000000 * USEC_PER_S };
    const char *payload = event_task(test->arena, "pri_1", &task);

    assert_member(payload, "row_count", "0");
    assert_member(payload, "fields_affected", "[{\"path\":\"shop:orders:id\"}]");
    assert_member(payload, "next_try_at", "\"2023-11-14T22:13:20.000000Z\"");
    assert_no_member(payload, "connection_key");
    task = (struct event_task){
        "package:all", "package", .rule_key = "all", .row_count = -1, .next_try_at = USEC_NONE,
    };
    assert_string_equal(event_task(test->arena, "pri_1", &task),
                        "{\"request_id\":\"pri_1\",\"task_id\":\"package:all\",\"action\":\"package\","
                        "\"rule_key\":\"all\"}");
    task.attempt_id = "try_1";
    task.package = &(struct event_package){ "s3", "json", "pri_1/all.json", 42, true };
    assert_string_equal(event_task(test->arena, "pri_1", &task),
                        "{\"request_id\":\"pri_1\",\"task_id\":\"package:all\",\"action\":\"package\","
                        "\"rule_key\":\"all\",\"attempt_id\":\"try_1\",\"storage_key\":\"s3\",\"format\":\"json\","
                        "\"location\":\"pri_1/all.json\",\"bytes\":42,\"encrypted\":true}");
    assert_string_equal(event_package_deleted(test->arena, "pri_1", "all", task.package, "expired"),
                        "{\"request_id\":\"pri_1\",\"rule_key\":\"all\",\"storage_key\":\"s3\","
                        "\"location\":\"pri_1/all.json\",\"reason\":\"expired\"}");
}

static void a_request_s_beginning_is_told_by_what_there_is(void **state)
{
    struct test *test = *state;
    usec_t now = (usec_t)1700000000 * USEC_PER_S;
    struct event_creation creation = { .policy_id = "pol_1",
                                       .policy_key = "all",
                                       .action_type = "access",
                                       .time = now,
                                       .requested_at = now,
                                       .due_date = USEC_NONE,
                                       .started_processing_at = USEC_NONE,
                                       .finished_processing_at = USEC_NONE };

    assert_string_equal(event_created(test->arena, "pri_1", &creation),
                        "{\"request_id\":\"pri_1\",\"status\":\"pending\",\"policy_id\":\"pol_1\","
                        "\"policy_key\":\"all\",\"action_type\":\"access\",\"source\":null,\"due_date\":null}");
    creation.requested_at = now - USEC_PER_S;
    creation.submitted_by = "fid_1";
    creation.started_processing_at = now;
    creation.finished_processing_at = now + USEC_PER_S;
    creation.custom_fields = true;
    assert_string_equal(event_created(test->arena, "pri_1", &creation),
                        "{\"request_id\":\"pri_1\",\"status\":\"pending\",\"policy_id\":\"pol_1\","
                        "\"policy_key\":\"all\",\"action_type\":\"access\",\"source\":null,"
                        "\"submitted_by\":\"fid_1\",\"requested_at\":\"2023-11-14T22:13:19.000000Z\","
                        "\"due_date\":null,\"started_processing_at\":\"2023-11-14T22:13:20.000000Z\","
                        "\"finished_processing_at\":\"2023-11-14T22:13:21.000000Z\",\"custom_fields\":true}");
}

static void where_a_call_goes_is_told_when_it_is_owed(void **state)
{
    struct test *test = *state;
    struct event_webhook webhook = { "pre_1", "crm", "dlv_1", NULL, "con_1" };

    assert_string_equal(event_webhook(test->arena, "pri_1", &webhook, NULL),
                        "{\"request_id\":\"pri_1\",\"webhook_id\":\"pre_1\",\"webhook_key\":\"crm\","
                        "\"delivery_id\":\"dlv_1\",\"connection_id\":\"con_1\"}");
    assert_string_equal(event_pre_approval_requested(test->arena, "pri_1", &webhook, 1),
                        "{\"request_id\":\"pri_1\",\"status\":\"awaiting_pre_approval\",\"webhooks\":["
                        "{\"webhook_id\":\"pre_1\",\"webhook_key\":\"crm\",\"delivery_id\":\"dlv_1\","
                        "\"connection_id\":\"con_1\"}]}");
}

static void what_becomes_of_a_call_is_told_where_the_type_does_not_say_it(void **state)
{
    struct test *test = *state;
    struct event_attempt attempt = { .webhook = { "pol_1", "crm", "dlv_1", "pre" },
                                     .attempt = 1,
                                     .outcome = "http_4xx",
                                     .status_code = 410,
                                     .next_attempt_at = USEC_NONE,
                                     .problem = "words",
                                     .state = "given_up",
                                     .passed = true };
    const char *payload = event_webhook_attempt(test->arena, "pri_1", &attempt);

    assert_member(payload, "problem", "\"words\"");
    assert_member(payload, "state", "\"given_up\"");
    assert_member(payload, "passed", "true");
    attempt.problem = attempt.state = NULL;
    attempt.passed = false;
    payload = event_webhook_attempt(test->arena, "pri_1", &attempt);
    assert_no_member(payload, "problem");
    assert_no_member(payload, "state");
    assert_no_member(payload, "passed");
}

static void fields_too_long_for_a_broker_are_left_out(void **state)
{
    struct test *test = *state;
    char *fields = arena_alloc(test->arena, EVENT_LIST_BYTES + 2);
    struct event_task task = { "access:a:b", "access", .row_count = -1, .fields = fields, .next_try_at = USEC_NONE };

    memset(fields, ' ', EVENT_LIST_BYTES + 1);
    fields[0] = '[';
    fields[EVENT_LIST_BYTES - 1] = ']';
    fields[EVENT_LIST_BYTES] = '\0';
    assert_member(event_task(test->arena, "pri_1", &task), "fields_affected", "[]");
    fields[EVENT_LIST_BYTES] = ' ';
    fields[EVENT_LIST_BYTES + 1] = '\0';
    assert_no_member(event_task(test->arena, "pri_1", &task), "fields_affected");
    assert_member(event_task(test->arena, "pri_1", &task), "fields_left_out", "true");
}

static void a_plan_lists_its_tasks_and_what_is_not_reached(void **state)
{
    static const int needs[] = { 0, 1 };
    static const struct event_plan_task tasks[] = { { "access:a:b", "a", "con_a", NULL, 0 },
                                                    { "access:c:b", "c", "con_c", needs, 1 },
                                                    { "access:a:d", "a", "con_a", needs, 2 } };
    static const struct event_plan_task package = { "package:all", NULL, NULL, NULL, 0 };
    static const struct event_skip skips[] = { { "a:c", "" }, { "a:d", "no \"key\"" } };
    struct test *test = *state;

    assert_string_equal(event_tasks_planned(test->arena, "pri_1", "access", tasks, 3, skips, 2),
                        "{\"request_id\":\"pri_1\",\"action\":\"access\",\"task_count\":3,\"skip_count\":2,"
                        "\"tasks\":[\"access:a:b\",\"access:c:b\",\"access:a:d\"],\"needs\":[[],[0],[0,1]],"
                        "\"connections\":{\"a\":\"con_a\",\"c\":\"con_c\"},"
                        "\"skips\":[{\"address\":\"a:c\",\"reason\":\"\"},"
                        "{\"address\":\"a:d\",\"reason\":\"no \\\"key\\\"\"}]}");
    assert_string_equal(event_tasks_planned(test->arena, "pri_1", "package", &package, 1, NULL, 0),
                        "{\"request_id\":\"pri_1\",\"action\":\"package\",\"task_count\":1,\"skip_count\":0,"
                        "\"tasks\":[\"package:all\"],\"skips\":[]}");
    assert_string_equal(event_tasks_planned(test->arena, "pri_1", "erasure", NULL, 0, NULL, 0),
                        "{\"request_id\":\"pri_1\",\"action\":\"erasure\",\"task_count\":0,\"skip_count\":0,"
                        "\"tasks\":[],\"skips\":[]}");
}

static void a_plan_too_long_for_a_broker_ends_early_and_counts_all(void **state)
{
    enum { MANY = 50000 };
    static const int needs[] = { 49997, 49998, 49999 };
    struct test *test = *state;
    struct event_plan_task *tasks = arena_alloc(test->arena, MANY * sizeof(*tasks));
    struct event_skip *skips = arena_alloc(test->arena, MANY * sizeof(*skips));
    const char *payload;

    for (int i = 0; i < MANY; i++) {
        tasks[i] = (struct event_plan_task){ "access:a_dataset:a_collection", arena_printf(test->arena, "a_%d", i),
                                             "a_connection", needs, 3 };
        skips[i] = (struct event_skip){ "a_dataset:a_collection", "" };
    }
    payload = event_tasks_planned(test->arena, "pri_1", "access", tasks, MANY, skips, MANY);
    assert_member(payload, "task_count", "50000");
    assert_member(payload, "skip_count", "50000");
    assert_in_range(strlen(payload), EVENT_LIST_BYTES, EVENT_PAYLOAD_BYTES - 64 * 1024);
}

static void a_delivery_s_id_is_the_same_for_all_attempts_and_has_no_dot(void **state)
{
    struct test *test = *state;
    const char *id = event_delivery_id(test->arena, "pri_1", "pre_1");

    assert_string_equal(id, event_delivery_id(test->arena, "pri_1", "pre_1"));
    assert_string_not_equal(id, event_delivery_id(test->arena, "pri_1", "pre_2"));
    assert_string_not_equal(event_delivery_id(test->arena, "ab", "c"), event_delivery_id(test->arena, "a", "bc"));
    assert_null(strchr(id, '.'));
    assert_int_equal(strlen(id), 36);
}

static void a_trace_goes_on_and_a_bad_one_begins_anew(void **state)
{
    struct test *test = *state;
    const char *trace = event_trace_new(test->arena), *child = event_trace_child(test->arena, trace);

    assert_int_equal(strlen(trace), 55);
    assert_memory_equal(trace, child, 36);
    assert_string_not_equal(trace, child);
    assert_int_equal(strlen(event_trace_child(test->arena, "00-zz")), 55);
    assert_int_equal(strlen(event_trace_child(test->arena, NULL)), 55);
}

static void row_ids_are_a_prefix_and_a_uuid4(void **state)
{
    struct test *test = *state;
    const char *id = event_row_id(test->arena, "pri");

    assert_int_equal(strlen(id), 40);
    assert_memory_equal(id, "pri_", 4);
    assert_int_equal(id[18], '4');
    assert_non_null(strchr("89ab", id[23]));
    assert_string_not_equal(id, event_row_id(test->arena, "pri"));
}

/* Made with Python's hashlib from the words of schemas/README.md. */
static void the_chain_is_what_a_stranger_computes(void **state)
{
    uint8_t first[EVENT_CHAIN_BYTES], second[EVENT_CHAIN_BYTES];
    char hex[2 * EVENT_CHAIN_BYTES + 1];
    usec_t time = (usec_t)1700000000 * USEC_PER_S + 42;

    (void)state;
    event_chain(NULL, "pri_1", 1, "docket.request.created.v1", time, "/docket/local/docket-api", NULL, NULL, "{}",
                2, first);
    sodium_bin2hex(hex, sizeof(hex), first, sizeof(first));
    assert_string_equal(hex, "08d3582ba11f1d71d61bb0f550f4079f09d3ef5689b8807233224151505a8ba3");
    event_chain(first, "pri_1", 2, "docket.request.approved.v1", time, "/docket/local/docket-worker", "pri_1.1",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "{}", 2, second);
    sodium_bin2hex(hex, sizeof(hex), second, sizeof(second));
    assert_string_equal(hex, "51390338c4347fb6f7819378410cf095e408033bfada5b1b45e9963ed892ce40");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_word_that_leads_back),
        TEST(payloads_are_json_whatever_a_key_holds),
        TEST(input_that_is_required_sets_the_status_when_it_is_told_first),
        TEST(input_is_told_without_what_was_filled_in),
        TEST(what_is_handed_out_is_told_with_whose_and_to_whom),
        TEST(a_task_is_told_with_what_there_is_to_tell),
        TEST(fields_too_long_for_a_broker_are_left_out),
        TEST(a_request_s_beginning_is_told_by_what_there_is),
        TEST(where_a_call_goes_is_told_when_it_is_owed),
        TEST(what_becomes_of_a_call_is_told_where_the_type_does_not_say_it),
        TEST(a_plan_lists_its_tasks_and_what_is_not_reached),
        TEST(a_plan_too_long_for_a_broker_ends_early_and_counts_all),
        TEST(a_delivery_s_id_is_the_same_for_all_attempts_and_has_no_dot),
        TEST(a_trace_goes_on_and_a_bad_one_begins_anew),
        TEST(row_ids_are_a_prefix_and_a_uuid4),
        cmocka_unit_test(the_chain_is_what_a_stranger_computes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
