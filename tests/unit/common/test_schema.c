#include "common/schema.h"

#include "tests/unit/test.h"

static const struct schema_loc body = { .name = "body" };

/* The errors as they cross the wire, "" for none; frees them. */
static const char *shown(struct test *test, struct schema_errors *errors)
{
    const int form = JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = errors->list ? json_object_to_json_string_ext(errors->list, form) : "";
    char *copy = arena_strdup(test->arena, text);

    schema_errors_free(errors);
    return copy;
}

/* What is said of `json`, "" when it fits. */
static const char *said(struct test *test, const struct schema *schema, const char *json)
{
    struct schema_errors errors = { 0 };
    _cleanup_(json_object_putp) json_object *value = NULL;
    bool fits;

    assert_int_equal(schema_parse(json, strlen(json), &value, &errors), 0);
    fits = schema_check(schema, value, &body, &errors);
    assert_int_equal(fits, errors.list == NULL);
    return shown(test, &errors);
}

#define ERROR(type, loc, msg) \
    "[ { \"type\": \"" type "\", \"loc\": [ " loc " ], \"msg\": \"" msg "\" } ]"

/* --- parsing */

static void a_body_of_plain_json_is_parsed(void **state)
{
    static const char *const rows[] = {
        "{}",
        "[]",
        "null",
        " [ 1 , -0 , 1.5e+3 , 2E-2 , true , false , null , \"\" ] \r\n\t",
        "7",
        "\"x\"",
        "{\"a\":{\"b\":[{}]},\"\":\"\\u00e9 \\ud83d\\ude00 \\\" \\\\ \\/ \\b\\f\\n\\r\\t\"}",
        "\"\xf0\x9f\x98\x80\"",
        "\"\x7f\"",
        "[9223372036854775807]",
    };
    struct schema_errors errors = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        _cleanup_(json_object_putp) json_object *value = NULL;

        assert_int_equal(schema_parse(rows[i], strlen(rows[i]), &value, &errors), 0);
        assert_null(errors.list);
    }
}

static void what_json_does_not_allow_is_refused_with_its_position(void **state)
{
    static const struct {
        const char *text;
        int position;
    } rows[] = {
        { "", 0 },
        { " ", 1 },
        { "{", 1 },
        { "[1,]", 3 },
        { "{\"a\":1,}", 7 },
        { "{\"a\" 1}", 5 },
        { "{a:1}", 1 },
        { "{'a':1}", 1 },
        { "[1 2]", 3 },
        { "[1] x", 4 },
        { "{}{}", 2 },
        { "nul", 0 },
        { "NULL", 0 },
        { "True", 0 },
        { "NaN", 0 },
        { "[Infinity]", 1 },
        { "[-Infinity]", 2 },
        { "[1e999]", 1 },
        { "[01]", 2 },
        { "[+1]", 1 },
        { "[.5]", 1 },
        { "[1.]", 3 },
        { "[1e]", 3 },
        { "[-]", 2 },
        { "[0x10]", 2 },
        { "/* x */ {}", 0 },
        { "\"open", 5 },
        { "\"a\nb\"", 2 },
        { "\"\\x\"", 2 },
        { "\"\\u12g4\"", 1 },
        { "\"\\u0000\"", 1 }, /* no text of PostgreSQL holds it */
        { "{\"a\\u0000b\":1}", 3 },
        { "\"\\ud800\"", 1 }, /* a surrogate alone */
        { "\"\\udc00\\ud800\"", 1 },
        { "\"\\ud800\\u0041\"", 1 },
        { "\"\xff\"", 1 },
        { "\"\xc0\x80\"", 1 },     /* NUL in too many bytes */
        { "\"\xed\xa0\x80\"", 1 }, /* a surrogate in UTF-8 */
        { "\"\xf4\x90\x80\x80\"", 1 },
        { "\"\xe2\x82\"", 1 },
        { "\xef\xbb\xbf{}", 0 },    /* a byte order mark */
        { "{\"\xc3\xa9\": x}", 6 }, /* counted in characters */
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct schema_errors errors = { 0 };
        json_object *value = NULL;
        const char *expected =
            arena_printf(test->arena, ERROR("json_invalid", "\"body\", %d", "JSON decode error"),
                         rows[i].position);

        assert_int_equal(schema_parse(rows[i].text, strlen(rows[i].text), &value, &errors),
                         -ERR_INVALID);
        assert_null(value);
        assert_string_equal(shown(test, &errors), expected);
    }
}

static void a_nul_among_the_bytes_is_refused(void **state)
{
    struct schema_errors errors = { 0 };
    json_object *value = NULL;

    (void)state;
    assert_int_equal(schema_parse("{}\0", 3, &value, &errors), -ERR_INVALID);
    assert_int_equal(schema_parse("\"\0\"", 3, &value, &errors), -ERR_INVALID);
    schema_errors_free(&errors);
}

static void depth_has_an_end(void **state)
{
    char text[2 * (SCHEMA_DEPTH_MAX + 1)];

    (void)state;
    for (int depth = SCHEMA_DEPTH_MAX; depth <= SCHEMA_DEPTH_MAX + 1; depth++) {
        struct schema_errors errors = { 0 };
        _cleanup_(json_object_putp) json_object *value = NULL;

        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(schema_parse(text, 2 * (size_t)depth, &value, &errors),
                         depth > SCHEMA_DEPTH_MAX ? -ERR_INVALID : 0);
        schema_errors_free(&errors);
    }
}

/* --- types */

static void each_type_takes_its_values_and_says_what_is_wrong(void **state)
{
#define AT "\"body\""
    static const char *const two[] = { "read", "write", NULL }, *const three[] = { "a", "b", "c",
                                                                                   NULL };
    static const struct schema string = { .type = SCHEMA_STRING },
                               short_string = { SCHEMA_STRING, .min = 1, .max = 3 },
                               access = { SCHEMA_STRING, .words = two },
                               word = { SCHEMA_STRING, .words = three },
                               integer = { .type = SCHEMA_INT },
                               page = { SCHEMA_INT, .min = 1, .max = 100 },
                               flag = { .type = SCHEMA_BOOL }, time = { .type = SCHEMA_DATETIME },
                               key = { .type = SCHEMA_KEY }, email = { .type = SCHEMA_EMAIL },
                               phone = { .type = SCHEMA_PHONE }, uuid = { .type = SCHEMA_UUID },
                               object = { .type = SCHEMA_OBJECT },
                               strings = { .type = SCHEMA_STRINGS },
                               list = { SCHEMA_LIST, .min = 1, .max = 2, .item = &integer },
                               any = { .type = SCHEMA_ANY };
    static const struct {
        const struct schema *schema;
        const char *json, *errors;
    } rows[] = {
        { &string, "\"\"", "" },
        { &string, "1", ERROR("string_type", AT, "Input should be a valid string") },
        { &string, "null", ERROR("string_type", AT, "Input should be a valid string") },
        { &short_string, "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", "" }, /* characters, not bytes */
        { &short_string, "\"\"",
          ERROR("string_too_short", AT, "String should have at least 1 character") },
        { &short_string, "\"abcd\"",
          ERROR("string_too_long", AT, "String should have at most 3 characters") },
        { &access, "\"write\"", "" },
        { &access, "\"Write\"", ERROR("enum", AT, "Input should be 'read' or 'write'") },
        { &access, "1", ERROR("enum", AT, "Input should be 'read' or 'write'") },
        { &word, "\"d\"", ERROR("enum", AT, "Input should be 'a', 'b' or 'c'") },
        { &integer, "-7", "" },
        { &integer, "7.0", "" },
        { &integer, "\" 7 \"", "" },
        { &integer, "\"7.0\"", "" },
        { &integer, "true", "" },
        { &integer, "7.5",
          ERROR("int_from_float", AT,
                "Input should be a valid integer, got a number with a fractional part") },
        { &integer, "1e30",
          ERROR("int_from_float", AT,
                "Input should be a valid integer, got a number with a fractional part") },
        { &integer, "\"x\"",
          ERROR("int_parsing", AT,
                "Input should be a valid integer, unable to parse string as an integer") },
        { &integer, "\"\"",
          ERROR("int_parsing", AT,
                "Input should be a valid integer, unable to parse string as an integer") },
        { &integer, "[]", ERROR("int_type", AT, "Input should be a valid integer") },
        { &integer, "18446744073709551615",
          ERROR("int_parsing_size", AT,
                "Unable to parse input string as an integer, exceeded maximum size") },
        { &page, "0",
          ERROR("greater_than_equal", AT, "Input should be greater than or equal to 1") },
        { &page, "101", ERROR("less_than_equal", AT, "Input should be less than or equal to 100") },
        { &flag, "true", "" },
        { &flag, "0", "" },
        { &flag, "1.0", "" },
        { &flag, "\"oFF\"", "" },
        { &flag, "\"maybe\"",
          ERROR("bool_parsing", AT, "Input should be a valid boolean, unable to interpret input") },
        { &flag, "2",
          ERROR("bool_parsing", AT, "Input should be a valid boolean, unable to interpret input") },
        { &flag, "0.5", ERROR("bool_type", AT, "Input should be a valid boolean") },
        { &flag, "null", ERROR("bool_type", AT, "Input should be a valid boolean") },
        { &time, "\"2024-08-01T14:38:32.499588Z\"", "" },
        { &time, "\"2024-08-01\"", "" },
        { &time, "1722523112", ERROR("datetime_type", AT, "Input should be a valid datetime") },
        { &time, "\"soon\"",
          ERROR("datetime_from_date_parsing", AT,
                "Input should be a valid datetime or date, input is too short") },
        { &time, "\"not a date\"",
          ERROR("datetime_from_date_parsing", AT,
                "Input should be a valid datetime or date, invalid character in year") },
        { &time, "\"2024/08/01\"",
          ERROR("datetime_from_date_parsing", AT,
                "Input should be a valid datetime or date, invalid date separator, expected `-`") },
        { &time, "\"2024-13-01\"",
          ERROR(
              "datetime_from_date_parsing", AT,
              "Input should be a valid datetime or date, month value is outside expected range of 1-12") },
        { &time, "\"2024-02-30\"",
          ERROR("datetime_from_date_parsing", AT,
                "Input should be a valid datetime or date, day value is outside expected range") },
        { &time, "\"2024-08-01T25:00:00\"",
          ERROR(
              "datetime_from_date_parsing", AT,
              "Input should be a valid datetime or date, unexpected extra characters at the end of the input") },
        { &key, "\"a.Key_1-2\"", "" },
        { &key, "\"<key>\"",
          ERROR(
              "value_error", AT,
              "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: <key>") },
        { &key, "\"a b\"",
          ERROR(
              "value_error", AT,
              "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. Value provided: a b") },
        { &key, "7", ERROR("string_type", AT, "Input should be a valid string") },
        { &email, "\"Ada.L+x@mail.Example.co\"", "" },
        { &email,
          "\"j\xc3\xb6rg@b\xc3\xbc"
          "cher.de\"",
          "" },
        { &email, "\"ada\"",
          ERROR("value_error", AT,
                "value is not a valid email address: An email address must have an @-sign.") },
        { &email, "\"@example.com\"",
          ERROR("value_error", AT,
                "value is not a valid email address: There must be something before the @-sign.") },
        { &email, "\"ada@localhost\"",
          ERROR(
              "value_error", AT,
              "value is not a valid email address: The part after the @-sign is not valid. It should have a period.") },
        { &phone, "\"\"", "" },
        { &phone, "\"+15558675309\"", "" },
        { &phone, "\"5558675309\"",
          ERROR(
              "value_error", AT,
              "Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'.") },
        { &uuid, "\"0b1a0b1a-0000-4000-8000-00000000000F\"", "" },
        { &uuid, "\"0b1a\"",
          ERROR(
              "uuid_parsing", AT,
              "Input should be a valid UUID, expected 32 hexadecimal digits in groups of 8-4-4-4-12") },
        { &uuid, "7",
          ERROR("uuid_type", AT, "UUID input should be a string, bytes or UUID object") },
        { &object, "{\"x\":1}", "" },
        { &object, "[]", ERROR("dict_type", AT, "Input should be a valid dictionary") },
        { &strings, "{\"x\":\"y\"}", "" },
        { &strings, "{\"x\":1}",
          ERROR("string_type", AT ", \"x\"", "Input should be a valid string") },
        { &strings, "\"x\"", ERROR("dict_type", AT, "Input should be a valid dictionary") },
        { &list, "[1]", "" },
        { &list, "[]",
          ERROR("too_short", AT, "List should have at least 1 item after validation, not 0") },
        { &list, "[1,2,3]",
          ERROR("too_long", AT, "List should have at most 2 items after validation, not 3") },
        { &list, "{}", ERROR("list_type", AT, "Input should be a valid list") },
        { &list, "[1,\"x\"]",
          ERROR("int_parsing", AT ", 1",
                "Input should be a valid integer, unable to parse string as an integer") },
        { &any, "null", "" },
        { &any, "{\"x\":[1]}", "" },
    };
#undef AT
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(said(test, rows[i].schema, rows[i].json), rows[i].errors);
}

static void a_text_without_a_bound_of_its_own_ends_at_100000_characters(void **state)
{
    static const struct schema string = { .type = SCHEMA_STRING }, key = { .type = SCHEMA_KEY };
    struct test *test = *state;
    char *json = arena_alloc(test->arena, 100000 + 4);

    memset(json, 'x', 100003);
    json[0] = json[100002] = '"';
    json[100003] = '\0';
    assert_string_equal(
        said(test, &string, json),
        ERROR("string_too_long", "\"body\"", "String should have at most 100000 characters"));
    assert_string_equal(said(test, &key, json), ERROR("string_too_long", "\"body\"",
                                                      "String should have at most 512 characters"));
}

static void never_both(json_object *value, const struct schema_loc *loc,
                       struct schema_errors *errors)
{
    if (schema_get(value, "rules") && schema_get(value, "action_type"))
        schema_error(errors, loc, "value_error",
                     "Value error, Provide either 'action_type' or 'rules', not both.");
}

static const struct schema policy = {
    SCHEMA_OBJECT,
    .fields =
        (const struct schema_field[]){
            { "name", .required = true, .schema = { .type = SCHEMA_STRING } },
            { "key", .nullable = true, .schema = { .type = SCHEMA_KEY } },
            { "execution_timeframe", .nullable = true, .schema = { .type = SCHEMA_INT } },
            { "client_secret", .required = false, .nullable = true,
              .schema = { .type = SCHEMA_STRING } },
            { "rules",
              .schema = { SCHEMA_LIST, .item = &(const struct schema){ .type = SCHEMA_ANY } } },
            { "action_type", .schema = { .type = SCHEMA_STRING } },
            { 0 },
        },
    .check = never_both,
};
static const struct schema policies = { SCHEMA_LIST, .max = 50, .item = &policy };

static void errors_say_where(void **state)
{
    struct test *test = *state;

    assert_string_equal(
        said(test, &policies, "[{\"name\":\"a\",\"more\":1},{\"name\":\"b\",\"key\":null}]"), "");
    assert_string_equal(said(test, &policies, "[{\"name\":\"a\"},{}]"),
                        ERROR("missing", "\"body\", 1, \"name\"", "Field required"));
    assert_string_equal(
        said(test, &policies, "[{\"name\":null}]"),
        ERROR("string_type", "\"body\", 0, \"name\"", "Input should be a valid string"));
    assert_string_equal(
        said(test, &policies, "[7]"),
        ERROR("model_attributes_type", "\"body\", 0",
              "Input should be a valid dictionary or object to extract fields from"));
}

static void every_error_is_told_at_once(void **state)
{
    struct test *test = *state;

    assert_string_equal(
        said(test, &policies, "[{\"key\":1},{}]"),
        "[ { \"type\": \"missing\", \"loc\": [ \"body\", 0, \"name\" ], \"msg\": \"Field required\" }, "
        "{ \"type\": \"string_type\", \"loc\": [ \"body\", 0, \"key\" ], "
        "\"msg\": \"Input should be a valid string\" }, "
        "{ \"type\": \"missing\", \"loc\": [ \"body\", 1, \"name\" ], \"msg\": \"Field required\" } ]");
}

static void a_check_of_the_whole_runs_when_the_parts_are_right(void **state)
{
    struct test *test = *state;

    assert_string_equal(
        said(test, &policies, "[{\"name\":\"a\",\"rules\":[],\"action_type\":\"access\"}]"),
        ERROR("value_error", "\"body\", 0",
              "Value error, Provide either 'action_type' or 'rules', not both."));
    assert_string_equal(said(test, &policies, "[{\"rules\":[],\"action_type\":\"access\"}]"),
                        ERROR("missing", "\"body\", 0, \"name\"", "Field required"));
}

static const struct schema strict = {
    SCHEMA_OBJECT,
    .forbid_extra = true,
    .fields =
        (const struct schema_field[]){
            { "client_secret", .required = true, .nullable = true,
              .schema = { .type = SCHEMA_STRING } },
            { 0 },
        },
};

static void what_must_be_there_may_be_null_where_that_is_allowed(void **state)
{
    struct test *test = *state;

    assert_string_equal(said(test, &strict, "{\"client_secret\":null}"), "");
    assert_string_equal(said(test, &strict, "{}"),
                        ERROR("missing", "\"body\", \"client_secret\"", "Field required"));
    assert_string_equal(
        said(test, &strict, "{\"client_secret\":\"x\",\"other\":1}"),
        ERROR("extra_forbidden", "\"body\", \"other\"", "Extra inputs are not permitted"));
}

static void the_list_of_errors_has_an_end(void **state)
{
    static const struct schema number = { .type = SCHEMA_INT },
                               numbers = { SCHEMA_LIST, .item = &number };
    _cleanup_(json_object_putp) json_object *list = json_object_new_array();
    struct schema_errors errors = { 0 };

    (void)state;
    for (int i = 0; i < 3 * SCHEMA_ERRORS_MAX; i++)
        json_object_array_add(list, json_object_new_string("x"));
    assert_false(schema_check(&numbers, list, &body, &errors));
    assert_int_equal(json_object_array_length(errors.list), SCHEMA_ERRORS_MAX);
    schema_errors_free(&errors);
    assert_null(errors.list);
}

static void members_are_read_as_leniently_as_they_are_checked(void **state)
{
    static const char json[] =
        "{\"text\":\"x\",\"null\":null,\"yes\":\"On\",\"no\":0,\"seven\":\"7\",\"eight\":8.0,"
        "\"wrong\":[]}";
    struct schema_errors errors = { 0 };
    _cleanup_(json_object_putp) json_object *object = NULL;

    (void)state;
    assert_int_equal(schema_parse(json, strlen(json), &object, &errors), 0);
    assert_string_equal(schema_text(object, "text"), "x");
    assert_null(schema_text(object, "null"));
    assert_null(schema_text(object, "absent"));
    assert_true(schema_has(object, "null"));
    assert_false(schema_has(object, "absent"));
    assert_true(schema_bool(object, "yes", false));
    assert_false(schema_bool(object, "no", true));
    assert_true(schema_bool(object, "null", true));
    assert_true(schema_bool(object, "wrong", true));
    assert_int_equal(schema_int(object, "seven", 1), 7);
    assert_int_equal(schema_int(object, "eight", 1), 8);
    assert_int_equal(schema_int(object, "absent", 1), 1);
    assert_int_equal(schema_int(object, "wrong", 1), 1);
}

/* --- texts */

static void booleans_and_numbers_of_a_query_are_read(void **state)
{
    bool flag = false;
    long long number = 0;

    (void)state;
    assert_true(schema_parse_bool("T", &flag) && flag);
    assert_true(schema_parse_bool("no", &flag) && !flag);
    assert_false(schema_parse_bool("", &flag));
    assert_false(schema_parse_bool("2", &flag));
    assert_true(schema_parse_int("-12", &number) && number == -12);
    assert_true(schema_parse_int("12.00", &number) && number == 12);
    assert_false(schema_parse_int("12.5", &number));
    assert_false(schema_parse_int("12.", &number));
    assert_false(schema_parse_int("0x12", &number));
    assert_false(schema_parse_int("1 2", &number));
    assert_false(schema_parse_int("99999999999999999999", &number));
    assert_int_equal(number, 12); /* untouched on failure */
}

static void addresses_that_cannot_be_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "@",
        "a@",
        "@b.co",
        "a",
        "a@b",
        "a@b.",
        "a@.b",
        "a@b..co",
        "a@-b.co",
        "a@b-.co",
        "a@b_c.co",
        ".a@b.co",
        "a.@b.co",
        "a..a@b.co",
        "a b@c.co",
        "a@b c.co",
        "<a@b.co>",
        "a@b.co,c@d.co",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        "\"a b\"@c.co",
        "a\n@b.co",
        "a@b.co\n",
        "a123456789a123456789a123456789a123456789a123456789a123456789a1234@b.co",
        "a@b123456789b123456789b123456789b123456789b123456789b123456789b123.co",
    };
    static const char *const right[] = { "a@b.co", "a@b@b.co", "a.b-c_d+e@1-2.b3.co",
                                         "!#$%&'*+-/=?^_`{|}~@b.co" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        if (schema_is_email(wrong[i]))
            fail_msg("'%s' is no address", wrong[i]);
    assert_false(schema_is_email(right[1])); /* two @-signs: the first is no part of a name */
    assert_true(schema_is_email(right[0]));
    assert_true(schema_is_email(right[2]));
    assert_true(schema_is_email(right[3]));
}

static void a_phone_number_has_8_to_15_digits(void **state)
{
    (void)state;
    assert_true(schema_is_phone(""));
    assert_true(schema_is_phone("+12345678"));
    assert_true(schema_is_phone("+123456789012345"));
    assert_false(schema_is_phone("+1234567"));
    assert_false(schema_is_phone("+1234567890123456"));
    assert_false(schema_is_phone("+02345678"));
    assert_false(schema_is_phone("12345678"));
    assert_false(schema_is_phone("+1 2345678"));
    assert_false(schema_is_phone("+"));
}

static void a_key_is_made_from_a_name(void **state)
{
    static const struct {
        const char *name, *key;
    } rows[] = {
        { "My Policy", "my_policy" },
        { "  My   Policy -- Two  ", "my_policy_two" },
        { "Caf\xc3\xa9 \xc3\x9c"
          "ber Stra\xc3\x9f"
          "e",
          "cafe_uber_strasse" },
        { "\xc3\x86on \xc5\x81\xc3\xb3"
          "d\xc5\xba \xc4\xb0zmir",
          "aeon_lodz_izmir" },
        { "e\xcc\x81t\xc3\xa9", "ete" }, /* a combining accent */
        { "a!b(c)d.e", "abcde" },
        { "snake_case", "snake_case" },
        { "a _ b", "a___b" },
        { "\xe6\x97\xa5\xe6\x9c\xac a", "a" },
        { "-a-", "_a_" },
        { "\xff"
          "a",
          "a" },
        { "", "" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(schema_derive_key(test->arena, rows[i].name), rows[i].key);
}

static void every_letter_of_the_transliteration_is_itself_or_its_own_case(void **state)
{
    struct test *test = *state;

    for (unsigned code = 0xc0; code < 0x180; code++) {
        char utf8[] = { (char)(0xc0 | code >> 6), (char)(0x80 | (code & 0x3f)), '\0' };
        const char *key = schema_derive_key(test->arena, utf8);

        if (code == 0xd7 || code == 0xf7) /* the signs of multiplication and division */
            assert_string_equal(key, "");
        else
            assert_in_range(strlen(key), 1, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_of_plain_json_is_parsed),
        TEST(what_json_does_not_allow_is_refused_with_its_position),
        TEST(a_nul_among_the_bytes_is_refused),
        TEST(depth_has_an_end),
        TEST(each_type_takes_its_values_and_says_what_is_wrong),
        TEST(a_text_without_a_bound_of_its_own_ends_at_100000_characters),
        TEST(errors_say_where),
        TEST(every_error_is_told_at_once),
        TEST(a_check_of_the_whole_runs_when_the_parts_are_right),
        TEST(what_must_be_there_may_be_null_where_that_is_allowed),
        TEST(the_list_of_errors_has_an_end),
        TEST(members_are_read_as_leniently_as_they_are_checked),
        TEST(booleans_and_numbers_of_a_query_are_read),
        TEST(addresses_that_cannot_be_are_refused),
        TEST(a_phone_number_has_8_to_15_digits),
        TEST(a_key_is_made_from_a_name),
        TEST(every_letter_of_the_transliteration_is_itself_or_its_own_case),
    };

    return cmocka_run_group_tests_name("common/schema", tests, NULL, NULL);
}
