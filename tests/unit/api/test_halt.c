#include "api/callback/halt.h"

#include <stdio.h>

#include "tests/unit/test.h"

#define ID "pri_1"
#define OURS "pol_1"
#define FORBIDDEN "Not Authorized for this action"

/* Halted by the webhook that replies. */
static struct halt_case paused(void)
{
    return (struct halt_case){ .request_id = ID,
                               .webhook_id = OURS,
                               .bound = true,
                               .webhook_exists = true,
                               .request_exists = true,
                               .status = PR_PAUSED,
                               .paused_webhook_id = OURS,
                               .called = true,
                               .current = true,
                               .passed = true,
                               .halted = true };
}

/* Called, and its answer not on record. */
static struct halt_case under_way(void)
{
    struct halt_case of = paused();

    of.status = PR_IN_PROCESSING;
    of.paused_webhook_id = NULL;
    of.open = true;
    of.passed = of.halted = false;
    return of;
}

static void assert_ruling(const struct halt_case *of, enum halt_ruling expected)
{
    enum halt_ruling ruling = expected == HALT_RESUME ? HALT_KNOWN : HALT_RESUME;
    struct err err = { 0 };

    assert_int_equal(halt_admit(of, &err), 0);
    assert_int_equal(halt_judge(of, &ruling, &err), 0);
    assert_int_equal(ruling, expected);
}

static void assert_not_admitted(const struct halt_case *of, enum err_code code, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(halt_admit(of, &err), -(int)code);
    assert_string_equal(err.text, text);
}

static void assert_refused(const struct halt_case *of, enum err_code code, const char *text)
{
    enum halt_ruling ruling = HALT_KNOWN;
    struct err err = { 0 };

    assert_int_equal(halt_admit(of, &err), 0);
    assert_int_equal(halt_judge(of, &ruling, &err), -(int)code);
    assert_int_equal(ruling, HALT_KNOWN); /* untouched on failure */
    assert_string_equal(err.text, text);
}

static void assert_wrong_status(const struct halt_case *of)
{
    char text[128];

    snprintf(text, sizeof(text), "Invalid resume request: privacy request 'pri_1' status = %s.",
             lifecycle_word(of->status));
    assert_refused(of, ERR_BAD_REQUEST, text);
}

static void what_it_halted_itself_goes_on(void **state)
{
    struct halt_case of = paused();

    (void)state;
    assert_ruling(&of, HALT_RESUME);
    of.passed = of.current = false;
    assert_ruling(&of, HALT_RESUME);
    of.resumed = true; /* of a pause before this one */
    assert_ruling(&of, HALT_RESUME);
}

static void what_another_webhook_halted_is_not_its_own(void **state)
{
    struct halt_case of = paused();

    (void)state;
    of.paused_webhook_id = "pol_2";
    assert_refused(&of, ERR_FORBIDDEN, FORBIDDEN);
    of.paused_webhook_id = NULL;
    assert_refused(&of, ERR_FORBIDDEN, FORBIDDEN);
}

static void the_checks_have_an_order(void **state)
{
    struct halt_case of = { .request_id = ID, .webhook_id = OURS, .deleted = true };

    (void)state;
    assert_not_admitted(&of, ERR_NOT_FOUND, "No Policy Pre-Execution Webhook found with id 'pol_1'.");
    of.webhook_exists = true;
    assert_not_admitted(&of, ERR_NOT_FOUND, "No privacy request found with id 'pri_1'.");
    of.request_exists = true;
    assert_not_admitted(&of, ERR_FORBIDDEN, FORBIDDEN);
    of.bound = true;
    assert_not_admitted(&of, ERR_INVALID, "Privacy request with id pri_1 has been deleted.");
    of.deleted = false;
    assert_wrong_status(&of);
}

static void an_unbound_token_is_good_where_its_webhook_was_called(void **state)
{
    struct halt_case of = paused();

    (void)state;
    of.bound = false;
    assert_ruling(&of, HALT_RESUME);
    of.called = false;
    assert_not_admitted(&of, ERR_FORBIDDEN, FORBIDDEN);
}

static void a_reply_before_the_answer_is_kept_and_may_be_said_again(void **state)
{
    struct halt_case of = under_way();

    (void)state;
    assert_ruling(&of, HALT_KEEP);
    of.resumed = true;
    assert_ruling(&of, HALT_KNOWN);
}

static void a_reply_between_the_answer_and_the_pause_is_kept(void **state)
{
    struct halt_case of = under_way();

    (void)state;
    of.open = false;
    of.halted = true;
    assert_ruling(&of, HALT_KEEP);
    of.passed = true;
    assert_ruling(&of, HALT_KEEP);
}

static void what_went_on_already_is_refused(void **state)
{
    struct halt_case of = paused();

    (void)state;
    of.status = PR_IN_PROCESSING;
    of.paused_webhook_id = NULL;
    of.resumed = true;
    assert_wrong_status(&of);
}

static void an_answer_that_did_not_halt_leaves_nothing_to_resume(void **state)
{
    struct halt_case of = under_way();

    (void)state;
    of.open = false;
    assert_wrong_status(&of);
    of.passed = true;
    assert_wrong_status(&of);
    of.open = true; /* asked for again by an operator */
    assert_wrong_status(&of);
}

static void a_call_of_an_earlier_run_says_nothing_about_this_one(void **state)
{
    struct halt_case of = under_way();

    (void)state;
    of.current = false;
    assert_wrong_status(&of);
    of.open = false;
    of.halted = true;
    assert_wrong_status(&of);
}

static void every_other_status_is_refused_by_its_name(void **state)
{
    (void)state;
    for (int status = PR_NONE + 1; status < PR_STATUSES; status++) {
        struct halt_case of = under_way();

        of.status = (enum pr_status)status;
        of.paused_webhook_id = OURS;
        if (status != PR_PAUSED && status != PR_IN_PROCESSING)
            assert_wrong_status(&of);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_halted_itself_goes_on),
        TEST(what_another_webhook_halted_is_not_its_own),
        TEST(the_checks_have_an_order),
        TEST(an_unbound_token_is_good_where_its_webhook_was_called),
        TEST(a_reply_before_the_answer_is_kept_and_may_be_said_again),
        TEST(a_reply_between_the_answer_and_the_pause_is_kept),
        TEST(what_went_on_already_is_refused),
        TEST(an_answer_that_did_not_halt_leaves_nothing_to_resume),
        TEST(a_call_of_an_earlier_run_says_nothing_about_this_one),
        TEST(every_other_status_is_refused_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
