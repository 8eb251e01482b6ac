#include "common/chunk.h"

#include <stdlib.h>

#include "tests/unit/test.h"

static const struct rows_place place = { "pri_1", "access:shop:customer", "att_1", { { 7 } } };

static void add(struct buf *plain, const char *json)
{
    chunk_put(plain, json, json ? strlen(json) : 0);
}

static void a_value_is_its_length_plus_one_and_its_bytes(void **state)
{
    _cleanup_(buf_free) struct buf plain = BUF_INIT(1000);

    (void)state;
    add(&plain, "12");
    add(&plain, NULL);
    add(&plain, "");
    assert_int_equal(plain.length, 5);
    assert_memory_equal(plain.data, "\3" "12" "\0" "\1", 5);
}

static void lengths_of_every_size_come_back(void **state)
{
    static const size_t lengths[] = { 0, 1, 126, 127, 128, 16382, 16383, 16384, 2097151, 2097152, 3000000 };
    _cleanup_(buf_free) struct buf plain = BUF_INIT(CHUNK_PLAIN_MAX);
    const uint8_t *at, *end;
    struct rows_value value;
    char *text = calloc(1, 3000000);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        chunk_put(&plain, text, lengths[i]);
    at = (const uint8_t *)plain.data;
    end = at + plain.length;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        assert_true(chunk_get(&at, end, &value));
        assert_non_null(value.json);
        assert_int_equal(value.length, lengths[i]);
    }
    assert_ptr_equal(at, end);
    free(text);
}

static void bytes_that_are_no_value_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        { "", 0 },
        { "\3" "1", 2 },                 /* shorter than it says */
        { "\x80", 1 },                   /* a length without its end */
        { "\xff\xff\xff\xff\xff\1", 6 }, /* a length of six bytes */
        { "\xff\xff\xff\xff\x7f", 5 },   /* of five, and far more than there is */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const uint8_t *at = (const uint8_t *)cases[i].bytes, *begin = at;
        struct rows_value value = { "x", 1 };

        assert_false(chunk_get(&at, at + cases[i].length, &value));
        assert_ptr_equal(at, begin); /* untouched on failure */
        assert_string_equal(value.json, "x");
    }
}

static struct bytes closed(struct chunk_press *press, struct bytes plain, int number, struct test *test)
{
    struct bytes sealed;

    assert_int_equal(chunk_close(press, &place, number, plain, &sealed, &test->err), 0);
    return (struct bytes){ arena_memdup(test->arena, sealed.data, sealed.length), sealed.length };
}

static void what_is_closed_opens_again(void **state)
{
    _cleanup_(chunk_press_freep) struct chunk_press *press = chunk_press_new();
    static const size_t lengths[] = { 1, 1000, ROWS_CHUNK_BYTES, 3 * 1024 * 1024, 5 };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct bytes plain = { arena_alloc(test->arena, lengths[i]), lengths[i] }, sealed, opened;

        memset((void *)plain.data, (int)i + 1, lengths[i]);
        sealed = closed(press, plain, (int)i, test);
        assert_int_equal(chunk_open(press, &place, (int)i, sealed, &opened, &test->err), 0);
        assert_int_equal(opened.length, plain.length);
        assert_memory_equal(opened.data, plain.data, plain.length);
    }
}

static void a_chunk_opens_in_its_place_alone(void **state)
{
    _cleanup_(chunk_press_freep) struct chunk_press *press = chunk_press_new();
    struct test *test = *state;
    struct bytes sealed = closed(press, (struct bytes){ "rows", 4 }, 3, test), opened;
    struct rows_place task = place, attempt = place, key = place;

    task.task_id = "access:shop:order";
    attempt.attempt = "att_2";
    key.key.bytes[31] = 1;
    assert_int_equal(chunk_open(press, &place, 2, sealed, &opened, &test->err), -ERR_INTERNAL);
    assert_int_equal(chunk_open(press, &task, 3, sealed, &opened, &test->err), -ERR_INTERNAL);
    assert_int_equal(chunk_open(press, &attempt, 3, sealed, &opened, &test->err), -ERR_INTERNAL);
    assert_int_equal(chunk_open(press, &key, 3, sealed, &opened, &test->err), -ERR_INTERNAL);
    assert_int_equal(chunk_open(press, &place, 3, sealed, &opened, &test->err), 0);
}

static void a_chunk_that_was_changed_or_cut_does_not_open(void **state)
{
    _cleanup_(chunk_press_freep) struct chunk_press *press = chunk_press_new();
    struct test *test = *state;
    struct bytes sealed = closed(press, (struct bytes){ "rows", 4 }, 0, test), opened;
    uint8_t *bytes = (uint8_t *)sealed.data;

    for (size_t i = 0; i < sealed.length; i++) {
        bytes[i] ^= 1;
        assert_int_equal(chunk_open(press, &place, 0, sealed, &opened, &test->err), -ERR_INTERNAL);
        bytes[i] ^= 1;
        assert_int_equal(chunk_open(press, &place, 0, (struct bytes){ bytes, i }, &opened, &test->err),
                         -ERR_INTERNAL);
    }
    assert_int_equal(chunk_open(press, &place, 0, (struct bytes){ 0 }, &opened, &test->err), -ERR_INTERNAL);
}

/* Sealed with the right key and place, and still no chunk: a frame that claims more than a chunk may have, and none. */
static void what_would_unpack_to_too_much_is_refused_before(void **state)
{
    static const uint8_t huge[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0 };
    _cleanup_(chunk_press_freep) struct chunk_press *press = chunk_press_new();
    struct bytes cases[] = { { huge, sizeof(huge) }, { "no frame", 8 }, { "", 0 } }, opened;
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes sealed = seal_close(&place.key, "rows", "access:shop:customer.att_1.0", cases[i], test->arena);

        assert_int_equal(chunk_open(press, &place, 0, sealed, &opened, &test->err), -ERR_INTERNAL);
        assert_string_equal(test->err.cause, "rows: a chunk is no frame");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_its_length_plus_one_and_its_bytes),
        TEST(lengths_of_every_size_come_back),
        TEST(bytes_that_are_no_value_are_refused),
        TEST(what_is_closed_opens_again),
        TEST(a_chunk_opens_in_its_place_alone),
        TEST(a_chunk_that_was_changed_or_cut_does_not_open),
        TEST(what_would_unpack_to_too_much_is_refused_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
