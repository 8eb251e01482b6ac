#include "api/removal.c"

#include "tests/unit/test.h"

static void what_is_refused_is_told_in_the_contract_s_words(void **state)
{
    static const struct {
        enum decision_fate fate;
        const char *text;
    } cases[] = {
        { DECISION_DONE, NULL },
        { DECISION_UNKNOWN, "No privacy request found with id 'pri_1'" },
        { DECISION_DELETED, "Privacy request 'pri_1' has already been deleted." },
        { DECISION_LOST, "Privacy request could not be deleted" },
    };
    struct test *test = *state;
    struct api_call call = { .arena = test->arena };
    const struct decision decision = removal(&call);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct decision_case of = { .id = "pri_1", .fate = cases[i].fate, .from = PR_IN_PROCESSING };
        const char *told = decision_problem(&decision, &of);

        assert_int_equal(!told, !cases[i].text);
        if (told)
            assert_string_equal(told, cases[i].text);
    }
}

static void the_event_leaves_the_status_alone(void **state)
{
    const struct decision_case of = { .id = "pri_1", .from = PR_PAUSED };
    struct test *test = *state;
    struct api_call call = { .arena = test->arena };
    const struct decision decision = removal(&call);

    assert_true(decision.keeps_status && decision.ends_calls);
    assert_string_equal(decision.payload(&decision, &of, PR_NONE, "client"),
                        "{\"request_id\":\"pri_1\",\"by\":\"client\",\"user_id\":null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_is_told_in_the_contract_s_words),
        TEST(the_event_leaves_the_status_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
