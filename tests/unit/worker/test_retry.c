#include "tests/unit/test.h"

#include "worker/retry.h"

static const usec_t noon = (usec_t)1700000000 * USEC_PER_S;
static const struct retry_rule rule = {
    .schedule = { .count = 2, .waits = { 5 * USEC_PER_S, 300 * USEC_PER_S } },
    .jitter_percent = 20,
    .retry_after_max = 3600 * USEC_PER_S,
};

static void each_failed_attempt_waits_as_the_schedule_says(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 1, 0, USEC_NONE, 0.5, noon), noon + 5 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 2, 0, USEC_NONE, 0.5, noon), noon + 300 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 3, 0, USEC_NONE, 0.5, noon), USEC_NONE);
}

static void none_is_one_attempt_only(void **state)
{
    static const struct retry_rule none = { .schedule = { 0 } };

    (void)state;
    assert_int_equal(retry_next(&none, 1, 60 * USEC_PER_S, USEC_NONE, 0.5, noon), USEC_NONE);
}

static void jitter_is_within_its_share_both_ways(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 1, 0, USEC_NONE, 0, noon), noon + 4 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 1, 0, USEC_NONE, 1, noon), noon + 6 * USEC_PER_S);
}

static void a_longer_retry_after_is_honoured_within_its_bound(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 1, 60 * USEC_PER_S, USEC_NONE, 0.5, noon), noon + 60 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 1, 86400 * USEC_PER_S, USEC_NONE, 0.5, noon), noon + 3600 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 2, USEC_PER_S, USEC_NONE, 0.5, noon), noon + 300 * USEC_PER_S);
}

static void the_bound_of_a_retry_after_shortens_no_wait_of_the_schedule(void **state)
{
    struct retry_rule own = rule;

    (void)state;
    own.schedule.waits[0] = 7200 * USEC_PER_S; /* a connection's own may be longer than the bound */
    assert_int_equal(retry_next(&own, 1, 86400 * USEC_PER_S, USEC_NONE, 0.5, noon), noon + 7200 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 2, 3600 * USEC_PER_S + 1, USEC_NONE, 0.5, noon), noon + 3600 * USEC_PER_S);
    own.retry_after_max = 0;
    assert_int_equal(retry_next(&own, 2, 86400 * USEC_PER_S, USEC_NONE, 0.5, noon), noon + 300 * USEC_PER_S);
}

static void a_retry_after_past_the_request_s_deadline_is_the_end(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 1, 60 * USEC_PER_S, noon + 60 * USEC_PER_S, 0.5, noon), noon + 60 * USEC_PER_S);
    assert_int_equal(retry_next(&rule, 1, 60 * USEC_PER_S, noon + 59 * USEC_PER_S, 0.5, noon), USEC_NONE);
}

static void no_retry_after_adds_an_attempt(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 3, 60 * USEC_PER_S, USEC_NONE, 0.5, noon), USEC_NONE);
}

static void no_attempt_is_made_after_the_request_s_own_deadline(void **state)
{
    (void)state;
    assert_int_equal(retry_next(&rule, 2, 0, noon + 200 * USEC_PER_S, 0.5, noon), USEC_NONE);
    assert_int_equal(retry_next(&rule, 1, 0, noon + 200 * USEC_PER_S, 0.5, noon), noon + 5 * USEC_PER_S);
}

static void what_is_worth_a_retry(void **state)
{
    static const struct {
        int status;
        bool worth;
    } cases[] = { { 0, true },    { 301, false }, { 400, false }, { 401, false }, { 404, false }, { 408, true },
                  { 200, false }, { 204, false }, { 409, false }, { 499, false },
                  { 410, false }, { 425, true },  { 429, true },  { 500, true },  { 503, true },  { 599, true } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(retry_is_worth(cases[i].status), cases[i].worth);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    assert_int_equal(retry_after_parse("120", noon), 120 * USEC_PER_S);
    assert_int_equal(retry_after_parse("Tue, 14 Nov 2023 22:14:20 GMT", noon), 60 * USEC_PER_S);
    assert_int_equal(retry_after_parse("Tue, 14 Nov 2023 22:13:00 GMT", noon), 0);
    assert_int_equal(retry_after_parse("soon", noon), 0);
    assert_int_equal(retry_after_parse("-5", noon), 0);
    assert_int_equal(retry_after_parse("", noon), 0);
    assert_true(retry_after_parse("99999999999999999999", noon) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failed_attempt_waits_as_the_schedule_says),
        cmocka_unit_test(none_is_one_attempt_only),
        cmocka_unit_test(jitter_is_within_its_share_both_ways),
        cmocka_unit_test(a_longer_retry_after_is_honoured_within_its_bound),
        cmocka_unit_test(the_bound_of_a_retry_after_shortens_no_wait_of_the_schedule),
        cmocka_unit_test(a_retry_after_past_the_request_s_deadline_is_the_end),
        cmocka_unit_test(no_retry_after_adds_an_attempt),
        cmocka_unit_test(no_attempt_is_made_after_the_request_s_own_deadline),
        cmocka_unit_test(what_is_worth_a_retry),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
