#include "tests/unit/test.h"

#include "worker/breaker.h"

static const struct breaker_rule rule = { .window = 300 * USEC_PER_S,
                                          .open_for = 30 * USEC_PER_S,
                                          .calls = 10,
                                          .failures_percent = 70 };
static const usec_t noon = (usec_t)1700000000 * USEC_PER_S;

static void fail_times(struct breaker *breaker, int times, usec_t now)
{
    for (int i = 0; i < times; i++) {
        assert_true(breaker_admit(breaker, now));
        breaker_told(breaker, &rule, true, now);
    }
}

static void fewer_calls_than_the_rule_asks_never_open_it(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    fail_times(&breaker, 9, noon);
    assert_true(breaker_admit(&breaker, noon));
}

static void enough_failures_open_it_until_the_time_is_up(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    fail_times(&breaker, 10, noon);
    assert_false(breaker_admit(&breaker, noon + 29 * USEC_PER_S));
    assert_int_equal(breaker_opens_at(&breaker, noon), noon + 30 * USEC_PER_S);
    assert_true(breaker_admit(&breaker, noon + 30 * USEC_PER_S));
    assert_false(breaker_admit(&breaker, noon + 30 * USEC_PER_S)); /* one probe at a time */
}

static void a_probe_that_succeeds_closes_it(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    fail_times(&breaker, 10, noon);
    assert_true(breaker_admit(&breaker, noon + 31 * USEC_PER_S));
    assert_true(breaker_told(&breaker, &rule, false, noon + 31 * USEC_PER_S));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    fail_times(&breaker, 9, noon + 32 * USEC_PER_S); /* and it begins to count anew */
    assert_true(breaker_admit(&breaker, noon + 32 * USEC_PER_S));
}

static void a_probe_that_fails_opens_it_again(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    fail_times(&breaker, 10, noon);
    assert_true(breaker_admit(&breaker, noon + 31 * USEC_PER_S));
    assert_true(breaker_told(&breaker, &rule, true, noon + 40 * USEC_PER_S));
    assert_false(breaker_admit(&breaker, noon + 69 * USEC_PER_S));
    assert_true(breaker_admit(&breaker, noon + 70 * USEC_PER_S));
}

static void failures_older_than_the_window_count_no_more(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    fail_times(&breaker, 9, noon);
    fail_times(&breaker, 1, noon + 400 * USEC_PER_S);
    assert_true(breaker_admit(&breaker, noon + 400 * USEC_PER_S));
}

static void successes_among_the_failures_keep_it_closed(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++)
        breaker_told(&breaker, &rule, i % 2, noon);
    assert_true(breaker_admit(&breaker, noon));
}

static void what_another_found_opens_it_and_is_forgotten_when_it_is_over(void **state)
{
    struct breaker breaker = { 0 };

    (void)state;
    assert_true(breaker_hinted(&breaker, noon + 10 * USEC_PER_S, noon));
    assert_false(breaker_hinted(&breaker, noon + 20 * USEC_PER_S, noon)); /* it is open already */
    assert_int_equal(breaker_opens_at(&breaker, noon), noon + 10 * USEC_PER_S);
    assert_false(breaker_admit(&breaker, noon + 9 * USEC_PER_S));
    assert_true(breaker_admit(&breaker, noon + 10 * USEC_PER_S)); /* the probe */
    assert_false(breaker_hinted(&breaker, noon + 30 * USEC_PER_S, noon + 10 * USEC_PER_S));
    assert_true(breaker_told(&breaker, &rule, false, noon + 11 * USEC_PER_S));
    assert_false(breaker_hinted(&breaker, noon + 11 * USEC_PER_S, noon + 11 * USEC_PER_S)); /* and is late */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void the_window_is_counted_as_it_stands_now(void **state)
{
    struct breaker breaker = { 0 };
    int calls, failures;

    (void)state;
    for (int i = 0; i < 6; i++)
        breaker_told(&breaker, &rule, i % 2, noon);
    breaker_count(&breaker, &rule, noon + 100 * USEC_PER_S, &calls, &failures);
    assert_int_equal(calls, 6);
    assert_int_equal(failures, 3);
    breaker_count(&breaker, &rule, noon + 400 * USEC_PER_S, &calls, &failures);
    assert_int_equal(calls, 0);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_calls_than_the_rule_asks_never_open_it),
        cmocka_unit_test(enough_failures_open_it_until_the_time_is_up),
        cmocka_unit_test(a_probe_that_succeeds_closes_it),
        cmocka_unit_test(a_probe_that_fails_opens_it_again),
        cmocka_unit_test(failures_older_than_the_window_count_no_more),
        cmocka_unit_test(what_another_found_opens_it_and_is_forgotten_when_it_is_over),
        cmocka_unit_test(the_window_is_counted_as_it_stands_now),
        cmocka_unit_test(successes_among_the_failures_keep_it_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
