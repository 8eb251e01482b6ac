#include "api/review.c"

#include "tests/unit/test.h"

static void reasons_are_escaped_as_python_does(void **state)
{
    struct test *test = *state;

    assert_string_equal(html_escape(test->arena, "<b>\"it's\" & so</b>"),
                        "&lt;b&gt;&quot;it&#x27;s&quot; &amp; so&lt;/b&gt;");
    assert_string_equal(html_escape(test->arena, ""), "");
    assert_string_equal(html_escape(test->arena, "gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

static void the_longest_reason_survives_its_escaping(void **state)
{
    struct test *test = *state;
    char *reason = arena_alloc(test->arena, REASON_CHARS + 1);

    memset(reason, '"', REASON_CHARS);
    assert_int_equal(strlen(html_escape(test->arena, reason)), REASON_BYTES);
}

static void a_reason_is_a_text_of_a_bounded_length(void **state)
{
    static const struct {
        const char *body, *error;
    } cases[] = {
        { "[\"pri_1\"]", NULL },
        { "{\"request_ids\":[\"pri_1\"],\"reason\":\"no\"}", NULL },
        { "{\"request_ids\":[\"pri_1\"],\"reason\":null}", NULL },
        { "{\"request_ids\":[\"pri_1\"],\"reason\":7}", "Input should be a valid string" },
        { "{\"reason\":\"no\"}", "Either 'request_ids' or 'filters' must be provided" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *body = json_tokener_parse(cases[i].body);
        _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
        const struct schema_loc loc = { .name = "body" };

        assert_int_equal(schema_check(&review_schema, body, &loc, &errors), !cases[i].error);
        if (cases[i].error)
            assert_non_null(strstr(json_object_get_string(errors.list), cases[i].error));
    }
}

static void what_is_refused_is_told_in_the_contract_s_words(void **state)
{
    static const struct {
        const struct verdict *verdict;
        enum decision_fate fate;
        const char *text;
    } cases[] = {
        { &approval, DECISION_DONE, NULL },
        { &approval, DECISION_UNKNOWN, "No privacy request found with id 'pri_1'" },
        { &approval, DECISION_DELETED, "Cannot transition status for a deleted request" },
        { &denial, DECISION_UNFIT, "Cannot transition status" },
        { &denial, DECISION_LOST, "Privacy request could not be updated" },
        { &cancellation, DECISION_UNFIT, "Cannot cancel privacy request in error status" },
        { &cancellation, DECISION_LOST, "Privacy request could not be canceled" },
    };
    struct test *test = *state;
    struct api_call call = { .arena = test->arena };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct decision_case of = { .id = "pri_1", .fate = cases[i].fate, .from = PR_ERROR };
        struct verdict verdict = *cases[i].verdict;
        const char *told;

        verdict.decision.call = &call;
        told = decision_problem(&verdict.decision, &of);
        assert_int_equal(!told, !cases[i].text);
        if (told)
            assert_string_equal(told, cases[i].text);
    }
}

static void every_verdict_is_one_of_the_lifecycle_s_steps(void **state)
{
    static const struct {
        const struct verdict *verdict;
        enum pr_status to;
    } verdicts[] = { { &approval, PR_APPROVED }, { &denial, PR_DENIED }, { &cancellation, PR_CANCELED } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(verdicts); i++) {
        enum pr_status to = PR_NONE;

        assert_true(lifecycle_next(PR_PENDING, verdicts[i].verdict->decision.on, &to));
        assert_int_equal(to, verdicts[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_escaped_as_python_does),
        TEST(the_longest_reason_survives_its_escaping),
        TEST(a_reason_is_a_text_of_a_bounded_length),
        TEST(what_is_refused_is_told_in_the_contract_s_words),
        TEST(every_verdict_is_one_of_the_lifecycle_s_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
