#include "tests/unit/test.h"

#include "common/redis.c"

static bool parse(struct test *test, const char *url, struct redis_place *ret)
{
    return redis_place_parse(url, test->arena, ret, &test->err) == 0;
}

static void assert_texts(const char *actual, const char *expected)
{
    assert_int_equal(actual != NULL, expected != NULL);
    if (expected)
        assert_string_equal(actual, expected);
}

static void a_url_says_where_and_as_whom(void **state)
{
    static const struct {
        const char *url, *host, *user, *password, *database;
        int port;
    } rows[] = {
        { "redis://localhost", "localhost", NULL, NULL, NULL, 6379 },
        { "redis://127.0.0.1:7000/3", "127.0.0.1", NULL, NULL, "3", 7000 },
        { "redis://h/", "h", NULL, NULL, NULL, 6379 },
        { "redis://:secret@h:1/0", "h", NULL, "secret", "0", 1 },
        { "redis://secret@h", "h", NULL, "secret", NULL, 6379 },
        { "redis://me:p%40ss%3A@h", "h", "me", "p@ss:", NULL, 6379 },
        { "redis://me:a@b@h", "h", "me", "a@b", NULL, 6379 },
        { "redis://[::1]:6380/2", "::1", NULL, NULL, "2", 6380 },
        { "REDIS://[fe80::1]", "fe80::1", NULL, NULL, NULL, 6379 },
    };
    struct redis_place place;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(parse(*state, rows[i].url, &place));
        assert_texts(place.host, rows[i].host);
        assert_texts(place.user, rows[i].user);
        assert_texts(place.password, rows[i].password);
        assert_texts(place.database, rows[i].database);
        assert_int_equal(place.port, rows[i].port);
    }
    assert_true(parse(*state, "unix:///run/redis.sock", &place));
    assert_string_equal(place.path, "/run/redis.sock");
}

static void a_url_that_is_none_is_refused_without_being_shown(void **state)
{
    static const char *const urls[] = {
        "", "localhost:6379", "http://h", "redis://", "redis://:6379", "redis://h:port", "redis://h:70000",
        "redis://h/x", "redis://h/1?x=1", "redis://[::1", "redis://[::1]6379", "redis://a:%zz@h", "redis://a:%00@h",
        "redis://h?db=1", "unix://relative",
    };
    struct test *test = *state;
    struct redis *redis = NULL;
    struct redis_place place;

    for (size_t i = 0; i < COUNT_OF(urls); i++)
        assert_false(parse(test, urls[i], &place));
    assert_int_equal(redis_new("http://:hidden@h", USEC_PER_S, &redis, &test->err), -ERR_BAD_REQUEST);
    assert_null(redis);
    assert_null(strstr(test->err.text, "hidden"));
    assert_null(strstr(test->err.cause, "hidden"));
}

static void nobody_there_is_told_at_once(void **state)
{
    struct test *test = *state;
    _cleanup_(redis_freep) struct redis *redis = NULL;
    const struct redis_answer *answers;

    assert_int_equal(redis_new("redis://127.0.0.1:1", USEC_PER_S, &redis, &test->err), 0);
    assert_int_equal(redis_run(redis, &REDIS_COMMAND("PING"), 1, test->arena, &answers, &test->err),
                     -ERR_UNAVAILABLE);
    assert_string_equal(test->err.cause, "redis: no connection");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_url_says_where_and_as_whom),
        TEST(a_url_that_is_none_is_refused_without_being_shown),
        TEST(nobody_there_is_told_at_once),
    };

    return cmocka_run_group_tests_name("common/redis", tests, NULL, NULL);
}
