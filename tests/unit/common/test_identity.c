#include "common/identity.h"

#include <sodium.h>

#include "tests/unit/test.h"

#define KEY "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HASH_KEY "QAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static const struct schema_loc here = { .name = "identity" };

static json_object *parse(const char *text)
{
    json_object *object = json_tokener_parse(text);

    assert_non_null(object);
    return object;
}

static void what_is_well_formed_passes_and_the_rest_does_not(void **state)
{
    static const struct {
        const char *identity;
        const char *error; /* type; NULL: none */
    } cases[] = {
        { "{}", NULL },
        { "{\"email\":\"ada@example.com\"}", NULL },
        { "{\"email\":null,\"phone_number\":\"\"}", NULL },
        { "{\"phone_number\":\"+15551234567\"}", NULL },
        { "{\"phone_number\":\"555-5555\"}", "value_error" },
        { "{\"email\":\"ada\"}", "value_error" },
        { "{\"email\":7}", "string_type" },
        { "{\"external_id\":\"x\",\"ga_client_id\":\"y\",\"ljt_readerID\":\"z\"}", NULL },
        { "{\"fides_user_device_id\":\"4ee1d2d5-1d6d-4d70-a48a-c07df6de7a09\"}", NULL },
        { "{\"fides_user_device_id\":\"4ee1\"}", "uuid_parsing" },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":\"CH-1\"}}", NULL },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":7}}", NULL },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":[\"a\",1]}}", NULL },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":[null]}}", "value_error" },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":1.5}}", "value_error" },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":true}}", "value_error" },
        { "{\"loyalty\":{\"label\":7,\"value\":\"x\"}}", "string_type" },
        { "{\"loyalty\":{\"value\":\"x\"}}", "value_error" },
        { "{\"loyalty\":\"CH-1\"}", "value_error" },
        { "{\"loyalty\":null}", "value_error" },
        { "[]", "model_attributes_type" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *identity = parse(cases[i].identity);
        _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
        bool fits = identity_check(identity, &here, &errors);

        assert_int_equal(fits, !cases[i].error);
        if (!cases[i].error)
            assert_null(errors.list);
        else
            assert_non_null(strstr(json_object_get_string(errors.list), cases[i].error));
    }
}

static void custom_identities_are_bounded(void **state)
{
    _cleanup_(json_object_putp) json_object *identity = json_object_new_object();
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    struct test *test = *state;

    for (int i = 0; i < IDENTITY_CUSTOM_MAX; i++)
        json_object_object_add(identity, arena_printf(test->arena, "field_%d", i),
                               parse("{\"label\":\"L\",\"value\":1}"));
    assert_true(identity_check(identity, &here, &errors));
    json_object_object_add(identity, "one_more", parse("{\"label\":\"L\",\"value\":1}"));
    assert_false(identity_check(identity, &here, &errors));
}

static void a_value_is_one_that_is_neither_null_nor_empty(void **state)
{
    static const struct {
        const char *identity;
        bool has;
    } cases[] = {
        { "{}", false },
        { "{\"email\":null}", false },
        { "{\"phone_number\":\"\"}", false },
        { "{\"phone_number\":\"\",\"email\":\"a@example.com\"}", true },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":\"\"}}", false },
        { "{\"loyalty\":{\"label\":\"L\",\"value\":0}}", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *identity = parse(cases[i].identity);

        assert_int_equal(identity_has_value(identity), cases[i].has);
    }
}

static void the_body_has_every_default_and_then_the_others(void **state)
{
    _cleanup_(json_object_putp) json_object *identity =
        parse("{\"loyalty_id\":{\"value\":\"CH-1\",\"label\":\"Loyalty id\",\"more\":1},"
              "\"phone_number\":\"\",\"email\":\"Customer-1@Example.COM\"}");
    _cleanup_(json_object_putp) json_object *body = NULL, *shown = NULL;
    struct test *test = *state;
    const char *text = identity_body(identity, test->arena);

    assert_string_equal(text, "{\"phone_number\":null,\"email\":\"Customer-1@example.com\",\"ga_client_id\":null,"
                              "\"ljt_readerID\":null,\"fides_user_device_id\":null,\"external_id\":null,"
                              "\"loyalty_id\":{\"label\":\"Loyalty id\",\"value\":\"CH-1\"}}");
    body = parse(text);
    shown = identity_labelled(body);
    assert_string_equal(
        json_object_to_json_string_ext(shown, JSON_C_TO_STRING_PLAIN),
        "{\"phone_number\":{\"label\":\"Phone number\",\"value\":null},"
        "\"email\":{\"label\":\"Email\",\"value\":\"Customer-1@example.com\"},"
        "\"ga_client_id\":{\"label\":\"GA client ID\",\"value\":null},"
        "\"ljt_readerID\":{\"label\":\"LJT reader ID\",\"value\":null},"
        "\"fides_user_device_id\":{\"label\":\"Fides user device ID\",\"value\":null},"
        "\"external_id\":{\"label\":\"External ID\",\"value\":null},"
        "\"loyalty_id\":{\"label\":\"Loyalty id\",\"value\":\"CH-1\"}}");
}

static void what_is_given_is_found_by_its_hash(void **state)
{
    _cleanup_(json_object_putp) json_object *identity =
        parse("{\"email\":\"Ada@Example.com\",\"phone_number\":null,\"loyalty\":{\"label\":\"L\",\"value\":[\"a\",1]},"
              "\"number\":{\"label\":\"N\",\"value\":7}}");
    _cleanup_(seal_ring_freep) struct seal_ring *ring = NULL;
    struct identity_hash hashes[IDENTITY_MAX];
    static const char *const searched[][2] = {
        { "email", "Ada@EXAMPLE.com" },
        { "loyalty", "[\"a\",1]" },
        { "number", "7" },
    };
    struct test *test = *state;

    assert_int_equal(seal_ring_new(KEY, HASH_KEY, &ring, &test->err), 0);
    assert_int_equal(identity_hashes(identity, ring, hashes, IDENTITY_MAX, test->arena), 3);
    for (size_t i = 0; i < COUNT_OF(searched); i++) {
        uint8_t hash[SEAL_HASH_BYTES];

        identity_search_hash(ring, searched[i][0], searched[i][1], test->arena, hash);
        assert_string_equal(hashes[i].field, searched[i][0]);
        assert_memory_equal(hashes[i].hash, hash, sizeof(hash));
    }
    assert_int_equal(identity_hashes(identity, ring, hashes, 1, test->arena), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_well_formed_passes_and_the_rest_does_not),
        TEST(custom_identities_are_bounded),
        TEST(a_value_is_one_that_is_neither_null_nor_empty),
        TEST(the_body_has_every_default_and_then_the_others),
        TEST(what_is_given_is_found_by_its_hash),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
