#include "api/setting.c"

#include "tests/unit/test.h"

static json_object *checked(const char *body, struct schema_errors *errors)
{
    const struct schema_loc loc = { .name = "body" };
    json_object *object = json_tokener_parse(body);

    schema_check(&settings_schema, object, &loc, errors);
    return object;
}

/* What comes of a body over nothing: the values kept, or NULL when it is refused. */
static const char *kept(struct test *test, const char *body)
{
    struct schema_errors errors = { 0 };
    json_object *object = checked(body, &errors), *all = json_object_new_object();
    const char *text = NULL;

    assert_null(errors.list);
    if (settings_put(all, object, &test->err) == 0)
        text =
            arena_strdup(test->arena, json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
    json_object_put(all);
    json_object_put(object);
    return text;
}

static const char *refused_type(struct test *test, const char *body)
{
    struct schema_errors errors = { 0 };
    json_object *object = checked(body, &errors);
    const char *type;

    json_object_put(object);
    assert_non_null(errors.list);
    type =
        arena_strdup(test->arena, schema_text(json_object_array_get_idx(errors.list, 0), "type"));
    schema_errors_free(&errors);
    return type;
}

static void what_has_a_meaning_is_kept_in_its_normal_form(void **state)
{
    assert_string_equal(
        kept(*state, "{\"execution\":{\"require_manual_request_approval\":\"yes\"}}"),
        "{\"execution\":{\"require_manual_request_approval\":true}}");
}

static void what_is_in_effect_anyway_is_accepted(void **state)
{
    assert_string_equal(
        kept(*state, "{\"execution\":{\"subject_identity_verification_required\":false},"
                     "\"security\":{\"cors_origins\":[]},\"admin_ui\":{},\"storage\":null}"),
        "{\"execution\":{\"subject_identity_verification_required\":false},"
        "\"security\":{\"cors_origins\":[]}}");
}

static void what_is_known_and_has_no_effect_here_is_named(void **state)
{
    struct test *test = *state;

    assert_null(kept(test, "{\"execution\":{\"subject_identity_verification_required\":true}}"));
    assert_int_equal(test->err.code, ERR_NOT_IMPLEMENTED);
    assert_string_equal(test->err.text, "execution.subject_identity_verification_required is not "
                                        "available in this version.");
    assert_null(kept(test, "{\"consent\":{\"override_vendor_purposes\":true}}"));
    assert_string_equal(test->err.text, "consent is not available in this version.");
}

static void what_is_unknown_is_forbidden_but_within_execution(void **state)
{
    assert_string_equal(refused_type(*state, "{\"executions\":{}}"), "extra_forbidden");
    assert_string_equal(refused_type(*state, "{\"storage\":{\"kind\":\"local\"}}"),
                        "extra_forbidden");
    assert_string_equal(kept(*state, "{\"execution\":{\"task_retry_count\":3}}"), "{}");
}

static void ill_formed_values_are_told(void **state)
{
    assert_string_equal(refused_type(*state, "{}"), "value_error");
    assert_string_equal(refused_type(*state, "{\"execution\":[]}"), "dict_type");
    assert_string_equal(
        refused_type(*state, "{\"storage\":{\"active_default_storage_type\":\"tape\"}}"), "enum");
    assert_string_equal(refused_type(*state, "{\"execution\":{\"memory_watchdog_enabled\":7}}"),
                        "bool_parsing");
}

static void each_default_is_a_value_that_may_be_set(void **state)
{
    const struct config config = { .manual_approval = true };
    json_object *all = settings_default(&config);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        json_object *value = schema_get(schema_get(all, settings[i].section), settings[i].key);
        struct schema_errors errors = { 0 };
        const struct schema_loc loc = { .name = settings[i].key };

        assert_true(!value || schema_check(&settings[i].schema, value, &loc, &errors));
    }
    assert_true(
        schema_bool(schema_get(all, "execution"), "require_manual_request_approval", false));
    json_object_put(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_has_a_meaning_is_kept_in_its_normal_form),
        TEST(what_is_in_effect_anyway_is_accepted),
        TEST(what_is_known_and_has_no_effect_here_is_named),
        TEST(what_is_unknown_is_forbidden_but_within_execution),
        TEST(ill_formed_values_are_told),
        TEST(each_default_is_a_value_that_may_be_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
