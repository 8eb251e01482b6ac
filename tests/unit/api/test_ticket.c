#include "api/ticket.h"

#include <sodium.h>

#include "tests/unit/test.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define OTHER_KEY "0123456789abcdef0123456789abcdeF"
#define END (1000 * USEC_PER_S)

static const char *make(struct test *test)
{
    return ticket_make(KEY, &(struct ticket){ "pri_1", "rule.key", END }, test->arena);
}

static int open_at(struct test *test, const char *token, usec_t now, struct ticket *ret)
{
    return ticket_open(KEY, token, now, test->arena, ret, &test->err);
}

static void a_ticket_says_what_it_was_made_for_until_it_ends(void **state)
{
    struct test *test = *state;
    struct ticket ticket = { 0 };

    assert_int_equal(open_at(test, make(test), END - 1, &ticket), 0);
    assert_string_equal(ticket.request_id, "pri_1");
    assert_string_equal(ticket.rule_key, "rule.key");
    assert_int_equal(ticket.ends_at, END);
    assert_int_equal(open_at(test, make(test), END, &ticket), -ERR_GONE);
    assert_string_equal(test->err.text, "This link has ended.");
}

static void another_key_s_ticket_is_not_valid(void **state)
{
    struct test *test = *state;
    struct ticket ticket = { 0 };

    assert_int_equal(ticket_open(OTHER_KEY, make(test), 0, test->arena, &ticket, &test->err), -ERR_FORBIDDEN);
    assert_string_equal(test->err.text, "This link is not valid.");
    assert_null(ticket.request_id);
}

/* Every bit of it counts. */
static void a_ticket_that_was_changed_anywhere_is_not_valid(void **state)
{
    struct test *test = *state;
    const char *token = make(test);
    struct ticket ticket;

    for (size_t i = 0; i < strlen(token) - 1; i++) {
        char *changed = arena_strdup(test->arena, token);

        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(open_at(test, changed, 0, &ticket), -ERR_FORBIDDEN);
    }
}

static void what_is_no_ticket_is_not_valid(void **state)
{
    struct test *test = *state;
    char *tokens[] = { arena_strdup(test->arena, ""), arena_strdup(test->arena, "x"),
                       arena_strdup(test->arena, "not base64!"), arena_strndup(test->arena, make(test), 40),
                       arena_alloc(test->arena, 5000) };
    struct ticket ticket;

    memset(tokens[4], 'A', 4999);
    for (size_t i = 0; i < COUNT_OF(tokens); i++)
        assert_int_equal(open_at(test, tokens[i], 0, &ticket), -ERR_FORBIDDEN);
    assert_int_equal(open_at(test, arena_printf(test->arena, "%s%s", make(test), "AAAA"), 0, &ticket), -ERR_FORBIDDEN);
}

/* A path has it as it is. */
static void a_ticket_is_one_segment_of_a_path(void **state)
{
    struct test *test = *state;
    const char *token = make(test);

    assert_int_equal(strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), strlen(token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ticket_says_what_it_was_made_for_until_it_ends),
        TEST(another_key_s_ticket_is_not_valid),
        TEST(a_ticket_that_was_changed_anywhere_is_not_valid),
        TEST(what_is_no_ticket_is_not_valid),
        TEST(a_ticket_is_one_segment_of_a_path),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
