#include "api/csv.h"

#include "tests/unit/test.h"

static void cells_are_quoted_where_they_must_be_and_no_formulas(void **state)
{
    static const char *const cells[][2] = {
        { "plain", "plain" },
        { "", "" },
        { NULL, "" },
        { "a,b", "\"a,b\"" },
        { "say \"hi\"", "\"say \"\"hi\"\"\"" },
        { "two\nlines", "\"two\nlines\"" },
        { "=1+1", "'=1+1" },
        { "@SUM(A1)", "'@SUM(A1)" },
        { "-2", "'-2" },
        { "+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0" },
        { "=\"a\",1", "\"'=\"\"a\"\",1\"" },
        { "+15551234567", "+15551234567" },
        { "\tx", "'\tx" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cells); i++) {
        _cleanup_(buf_free) struct buf out = BUF_INIT(1000);

        csv_cell(&out, true, "first");
        csv_cell(&out, false, cells[i][0]);
        assert_int_equal(strncmp(out.data, "first,", 6), 0);
        assert_string_equal(out.data + 6, cells[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(cells_are_quoted_where_they_must_be_and_no_formulas) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
