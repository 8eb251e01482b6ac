#include "worker/ctl/audit/finding.h"

#include <stdlib.h>

#include "common/buf.h"
#include "tests/unit/test.h"

static void file_read(const char *path, struct buf *ret)
{
    char block[4096];
    size_t length;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    while ((length = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(ret, block, length);
    fclose(file);
}

static void the_page_for_auditors_has_every_kind_as_it_is_told(void **state)
{
    struct test *test = *state;
    _cleanup_(buf_free) struct buf page = BUF_INIT(1024 * 1024);

    file_read(SOURCE_DIR "/docs/audit.md", &page);
    for (int kind = 0; kind < FINDING_KINDS; kind++) {
        const char *row = arena_printf(test->arena, "\n| `%s` | %s |\n", finding_word(kind), finding_means(kind));

        if (!strstr(page.data, row))
            fail_msg("docs/audit.md lacks%s", row);
    }
}

/* What was told, as text. */
static const char *told(struct test *test, bool json, const struct finding_place *place, const char *text)
{
    char *bytes = NULL;
    const char *kept;
    size_t length;
    struct findings findings = { .out = open_memstream(&bytes, &length), .json = json };

    if (text)
        finding_tell(&findings, FINDING_REMOVED, place, "%s", text);
    else
        finding_tell(&findings, FINDING_REMOVED, place, NULL);
    fclose(findings.out);
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.counts[FINDING_REMOVED], 1);
    kept = arena_strdup(test->arena, bytes);
    free(bytes);
    return kept;
}

static void a_finding_says_what_is_known_of_its_place_and_nothing_else(void **state)
{
    struct test *test = *state;
    struct finding_place place = FINDING_NOWHERE;

    assert_string_equal(told(test, true, &place, NULL),
                        "{\"finding\":\"removed\",\"text\":\"events of a request are missing\"}\n");
    place.topic = "lifecycle";
    place.partition = 2;
    place.offset = 17;
    place.id = "pri_1";
    place.seq = 3;
    place.until = 4;
    place.checkpoint = 5;
    assert_string_equal(told(test, true, &place, "gone"),
                        "{\"finding\":\"removed\",\"topic\":\"lifecycle\",\"request\":\"pri_1\",\"sequence\":3,\"until\":4,"
                        "\"partition\":2,\"offset\":17,\"checkpoint\":5,\"text\":\"gone\"}\n");
    assert_string_equal(told(test, false, &place, "gone"),
                        "removed               pri_1 events 3 to 4, lifecycle partition 2 offset 17, checkpoint 5: gone\n");
}

static void a_terminal_is_told_nothing_by_what_stands_in_a_record(void **state)
{
    struct test *test = *state;
    struct finding_place place = FINDING_NOWHERE;

    place.field = "ce_\033[2J";
    assert_null(strchr(told(test, false, &place, NULL), '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_for_auditors_has_every_kind_as_it_is_told),
        TEST(a_finding_says_what_is_known_of_its_place_and_nothing_else),
        TEST(a_terminal_is_told_nothing_by_what_stands_in_a_record),
    };

    return cmocka_run_group_tests_name("ctl/finding", tests, NULL, NULL);
}
