#include "tests/unit/test.h"

#include "worker/ctl/dead/options.h"

#define WORDS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static int parse(struct test *test, const struct options_of *of, struct options *options, const char *const *words)
{
    char **args = arena_array(test->arena, char *, 32);

    for (int i = 0; words[i]; i++)
        args[i] = arena_strdup(test->arena, words[i]);
    return options_read(args, of, test->arena, options, &test->err);
}

static void words_are_numbers_and_options(void **state)
{
    struct options options;

    assert_int_equal(parse(*state, &options_retry, &options,
                           WORDS("7", "--reason", "bad_key", "8", "--all", "--header", "a=b", "--header", "c", "--by",
                                 "ann", "--since", "2026-01-02T03:04:05Z", "--anyway")),
                     0);
    assert_int_equal(options.number_count, 2);
    assert_int_equal(options.numbers[1], 8);
    assert_string_equal(options.reason, "bad_key");
    assert_int_equal(options.headers.count, 2);
    assert_string_equal(options.headers.texts[1], "c");
    assert_true(options.all && options.anyway);
    assert_int_equal(options.since, (usec_t)1767323045 * USEC_PER_S);
    assert_string_equal(options.by, "ann");
    assert_int_equal(parse(*state, &options_list, &options, WORDS("--state", "all", "--json")), 0);
    assert_true(options.json && options.any_state);
    assert_int_equal(parse(*state, &options_list, &options, WORDS()), 0);
    assert_int_equal(options.since, USEC_NONE);
    assert_int_equal(options.state, DEAD_OPEN);
    assert_false(options_name_any(&options));
}

static void wrong_words_are_named(void **state)
{
    static const struct {
        const struct options_of *of;
        const char *word, *value, *text;
    } rows[] = {
        { &options_show, "x", NULL, "x is no number of a dead letter" },
        { &options_show, "7x", NULL, "7x is no number of a dead letter" },
        { &options_drop, "99999999999999999999", NULL, "99999999999999999999 is no number of a dead letter" },
        { &options_drop, "--json", NULL, "there is no option --json" },
        { &options_list, "--since", "noon", "--since takes a time as 2026-01-31T12:00:00Z, or how long ago as 2h" },
        { &options_list, "--since", NULL, "--since takes a time as 2026-01-31T12:00:00Z, or how long ago as 2h" },
        { &options_list, "--state", "lost", "--state is open, retried, dropped or all, not lost" },
        { &options_list, "7", NULL, "what is 7?" },
        { &options_retry, "--header", "=x", "--header =x has no name" },
    };
    struct test *test = *state;
    struct options options;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(parse(test, rows[i].of, &options, WORDS(rows[i].word, rows[i].value)), -ERR_BAD_REQUEST);
        assert_string_equal(test->err.text, rows[i].text);
    }
}

static void more_headers_than_there_is_room_for_are_refused(void **state)
{
    struct test *test = *state;
    const char *words[2 * (OPTION_TEXTS_MAX + 1) + 1] = { 0 };
    char **args = arena_array(test->arena, char *, COUNT_OF(words));
    struct options options;

    for (size_t i = 0; i < COUNT_OF(words) - 1; i++)
        args[i] = arena_strdup(test->arena, i % 2 ? "a=b" : "--header");
    assert_int_equal(options_read(args, &options_retry, test->arena, &options, &test->err), -ERR_BAD_REQUEST);
    args[COUNT_OF(words) - 3] = NULL;
    assert_int_equal(options_read(args, &options_retry, test->arena, &options, &test->err), 0);
    assert_int_equal(options.headers.count, OPTION_TEXTS_MAX);
}

static const struct entry entry = { .number = 7,
                                    .letter = { .reason = "bad_key", .place = "docket.callbacks/1/2", .time = 100 },
                                    .topic = "docket.callbacks" };

static void a_letter_is_meant_by_what_it_is(void **state)
{
    static const struct {
        struct options options;
        bool meant;
    } rows[] = {
        { { .since = USEC_NONE }, true },
        { { .since = 100 }, true },
        { { .since = 101 }, false },
        { { .since = USEC_NONE, .reason = "bad_key" }, true },
        { { .since = USEC_NONE, .reason = "bad_data" }, false },
        { { .since = USEC_NONE, .topic = "callbacks" }, true },
        { { .since = USEC_NONE, .topic = "docket.callbacks" }, true },
        { { .since = USEC_NONE, .topic = "call" }, false },
        { { .since = USEC_NONE, .topic = "lifecycle" }, false },
        { { .since = USEC_NONE, .state = DEAD_RETRIED }, false },
        { { .since = USEC_NONE, .state = DEAD_RETRIED, .any_state = true }, true },
    };
    struct entry other = entry;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(options_mean(&rows[i].options, &entry, "docket"), rows[i].meant);
    other.repeat = true;
    assert_false(options_mean(&rows[0].options, &other, "docket"));
    other.repeat = false;
    other.letter.time = USEC_NONE;
    assert_false(options_mean(&rows[1].options, &other, "docket"));
}

static void a_number_means_its_letter_whatever_became_of_it(void **state)
{
    const int64_t numbers[] = { 3, 7 };
    const struct options options = { .since = USEC_NONE, .numbers = numbers, .number_count = 2, .reason = "x" };
    struct entry other = entry, entries[2] = { entry, entry };
    struct shelf shelf = { entries, 2 };
    struct test *test = *state;
    int64_t first = -1;

    other.note.state = DEAD_DROPPED;
    other.repeat = true;
    assert_true(options_mean(&options, &other, "docket"));
    other.number = 8;
    assert_false(options_mean(&options, &other, "docket"));
    assert_int_equal(options_check(&options, &shelf, &test->err), -ERR_NOT_FOUND);
    assert_string_equal(test->err.text, "there is no dead letter 3");
    entries[0].number = 3;
    assert_int_equal(options_check(&options, &shelf, &test->err), 0);
    assert_int_equal(options_count(&options, &shelf, "docket", &first), 2);
    assert_int_equal(first, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_are_numbers_and_options),
        TEST(wrong_words_are_named),
        TEST(more_headers_than_there_is_room_for_are_refused),
        TEST(a_letter_is_meant_by_what_it_is),
        TEST(a_number_means_its_letter_whatever_became_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
