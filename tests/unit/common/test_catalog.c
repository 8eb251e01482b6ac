#include "common/catalog.c"

#include "tests/unit/test.h"

/* Pictures made by hand: what catalog_load() makes of the database is held by the system tests. */
static const struct catalog_connection connections[] = { { .id = "con_1", .key = "one" }, { .id = "con_2", .key = "two" } };
static const struct catalog_rule consent = { .id = "rul_1", .key = "c", .action_type = "consent" };
static const struct catalog_rule erasure = { .id = "rul_2", .key = "e", .action_type = "erasure" };
static const struct catalog_policy policies[] = {
    { .id = "pol_1", .key = "zebra", .rules = &erasure, .rule_count = 1 },
    { .id = "pol_2", .key = "apple", .rules = &consent, .rule_count = 1 },
    { .id = "pol_3", .key = "mango" },
};
static const struct catalog_webhook webhooks[] = {
    { .id = "pre_9", .key = "first", .connection = &connections[0] },
    { .id = "pre_1", .key = "second", .connection = &connections[1] },
};
static const struct catalog_client clients[] = { { .id = "a" }, { .id = "b" } };

static struct picture *picture(void)
{
    struct picture *made = picture_new();

    made->catalog = (struct catalog){
        .policies = policies, .policy_count = COUNT_OF(policies),
        .connections = connections, .connection_count = COUNT_OF(connections),
        .webhooks = webhooks, .webhook_count = COUNT_OF(webhooks),
        .clients = clients, .client_count = COUNT_OF(clients),
    };
    made->policies_by_key = arena_array(made->arena, const struct catalog_policy *, COUNT_OF(policies));
    for (size_t i = 0; i < COUNT_OF(policies); i++)
        made->policies_by_key[i] = &policies[i];
    qsort(made->policies_by_key, COUNT_OF(policies), sizeof(*made->policies_by_key), policies_compare);
    return made;
}

static void everything_is_found_by_its_name_and_nothing_else_is(void **state)
{
    _cleanup_(catalog_unref_picturep) struct picture *made = picture();
    const struct catalog *catalog = &made->catalog;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(policies); i++) {
        assert_ptr_equal(catalog_policy_by_key(catalog, policies[i].key), &policies[i]);
        assert_ptr_equal(catalog_policy_by_id(catalog, policies[i].id), &policies[i]);
    }
    for (size_t i = 0; i < COUNT_OF(webhooks); i++)
        assert_ptr_equal(catalog_webhook_by_id(catalog, webhooks[i].id), &webhooks[i]);
    for (size_t i = 0; i < COUNT_OF(connections); i++)
        assert_ptr_equal(catalog_connection_by_id(catalog, connections[i].id), &connections[i]);
    assert_ptr_equal(catalog_client_by_id(catalog, "b"), &clients[1]);
    assert_null(catalog_policy_by_key(catalog, "pol_1"));
    assert_null(catalog_policy_by_key(catalog, NULL));
    assert_null(catalog_policy_by_id(catalog, "zebra"));
    assert_null(catalog_webhook_by_id(catalog, NULL));
    assert_null(catalog_connection_by_id(catalog, "con_3"));
    assert_null(catalog_client_by_id(catalog, ""));
}

static void people_are_asked_for_what_the_policy_does_and_the_connection_may(void **state)
{
    static const char *const labels[] = { "a", "b" }, *const other[] = { "a", "c" };
    static const struct catalog_manual manual = { "acc_1", labels, 2, labels, 1 }, empty = { .id = "acc_2" };
    struct catalog_connection connection = { .manual = &manual, .does_access = true, .does_erasure = true };
    struct catalog_form access = catalog_form(&manual, "access"), confirmed = catalog_form(&manual, "erasure");

    (void)state;
    assert_true(catalog_asks(&connection, &policies[0], "erasure"));
    assert_false(catalog_asks(&connection, &policies[0], "access"));
    connection.does_erasure = false;
    assert_false(catalog_asks(&connection, &policies[0], "erasure"));
    connection = (struct catalog_connection){ .manual = &manual, .does_erasure = true, .disabled = true };
    assert_false(catalog_asks(&connection, &policies[0], "erasure"));
    connection = (struct catalog_connection){ .manual = &empty, .does_erasure = true };
    assert_false(catalog_asks(&connection, &policies[0], "erasure"));
    connection.manual = NULL;
    assert_false(catalog_asks(&connection, &policies[0], "erasure"));
    assert_true(catalog_form_is(&access, labels, 2));
    assert_false(catalog_form_is(&access, labels, 1));
    assert_false(catalog_form_is(&access, other, 2));
    assert_true(catalog_form_is(&confirmed, other, 1));
}

static void an_empty_catalog_has_nothing(void **state)
{
    _cleanup_(catalog_unref_picturep) struct picture *made = picture_new();

    (void)state;
    assert_null(catalog_policy_by_key(&made->catalog, "zebra"));
    assert_null(catalog_policy_by_id(&made->catalog, "pol_1"));
    assert_null(catalog_webhook_by_id(&made->catalog, "pre_1"));
}

static void approval_is_by_setting_action_and_webhooks(void **state)
{
    static const struct {
        bool manual;
        int webhooks;
        const struct catalog_policy *policy;
        enum approval approval;
    } cases[] = {
        { false, 0, &policies[0], APPROVAL_NOT_REQUIRED },
        { false, 2, &policies[0], APPROVAL_NOT_REQUIRED },
        { true, 0, &policies[0], APPROVAL_BY_PERSON },
        { true, 2, &policies[0], APPROVAL_BY_WEBHOOKS },
        { true, 2, &policies[1], APPROVAL_NOT_REQUIRED }, /* consent */
        { true, 0, &policies[1], APPROVAL_NOT_REQUIRED },
        { true, 2, &policies[2], APPROVAL_BY_WEBHOOKS }, /* no rule */
        { true, 0, &policies[2], APPROVAL_BY_PERSON },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct catalog catalog = { .manual_approval = cases[i].manual, .webhook_count = cases[i].webhooks };

        assert_int_equal(catalog_approval(&catalog, cases[i].policy), cases[i].approval);
    }
}

static void the_last_reference_takes_it_along(void **state)
{
    const struct catalog *catalog = &picture()->catalog;

    (void)state;
    assert_ptr_equal(catalog_ref(catalog), catalog);
    catalog_unref(catalog);
    assert_non_null(catalog_policy_by_key(catalog, "zebra"));
    catalog_unref(catalog);
    catalog_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_found_by_its_name_and_nothing_else_is),
        TEST(people_are_asked_for_what_the_policy_does_and_the_connection_may),
        TEST(an_empty_catalog_has_nothing),
        TEST(approval_is_by_setting_action_and_webhooks),
        TEST(the_last_reference_takes_it_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
