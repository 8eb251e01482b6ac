#include "api/source.c"

#include "tests/unit/test.h"

static json_object *object_of(const char *text)
{
    json_object *object = json_tokener_parse(text);

    assert_non_null(object);
    return object;
}

static const char *text_of(struct test *test, json_object *object)
{
    const char *text = arena_strdup(test->arena, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));

    json_object_put(object);
    return text;
}

/* The first error as "loc: msg"; "" when there is none. */
static const char *verdict(struct test *test, const char *secrets)
{
    _cleanup_(json_object_putp) json_object *object = object_of(secrets);
    struct schema_errors errors = { 0 };
    const char *text = "";
    bool fits = source_check(object, &errors);

    assert_int_equal(fits, !errors.list);
    if (errors.list) {
        json_object *first = json_object_array_get_idx(errors.list, 0);

        text = arena_printf(test->arena, "%s: %s",
                            json_object_to_json_string_ext(schema_get(first, "loc"), JSON_C_TO_STRING_PLAIN),
                            schema_text(first, "msg"));
    }
    schema_errors_free(&errors);
    return text;
}

static void places_of_databases_are_taken(void **state)
{
    static const char *const each[] = {
        "{\"host\": \"db.example\"}",
        "{\"host\": \"10.0.0.1\", \"port\": \"6432\"}",
        "{\"host\": \"2001:db8::1\", \"port\": 5432, \"dbname\": \"a shop\", \"username\": \"é\"}",
        "{\"host\": \"db_1.example-2\", \"password\": \"'; =\\\\ é\", \"ssl_mode\": \"verify-full\"}",
        "{\"host\": \"h\", \"ssl_mode\": \"require\", \"sslmode\": \"require\", \"ssh_required\": false}",
        "{\"host\": \"h\", \"port\": null, \"password\": null, \"db_schema\": \"\"}",
    };

    for (size_t i = 0; i < COUNT_OF(each); i++)
        assert_string_equal(verdict(*state, each[i]), "");
}

static void what_would_be_another_place_is_refused(void **state)
{
#define HOST "[\"host\"]: Value error, The host must be one name or address."
    static const char *const each[][2] = {
        { "{\"port\": 1}", "[]: Value error, PostgreSQLSchema must be supplied all of: ['host']." },
        { "{\"host\": \"/tmp\"}", HOST },
        { "{\"host\": \"a,b\"}", HOST },
        { "{\"host\": \"a b\"}", HOST },
        { "{\"host\": \"h\", \"dbname\": \"host=x\"}",
          "[\"dbname\"]: Value error, The dbname must be a name, not a connection string." },
        { "{\"host\": \"h\", \"hostaddr\": \"1.2.3.4\"}", "[\"hostaddr\"]: Extra inputs are not permitted" },
    };

    for (size_t i = 0; i < COUNT_OF(each); i++)
        assert_string_equal(verdict(*state, each[i][0]), each[i][1]);
}

static void what_is_stored_has_one_form(void **state)
{
    _cleanup_(json_object_putp) json_object *given =
        object_of("{\"host\": \"h\", \"port\": \"6432\", \"username\": \"u\", \"password\": \"p\", \"dbname\": \"\","
                  " \"ssl_mode\": \"require\", \"ssh_required\": \"no\", \"db_schema\": null}");

    assert_string_equal(text_of(*state, source_trim(given)), "{\"host\":\"h\",\"username\":\"u\",\"password\":\"p\","
                                                             "\"sslmode\":\"require\",\"port\":6432}");
}

static void changes_are_laid_over_what_is_stored(void **state)
{
    static const char *const each[][2] = {
        { "{\"port\": 1}", "{\"host\":\"h\",\"password\":\"p\",\"sslmode\":\"require\",\"port\":1}" },
        { "{\"password\": \"" SECRET_MASK "\"}",
          "{\"host\":\"h\",\"password\":\"p\",\"sslmode\":\"require\",\"port\":5432}" },
        { "{\"ssl_mode\": \"disable\"}",
          "{\"host\":\"h\",\"password\":\"p\",\"port\":5432,\"ssl_mode\":\"disable\"}" },
        { "{\"other\": 1}",
          "{\"host\":\"h\",\"password\":\"p\",\"sslmode\":\"require\",\"port\":5432,\"other\":1}" },
    };
    _cleanup_(json_object_putp) json_object *stored =
        object_of("{\"host\": \"h\", \"password\": \"p\", \"sslmode\": \"require\", \"port\": 5432}");

    for (size_t i = 0; i < COUNT_OF(each); i++) {
        _cleanup_(json_object_putp) json_object *changes = object_of(each[i][0]);

        assert_string_equal(text_of(*state, source_merge(stored, changes)), each[i][1]);
        assert_null(strstr(text_of(*state, source_merge(NULL, changes)), "\"p\""));
    }
}

static void the_password_is_not_shown(void **state)
{
    _cleanup_(json_object_putp) json_object *stored = object_of("{\"host\": \"h\", \"password\": \"p\"}");

    assert_string_equal(text_of(*state, source_masked(stored)),
                        "{\"host\":\"h\",\"port\":5432,\"username\":null,\"password\":\"" SECRET_MASK
                        "\",\"dbname\":null,\"db_schema\":null,\"ssl_mode\":null,\"ssh_required\":false}");
}

static void what_cannot_be_tried_is_told_without_its_place(void **state)
{
    _cleanup_(json_object_putp) json_object *nowhere = object_of("{\"host\": \"127.0.0.1\", \"port\": 1}");
    struct err err = { 0 };

    (void)state;
    assert_int_equal(source_try(NULL, USEC_PER_S, &err), -ERR_REFUSED);
    assert_string_equal(err.text, "Connection error: the connection has no secrets.");
    assert_int_equal(source_try(nowhere, USEC_PER_S, &err), -ERR_REFUSED);
    assert_string_equal(err.text, "Operational Error connecting to postgres db.");
    assert_string_equal(err.cause, "connect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(places_of_databases_are_taken),
        TEST(what_would_be_another_place_is_refused),
        TEST(what_is_stored_has_one_form),
        TEST(changes_are_laid_over_what_is_stored),
        TEST(the_password_is_not_shown),
        TEST(what_cannot_be_tried_is_told_without_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
