#include "worker/ctl/option.h"

#include <stdbool.h>

#include "common/usec.h"
#include "tests/unit/test.h"

struct options {
    bool json;
    const char *to;
    struct option_texts types;
    usec_t since;
    int64_t memory;
};

static const struct option_row rows[] = {
    { "--json", OPTION_FLAG, offsetof(struct options, json) },
    { "--to", OPTION_TEXT, offsetof(struct options, to) },
    { "--type", OPTION_TEXTS, offsetof(struct options, types) },
    { "--since", OPTION_TIME, offsetof(struct options, since) },
    { "--memory", OPTION_BYTES, offsetof(struct options, memory) },
    { 0 },
};

/* The words of a line, cut at its blanks. */
static int read_line(struct test *test, const char *line, struct options *options, struct option_texts *words)
{
    char *args[32] = { 0 }, *rest = arena_strdup(test->arena, line), *word;
    int count = 0;

    while ((word = strsep(&rest, " ")))
        if (*word)
            args[count++] = word;
    return option_read(args, rows, options, words, &test->err);
}

static void options_stand_anywhere_with_their_values(void **state)
{
    struct options options = { 0 };
    struct option_texts words;

    assert_int_equal(read_line(*state, "one --json --to=x=y --type a two --type b --since 2026-01-02T03:04:05Z --memory 2M",
                               &options, &words), 0);
    assert_true(options.json);
    assert_string_equal(options.to, "x=y");
    assert_int_equal(options.types.count, 2);
    assert_string_equal(options.types.texts[1], "b");
    assert_true(options.since == 1767323045 * USEC_PER_S);
    assert_int_equal(options.memory, 2 * 1024 * 1024);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.texts[1], "two");
}

static void a_time_may_be_how_long_ago(void **state)
{
    struct options options = { 0 };
    struct option_texts words;
    usec_t before = usec_now(), ago = 2 * 3600 * USEC_PER_S;

    assert_int_equal(read_line(*state, "--since 2h", &options, &words), 0);
    assert_true(options.since >= before - ago && options.since <= usec_now() - ago);
}

static void after_two_dashes_there_are_words_only(void **state)
{
    struct options options = { .to = "as it was" };
    struct option_texts words;

    assert_int_equal(read_line(*state, "-x -- --json", &options, &words), 0);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.texts[0], "-x");
    assert_string_equal(words.texts[1], "--json");
    assert_false(options.json);
    assert_string_equal(options.to, "as it was");
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const wrong[][2] = {
        { "--jso", "there is no option --jso" },
        { "--json=1", "--json takes no value" },
        { "--to", "--to takes a value" },
        { "--since yesterday", "--since takes a time as 2026-01-31T12:00:00Z" },
        { "--memory", "--memory takes a number of bytes" },
        { "--memory 1X", "--memory takes" },
        { "--memory -1", "--memory takes" },
        { "--memory 1MB", "--memory takes" },
        { "--memory 99999999999999999G", "--memory takes" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct options options = { 0 };
        struct option_texts words;

        assert_int_equal(read_line(test, wrong[i][0], &options, &words), -ERR_BAD_REQUEST);
        assert_non_null(strstr(test->err.text, wrong[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_stand_anywhere_with_their_values),
        TEST(a_time_may_be_how_long_ago),
        TEST(after_two_dashes_there_are_words_only),
        TEST(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests_name("ctl/option", tests, NULL, NULL);
}
