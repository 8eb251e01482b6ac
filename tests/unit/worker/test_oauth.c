#include "tests/unit/test.h"

#include "worker/oauth.c"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

static bool read_text(struct test *test, const char *body, struct token_answer *ret)
{
    return token_read(body, strlen(body), test->arena, ret);
}

static void a_token_lives_as_long_as_it_says_within_bounds(void **state)
{
    static const struct {
        const char *body;
        int life_s;
    } rows[] = {
        { "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":3600}", HOUR_S },
        { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":60}\n", MINUTE_S },
        { "{\"access_token\":\"t\"}", OAUTH_LIFE_S },
        { "{\"access_token\":\"t\",\"expires_in\":null}", OAUTH_LIFE_S },
        { "{\"access_token\":\"t\",\"expires_in\":\"3600\"}", HOUR_S },
        { "{\"access_token\":\"t\",\"expires_in\":\"soon\"}", OAUTH_LIFE_S },
        { "{\"access_token\":\"t\",\"expires_in\":\"\"}", OAUTH_LIFE_S },
        { "{\"access_token\":\"t\",\"expires_in\":{}}", OAUTH_LIFE_S },
        { "{\"access_token\":\"t\",\"expires_in\":3600.0}", HOUR_S },
        { "{\"access_token\":\"t\",\"expires_in\":0}", 0 },
        { "{\"access_token\":\"t\",\"expires_in\":-5}", 0 },
        { "{\"access_token\":\"t\",\"expires_in\":1e300}", DAY_S },
        { "{\"access_token\":\"t\",\"expires_in\":99999999999999999999}", DAY_S },
    };
    struct token_answer answer;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(read_text(*state, rows[i].body, &answer));
        assert_string_equal(answer.token, "t");
        assert_int_equal(answer.life, rows[i].life_s * USEC_PER_S);
    }
}

static void what_is_no_token_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "\"t\"",
        "12",
        "{}",
        "<html></html>",
        "access_token=t",
        "{\"access_token\":\"t\"",
        "{\"access_token\":\"t\"} and more",
        "{\"access_token\":\"t\"}{}",
        "{\"access_token\":\"\"}",
        "{\"access_token\":null}",
        "{\"access_token\":17}",
        "{\"access_token\":[\"t\"]}",
        "{\"access_token\":\"a b\"}",
        "{\"access_token\":\"t\\r\\nHost: elsewhere\"}",
        "{\"access_token\":\"t\\u0000\"}",
        "{\"access_token\":\"t\\u00e9\"}",
        "{\"access_token\":\"t\",\"token_type\":\"mac\"}",
        "{\"error\":\"invalid_client\"}",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}},\"access_token\":\"t\"}",
    };
    struct token_answer answer = { .token = "untouched" };

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        assert_false(read_text(*state, bodies[i], &answer));
        assert_string_equal(answer.token, "untouched");
    }
    assert_false(token_read("{\"access_token\":\"t\"}\0{}", 23, ((struct test *)*state)->arena, &answer));
    assert_false(token_read(NULL, 0, ((struct test *)*state)->arena, &answer));
}

static void the_longest_token_is_taken_and_a_longer_one_is_not(void **state)
{
    struct test *test = *state;
    char *long_one = arena_alloc(test->arena, OAUTH_TOKEN_BYTES + 2);
    struct token_answer answer;

    memset(long_one, 'x', OAUTH_TOKEN_BYTES);
    assert_true(read_text(test, arena_printf(test->arena, "{\"access_token\":\"%s\"}", long_one), &answer));
    long_one[OAUTH_TOKEN_BYTES] = 'x';
    assert_false(read_text(test, arena_printf(test->arena, "{\"access_token\":\"%s\"}", long_one), &answer));
}

static void a_token_is_used_until_shortly_before_its_end(void **state)
{
    (void)state;
    assert_int_equal(use_for(HOUR_S * USEC_PER_S), (HOUR_S - OAUTH_MARGIN_S) * USEC_PER_S);
    assert_int_equal(use_for(MINUTE_S * USEC_PER_S), 54 * USEC_PER_S);
    assert_int_equal(use_for(0), 0);
}

static void scopes_are_compared_as_sets(void **state)
{
    static const struct {
        const char *scope, *other, *less;
        int count;
    } rows[] = {
        { "a b", "b a", "", 0 },       { "a b c", "b", "a c", 2 },   { "", "a", "", 0 },
        { "a", "", "a", 1 },           { " a  b ", "b  a", "", 0 },  { "read", "readwrite", "read", 1 },
        { "readwrite", "read", "readwrite", 1 },
    };
    int count;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(scope_less(rows[i].scope, rows[i].other, ((struct test *)*state)->arena, &count),
                            rows[i].less);
        assert_int_equal(count, rows[i].count);
    }
}

static void id_and_secret_are_form_encoded_before_base64(void **state)
{
    static const struct {
        const char *id, *secret, *header;
    } rows[] = {
        { "id", "secret", "Authorization: Basic aWQ6c2VjcmV0" },
        /* a%3Ab:c+%2F%25 */
        { "a:b", "c /%", "Authorization: Basic YSUzQWI6YyslMkYlMjU=" },
        /* %C3%A9: */
        { "\xc3\xa9", "", "Authorization: Basic JUMzJUE5Og==" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct catalog_oauth oauth = { .client_id = rows[i].id, .client_secret = rows[i].secret };

        assert_string_equal(basic_header(&oauth, ((struct test *)*state)->arena), rows[i].header);
    }
}

static void a_scope_is_sent_when_there_is_one(void **state)
{
    struct arena *arena = ((struct test *)*state)->arena;

    assert_string_equal(form_body(&(struct catalog_oauth){ 0 }, arena), "grant_type=client_credentials");
    assert_string_equal(form_body(&(struct catalog_oauth){ .scope = "" }, arena), "grant_type=client_credentials");
    assert_string_equal(form_body(&(struct catalog_oauth){ .scope = "a:read b&c" }, arena),
                        "grant_type=client_credentials&scope=a%3Aread+b%26c");
}

static void another_configuration_is_another_token(void **state)
{
    struct catalog_oauth oauth = { "https://t", "a", "id", "secret" }, changed[] = {
        { "https://u", "a", "id", "secret" }, { "https://t", "b", "id", "secret" },
        { "https://t", "a", "ie", "secret" }, { "https://t", "a", "id", "secreu" },
        { "https://t", "ai", "d", "secret" }, { "https://t", NULL, "id", "secret" },
    };
    struct catalog_connection connection = { .id = "con_1", .oauth = &oauth };
    char name[NAME_BYTES], other[NAME_BYTES];

    (void)state;
    entry_name(&connection, name);
    assert_non_null(strstr(name, "con_1:"));
    assert_null(strstr(name, "secret"));
    for (size_t i = 0; i < COUNT_OF(changed); i++) {
        connection.oauth = &changed[i];
        entry_name(&connection, other);
        assert_string_not_equal(name, other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_lives_as_long_as_it_says_within_bounds),
        TEST(what_is_no_token_is_refused),
        TEST(the_longest_token_is_taken_and_a_longer_one_is_not),
        TEST(a_token_is_used_until_shortly_before_its_end),
        TEST(scopes_are_compared_as_sets),
        TEST(id_and_secret_are_form_encoded_before_base64),
        TEST(a_scope_is_sent_when_there_is_one),
        TEST(another_configuration_is_another_token),
    };

    return cmocka_run_group_tests_name("worker/oauth", tests, NULL, NULL);
}
