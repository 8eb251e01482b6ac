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

static void each_id_is_taken_once_where_it_came_first(void **state)
{
    const char *list[] = { "c", "a", "c", "b", "a", "a" }, *expected[] = { "c", "a", "b" };
    struct test *test = *state;
    struct ids ids = { list, COUNT_OF(list) };

    ids_unique(test->arena, &ids);
    assert_int_equal(ids.count, COUNT_OF(expected));
    for (int i = 0; i < ids.count; i++)
        assert_string_equal(ids.ids[i], expected[i]);
}

static void a_selection_is_ids_or_filters(void **state)
{
    static const struct {
        const char *body, *error;
    } cases[] = {
        { "[\"pri_1\"]", NULL },
        { "[]", "'request_ids' must not be empty" },
        { "[7]", "Input should be a valid string" },
        { "{\"request_ids\":[\"pri_1\"]}", NULL },
        { "{\"request_ids\":[\"pri_1\"],\"reason\":\"no\"}", NULL },
        { "{\"request_ids\":[]}", "'request_ids' must not be empty" },
        { "{}", "Either 'request_ids' or 'filters' must be provided" },
        { "{\"request_ids\":[\"pri_1\"],\"filters\":{}}", "not both" },
        { "{\"request_ids\":[\"pri_1\"],\"exclude_ids\":[]}", "'exclude_ids' can only be used with 'filters'" },
        { "{\"filters\":{\"status\":\"pending\"}}", NULL },
        { "{\"filters\":{\"status\":\"pending\"},\"exclude_ids\":[\"pri_1\"]}", NULL },
        { "{\"filters\":{\"status\":\"new\"}}", "Input should be 'identity_unverified'" },
        { "{\"filters\":{\"what\":1}}", "Extra inputs are not permitted" },
        { "7", "Input should be a valid dictionary" },
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

static void every_verdict_is_one_of_the_lifecycle_s_steps(void **state)
{
    static const struct {
        const struct verdict *verdict;
        enum pr_status to;
    } verdicts[] = { { &approval, PR_APPROVED }, { &denial, PR_DENIED }, { &cancellation, PR_CANCELED } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(verdicts); i++) {
        enum pr_status to = PR_NONE;

        assert_true(lifecycle_next(PR_PENDING, verdicts[i].verdict->on, &to));
        assert_int_equal(to, verdicts[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reasons_are_escaped_as_python_does),
        TEST(the_longest_reason_survives_its_escaping),
        TEST(each_id_is_taken_once_where_it_came_first),
        TEST(a_selection_is_ids_or_filters),
        TEST(every_verdict_is_one_of_the_lifecycle_s_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
