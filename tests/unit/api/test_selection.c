#include "api/selection.c"

#include "tests/unit/test.h"

static void each_id_is_taken_once_where_it_came_first(void **state)
{
    const char *list[] = { "c", "a", "c", "b", "a", "a" }, *expected[] = { "c", "a", "b" };
    struct test *test = *state;
    struct selection ids = { list, COUNT_OF(list) };

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
        { "{\"request_ids\":[\"pri_1\"],\"reason\":7}", NULL }, /* a review's, no business of a selection's */
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

        assert_int_equal(schema_check(&selection_schema, body, &loc, &errors), !cases[i].error);
        if (cases[i].error)
            assert_non_null(strstr(json_object_get_string(errors.list), cases[i].error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_id_is_taken_once_where_it_came_first),
        TEST(a_selection_is_ids_or_filters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
