#include "common/usec.h"

#include "tests/unit/test.h"

static const usec_t august = 1722523112499588; /* 2024-08-01T14:38:32.499588Z */

static void times_are_written_in_the_contract_s_three_forms(void **state)
{
    char text[USEC_TEXT_BYTES];

    (void)state;
    assert_string_equal(usec_format_z(august, text), "2024-08-01T14:38:32.499588Z");
    assert_string_equal(usec_format_offset(august, text), "2024-08-01T14:38:32.499588+00:00");
    assert_string_equal(usec_format_bare(august, text), "2024-08-01T14:38:32.499588");
    assert_string_equal(usec_format_bare(august - 499588, text),
                        "2024-08-01T14:38:32"); /* no fraction when 0 */
    assert_string_equal(usec_format_z(august - 499588, text), "2024-08-01T14:38:32.000000Z");
    assert_string_equal(usec_format_z(0, text), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(usec_format_z(-1, text), "1969-12-31T23:59:59.999999Z");
}

static void iso_8601_is_read(void **state)
{
    static const struct {
        const char *text;
        usec_t time;
    } rows[] = {
        { "2024-08-01T14:38:32.499588Z", 1722523112499588 },
        { "2024-08-01t14:38:32.499588z", 1722523112499588 },
        { "2024-08-01 14:38:32.499588", 1722523112499588 },
        { "2024-08-01T14:38:32.4995889999", 1722523112499588 },
        { "2024-08-01T14:38:32,4", 1722523112400000 },
        { "2024-08-01T16:38:32.499588+02:00", 1722523112499588 },
        { "2024-08-01T16:38:32.499588+0200", 1722523112499588 },
        { "2024-08-01T09:08:32.499588-05:30", 1722523112499588 },
        { "2024-08-01T16:38:32+02", 1722523112000000 },
        { "2024-08-01T14:38", 1722523080000000 },
        { "2024-08-01", 1722470400000000 },
        { "2024-02-29", 1709164800000000 },
        { "2000-02-29", 951782400000000 },
        { "1969-12-31T23:59:59.999999Z", -1 },
        { "0001-01-01", -62135596800000000 },
        { "9999-12-31T23:59:59.999999Z", 253402300799999999 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        usec_t time = 0;

        if (!usec_parse(rows[i].text, &time) || time != rows[i].time)
            fail_msg("%s is read as %lld", rows[i].text, (long long)time);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "2024",
        "2024-08",
        "24-08-01",
        "2024-8-1",
        "2024-00-01",
        "2024-13-01",
        "2024-08-00",
        "2024-08-32",
        "2023-02-29",
        "1900-02-29",
        "0000-01-01",
        "2024-08-01T",
        "2024-08-01T1",
        "2024-08-01T14",
        "2024-08-01T14:3",
        "2024-08-01T24:00",
        "2024-08-01T14:60",
        "2024-08-01T14:38:60",
        "2024-08-01T14:38:32.",
        "2024-08-01T14:38:32.Z",
        "2024-08-01T14:38:32ZZ",
        "2024-08-01T14:38:32+",
        "2024-08-01T14:38:32+24:00",
        "2024-08-01T14:38:32+02:60",
        "2024-08-01T14:38:32+02:",
        "2024-08-01T14:38:32 Z",
        "2024-08-01x",
        "2024-08-01Z",
        " 2024-08-01",
        "2024-08-01 ",
        "1722523112",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        usec_t time = 7;

        if (usec_parse(rows[i], &time))
            fail_msg("'%s' is read as %lld", rows[i], (long long)time);
        assert_true(time == 7); /* untouched on failure */
    }
}

static void what_is_written_is_read_as_the_same_time(void **state)
{
    (void)state;
    for (usec_t time = -62135596800000000; time < 253402300800000000;
         time += 86400000000 * 37 + 3661000001) {
        char text[USEC_TEXT_BYTES];
        usec_t back = 0;

        assert_true(usec_parse(usec_format_z(time, text), &back) && back == time);
        assert_true(usec_parse(usec_format_offset(time, text), &back) && back == time);
        assert_true(usec_parse(usec_format_bare(time, text), &back) && back == time);
    }
}

static void durations_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        usec_t duration;
    } rows[] = { { "0s", 0 },         { "250ms", 250000 },  { "5s", 5000000 },
                 { "5m", 300000000 }, { "2h", 7200000000 }, { "1d", 86400000000 } };
    static const char *const wrong[] = {
        "",    "5",    "s",    "5 s", "-5s", "+5s",          "5S",
        "5us", "5min", "1.5s", "5s ", " 5s", "10000000000s", "1000000000d"
    };
    usec_t duration = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(usec_parse_duration(rows[i].text, strlen(rows[i].text), &duration));
        assert_true(duration == rows[i].duration);
    }
    duration = 7;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (usec_parse_duration(wrong[i], strlen(wrong[i]), &duration))
            fail_msg("'%s' is read as %lld", wrong[i], (long long)duration);
    assert_true(duration == 7);                              /* untouched on failure */
    assert_true(usec_parse_duration("5s,5m", 2, &duration)); /* only as far as it was told */
    assert_true(duration == 5 * USEC_PER_S);
}

static void the_clocks_go_forward(void **state)
{
    usec_t wall = usec_now(), monotonic = usec_monotonic();

    (void)state;
    assert_true(wall > august);
    assert_true(usec_monotonic() >= monotonic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_in_the_contract_s_three_forms),
        cmocka_unit_test(iso_8601_is_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(what_is_written_is_read_as_the_same_time),
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(the_clocks_go_forward),
    };

    return cmocka_run_group_tests_name("common/usec", tests, NULL, NULL);
}
