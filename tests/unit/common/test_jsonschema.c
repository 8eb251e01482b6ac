#include "tests/unit/test.h"

#include "common/jsonschema.h"

static const struct jsonschema *compiled(struct test *test, const char *schema, bool open)
{
    const struct jsonschema *ret;

    if (jsonschema_compile(schema, open, test->arena, &ret, &test->err) < 0)
        fail_msg("%s is not taken: %s", schema, test->err.text);
    return ret;
}

static enum jsonschema_verdict verdict(const struct jsonschema *schema, const char *json, char *why)
{
    *why = '\0';
    return jsonschema_check(schema, json, strlen(json), NULL, why);
}

struct row {
    const char *schema;
    const char *const *fits, *const *misfits; /* end with NULL */
};

#define LIST(...) (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL }

/* What JSON-Schema-Test-Suite (draft 2020-12) has about the keywords that are known here. */
static const struct row rows[] = {
    /* type.json */
    { "{\"type\": \"integer\"}", LIST("1", "1.0", "-0", "1e2", "100000000000000000000"),
      LIST("1.1", "\"foo\"", "\"1\"", "{}", "[]", "true", "null", "1e-1") },
    { "{\"type\": \"number\"}", LIST("1", "1.0", "1.1", "-1E+2"), LIST("\"foo\"", "\"1\"", "{}", "[]", "true", "null") },
    { "{\"type\": \"string\"}", LIST("\"foo\"", "\"\"", "\"1\""), LIST("1", "1.1", "{}", "[]", "true", "null") },
    { "{\"type\": \"object\"}", LIST("{}"), LIST("1", "1.1", "\"foo\"", "[]", "true", "null") },
    { "{\"type\": \"array\"}", LIST("[]"), LIST("1", "1.1", "\"foo\"", "{}", "true", "null") },
    { "{\"type\": \"boolean\"}", LIST("true", "false"), LIST("1", "0", "1.1", "\"foo\"", "\"\"", "{}", "[]", "null") },
    { "{\"type\": \"null\"}", LIST("null"), LIST("1", "1.1", "0", "\"foo\"", "\"\"", "{}", "[]", "true", "false") },
    { "{\"type\": [\"integer\", \"string\"]}", LIST("1", "\"foo\""), LIST("1.1", "{}", "[]", "true", "null") },
    { "{\"type\": [\"array\", \"object\", \"null\"]}", LIST("[1,2,3]", "{\"foo\": 123}", "null"), LIST("123", "\"foo\"") },
    /* const.json */
    { "{\"const\": 2}", LIST("2", "2.0"), LIST("5", "\"a\"", "true") },
    { "{\"const\": \"a\"}", LIST("\"a\"", "\"\\u0061\""), LIST("\"b\"", "\"\"", "\"aa\"", "1") },
    { "{\"const\": null}", LIST("null"), LIST("0", "false", "\"null\"", "{}", "[]") },
    { "{\"const\": false}", LIST("false"), LIST("0", "0.0", "null", "true", "[false]") },
    { "{\"const\": true}", LIST("true"), LIST("1", "1.0", "[true]") },
    { "{\"const\": 0}", LIST("0", "0.0", "-0"), LIST("false", "{}", "[]", "\"\"") },
    { "{\"const\": -2.0}", LIST("-2", "-2.0"), LIST("2", "-2.00001") },
    { "{\"const\": 9007199254740992}", LIST("9007199254740992", "9007199254740992.0"), LIST("9007199254740991") },
    /* enum.json */
    { "{\"enum\": [1, 2, 3]}", LIST("1", "3.0"), LIST("4", "\"1\"", "{}", "[1]") },
    { "{\"enum\": [6, \"foo\", true, null]}", LIST("6", "\"foo\"", "true", "null"), LIST("false", "\"bar\"", "[]", "{}") },
    { "{\"enum\": [\"foo\\nbar\", \"foo\\rbar\"]}", LIST("\"foo\\nbar\"", "\"foo\\rbar\""), LIST("\"abc\"", "\"foo\"") },
    { "{\"enum\": [false]}", LIST("false"), LIST("0", "0.0", "true") },
    { "{\"enum\": []}", LIST(), LIST("null", "0") },
    { "{\"properties\": {\"foo\": {\"enum\": [\"foo\"]}, \"bar\": {\"enum\": [\"bar\"]}}, \"required\": [\"bar\"]}",
      LIST("{\"foo\": \"foo\", \"bar\": \"bar\"}", "{\"bar\": \"bar\"}"),
      LIST("{\"foo\": \"foot\", \"bar\": \"bar\"}", "{\"foo\": \"foo\", \"bar\": \"bart\"}", "{\"foo\": \"foo\"}", "{}") },
    /* minLength.json, maxLength.json */
    { "{\"minLength\": 2}", LIST("\"foo\"", "\"fo\"", "1", "\"éé\"", "\"\\u00e9\\u00e9\""),
      LIST("\"f\"", "\"é\"", "\"\\ud83d\\udca9\"", "\"\"") },
    { "{\"maxLength\": 2}", LIST("\"f\"", "\"fo\"", "100", "\"\xf0\x9f\x92\xa9\xf0\x9f\x92\xa9\"", "\"\\ud83d\\udca9\\n\""),
      LIST("\"foo\"", "\"ééé\"") },
    { "{\"minLength\": 1}", LIST("\"x\""), LIST("\"\"") },
    /* pattern.json */
    { "{\"pattern\": \"^a*$\"}", LIST("\"aaa\"", "\"\\u0061\"", "true", "123", "1.0", "{}", "[]", "null"), LIST("\"abc\"") },
    { "{\"pattern\": \"a+\"}", LIST("\"xxaayy\""), LIST("\"xxyy\"") },
    /* format.json and optional/format/date-time.json */
    { "{\"format\": \"date-time\"}",
      LIST("\"1963-06-19T08:30:06.283185Z\"", "\"1963-06-19T08:30:06Z\"", "\"1937-01-01T12:00:27.87+00:20\"",
           "\"1990-12-31T15:59:50.123-08:00\"", "\"2020-02-29T00:00:00Z\"", "12", "13.7", "{}", "[]", "false", "null"),
      LIST("\"1990-02-31T15:59:59.123-08:00\"", "\"1990-12-31T15:59:59-24:00\"", "\"1963-06-19T08:30:06.28123+01:00Z\"",
           "\"06/19/1963 08:30:06 PST\"", "\"2013-350T01:01:01\"", "\"1963-6-19T08:30:06.283185Z\"",
           "\"1963-06-1T00:00:00Z\"", "\"1963-06-1\xe0\xa7\xaaT00:00:00Z\"", "\"1963-06-19T08:30Z\"", "\"1963-06-19\"",
           "\"1963-06-19 08:30:06Z\"", "\"1963-06-19T08:30:06\"", "\"2021-02-29T00:00:00Z\"", "\"\"",
           "\"1998-12-31T23:59:61Z\"", "\"1998-12-31T24:00:00Z\"") },
    /* minimum.json, maximum.json */
    { "{\"minimum\": 1.1}", LIST("2.6", "1.1", "\"x\""), LIST("0.6", "1", "-2") },
    { "{\"minimum\": -2}", LIST("-1", "0", "-2", "-2.0", "\"x\""), LIST("-2.0001", "-3") },
    { "{\"maximum\": 3.0}", LIST("2.6", "3.0", "3", "\"x\""), LIST("3.5", "1e300") },
    { "{\"maximum\": 300}", LIST("299.97", "300", "300.00"), LIST("300.5") },
    /* items.json, minItems.json, maxItems.json */
    { "{\"items\": {\"type\": \"integer\"}}", LIST("[1, 2, 3]", "[]", "{\"foo\": \"bar\"}", "{\"0\": \"invalid\", \"length\": 1}"),
      LIST("[1, \"x\"]", "[[1]]") },
    { "{\"items\": true}", LIST("[1, \"foo\", true]", "[]"), LIST() },
    { "{\"items\": false}", LIST("[]"), LIST("[1]", "[[]]") },
    { "{\"items\": {\"items\": {\"items\": {\"type\": \"number\"}}}}", LIST("[[[1], [2]], [[3]]]", "[]", "[[]]"),
      LIST("[[[\"1\"]]]") },
    { "{\"minItems\": 1}", LIST("[1, 2]", "[1]", "\"\"", "{}"), LIST("[]") },
    { "{\"maxItems\": 2}", LIST("[1]", "[1, 2]", "\"foobar\"", "[]"), LIST("[1, 2, 3]") },
    /* uniqueItems.json, as far as elements are strings */
    { "{\"items\": {\"type\": \"string\"}, \"uniqueItems\": true}",
      LIST("[\"foo\", \"bar\", \"baz\"]", "[]", "[\"a\"]", "[\"\", \" \"]", "[ \"a\" , \"A\" ]", "\"aa\"", "{}",
           "[\"1\", \"2\", \"\\\"\"]"),
      LIST("[\"foo\", \"bar\", \"foo\"]", "[\"a\" ,\"b\", \"b\" ]", "[\"\", \"\"]", "[\"a\", \"\\u0061\"]",
           "[\"\\\"\", \"\\u0022\"]", "[\"1\", 1]") },
    { "{\"uniqueItems\": false}", LIST("[1, 1]", "[]"), LIST() },
    /* properties.json */
    { "{\"properties\": {\"foo\": {\"type\": \"integer\"}, \"bar\": {\"type\": \"string\"}}}",
      LIST("{\"foo\": 1, \"bar\": \"baz\"}", "{\"quux\": []}", "[]", "12", "{}"),
      LIST("{\"foo\": 1, \"bar\": {}}", "{\"foo\": [], \"bar\": {}}", "{\"bar\": 5}") },
    { "{\"properties\": {\"foo\": true, \"bar\": false}}", LIST("{}", "{\"foo\": 1}"),
      LIST("{\"bar\": 2}", "{\"foo\": 1, \"bar\": 2}") },
    { "{\"properties\": {\"foo\\nbar\": {\"type\": \"number\"}, \"foo\\\"bar\": {\"type\": \"number\"}}}",
      LIST("{\"foo\\nbar\": 1, \"foo\\\"bar\": 1}", "{\"foo\\u000abar\": 1}"),
      LIST("{\"foo\\nbar\": \"1\"}", "{\"foo\\u0022bar\": \"1\"}") },
    { "{\"properties\": {\"foo\": {\"type\": \"null\"}}}", LIST("{\"foo\": null}"), LIST("{\"foo\": 0}") },
    /* required.json */
    { "{\"properties\": {\"foo\": {}, \"bar\": {}}, \"required\": [\"foo\"]}", LIST("{\"foo\": 1}", "[]", "\"\"", "12", "null"),
      LIST("{\"bar\": 1}", "{}") },
    { "{\"properties\": {\"foo\": {}}}", LIST("{}"), LIST() },
    { "{\"required\": [\"foo\\nbar\", \"foo\\\"bar\"]}", LIST("{\"foo\\nbar\": 1, \"foo\\\"bar\": 1}"),
      LIST("{\"foo\\nbar\": \"1\"}", "{}") },
    { "{\"required\": []}", LIST("{}"), LIST() },
    /* additionalProperties.json */
    { "{\"properties\": {\"foo\": {}, \"bar\": {}}, \"additionalProperties\": false}",
      LIST("{\"foo\": 1}", "{\"foo\": 1, \"bar\": 2}", "[1, 2, 3]", "\"foobarbaz\"", "{}"),
      LIST("{\"foo\": 1, \"bar\": 2, \"quux\": \"boom\"}", "{\"quux\": null}") },
    { "{\"properties\": {\"foo\": {}}, \"additionalProperties\": {\"type\": \"boolean\"}}",
      LIST("{\"foo\": 1}", "{\"foo\": 1, \"quux\": true}"), LIST("{\"foo\": 1, \"quux\": 12}") },
    { "{\"additionalProperties\": {\"type\": \"boolean\"}}", LIST("{\"foo\": true}", "{}"), LIST("{\"foo\": 1}") },
    { "{\"properties\": {\"foo\": {}}}", LIST("{\"foo\": 1, \"quux\": true}"), LIST() },
    { "{\"additionalProperties\": true}", LIST("{\"foo\": true}"), LIST() },
    /* dependentRequired.json */
    { "{\"dependentRequired\": {\"bar\": [\"foo\"]}}",
      LIST("{}", "{\"foo\": 1}", "{\"foo\": 1, \"bar\": 2}", "[\"bar\"]", "\"foobar\"", "12"), LIST("{\"bar\": 2}") },
    { "{\"dependentRequired\": {\"bar\": []}}", LIST("{}", "{\"bar\": 2}", "1"), LIST() },
    { "{\"dependentRequired\": {\"quux\": [\"foo\", \"bar\"]}}",
      LIST("{}", "{\"foo\": 1, \"bar\": 2}", "{\"foo\": 1, \"bar\": 2, \"quux\": 3}"),
      LIST("{\"foo\": 1, \"quux\": 2}", "{\"bar\": 1, \"quux\": 2}", "{\"quux\": 1}") },
    /* anyOf.json */
    { "{\"anyOf\": [{\"type\": \"integer\"}, {\"minimum\": 2}]}", LIST("1", "2.5", "3", "\"x\""), LIST("1.5") },
    { "{\"type\": \"string\", \"anyOf\": [{\"maxLength\": 2}, {\"minLength\": 4}]}", LIST("\"fo\"", "\"foobar\""),
      LIST("3", "\"foo\"") },
    { "{\"anyOf\": [true, true]}", LIST("\"foo\""), LIST() },
    { "{\"anyOf\": [true, false]}", LIST("\"foo\""), LIST() },
    { "{\"anyOf\": [false, false]}", LIST(), LIST("\"foo\"") },
    { "{\"anyOf\": [{\"properties\": {\"bar\": {\"type\": \"integer\"}}, \"required\": [\"bar\"]},"
      "             {\"properties\": {\"foo\": {\"type\": \"string\"}}, \"required\": [\"foo\"]}]}",
      LIST("{\"bar\": 2}", "{\"foo\": \"baz\"}", "{\"foo\": \"baz\", \"bar\": 2}"),
      LIST("{\"foo\": 2, \"bar\": \"quux\"}", "{}") },
    { "{\"anyOf\": [{\"type\": \"number\"}, {}]}", LIST("\"foo\"", "123"), LIST() },
    { "{\"anyOf\": [{\"anyOf\": [{\"type\": \"null\"}]}]}", LIST("null"), LIST("123") },
    { "{\"properties\": {\"a\": {\"anyOf\": [{\"type\": \"null\"}, {\"items\": {\"const\": \"\\u00e9\"}, \"type\": \"array\"}]},"
      "                  \"b\": {\"const\": 1}}, \"required\": [\"b\"]}", /* what comes after it is read on */
      LIST("{\"a\": [\"é\", \"\\u00e9\"], \"b\": 1}", "{\"a\": null, \"b\": 1}"),
      LIST("{\"a\": [\"e\"], \"b\": 1}", "{\"a\": null, \"b\": 2}", "{\"a\": null}") },
    /* boolean_schema.json */
    { "true", LIST("1", "\"foo\"", "true", "null", "{\"foo\": \"bar\"}", "{}", "[\"foo\"]", "[]"), LIST() },
    { "false", LIST(), LIST("1", "\"foo\"", "true", "false", "null", "{\"foo\": \"bar\"}", "{}", "[\"foo\"]", "[]") },
    { "{}", LIST("1", "{}", "[[]]"), LIST() },
    { "{\"$comment\": \"x\", \"title\": \"x\", \"description\": \"x\", \"examples\": [1]}", LIST("\"any\""), LIST() },
    /* ours: a name twice is somebody's mistake, whichever of the two is meant */
    { "{\"properties\": {\"a\": {}}}", LIST("{\"a\": 1, \"b\": 1, \"b\": 1}"), LIST("{\"a\": 1, \"a\": 1}") },
};

static void the_keywords_are_what_the_specification_says(void **state)
{
    char why[JSONSCHEMA_WHY_BYTES];

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct jsonschema *schema = compiled(*state, rows[i].schema, false);

        for (const char *const *json = rows[i].fits; *json; json++)
            if (verdict(schema, *json, why) != JSONSCHEMA_FITS)
                fail_msg("%s should take %s: %s", rows[i].schema, *json, why);
        for (const char *const *json = rows[i].misfits; *json; json++)
            if (verdict(schema, *json, why) != JSONSCHEMA_MISFIT || !*why)
                fail_msg("%s should refuse %s", rows[i].schema, *json);
    }
}

static void what_is_no_json_is_told_as_that(void **state)
{
    static const char *const texts[] = {
        "",          " ",       "{",          "{\"a\"",       "{\"a\":}",  "{\"a\":1,}", "[1,]",    "[1 2]",  "nul",
        "tru",       "01",      "1.",         "+1",           ".5",        "1e",         "NaN",     "-",      "\"a",
        "'a'",       "\"\n\"",  "\"\\x\"",    "\"\\u12\"",    "{} {}",     "{a:1}",      "[",       "]",      "1e999",
        "\"\\u0000\"", "\"\\ud800\"", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xc0\x80\"", "/**/1", "Infinity", "{\"a\":1 \"b\":2}",
    };
    const struct jsonschema *schema = compiled(*state, "{\"type\": \"object\", \"required\": [\"x\"]}", false);
    char why[JSONSCHEMA_WHY_BYTES];

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (verdict(schema, texts[i], why) != JSONSCHEMA_NO_JSON || verdict(NULL, texts[i], why) != JSONSCHEMA_NO_JSON)
            fail_msg("%s is taken for JSON", texts[i]);
    assert_int_equal(verdict(NULL, " [1, {\"a\": null}] ", why), JSONSCHEMA_FITS);
    assert_int_equal(jsonschema_check(NULL, "1\0002", 3, NULL, why), JSONSCHEMA_NO_JSON);
}

static void depth_is_bounded(void **state)
{
    const struct jsonschema *schema = compiled(*state, "{\"type\": \"array\"}", false);
    char text[2 * 33 + 1] = "", why[JSONSCHEMA_WHY_BYTES];

    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    assert_int_equal(verdict(schema, text, why), JSONSCHEMA_FITS);
    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    assert_int_equal(verdict(schema, text, why), JSONSCHEMA_NO_JSON);
    assert_string_equal(why, "is too deep at byte 33");
}

static void why_names_the_place_and_no_value(void **state)
{
    static const char schema_text[] =
        "{\"type\": \"object\", \"properties\": {\"id\": {\"type\": \"string\", \"maxLength\": 3}, \"list\": {\"items\":"
        " {\"properties\": {\"kind\": {\"enum\": [\"a\"]}}, \"required\": [\"kind\"], \"additionalProperties\": false}}},"
        " \"required\": [\"id\"]}";
    static const struct {
        const char *json, *why;
    } told[] = {
        { "7", "data is not of its type" },
        { "{}", "id is missing" },
        { "{\"id\": 7}", "id is not of its type" },
        { "{\"id\": \"secret\"}", "id is too long" },
        { "{\"id\": \"a\", \"id\": \"b\"}", "id is there twice" },
        { "{\"id\": \"a\", \"list\": [{\"kind\": \"a\"}, {\"kind\": \"secret\"}]}", "list/1/kind is none of its words" },
        { "{\"id\": \"a\", \"list\": [{}]}", "list/0/kind is missing" },
        { "{\"id\": \"a\", \"list\": [{\"kind\": \"a\", \"secret\": 1}]}", "list/0/* is not known" },
        { "{\"id\": \"secret\", \"list\": [{}]}", "id is too long" }, /* the first */
    };
    const struct jsonschema *schema = compiled(*state, schema_text, false);
    char why[JSONSCHEMA_WHY_BYTES];

    for (size_t i = 0; i < COUNT_OF(told); i++) {
        assert_int_equal(verdict(schema, told[i].json, why), JSONSCHEMA_MISFIT);
        assert_string_equal(why, told[i].why);
    }
}

static void an_open_schema_lets_members_pass_that_it_does_not_name(void **state)
{
    static const char text[] = "{\"properties\": {\"a\": {\"additionalProperties\": false, \"properties\": {\"b\": {\"const\": 1}}}},"
                               " \"required\": [\"a\"], \"additionalProperties\": false}";
    const struct jsonschema *exact = compiled(*state, text, false), *open = compiled(*state, text, true);
    static const char more[] = "{\"a\": {\"b\": 1, \"c\": [null]}, \"d\": 2}";
    char why[JSONSCHEMA_WHY_BYTES];

    assert_int_equal(verdict(exact, more, why), JSONSCHEMA_MISFIT);
    assert_int_equal(verdict(open, more, why), JSONSCHEMA_FITS);
    assert_int_equal(verdict(open, "{\"a\": {\"b\": 2}, \"d\": 2}", why), JSONSCHEMA_MISFIT);
    assert_int_equal(verdict(open, "{\"d\": 2}", why), JSONSCHEMA_MISFIT);
    assert_int_equal(verdict(open, "{\"a\": {}, \"d\": 2,}", why), JSONSCHEMA_NO_JSON);
}

static void members_are_found_as_they_stand_there(void **state)
{
    const struct jsonschema *schema =
        compiled(*state, "{\"properties\": {\"id\": {\"type\": \"string\"}, \"more\": {\"anyOf\": [{\"type\": \"array\"},"
                         " {\"properties\": {\"id\": {}}}]}, \"none\": {}}}", true);
    struct jsonschema_member members[] = { { "id" }, { "more" }, { "none" }, { NULL } };
    static const char json[] = "{\"more\" : {\"id\": \"inner\"} , \"id\": \"a\\\"b\", \"x\": {\"id\": 1}}";
    char why[JSONSCHEMA_WHY_BYTES];

    assert_int_equal(jsonschema_check(schema, json, strlen(json), members, why), JSONSCHEMA_FITS);
    assert_memory_equal(members[0].text, "\"a\\\"b\"", members[0].length);
    assert_memory_equal(members[1].text, "{\"id\": \"inner\"} ", members[1].length);
    assert_null(members[2].text);
}

static void a_schema_that_asks_for_more_than_is_known_is_refused(void **state)
{
    static const char *const schemas[] = {
        "{\"oneOf\": []}",          "{\"$ref\": \"#\"}",           "{\"type\": \"text\"}",         "{\"type\": [7]}",
        "{\"format\": \"email\"}",  "{\"pattern\": \"a|b\"}",      "{\"pattern\": 7}",            "{\"enum\": [[1]]}",
        "{\"const\": {}}",          "{\"minLength\": -1}",         "{\"maxLength\": \"1\"}",      "{\"minimum\": \"1\"}",
        "{\"items\": []}",          "{\"properties\": []}",        "{\"required\": \"a\"}",       "{\"anyOf\": {}}",
        "{\"dependentRequired\": []}", "{\"properties\": {\"a\": {\"uniqueItems\": true}}}", "{\"contains\": {}}",
        "{\"items\": {\"type\": \"number\"}, \"uniqueItems\": true}", "{\"uniqueItems\": 1}", "[]", "7", "{", "{\"enum\": 1}",
        "{\"anyOf\": [{\"not\": {}}]}", "{\"additionalProperties\": {\"if\": true}}", "{\"dependentRequired\": {\"a\": 1}}",
    };
    struct test *test = *state;
    const struct jsonschema *schema;

    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        if (jsonschema_compile(schemas[i], false, test->arena, &schema, &test->err) != -ERR_BAD_REQUEST)
            fail_msg("%s is taken", schemas[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_keywords_are_what_the_specification_says),
        TEST(what_is_no_json_is_told_as_that),
        TEST(depth_is_bounded),
        TEST(why_names_the_place_and_no_value),
        TEST(an_open_schema_lets_members_pass_that_it_does_not_name),
        TEST(members_are_found_as_they_stand_there),
        TEST(a_schema_that_asks_for_more_than_is_known_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
