#include "api/yaml.c"

#include "common/buf.h"
#include "tests/unit/test.h"

/* What it is as JSON, or the error's text. */
static const char *said(struct test *test, const char *text, size_t length)
{
    _cleanup_(json_object_putp) json_object *value = NULL;
    struct err err = { 0 };

    if (yaml_read(text, length, &value, &err) < 0) {
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_null(value);
        return arena_strdup(test->arena, err.text);
    }
    return arena_strdup(test->arena, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
}

static void expect(struct test *test, const char *const each[][2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(said(test, each[i][0], strlen(each[i][0])), each[i][1]);
}

static void scalars_are_what_the_core_schema_says(void **state)
{
    static const char *const each[][2] = {
        { "", "null" }, { "~", "null" }, { "Null", "null" }, { "nUll", "\"nUll\"" }, { "# only a comment", "null" },
        { "true", "true" }, { "FALSE", "false" }, { "yes", "\"yes\"" }, { "off", "\"off\"" }, { "'true'", "\"true\"" },
        { "0", "0" }, { "-12", "-12" }, { "+7", "7" }, { "010", "10" }, { "0o10", "8" }, { "0xfF", "255" },
        { "-0x1", "\"-0x1\"" }, { "0b1", "\"0b1\"" }, { "1_000", "\"1_000\"" }, { "\"5\"", "\"5\"" },
        { "9223372036854775807", "9223372036854775807" }, { "1.5", "1.5" }, { ".5", "0.5" }, { "1.", "1.0" },
        { "-1e3", "-1000.0" }, { "1e", "\"1e\"" }, { ".", "\".\"" }, { "-", "[null]" }, { "1.2.3", "\"1.2.3\"" },
        { "2020-01-01", "\"2020-01-01\"" }, { "12:30", "\"12:30\"" }, { "plain text", "\"plain text\"" },
        { "|\n  two\n  lines\n", "\"two\\nlines\\n\"" }, { ">\n  one\n  line\n", "\"one line\\n\"" },
        { "\"\\u00e9\"", "\"é\"" },
    };

    expect(*state, each, COUNT_OF(each));
}

static void lists_and_mappings_keep_their_order(void **state)
{
    static const char *const each[][2] = {
        { "- 1\n- [a, {b: c}]\n-\n", "[1,[\"a\",{\"b\":\"c\"}],null]" },
        { "z: 1\na:\n  - x\n  - y: 2\n    z:\n", "{\"z\":1,\"a\":[\"x\",{\"y\":2,\"z\":null}]}" },
        { "1: a\ntrue: b\n'': c\n", "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\"}" },
        { "%YAML 1.2\n---\na: b\n...\n", "{\"a\":\"b\"}" },
        { "{}", "{}" }, { "[]", "[]" }, { "'<<': a", "{\"<<\":\"a\"}" },
    };

    expect(*state, each, COUNT_OF(each));
}

#define INVALID "Invalid YAML format: "

static void what_json_cannot_say_or_what_grows_is_refused_with_its_line(void **state)
{
    static const char *const each[][2] = {
        { "a: &x 1\nb: *x", INVALID "anchors and aliases are not taken (line 1)." },
        { "a: 1\nb: &x [1]", INVALID "anchors and aliases are not taken (line 2)." },
        { "&x {a: 1}", INVALID "anchors and aliases are not taken (line 1)." },
        { "a: *x", INVALID "anchors and aliases are not taken (line 1)." },
        { "a: !!str 1", INVALID "tags are not taken (line 1)." },
        { "- !x [1]", INVALID "tags are not taken (line 1)." },
        { "!!python/object:os.system {}", INVALID "tags are not taken (line 1)." },
        { "a: 1\nb: 2\na: 3", INVALID "a key is given twice (line 3)." },
        { "<<: {a: 1}", INVALID "merge keys are not taken (line 1)." },
        { "? [a]\n: b", INVALID "a key is no scalar (line 1)." },
        { "? {a: b}\n: b", INVALID "a key is no scalar (line 1)." },
        { "a: .inf", INVALID "JSON has no such number (line 1)." },
        { "a: -.INF", INVALID "JSON has no such number (line 1)." },
        { "a: .nan", INVALID "JSON has no such number (line 1)." },
        { "a: 9223372036854775808", INVALID "an integer is out of range (line 1)." },
        { "a: 1e999", INVALID "a number is out of range (line 1)." },
        { "a: \"\\0\"", INVALID "a text has a NUL character (line 1)." },
        { "a: 1\n---\nb: 2", INVALID "there is more than one document (line 2)." },
        { "a: b: c", INVALID "mapping values are not allowed in this context (line 1)." },
        { "a: [1, 2", INVALID "did not find expected ',' or ']' (line 2)." },
        { "a:\n\t- b", INVALID "found character that cannot start any token (line 2)." },
        { "a: '", INVALID "found unexpected end of stream (line 1)." },
        { "a: \xff", INVALID "it is not UTF-8." },
    };

    expect(*state, each, COUNT_OF(each));
}

static void a_nul_byte_is_no_end(void **state)
{
    assert_string_equal(said(*state, "a: b\0c: d", 9), INVALID "control characters are not allowed (line 1).");
}

static const char *nested(struct test *test, int depth)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(100000);

    for (int i = 0; i < depth; i++)
        buf_addc(&text, '[');
    for (int i = 0; i < depth; i++)
        buf_addc(&text, ']');
    return arena_strndup(test->arena, text.data, text.length);
}

static void nesting_ends_where_that_of_json_ends(void **state)
{
    struct test *test = *state;
    const char *deepest = nested(test, YAML_DEPTH_MAX), *deeper = nested(test, YAML_DEPTH_MAX + 1);
    const char *deep = nested(test, 40000);

    assert_string_equal(said(test, deepest, strlen(deepest)), deepest);
    assert_string_equal(said(test, deeper, strlen(deeper)),
                        INVALID "lists and mappings are nested too deeply (line 1).");
    assert_string_equal(said(test, deep, strlen(deep)), INVALID "lists and mappings are nested too deeply (line 1).");
}

static void parts_are_counted(void **state)
{
    struct test *test = *state;
    size_t length = 2 * YAML_NODES_MAX + 1;
    char *text = arena_alloc(test->arena, length + 1);

    for (size_t i = 0; i < length; i++)
        text[i] = i == 0 ? '[' : i == length - 1 ? ']' : i % 2 ? '1' : ',';
    assert_string_equal(said(test, text, length), INVALID "it has more than 1000000 parts (line 1).");
    memcpy(text + length - 3, " ]", 3);
    assert_memory_equal(said(test, text, length - 1), "[1,1,", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scalars_are_what_the_core_schema_says),
        TEST(lists_and_mappings_keep_their_order),
        TEST(what_json_cannot_say_or_what_grows_is_refused_with_its_line),
        TEST(a_nul_byte_is_no_end),
        TEST(nesting_ends_where_that_of_json_ends),
        TEST(parts_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
