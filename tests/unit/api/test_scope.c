#include "api/scope.c"

#include "tests/unit/test.h"

static void the_registry_is_whole_sorted_and_without_repeats(void **state)
{
    (void)state;
    assert_int_equal(SCOPES, 130);
    for (int i = 1; i < SCOPES; i++)
        assert_true(strcmp(scope_words[i - 1], scope_words[i]) < 0);
}

static void every_scope_is_found_by_its_word(void **state)
{
    (void)state;
    for (int i = 0; i < SCOPES; i++)
        assert_int_equal(scope_parse(scope_word((enum scope)i)), i);
    assert_int_equal(scope_parse("webhook:write"), -1);
    assert_int_equal(scope_parse(""), -1);
}

static int role_size(enum role role)
{
    struct scope_set set = role_scopes(role);
    int count = 0;

    for (int i = 0; i < SCOPES; i++)
        count += scope_set_has(&set, (enum scope)i);
    return count;
}

static void roles_have_what_the_contract_gives_them(void **state)
{
    struct scope_set viewer_set = role_scopes(ROLE_VIEWER),
                     approver_set = role_scopes(ROLE_APPROVER);
    struct scope_set both = role_scopes(ROLE_VIEWER_AND_APPROVER);
    struct scope_set expected = scope_set_union(viewer_set, approver_set);

    (void)state;
    assert_int_equal(role_size(ROLE_OWNER), SCOPES);
    assert_int_equal(role_size(ROLE_CONTRIBUTOR), SCOPES - 9);
    assert_int_equal(role_size(ROLE_VIEWER), 30);
    assert_int_equal(role_size(ROLE_APPROVER), 9);
    assert_int_equal(role_size(ROLE_DATA_STEWARD), 32);
    assert_int_equal(role_size(ROLE_RESPONDENT), 2);
    assert_int_equal(role_size(ROLE_EXTERNAL_RESPONDENT), 1);
    assert_memory_equal(&both, &expected, sizeof(both));
    assert_false(scope_set_has(&viewer_set, SCOPE_PRIVACY_REQUEST_READ));
    assert_false(scope_set_has(&viewer_set, SCOPE_USER_PERMISSION_READ));
}

static void a_role_is_found_by_its_word(void **state)
{
    (void)state;
    for (int i = 0; i < ROLES; i++)
        assert_int_equal(role_parse(role_word((enum role)i)), i);
    assert_int_equal(role_parse("root"), -1);
}

static void a_set_covers_what_is_in_it_and_nothing_else(void **state)
{
    const char *few[] = { "webhook:read", "no:such", "client:read", NULL },
               *one[] = { "client:read", NULL };
    struct scope_set a = scope_set_of(few), b = scope_set_of(one), none = { 0 };

    (void)state;
    assert_true(scope_set_covers(&a, &b));
    assert_false(scope_set_covers(&b, &a));
    assert_true(scope_set_covers(&none, &none));
    assert_false(scope_set_covers(&none, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registry_is_whole_sorted_and_without_repeats),
        cmocka_unit_test(every_scope_is_found_by_its_word),
        cmocka_unit_test(roles_have_what_the_contract_gives_them),
        cmocka_unit_test(a_role_is_found_by_its_word),
        cmocka_unit_test(a_set_covers_what_is_in_it_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
