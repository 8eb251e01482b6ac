#include "tests/unit/test.h"

#include "api/callback/marks.c"
#include "api/callback/verdict.h"

#define ID "pri_1"
#define NOT_AWAITED "Privacy request with id 'pri_1' is not in pending or awaiting pre-approval status."
#define AFTER_NOT_ELIGIBLE \
    "Failed to mark privacy request pri_1 as eligible due to: webhook has already answered not eligible."
#define AFTER_ELIGIBLE \
    "Failed to mark privacy request pri_1 as not eligible due to: webhook has already answered eligible."

/* A reply that stands: a bound token, a request that waits, nothing said before. */
static struct verdict_case fresh(enum verdict verdict)
{
    return (struct verdict_case){ .request_id = ID,
                                  .webhook_id = "pre_1",
                                  .verdict = verdict,
                                  .bound = true,
                                  .looked_up = true,
                                  .webhook_exists = true,
                                  .request_exists = true,
                                  .called = true,
                                  .status = PR_AWAITING_PRE_APPROVAL };
}

static void assert_ruling(const struct verdict_case *of, enum ruling expected)
{
    enum ruling ruling = expected == RULING_SEND ? RULING_KNOWN : RULING_SEND;
    struct err err = { 0 };

    assert_int_equal(verdict_admit(of, &err), 0);
    assert_int_equal(verdict_judge(of, &ruling, &err), 0);
    assert_int_equal(ruling, expected);
}

static void assert_refused(const struct verdict_case *of, const char *text)
{
    enum ruling ruling = RULING_KNOWN;
    struct err err = { 0 };

    assert_int_equal(verdict_admit(of, &err), 0);
    assert_int_equal(verdict_judge(of, &ruling, &err), -ERR_BAD_REQUEST);
    assert_int_equal(ruling, RULING_KNOWN); /* untouched on failure */
    assert_string_equal(err.text, text);
}

static void assert_not_admitted(const struct verdict_case *of, enum err_code code, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(verdict_admit(of, &err), -(int)code);
    assert_string_equal(err.text, text);
}

static void a_first_reply_is_sent(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    assert_ruling(&of, RULING_SEND);
    of.status = PR_PENDING;
    assert_ruling(&of, RULING_SEND);
    of = fresh(VERDICT_NOT_ELIGIBLE);
    assert_ruling(&of, RULING_SEND);
}

static void an_unknown_webhook_comes_before_an_unknown_request(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    of.webhook_exists = of.request_exists = of.bound = of.called = false;
    assert_not_admitted(&of, ERR_NOT_FOUND, "No Pre-Approval Webhook found with id 'pre_1'.");
    of.webhook_exists = true;
    assert_not_admitted(&of, ERR_NOT_FOUND, "No privacy request found with id: 'pri_1'.");
    of.request_exists = true;
    assert_not_admitted(&of, ERR_FORBIDDEN, "Not Authorized for this action");
    of.called = true;
    assert_ruling(&of, RULING_SEND);
}

static void without_postgresql_only_a_bound_token_is_believed(void **state)
{
    struct verdict_case of = { .request_id = ID, .webhook_id = "pre_1", .verdict = VERDICT_ELIGIBLE, .bound = true };

    (void)state;
    assert_ruling(&of, RULING_SEND);
    of.coming = VERDICT_ELIGIBLE;
    assert_ruling(&of, RULING_SEND);
    of.coming = VERDICT_NOT_ELIGIBLE;
    assert_refused(&of, AFTER_NOT_ELIGIBLE);
    of.objection = true;
    assert_refused(&of, NOT_AWAITED);
    of.bound = false;
    assert_not_admitted(&of, ERR_UNAVAILABLE, "Service Unavailable");
}

static void what_is_on_record_is_answered_like_the_first_time_whatever_became_of_it(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    of.recorded = VERDICT_ELIGIBLE;
    of.coming = VERDICT_NOT_ELIGIBLE;
    of.deleted = of.objection = true;
    for (int status = PR_NONE; status < PR_STATUSES; status++) {
        of.status = (enum pr_status)status;
        assert_ruling(&of, RULING_KNOWN);
    }
}

static void what_is_on_its_way_is_sent_again_whatever_became_of_the_request(void **state)
{
    struct verdict_case of = fresh(VERDICT_NOT_ELIGIBLE);

    (void)state;
    of.coming = VERDICT_NOT_ELIGIBLE;
    for (int status = PR_NONE; status < PR_STATUSES; status++) {
        of.status = (enum pr_status)status;
        assert_ruling(&of, RULING_SEND);
    }
}

static void the_opposite_is_refused_and_says_why(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    of.recorded = VERDICT_NOT_ELIGIBLE;
    assert_refused(&of, AFTER_NOT_ELIGIBLE);
    of.status = PR_PRE_APPROVAL_NOT_ELIGIBLE;
    assert_refused(&of, NOT_AWAITED);

    of = fresh(VERDICT_NOT_ELIGIBLE);
    of.coming = VERDICT_ELIGIBLE;
    assert_refused(&of, AFTER_ELIGIBLE);
    of.status = PR_APPROVED;
    assert_refused(&of, NOT_AWAITED);
}

static void replies_count_only_while_the_request_waits(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    for (int status = PR_NONE; status < PR_STATUSES; status++) {
        of.status = (enum pr_status)status;
        if (status == PR_PENDING || status == PR_AWAITING_PRE_APPROVAL)
            assert_ruling(&of, RULING_SEND);
        else
            assert_refused(&of, NOT_AWAITED);
    }
}

static void a_deleted_request_takes_no_replies(void **state)
{
    struct verdict_case of = fresh(VERDICT_NOT_ELIGIBLE);

    (void)state;
    of.deleted = true;
    assert_refused(&of, NOT_AWAITED);
}

static void another_webhook_s_objection_on_its_way_ends_the_waiting(void **state)
{
    struct verdict_case of = fresh(VERDICT_ELIGIBLE);

    (void)state;
    of.objection = true;
    assert_refused(&of, NOT_AWAITED);
    of.verdict = VERDICT_NOT_ELIGIBLE;
    assert_refused(&of, NOT_AWAITED);
}

/* Every case there is, against what must hold of all of them. */
struct walk {
    int sent, known, refused;
};

static void hold_to_the_rules(const struct verdict_case *of, struct walk *walk)
{
    enum verdict said = of->recorded != VERDICT_NONE ? of->recorded : of->coming;
    bool left = of->deleted || of->objection || (of->status != PR_PENDING && of->status != PR_AWAITING_PRE_APPROVAL);
    enum ruling ruling = RULING_SEND;
    struct err err = { 0 };
    int r = verdict_judge(of, &ruling, &err);

    assert_int_equal(verdict_is_awaited(of), !left);
    if (said == of->verdict || (said == VERDICT_NONE && !left)) {
        assert_int_equal(r, 0);
        assert_int_equal(ruling, of->recorded ? RULING_KNOWN : RULING_SEND);
        walk->sent += ruling == RULING_SEND;
        walk->known += ruling == RULING_KNOWN;
        return;
    }
    assert_int_equal(r, -ERR_BAD_REQUEST);
    assert_int_equal(strncmp(err.text, "Failed", 6) == 0, !left);
    walk->refused++;
}

static void every_case_is_answered_by_the_rules(void **state)
{
    struct walk walk = { 0 };

    (void)state;
    for (int bits = 0; bits < 4; bits++)
        for (int status = PR_NONE; status < PR_STATUSES; status++)
            for (int said = 0; said < 18; said++) {
                struct verdict_case of = fresh(said % 2 ? VERDICT_ELIGIBLE : VERDICT_NOT_ELIGIBLE);

                of.recorded = (enum verdict)(said / 2 % 3);
                of.coming = (enum verdict)(said / 6);
                of.status = (enum pr_status)status;
                of.deleted = bits & 1;
                of.objection = bits & 2;
                hold_to_the_rules(&of, &walk);
            }
    assert_int_equal(walk.sent + walk.known + walk.refused, 4 * PR_STATUSES * 18);
    assert_int_equal(walk.known, 4 * PR_STATUSES * 6);
}

/* What Redis tells: HGETALL's list. */
static void read_marks(struct test *test, struct mark_call *call, const char *const *texts, int count)
{
    struct redis_answer items[8] = { 0 };

    for (int i = 0; i < count; i++)
        items[i].text = texts[i];
    marks_read(call, &(struct redis_answer){ .items = items, .count = count }, test->arena);
}

static void marks_are_read_with_their_signs(void **state)
{
    static const char *const texts[] = { "pre_1", "2", "pre_2", "-1", "pre_3", "0" };
    struct mark_call call = { .request_id = ID, .webhook_id = "pre_1", .verdict = VERDICT_ELIGIBLE };

    read_marks(*state, &call, texts, COUNT_OF(texts));
    assert_int_equal(call.count, 2);
    assert_string_equal(call.marks[0].webhook_id, "pre_1");
    assert_int_equal(call.marks[0].verdict, VERDICT_ELIGIBLE);
    assert_string_equal(call.marks[1].webhook_id, "pre_2");
    assert_int_equal(call.marks[1].verdict, VERDICT_NOT_ELIGIBLE);
    assert_true(call.marked);
}

static void what_contradicts_its_own_webhook_is_not_marked(void **state)
{
    static const char *const texts[] = { "pre_1", "-1" };
    struct mark_call call = { .request_id = ID, .webhook_id = "pre_1", .verdict = VERDICT_ELIGIBLE };

    read_marks(*state, &call, texts, COUNT_OF(texts));
    assert_false(call.marked);
    call.verdict = VERDICT_NONE; /* it only looked */
    read_marks(*state, &call, texts, 0);
    assert_false(call.marked);
    assert_int_equal(call.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_first_reply_is_sent),
        TEST(an_unknown_webhook_comes_before_an_unknown_request),
        TEST(without_postgresql_only_a_bound_token_is_believed),
        TEST(what_is_on_record_is_answered_like_the_first_time_whatever_became_of_it),
        TEST(what_is_on_its_way_is_sent_again_whatever_became_of_the_request),
        TEST(the_opposite_is_refused_and_says_why),
        TEST(replies_count_only_while_the_request_waits),
        TEST(a_deleted_request_takes_no_replies),
        TEST(another_webhook_s_objection_on_its_way_ends_the_waiting),
        TEST(every_case_is_answered_by_the_rules),
        TEST(marks_are_read_with_their_signs),
        TEST(what_contradicts_its_own_webhook_is_not_marked),
    };

    return cmocka_run_group_tests_name("api/reply", tests, NULL, NULL);
}
