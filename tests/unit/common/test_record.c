#include "common/record.h"

#include "tests/unit/test.h"

#define CHAIN "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

static struct record record_of(const char *const (*headers)[2], int count)
{
    struct record record = { .header_count = count };

    for (int i = 0; i < count; i++)
        record.headers[i] = (struct record_header){ headers[i][0], headers[i][1], strlen(headers[i][1]) };
    return record;
}

static void headers_are_found_in_any_order(void **state)
{
    static const char *const headers[][2] = {
        { "ce_chain", CHAIN },
        { "ce_id", "pri_1.12" },
        { "ce_sequence", "00000000000000000012" },
        { "content-type", "application/json" },
    };
    struct record record = record_of(headers, COUNT_OF(headers));
    struct record_event event;

    (void)state;
    record_event(&record, &event);
    assert_string_equal(event.attributes[RECORD_ID], "pri_1.12");
    assert_string_equal(event.attributes[RECORD_CONTENT_TYPE], "application/json");
    assert_null(event.attributes[RECORD_SOURCE]);
    assert_int_equal(event.sequence, 12);
    assert_true(event.has_chain);
    assert_int_equal(event.chain[1], 0x11);
    assert_int_equal(event.chain[31], 0xef);
    assert_null(event.unknown);
    assert_null(event.doubled);
}

static void a_number_or_a_chain_of_another_form_is_none(void **state)
{
    static const char *const sequences[] = { "", "12", "0000000000000000000x", "00000000000000000000",
                                             "10000000000000000000", "-0000000000000000001",
                                             "000000000000000000012", "09999999999999999999" };
    static const char *const chains[] = { "", "00", CHAIN "0", "0011223344556677889" CHAIN,
                                          "00112233445566778899AABBCCDDEEFF0123456789abcdef0123456789abcdef" };
    struct record_event event;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sequences); i++) {
        const char *const headers[][2] = { { "ce_sequence", sequences[i] } };
        struct record record = record_of(headers, 1);

        record_event(&record, &event);
        assert_int_equal(event.sequence, 0);
        assert_non_null(event.attributes[RECORD_SEQUENCE]);
    }
    for (size_t i = 0; i < COUNT_OF(chains); i++) {
        const char *const headers[][2] = { { "ce_chain", chains[i] } };
        struct record record = record_of(headers, 1);

        record_event(&record, &event);
        assert_false(event.has_chain);
    }
}

static void what_does_not_belong_there_is_told(void **state)
{
    static const char *const stranger[][2] = { { "ce_id", "a.1" }, { "ce_Id", "b.2" } };
    static const char *const twice[][2] = { { "ce_id", "a.1" }, { "ce_type", "x" }, { "ce_id", "a.1" } };
    struct record record = record_of(stranger, 2);
    struct record_event event;

    (void)state;
    record_event(&record, &event);
    assert_string_equal(event.unknown, "ce_Id");
    assert_string_equal(event.attributes[RECORD_ID], "a.1");
    record = record_of(twice, 3);
    record_event(&record, &event);
    assert_string_equal(event.doubled, "ce_id");
    record = record_of(stranger, 1);
    record.headers[0] = (struct record_header){ "ce_id", "a\0b", 3 };
    record_event(&record, &event);
    assert_string_equal(event.doubled, "ce_id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(headers_are_found_in_any_order),
        TEST(a_number_or_a_chain_of_another_form_is_none),
        TEST(what_does_not_belong_there_is_told),
    };

    return cmocka_run_group_tests_name("common/record", tests, NULL, NULL);
}
