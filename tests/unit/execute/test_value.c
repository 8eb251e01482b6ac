#include "worker/execute/value.h"

#include <stdlib.h>

#include "tests/unit/test.h"

enum { BOOL = 16, BYTEA = 17, NAME = 19, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, JSON = 114, FLOAT4 = 700,
       FLOAT8 = 701, VARCHAR = 1043, DATE = 1082, TIMESTAMP = 1114, TIMESTAMPTZ = 1184, NUMERIC = 1700, UUID = 2950,
       JSONB = 3802, INT4_ARRAY = 1007, INET = 869 };

static const struct value_form *form(Oid base, char category)
{
    const struct source_column column = { .name = "x", .type = base, .base = base, .category = category };

    return value_form_of(&column);
}

#define BYTES(text) (text), sizeof(text) - 1

static void each_type_is_told_as_json(void **state)
{
    static const struct {
        Oid type;
        const char *bytes;
        size_t length;
        const char *json;
    } cases[] = {
        { BOOL, BYTES("\1"), "true" },
        { BOOL, BYTES("\0"), "false" },
        { INT2, BYTES("\xff\xfe"), "-2" },
        { INT4, BYTES("\x7f\xff\xff\xff"), "2147483647" },
        { INT4, BYTES("\0\0\0\0"), "0" },
        { INT8, BYTES("\x80\0\0\0\0\0\0\0"), "-9223372036854775808" },
        { INT8, BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807" },
        { TEXT, BYTES(""), "\"\"" },
        { TEXT, BYTES("Jane"), "\"Jane\"" },
        { VARCHAR, BYTES("say \"hi\" \\ and\n\ttab, then some more"),
          "\"say \\\"hi\\\" \\\\ and\\u000a\\u0009tab, then some more\"" },
        { NAME, BYTES("J\xc3\xa9r\xc3\xb4me \xe2\x82\xac \xf0\x9f\x98\x80"),
          "\"J\xc3\xa9r\xc3\xb4me \xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { JSON, BYTES("{\"a\": [1, \"\\n\"]}"), "{\"a\": [1, \"\\n\"]}" },
        { JSONB, BYTES("\1{\"a\": 1}"), "{\"a\": 1}" },
        { FLOAT8, BYTES("1.5e-07"), "1.5e-07" },
        { FLOAT8, BYTES("NaN"), "\"NaN\"" },
        { FLOAT4, BYTES("-Infinity"), "\"-Infinity\"" },
        { NUMERIC, BYTES("12.50"), "\"12.50\"" },
        { UUID, BYTES("\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"),
          "\"00010203-0405-0607-0809-0a0b0c0d0eff\"" },
        { BYTEA, BYTES("\0\xff\1"), "\"AP8B\"" },
        { BYTEA, BYTES(""), "\"\"" },
        { DATE, BYTES("\0\0\0\0"), "\"2000-01-01\"" },
        { DATE, BYTES("\0\0\0\x3b"), "\"2000-02-29\"" },
        { DATE, BYTES("\xff\xff\xff\xff"), "\"1999-12-31\"" },
        { DATE, BYTES("\0\0\x25\x1a"), "\"2026-01-02\"" },
        { DATE, BYTES("\xff\xf4\xdb\xf8"), "\"0001-12-31 BC\"" },
        { DATE, BYTES("\x7f\xff\xff\xff"), "\"infinity\"" },
        { DATE, BYTES("\x80\0\0\0"), "\"-infinity\"" },
        { TIMESTAMP, BYTES("\0\0\0\0\0\0\0\0"), "\"2000-01-01T00:00:00\"" },
        { TIMESTAMP, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), "\"1999-12-31T23:59:59.999999\"" },
        { TIMESTAMPTZ, BYTES("\0\0\0\0\0\0\0\1"), "\"2000-01-01T00:00:00.000001+00:00\"" },
        { TIMESTAMPTZ, BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff"), "\"infinity\"" },
        { TIMESTAMPTZ, BYTES("\x80\0\0\0\0\0\0\0"), "\"-infinity\"" },
        { 774, BYTES("08:00:2b:01:02:03:04:05"), "\"08:00:2b:01:02:03:04:05\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(buf_free) struct buf json = BUF_INIT(1000);

        value_put(form(cases[i].type, 'U'), cases[i].bytes, cases[i].length, &json);
        assert_string_equal(json.data, cases[i].json);
    }
}

static void what_has_no_plain_form_is_made_text_or_json_by_the_server(void **state)
{
    static const struct {
        Oid type;
        char category;
        const char *expression;
    } cases[] = {
        { INT4, 'N', "\"a\"" },          { TEXT, 'S', "\"a\"" },
        { FLOAT8, 'N', "\"a\"::text" },  { NUMERIC, 'N', "\"a\"::text" },
        { INET, 'I', "to_json(\"a\")::text" }, { 99999, 'E', "\"a\"::text" },
        { 99999, 'S', "\"a\"::text" },   { INT4_ARRAY, 'A', "to_json(\"a\")::text" },
        { 99999, 'C', "to_json(\"a\")::text" }, { 99999, 'R', "to_json(\"a\")::text" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(value_expression(form(cases[i].type, cases[i].category), "\"a\"", test->arena),
                            cases[i].expression);
}

/* A name may have a percent sign. */
static void a_column_s_name_is_taken_as_it_is(void **state)
{
    struct test *test = *state;

    assert_string_equal(value_expression(form(NUMERIC, 'N'), "\"50%s off\"", test->arena), "\"50%s off\"::text");
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *json;
    } cases[] = {
        { BYTES("\xe9t\xe9"), "\"\xef\xbf\xbdt\xef\xbf\xbd\"" },       /* Latin-1 */
        { BYTES("cut \xe2\x82"), "\"cut \xef\xbf\xbd\xef\xbf\xbd\"" }, /* a character without its end */
        { BYTES("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },         /* overlong */
        { BYTES("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
        { BYTES("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { BYTES("\xff\"\1"), "\"\xef\xbf\xbd\\\"\\u0001\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(buf_free) struct buf json = BUF_INIT(1000);

        value_put(form(TEXT, 'S'), cases[i].bytes, cases[i].length, &json);
        assert_string_equal(json.data, cases[i].json);
    }
}

/* Every byte at every place of a word, since eight are looked at together. */
static void each_byte_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++)
        for (size_t place = 0; place < 24; place++) {
            _cleanup_(buf_free) struct buf json = BUF_INIT(1000);
            char text[25] = "abcdefghijklmnopqrstuvwx", expected[64], odd[8];

            text[place] = (char)byte;
            if (byte >= 0x80)
                snprintf(odd, sizeof(odd), "\xef\xbf\xbd");
            else if (byte < 0x20)
                snprintf(odd, sizeof(odd), "\\u%04x", (unsigned)byte);
            else
                snprintf(odd, sizeof(odd), byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
            snprintf(expected, sizeof(expected), "\"%.*s%s%s\"", (int)place, text, odd, text + place + 1);
            value_put(form(TEXT, 'S'), text, 24, &json);
            assert_string_equal(json.data, expected);
        }
}

static void long_bytea_is_one_base64(void **state)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(100000);
    char *bytes = calloc(1, 10000);

    (void)state;
    value_put(form(BYTEA, 'U'), bytes, 10000, &json);
    assert_int_equal(json.length, 2 + (10000 + 2) / 3 * 4);
    assert_int_equal(strspn(json.data + 1, "A"), 10000 * 4 / 3 + 1);
    assert_string_equal(json.data + json.length - 3, "==\"");
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_type_is_told_as_json),
        TEST(what_has_no_plain_form_is_made_text_or_json_by_the_server),
        TEST(a_column_s_name_is_taken_as_it_is),
        TEST(bytes_that_are_no_utf8_are_replaced),
        TEST(each_byte_is_seen_wherever_it_stands),
        TEST(long_bytea_is_one_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
