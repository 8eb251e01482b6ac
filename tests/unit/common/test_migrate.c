#include "common/migrate.c"

#include <dirent.h>
#include <stdio.h>

#include "tests/unit/test.h"

static char *content(struct test *test, const char *name)
{
    char *text = arena_alloc(test->arena, 1024 * 1024);
    FILE *file = fopen(arena_printf(test->arena, SOURCE_DIR "/schemas/sql/%s.sql", name), "r");

    assert_non_null(file);
    assert_true(fread(text, 1, 1024 * 1024 - 1, file) > 0);
    fclose(file);
    return text;
}

static void versions_count_from_1_without_a_gap(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(migrations); i++) {
        assert_int_equal(migrations[i].version, i + 1);
        assert_int_equal(atoi(migrations[i].name), i + 1);
    }
    assert_int_equal(version_wanted(), COUNT_OF(migrations));
}

static void every_file_is_carried_as_it_stands(void **state)
{
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(migrations); i++)
        assert_string_equal(migrations[i].text, content(test, migrations[i].name));
}

static void no_file_is_left_out(void **state)
{
    DIR *folder = opendir(SOURCE_DIR "/schemas/sql");
    struct dirent *entry;
    size_t count = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)))
        count += entry->d_name[0] != '.' && strstr(entry->d_name, ".sql") != NULL;
    closedir(folder);
    assert_int_equal(count, COUNT_OF(migrations));
}

static void no_file_ends_the_transaction_that_it_runs_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(migrations); i++) {
        assert_null(strstr(migrations[i].text, "\ncommit"));
        assert_null(strstr(migrations[i].text, "\nrollback"));
        assert_null(strstr(migrations[i].text, "concurrently"));
    }
}

static void an_applied_file_that_changed_is_named(void **state)
{
    const struct migration migration = { 1, "0001_core", "select 1;\n" };
    struct test *test = *state;
    char hex[SHA256_CHARS + 1];

    assert_int_equal(check_unchanged(&migration, sha256("select 1;\n", hex), &test->err), 0);
    assert_string_equal(hex, "4a45092ccf992ea92250053a80b931b787924ba61648f420555511b84f10ab6c");
    assert_int_equal(check_unchanged(&migration, sha256("select 2;\n", hex), &test->err),
                     -ERR_INTERNAL);
    assert_string_equal(test->err.cause,
                        "schemas/sql/0001_core.sql has changed since it was applied");
}

static void waiting_ends_when_it_is_told_to_stop(void **state)
{
    struct test *test = *state;
    _cleanup_(db_freep) struct db *db = db_new("postgresql://127.0.0.1:1/none", "test");
    const volatile sig_atomic_t stop = 1;

    assert_int_equal(migrate_wait(db, &stop, &test->err), -ERR_UNAVAILABLE);
    assert_string_equal(test->err.cause, "stopped while waiting for the database");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_count_from_1_without_a_gap),
        TEST(every_file_is_carried_as_it_stands),
        TEST(no_file_is_left_out),
        TEST(no_file_ends_the_transaction_that_it_runs_in),
        TEST(an_applied_file_that_changed_is_named),
        TEST(waiting_ends_when_it_is_told_to_stop),
    };

    return cmocka_run_group_tests_name("common/migrate", tests, NULL, NULL);
}
