#include "common/disclosure.h"

#include "tests/unit/test.h"

#define DEFAULTS(email) \
    "\"phone_number\":null,\"email\":" email ",\"ga_client_id\":null,\"ljt_readerID\":null," \
    "\"fides_user_device_id\":null,\"external_id\":null"
#define LOYALTY "\"loyalty_id\":{\"label\":\"Loyalty \\\"id\\\"\",\"value\":[1,\"CH-1\"]}"
#define IDENTITY "{" DEFAULTS("\"a@example.com\"") "," LOYALTY "}"

static const struct disclosure_place place = { "crm", "crm.example.com", "delete_data" };

static void without_a_list_all_is_told(void **state)
{
    struct test *test = *state;

    assert_null(disclosure_read(NULL, test->arena));
    assert_true(disclosure_has_part(NULL, "custom_fields"));
    assert_string_equal(disclosure_identity(NULL, IDENTITY, test->arena), IDENTITY);
    assert_null(disclosure_identity(NULL, NULL, test->arena));
    assert_string_equal(disclosure_tell(NULL, &place, IDENTITY, test->arena),
                        "{\"connection_key\":\"crm\",\"host\":\"crm.example.com\",\"policy_key\":\"delete_data\","
                        "\"identity\":[\"email\",\"custom\"],\"parts\":[\"*\"]}");
}

static void keys_that_are_not_listed_are_absent_and_listed_ones_null_when_unknown(void **state)
{
    struct test *test = *state;
    const struct disclosure *disclosure =
        disclosure_read("{\"identity\":[\"loyalty_id\",\"phone_number\",\"never_seen\"]}", test->arena);

    assert_string_equal(disclosure_identity(disclosure, IDENTITY, test->arena), "{\"phone_number\":null," LOYALTY "}");
    assert_true(disclosure_has_part(disclosure, "policy")); /* of the request nothing was said */
    assert_null(disclosure_identity(disclosure, NULL, test->arena));
}

static void a_key_that_the_configuration_names_is_told_by_its_name(void **state)
{
    struct test *test = *state;
    const struct disclosure *disclosure =
        disclosure_read("{\"identity\":[\"loyalty_id\",\"phone_number\"]}", test->arena);
    const char *told = disclosure_identity(disclosure, IDENTITY, test->arena);

    assert_string_equal(disclosure_tell(disclosure, &(struct disclosure_place){ .connection_key = "crm" }, told,
                                        test->arena),
                        "{\"connection_key\":\"crm\",\"identity\":[\"loyalty_id\"],\"parts\":[\"*\"]}");
}

static void names_that_the_requester_chose_are_told_as_custom_once(void **state)
{
    struct test *test = *state;
    const char *told = disclosure_tell(NULL, &place,
                                       "{" DEFAULTS("null") ",\"jane.doe@example.com\":{\"label\":\"l\",\"value\":1},"
                                       LOYALTY "}", test->arena);

    assert_non_null(strstr(told, "\"identity\":[\"custom\"]"));
    assert_null(strstr(told, "jane"));
    assert_null(strstr(told, "loyalty"));
}

static void parts_are_told_in_the_body_s_order_with_what_always_goes(void **state)
{
    struct test *test = *state;
    const struct disclosure *disclosure =
        disclosure_read("{\"parts\":[\"due_date\",\"policy\"]}", test->arena);

    assert_true(disclosure_has_part(disclosure, "id"));
    assert_true(disclosure_has_part(disclosure, "status"));
    assert_true(disclosure_has_part(disclosure, "policy"));
    assert_false(disclosure_has_part(disclosure, "custom_fields"));
    assert_string_equal(disclosure_identity(disclosure, IDENTITY, test->arena), IDENTITY);
    assert_string_equal(disclosure_tell(disclosure, &(struct disclosure_place){ .connection_key = "crm" }, "{}",
                                        test->arena),
                        "{\"connection_key\":\"crm\",\"identity\":[],"
                        "\"parts\":[\"id\",\"status\",\"policy\",\"due_date\"]}");
}

/* Written by hand in the database: what can't be understood discloses nothing. */
static void a_list_that_is_none_is_an_empty_one(void **state)
{
    static const char *const cases[] = { "{\"identity\":\"email\",\"parts\":null}", "{\"identity\":[1],\"parts\":{}}", "[]",
                                         "true", "{\"identity\":null,\"parts\":[7,\"polic\"]}" };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct disclosure *disclosure = disclosure_read(cases[i], test->arena);

        assert_string_equal(disclosure_identity(disclosure, IDENTITY, test->arena), "{}");
        assert_false(disclosure_has_part(disclosure, "policy"));
        assert_true(disclosure_has_part(disclosure, "id"));
    }
}

static void a_key_is_known_whatever_its_escapes(void **state)
{
    struct test *test = *state;
    const struct disclosure *disclosure = disclosure_read("{\"identity\":[\"a \\\"b\\\"\"]}", test->arena);
    const char *identity = "{\"a \\u0022b\\\"\" : {\"label\":\"}\",\"value\":\"]\"}, \"c\":1}";
    const char *told = disclosure_identity(disclosure, identity, test->arena);

    assert_string_equal(told, "{\"a \\u0022b\\\"\":{\"label\":\"}\",\"value\":\"]\"}}");
    assert_non_null(strstr(disclosure_tell(disclosure, &place, told, test->arena), "[\"a \\\"b\\\"\"]"));
}

static void a_host_is_told_and_nothing_else_of_a_url(void **state)
{
    static const char *const cases[][2] = {
        { "https://crm.example.com/secret/path?token=1#x", "crm.example.com" },
        { "http://127.0.0.1:8080/a", "127.0.0.1" },
        { "https://[2001:db8::1]:8443/", "[2001:db8::1]" },
        { "https://user:password@example.com", "example.com" },
        { "no url", NULL },
        { "https://", NULL },
        { NULL, NULL },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *host = disclosure_host(cases[i][0], test->arena);

        assert_int_equal(!host, !cases[i][1]);
        if (host)
            assert_string_equal(host, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_list_all_is_told),
        TEST(keys_that_are_not_listed_are_absent_and_listed_ones_null_when_unknown),
        TEST(a_key_that_the_configuration_names_is_told_by_its_name),
        TEST(names_that_the_requester_chose_are_told_as_custom_once),
        TEST(parts_are_told_in_the_body_s_order_with_what_always_goes),
        TEST(a_list_that_is_none_is_an_empty_one),
        TEST(a_key_is_known_whatever_its_escapes),
        TEST(a_host_is_told_and_nothing_else_of_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
