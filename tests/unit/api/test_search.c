#include "api/search.c"

#include "tests/unit/test.h"

static void patterns_take_texts_as_they_stand(void **state)
{
    struct test *test = *state;

    assert_string_equal(like_escape(test->arena, "a%b_c\\d"), "a\\%b\\_c\\\\d");
    assert_string_equal(like_escape(test->arena, ""), "");
}

static void a_part_of_an_id_is_an_id_a_pattern_or_nothing(void **state)
{
    static const struct {
        const char *text, *id, *pattern;
    } cases[] = {
        { "pri_029832ba-3b84-40f7-8946-82aec6f95448", "pri_029832ba-3b84-40f7-8946-82aec6f95448", NULL },
        { "PRI_029832BA-3b84-40f7-8946-82aec6f95448", "pri_029832ba-3b84-40f7-8946-82aec6f95448", NULL },
        { "pri_02", NULL, "%pri\\_02%" },
        { "3b84", NULL, "%3b84%" },
        { "", NULL, "%%" },
        { "ada@example.com", NULL, NULL },
        { "100%", NULL, NULL },
        { "pri_029832ba-3b84-40f7-8946-82aec6f954481", NULL, NULL },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *id, *pattern;

        id_part(test->arena, cases[i].text, &id, &pattern);
        assert_int_equal(!id, !cases[i].id);
        assert_int_equal(!pattern, !cases[i].pattern);
        if (id)
            assert_string_equal(id, cases[i].id);
        if (pattern)
            assert_string_equal(pattern, cases[i].pattern);
    }
}

static void what_is_sorted_by_is_known_to_the_statement(void **state)
{
    struct test *test = *state;

    for (int i = 0; sort_fields[i]; i++)
        if (strcmp(sort_fields[i], "id") != 0)
            assert_non_null(strstr(SQL_search_ids.text, arena_printf(test->arena, "when '%s' then", sort_fields[i])));
}

static void bodies_are_held_against_the_table(void **state)
{
    static const struct {
        const char *body;
        bool fits;
    } cases[] = {
        { "{}", true },
        { "{\"status\":\"pending\"}", true },
        { "{\"status\":[\"pending\",\"approved\"]}", true },
        { "{\"status\":null}", true },
        { "{\"status\":\"new\"}", false },
        { "{\"status\":[\"new\"]}", false },
        { "{\"action_type\":\"access\"}", true },
        { "{\"action_type\":[\"access\",\"erasure\"]}", true },
        { "{\"created_lt\":\"2026-01-02\"}", true },
        { "{\"created_lt\":\"soon\"}", false },
        { "{\"identities\":{\"email\":\"a@example.com\"}}", true },
        { "{\"identity\":\"a@example.com\"}", false }, /* GET only */
        { "{\"sort_direction\":\"up\"}", false },
        { "{\"what\":1}", false },
        { "[]", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *body = json_tokener_parse(cases[i].body);
        _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
        const struct schema_loc loc = { .name = "body" };

        assert_int_equal(schema_check(&search_schema, body, &loc, &errors), cases[i].fits);
    }
}

/* The search borrows from *body, which is the caller's. */
static int parse(struct test *test, const char *text, json_object **body, const struct search **ret)
{
    struct api_call *call = arena_new_of(test->arena, struct api_call);
    static const struct catalog empty;

    call->arena = test->arena;
    call->catalog = &empty;
    json_object_put(*body);
    *body = json_tokener_parse(text);
    return search_parse(call, *body, ret, &test->err);
}

static void refuses(struct test *test, const char *text, enum err_code code, const char *words)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    const struct search *search = NULL;

    assert_int_equal(parse(test, text, &body, &search), -(int)code);
    assert_string_equal(test->err.text, words);
    assert_null(search);
}

static void what_makes_no_sense_is_refused_in_the_contract_s_words(void **state)
{
    struct test *test = *state;

    refuses(test, "{\"completed_lt\":\"2026-01-01\",\"errored_gt\":\"2026-01-01\"}", ERR_BAD_REQUEST,
            "Cannot specify both succeeded and failed query params.");
    refuses(test, "{\"created_lt\":\"2026-01-01\",\"created_gt\":\"2026-01-02\"}", ERR_BAD_REQUEST,
            "Value specified for created_lt: 2026-01-01T00:00:00.000000Z must be after created_gt: "
            "2026-01-02T00:00:00.000000Z.");
    refuses(test, "{\"sort_field\":\"policy\"}", ERR_INVALID, "policy is not on PrivacyRequest");
    refuses(test, "{\"custom_privacy_request_fields\":{\"a\":\"b\"}}", ERR_NOT_IMPLEMENTED,
            "Filtering by custom fields is not available in this version.");
}

static void only_open_statuses_are_looked_up_in_their_index(void **state)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    const struct search *search = NULL;
    struct test *test = *state;

    assert_int_equal(parse(test, "{\"status\":[\"pending\",\"awaiting_pre_approval\"]}", &body, &search), 0);
    assert_true(only_open(search));
    assert_int_equal(parse(test, "{\"status\":[\"pending\",\"denied\"]}", &body, &search), 0);
    assert_false(only_open(search));
    assert_int_equal(parse(test, "{}", &body, &search), 0);
    assert_false(only_open(search));
}

static void a_place_that_is_none_has_no_requests(void **state)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    const struct search *search = NULL;
    struct test *test = *state;

    assert_int_equal(parse(test, "{\"location\":\"us_ca\"}", &body, &search), 0);
    assert_string_equal(search->location, "US-CA");
    assert_null(search->ids);
    assert_int_equal(parse(test, "{\"location\":\"nowhere\"}", &body, &search), 0);
    assert_null(search->location);
    assert_null(search->ids[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(patterns_take_texts_as_they_stand),
        TEST(a_part_of_an_id_is_an_id_a_pattern_or_nothing),
        TEST(what_is_sorted_by_is_known_to_the_statement),
        TEST(bodies_are_held_against_the_table),
        TEST(what_makes_no_sense_is_refused_in_the_contract_s_words),
        TEST(only_open_statuses_are_looked_up_in_their_index),
        TEST(a_place_that_is_none_has_no_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
