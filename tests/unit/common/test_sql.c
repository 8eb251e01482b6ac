/* What cmake/sql.awk makes of sample.sql. */

#include "tests/unit/common/sample.sql.h"

#include "tests/unit/test.h"

static void a_block_becomes_its_name_and_its_text_as_it_stands(void **state)
{
    (void)state;
    assert_string_equal(SQL_sample_escapes.name, "sample_escapes");
    assert_string_equal(SQL_sample_escapes.text,
                        "select '\\x00', E'a\\nb', \"Column\"  -- but not the end of a line\n"
                        "from   \"Table\" where a = '%s';\n");
    assert_string_equal(SQL_sample_last.name, "sample_last");
    assert_string_equal(SQL_sample_last.text, "select 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_becomes_its_name_and_its_text_as_it_stands),
    };

    return cmocka_run_group_tests_name("common/sql", tests, NULL, NULL);
}
