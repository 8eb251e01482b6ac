#include "worker/ctl/audit/sheet.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "common/schema.h"
#include "tests/unit/test.h"
#include "worker/ctl/audit/page.h"

static const struct sheet_column columns[] = {
    { "name", "name", SHEET_TEXT }, { "count", "how many", SHEET_COUNT }, { "took", "how long", SHEET_DURATION },
    { "due", "due", SHEET_TIME },
};

static void row(struct sheet_table *table, const char *name, int64_t count, usec_t took, usec_t due)
{
    struct sheet_cell *cells = sheet_row(table);

    cells[0].text = name;
    cells[1].number = count;
    cells[2].number = took;
    cells[3].number = due;
}

static struct sheet *sheet_of(struct test *test)
{
    struct sheet *sheet = sheet_new(test->arena, "A <title>", "docket.lifecycle");
    struct sheet_table *table;

    sheet->since = 1767312000 * USEC_PER_S;
    sheet->until = sheet->since + 86400 * USEC_PER_S;
    sheet->made_at = sheet->until;
    sheet_figure(sheet, "all", "all of them", 42);
    table = sheet_table(sheet, "things", "Things & more", "A \"note\".", columns, COUNT_OF(columns), 3);
    row(table, "plain", 4, 1500 * USEC_PER_MS, sheet->since);
    row(table, "=1+1,\"x\"<b>", 0, USEC_NONE, USEC_NONE);
    row(table, "\xc3\xa9t\xc3\xa9", 2, 90061 * USEC_PER_S, USEC_NONE);
    sheet_table(sheet, "none", "Nothing", NULL, columns, COUNT_OF(columns), 0);
    sheet_note(sheet, "That was <all>.");
    return sheet;
}

static const char *written(struct test *test, void (*write)(const struct sheet *, FILE *))
{
    char *text, *kept;
    size_t length;
    FILE *file = open_memstream(&text, &length);

    write(sheet_of(test), file);
    fclose(file);
    kept = arena_strdup(test->arena, text);
    free(text);
    return kept;
}

static void a_duration_is_told_in_its_two_largest_units(void **state)
{
    static const struct {
        usec_t duration;
        const char *text;
    } cases[] = {
        { 0, "0 ms" },
        { 999, "0 ms" },
        { 31 * USEC_PER_MS, "31 ms" },
        { USEC_PER_S, "1 s" },
        { 1500 * USEC_PER_MS, "1 s 500 ms" },
        { 61 * USEC_PER_S, "1 min 1 s" },
        { 3600 * USEC_PER_S, "1 h" },
        { 3605 * USEC_PER_S, "1 h" },
        { 7260 * USEC_PER_S, "2 h 1 min" },
        { (3 * 86400 + 4 * 3600 + 59) * USEC_PER_S, "3 d 4 h" },
        { USEC_NONE, "" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(sheet_duration(cases[i].duration, test->arena), cases[i].text);
}

static void csv_is_a_line_a_value_and_no_formula(void **state)
{
    assert_string_equal(written(*state, sheet_csv), "table,name,measure,value\r\n"
                                                    "figures,\"all\",all,42\r\n"
                                                    "things,\"plain\",count,4\r\n"
                                                    "things,\"plain\",took,1.500000\r\n"
                                                    "things,\"plain\",due,2026-01-02T00:00:00.000000Z\r\n"
                                                    "things,\"'=1+1,\"\"x\"\"<b>\",count,0\r\n"
                                                    "things,\"'=1+1,\"\"x\"\"<b>\",took,\r\n"
                                                    "things,\"'=1+1,\"\"x\"\"<b>\",due,\r\n"
                                                    "things,\"\xc3\xa9t\xc3\xa9\",count,2\r\n"
                                                    "things,\"\xc3\xa9t\xc3\xa9\",took,90061.000000\r\n"
                                                    "things,\"\xc3\xa9t\xc3\xa9\",due,\r\n");
}

static void json_has_every_value_under_its_column(void **state)
{
    _cleanup_(json_object_putp) json_object *whole = json_tokener_parse(written(*state, sheet_json));
    json_object *things = json_object_object_get(json_object_object_get(whole, "tables"), "things");

    assert_int_equal(json_object_get_int(json_object_object_get(json_object_object_get(whole, "figures"), "all")), 42);
    assert_int_equal(json_object_array_length(things), 3);
    assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(things, 0), JSON_C_TO_STRING_PLAIN),
                        "{\"name\":\"plain\",\"count\":4,\"took\":1.500000,\"due\":\"2026-01-02T00:00:00.000000Z\"}");
    assert_string_equal(schema_text(json_object_array_get_idx(things, 1), "name"), "=1+1,\"x\"<b>");
    assert_null(json_object_object_get(json_object_array_get_idx(things, 1), "took"));
    assert_string_equal(schema_text(whole, "since"), "2026-01-02T00:00:00.000000Z");
}

static void a_terminal_gets_columns_under_each_other(void **state)
{
    const char *text = written(*state, sheet_print);

    assert_non_null(strstr(text, "docket.lifecycle, 2026-01-02 00:00:00 to 2026-01-03 00:00:00\n"));
    assert_non_null(strstr(text, "          42  all of them\n"));
    assert_non_null(strstr(text, "\n  name         how many    how long                  due\n"
                                 "  plain               4  1 s 500 ms  2026-01-02 00:00:00\n"));
    assert_non_null(strstr(text, "\n  \xc3\xa9t\xc3\xa9                 2     1 d 1 h"));
    assert_non_null(strstr(text, "\nNothing\n  none\n"));
}

/* Whatever stands in a key of the configuration is text. */
static void a_page_is_whole_and_nothing_in_it_is_markup_of_others(void **state)
{
    const char *text = written(*state, page_write);

    assert_ptr_equal(strstr(text, "<!doctype html>"), text);
    assert_string_equal(text + strlen(text) - strlen("</html>\n"), "</html>\n");
    assert_non_null(strstr(text, "<title>A &lt;title&gt;</title>"));
    assert_non_null(strstr(text, "<h2>Things &amp; more</h2>"));
    assert_non_null(strstr(text, ">=1+1,&quot;x&quot;&lt;b&gt;<"));
    assert_null(strstr(text, "<b>"));
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "http:"));
    assert_non_null(strstr(text, "--part: 50%\">2<"));
    assert_non_null(strstr(text, "--part: 100%\">4<"));
    assert_non_null(strstr(text, "That was &lt;all&gt;."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_duration_is_told_in_its_two_largest_units),
        TEST(csv_is_a_line_a_value_and_no_formula),
        TEST(json_has_every_value_under_its_column),
        TEST(a_terminal_gets_columns_under_each_other),
        TEST(a_page_is_whole_and_nothing_in_it_is_markup_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
