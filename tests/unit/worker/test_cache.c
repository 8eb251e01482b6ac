#include "tests/unit/test.h"

#include <netinet/in.h>

#include "worker/cache.c"

/* A Redis on the same loop: answers each PING, and what else it gets as it is told. */
struct server {
    uv_loop_t loop;
    uv_tcp_t listener, peer;
    const char *answer; /* NULL: none */
    struct config config;
    char url[64];
    struct cache *cache;
    int answers;
    bool nothing; /* the last one was NULL */
};

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char bytes[65536];

    (void)handle;
    (void)size;
    *buf = uv_buf_init(bytes, sizeof(bytes));
}

static const char *find(const char *at, const char *end, const char *command)
{
    return memmem(at, (size_t)(end - at), command, strlen(command));
}

static void answer(struct server *server, const char *text)
{
    uv_buf_t out = uv_buf_init((char *)(uintptr_t)text, text ? (unsigned)strlen(text) : 0);

    if (text)
        assert_int_equal(uv_try_write((uv_stream_t *)&server->peer, &out, 1), (int)out.len);
}

static void on_command(uv_stream_t *peer, ssize_t length, const uv_buf_t *buf)
{
    struct server *server = peer->data;
    static const char commands[][8] = { "SELECT", "GET", "PING" };

    if (length < 0) {
        uv_close((uv_handle_t *)peer, NULL);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        for (const char *at = buf->base; (at = find(at, buf->base + length, commands[i])); at++)
            answer(server, !strcmp(commands[i], "PING") ? "+PONG\r\n" : server->answer);
}

static void on_caller(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;

    assert_int_equal(status, 0);
    uv_tcp_init(&server->loop, &server->peer);
    server->peer.data = server;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&server->peer), 0);
    uv_read_start((uv_stream_t *)&server->peer, on_alloc, on_command);
}

static int server_setup(void **state)
{
    struct server *server = test_calloc(1, sizeof(*server));
    struct sockaddr_in address;
    int length = sizeof(address);
    struct err err;

    uv_loop_init(&server->loop);
    uv_tcp_init(&server->loop, &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&server->listener, 8, on_caller);
    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length);
    snprintf(server->url, sizeof(server->url), "redis://127.0.0.1:%d/2", ntohs(address.sin_port));
    server->config.redis_url = server->url;
    server->config.topic_prefix = "docket";
    server->answer = "+OK\r\n";
    *state = server;
    return cache_new(&server->loop, &server->config, &server->cache, &err);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int server_teardown(void **state)
{
    struct server *server = *state;

    cache_free(server->cache);
    uv_walk(&server->loop, close_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&server->loop), 0);
    test_free(server);
    return 0;
}

static void on_done(void *context, const redisReply *reply)
{
    struct server *server = context;

    server->answers++;
    server->nothing = !reply;
}

static void run_get(struct server *server)
{
    cache_run(server->cache, 2, (const char *[]){ "GET", "k" }, NULL, on_done, server);
}

static void turn_until(struct server *server, bool up, int answers)
{
    usec_t end = usec_monotonic() + 5 * USEC_PER_S;

    while ((cache_is_up(server->cache) != up || server->answers < answers) && usec_monotonic() < end)
        uv_run(&server->loop, UV_RUN_ONCE);
    assert_int_equal(cache_is_up(server->cache), up);
    assert_int_equal(server->answers, answers);
}

static void nothing_is_asked_before_it_is_there(void **state)
{
    struct server *server = *state;

    run_get(server);
    assert_int_equal(server->answers, 1);
    assert_true(server->nothing);
}

static void a_command_is_answered_by_redis(void **state)
{
    struct server *server = *state;

    turn_until(server, true, 0);
    server->answer = "$5\r\nvalue\r\n";
    run_get(server);
    run_get(server);
    turn_until(server, true, 2);
    assert_false(server->nothing);
}

static void an_error_is_nothing_and_the_next_command_goes_on(void **state)
{
    struct server *server = *state;

    turn_until(server, true, 0);
    server->answer = "-ERR no\r\n";
    run_get(server);
    turn_until(server, true, 1);
    assert_true(server->nothing);
    server->answer = "$-1\r\n";
    run_get(server);
    turn_until(server, true, 2);
    assert_false(server->nothing);
}

static void who_is_too_slow_is_done_without_and_found_again(void **state)
{
    struct server *server = *state;
    usec_t began;

    turn_until(server, true, 0);
    server->answer = NULL;
    began = usec_monotonic();
    run_get(server);
    run_get(server);
    turn_until(server, false, 2);
    assert_true(server->nothing);
    assert_in_range(usec_monotonic() - began, PATIENCE, PATIENCE + USEC_PER_S);
    run_get(server); /* at once */
    assert_int_equal(server->answers, 3);
    server->answer = "+OK\r\n";
    turn_until(server, true, 3);
}

static void a_connection_that_is_lost_is_made_again(void **state)
{
    struct server *server = *state;

    turn_until(server, true, 0);
    server->answer = NULL;
    run_get(server);
    uv_run(&server->loop, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&server->peer, NULL);
    turn_until(server, false, 1);
    assert_true(server->nothing);
    server->answer = "+OK\r\n";
    turn_until(server, true, 1);
}

static void who_refuses_the_greeting_is_never_up(void **state)
{
    struct server *server = *state;
    usec_t end = usec_monotonic() + 300 * USEC_PER_MS;

    server->answer = "-NOAUTH Authentication required.\r\n"; /* to SELECT, which comes before PING */
    while (usec_monotonic() < end && !server->cache->told)
        uv_run(&server->loop, UV_RUN_ONCE);
    assert_true(server->cache->told);
    assert_false(cache_is_up(server->cache));
}

static void what_is_under_way_at_the_end_is_told(void **state)
{
    struct server *server = *state;

    turn_until(server, true, 0);
    server->answer = NULL;
    run_get(server);
    cache_free(TAKE(server->cache));
    assert_int_equal(server->answers, 1);
    assert_true(server->nothing);
}

static void keys_bear_the_prefix(void **state)
{
    struct server *server = *state;
    char key[64];

    assert_string_equal(cache_key(server->cache, "rate", "con_1", key, sizeof(key)), "docket:rate:con_1");
}

#define SERVED(function) cmocka_unit_test_setup_teardown(function, server_setup, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(nothing_is_asked_before_it_is_there),
        SERVED(a_command_is_answered_by_redis),
        SERVED(an_error_is_nothing_and_the_next_command_goes_on),
        SERVED(who_is_too_slow_is_done_without_and_found_again),
        SERVED(a_connection_that_is_lost_is_made_again),
        SERVED(who_refuses_the_greeting_is_never_up),
        SERVED(what_is_under_way_at_the_end_is_told),
        SERVED(keys_bear_the_prefix),
    };

    return cmocka_run_group_tests_name("worker/cache", tests, NULL, NULL);
}
