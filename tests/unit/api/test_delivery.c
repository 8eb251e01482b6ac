#include "api/delivery.c"

#include "tests/unit/test.h"

static void a_cursor_tells_the_place_that_it_was_made_of(void **state)
{
    const struct delivery_place places[] = {
        { 0, "pri_1", "dlv_1" },
        { 1732509095000001, "pri_1f0c4a52-6f5e-4a0e-9d5b-0a5c2f1f7b3e", "dlv_0f1e2d3c4b5a69788796a5b4c3d2e1f0" },
        { TIME_MAX, "x", "y" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        struct delivery_place read;
        const char *cursor = delivery_cursor(test->arena, &places[i]);

        assert_int_equal(strspn(cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                         strlen(cursor));
        assert_true(delivery_cursor_read(test->arena, cursor, &read));
        assert_int_equal(read.created_at, places[i].created_at);
        assert_string_equal(read.request_id, places[i].request_id);
        assert_string_equal(read.id, places[i].id);
    }
}

static const char *encoded(struct arena *arena, const void *plain, size_t length)
{
    size_t size = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    return sodium_bin2base64(arena_alloc(arena, size), size, plain, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void what_is_no_cursor_is_none(void **state)
{
    static const char *const plains[] = {
        "", "1", "1 pri_1", "1 pri_1 ", "1  dlv_1", " pri_1 dlv_1", "1 pri_1 dlv_1 more", "x pri_1 dlv_1",
        "-1 pri_1 dlv_1", "99999999999999999 pri_1 dlv_1", "9999999999999999999999 pri_1 dlv_1",
        "1 pri_\xff dlv_1",
    };
    struct test *test = *state;
    struct delivery_place place = { .created_at = 7 };
    char *longest = arena_alloc(test->arena, CURSOR_CHARS_MAX + 2);

    for (size_t i = 0; i < COUNT_OF(plains); i++)
        if (delivery_cursor_read(test->arena, encoded(test->arena, plains[i], strlen(plains[i])), &place))
            fail_msg("'%s' was taken", plains[i]);
    assert_false(delivery_cursor_read(test->arena, encoded(test->arena, "1 pri_1 dlv\0_1", 14), &place));
    assert_false(delivery_cursor_read(test->arena, "not base64!", &place));
    assert_false(delivery_cursor_read(test->arena, "MSBwcmlfMSBkbHZfMQ==", &place)); /* padded */
    memset(longest, 'A', CURSOR_CHARS_MAX + 1);
    assert_false(delivery_cursor_read(test->arena, longest, &place));
    assert_int_equal(place.created_at, 7);
}

static void assert_shown(const char *bytes, size_t length, const char *expected)
{
    _cleanup_(json_object_putp) json_object *shown = delivery_answer_text(bytes, length);

    assert_string_equal(json_object_get_string(shown), expected);
}

static void an_answer_is_shown_as_text_whatever_it_is(void **state)
{
    (void)state;
    assert_shown("", 0, "");
    assert_shown("{\"a\":1}", 7, "{\"a\":1}");
    assert_shown("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    assert_shown("a\xff\xfe" "b", 4, "a" REPLACEMENT REPLACEMENT "b");
    assert_shown("a\xc3", 2, "a" REPLACEMENT);             /* ends within a character */
    assert_shown("\xc0\xaf", 2, REPLACEMENT REPLACEMENT); /* overlong */
    assert_shown("\xed\xa0\x80", 3, REPLACEMENT REPLACEMENT REPLACEMENT); /* a surrogate */
    assert_null(delivery_answer_text(NULL, 0));
}

static void a_long_answer_is_cut_between_characters(void **state)
{
    struct test *test = *state;
    char *bytes = arena_alloc(test->arena, DELIVERY_ANSWER_BYTES + 8);

    for (int shift = 0; shift < 3; shift++) {
        _cleanup_(json_object_putp) json_object *shown = NULL;

        memset(bytes, 'a', DELIVERY_ANSWER_BYTES);
        memcpy(bytes + DELIVERY_ANSWER_BYTES - shift, "\xe2\x82\xac more", 8);
        shown = delivery_answer_text(bytes, DELIVERY_ANSWER_BYTES + 8 - (size_t)shift);
        assert_int_equal(json_object_get_string_len(shown), DELIVERY_ANSWER_BYTES - shift);
    }
}

/* Every byte may be ill-formed, and then is three. */
static void the_longest_answer_is_shown_whole(void **state)
{
    struct test *test = *state;
    char *bytes = arena_alloc(test->arena, DELIVERY_ANSWER_BYTES);
    _cleanup_(json_object_putp) json_object *shown = NULL;

    memset(bytes, 0x80, DELIVERY_ANSWER_BYTES);
    shown = delivery_answer_text(bytes, DELIVERY_ANSWER_BYTES);
    assert_int_equal(json_object_get_string_len(shown), 3 * DELIVERY_ANSWER_BYTES);
}

static void a_filter_looks_further_than_a_page_but_not_far(void **state)
{
    static const char *wanted[] = { "held", NULL }, *endpoints[] = { "con_1", NULL };
    struct catalog catalog = { .connection_count = 10 };
    struct api_call call = { .catalog = &catalog };
    struct listing all = { .size = 50 }, held = { .size = 50, .states = wanted };

    (void)state;
    assert_int_equal(look_depth(&call, &all), 51);
    assert_int_equal(look_depth(&call, &held), LOOK_MAX / 10);
    held.connection_ids = endpoints;
    assert_int_equal(look_depth(&call, &held), LOOK_MAX);
    held.connection_ids = NULL;
    catalog.connection_count = LOOK_MAX;
    assert_int_equal(look_depth(&call, &held), 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cursor_tells_the_place_that_it_was_made_of),
        TEST(what_is_no_cursor_is_none),
        TEST(an_answer_is_shown_as_text_whatever_it_is),
        TEST(a_long_answer_is_cut_between_characters),
        TEST(the_longest_answer_is_shown_whole),
        TEST(a_filter_looks_further_than_a_page_but_not_far),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
