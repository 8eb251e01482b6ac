/*
 * test - what every unit test includes: cmocka and the headers that it wants before it, and an
 * arena and an error for each test, made by test_setup() and thrown away by test_teardown().
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/err.h"

/* One test with a fresh `struct test`. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_setup, test_teardown)

struct test {
    struct arena *arena;
    struct err err;
};

static inline int test_setup(void **state)
{
    struct test *test = test_calloc(1, sizeof(*test));

    test->arena = arena_new();
    *state = test;
    return 0;
}

static inline int test_teardown(void **state)
{
    struct test *test = *state;

    arena_free(test->arena);
    test_free(test);
    return 0;
}
