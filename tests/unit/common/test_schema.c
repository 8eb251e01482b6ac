#include "common/schema.h"

#include "tests/unit/test.h"

static const struct schema_loc body = { .name = "body" };

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(NULL) };
    (void)body;
    return cmocka_run_group_tests_name("common/schema", tests, NULL, NULL);
}
