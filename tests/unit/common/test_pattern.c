#include "tests/unit/test.h"

#include "common/pattern.h"

static void assert_match(struct test *test, const char *text, const char *subject, bool expected)
{
    const struct pattern *pattern;

    if (!pattern_compile(text, test->arena, &pattern))
        fail_msg("%s is not taken", text);
    if (pattern_matches(pattern, subject, strlen(subject)) != expected)
        fail_msg("%s should%s match %s", text, expected ? "" : " not", subject);
}

static void a_pattern_matches_what_it_says(void **state)
{
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } rows[] = {
        { "^a*$", "aaa", true },
        { "^a*$", "abc", false },
        { "^a*$", "", true },
        { "a+", "xxaayy", true }, /* it may stand anywhere */
        { "a+", "xxyy", false },
        { "^a", "ba", false },
        { "a$", "ab", false },
        { "a$", "ba", true },
        { "", "anything", true },
        { "^$", "", true },
        { "^$", "a", false },
        { "^ab?c$", "ac", true },
        { "^ab?c$", "abc", true },
        { "^ab?c$", "abbc", false },
        { "^[a-c]{2}$", "ab", true },
        { "^[a-c]{2}$", "abc", false },
        { "^[a-c]{2}$", "ad", false },
        { "^[a-c]{2,}$", "abcabc", true },
        { "^[a-c]{2,}$", "a", false },
        { "^[a-c]{1,3}$", "abc", true },
        { "^[a-c]{1,3}$", "abca", false },
        { "^[a-c]{0}x$", "x", true },
        { "^a*a$", "aaa", true }, /* what was taken too much is given back */
        { "^[a-z]*[0-9]$", "ab1", true },
        { "^[^/]+$", "a b", true },
        { "^[^/]+$", "a/b", false },
        { "^[^/]{3}$", "aéx", true }, /* characters, not bytes */
        { "^[^/]{3}$", "a\xf0\x9f\x98\x80x", true },
        { "^[^/]{4}$", "aéx", false },
        { "^[^/]*x$", "éé\xf0\x9f\x98\x80x", true },
        { "^[a-z]+$", "é", false },
        { "^1\\.0$", "1.0", true },
        { "^1\\.0$", "1x0", false },
        { "^[\\]\\-]+$", "]-", true },
        { "^[a-]+$", "a-a", true },
        { "^dlv_[0-9a-f]{4}$", "dlv_0a9f", true },
        { "^dlv_[0-9a-f]{4}$", "dlv_0a9g", false },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_match(*state, rows[i].pattern, rows[i].subject, rows[i].matches);
}

static void what_is_not_known_is_not_taken(void **state)
{
    static const char *const patterns[] = { "a|b", "(a)",    "a.b",   "\\d",   "[a",     "[]",    "[b-a]",   "a{2",
                                            "a{x}", "a{2,1}", "a{,2}", "*a",    "a**",    "a^",    "a$b",     "{2}",
                                            "]",    "é",      "[é]",   "[\\d]", "\\", "[a\\", "a{10001}", "a+?" };
    struct test *test = *state;
    const struct pattern *pattern;

    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        if (pattern_compile(patterns[i], test->arena, &pattern))
            fail_msg("%s is taken", patterns[i]);
}

static void a_pattern_too_long_is_not_taken(void **state)
{
    struct test *test = *state;
    const struct pattern *pattern;
    char text[66];

    memset(text, 'a', sizeof(text));
    text[64] = '\0';
    assert_true(pattern_compile(text, test->arena, &pattern));
    text[64] = 'a';
    text[65] = '\0';
    assert_false(pattern_compile(text, test->arena, &pattern));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pattern_matches_what_it_says),
        TEST(what_is_not_known_is_not_taken),
        TEST(a_pattern_too_long_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
