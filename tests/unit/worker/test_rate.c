#include "tests/unit/test.h"

#include "worker/rate.c"

static const usec_t noon = (usec_t)1700000000 * USEC_PER_S;

/* Calls that go in a span of time when somebody always wants to, asking every millisecond. */
static int calls_in(struct bucket *bucket, double limit, usec_t *now, usec_t span)
{
    usec_t end = *now + span;
    int calls = 0;

    for (; *now < end; *now += USEC_PER_MS)
        calls += local_take(bucket, limit, *now) == 0;
    return calls;
}

static void without_redis_the_share_is_kept_to(void **state)
{
    static const struct {
        double limit;
        int least, most; /* in ten seconds */
    } rows[] = { { 1, 9, 10 }, { 10, 98, 100 }, { 20, 198, 200 }, { 0.5, 4, 5 }, { 400, 3950, 4000 }, { 0, 0, 0 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bucket bucket = { 0 };
        usec_t now = noon;
        int calls = calls_in(&bucket, rows[i].limit, &now, 10 * USEC_PER_S);

        assert_in_range(calls, rows[i].least, rows[i].most);
    }
}

static void a_bucket_begins_empty_and_holds_no_more_than_its_burst(void **state)
{
    struct bucket bucket = { 0 };
    int burst = 0;

    (void)state;
    assert_true(local_take(&bucket, 100, noon) > noon);
    while (local_take(&bucket, 100, noon + 3600 * USEC_PER_S) == 0)
        burst++;
    assert_int_equal(burst, 100 * RATE_BURST_MS / 1000);
}

static void who_must_wait_is_told_when(void **state)
{
    struct bucket bucket = { 0 };

    (void)state;
    assert_int_equal(local_take(&bucket, 10, noon), noon + USEC_PER_S / 10 + 1);
    assert_int_equal(local_take(&bucket, 10, noon + USEC_PER_S / 10 + 1), 0);
    assert_int_equal(local_take(&bucket, 0, noon + USEC_PER_S), noon + USEC_PER_S + LOCAL_WAIT_MAX);
}

static void a_clock_that_was_set_back_stops_nobody(void **state)
{
    struct bucket bucket = { 0 };
    usec_t now = noon - 3600 * USEC_PER_S;

    (void)state;
    local_take(&bucket, 10, noon);
    assert_in_range(calls_in(&bucket, 10, &now, USEC_PER_S), 9, 10);
}

static void no_more_is_asked_for_than_is_wanted(void **state)
{
    static const struct {
        int limit, waiting, batch;
    } rows[] = { { 1, 100, 1 }, { 20, 100, 1 }, { 100, 100, 5 }, { 100, 3, 3 }, { 1000, 100, 50 }, { 1000, 1, 1 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(batch_of(rows[i].limit, rows[i].waiting), rows[i].batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_redis_the_share_is_kept_to),
        cmocka_unit_test(a_bucket_begins_empty_and_holds_no_more_than_its_burst),
        cmocka_unit_test(who_must_wait_is_told_when),
        cmocka_unit_test(a_clock_that_was_set_back_stops_nobody),
        cmocka_unit_test(no_more_is_asked_for_than_is_wanted),
    };

    return cmocka_run_group_tests_name("worker/rate", tests, NULL, NULL);
}
