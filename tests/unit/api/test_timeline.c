#include "api/timeline.c"
#include "common/catalog.c"

#include "tests/unit/test.h"

static const struct catalog_connection connection = { .id = "con_1", .key = "risk" };
static const struct catalog_webhook webhooks[] = {
    { .id = "pre_1", .key = "risk_check", .name = "Risk check", .connection = &connection },
    { .id = "pre_2", .key = "loyalty", .name = "Loyalty", .connection = &connection },
};

static struct picture *picture_of_webhooks(void)
{
    struct picture *picture = picture_new();

    picture->catalog.webhooks = webhooks;
    picture->catalog.webhook_count = COUNT_OF(webhooks);
    return picture;
}

#define RISK_CHECK "\"webhook_id\":\"pre_1\",\"webhook_key\":\"risk_check\""
#define CRM "\"webhook_id\":\"pol_1\",\"webhook_key\":\"crm\",\"kind\":\"pre\""
#define NO_KEY "\"webhook_id\":\"pol_7\",\"webhook_key\":null"
#define NEXT "\"next_attempt_at\":\"2026-01-02T03:04:05.000000Z\""
#define CRM_ERROR "Webhook 'crm' returned an error: Client call failed with status code "
#define GONE "\"webhook_id\":\"pre_7\",\"webhook_key\":\"old_key\""

#define ORDERS \
    "\"action\":\"access\",\"connection_key\":\"db\",\"dataset\":\"shop\",\"collection\":\"orders\""

/* Each type in each of its shapes. No group: it tells nothing. */
static const struct {
    enum event_type type;
    const char *data, *group, *status, *message, *user_id;
} told[] = {
    { EVENT_CREATED, "{}", NULL, NULL, NULL, NULL },
    { EVENT_STARTED, "{}", NULL, NULL, NULL, NULL },
    { EVENT_STARTED, "{\"revision\":3," CRM "}", NULL, NULL, NULL, NULL },
    { EVENT_PRE_APPROVAL_REQUESTED, "{\"webhooks\":[{" RISK_CHECK "},{" GONE "}]}", "Triggered pre-approval webhooks",
      "pre_approval_webhook_triggered", "Triggered pre-approval webhooks: Risk check, old_key", NULL },
    { EVENT_WEBHOOK_OWED, "{" RISK_CHECK "}", "Triggered pre-approval webhooks", "pre_approval_webhook_triggered",
      "Triggered pre-approval webhooks: Risk check", NULL },
    { EVENT_WEBHOOK_OWED, "{" RISK_CHECK ",\"kind\":\"pre_approval\"}", "Triggered pre-approval webhooks",
      "pre_approval_webhook_triggered", "Triggered pre-approval webhooks: Risk check", NULL },
    { EVENT_WEBHOOK_OWED, "{" CRM "}", NULL, NULL, NULL, NULL },
    { EVENT_WEBHOOK_SENT, "{" RISK_CHECK ",\"attempt\":1}", NULL, NULL, NULL, NULL },
    { EVENT_WEBHOOK_SENT, "{" RISK_CHECK ",\"attempt\":3}", "Webhook: risk_check", "complete",
      "Webhook 'risk_check' was called successfully at attempt 3", NULL },
    { EVENT_WEBHOOK_FAILED,
      "{" RISK_CHECK ",\"attempt\":1,\"outcome\":\"timeout\",\"next_attempt_at\":\"2026-01-02T03:04:05.000000Z\"}",
      "Webhook: risk_check", "retrying",
      "Webhook 'risk_check' returned an error: Client call failed with status code '500' (timeout). "
      "Next attempt at 2026-01-02T03:04:05.000000Z",
      NULL },
    { EVENT_WEBHOOK_GIVEN_UP, "{" RISK_CHECK ",\"attempt\":2,\"outcome\":\"http_4xx\",\"status_code\":404}",
      "Webhook: risk_check", "error",
      "Webhook 'risk_check' returned an error: Client call failed with status code '404' (http_4xx). "
      "No further attempt is made",
      NULL },
    { EVENT_WEBHOOK_GIVEN_UP, "{" CRM ",\"attempt\":1,\"outcome\":\"bad_answer\",\"status_code\":200}",
      "Webhook: crm", "error",
      "Webhook 'crm' returned an invalid response format (bad_answer). No further attempt is made", NULL },
    { EVENT_WEBHOOK_HELD, "{" CRM ",\"reason\":\"endpoint_paused\"}", "Webhook: crm", "skipped",
      "Webhook 'crm' was not called: its endpoint is paused", NULL },
    { EVENT_WEBHOOK_RELEASED, "{" CRM ",\"reason\":\"endpoint_paused\"}", "Webhook: crm", "pending",
      "Webhook 'crm' is called: its endpoint is resumed", NULL },
    { EVENT_WEBHOOK_ANSWERED, "{" CRM ",\"attempt\":1,\"outcome\":\"succeeded\",\"status_code\":200}", NULL, NULL,
      NULL, NULL },
    { EVENT_WEBHOOK_ANSWERED,
      "{" CRM ",\"attempt\":1,\"outcome\":\"succeeded\",\"halt\":true,\"derived\":[\"email\"]}", NULL, NULL, NULL,
      NULL },
    { EVENT_WEBHOOK_ANSWERED, "{" CRM ",\"attempt\":2,\"outcome\":\"succeeded\",\"status_code\":204}",
      "Webhook: crm", "complete", "Webhook 'crm' was called successfully at attempt 2", NULL },
    { EVENT_WEBHOOK_ANSWERED, "{" CRM ",\"attempt\":1,\"outcome\":\"http_4xx\",\"status_code\":404}",
      "Webhook: crm", "error", CRM_ERROR "'404'", NULL },
    { EVENT_WEBHOOK_ANSWERED, "{" CRM ",\"attempt\":1,\"outcome\":\"http_5xx\",\"status_code\":503," NEXT "}",
      "Webhook: crm", "error", CRM_ERROR "'503'", NULL },
    { EVENT_WEBHOOK_SKIPPED, "{" CRM ",\"reason\":\"connection_disabled\"}", "Webhook: crm", "skipped",
      "Webhook 'crm' was not called: its connection is disabled. The request goes on without it", NULL },
    { EVENT_WEBHOOK_SKIPPED, "{" NO_KEY ",\"reason\":\"webhook_deleted\"}", "Webhook: deleted", "skipped",
      "Webhook 'deleted' was not called: it was deleted. The request goes on without it", NULL },
    { EVENT_WEBHOOKS_CHANGED, "{\"revision\":4,\"pre_execution\":[\"crm\",\"erp\"],\"post_execution\":[]}",
      "Policy webhooks", "in_processing",
      "The policy's webhooks were changed while the request was running. Those that were called are not called again. "
      "Pre-execution webhooks: crm, erp. Post-execution webhooks: none",
      NULL },
    { EVENT_ENDPOINT_PAUSED, "{" CRM ",\"attempt\":1,\"outcome\":\"http_4xx\",\"status_code\":410}", "Webhook: crm",
      "pending",
      "Webhook 'crm' answered with status code '410': its endpoint is paused. Its calls are held until an operator "
      "resumes it",
      NULL },
    { EVENT_WEBHOOK_REDELIVERED, "{" CRM "}", "Webhook: crm", "pending",
      "Webhook 'crm' is called once more, as an operator asked", NULL },
    { EVENT_WEBHOOK_REMINDED, "{" RISK_CHECK ",\"attempt\":2,\"outcome\":\"succeeded\"," NEXT "}",
      "Webhook: risk_check", "pending",
      "Webhook 'risk_check' has not replied and was reminded (succeeded). Next reminder at 2026-01-02T03:04:05.000000Z",
      NULL },
    { EVENT_WEBHOOK_REMINDED, "{" RISK_CHECK ",\"attempt\":2,\"outcome\":\"timeout\"}", "Webhook: risk_check",
      "pending", "Webhook 'risk_check' has not replied and was reminded (timeout)", NULL },
    { EVENT_PAUSED, "{" CRM ",\"expires_at\":\"2026-01-09T03:04:05.000000Z\"}", "Webhook: crm", "awaiting_processing",
      "Webhook 'crm' halted the request. It waits for the webhook's reply until 2026-01-09T03:04:05.000000Z, and "
      "expires then",
      NULL },
    { EVENT_RESUME_KEPT, "{" CRM "}", "Webhook: crm", "pending",
      "Webhook 'crm' replied before its answer to the call was on record. The reply is kept for then", NULL },
    { EVENT_RESUMED, "{\"by\":\"webhook\"," CRM "}", "Webhook: crm", "complete",
      "Webhook 'crm' replied. The request goes on", NULL },
    { EVENT_RESUMED, "{\"by\":\"webhook\"," CRM ",\"derived\":[\"email\",\"custom\"]}", "Webhook: crm", "complete",
      "Webhook 'crm' replied. The request goes on. It told: email, custom", NULL },
    { EVENT_RESUMED, "{\"by\":\"system\"," NO_KEY "}", "Webhook: deleted", "complete",
      "The webhook that halted the request was deleted. The request goes on", NULL },
    { EVENT_EXPIRED,
      "{\"step\":\"pre_webhooks\",\"log\":\"Privacy request processing\","
      "\"message\":\"Privacy request has expired. Please resubmit information.\"}",
      "Privacy request processing", "error", "Privacy request has expired. Please resubmit information.", NULL },
    { EVENT_RETRIED, "{\"by\":\"user\",\"user_id\":\"fid_1\",\"step\":\"pre_webhooks\"}", "Request retried",
      "retried", "From pre_webhooks", "fid_1" },
    { EVENT_RETRIED, "{\"by\":\"client\",\"user_id\":null}", "Request retried", "retried", "", NULL },
    { EVENT_DELETED, "{\"by\":\"user\",\"user_id\":\"fid_1\"}", "Request deleted", "deleted", "", "fid_1" },
    { EVENT_WEBHOOK_HELD, "{" RISK_CHECK "}", "Webhook: risk_check", "skipped",
      "Webhook 'risk_check' was not called: its connection is disabled", NULL },
    { EVENT_WEBHOOK_RELEASED, "{" RISK_CHECK "}", "Webhook: risk_check", "pending",
      "Webhook 'risk_check' is called: its connection is enabled again", NULL },
    { EVENT_WEBHOOK_WITHDRAWN, "{" RISK_CHECK ",\"reason\":\"request_decided\"}", "Webhook: risk_check", "skipped",
      "Webhook 'risk_check' is not called any more: the request does not wait for it any more", NULL },
    { EVENT_WEBHOOK_WITHDRAWN, "{" RISK_CHECK ",\"reason\":\"replied\"}", "Webhook: risk_check", "skipped",
      "Webhook 'risk_check' is not called any more: its reply is here", NULL },
    { EVENT_ELIGIBLE, "{" RISK_CHECK ",\"eligible\":true}", "Request auto-approved by pre-approval webhooks",
      "pre_approval_eligible", "Pre-approval webhook 'Risk check' responded: eligible", NULL },
    { EVENT_NOT_ELIGIBLE, "{" RISK_CHECK ",\"eligible\":false}",
      "Request flagged for manual review by pre-approval webhooks", "pre_approval_not_eligible",
      "Request flagged for manual review by pre-approval webhooks. Webhook 'Risk check' responded: not eligible",
      NULL },
    { EVENT_REPLY_IGNORED, "{" RISK_CHECK ",\"eligible\":false,\"reason\":\"late\"}", "Webhook: risk_check", "skipped",
      "Webhook 'Risk check' responded: not eligible. The reply was ignored: the request was already decided", NULL },
    { EVENT_REPLY_IGNORED, "{" GONE ",\"eligible\":true,\"reason\":\"webhook_deleted\"}", "Webhook: old_key",
      "skipped", "Webhook 'old_key' responded: eligible. The reply was ignored: the webhook was deleted", NULL },
    { EVENT_REPLY_IGNORED, "{\"webhook_id\":\"pre_7\",\"webhook_key\":null,\"eligible\":true,\"reason\":\"opposite\"}",
      "Webhook: deleted", "skipped",
      "Webhook 'deleted' responded: eligible. The reply was ignored: it contradicts the webhook's first reply", NULL },
    { EVENT_APPROVED, "{\"by\":\"webhooks\",\"user_id\":null," RISK_CHECK "}", "Request approved", "approved",
      "Request auto-approved by pre-approval webhooks", NULL },
    { EVENT_APPROVED, "{\"by\":\"user\",\"user_id\":\"fid_1\"}", "Request approved", "approved", "", "fid_1" },
    { EVENT_APPROVED, "{\"by\":\"client\",\"user_id\":null}", "Request approved", "approved", "", NULL },
    { EVENT_APPROVED, "{\"by\":\"system\",\"user_id\":null}", "Request approved", "approved", "", "system" },
    { EVENT_DENIED, "{\"by\":\"user\",\"user_id\":\"fid_1\"}", "Request denied", "denied", "because", "fid_1" },
    { EVENT_CANCELED, "{\"by\":\"client\",\"user_id\":null}", "Request canceled", "canceled", "because", NULL },
    { EVENT_COMPLETED, "{}", "Request finished", "finished", "", NULL },
    { EVENT_FAILED, "{\"step\":\"Policy validation\",\"message\":\"No rule.\"}", "Policy validation", "error",
      "No rule.", NULL },
    { EVENT_FAILED, "{\"step\":\"pre_webhooks\",\"log\":\"Webhook: crm\",\"message\":\"" CRM_ERROR "'500'\"}",
      "Webhook: crm", "error", CRM_ERROR "'500'", NULL },
    { EVENT_INPUT_REQUIRED, "{\"status\":\"requires_input\",\"awaited\":\"access:crm,erasure:old.erp\"}",
      "Manual input", "awaiting_processing", "The request waits for manual input: crm (access), old.erp (erasure)",
      NULL },
    { EVENT_INPUT_REQUIRED, "{\"awaited\":\"\"}", "Manual input", "awaiting_processing",
      "The request waits for manual input: none", NULL },
    { EVENT_INPUT_GIVEN, "{\"connection_key\":\"crm\",\"action\":\"access\",\"by\":\"user\",\"user_id\":\"fid_1\"}",
      "Manual input", "complete", "Manual input was given for connection 'crm' (access)", "fid_1" },
    { EVENT_INPUT_COMPLETED, "{\"by\":\"client\",\"user_id\":null}", "Manual input", "complete",
      "All manual input is there. The request goes on", NULL },
    { EVENT_INPUT_COMPLETED, "{\"by\":\"system\",\"user_id\":null}", "Manual input", "complete",
      "No manual input is waited for any more. The request goes on", "system" },
    { EVENT_TASKS_PLANNED, "{\"request_id\":\"pri_1\",\"action\":\"access\"}", "Dataset reference validation",
      "complete", "Dataset reference validation successful for privacy request: pri_1", NULL },
    { EVENT_TASK_COMPLETED, "{" ORDERS ",\"message\":\"success - retrieved 2 records\"}", "shop", "complete",
      "success - retrieved 2 records", NULL },
    { EVENT_TASK_COMPLETED,
      "{\"action\":\"package\",\"rule_key\":\"all\","
      "\"message\":\"Access package upload successful for privacy request.\"}",
      "Access package upload", "complete", "Access package upload successful for privacy request.", NULL },
    { EVENT_TASK_SKIPPED, "{" ORDERS ",\"message\":\"No table.\"}", "shop", "skipped", "No table.", NULL },
    { EVENT_TASK_RETRIED, "{" ORDERS "}", "shop", "retrying", "retrying", NULL },
    { EVENT_TASK_RETRIED, "{" ORDERS ",\"message\":\"Away.\"}", "shop", "retrying", "Away.", NULL },
    { EVENT_TASK_FAILED, "{" ORDERS ",\"message\":\"Away.\"}", "shop", "error", "Away.", NULL },
    { EVENT_DISCLOSED, "{\"what\":\"package\",\"to\":\"link\",\"rule_keys\":[\"all\"]}", "Access results given out", "disclosed",
      "A package was fetched by its link: all", NULL },
    { EVENT_DISCLOSED, "{\"what\":\"links\",\"to\":\"user\",\"user_id\":\"fid_1\",\"rule_keys\":[\"all\",\"orders\"]}",
      "Access results given out", "disclosed", "Links to packages were given out: all, orders", "fid_1" },
    { EVENT_DISCLOSED, "{\"what\":\"transfer\",\"to\":\"client\",\"client_id\":\"c\",\"rule_keys\":[\"all\"]}",
      "Access results given out", "disclosed", "What was collected was given out: all", NULL },
    { EVENT_PACKAGE_DELETED, "{\"rule_key\":\"all\",\"reason\":\"expired\"}", "Access package upload", "complete",
      "The access package of rule all was deleted from its storage: its time was over", NULL },
    { EVENT_PACKAGE_DELETED, "{\"rule_key\":\"all\",\"reason\":\"forgotten\"}", "Access package upload", "complete",
      "The access package of rule all was deleted from its storage: the request was forgotten", NULL },
    { EVENT_FORGOTTEN, "{\"by\":\"retention\"}", "Request forgotten", "forgotten", "Its time was over", NULL },
    { EVENT_FORGOTTEN, "{\"by\":\"operator\"}", "Request forgotten", "forgotten", "By an operator", NULL },
    { EVENT_FORGOTTEN, "{\"by\":\"client\"}", "Request forgotten", "forgotten", "", NULL },
    { EVENT_FAILED, "{\"message\":\"No word.\"}", "Privacy request processing", "error", "No word.", NULL },
};

static void assert_text(const char *text, const char *expected)
{
    assert_int_equal(!text, !expected);
    if (text)
        assert_string_equal(text, expected);
}

static void each_event_is_told_in_the_contract_s_words(void **state)
{
    _cleanup_(catalog_unref_picturep) struct picture *picture = picture_of_webhooks();
    struct test *test = *state;
    bool seen[EVENT_TYPES] = { false };

    for (size_t i = 0; i < COUNT_OF(told); i++) {
        _cleanup_(json_object_putp) json_object *data = json_tokener_parse(told[i].data);
        struct timeline_event event = { .type = told[i].type,
                                        .data = data,
                                        .time = 7,
                                        .catalog = &picture->catalog,
                                        .action_type = "access",
                                        .reason = "because",
                                        .arena = test->arena };
        struct timeline_entry entry = { 0 };

        assert_non_null(data);
        seen[told[i].type] = true;
        assert_int_equal(entry_make(&event, &entry), told[i].group != NULL);
        assert_text(entry.group, told[i].group);
        assert_text(entry.status, told[i].status);
        assert_text(entry.message, told[i].message);
        assert_text(entry.user_id, told[i].user_id);
        if (told[i].group)
            assert_text(entry.action_type, entry.is_audit ? NULL : "access");
    }
    for (int type = EVENT_UNKNOWN + 1; type < EVENT_REPLY_ELIGIBLE; type++)
        assert_true(seen[type]);
}

static void a_call_that_the_request_failed_by_is_told_by_that_failure_alone(void **state)
{
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse("{" CRM ",\"attempt\":3,\"outcome\":\"timeout\"}");
    struct test *test = *state;
    struct timeline_event event = { .type = EVENT_WEBHOOK_GIVEN_UP, .data = data, .arena = test->arena };
    struct timeline_entry entry;

    assert_true(entry_make(&event, &entry));
    event.failed = true;
    assert_false(entry_make(&event, &entry));
}

static void a_failure_that_a_task_told_is_not_told_again(void **state)
{
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse("{\"step\":\"access\"}");
    struct test *test = *state;
    struct timeline_event event = { .type = EVENT_FAILED, .data = data, .arena = test->arena };
    struct timeline_entry entry;

    assert_true(entry_make(&event, &entry));
    event.failed = true;
    assert_false(entry_make(&event, &entry));
}

static void entries_keep(void *context, const struct timeline_entry *entry)
{
    struct timeline_entry **next = context;

    *(*next)++ = *entry;
}

static void a_collection_is_told_with_all_that_is_known_of_it(void **state)
{
    _cleanup_(json_object_putp) json_object *data =
        json_tokener_parse("{" ORDERS ",\"message\":\"m\",\"fields_affected\":[{\"path\":\"shop:orders:id\"}]}");
    struct test *test = *state;
    struct timeline_event event = { .type = EVENT_TASK_COMPLETED, .data = data, .arena = test->arena };
    struct timeline_entry entries[2], *next = entries;

    timeline_tell(&event, entries_keep, &next);
    assert_int_equal(next - entries, 1);
    assert_string_equal(entries[0].connection_key, "db");
    assert_string_equal(entries[0].collection, "orders");
    assert_string_equal(entries[0].action_type, "access");
    assert_int_equal(json_object_array_length(entries[0].fields), 1);
    event.type = EVENT_UNKNOWN;
    event.begun = true;
    next = entries;
    timeline_tell(&event, entries_keep, &next);
    assert_int_equal(next - entries, 1);
    assert_string_equal(entries[0].group, "shop");
    assert_string_equal(entries[0].status, "in_processing");
    assert_string_equal(entries[0].message, "starting");
}

static void a_plan_is_told_with_what_is_not_reached_and_why(void **state)
{
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse(
        "{\"request_id\":\"pri_1\",\"action\":\"access\",\"skips\":[{\"address\":\"a:b\",\"reason\":\"\"},"
        "{\"address\":\"a:c\",\"reason\":\"Skipping\"}]}");
    static const char *const expected[][4] = {
        { "Dataset reference validation", NULL, "complete",
          "Dataset reference validation successful for privacy request: pri_1" },
        { "Dataset traversal", NULL, "complete", "Traversal successful for privacy request: pri_1" },
        { "Dataset traversal", "a.c", "skipped", "Skipping" },
    };
    struct test *test = *state;
    struct timeline_event event = { .type = EVENT_TASKS_PLANNED, .data = data, .arena = test->arena };
    struct timeline_entry entries[8], *next = entries;

    timeline_tell(&event, entries_keep, &next);
    assert_int_equal(next - entries, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_string_equal(entries[i].group, expected[i][0]);
        assert_text(entries[i].collection, expected[i][1]);
        assert_string_equal(entries[i].status, expected[i][2]);
        assert_string_equal(entries[i].message, expected[i][3]);
        assert_string_equal(entries[i].action_type, "access");
    }
}

static void every_telling_is_whole(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPES; type++) {
        const struct telling *telling = &tellings[type];

        assert_int_equal(!telling->status, !telling->message);
        assert_int_equal(!telling->status, !telling->group && !telling->group_of);
        assert_true(!telling->group || !telling->group_of);
    }
}

static struct timeline_entry entry_of(const char *group)
{
    return (struct timeline_entry){ .group = group, .status = "retrying", .message = "m", .time = 0 };
}

static void a_group_has_a_thousand_entries_at_the_most(void **state)
{
    _cleanup_(json_object_putp) json_object *results = json_object_new_object();
    const struct timeline_entry entry = entry_of("Webhook: a"), other = entry_of("Webhook: b");

    (void)state;
    for (int i = 0; i < GROUP_ENTRIES_MAX + 5; i++)
        results_take(results, &entry);
    results_take(results, &other);
    assert_int_equal(json_object_array_length(schema_get(results, "Webhook: a")), GROUP_ENTRIES_MAX);
    assert_int_equal(json_object_array_length(schema_get(results, "Webhook: b")), 1);
}

static void a_page_of_the_log_has_its_own_and_counts_all(void **state)
{
    struct timeline_entry entry = entry_of("Webhook: a"), audit = entry_of("Request approved");
    struct log_page page = { .first = 2, .end = 4, .items = json_object_new_array() };

    (void)state;
    audit.is_audit = true;
    for (int i = 0; i < 7; i++) {
        log_take(&page, &entry);
        log_take(&page, &audit);
    }
    assert_int_equal(page.total, 7);
    assert_int_equal(json_object_array_length(page.items), 2);
    json_object_put(page.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_is_told_in_the_contract_s_words),
        TEST(a_call_that_the_request_failed_by_is_told_by_that_failure_alone),
        TEST(a_failure_that_a_task_told_is_not_told_again),
        TEST(a_collection_is_told_with_all_that_is_known_of_it),
        TEST(a_plan_is_told_with_what_is_not_reached_and_why),
        TEST(every_telling_is_whole),
        TEST(a_group_has_a_thousand_entries_at_the_most),
        TEST(a_page_of_the_log_has_its_own_and_counts_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
