#include "tests/unit/test.h"

#include "worker/ctl/dead/plain.h"

static void assert_line(const char *bytes, size_t length, const char *expected)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    buf_adds(&out, "");
    plain_line(&out, bytes, length);
    assert_string_equal(out.data, expected);
}

static void nothing_on_a_line_means_more_than_itself(void **state)
{
    (void)state;
    assert_line("plain \xc3\xa9 \xe2\x82\xac", 12, "plain \xc3\xa9 \xe2\x82\xac");
    assert_line("", 0, "");
    assert_line("a\nb\tc\rd", 7, "a\\x0ab\\x09c\\x0dd");
    assert_line("\x1b[31m\x7f", 6, "\\x1b[31m\\x7f");
    assert_line("a\0b", 3, "a\\x00b");
    assert_line("\\x41", 4, "\\\\x41"); /* so that what was escaped can be told from what was not */
    assert_line("\xff\xc3", 2, "\\xff\\xc3");
    assert_line("\xc2\x9b" "31m", 5, "\\xc2\\x9b31m"); /* CSI in one character */
    assert_line("\xe2\x80\xae" "cba", 6, "\\xe2\\x80\\xaecba"); /* from right to left */
    assert_line("\xe2\x81\xa6\xe2\x80\x8b", 6, "\\xe2\\x81\\xa6\\xe2\\x80\\x8b");
}

static void assert_block(const char *bytes, size_t length, const char *expected)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    buf_adds(&out, "");
    plain_block(&out, bytes, length, "> ");
    assert_string_equal(out.data, expected);
}

static void a_block_is_text_or_a_table_of_bytes(void **state)
{
    (void)state;
    assert_block("", 0, "");
    assert_block("one\ntwo\n\nthree", 14, "> one\n> two\n> \n> three\n");
    assert_block("\x01", 1, "> 00000000   01                                                |.|\n");
    assert_block("0123456789abcdef\x80", 17,
                 "> 00000000   30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
                 "> 00000010   80                                                |.|\n");
}

static void assert_json(const char *bytes, size_t length, const char *expected)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    plain_json(&out, "v", bytes, length);
    assert_string_equal(out.data, expected);
}

static void json_has_text_or_base64(void **state)
{
    (void)state;
    assert_json(NULL, 0, "\"v\":null");
    assert_json("", 0, "\"v\":\"\"");
    assert_json("a\"\n\x1b", 4, "\"v\":\"a\\\"\\u000a\\u001b\"");
    assert_json("\xff", 1, "\"v_base64\":\"/w==\"");
    assert_json("a\0", 2, "\"v_base64\":\"YQA=\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_on_a_line_means_more_than_itself),
        cmocka_unit_test(a_block_is_text_or_a_table_of_bytes),
        cmocka_unit_test(json_has_text_or_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
