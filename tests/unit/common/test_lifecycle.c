#include "tests/unit/test.h"

#include "common/lifecycle.h"

static void every_status_has_a_word_that_leads_back(void **state)
{
    (void)state;
    for (int i = PR_NONE + 1; i < PR_STATUSES; i++)
        assert_int_equal(lifecycle_parse(lifecycle_word((enum pr_status)i)), i);
    assert_int_equal(lifecycle_parse("none"), PR_NONE);
    assert_int_equal(lifecycle_parse("unheard_of"), PR_NONE);
    assert_int_equal(lifecycle_parse(NULL), PR_NONE);
}

static void no_two_edges_leave_a_status_on_the_same_thing(void **state)
{
    (void)state;
    for (int i = 0; i < lifecycle_edge_count; i++)
        for (int j = i + 1; j < lifecycle_edge_count; j++)
            assert_false(lifecycle_edges[i].from == lifecycle_edges[j].from &&
                         lifecycle_edges[i].on == lifecycle_edges[j].on);
}

static void no_edge_leaves_a_terminal_status(void **state)
{
    (void)state;
    for (int i = 0; i < lifecycle_edge_count; i++)
        assert_false(lifecycle_is_terminal(lifecycle_edges[i].from));
}

static void everything_that_may_happen_leads_somewhere(void **state)
{
    (void)state;
    for (int on = 0; on < PR_ONS; on++) {
        enum pr_status to = PR_NONE;

        for (int from = 0; from < PR_STATUSES; from++)
            if (lifecycle_next((enum pr_status)from, (enum pr_on)on, &to))
                assert_int_not_equal(to, PR_NONE);
        assert_int_not_equal(to, PR_NONE);
    }
}

static void a_request_that_is_received_can_come_to_its_end(void **state)
{
    static const enum pr_on way[] = { ON_CREATE, ON_CALLS_OWED, ON_APPROVE, ON_RUN, ON_FINISH };
    enum pr_status status = PR_NONE;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(way); i++)
        assert_true(lifecycle_next(status, way[i], &status));
    assert_int_equal(status, PR_COMPLETE);
}

static void what_is_refused_leaves_the_answer_untouched(void **state)
{
    enum pr_status to = PR_PAUSED;

    (void)state;
    assert_false(lifecycle_next(PR_COMPLETE, ON_CANCEL, &to));
    assert_false(lifecycle_next(PR_ERROR, ON_CANCEL, &to));
    assert_false(lifecycle_next(PR_IN_PROCESSING, ON_APPROVE, &to));
    assert_int_equal(to, PR_PAUSED);
}

static void replies_count_in_two_statuses_only(void **state)
{
    (void)state;
    for (int i = 0; i < PR_STATUSES; i++)
        assert_int_equal(lifecycle_takes_replies((enum pr_status)i),
                         i == PR_PENDING || i == PR_AWAITING_PRE_APPROVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_word_that_leads_back),
        cmocka_unit_test(no_two_edges_leave_a_status_on_the_same_thing),
        cmocka_unit_test(no_edge_leaves_a_terminal_status),
        cmocka_unit_test(everything_that_may_happen_leads_somewhere),
        cmocka_unit_test(a_request_that_is_received_can_come_to_its_end),
        cmocka_unit_test(what_is_refused_leaves_the_answer_untouched),
        cmocka_unit_test(replies_count_in_two_statuses_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
