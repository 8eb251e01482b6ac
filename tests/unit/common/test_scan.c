#include "common/scan.h"

#include "tests/unit/test.h"

static void tokens_are(const char *json, const char *kinds)
{
    struct scan scan = scan_of(json, strlen(json));
    char found[64] = "";
    size_t count = 0;

    for (;;) {
        struct scan_token token = scan_next(&scan);

        if (token.kind == SCAN_END)
            break;
        found[count++] = "e{[)ksp"[token.kind];
    }
    assert_string_equal(found, kinds);
    assert_ptr_equal(scan.at, scan.end);
}

static void a_text_is_its_tokens(void **state)
{
    (void)state;
    tokens_are("", "");
    tokens_are(" null ", "p");
    tokens_are("{\"a\" : [1, -2.50e3,true ], \"b\\\"\":{}, \"c\":\"d\"}", "{k[ppp)k{)ks)");
    tokens_are("\"never ended", "s");
    tokens_are("\"ends in \\", "s");
    tokens_are("[1", "[p");
    tokens_are("::", "");
}

static void a_whole_value_ends_where_its_bracket_closes(void **state)
{
    const char *json = "[{\"a\": [\"]\", {}]}, 2]";
    struct scan scan = scan_of(json, strlen(json));
    struct scan_token object;

    (void)state;
    assert_int_equal(scan_next(&scan).kind, SCAN_LIST);
    object = scan_whole(&scan, scan_next(&scan));
    assert_int_equal(object.length, strlen("{\"a\": [\"]\", {}]}"));
    assert_int_equal(scan_next(&scan).kind, SCAN_PLAIN);
    assert_int_equal(scan_next(&scan).kind, SCAN_CLOSE);
    assert_int_equal(scan_next(&scan).kind, SCAN_END);
}

static void text_is(const char *json, const char *plain)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(256);
    struct scan scan = scan_of(json, strlen(json));
    struct scan_token token = scan_next(&scan);

    scan_text(token, &out);
    assert_string_equal(out.data ? out.data : "", plain);
    assert_true(scan_is(token, plain));
    assert_false(scan_is(token, "something else"));
}

static void escapes_are_undone(void **state)
{
    (void)state;
    text_is("\"\"", "");
    text_is("\"a\\\"\\\\\\/\\n\\tb\"", "a\"\\/\n\tb");
    text_is("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    text_is("\"\\ud83d!\"", "\xef\xbf\xbd!");
    text_is("\"\\uzz\"", "\xef\xbf\xbdzz");
}

static void layout_is(const char *json, int depth, const char *text)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(256);

    scan_indent(json, strlen(json), depth, &out);
    assert_string_equal(out.data, text);
}

static void values_are_indented_as_python_does(void **state)
{
    (void)state;
    layout_is("12345678901234567890.10", 3, "12345678901234567890.10");
    layout_is("{}", 1, "{}");
    layout_is("[ ]", 1, "[]");
    layout_is("{\"a\":[1,{\"b\":null}],\"c\":{}}", 1,
              "{\n    \"a\": [\n      1,\n      {\n        \"b\": null\n      }\n    ],\n    \"c\": {}\n  }");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_text_is_its_tokens),
        TEST(a_whole_value_ends_where_its_bracket_closes),
        TEST(escapes_are_undone),
        TEST(values_are_indented_as_python_does),
    };

    return cmocka_run_group_tests_name("common/scan", tests, NULL, NULL);
}
