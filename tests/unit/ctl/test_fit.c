#include "worker/ctl/audit/fit.h"

#include "tests/unit/test.h"

/* '+' lies in the window, '-' does not, 'o' may. */
static enum fit side_of(char mark)
{
    return mark == '+' ? FIT_WITHIN : mark == '-' ? FIT_BEYOND : FIT_EITHER;
}

static size_t end_of(const char *marks, size_t by_offset, size_t expected)
{
    enum fit sides[64];
    size_t count = strlen(marks);

    for (size_t i = 0; i < count; i++)
        sides[i] = side_of(marks[i]);
    return fit_end(sides, count, by_offset, expected);
}

static void an_untouched_window_ends_where_its_offsets_say(void **state)
{
    (void)state;
    assert_int_equal(end_of("++++----", 4, 4), 4);
    assert_int_equal(end_of("", 0, 0), 0);
    assert_int_equal(end_of("----", 0, 0), 0);
    assert_int_equal(end_of("++++", 4, 4), 4);
}

static void what_is_missing_moves_the_end_to_the_front(void **state)
{
    (void)state;
    assert_int_equal(end_of("+++-----", 4, 4), 3); /* one of four is not there */
    assert_int_equal(end_of("--------", 4, 4), 0); /* all of them */
}

static void what_is_too_much_moves_it_back(void **state)
{
    (void)state;
    assert_int_equal(end_of("++-++---", 4, 4), 5);  /* a stranger among them */
    assert_int_equal(end_of("+++++---", 4, 4), 5);  /* one of them twice */
    assert_int_equal(end_of("-++++---", 4, 4), 5);  /* a stranger before them */
}

static void repeats_behind_the_end_do_not_move_it(void **state)
{
    (void)state;
    assert_int_equal(end_of("++++--+--", 4, 4), 4);
    assert_int_equal(end_of("+++-+-----", 3, 3), 3); /* as good as 5 */
    assert_int_equal(end_of("+++-+-----", 5, 5), 5);
    assert_int_equal(end_of("+++-+-----", 4, 3), 3); /* nearest to what it should have */
    assert_int_equal(end_of("+++-+-----", 4, 4), 5);
}

static void what_may_lie_on_either_side_moves_nothing(void **state)
{
    (void)state;
    assert_int_equal(end_of("++++--oo--", 4, 4), 4);
    assert_int_equal(end_of("+o++---o--", 4, 4), 4);
    assert_int_equal(end_of("-o-o", 0, 1), 0);   /* all that it had is gone */
    assert_int_equal(end_of("+++oo---", 4, 4), 4); /* the offsets say which */
}

static void of_ends_that_are_as_good_the_offsets_decide(void **state)
{
    (void)state;
    assert_int_equal(end_of("++-+----", 4, 3), 4);
    assert_int_equal(end_of("++-+----", 2, 4), 2);
}

static void every_single_change_is_mended(void **state)
{
    char marks[40];

    (void)state;
    for (size_t window = 1; window <= 12; window++) {
        for (size_t at = 0; at <= window; at++) { /* a stranger put in */
            memset(marks, '+', window + 1);
            memset(marks + window + 1, '-', 12);
            marks[at] = '-';
            marks[window + 13] = '\0';
            if (at < window) /* at the very end it might as well be the next one's first */
                assert_int_equal(end_of(marks, window, window), window + 1);
        }
        memset(marks, '+', window); /* one taken out */
        memset(marks + window - 1, '-', 12);
        marks[window + 11] = '\0';
        assert_int_equal(end_of(marks, window, window), window - 1);
    }
}

static void what_lies_on_the_wrong_side_of_an_end_is_counted(void **state)
{
    const enum fit sides[] = { FIT_WITHIN, FIT_BEYOND, FIT_WITHIN, FIT_WITHIN, FIT_EITHER, FIT_BEYOND };

    (void)state;
    assert_int_equal(fit_wrong(sides, 6, 0), 3);
    assert_int_equal(fit_wrong(sides, 6, 2), 3);
    assert_int_equal(fit_wrong(sides, 6, 4), 1);
    assert_int_equal(fit_wrong(sides, 6, 6), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_untouched_window_ends_where_its_offsets_say),
        TEST(what_is_missing_moves_the_end_to_the_front),
        TEST(what_is_too_much_moves_it_back),
        TEST(repeats_behind_the_end_do_not_move_it),
        TEST(what_may_lie_on_either_side_moves_nothing),
        TEST(of_ends_that_are_as_good_the_offsets_decide),
        TEST(every_single_change_is_mended),
        TEST(what_lies_on_the_wrong_side_of_an_end_is_counted),
    };

    return cmocka_run_group_tests_name("ctl/fit", tests, NULL, NULL);
}
