#include "common/structured.h"

#include "tests/unit/test.h"

static struct record record_of(const char *value)
{
    return (struct record){ .key = "pri_1",
                            .key_length = 5,
                            .value = value,
                            .value_length = value ? strlen(value) : 0,
                            .header_count = 3,
                            .headers = { { "content-type", "application/json", 16 },
                                         { "ce_id", "pri_1.1", 7 },
                                         { "other", "x", 1 } } };
}

static const char *line_of(struct test *test, const struct record *record)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    structured_add(&out, record);
    assert_false(out.overflow);
    return arena_strndup(test->arena, out.data, out.length);
}

#define HEAD "{\"datacontenttype\":\"application/json\",\"id\":\"pri_1.1\",\"partitionkey\":\"pri_1\""

static void json_stands_as_it_stood(void **state)
{
    struct record record = record_of("{\"a\": 1.50, \"b\":[ ]}");

    assert_string_equal(line_of(*state, &record), HEAD ",\"data\":{\"a\": 1.50, \"b\":[ ]}}");
}

static void it_is_one_line(void **state)
{
    struct record record = record_of("{\n\"a\":\n\"x/y\"}");

    assert_string_equal(line_of(*state, &record), HEAD ",\"data\":{\"a\":\"x/y\"}}");
}

static void other_bytes_are_base64(void **state)
{
    static const char *const values[][2] = { { "hello", "aGVsbG8=" }, { "{} {}", "e30ge30=" },
                                             { "\"\xff\"", "Iv8i" },  { "", "" } };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct record record = record_of(values[i][0]);

        assert_string_equal(line_of(test, &record),
                            arena_printf(test->arena, "%s,\"data_base64\":\"%s\"}", HEAD, values[i][1]));
    }
}

static void a_tombstone_has_no_data(void **state)
{
    struct record record = record_of(NULL);

    assert_string_equal(line_of(*state, &record), HEAD "}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(json_stands_as_it_stood),
        TEST(it_is_one_line),
        TEST(other_bytes_are_base64),
        TEST(a_tombstone_has_no_data),
    };

    return cmocka_run_group_tests_name("common/structured", tests, NULL, NULL);
}
