#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/test.h"

static const struct {
    const char *name, *type, *fallback, *programs, *help;
    bool secret;
} rows[] = {
#define CONFIG(field, name, type, fallback, min, max, unit, secret, programs, help) \
    { name, #type, fallback, programs, help, secret },
#include "common/config.tbl.h"
#undef CONFIG
};

/* What every program needs, so that a test can say only what it is about. */
static const char *const required[][2] = {
    { "DOCKET_POSTGRES_URL", "postgresql://localhost/docket" },
    { "DOCKET_KAFKA_BROKERS", "localhost:9092" },
    { "DOCKET_REDIS_URL", "redis://localhost:6379" },
    { "DOCKET_APP_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef" },
    { "DOCKET_SEALING_KEYS", "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" },
    { "DOCKET_IDENTITY_HASH_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" },
    { "DOCKET_ROOT_CLIENT_ID", "root" },
    { "DOCKET_ROOT_CLIENT_SECRET", "root-secret" },
};

static int setup(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        unsetenv(rows[i].name);
    unsetenv("DOCKET_CONFIG_FILE");
    unsetenv("DOCKET_POSTGRES_URL_FILE");
    for (size_t i = 0; i < COUNT_OF(required); i++)
        setenv(required[i][0], required[i][1], 1);
    return test_setup(state);
}

#define CONFIG_TEST(function) cmocka_unit_test_setup_teardown(function, setup, test_teardown)

/* A file with that text, gone when the test's arena is. */
static const char *file_with(struct test *test, const char *text)
{
    char *path = arena_strdup(test->arena, "/tmp/docket-test-config-XXXXXX");
    int file = mkstemp(path);

    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    return path;
}

static int load(struct test *test, int program, const char *file_text, struct config **ret)
{
    const char *file = file_text ? file_with(test, file_text) : NULL;
    int r = config_load(program, file, ret, &test->err);

    if (file)
        unlink(file);
    return r;
}

static void assert_refused(struct test *test, int program, const char *file_text, const char *text)
{
    struct config *config = NULL;

    assert_int_equal(load(test, program, file_text, &config), -ERR_BAD_REQUEST);
    assert_null(config);
    if (!strstr(test->err.text, text))
        fail_msg("'%s' does not have '%s'", test->err.text, text);
}

static void every_default_is_within_its_bounds_for_every_program(void **state)
{
    static const char all[] = { CONFIG_API, CONFIG_CALLBACK, CONFIG_WORKER, CONFIG_CTL };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        _cleanup_(config_freep) struct config *config = NULL;

        if (load(test, all[i], NULL, &config) < 0)
            fail_msg("%s", test->err.text);
    }
}

static void every_setting_has_help_a_reader_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(strlen(rows[i].help) > 5);
        assert_true(!strncmp(rows[i].name, "DOCKET_", 7));
        assert_true(strlen(rows[i].programs) >= 1);
        assert_true(strspn(rows[i].programs, "acwkK") == strlen(rows[i].programs));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rows[i].name, rows[j].name);
    }
}

static char *printed(struct test *test, int program)
{
    char *text = NULL, *copy;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (program)
        config_help(program, out);
    else
        config_markdown(out);
    fclose(out);
    copy = arena_strdup(test->arena, text);
    free(text);
    return copy;
}

static void the_page_in_docs_is_what_the_table_says(void **state)
{
    struct test *test = *state;
    char *page = printed(test, 0), *stored = arena_alloc(test->arena, 64 * 1024);
    FILE *file = fopen(SOURCE_DIR "/docs/configuration.md", "r");

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_non_null(strstr(page, arena_printf(test->arena, "| `%s` |", rows[i].name)));
    assert_non_null(file);
    assert_true(fread(stored, 1, 64 * 1024 - 1, file) > 0);
    fclose(file);
    assert_string_equal(page,
                        stored); /* else: docketctl config --markdown > docs/configuration.md */
}

static void help_shows_what_the_program_reads_and_nothing_else(void **state)
{
    struct test *test = *state;
    const char *help = printed(test, CONFIG_WORKER);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *entry = arena_printf(test->arena, "  %s (", rows[i].name);

        assert_int_equal(strstr(help, entry) != NULL,
                         strchr(rows[i].programs, CONFIG_WORKER) != NULL);
    }
}

static void each_type_is_read(void **state)
{
    struct test *test = *state;
    _cleanup_(config_freep) struct config *config = NULL;

    setenv("DOCKET_WEBHOOK_TIMEOUT", "1500ms", 1);
    setenv("DOCKET_WEBHOOK_RETRY_SCHEDULE", "5s, 2m,1d", 1);
    setenv("DOCKET_WEBHOOK_CALLS", "17", 1);
    setenv("DOCKET_WEBHOOK_ALLOW_HTTP", "Yes", 1);
    assert_int_equal(load(test, CONFIG_WORKER, NULL, &config), 0);
    assert_true(config->webhook_timeout == 1500 * USEC_PER_MS);
    assert_int_equal(config->webhook_retry_schedule.count, 3);
    assert_true(config->webhook_retry_schedule.waits[1] == 120 * USEC_PER_S);
    assert_int_equal(config->webhook_calls, 17);
    assert_true(config->webhook_allow_http);
    assert_string_equal(config->topic_prefix, "docket");
}

static void what_a_program_does_not_read_is_neither_needed_nor_looked_at(void **state)
{
    struct test *test = *state;
    _cleanup_(config_freep) struct config *config = NULL;

    unsetenv("DOCKET_ROOT_CLIENT_ID");
    setenv("DOCKET_HTTP_THREADS", "many", 1);
    assert_int_equal(load(test, CONFIG_WORKER, NULL, &config), 0);
    assert_null(config->root_client_id);
    assert_int_equal(config->http_threads, 0);
}

static void what_a_program_may_be_without_is_read_when_it_is_there(void **state)
{
    struct test *test = *state;
    _cleanup_(config_freep) struct config *with = NULL;
    _cleanup_(config_freep) struct config *without = NULL;

    assert_int_equal(load(test, CONFIG_CTL, NULL, &with), 0);
    assert_non_null(with->sealing_keys);
    unsetenv("DOCKET_SEALING_KEYS");
    assert_int_equal(load(test, CONFIG_CTL, NULL, &without), 0);
    assert_null(without->sealing_keys);
}

static void
the_environment_goes_before_the_named_file_before_the_file_before_the_default(void **state)
{
    struct test *test = *state;
    const char *secret = file_with(test, "from the named file\r\n"), *file;
    struct config *config = NULL;

    file =
        "# a comment\n\n  DOCKET_POSTGRES_URL = from the file \nDOCKET_CLUSTER=here\nPGHOST=of somebody else\n";
    setenv("DOCKET_POSTGRES_URL_FILE", secret, 1);
    assert_int_equal(load(test, CONFIG_CTL, file, &config), 0);
    assert_string_equal(config->postgres_url, "postgresql://localhost/docket");
    assert_string_equal(config->cluster, "here");
    assert_string_equal(config->log_level, "info");
    config_free(TAKE(config));

    unsetenv("DOCKET_POSTGRES_URL");
    assert_int_equal(load(test, CONFIG_CTL, file, &config), 0);
    assert_string_equal(config->postgres_url, "from the named file");
    config_free(TAKE(config));

    unsetenv("DOCKET_POSTGRES_URL_FILE");
    assert_int_equal(load(test, CONFIG_CTL, file, &config), 0);
    assert_string_equal(config->postgres_url, "from the file");
    config_free(TAKE(config));
    unlink(secret);
}

static void what_is_not_allowed_is_refused_with_what_is(void **state)
{
    static const struct {
        int program;
        const char *name, *value, *text;
    } wrong[] = {
        { 'w', "DOCKET_WEBHOOK_CALLS", "0",
          "DOCKET_WEBHOOK_CALLS must be a number from 1 to 10000 calls, and is '0'" },
        { 'w', "DOCKET_WEBHOOK_CALLS", "10001", "1 to 10000 calls, and is '10001'" },
        { 'w', "DOCKET_WEBHOOK_CALLS", " 1", "and is ' 1'" },
        { 'w', "DOCKET_WEBHOOK_CALLS", "1x", "and is '1x'" },
        { 'w', "DOCKET_WEBHOOK_CALLS", "", "and is ''" },
        { 'w', "DOCKET_WEBHOOK_CALLS", "99999999999999999999", "1 to 10000 calls" },
        { 'w', "DOCKET_WEBHOOK_TIMEOUT", "15",
          "DOCKET_WEBHOOK_TIMEOUT must be a number with ms, s, m, h or d, from 1s to 10m, and is '15'" },
        { 'w', "DOCKET_WEBHOOK_TIMEOUT", "11m", "from 1s to 10m" },
        { 'w', "DOCKET_WEBHOOK_RETRY_AFTER_MAX", "8d", "from 0s to 7d" },
        { 'w', "DOCKET_WEBHOOK_RETRY_SCHEDULE", "5s,,5m",
          "up to 64 durations with commas, or none, and is '5s,,5m'" },
        { 'w', "DOCKET_WEBHOOK_RETRY_SCHEDULE", "", "up to 64 durations" },
        { 'w', "DOCKET_WEBHOOK_RETRY_SCHEDULE", "5s,", "up to 64 durations" },
        { 'w', "DOCKET_WEBHOOK_RETRY_SCHEDULE", "366d", "up to 64 durations" },
        { 'w', "DOCKET_WEBHOOK_ALLOW_HTTP", "maybe", "must be true or false, and is 'maybe'" },
        { 'w', "DOCKET_LOG_LEVEL", "loud", "must be debug, info, warn or error, and is 'loud'" },
        { 'w', "DOCKET_TOPIC_PREFIX", "", "must be 1 to 128 bytes, and is ''" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        setenv(wrong[i].name, wrong[i].value, 1);
        assert_refused(test, wrong[i].program, NULL, wrong[i].text);
        unsetenv(wrong[i].name);
    }
}

static void a_secret_is_never_told(void **state)
{
    struct test *test = *state;

    setenv("DOCKET_APP_ENCRYPTION_KEY", "too short a secret", 1);
    assert_refused(test, CONFIG_WORKER, NULL, "DOCKET_APP_ENCRYPTION_KEY must be exactly 32 bytes");
    assert_null(strstr(test->err.text, "secret"));
}

static void a_missing_setting_is_named(void **state)
{
    struct test *test = *state;

    unsetenv("DOCKET_POSTGRES_URL");
    assert_refused(test, CONFIG_WORKER, NULL,
                   "DOCKET_POSTGRES_URL is required: PostgreSQL connection URL (libpq)");
}

static void what_a_program_may_be_without_is_asked_for_when_it_is_needed(void **state)
{
    struct test *test = *state;
    _cleanup_(config_freep) struct config *config = NULL;

    unsetenv("DOCKET_POSTGRES_URL");
    assert_int_equal(load(test, CONFIG_CTL, NULL, &config), 0);
    assert_null(config->postgres_url);
    assert_int_equal(config_require(config->kafka_brokers, "DOCKET_KAFKA_BROKERS", &test->err), 0);
    assert_int_equal(config_require(config->postgres_url, "DOCKET_POSTGRES_URL", &test->err), -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "DOCKET_POSTGRES_URL is required: PostgreSQL connection URL (libpq)"));
}

static void a_wrong_line_of_the_file_is_named(void **state)
{
    struct test *test = *state;

    assert_refused(test, CONFIG_CTL, "\nDOCKET_CLUTSER=x\n",
                   ", line 2: there is no setting DOCKET_CLUTSER");
    assert_refused(test, CONFIG_CTL, "DOCKET_CLUSTER_X=x\n",
                   "there is no setting DOCKET_CLUSTER_X");
    assert_refused(test, CONFIG_CTL, "DOCKET_CLUSTER\n", ", line 1: not NAME=value");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct test *test = *state;
    struct config *config = NULL;

    assert_int_equal(config_load(CONFIG_CTL, "/nowhere", &config, &test->err), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text,
                        "the configuration file: cannot read /nowhere: No such file or directory");
    unsetenv("DOCKET_POSTGRES_URL");
    setenv("DOCKET_POSTGRES_URL_FILE", "/nowhere", 1);
    assert_refused(test, CONFIG_CTL, NULL, "DOCKET_POSTGRES_URL_FILE: cannot read /nowhere");
    setenv("DOCKET_POSTGRES_URL_FILE", "/", 1);
    assert_refused(test, CONFIG_CTL, NULL,
                   "DOCKET_POSTGRES_URL_FILE: / is no text of less than 1048576 bytes");
}

static void a_schedule_may_be_empty_and_has_at_most_64_waits(void **state)
{
    struct test *test = *state;
    struct config_schedule schedule = { .count = 7 };
    char *text = arena_alloc(test->arena, 3 * 65);

    assert_int_equal(config_parse_schedule("none", &schedule, &test->err), 0);
    assert_int_equal(schedule.count, 0);
    for (int i = 0; i < 65; i++)
        memcpy(text + (size_t)i * 3, "1s,", 3);
    text[64 * 3 - 1] = '\0';
    assert_int_equal(config_parse_schedule(text, &schedule, &test->err), 0);
    assert_int_equal(schedule.count, 64);
    text[64 * 3 - 1] = ',';
    text[65 * 3 - 1] = '\0';
    assert_int_equal(config_parse_schedule(text, &schedule, &test->err), -ERR_BAD_REQUEST);
    assert_int_equal(schedule.count, 64); /* untouched on failure */
}

static void main_goes_on_where_its_options_end(void **state)
{
    struct test *test = *state;
    char *const file = (char *)file_with(test, "DOCKET_LOG_LEVEL=error\n");
    char *argv[] = { (char *)"docketctl", (char *)"--config", file,
                     (char *)"migrate",   (char *)"--wait",   NULL };
    _cleanup_(config_freep) struct config *config = NULL;
    int rest = 0;

    assert_int_equal(config_main(CONFIG_CTL, "docketctl", "about", 5, argv, &rest, &config), 1);
    assert_string_equal(argv[rest], "migrate");
    assert_string_equal(config->log_level, "error");
    unlink(file);
}

static void a_token_that_ends_before_its_pause_is_a_gap(void **state)
{
    static const struct {
        usec_t token, pause;
        bool gap;
    } cases[] = {
        { 60 * 60 * USEC_PER_S, 7 * 24 * 60 * 60 * USEC_PER_S, true },
        { USEC_PER_S, 2 * USEC_PER_S, true },
        { USEC_PER_S, USEC_PER_S, false },
        { 2 * USEC_PER_S, USEC_PER_S, false },
        { 0, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct config config = { .reply_token_life = cases[i].token, .pause_life = cases[i].pause };

        assert_int_equal(config_has_token_life_gap(&config), cases[i].gap);
    }
}

static void only_who_takes_replies_or_pauses_is_warned_of_it(void **state)
{
    static const struct {
        int program;
        bool gap; /* of the defaults */
    } cases[] = { { CONFIG_API, true }, { CONFIG_CALLBACK, true }, { CONFIG_WORKER, true }, { CONFIG_CTL, false } };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(config_freep) struct config *config = NULL;

        assert_int_equal(load(test, cases[i].program, NULL, &config), 0);
        assert_int_equal(config_has_token_life_gap(config), cases[i].gap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(every_default_is_within_its_bounds_for_every_program),
        CONFIG_TEST(every_setting_has_help_a_reader_and_a_name_of_its_own),
        CONFIG_TEST(the_page_in_docs_is_what_the_table_says),
        CONFIG_TEST(help_shows_what_the_program_reads_and_nothing_else),
        CONFIG_TEST(each_type_is_read),
        CONFIG_TEST(what_a_program_does_not_read_is_neither_needed_nor_looked_at),
        CONFIG_TEST(what_a_program_may_be_without_is_read_when_it_is_there),
        CONFIG_TEST(the_environment_goes_before_the_named_file_before_the_file_before_the_default),
        CONFIG_TEST(what_is_not_allowed_is_refused_with_what_is),
        CONFIG_TEST(a_secret_is_never_told),
        CONFIG_TEST(a_missing_setting_is_named),
        CONFIG_TEST(what_a_program_may_be_without_is_asked_for_when_it_is_needed),
        CONFIG_TEST(a_wrong_line_of_the_file_is_named),
        CONFIG_TEST(a_file_that_cannot_be_read_is_named),
        CONFIG_TEST(a_schedule_may_be_empty_and_has_at_most_64_waits),
        CONFIG_TEST(main_goes_on_where_its_options_end),
        CONFIG_TEST(a_token_that_ends_before_its_pause_is_a_gap),
        CONFIG_TEST(only_who_takes_replies_or_pauses_is_warned_of_it),
    };

    return cmocka_run_group_tests_name("common/config", tests, NULL, NULL);
}
