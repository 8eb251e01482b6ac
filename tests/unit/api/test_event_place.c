#include "api/event_place.c"

#include "tests/unit/test.h"

#define TOPIC "docket.lifecycle"

static const char *text_of(struct test *test, const char *topic, const int64_t *offsets, int count)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(EVENT_PLACE_CHARS_MAX);
    const struct event_place place = { count, (int64_t *)(uintptr_t)offsets };

    event_place_add(&text, topic, &place);
    assert_false(text.overflow);
    return arena_strdup(test->arena, text.data);
}

static void what_is_written_is_read(void **state)
{
    static const int64_t offsets[] = { 0, 1, 127, 128, 16383, 16384, INT32_MAX, INT64_MAX };
    struct test *test = *state;
    struct event_place place;

    for (int count = 1; count <= (int)COUNT_OF(offsets); count++) {
        assert_true(event_place_read(text_of(test, TOPIC, offsets, count), TOPIC, test->arena, &place));
        assert_int_equal(place.count, count);
        assert_memory_equal(place.offsets, offsets, sizeof(*offsets) * (size_t)count);
    }
}

static void it_is_compact_and_fit_for_a_header_and_a_query(void **state)
{
    int64_t offsets[12];
    const char *text;

    for (int i = 0; i < 12; i++)
        offsets[i] = 1000000 + i;
    text = text_of(*state, TOPIC, offsets, 12);
    assert_in_range(strlen(text), 1, 60);
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), strlen(text));
}

static void as_many_partitions_as_a_topic_may_have_fit(void **state)
{
    struct test *test = *state;
    int64_t *offsets = arena_array(test->arena, int64_t, EVENT_PLACE_PARTITIONS_MAX);
    struct event_place place;

    for (int i = 0; i < EVENT_PLACE_PARTITIONS_MAX; i++)
        offsets[i] = INT64_MAX - i;
    assert_true(event_place_read(text_of(test, TOPIC, offsets, EVENT_PLACE_PARTITIONS_MAX), TOPIC, test->arena, &place));
    assert_int_equal(place.count, EVENT_PLACE_PARTITIONS_MAX);
}

static void each_character_that_is_changed_added_or_left_out_is_told(void **state)
{
    static const int64_t offsets[] = { 5, 300, 70000 };
    struct test *test = *state;
    const char *text = text_of(test, TOPIC, offsets, COUNT_OF(offsets));
    struct event_place place = { .count = 77 };
    char *changed = arena_strdup(test->arena, text);

    for (size_t i = 0; text[i]; i++) {
        changed[i] = text[i] == 'A' ? 'B' : 'A';
        assert_false(event_place_read(changed, TOPIC, test->arena, &place));
        assert_false(event_place_read(arena_strndup(test->arena, text, i), TOPIC, test->arena, &place));
        assert_false(event_place_read(text + i + 1, TOPIC, test->arena, &place));
        changed[i] = text[i];
    }
    assert_false(event_place_read(arena_printf(test->arena, "%sA", text), TOPIC, test->arena, &place));
    assert_false(event_place_read(arena_printf(test->arena, "%s=", text), TOPIC, test->arena, &place));
    assert_int_equal(place.count, 77); /* untouched on failure */
}

static void a_place_in_another_topic_is_none_here(void **state)
{
    static const int64_t offsets[] = { 5 };
    struct test *test = *state;
    struct event_place place;

    assert_false(event_place_read(text_of(test, "other.lifecycle", offsets, 1), TOPIC, test->arena, &place));
    assert_false(event_place_read(text_of(test, "docket.lifecycl", offsets, 1), TOPIC, test->arena, &place));
}

/* Bytes with a check that fits, as whoever knows the form can make them. */
static bool reads(struct test *test, const char *bytes, size_t length)
{
    uint8_t whole[64];
    char text[128];
    struct event_place place;

    memcpy(whole, bytes, length);
    check_make(TOPIC, whole, length, whole + length);
    sodium_bin2base64(text, sizeof(text), whole, length + CHECK_BYTES, VARIANT);
    return event_place_read(text, TOPIC, test->arena, &place);
}

#define READS(bytes) reads(*state, bytes, sizeof(bytes) - 1)

static void what_is_no_place_is_refused_though_its_check_fits(void **state)
{
    assert_true(READS("\1\1\5"));
    assert_false(READS(""));
    assert_false(READS("\1"));
    assert_false(READS("\2\1\5"));      /* another form */
    assert_false(READS("\1\0"));        /* no partition */
    assert_false(READS("\1\2\5"));      /* one too few */
    assert_false(READS("\1\1\5\5"));    /* one too many */
    assert_false(READS("\1\1\x85"));    /* cut amid a number */
    assert_false(READS("\1\1\x85\0"));  /* a longer form of a number */
    assert_false(READS("\1\x91\x4e\0"));                                 /* more than 10,000 */
    assert_false(READS("\1\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")); /* beyond 63 bits */
    assert_true(READS("\1\1\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(it_is_compact_and_fit_for_a_header_and_a_query),
        TEST(as_many_partitions_as_a_topic_may_have_fit),
        TEST(each_character_that_is_changed_added_or_left_out_is_told),
        TEST(a_place_in_another_topic_is_none_here),
        TEST(what_is_no_place_is_refused_though_its_check_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
