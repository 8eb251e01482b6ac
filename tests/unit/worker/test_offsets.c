#include "tests/unit/test.h"

#include "worker/offsets.h"

static void only_a_run_without_a_hole_is_committed(void **state)
{
    struct offsets *offsets = offsets_new();
    uint64_t tickets[4];
    int64_t position = -1;

    (void)state;
    for (int i = 0; i < 4; i++)
        tickets[i] = offsets_add(offsets, 100 + i);
    offsets_done(offsets, tickets[1]);
    offsets_done(offsets, tickets[2]);
    assert_false(offsets_position(offsets, &position));
    offsets_done(offsets, tickets[0]);
    assert_true(offsets_position(offsets, &position));
    assert_int_equal(position, 103);
    assert_false(offsets_position(offsets, &position));
    assert_int_equal(offsets_underway(offsets), 1);
    offsets_free(offsets);
}

static void offsets_may_have_gaps_of_their_own(void **state)
{
    struct offsets *offsets = offsets_new();
    uint64_t first = offsets_add(offsets, 5), second = offsets_add(offsets, 900);
    int64_t position;

    (void)state;
    offsets_done(offsets, first);
    offsets_done(offsets, second);
    assert_true(offsets_position(offsets, &position));
    assert_int_equal(position, 901);
    offsets_free(offsets);
}

static void thousands_finish_in_any_order(void **state)
{
    enum { COUNT = 5000 };
    static uint64_t tickets[COUNT];
    struct offsets *offsets = offsets_new();
    int64_t position = 0;

    (void)state;
    for (int i = 0; i < COUNT; i++)
        tickets[i] = offsets_add(offsets, i);
    for (int i = 0; i < COUNT; i++)
        offsets_done(offsets, tickets[(i * 7919 + 13) % COUNT]); /* 7919 is prime to COUNT: each once */
    assert_true(offsets_position(offsets, &position));
    assert_int_equal(position, COUNT);
    assert_int_equal(offsets_underway(offsets), 0);
    offsets_free(offsets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_run_without_a_hole_is_committed),
        cmocka_unit_test(offsets_may_have_gaps_of_their_own),
        cmocka_unit_test(thousands_finish_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
