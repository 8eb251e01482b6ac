#include "tests/unit/test.h"

#include "worker/http.h"

/* No name at all: the resolver says so by itself. */
#define LONG_LABEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct config config = { .webhook_allow_http = true,
                                      .webhook_calls = 4,
                                      .webhook_timeout = 10 * USEC_PER_S,
                                      .webhook_connect_timeout = 10 * USEC_PER_S };

struct world {
    uv_loop_t loop;
    struct guard *guard;
    struct http *http;
    const char *outcome;
};

static void on_done(void *context, const struct http_answer *answer)
{
    struct world *world = context;

    world->outcome = answer->outcome;
}

static void world_open(struct world *world)
{
    struct err err;

    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(guard_new("127.0.0.0/8,::1/128", &world->guard, &err), 0);
    world->http = http_new(&world->loop, &config, world->guard);
}

static const char *post(struct world *world, const char *url)
{
    const struct http_request request = { .url = url, .body = "{}", .body_length = 2, .answer_bytes = 64 };

    world->outcome = NULL;
    http_post(world->http, &request, on_done, world);
    while (!world->outcome)
        uv_run(&world->loop, UV_RUN_ONCE);
    return world->outcome;
}

/* The loop has nothing left to wait for, or it would never come back. */
static void world_close(struct world *world)
{
    http_free(world->http);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_false(uv_loop_alive(&world->loop));
    assert_int_equal(uv_loop_close(&world->loop), 0);
    guard_free(world->guard);
}

static void nothing_is_left_of_a_name_that_was_looked_up_in_vain(void **state)
{
    struct world world = { 0 };

    (void)state;
    world_open(&world);
    assert_string_equal(post(&world, "http://" LONG_LABEL ".invalid/hook"), "dns_error");
    assert_string_equal(post(&world, "http://" LONG_LABEL ".invalid/hook"), "dns_error");
    world_close(&world);
}

static void nothing_is_left_of_a_name_that_was_found(void **state)
{
    struct world world = { 0 };

    (void)state;
    world_open(&world);
    assert_string_equal(post(&world, "http://localhost:1/hook"), "connection_refused");
    assert_string_equal(post(&world, "http://127.0.0.1:1/hook"), "connection_refused");
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_of_a_name_that_was_looked_up_in_vain),
        cmocka_unit_test(nothing_is_left_of_a_name_that_was_found),
    };

    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
