#include "common/buf.h"

#include "tests/unit/test.h"

static void writes_follow_each_other(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(100);

    (void)state;
    buf_adds(&buf, "one");
    buf_addc(&buf, ' ');
    buf_add(&buf, "two", 3);
    buf_printf(&buf, " %d", 3);
    assert_string_equal(buf.data, "one two 3");
    assert_int_equal(buf.length, 9);
    assert_false(buf.overflow);
}

static void a_write_past_the_maximum_changes_nothing_and_ends_all(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(5);

    (void)state;
    buf_adds(&buf, "12345"); /* full, not over */
    assert_false(buf.overflow);
    buf_addc(&buf, '6');
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "12345");
    buf_clear(&buf);
    assert_false(buf.overflow);
    buf_printf(&buf, "%s", "123456");
    buf_adds(&buf, "1"); /* it would fit, but what came before it is missing */
    assert_int_equal(buf.length, 0);
    assert_true(buf.overflow);
}

static void a_size_that_would_wrap_is_an_overflow(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(100);

    (void)state;
    buf_adds(&buf, "x");
    buf_add(&buf, "y", SIZE_MAX);
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "x");
}

static void it_grows_to_its_maximum(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(100000);

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_addc(&buf, (char)('a' + i % 26));
    assert_false(buf.overflow);
    assert_int_equal(strlen(buf.data), 100000);
    buf_free(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 100000); /* ready to be used again */
}

static void a_text_becomes_a_json_string(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        { NULL, "null" },
        { "", "\"\"" },
        { "plain \xc3\xa9 /", "\"plain \xc3\xa9 /\"" },
        { "\"quoted\" \\", "\"\\\"quoted\\\" \\\\\"" },
        { "\x01\n\x1f\x7f", "\"\\u0001\\u000a\\u001f\x7f\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        _cleanup_(buf_free) struct buf buf = BUF_INIT(100);

        buf_json_string(&buf, rows[i].text);
        assert_string_equal(buf.data, rows[i].json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_follow_each_other),
        cmocka_unit_test(a_write_past_the_maximum_changes_nothing_and_ends_all),
        cmocka_unit_test(a_size_that_would_wrap_is_an_overflow),
        cmocka_unit_test(it_grows_to_its_maximum),
        cmocka_unit_test(a_text_becomes_a_json_string),
    };

    return cmocka_run_group_tests_name("common/buf", tests, NULL, NULL);
}
