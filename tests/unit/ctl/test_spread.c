#include "worker/ctl/audit/spread.c"

#include "tests/unit/test.h"

static void each_length_falls_to_a_bucket_that_ends_a_little_above_it(void **state)
{
    (void)state;
    for (int bucket = 0; bucket < BUCKETS; bucket++)
        if (bucket_end(bucket) > 0 && bucket_end(bucket) < INT64_MAX)
            assert_int_equal(bucket_of(bucket_end(bucket)), bucket);
    for (usec_t length = 1; length < INT64_MAX / 3; length = length * 3 / 2 + 1) {
        usec_t end = bucket_end(bucket_of(length));

        assert_true(end >= length);
        assert_true((double)(end - length) <= (double)length / STEPS);
    }
    assert_true(bucket_of(INT64_MAX) < BUCKETS);
    assert_int_equal(bucket_end(bucket_of(INT64_MAX)), INT64_MAX);
}

static void percentiles_are_those_of_the_sorted_list(void **state)
{
    struct spread *spread = spread_new();

    (void)state;
    assert_int_equal(spread_at(spread, 500), USEC_NONE);
    for (usec_t i = 1; i <= 1000; i++)
        spread_add(spread, i * USEC_PER_S);
    assert_int_equal(spread_count(spread), 1000);
    assert_in_range(spread_at(spread, 500), 500 * USEC_PER_S, 516 * USEC_PER_S);
    assert_in_range(spread_at(spread, 900), 900 * USEC_PER_S, 930 * USEC_PER_S);
    assert_in_range(spread_at(spread, 990), 990 * USEC_PER_S, 1000 * USEC_PER_S);
    assert_int_equal(spread_at(spread, 1000), 1000 * USEC_PER_S);
    spread_free(spread);
}

static void one_is_all_of_its_percentiles(void **state)
{
    struct spread *spread = spread_new();

    (void)state;
    spread_add(spread, 123456789);
    assert_int_equal(spread_at(spread, 1), 123456789);
    assert_int_equal(spread_at(spread, 500), 123456789);
    assert_int_equal(spread_at(spread, 1000), 123456789);
    spread_free(spread);
}

/* Clocks of two programs may differ. */
static void less_than_none_is_none(void **state)
{
    struct spread *spread = spread_new();

    (void)state;
    spread_add(spread, -5);
    assert_int_equal(spread_at(spread, 1000), 0);
    spread_free(spread);
}

static void two_together_are_as_one(void **state)
{
    struct spread *all = spread_new(), *half[2] = { spread_new(), spread_new() };

    (void)state;
    for (usec_t i = 1; i < 5000; i++) {
        spread_add(all, i * i);
        spread_add(half[i % 2], i * i);
    }
    spread_merge(half[0], half[1]);
    assert_memory_equal(half[0], all, sizeof(*all));
    spread_free(all);
    spread_free(half[0]);
    spread_free(half[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_falls_to_a_bucket_that_ends_a_little_above_it),
        cmocka_unit_test(percentiles_are_those_of_the_sorted_list),
        cmocka_unit_test(one_is_all_of_its_percentiles),
        cmocka_unit_test(less_than_none_is_none),
        cmocka_unit_test(two_together_are_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
