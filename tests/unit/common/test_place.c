#include "common/place.h"

#include "tests/unit/test.h"

static void a_place_is_read_as_it_was_printed(void **state)
{
    static const char *const wrong[] = { "", "a", "a/1", "/1/2", "a//2", "a/1/", "a/-1/2", "a/1/x", "a/1/2 ", "a/4294967296/1",
                                         "a/1/99999999999999999999" };
    struct place place = { "docket.callbacks", 7, 1234567890123 }, again;
    char text[PLACE_BYTES];

    (void)state;
    assert_string_equal(place_print(&place, text), "docket.callbacks/7/1234567890123");
    assert_true(place_parse(text, &again));
    assert_string_equal(again.topic, place.topic);
    assert_int_equal(again.partition, 7);
    assert_int_equal(again.offset, place.offset);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        if (place_parse(wrong[i], &again))
            fail_msg("%s is taken for a place", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_read_as_it_was_printed),
    };

    return cmocka_run_group_tests_name("common/place", tests, NULL, NULL);
}
