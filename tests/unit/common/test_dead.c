#include "tests/unit/common/records.h"

#include <stdio.h>

#include "common/dead.h"

static void every_reason_has_a_word_that_leads_back(void **state)
{
    (void)state;
    for (int i = DEAD_NONE + 1; i < DEAD_REASONS; i++) {
        assert_int_equal(dead_parse(dead_word((enum dead_reason)i)), i);
        assert_true(*dead_help((enum dead_reason)i));
        assert_true(strspn(dead_word((enum dead_reason)i), "abcdefghijklmnopqrstuvwxyz_") ==
                    strlen(dead_word((enum dead_reason)i)));
    }
    assert_int_equal(dead_parse("none"), DEAD_NONE);
    assert_int_equal(dead_parse("no_such"), DEAD_NONE);
}

static void every_state_has_a_word_that_leads_back(void **state)
{
    enum dead_state found;

    (void)state;
    for (int i = 0; i < DEAD_STATES; i++) {
        assert_true(dead_state_parse(dead_state_word((enum dead_state)i), &found));
        assert_int_equal(found, i);
    }
    assert_false(dead_state_parse("gone", &found));
}

/* As a consumer would see what was written with these headers. */
static struct arrival written(rd_kafka_headers_t *headers, const char *value, struct arena *arena)
{
    struct record_header *list = arena_array(arena, struct record_header, rd_kafka_header_cnt(headers));
    struct arrival record = { .value = value, .length = value ? strlen(value) : 0, .headers = list };
    const void *bytes;
    const char *name;

    while (!rd_kafka_header_get_all(headers, (size_t)record.header_count, &name, &bytes,
                                    &list[record.header_count].length)) {
        list[record.header_count].name = arena_strdup(arena, name);
        list[record.header_count].value = bytes ? arena_memdup(arena, bytes, list[record.header_count].length + 1) : NULL;
        record.header_count++;
    }
    rd_kafka_headers_destroy(headers);
    return record;
}

static rd_kafka_headers_t *headers_of(const struct arrival *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);

    for (int i = 0; i < record->header_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
                            (ssize_t)record->headers[i].length);
    return headers;
}

static const struct dead_letter letter = { .reason = "bad_data",
                                           .place = "docket.callbacks/1/2",
                                           .time = 5 * USEC_PER_S,
                                           .detail = "webhook_id is missing" };

static void a_letter_is_the_record_with_more_headers_after_its_own(void **state)
{
    struct test *test = *state;
    struct sample sample;
    struct arrival dead, original;
    struct dead_letter read;
    rd_kafka_headers_t *headers;

    sample_reply(&sample);
    sample_add(&sample, "x", NULL);
    sample_add(&sample, "x", "");
    headers = headers_of(&sample.record);
    dead = written(dead_headers(headers, &letter), "{", test->arena);
    rd_kafka_headers_destroy(headers);
    assert_true(dead_read(&dead, test->arena, &original, &read));
    assert_int_equal(original.header_count, sample.record.header_count);
    assert_null(original.headers[original.header_count - 2].value);
    assert_non_null(original.headers[original.header_count - 1].value);
    assert_string_equal(read.reason, "bad_data");
    assert_string_equal(read.place, "docket.callbacks/1/2");
    assert_string_equal(read.detail, "webhook_id is missing");
    assert_int_equal(read.time, 5 * USEC_PER_S);
    assert_null(read.sqlstate);
    assert_null(read.lacks);
}

static void a_letter_about_a_letter_gives_back_the_letter(void **state)
{
    struct test *test = *state;
    struct dead_letter read, second = { .reason = "internal", .place = "docket.lifecycle/0/1", .sqlstate = "22021",
                                        .lacks = "key, headers and value" };
    struct arrival dead, original, innermost;
    rd_kafka_headers_t *first = dead_headers(NULL, &letter);

    dead = written(dead_headers(first, &second), "{}", test->arena);
    rd_kafka_headers_destroy(first);
    assert_true(dead_read(&dead, test->arena, &original, &read));
    assert_string_equal(read.reason, "internal");
    assert_string_equal(read.sqlstate, "22021");
    assert_string_equal(read.lacks, "key, headers and value");
    assert_null(read.detail); /* the other's is not its own */
    assert_int_equal(original.header_count, 4);
    assert_true(dead_read(&original, test->arena, &innermost, &read));
    assert_string_equal(read.reason, "bad_data");
    assert_int_equal(innermost.header_count, 0);
}

static void what_has_no_reason_or_place_is_no_letter(void **state)
{
    struct test *test = *state;
    struct dead_letter read;
    struct arrival original;
    struct sample sample;

    sample_reply(&sample);
    assert_false(dead_read(&sample.record, test->arena, &original, &read));
    sample_add(&sample, "docket_dead_reason", "x");
    assert_false(dead_read(&sample.record, test->arena, &original, &read));
    sample_add(&sample, "docket_dead_place", "y");
    assert_true(dead_read(&sample.record, test->arena, &original, &read));
    assert_int_equal(read.time, USEC_NONE);
}

static void a_note_is_read_as_it_was_written(void **state)
{
    struct test *test = *state;
    const struct dead_note note = { .of = 17,
                                    .state = DEAD_RETRIED,
                                    .time = 5 * USEC_PER_S,
                                    .by = "ann \"ops\"@host",
                                    .to = "docket.callbacks/1/9",
                                    .mended = "value,ce_time" };
    struct arrival record = written(dead_note_headers(&note), dead_note_value(&note, test->arena), test->arena);
    struct dead_note read;

    assert_string_equal(record.value, "{\"of\":17,\"state\":\"retried\",\"time\":\"1970-01-01T00:00:05.000000Z\","
                                      "\"by\":\"ann \\\"ops\\\"@host\",\"to\":\"docket.callbacks/1/9\","
                                      "\"mended\":\"value,ce_time\"}");
    assert_true(dead_note_read(&record, test->arena, &read));
    assert_int_equal(read.of, 17);
    assert_int_equal(read.state, DEAD_RETRIED);
    assert_int_equal(read.time, note.time);
    assert_string_equal(read.by, note.by);
    assert_string_equal(read.to, note.to);
    assert_string_equal(read.mended, note.mended);
}

static void what_is_no_note_is_none(void **state)
{
    static const char *const values[] = {
        "", "{", "[]", "{}", "{\"of\":\"1\"}", "{\"of\":1,\"state\":\"dropped\"}", "{\"of\":1,\"state\":7,\"time\":8}",
        "{\"of\":1,\"state\":\"open\",\"time\":\"2026-01-02T03:04:05Z\"}",
        "{\"of\":1,\"state\":\"dropped\",\"time\":\"noon\"}",
    };
    const struct dead_note note = { .of = 1, .state = DEAD_DROPPED, .by = "x" };
    struct test *test = *state;
    struct dead_note read;
    struct arrival record;
    rd_kafka_headers_t *headers = dead_note_headers(&note);

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        record = written(dead_note_headers(&note), values[i], test->arena);
        assert_false(dead_note_read(&record, test->arena, &read));
    }
    record = written(dead_headers(headers, &letter), dead_note_value(&note, test->arena), test->arena);
    rd_kafka_headers_destroy(headers);
    assert_false(dead_note_read(&record, test->arena, &read)); /* a dead note: somebody put one on another topic */
    record = (struct arrival){ .value = "{}", .length = 2 };
    assert_false(dead_note_read(&record, test->arena, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_word_that_leads_back),
        cmocka_unit_test(every_state_has_a_word_that_leads_back),
        TEST(a_letter_is_the_record_with_more_headers_after_its_own),
        TEST(a_letter_about_a_letter_gives_back_the_letter),
        TEST(what_has_no_reason_or_place_is_no_letter),
        TEST(a_note_is_read_as_it_was_written),
        TEST(what_is_no_note_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
