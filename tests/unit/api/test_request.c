#include "api/request.h"

#include "tests/unit/test.h"

#define DAY (86400 * USEC_PER_S)

static void days_are_counted_by_the_calendar(void **state)
{
    (void)state;
    assert_int_equal(request_days_left(45 * DAY + 10, 10), 45);
    assert_int_equal(request_days_left(DAY, DAY - 1), 1); /* a second before midnight */
    assert_int_equal(request_days_left(2 * DAY - 1, DAY), 0);
    assert_int_equal(request_days_left(DAY - 1, DAY), -1);
    assert_int_equal(request_days_left(-1, 0), -1); /* before 1970 */
    assert_int_equal(request_days_left(-DAY, 0), -1);
}

static void locations_are_brought_into_one_form(void **state)
{
    static const char *const cases[][2] = {
        { "US", "US" },       { "us", "US" },      { "us_ca", "US-CA" }, { "GB-ENG", "GB-ENG" },
        { "FR-75", "FR-75" }, { "eea", "EEA" },    { "", NULL },         { "U", NULL },
        { "USA", NULL },      { "US-", NULL },     { "US-CALI", NULL },  { "1S", NULL },
        { "US CA", NULL },    { "US-C\xc3", NULL }, { "EEAX", NULL },    { "EEA-X", NULL },
    };
    char normal[REQUEST_LOCATION_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(request_location(cases[i][0], normal), cases[i][1] != NULL);
        if (cases[i][1])
            assert_string_equal(normal, cases[i][1]);
    }
}

static json_object *object_of(const char *status, bool listed)
{
    struct request_view view = request_view_empty();

    view.id = "pri_1";
    view.status = lifecycle_parse(status);
    view.failed_step = "access";
    view.listed = listed;
    return request_object(&view, 0);
}

static void the_object_has_all_members_of_the_contract(void **state)
{
    static const char *const names[] = {
        "id", "created_at", "started_processing_at", "reviewed_at", "reviewed_by", "submitted_by", "reviewer",
        "submitter", "finished_processing_at", "identity_verified_at", "paused_at", "status", "external_id", "identity",
        "custom_privacy_request_fields", "policy", "action_required_details", "resume_endpoint", "days_left",
        "custom_privacy_request_fields_approved_by", "custom_privacy_request_fields_approved_at", "source", "location",
        "property_id", "deleted_at", "deleted_by", "finalized_at", "finalized_by", "duplicate_request_group_id",
    };
    _cleanup_(json_object_putp) json_object *object = object_of("pending", true);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_true(json_object_object_get_ex(object, names[i], NULL));
    assert_int_equal(json_object_object_length(object), COUNT_OF(names));
}

static void lists_say_where_to_go_on(void **state)
{
    static const char *const cases[][2] = {
        { "pending", NULL },
        { "paused", "/privacy-request/pri_1/resume" },
        { "error", "/privacy-request/pri_1/retry" },
        { "requires_input", "/privacy-request/pri_1/resume_from_requires_input" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *listed = object_of(cases[i][0], true);
        _cleanup_(json_object_putp) json_object *alone = object_of(cases[i][0], false);
        const char *endpoint = schema_text(listed, "resume_endpoint");

        assert_null(schema_text(alone, "resume_endpoint"));
        assert_int_equal(!endpoint, !cases[i][1]);
        if (endpoint)
            assert_string_equal(endpoint, cases[i][1]);
        assert_int_equal(schema_get(listed, "action_required_details") != NULL, !strcmp(cases[i][0], "error"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(days_are_counted_by_the_calendar),
        TEST(locations_are_brought_into_one_form),
        TEST(the_object_has_all_members_of_the_contract),
        TEST(lists_say_where_to_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
