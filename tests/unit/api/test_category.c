#include "api/category.c"

#include <stdio.h>

#include "tests/unit/test.h"

static void the_taxonomy_is_whole_and_sorted(void **state)
{
    int count = 0;

    (void)state;
    for (; categories[count]; count++) {
        const char *parent_end = strrchr(categories[count], '.');

        if (count)
            assert_true(strcmp(categories[count - 1], categories[count]) < 0);
        if (parent_end) {
            char parent[128] = { 0 };

            memcpy(parent, categories[count], (size_t)(parent_end - categories[count]));
            assert_true(category_exists(parent));
        }
    }
    assert_int_equal(count, 85);
    assert_false(category_exists("user.nothing"));
    assert_false(category_exists(""));
}

/* The migration of the default policies has its own list: it must be this one. */
static void default_targets_are_those_of_the_default_policies(void **state)
{
    char path[] = SOURCE_DIR "/schemas/sql/0003_defaults.sql", text[16384];
    FILE *file = fopen(path, "r");
    size_t length;
    int count = 0;

    (void)state;
    assert_non_null(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    fclose(file);
    for (const char *const *category = categories; *category; category++) {
        char quoted[128];

        if (!category_is_default_target(*category))
            continue;
        snprintf(quoted, sizeof(quoted), "(%d, '%s')", ++count, *category + strlen("user."));
        assert_non_null(strstr(text, quoted));
    }
    assert_int_equal(count, 21);
    assert_false(category_is_default_target("user"));
    assert_false(category_is_default_target("system.operations"));
    assert_false(category_is_default_target("user.contact.email"));
    assert_false(category_is_default_target("user.payment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_taxonomy_is_whole_and_sorted),
        TEST(default_targets_are_those_of_the_default_policies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
