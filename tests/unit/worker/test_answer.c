#include "worker/answer.h"

#include "common/identity.h"
#include "tests/unit/test.h"

#define BEGINNING "Webhook 'k' returned an invalid response format: "

static int read_text(struct test *test, const char *body, struct answer *ret)
{
    return answer_read(body, strlen(body), false, "k", test->arena, ret, &test->err);
}

static void halt_is_read_as_leniently_as_the_contract_says(void **state)
{
    static const struct {
        const char *value;
        int halt; /* -1: invalid */
    } cases[] = {
        { "true", 1 },         { "false", 0 },      { "1", 1 },            { "0", 0 },
        { "1.0", 1 },          { "0.0", 0 },        { "-0", 0 },           { "\"true\"", 1 },
        { "\"false\"", 0 },    { "\"1\"", 1 },      { "\"0\"", 0 },        { "\"yes\"", 1 },
        { "\"no\"", 0 },       { "\"on\"", 1 },     { "\"off\"", 0 },      { "\"t\"", 1 },
        { "\"f\"", 0 },        { "\"y\"", 1 },      { "\"n\"", 0 },        { "\"TRUE\"", 1 },
        { "\"False\"", 0 },    { "\"Yes\"", 1 },    { "\"oFF\"", 0 },      { "\"T\"", 1 },
        { "\"N\"", 0 },        { "null", -1 },      { "2", -1 },           { "-1", -1 },
        { "0.5", -1 },         { "1e300", -1 },     { "18446744073709551615", -1 },
        { "\"\"", -1 },        { "\" true\"", -1 }, { "\"true \"", -1 },   { "\"2\"", -1 },
        { "\"halt\"", -1 },    { "\"null\"", -1 },  { "\"1.0\"", -1 },     { "\"ja\"", -1 },
        { "\"\\u0131\"", -1 }, { "[]", -1 },        { "[true]", -1 },      { "{}", -1 },
        { "{\"halt\":true}", -1 },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *body = arena_printf(test->arena, "{\"halt\":%s}", cases[i].value);
        struct answer answer = { .halt = !cases[i].halt };
        int r = read_text(test, body, &answer);

        if (cases[i].halt < 0) {
            assert_int_equal(r, -ERR_BAD_REQUEST);
            assert_memory_equal(test->err.text, BEGINNING "halt: ", strlen(BEGINNING "halt: "));
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(answer.halt, cases[i].halt);
        assert_null(answer.derived);
        assert_null(answer.derived_names);
    }
}

static void what_is_no_answer_is_refused_with_its_place_and_rule(void **state)
{
    static const struct {
        const char *body, *details;
    } cases[] = {
        { "", "the body is empty" },
        { " ", "body.1: JSON decode error" },
        { "ok", "body.0: JSON decode error" },
        { "<html></html>", "body.0: JSON decode error" },
        { "{\"halt\":true", "body.12: JSON decode error" },
        { "{\"halt\":true}}", "body.13: JSON decode error" },
        { "{\"halt\":True}", "body.8: JSON decode error" },
        { "{'halt':true}", "body.1: JSON decode error" },
        { "{\"halt\":NaN}", "body.8: JSON decode error" },
        { "halt=true", "body.0: JSON decode error" },
        { "\xef\xbb\xbf{\"halt\":true}", "body.0: JSON decode error" },
        { "{\"halt\":true,\"x\":\"\xff\"}", "body.18: JSON decode error" },
        { "null", "the body is not a JSON object" },
        { "[]", "the body is not a JSON object" },
        { "0", "the body is not a JSON object" },
        { "\"\"", "the body is not a JSON object" },
        { "false", "the body is not a JSON object" },
        { "true", "the body is not a JSON object" },
        { "1", "the body is not a JSON object" },
        { "\"ok\"", "the body is not a JSON object" },
        { "[{\"halt\":true}]", "the body is not a JSON object" },
        { "{\"hold\":true}", "halt: Field required" },
        { "{\"Halt\":true}", "halt: Field required" },
        { "{\"derived_identity\":{\"email\":\"a@example.com\"}}", "halt: Field required" },
        { "{\"derived_identity\":null}", "halt: Field required" },
        { "{\"halt\":null}", "halt: Input should be a valid boolean" },
        { "{\"halt\":\"maybe\"}", "halt: Input should be a valid boolean, unable to interpret input" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct answer answer = { .halt = true };

        assert_int_equal(read_text(test, cases[i].body, &answer), -ERR_BAD_REQUEST);
        assert_string_equal(test->err.text, arena_printf(test->arena, BEGINNING "%s", cases[i].details));
        assert_true(answer.halt); /* untouched on failure */
    }
}

static void an_empty_object_lets_the_run_go_on(void **state)
{
    static const char *const bodies[] = { "{}", " { } ", "{\n}" };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct answer answer = { .halt = true };

        assert_int_equal(read_text(test, bodies[i], &answer), 0);
        assert_false(answer.halt);
        assert_null(answer.derived);
    }
}

static void a_body_that_was_cut_is_invalid_though_its_beginning_reads(void **state)
{
    struct test *test = *state;
    struct answer answer = { 0 };

    assert_int_equal(answer_read("{\"halt\":false}", 14, true, "k", test->arena, &answer, &test->err),
                     -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text, BEGINNING "the body is longer than what is read of an answer");
}

static void a_body_is_read_to_its_length_and_no_further(void **state)
{
    struct test *test = *state;
    struct answer answer = { 0 };

    assert_int_equal(answer_read("{\"halt\":true}garbage", 13, false, "k", test->arena, &answer, &test->err), 0);
    assert_true(answer.halt);
    assert_int_equal(answer_read("{\"halt\":true}\0", 14, false, "k", test->arena, &answer, &test->err),
                     -ERR_BAD_REQUEST);
}

static char *nested(struct test *test, int depth)
{
    char *body = arena_alloc(test->arena, 64 + 2 * (size_t)depth), *at = body;

    at = stpcpy(at, "{\"halt\":true,\"more\":");
    memset(at, '[', (size_t)depth);
    memset(at + depth, ']', (size_t)depth);
    at[2 * depth] = '}';
    return body;
}

static void an_answer_is_at_most_32_deep(void **state)
{
    struct test *test = *state;
    struct answer answer = { 0 };

    assert_int_equal(SCHEMA_DEPTH_MAX, 32);
    assert_int_equal(read_text(test, nested(test, SCHEMA_DEPTH_MAX - 1), &answer), 0);
    assert_int_equal(read_text(test, nested(test, SCHEMA_DEPTH_MAX), &answer), -ERR_BAD_REQUEST);
}

static void what_it_derives_is_kept_in_the_form_that_webhooks_are_sent(void **state)
{
    static const struct {
        const char *derived, *kept, *names;
    } cases[] = {
        { "null", NULL, NULL },
        { "{}", NULL, NULL },
        { "{\"email\":null,\"phone_number\":null,\"external_id\":null}", NULL, NULL },
        { "{\"email\":\"Ada.L@Example.COM\"}", "{\"email\":\"Ada.L@example.com\"}", "email" },
        { "{\"phone_number\":\"+15551234567\",\"email\":null}", "{\"phone_number\":\"+15551234567\"}", "phone_number" },
        { "{\"phone_number\":\"\"}", "{\"phone_number\":\"\"}", "phone_number" },
        { "{\"phone_number\":\"+12345678\"}", "{\"phone_number\":\"+12345678\"}", "phone_number" },
        { "{\"phone_number\":\"+123456789012345\"}", "{\"phone_number\":\"+123456789012345\"}", "phone_number" },
        { "{\"ljt_readerID\":\"r\",\"ga_client_id\":\"GA1.2\",\"external_id\":\"e/1\"}",
          "{\"ljt_readerID\":\"r\",\"ga_client_id\":\"GA1.2\",\"external_id\":\"e/1\"}",
          "ljt_readerID,ga_client_id,external_id" },
        { "{\"fides_user_device_id\":\"4ee1d2d5-1d6d-4d70-a48a-c07df6de7a09\"}",
          "{\"fides_user_device_id\":\"4ee1d2d5-1d6d-4d70-a48a-c07df6de7a09\"}", "fides_user_device_id" },
        { "{\"ada@example.com\":{\"label\":\"L\",\"value\":\"CH-1\",\"more\":2},\"email\":\"a@b.example\","
          "\"n\":{\"label\":\"\",\"value\":[1,\"x\"]}}",
          "{\"ada@example.com\":{\"label\":\"L\",\"value\":\"CH-1\"},\"email\":\"a@b.example\","
          "\"n\":{\"label\":\"\",\"value\":[1,\"x\"]}}",
          "custom,email,custom" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct answer answer = { 0 };
        const char *body =
            arena_printf(test->arena, "{\"halt\":true,\"derived_identity\":%s,\"more\":null}", cases[i].derived);

        assert_int_equal(read_text(test, body, &answer), 0);
        assert_true(answer.halt);
        if (!cases[i].kept) {
            assert_null(answer.derived);
            assert_null(answer.derived_names);
            continue;
        }
        assert_string_equal(answer.derived, cases[i].kept);
        assert_string_equal(answer.derived_names, cases[i].names);
    }
}

/* The names and values are such as could be somebody's: none of them is told. */
static void one_bad_value_makes_the_answer_invalid_and_is_not_told(void **state)
{
    static const struct {
        const char *derived, *place;
    } cases[] = {
        { "[]", "derived_identity: " },
        { "\"secret\"", "derived_identity: " },
        { "7", "derived_identity: " },
        { "false", "derived_identity: " },
        { "{\"email\":\"secret\"}", "derived_identity.email: " },
        { "{\"email\":\"\"}", "derived_identity.email: " },
        { "{\"email\":\"secret@\"}", "derived_identity.email: " },
        { "{\"email\":\"secret@secret\"}", "derived_identity.email: " },
        { "{\"email\":7}", "derived_identity.email: " },
        { "{\"email\":[\"secret@example.com\"]}", "derived_identity.email: " },
        { "{\"phone_number\":\"secret\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":\"5551234567\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":\"+05551234567\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":\"+1234567\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":\"+1234567890123456\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":\"+1555 1234567\"}", "derived_identity.phone_number: " },
        { "{\"phone_number\":15551234567}", "derived_identity.phone_number: " },
        { "{\"fides_user_device_id\":\"secret\"}", "derived_identity.fides_user_device_id: " },
        { "{\"fides_user_device_id\":\"\"}", "derived_identity.fides_user_device_id: " },
        { "{\"ga_client_id\":1}", "derived_identity.ga_client_id: " },
        { "{\"ljt_readerID\":true}", "derived_identity.ljt_readerID: " },
        { "{\"external_id\":{\"label\":\"L\",\"value\":\"secret\"}}", "derived_identity.external_id: " },
        { "{\"secret\":\"secret\"}", "derived_identity.custom: " },
        { "{\"secret\":null}", "derived_identity.custom: " },
        { "{\"secret\":{\"value\":\"secret\"}}", "derived_identity.custom: " },
        { "{\"secret\":{\"label\":\"secret\"}}", "derived_identity.custom: " },
        { "{\"secret\":{\"label\":7,\"value\":\"secret\"}}", "derived_identity.custom.label: " },
        { "{\"secret\":{\"label\":\"L\",\"value\":null}}", "derived_identity.custom.value: " },
        { "{\"secret\":{\"label\":\"L\",\"value\":1.5}}", "derived_identity.custom.value: " },
        { "{\"secret\":{\"label\":\"L\",\"value\":{\"secret\":1}}}", "derived_identity.custom.value: " },
        { "{\"secret\":{\"label\":\"L\",\"value\":[\"secret\",null]}}", "derived_identity.custom.value: " },
        { "{\"phone_number\":\"+15551234567\",\"email\":\"secret\"}", "derived_identity.email: " },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct answer answer = { 0 };
        const char *body =
            arena_printf(test->arena, "{\"halt\":false,\"derived_identity\":%s}", cases[i].derived);
        const char *start = arena_printf(test->arena, BEGINNING "%s", cases[i].place);

        assert_int_equal(read_text(test, body, &answer), -ERR_BAD_REQUEST);
        assert_memory_equal(test->err.text, start, strlen(start));
        assert_null(strstr(test->err.text, "secret"));
        assert_null(answer.derived);
    }
}

static void custom_values_are_as_many_as_an_identity_may_have(void **state)
{
    struct test *test = *state;
    const char *fields = "";
    struct answer answer = { 0 };

    for (int i = 0; i < IDENTITY_CUSTOM_MAX; i++)
        fields = arena_printf(test->arena, "%s%s\"f%d\":{\"label\":\"L\",\"value\":1}", fields, i ? "," : "", i);
    assert_int_equal(
        read_text(test, arena_printf(test->arena, "{\"halt\":0,\"derived_identity\":{%s}}", fields), &answer), 0);
    fields = arena_printf(test->arena, "%s,\"more\":{\"label\":\"L\",\"value\":1}", fields);
    assert_int_equal(
        read_text(test, arena_printf(test->arena, "{\"halt\":0,\"derived_identity\":{%s}}", fields), &answer),
        -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "At most 34 custom identities are allowed"));
}

static void more_than_one_fault_is_told_and_no_more_than_five(void **state)
{
    struct test *test = *state;
    struct answer answer = { 0 };

    assert_int_equal(read_text(test, "{\"halt\":7,\"derived_identity\":{\"email\":\"x\",\"ga_client_id\":1}}", &answer),
                     -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text,
                        BEGINNING "halt: Input should be a valid boolean, unable to interpret input; "
                                  "derived_identity.email: value is not a valid email address: An email address must "
                                  "have an @-sign.; derived_identity.ga_client_id: Input should be a valid string");
    assert_int_equal(read_text(test,
                               "{\"halt\":true,\"derived_identity\":{\"email\":1,\"ga_client_id\":1,\"ljt_readerID\":1,"
                               "\"external_id\":1,\"phone_number\":1,\"fides_user_device_id\":1}}",
                               &answer),
                     -ERR_BAD_REQUEST);
    assert_null(strstr(test->err.text, "external_id"));
    assert_non_null(strstr(test->err.text, "fides_user_device_id"));
}

static void the_longest_key_leaves_the_text_whole(void **state)
{
    struct test *test = *state;
    struct answer answer = { 0 };
    char key[513];

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    assert_int_equal(answer_read("7", 1, false, key, test->arena, &answer, &test->err), -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "the body is not a JSON object"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(halt_is_read_as_leniently_as_the_contract_says),
        TEST(what_is_no_answer_is_refused_with_its_place_and_rule),
        TEST(an_empty_object_lets_the_run_go_on),
        TEST(a_body_that_was_cut_is_invalid_though_its_beginning_reads),
        TEST(a_body_is_read_to_its_length_and_no_further),
        TEST(an_answer_is_at_most_32_deep),
        TEST(what_it_derives_is_kept_in_the_form_that_webhooks_are_sent),
        TEST(one_bad_value_makes_the_answer_invalid_and_is_not_told),
        TEST(custom_values_are_as_many_as_an_identity_may_have),
        TEST(more_than_one_fault_is_told_and_no_more_than_five),
        TEST(the_longest_key_leaves_the_text_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
