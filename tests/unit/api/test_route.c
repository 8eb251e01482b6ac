#include "api/route.h"

#include <stdio.h>

#include "api/scope.h"
#include "tests/unit/test.h"

#define FOR_EACH_ROUTE(table, route) \
    for (const struct route_table *table = route_tables; table->routes; table++) \
        for (const struct api_route *route = table->routes; route->method; route++)

static void every_route_has_a_scope_that_exists_and_a_handler(void **state)
{
    (void)state;
    FOR_EACH_ROUTE(table, route)
    {
        assert_non_null(route->scope);
        assert_non_null(route->handler);
        assert_int_equal(route->path[0], '/');
        if (*route->scope && scope_parse(route->scope) < 0)
            fail_msg("%s %s needs %s, which is no scope", route->method, route->path, route->scope);
    }
}

/* A handler that never waits can't ask whether its caller is still who it was. */
static void what_is_prompt_needs_no_current_catalog(void **state)
{
    (void)state;
    FOR_EACH_ROUTE(table, route)
    {
        if (route->prompt && *route->scope)
            assert_true(route->optimistic);
    }
}

/* The path with every {part} as {}, so that two that match the same are the same text. */
static const char *shape(const struct api_route *route, char text[256])
{
    size_t length = 0;

    for (const char *at = route->path; *at; at++) {
        text[length++] = *at;
        if (*at == '{')
            at += strcspn(at, "}") - 1;
    }
    text[length] = '\0';
    return text;
}

static void no_route_is_there_twice(void **state)
{
    char a[256], b[256];

    (void)state;
    FOR_EACH_ROUTE(table, route)
    {
        int same = 0;

        FOR_EACH_ROUTE(other_table, other)
        {
            same += other_table->top == table->top && !strcmp(other->method, route->method) &&
                    !strcmp(shape(other, b), shape(route, a));
        }
        if (same > 1)
            fail_msg("%s %s is there %d times", route->method, route->path, same);
    }
}

/* A path that only `route` can match, as no word of another is "x1", "x2" ... */
static void sample(const struct api_route *route, const char *prefix, char text[512], int *params)
{
    size_t length = (size_t)snprintf(text, 512, "%s", prefix);

    *params = 0;
    for (const char *at = route->path; *at; at++) {
        if (*at != '{') {
            text[length++] = *at;
            continue;
        }
        length += (size_t)snprintf(text + length, 512 - length, "x%d", ++*params);
        at += strcspn(at, "}");
    }
    text[length] = '\0';
}

static void find_sample(const struct api_route *route, const char *prefix, const char *end,
                        struct arena *arena)
{
    struct route_match match;
    char path[512], name[16];
    int params;

    sample(route, prefix, path, &params);
    strcat(path, end);
    route_find(route->method, path, arena, &match);
    if (match.route != route)
        fail_msg("%s %s finds something else", route->method, path);
    assert_true(params <= API_PARAMS_MAX);
    for (int i = 0; i < params; i++) {
        snprintf(name, sizeof(name), "x%d", i + 1);
        assert_string_equal(match.params[i], name);
    }
}

static void every_route_is_found_with_its_parts_and_a_trailing_slash(void **state)
{
    struct test *test = *state;

    FOR_EACH_ROUTE(table, route)
    {
        find_sample(route, table->top ? "" : "/api/v1", "", test->arena);
        find_sample(route, table->top ? "" : "/v1", "/", test->arena);
    }
}

static const char *route_path(const char *method, const char *path, struct route_match *match,
                              struct arena *arena)
{
    route_find(method, path, arena, match);
    return match->route ? match->route->path : "";
}

static void a_word_is_preferred_and_gives_way_where_it_leads_nowhere(void **state)
{
    struct test *test = *state;
    struct route_match match;

    assert_string_equal(
        route_path("POST", "/api/v1/privacy-request/bulk/retry", &match, test->arena),
        "/privacy-request/bulk/retry");
    assert_string_equal(
        route_path("POST", "/api/v1/privacy-request/pri_1/retry", &match, test->arena),
        "/privacy-request/{id}/retry");
    assert_string_equal(route_path("GET", "/api/v1/privacy-request/bulk/log", &match, test->arena),
                        "/privacy-request/{id}/log");
    assert_string_equal(match.params[0], "bulk");
}

static void what_is_not_there_tells_which_methods_are(void **state)
{
    struct test *test = *state;
    struct route_match match;

    assert_string_equal(route_path("PATCH", "/api/v1/oauth/scope", &match, test->arena), "");
    assert_string_equal(match.allowed, "GET");
    assert_string_equal(route_path("GET", "/api/v1/nothing", &match, test->arena), "");
    assert_string_equal(match.allowed, "");
    assert_string_equal(route_path("GET", "/api/v1//oauth/scope", &match, test->arena), "");
    assert_string_equal(route_path("GET", "/oauth/scope", &match, test->arena), "");
    assert_string_equal(route_path("GET", "/api/v1/health", &match, test->arena), "");
    assert_string_equal(route_path("GET", "/", &match, test->arena), "");
    assert_string_equal(route_path("GET", "", &match, test->arena), "");
    assert_string_equal(
        route_path("GET", "/api/v1/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", &match, test->arena),
        "");
}

static void head_is_found_as_get(void **state)
{
    struct test *test = *state;
    struct route_match match;

    assert_string_equal(route_path("HEAD", "/health", &match, test->arena), "/health");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_has_a_scope_that_exists_and_a_handler),
        cmocka_unit_test(what_is_prompt_needs_no_current_catalog),
        cmocka_unit_test(no_route_is_there_twice),
        TEST(every_route_is_found_with_its_parts_and_a_trailing_slash),
        TEST(a_word_is_preferred_and_gives_way_where_it_leads_nowhere),
        TEST(what_is_not_there_tells_which_methods_are),
        TEST(head_is_found_as_get),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
