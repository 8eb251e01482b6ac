#include "tests/unit/test.h"

#include "worker/hold.h"

#define NOW ((usec_t)1700000000 * USEC_PER_S)
#define MINUTE (60 * USEC_PER_S)

static void assert_same(const struct hold *a, const struct hold *b)
{
    assert_string_equal(a->run, b->run);
    assert_int_equal(a->since, b->since);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->falls, b->falls);
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->blamed, b->blamed);
    assert_int_equal(a->deaths, b->deaths);
}

static void a_hold_is_read_as_it_was_printed(void **state)
{
    const struct hold hold = { "0123456789abcdef", NOW, 70, 3, 1234567890123, 77, 2 };
    char text[HOLD_TEXT_BYTES];
    struct hold again;

    (void)state;
    again = hold_parse(hold_print(&hold, text));
    assert_same(&again, &hold);
    assert_string_equal(text, "run=0123456789abcdef since=1700000000 from=70 falls=3 at=1234567890123 blamed=77 deaths=2");
}

static void other_words_say_that_it_is_nobody_s(void **state)
{
    static const char *const texts[] = {
        "", "run=", "anything", "run=0123 since=1 from=0 falls=2 at=3 blamed=3",
        "run=0123 since=1 from=0 falls=2 at=3 blamed=3 deaths=4 more", "run=xyz since=1 from=0 falls=2 at=3 blamed=3 deaths=4",
        "run=0123 since=-1 from=0 falls=2 at=3 blamed=3 deaths=4", "run=0123 since=1 from=0 falls=-2 at=3 blamed=3 deaths=4",
        "run=0123 since=9223372036854775807 from=0 falls=2 at=3 blamed=3 deaths=4",
    };
    const struct hold nobody = { .at = -1, .blamed = -1 };
    char text[HOLD_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct hold hold = hold_parse(texts[i]);

        assert_same(&hold, &nobody);
    }
    assert_string_equal(hold_parse(NULL).run, "");
    assert_string_equal(hold_print(&nobody, text), "");
}

static void who_ended_well_leaves_nothing_to_care_about(void **state)
{
    const struct hold nobody = { .at = -1 }, own = { "aa", NOW - MINUTE, 7, 5, 7, 7, 9 };
    struct hold hold = hold_claim(&nobody, 7, "aa", NOW);

    (void)state;
    assert_false(hold_is_careful(&hold));
    assert_int_equal(hold.falls, 0);
    hold = hold_claim(&own, 7, "aa", NOW); /* given back to the same process */
    assert_false(hold_is_careful(&hold));
    assert_int_equal(hold.at, -1);
}

static void one_that_died_may_have_died_of_anything_two_in_a_row_did_not(void **state)
{
    struct hold hold = hold_new("aa", 0, NOW);

    (void)state;
    hold = hold_claim(&hold, 0, "bb", NOW + MINUTE);
    assert_int_equal(hold.falls, 1);
    assert_false(hold_is_careful(&hold));
    hold = hold_claim(&hold, 0, "cc", NOW + 2 * MINUTE);
    assert_int_equal(hold.falls, 2);
    assert_true(hold_is_careful(&hold));
}

static void deaths_far_apart_are_not_in_a_row(void **state)
{
    struct hold hold = hold_new("aa", 0, NOW);

    (void)state;
    for (int i = 1; i < 5; i++) {
        hold = hold_claim(&hold, 0, i % 2 ? "bb" : "cc", NOW + i * 11 * MINUTE);
        assert_int_equal(hold.falls, 1);
        assert_false(hold_is_careful(&hold));
    }
}

static void who_got_on_did_not_die_of_what_it_began_with(void **state)
{
    struct hold hold = hold_new("aa", 7, NOW);

    (void)state;
    for (int i = 1; i < 5; i++) {
        hold = hold_claim(&hold, 7 + i, i % 2 ? "bb" : "cc", NOW + i * MINUTE);
        assert_int_equal(hold.falls, 1);
        assert_false(hold_is_careful(&hold));
    }
    hold = hold_claim(&hold, 11, "bb", NOW + 6 * MINUTE);
    assert_true(hold_is_careful(&hold));
}

/* `run` takes over, and dies at the event at `offset`, which it noted. */
static struct hold die_at(const struct hold *before, const char *run, int64_t offset, usec_t now)
{
    struct hold hold = hold_claim(before, offset, run, now);

    assert_true(hold_is_careful(&hold));
    assert_false(hold_is_deadly(&hold, offset));
    hold.at = offset;
    return hold;
}

static void what_two_died_at_is_deadly(void **state)
{
    struct hold hold = { "aa", NOW, 42, 1, -1, -1, 0 };

    (void)state;
    hold = die_at(&hold, "bb", 42, NOW + 1 * MINUTE);
    hold = die_at(&hold, "cc", 42, NOW + 30 * MINUTE); /* it took it long to come so far: still with care */
    hold = hold_claim(&hold, 42, "dd", NOW + 31 * MINUTE);
    assert_true(hold_is_careful(&hold));
    assert_true(hold_is_deadly(&hold, 42));
    assert_false(hold_is_deadly(&hold, 43));
}

static void only_who_was_at_an_event_died_of_it(void **state)
{
    struct hold hold = { "aa", NOW, 42, 1, -1, -1, 0 };

    (void)state;
    hold = die_at(&hold, "bb", 42, NOW + 1 * MINUTE);
    hold = hold_claim(&hold, 42, "cc", NOW + 2 * MINUTE); /* it dies at an event of another partition */
    hold = hold_claim(&hold, 42, "dd", NOW + 3 * MINUTE);
    assert_int_equal(hold.deaths, 1);
    assert_int_equal(hold.blamed, 42);
    assert_false(hold_is_deadly(&hold, 42));
}

static void who_died_at_another_event_is_not_counted(void **state)
{
    struct hold hold = { "aa", NOW, 42, 1, -1, -1, 0 };

    (void)state;
    hold = die_at(&hold, "bb", 42, NOW + 1 * MINUTE);
    hold = hold_claim(&hold, 42, "cc", NOW + 2 * MINUTE); /* it lives through that one, and dies at the next */
    hold.at = 43;
    hold = hold_claim(&hold, 43, "dd", NOW + 3 * MINUTE);
    assert_int_equal(hold.blamed, 43);
    assert_int_equal(hold.deaths, 1);
    assert_true(hold_is_careful(&hold));
    assert_false(hold_is_deadly(&hold, 43));
    hold.at = 44;
    hold = hold_claim(&hold, 50, "ee", NOW + 4 * MINUTE); /* the position was moved by hand: the note is old */
    assert_int_equal(hold.blamed, 43);
    assert_int_equal(hold.deaths, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_is_read_as_it_was_printed),
        cmocka_unit_test(other_words_say_that_it_is_nobody_s),
        cmocka_unit_test(who_ended_well_leaves_nothing_to_care_about),
        cmocka_unit_test(one_that_died_may_have_died_of_anything_two_in_a_row_did_not),
        cmocka_unit_test(deaths_far_apart_are_not_in_a_row),
        cmocka_unit_test(who_got_on_did_not_die_of_what_it_began_with),
        cmocka_unit_test(what_two_died_at_is_deadly),
        cmocka_unit_test(only_who_was_at_an_event_died_of_it),
        cmocka_unit_test(who_died_at_another_event_is_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
