#include "common/arena.h"

#include "tests/unit/test.h"

static void memory_is_aligned_zeroed_and_apart(void **state)
{
    struct test *test = *state;
    unsigned char *before = NULL;

    for (size_t size = 0; size < 300; size++) {
        unsigned char *memory = arena_alloc(test->arena, size);

        assert_int_equal((uintptr_t)memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
        if (before && size > 1)
            assert_int_equal(before[size - 2], 0xff); /* the last byte of the one before */
        before = memory;
    }
}

static void a_large_piece_has_a_block_of_its_own(void **state)
{
    struct test *test = *state;
    char *small = arena_strdup(test->arena, "small"),
         *large = arena_alloc(test->arena, 1024 * 1024);

    memset(large, 'x', 1024 * 1024);
    assert_string_equal(small, "small");
}

static void cleared_memory_is_used_again_and_zeroed_again(void **state)
{
    struct test *test = *state;

    for (int turn = 0; turn < 3; turn++) {
        unsigned char *memory = arena_alloc(test->arena, 100);

        assert_int_equal(memory[99], 0);
        memset(memory, 0xff, 100);
        for (int i = 0; i < 1000; i++)
            memset(arena_alloc(test->arena, 500), 0xff, 500);
        arena_clear(test->arena);
    }
    arena_clear(test->arena); /* nothing in it: nothing happens */
}

static void texts_are_copies(void **state)
{
    struct test *test = *state;
    char text[] = "text";
    char *copy = arena_strdup(test->arena, text), *part = arena_strndup(test->arena, text, 2),
         *bytes = arena_memdup(test->arena, text, 2);

    text[0] = 'n';
    assert_string_equal(copy, "text");
    assert_string_equal(part, "te");
    assert_memory_equal(bytes, "te", 2);
    assert_null(arena_strdup(test->arena, NULL));
    assert_string_equal(arena_printf(test->arena, "%s.%d", "pri_1", 7), "pri_1.7");
    assert_string_equal(arena_printf(test->arena, "%s", ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_is_aligned_zeroed_and_apart),
        TEST(a_large_piece_has_a_block_of_its_own),
        TEST(cleared_memory_is_used_again_and_zeroed_again),
        TEST(texts_are_copies),
    };

    return cmocka_run_group_tests_name("common/arena", tests, NULL, NULL);
}
