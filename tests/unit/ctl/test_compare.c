#include "tests/unit/test.h"

#include "worker/ctl/audit/compare.c"

/* A result with one column, of `count` ids from the number `first` on. */
static PGresult *result_of(int first, int count, int step)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char name[] = "i", text[16];
    PGresAttDesc column = { .name = name };

    assert_true(PQsetResultAttrs(result, 1, &column));
    for (int row = 0; row < count; row++) {
        snprintf(text, sizeof(text), "pri_%06d", first + row * step);
        assert_true(PQsetvalue(result, row, 0, text, (int)strlen(text)));
    }
    return result;
}

static void assert_page(const struct page *page, int count, const char *first, const char *last)
{
    assert_int_equal(page->count, count);
    assert_string_equal(page->ids[0], first);
    assert_string_equal(page->ids[count - 1], last);
    for (int i = 1; i < count; i++)
        assert_true(strcmp(page->ids[i - 1], page->ids[i]) < 0);
}

static void both_ends_are_merged_in_order_each_request_once(void **state)
{
    struct test *test = *state;
    struct page page = { .count = 7 };
    PGresult *one = result_of(0, 10, 2), *other = result_of(0, 10, 3); /* even ones; those that three divides */

    page_merge(&page, one, other, test->arena);
    assert_page(&page, 16, "pri_000000", "pri_000027");
    assert_true(page.last);
    PQclear(one);
    PQclear(other);
}

static void a_full_page_says_nothing_of_what_comes_after_it(void **state)
{
    struct test *test = *state;
    struct page page = { .count = 0 };
    PGresult *full = result_of(0, REBUILD_PAGE, 1), *other = result_of(500, 900, 1);

    page_merge(&page, full, other, test->arena);
    assert_page(&page, REBUILD_PAGE, "pri_000000", "pri_000999");
    assert_false(page.last);
    assert_string_equal(page.cursor, "pri_000999");
    PQclear(other);
    other = result_of(5000, REBUILD_PAGE, 1);
    page_merge(&page, other, full, test->arena); /* the lower end counts, on whichever side */
    assert_page(&page, REBUILD_PAGE, "pri_000000", "pri_000999");
    assert_string_equal(page.cursor, "pri_000999");
    PQclear(full);
    PQclear(other);
}

static void what_only_one_end_has_is_on_the_page_too(void **state)
{
    struct test *test = *state;
    struct page page = { .count = 0 };
    PGresult *none = result_of(0, 0, 1), *some = result_of(3, 2, 1);

    page_merge(&page, none, some, test->arena);
    assert_page(&page, 2, "pri_000003", "pri_000004");
    assert_true(page.last);
    page_merge(&page, none, none, test->arena);
    assert_int_equal(page.count, 0);
    assert_true(page.last);
    PQclear(none);
    PQclear(some);
}

static void where_a_request_is_decides_how_it_is_compared(void **state)
{
    struct test *test = *state;
    struct rebuild rebuild = { .arena = test->arena, .options.json = true };
    struct group same = { .count = 0 }, moved = { .count = 0 };
    struct places places = { result_of(0, 1, 1), result_of(0, 1, 1), result_of(0, 0, 1), result_of(9, 1, 1) };

    place_judge(&rebuild, &places, "pri_000000", &same, &moved); /* the same on both */
    place_judge(&rebuild, &places, "pri_000009", &same, &moved); /* of an older release */
    place_judge(&rebuild, &places, "pri_000001", &same, &moved); /* on neither: the rows tell */
    assert_int_equal(same.count, 2);
    assert_string_equal(same.ids[0], "pri_000000");
    assert_int_equal(moved.count, 0);
    assert_int_equal(rebuild.older, 1);
    assert_int_equal(rebuild.findings, 0);
    places_end(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_ends_are_merged_in_order_each_request_once),
        TEST(a_full_page_says_nothing_of_what_comes_after_it),
        TEST(what_only_one_end_has_is_on_the_page_too),
        TEST(where_a_request_is_decides_how_it_is_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
