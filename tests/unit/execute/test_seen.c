#include "worker/execute/seen.h"

#include "tests/unit/test.h"

static struct seen_hash hash_of(uint64_t one, uint64_t other)
{
    return (struct seen_hash){ { one, other } };
}

static void what_was_added_is_seen_however_many_come_after(void **state)
{
    enum { COUNT = 10000 };
    struct seen seen = { 0 };

    (void)state;
    for (uint64_t i = 1; i <= COUNT; i++)
        assert_true(seen_add(&seen, hash_of(i * UINT64_C(0x9e3779b97f4a7c15), i)));
    for (uint64_t i = 1; i <= COUNT; i++)
        assert_false(seen_add(&seen, hash_of(i * UINT64_C(0x9e3779b97f4a7c15), i)));
    assert_int_equal(seen.count, COUNT);
    seen_free(&seen);
    assert_true(seen_add(&seen, hash_of(1, 1)));
    seen_free(&seen);
}

static void hashes_that_fall_together_are_told_apart(void **state)
{
    struct seen seen = { 0 };

    (void)state;
    assert_true(seen_add(&seen, hash_of(5, 1)));
    assert_true(seen_add(&seen, hash_of(5, 2)));
    assert_true(seen_add(&seen, hash_of(6, 1)));
    assert_false(seen_add(&seen, hash_of(5, 2)));
    assert_true(seen_add(&seen, hash_of(0, 0)));
    assert_false(seen_add(&seen, hash_of(0, 0)));
    seen_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_added_is_seen_however_many_come_after),
        TEST(hashes_that_fall_together_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
