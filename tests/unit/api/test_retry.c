#include "api/retry.c"

#include "tests/unit/test.h"

static void what_is_refused_is_told_in_the_contract_s_words(void **state)
{
    static const struct {
        enum decision_fate fate;
        const char *text;
    } cases[] = {
        { DECISION_DONE, NULL },
        { DECISION_UNKNOWN, "No privacy request found with id 'pri_1'" },
        { DECISION_DELETED, "Cannot restart a deleted privacy request" },
        { DECISION_UNFIT,
          "Cannot restart privacy request from failure: privacy request 'pri_1' status = in_processing." },
        { DECISION_LOST, "Privacy request could not be updated" },
    };
    struct test *test = *state;
    struct api_call call = { .arena = test->arena };
    const struct decision decision = retrial(&call);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct decision_case of = { .id = "pri_1", .fate = cases[i].fate, .from = PR_IN_PROCESSING };
        const char *told = decision_problem(&decision, &of);

        assert_int_equal(!told, !cases[i].text);
        if (told)
            assert_string_equal(told, cases[i].text);
    }
}

static void only_an_error_is_retried(void **state)
{
    (void)state;
    for (int from = PR_NONE; from < PR_STATUSES; from++) {
        enum pr_status to = PR_NONE;

        assert_int_equal(lifecycle_next((enum pr_status)from, retrial(NULL).on, &to), from == PR_ERROR);
        assert_int_equal(to, from == PR_ERROR ? PR_IN_PROCESSING : PR_NONE);
    }
}

static void the_event_names_the_step_that_failed(void **state)
{
    const struct decision_case of = { .id = "pri_1", .failed_step = "pre_webhooks" };
    struct test *test = *state;
    struct api_call call = { .arena = test->arena, .user_id = "fid_1" };
    const struct decision decision = retrial(&call);

    assert_string_equal(decision.payload(&decision, &of, PR_IN_PROCESSING, "user"),
                        "{\"request_id\":\"pri_1\",\"status\":\"in_processing\",\"by\":\"user\","
                        "\"user_id\":\"fid_1\",\"step\":\"pre_webhooks\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_is_told_in_the_contract_s_words),
        TEST(only_an_error_is_retried),
        TEST(the_event_names_the_step_that_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
