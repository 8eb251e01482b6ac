#include "common/httpd.c"

#include <arpa/inet.h>
#include <stdio.h>

#include "tests/unit/test.h"

enum { BODY_BYTES = 1000, ANSWER_BYTES = 64 * 1024, FEED_BYTES = 1000 };

/* A server whose handler does what the path says. */
struct fixture {
    struct httpd *httpd;
    pthread_t late; /* who answers after the handler has returned, if somebody does */
    bool is_late;
};

static void answer_echo(struct http_call *call)
{
    const char *name = http_query(call, "name");

    http_answer_json(call, 200,
                     arena_printf(call->arena, "%s|%s|%s|%s", call->method, call->path,
                                  name ? name : "-", call->body));
}

static void *answer_late(void *call)
{
    answer_echo(call);
    return NULL;
}

static void *answer_later(void *call)
{
    usleep(50 * 1000); /* the connection is suspended by now */
    answer_echo(call);
    return NULL;
}

static void answer_long(struct http_call *call)
{
    char *text = arena_alloc(call->arena, 5001);

    memset(text, 'x', 5000);
    http_answer_json(call, 200, text);
}

static void answer_away(struct http_call *call)
{
    struct err err;

    err_set(&err, ERR_UNAVAILABLE, "Service \"Unavailable\"");
    http_answer_err(call, &err);
}

/* A streamed answer of `left` bytes, or one that fails when that many were read. */
struct source {
    size_t left;
    bool fails;
};
static atomic_int open_sources;

static int64_t source_read(void *context, void *buffer, size_t size, struct err *err)
{
    struct source *source = context;
    size_t count = size < source->left ? size : source->left;

    memset(buffer, 's', count);
    source->left -= count;
    return count || !source->fails ? (int64_t)count : err_cause(err, ERR_UNAVAILABLE, "the source is away");
}

static void source_close(void *context)
{
    free(context);
    atomic_fetch_sub(&open_sources, 1);
}

static void answer_stream(struct http_call *call)
{
    struct source *source = calloc(1, sizeof(*source)); /* cmocka's is for one thread */
    const char *fails = http_query(call, "fails");
    struct err err;

    assert_non_null(source);
    source->left = (size_t)atoll(http_query(call, "bytes"));
    source->fails = fails;
    atomic_fetch_add(&open_sources, 1);
    call->status = 200;
    call->content_type = "text/plain";
    http_set_header(call, "Content-Disposition", "attachment");
    if (http_answer_stream(call, &(struct stream_source){ source_read, source_close, source }, &err) < 0)
        http_answer_err(call, &err);
}

/* --- feeds: what the test puts there --- */

static struct feed *_Atomic fed;

static void answer_feed(struct http_call *call)
{
    struct feed *feed = feed_new(FEED_BYTES);

    call->status = 200;
    call->content_type = "text/plain";
    http_answer_feed(call, feed);
    atomic_store(&fed, feed);
}

static struct feed *feed_opened(void)
{
    struct feed *feed;

    while (!(feed = atomic_exchange(&fed, NULL)))
        usleep(1000);
    return feed;
}

static void on_test_call(struct http_call *call, void *context)
{
    struct fixture *fixture = context;
    void *(*late)(void *) = !strcmp(call->path, "/late")    ? answer_late
                            : !strcmp(call->path, "/later") ? answer_later
                                                            : NULL;

    if (late) {
        fixture->is_late = true;
        assert_int_equal(pthread_create(&fixture->late, NULL, late, call), 0);
    } else if (!strcmp(call->path, "/long")) {
        answer_long(call);
    } else if (!strcmp(call->path, "/stream")) {
        answer_stream(call);
    } else if (!strcmp(call->path, "/feed")) {
        answer_feed(call);
    } else if (!strcmp(call->path, "/away")) {
        answer_away(call);
    } else {
        answer_echo(call);
    }
}

static int start(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    const struct httpd_options options = { .listen = "127.0.0.1:0",
                                           .threads = 2,
                                           .connections = 100,
                                           .body_bytes = BODY_BYTES,
                                           .idle_timeout = 10 * USEC_PER_S,
                                           .stream_threads = 2,
                                           .handler = on_test_call,
                                           .context = fixture };
    struct err err;

    *state = fixture;
    return httpd_start(&options, &fixture->httpd, &err);
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->is_late)
        pthread_join(fixture->late, NULL);
    httpd_stop(fixture->httpd, USEC_PER_S);
    test_free(fixture);
    return 0;
}

static int dial(const struct fixture *fixture)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)httpd_port(fixture->httpd)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = 5 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Reads until `end` was seen, or the connection ends. */
static const char *read_until(int fd, const char *end)
{
    static char text[ANSWER_BYTES];
    size_t length = 0;
    ssize_t count;

    do {
        count = recv(fd, text + length, sizeof(text) - 1 - length, 0);
        length += count > 0 ? (size_t)count : 0;
        text[length] = '\0';
    } while (count > 0 && !strstr(text, end));
    return text;
}

static const char *ask(const struct fixture *fixture, const char *request, const char *end)
{
    int fd = dial(fixture);
    const char *answer;

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    answer = read_until(fd, end);
    close(fd);
    if (!strstr(answer, end))
        fail_msg("no '%s' in '%s'", end, answer);
    return answer;
}

#define HOST "Host: x\r\n"

static void path_and_query_are_decoded(void **state)
{
    ask(*state, "GET /a%20b/%C3%A9?name=x%26y+z&name=2 HTTP/1.1\r\n" HOST "\r\n",
        "GET|/a b/\xc3\xa9|x&y z|");
    ask(*state, "GET http://x/a?other&name HTTP/1.1\r\n" HOST "\r\n", "GET|/a||");
    ask(*state, "GET /a?name=a=b&& HTTP/1.1\r\n" HOST "\r\n", "GET|/a|a=b|");
}

static void what_is_no_text_is_refused(void **state)
{
    static const char *const paths[] = { "/%", "/%4", "/%zz", "/%00", "/%ff", "/a?b=%", "/?%c3(" };
    char request[128];

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        assert_non_null(strstr(ask(*state, request, "{\"detail\":"), "HTTP/1.1 400"));
    }
}

static void a_body_is_handed_over_whole(void **state)
{
    ask(*state, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "POST|/a|-|hello");
    ask(*state,
        "POST /a HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "POST|/a|-|hello");
}

static void calls_of_one_connection_are_answered_in_order(void **state)
{
    const char *answer = ask(*state,
                             "GET /later HTTP/1.1\r\n" HOST "\r\n"
                             "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\ntwo"
                             "GET /3 HTTP/1.1\r\n" HOST "\r\n",
                             "GET|/3|-|");

    assert_true(strstr(answer, "GET|/later|-|") < strstr(answer, "POST|/2|-|two"));
    assert_true(strstr(answer, "POST|/2|-|two") < strstr(answer, "GET|/3|-|"));
}

/* Before the connection is suspended, while it is, and in between: whoever is second sees to it. */
static void an_answer_may_come_from_another_thread_at_any_time(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 200; i++) {
        ask(fixture, "GET /late HTTP/1.1\r\n" HOST "\r\n", "GET|/late|-|");
        pthread_join(fixture->late, NULL);
    }
    fixture->is_late = false;
    ask(fixture, "GET /later HTTP/1.1\r\n" HOST "\r\n", "GET|/later|-|");
}

static void a_body_that_is_too_large_is_told_and_the_connection_ends(void **state)
{
    char request[4096];
    int head = snprintf(request, sizeof(request),
                        "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1500\r\n\r\n");
    const char *answer;

    memset(request + head, 'x', 1500);
    request[head + 1500] = '\0';
    answer = ask(*state, request, "{\"detail\":\"Request body is larger than 1000 bytes.\"}");
    assert_non_null(strstr(answer, "HTTP/1.1 413"));
    assert_non_null(strstr(answer, "Connection: close"));
}

static void one_that_is_far_too_large_is_not_waited_for(void **state)
{
    ask(*state, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\nx",
        "{\"detail\":\"Request body is larger than 1000 bytes.\"}");
}

static void a_body_without_an_end_is_cut_off(void **state)
{
    static const char head[] =
        "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffff\r\n";
    int fd = dial(*state);
    char block[4096] = { 0 };
    ssize_t count = send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);

    for (int i = 0; i < 1000 && count > 0; i++)
        count = send(fd, block, sizeof(block), MSG_NOSIGNAL);
    assert_null(strstr(read_until(fd, "HTTP/"), "HTTP/"));
    close(fd);
}

static void what_makes_the_end_of_a_call_ambiguous_is_refused(void **state)
{
    static const char *const heads[] = {
        "",
        HOST HOST,
        HOST "Content-Length: 1\r\nContent-Length: 2\r\n",
        HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        HOST "Content-Length : 1\r\n",
        HOST "Transfer-Encoding: gzip\r\n",
    };
    char request[256];

    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        snprintf(request, sizeof(request), "POST /a HTTP/1.1\r\n%s\r\n", heads[i]);
        assert_non_null(strstr(ask(*state, request, "{\"detail\":"), "HTTP/1.1 400"));
    }
}

static void long_answers_are_compressed_for_who_accepts_that(void **state)
{
    const char *answer = ask(
        *state, "GET /long HTTP/1.1\r\n" HOST "Accept-Encoding: deflate, gzip\r\n\r\n", "\r\n\r\n");

    assert_non_null(strstr(answer, "Content-Encoding: gzip"));
    assert_non_null(strstr(answer, "Vary: Accept-Encoding"));
    answer = ask(*state, "GET /long HTTP/1.1\r\n" HOST "\r\n", "xxxx");
    assert_null(strstr(answer, "Content-Encoding"));
    assert_non_null(strstr(answer, "Content-Length: 5000"));
    answer = ask(*state, "GET /a HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n", "GET|/a|-|");
    assert_null(strstr(answer, "Content-Encoding"));
}

static void gzip_is_recognised_in_a_list(void **state)
{
    (void)state;
    assert_true(accepts_gzip("gzip"));
    assert_true(accepts_gzip("deflate,GZIP;q=0.5"));
    assert_true(accepts_gzip(" br , gzip ; q=1"));
    assert_false(accepts_gzip("gzip;q=0"));
    assert_false(accepts_gzip("gzip;q=0.0, br;q=1"));
    assert_false(accepts_gzip("xgzip, gzipped"));
    assert_false(accepts_gzip(""));
    assert_false(accepts_gzip(NULL));
}

static void an_error_is_told_with_what_goes_with_its_status(void **state)
{
    const char *answer = ask(*state, "GET /away HTTP/1.1\r\n" HOST "\r\n",
                             "{\"detail\":\"Service \\\"Unavailable\\\"\"}");

    assert_non_null(strstr(answer, "HTTP/1.1 503"));
    assert_non_null(strstr(answer, "Retry-After: 1"));
    assert_non_null(strstr(answer, "Content-Type: application/json"));
}

static void head_is_told_the_length_and_no_body(void **state)
{
    const char *answer = ask(*state, "HEAD /long HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\n");

    assert_non_null(strstr(answer, "Content-Length: 5000"));
    assert_null(strstr(answer, "xxx"));
}

static int dial_stream(const struct fixture *fixture, const char *method, const char *query)
{
    char request[128];
    int fd = dial(fixture);
    int length = snprintf(request, sizeof(request), "%s /stream?%s HTTP/1.0\r\n" HOST "\r\n", method, query);

    assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
    return fd;
}

/* Bytes of the answer's body; *whole: the connection was ended and not reset. */
static size_t read_stream(int fd, bool *whole)
{
    static char text[ANSWER_BYTES];
    size_t count = 0;
    ssize_t got;

    while ((got = recv(fd, text, sizeof(text), 0)) > 0)
        for (ssize_t i = 0; i < got; i++)
            count += text[i] == 's';
    *whole = got == 0;
    close(fd);
    return count;
}

static void wait_sources(int count)
{
    for (int i = 0; i < 500 && atomic_load(&open_sources) != count; i++)
        usleep(10 * 1000);
    assert_int_equal(atomic_load(&open_sources), count);
}

/* HTTP/1.0: the end of the connection is that of the answer. */
static void a_streamed_answer_comes_whole_whatever_its_size(void **state)
{
    static const size_t sizes[] = { 0, 1, STREAM_PIECE_BYTES, STREAM_PIECE_BYTES + 1, 5000000 };
    char query[64];
    bool whole;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        snprintf(query, sizeof(query), "bytes=%zu", sizes[i]);
        /* The head's words "Content-Disposition" and others have an s too. */
        assert_in_range(read_stream(dial_stream(*state, "GET", query), &whole), sizes[i], sizes[i] + 20);
        assert_true(whole);
    }
    wait_sources(0);
}

static void one_that_is_cut_has_no_end(void **state)
{
    const char *answer;
    int fd = dial(*state);
    static const char request[] = "GET /stream?bytes=10&fails HTTP/1.1\r\n" HOST "\r\n";

    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    answer = read_until(fd, "\r\n0\r\n");
    assert_non_null(strstr(answer, "ssssssssss"));
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked"));
    assert_null(strstr(answer, "\r\n0\r\n"));
    close(fd);
    wait_sources(0);
}

static void what_can_t_be_read_at_all_is_an_error_of_its_own(void **state)
{
    const char *answer = ask(*state, "GET /stream?bytes=0&fails HTTP/1.1\r\n" HOST "\r\n",
                             "{\"detail\":\"Service Unavailable\"}");

    assert_non_null(strstr(answer, "HTTP/1.1 503"));
    assert_non_null(strstr(answer, "Content-Type: application/json"));
    assert_null(strstr(answer, "Content-Disposition"));
    wait_sources(0);
}

static void head_of_a_streamed_answer_has_no_body(void **state)
{
    bool whole;

    assert_in_range(read_stream(dial_stream(*state, "HEAD", "bytes=1000"), &whole), 0, 20);
    wait_sources(0);
}

/* Those who take nothing hold their place, and no thread: another who reads gets all of his. */
static void as_many_are_streamed_as_are_allowed(void **state)
{
    int fds[HTTP_STREAMS_MAX];
    bool whole;

    for (int i = 0; i < HTTP_STREAMS_MAX - 1; i++)
        fds[i] = dial_stream(*state, "GET", "bytes=1000000000");
    wait_sources(HTTP_STREAMS_MAX - 1);
    assert_in_range(read_stream(dial_stream(*state, "GET", "bytes=3000000"), &whole), 3000000, 3000020);
    wait_sources(HTTP_STREAMS_MAX - 1);
    fds[HTTP_STREAMS_MAX - 1] = dial_stream(*state, "GET", "bytes=1000000000");
    wait_sources(HTTP_STREAMS_MAX);
    assert_non_null(strstr(ask(*state, "GET /stream?bytes=1 HTTP/1.1\r\n" HOST "\r\n", "{\"detail\":"), "HTTP/1.1 503"));
    for (int i = 0; i < HTTP_STREAMS_MAX; i++)
        close(fds[i]); /* who goes in the middle leaves nothing behind */
    wait_sources(0);
}

static void *stop_server(void *fixture)
{
    httpd_stop(((struct fixture *)fixture)->httpd, 5 * USEC_PER_S);
    return NULL;
}

static int dial_feed(const struct fixture *fixture, const char *method, struct feed **ret)
{
    char request[64];
    int fd = dial(fixture), length = snprintf(request, sizeof(request), "%s /feed HTTP/1.1\r\n" HOST "\r\n", method);

    assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
    *ret = feed_opened();
    return fd;
}

static void put(struct feed *feed, const char *text)
{
    assert_true(feed_put(feed, text, strlen(text)));
}

static void what_is_put_comes_as_it_is_put_and_then_its_end(void **state)
{
    struct feed *feed;
    int fd = dial_feed(*state, "GET", &feed);

    put(feed, "before the first byte is asked for ");
    assert_non_null(strstr(read_until(fd, "asked for "), "Transfer-Encoding: chunked"));
    for (int i = 0; i < 100; i++) {
        put(feed, "again;");
        assert_non_null(strstr(read_until(fd, "again;"), "again;"));
    }
    put(feed, "the last");
    feed_end(feed);
    assert_non_null(strstr(read_until(fd, "\r\n0\r\n\r\n"), "the last\r\n0\r\n\r\n"));
    close(fd);
}

/* As the writer sees it: no more than its maximum is ever held, and all of it comes in order. */
static void who_takes_nothing_is_waited_for(void **state)
{
    static const size_t wanted = 64 * 1024 * 1024; /* more than sockets hold */
    struct feed *feed;
    size_t sent = 0, found = 0;
    int fd = dial_feed(*state, "GET", &feed);
    char piece[500], bytes[ANSWER_BYTES];
    ssize_t got;

    memset(piece, '#', sizeof(piece));
    while (sent < wanted && feed_put(feed, piece, sizeof(piece))) {
        sent += sizeof(piece);
        feed_wait(feed, FEED_BYTES - sizeof(piece), usec_monotonic() + 200 * USEC_PER_MS);
        assert_in_range(feed_held(feed), 0, FEED_BYTES);
    }
    assert_true(sent < wanted);
    feed_wait(feed, 0, usec_monotonic() + USEC_PER_MS); /* it has its end */
    assert_true(feed_held(feed) > 0);
    assert_false(feed_is_gone(feed));
    feed_end(feed);
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            found += bytes[i] == '#';
        if (got >= 5 && !memcmp(bytes + got - 5, "0\r\n\r\n", 5))
            break;
    }
    assert_int_equal(found, sent);
    close(fd);
}

static void wait_gone(struct feed *feed)
{
    for (int i = 0; i < 500 && !feed_is_gone(feed); i++)
        usleep(10 * 1000);
    assert_true(feed_is_gone(feed));
    assert_false(feed_put(feed, "x", 1));
    feed_end(feed);
}

/* Nothing is written that would find it out. */
static void who_hangs_up_is_gone(void **state)
{
    struct feed *feed;
    int fd = dial_feed(*state, "GET", &feed);

    put(feed, "hello");
    read_until(fd, "hello");
    assert_false(feed_is_gone(feed));
    close(fd);
    wait_gone(feed);
}

static void who_asks_for_the_head_alone_is_gone(void **state)
{
    struct feed *feed;
    int fd = dial_feed(*state, "HEAD", &feed);

    wait_gone(feed);
    assert_null(strstr(read_until(fd, "\r\n\r\n"), "hello"));
    close(fd);
}

static void what_is_too_much_is_not_put(void **state)
{
    static const char much[FEED_BYTES + 1] = "";
    struct feed *feed;
    int fd = dial_feed(*state, "GET", &feed);

    assert_false(feed_put(feed, much, sizeof(much)));
    put(feed, "little");
    feed_end(feed);
    assert_non_null(strstr(read_until(fd, "\r\n0\r\n"), "little"));
    close(fd);
}

static void who_stops_waits_for_the_calls_under_way(void **state)
{
    struct fixture fixture = { 0 }, *pointer = &fixture;
    static const char request[] = "GET /later HTTP/1.1\r\n" HOST "\r\n";
    pthread_t stopper;
    void *given;
    int fd;

    (void)state;
    assert_int_equal(start(&given), 0);
    pointer = given;
    fd = dial(pointer);
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    usleep(20 * 1000);
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, pointer), 0);
    assert_non_null(strstr(read_until(fd, "GET|/later|-|"), "GET|/later|-|"));
    pthread_join(stopper, NULL);
    pthread_join(pointer->late, NULL);
    close(fd);
    test_free(pointer);
}

static void addresses_are_understood_or_refused_in_words(void **state)
{
    static const char *const bad[] = { "8080", "127.0.0.1:port", "[::1]:99999999", "" };
    struct httpd_options options = { .threads = 1,
                                     .connections = 8,
                                     .body_bytes = 10,
                                     .idle_timeout = USEC_PER_S,
                                     .handler = on_test_call };
    struct httpd *httpd;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        options.listen = bad[i];
        assert_true(httpd_start(&options, &httpd, &err) < 0);
        assert_true(*err.text);
    }
    options.listen = ":0";
    assert_int_equal(httpd_start(&options, &httpd, &err), 0);
    assert_true(httpd_port(httpd) > 0);
    httpd_stop(httpd, 0);
}

#define SERVED(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(path_and_query_are_decoded),
        SERVED(what_is_no_text_is_refused),
        SERVED(a_body_is_handed_over_whole),
        SERVED(calls_of_one_connection_are_answered_in_order),
        SERVED(an_answer_may_come_from_another_thread_at_any_time),
        SERVED(a_body_that_is_too_large_is_told_and_the_connection_ends),
        SERVED(one_that_is_far_too_large_is_not_waited_for),
        SERVED(a_body_without_an_end_is_cut_off),
        SERVED(what_makes_the_end_of_a_call_ambiguous_is_refused),
        SERVED(long_answers_are_compressed_for_who_accepts_that),
        cmocka_unit_test(gzip_is_recognised_in_a_list),
        SERVED(an_error_is_told_with_what_goes_with_its_status),
        SERVED(head_is_told_the_length_and_no_body),
        SERVED(a_streamed_answer_comes_whole_whatever_its_size),
        SERVED(one_that_is_cut_has_no_end),
        SERVED(what_can_t_be_read_at_all_is_an_error_of_its_own),
        SERVED(head_of_a_streamed_answer_has_no_body),
        SERVED(as_many_are_streamed_as_are_allowed),
        SERVED(what_is_put_comes_as_it_is_put_and_then_its_end),
        SERVED(who_takes_nothing_is_waited_for),
        SERVED(who_hangs_up_is_gone),
        SERVED(who_asks_for_the_head_alone_is_gone),
        SERVED(what_is_too_much_is_not_put),
        cmocka_unit_test(who_stops_waits_for_the_calls_under_way),
        cmocka_unit_test(addresses_are_understood_or_refused_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
