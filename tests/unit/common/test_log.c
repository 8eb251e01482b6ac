#include "common/log.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/test.h"

DEFINE_CLEANUP(json_object *, json_object_put)

/* Standard error goes into a pipe from begin() to end(), which returns what was written. */
static int pipe_out, saved_stderr;

static void begin(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_out = ends[0];
}

static const char *end(struct test *test)
{
    char *text = arena_alloc(test->arena, 16 * 1024);

    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    assert_true(read(pipe_out, text, 16 * 1024 - 1) >= 0);
    close(pipe_out);
    return text;
}

static json_object *parsed(const char *line)
{
    json_object *object = json_tokener_parse(line);

    assert_non_null(object);
    assert_int_equal(line[strlen(line) - 1], '\n');
    return object;
}

static const char *member(json_object *object, const char *name)
{
    return json_object_get_string(json_object_object_get(object, name));
}

static void a_line_is_one_object_with_its_time_first(void **state)
{
    struct test *test = *state;
    _cleanup_(json_object_putp) json_object *line = NULL;
    const char *text;

    log_setup("docket-test", LOG_INFO);
    begin();
    log_info("webhook.sent", log_id("request", "pri_1"), log_word("outcome", "succeeded"),
             log_number("attempt", -2), log_ms("took_ms", 1234567));
    text = end(test);
    line = parsed(text);
    assert_memory_equal(text, "{\"time\":\"", 9);
    assert_string_equal(member(line, "level"), "info");
    assert_string_equal(member(line, "program"), "docket-test");
    assert_string_equal(member(line, "event"), "webhook.sent");
    assert_string_equal(member(line, "request"), "pri_1");
    assert_string_equal(member(line, "outcome"), "succeeded");
    assert_non_null(strstr(text, "\"attempt\":-2,\"took_ms\":1234.567}\n"));
}

static void a_line_may_have_no_fields_and_a_field_no_value(void **state)
{
    struct test *test = *state;

    begin();
    log_warn("a.b");
    assert_non_null(
        strstr(end(test), "\"level\":\"warn\",\"program\":\"docket-test\",\"event\":\"a.b\"}\n"));
    begin();
    log_warn("a.b", log_id("id", NULL));
    assert_non_null(strstr(end(test), "\"id\":null}\n"));
}

static void lines_below_the_level_are_dropped(void **state)
{
    struct test *test = *state;

    log_setup("docket-test", LOG_WARN);
    begin();
    log_debug("a.b");
    log_info("a.b");
    assert_string_equal(end(test), "");
    begin();
    log_error("a.b");
    assert_string_not_equal(end(test), "");
    log_setup("docket-test", LOG_INFO);
}

static void texts_are_escaped_and_cut_between_characters(void **state)
{
    struct test *test = *state;
    _cleanup_(json_object_putp) json_object *line = NULL;
    char *wide = arena_alloc(test->arena, 1024);

    for (int i = 0; i < 500; i++)
        memcpy(wide + 2 * (size_t)i, "\xc3\xa9", 2);
    begin();
    log_info("a.b", log_word("cause", "\"x\"\n\x01"), log_id("id", wide), log_word("word", wide));
    line = parsed(end(test));
    assert_string_equal(member(line, "cause"), "\"x\"\n\x01");
    assert_int_equal(strlen(member(line, "id")), 128);
    assert_int_equal(strlen(member(line, "word")), 254); /* not 255: that is half an é */
}

static void a_field_that_does_not_fit_is_left_out_of_a_whole_line(void **state)
{
    struct test *test = *state;
    _cleanup_(json_object_putp) json_object *line = NULL;
    char *long_text = arena_alloc(test->arena, 256);
    const char *text;

    memset(long_text, 1, 255); /* six bytes each, when escaped */
    begin();
    log_info("a.b", log_word("one", long_text), log_word("two", long_text),
             log_word("three", long_text), log_number("four", 4));
    text = end(test);
    line = parsed(text);
    assert_in_range(strlen(text), 1024, 4096);
    assert_non_null(member(line, "two"));
    assert_null(member(line, "three"));
    assert_string_equal(member(line, "four"), "4");
}

static void an_error_shows_its_code_and_cause_but_not_its_text(void **state)
{
    struct test *test = *state;
    const char *text;

    err_set(&test->err, ERR_BAD_REQUEST, "a caller's value");
    begin();
    log_err("request.failed", &test->err, log_id("request", "pri_1"));
    text = end(test);
    assert_non_null(
        strstr(text, "\"code\":\"bad_request\",\"cause\":\"\",\"request\":\"pri_1\"}\n"));
    assert_null(strstr(text, "value"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_one_object_with_its_time_first),
        TEST(a_line_may_have_no_fields_and_a_field_no_value),
        TEST(lines_below_the_level_are_dropped),
        TEST(texts_are_escaped_and_cut_between_characters),
        TEST(a_field_that_does_not_fit_is_left_out_of_a_whole_line),
        TEST(an_error_shows_its_code_and_cause_but_not_its_text),
    };

    return cmocka_run_group_tests_name("common/log", tests, NULL, NULL);
}
