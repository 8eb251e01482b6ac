#include "common/err.h"

#include "tests/unit/test.h"

static void every_code_has_a_word_of_its_own_and_a_status(void **state)
{
    (void)state;
    for (int code = ERR_NONE + 1; code < ERR_CODES; code++) {
        assert_true(*err_word((enum err_code)code) != '\0');
        assert_in_range(err_http_status((enum err_code)code), 400, 599);
        for (int other = ERR_NONE; other < code; other++)
            assert_string_not_equal(err_word((enum err_code)code), err_word((enum err_code)other));
    }
}

static void fates_follow_who_is_to_blame(void **state)
{
    (void)state;
    for (int code = ERR_NONE + 1; code < ERR_CODES; code++) {
        enum err_fate fate = err_fate((enum err_code)code);

        /* What is the caller's fault is never tried again, except for a race that somebody else
         * won. */
        if (err_http_status((enum err_code)code) < 500)
            assert_int_equal(fate, code == ERR_STALE ? ERR_FATE_RETRY : ERR_FATE_GIVE_UP);
    }
    assert_int_equal(err_fate(ERR_UNAVAILABLE), ERR_FATE_RETRY);
    assert_int_equal(err_fate(ERR_INTERNAL), ERR_FATE_STOP);
}

static void a_text_is_for_the_user_and_a_cause_for_the_log(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_cause(&err, ERR_INTERNAL, "SQLSTATE %s", "42P01"), -ERR_INTERNAL);
    assert_string_equal(err.text, "Internal Server Error");
    assert_string_equal(err.cause, "SQLSTATE 42P01");
    assert_int_equal(err_cause(&err, ERR_UNAVAILABLE, "away"), -ERR_UNAVAILABLE);
    assert_string_equal(err.text, "Service Unavailable");

    assert_int_equal(err_set(&err, ERR_NOT_FOUND, "No Policy found for key %s.", "p"),
                     -ERR_NOT_FOUND);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.text, "No Policy found for key p.");
    assert_string_equal(err.cause, ""); /* nothing of the error before */
}

static void what_is_too_long_is_cut(void **state)
{
    struct err err = { 0 };

    (void)state;
    err_set(&err, ERR_BAD_REQUEST, "%2000s", "x");
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_cause(&err, ERR_INTERNAL, "%2000s", "x");
    assert_int_equal(strlen(err.cause), sizeof(err.cause) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_word_of_its_own_and_a_status),
        cmocka_unit_test(fates_follow_who_is_to_blame),
        cmocka_unit_test(a_text_is_for_the_user_and_a_cause_for_the_log),
        cmocka_unit_test(what_is_too_long_is_cut),
    };

    return cmocka_run_group_tests_name("common/err", tests, NULL, NULL);
}
