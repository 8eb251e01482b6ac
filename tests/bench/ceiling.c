/*
 * bench_ceiling - how fast libcurl alone makes the calls that docket-worker made: one thread, its multi interface on an
 * epoll, connections kept alive, the very header lines and bodies that the sink recorded.
 *
 *   bench_ceiling --url URL --file SHOTS --count N [--concurrency N]
 *
 * Header lists are made before the clock starts: what is measured is HTTP and nothing else. Prints one JSON line.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "common/usec.h"
#include "tests/bench/shot.h"

enum { EVENTS = 256 };

/* A recorded call as libcurl takes it. */
struct call {
    struct curl_slist *headers;
    const char *body;
    size_t body_bytes;
};

struct ceiling {
    const char *url;
    struct call *calls;
    size_t call_count;
    long left, underway, done, failed;
    CURLM *multi;
    int epoll;
    usec_t timeout_at; /* USEC_NONE: curl waits for sockets only */
};

/* Lines that libcurl writes by itself, as it did when the call was recorded. */
static bool is_curls_own(const char *line)
{
    static const char *const names[] = { "Host:", "Content-Length:", "Accept:" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strncasecmp(line, names[i], strlen(names[i])))
            return true;
    return false;
}

static struct curl_slist *read_headers(const struct shot *shot)
{
    struct curl_slist *headers = NULL;
    char *head = strndup(shot->head, shot->head_bytes), *rest = NULL, *line;

    if (!head)
        abort();
    strtok_r(head, "\r\n", &rest); /* the request line */
    while ((line = strtok_r(NULL, "\r\n", &rest)))
        if (!is_curls_own(line))
            headers = curl_slist_append(headers, line);
    free(head);
    return curl_slist_append(headers, "Expect:");
}

static void read_calls(struct ceiling *ceiling, const char *path)
{
    struct shot_file file = shot_file_open(path);

    ceiling->call_count = file.count;
    ceiling->calls = calloc(file.count, sizeof(*ceiling->calls));
    if (!ceiling->calls)
        abort();
    for (size_t i = 0; i < file.count; i++)
        ceiling->calls[i] = (struct call){ read_headers(&file.shots[i]), file.shots[i].body,
                                           file.shots[i].body_bytes };
}

/* --- libcurl on epoll -------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t socket, int action, void *context, void *known)
{
    struct ceiling *ceiling = context;
    struct epoll_event event = { .data.fd = socket };

    (void)easy;
    if (action == CURL_POLL_REMOVE) {
        epoll_ctl(ceiling->epoll, EPOLL_CTL_DEL, socket, NULL);
        return 0;
    }
    if (action & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (action & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(ceiling->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event))
        shot_die("epoll_ctl");
    curl_multi_assign(ceiling->multi, socket, ceiling);
    return 0;
}

static int on_timeout(CURLM *multi, long wait_ms, void *context)
{
    struct ceiling *ceiling = context;

    (void)multi;
    ceiling->timeout_at = wait_ms < 0 ? USEC_NONE : usec_monotonic() + wait_ms * USEC_PER_MS;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static CURL *easy_new(const struct ceiling *ceiling)
{
    CURL *easy = curl_easy_init();

    if (!easy)
        abort();
    curl_easy_setopt(easy, CURLOPT_URL, ceiling->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 15000L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    return easy;
}

static void call_start(struct ceiling *ceiling, CURL *easy)
{
    const struct call *call = &ceiling->calls[(size_t)ceiling->left % ceiling->call_count];

    ceiling->left--;
    ceiling->underway++;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    if (curl_multi_add_handle(ceiling->multi, easy) != CURLM_OK)
        abort();
}

static void finish_calls(struct ceiling *ceiling)
{
    CURLMsg *message;
    int messages;

    while ((message = curl_multi_info_read(ceiling->multi, &messages))) {
        CURL *easy = message->easy_handle;
        long status = 0;

        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        ceiling->failed += message->data.result != CURLE_OK || status != 200;
        ceiling->done++;
        ceiling->underway--;
        curl_multi_remove_handle(ceiling->multi, easy);
        if (ceiling->left)
            call_start(ceiling, easy);
        else
            curl_easy_cleanup(easy);
    }
}

static int wait_ms(const struct ceiling *ceiling)
{
    usec_t left;

    if (ceiling->timeout_at == USEC_NONE)
        return -1;
    left = ceiling->timeout_at - usec_monotonic();
    return left > 0 ? (int)((left + USEC_PER_MS - 1) / USEC_PER_MS) : 0;
}

static void turn(struct ceiling *ceiling)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(ceiling->epoll, events, EVENTS, wait_ms(ceiling)), running;

    for (int i = 0; i < count; i++) {
        int flags = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                    (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);

        curl_multi_socket_action(ceiling->multi, events[i].data.fd, flags, &running);
    }
    if (ceiling->timeout_at != USEC_NONE && ceiling->timeout_at <= usec_monotonic()) {
        ceiling->timeout_at = USEC_NONE;
        curl_multi_socket_action(ceiling->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_calls(ceiling);
}

static void ceiling_run(struct ceiling *ceiling, long concurrency)
{
    ceiling->epoll = epoll_create1(EPOLL_CLOEXEC);
    ceiling->multi = curl_multi_init();
    ceiling->timeout_at = USEC_NONE;
    curl_multi_setopt(ceiling->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(ceiling->multi, CURLMOPT_SOCKETDATA, ceiling);
    curl_multi_setopt(ceiling->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(ceiling->multi, CURLMOPT_TIMERDATA, ceiling);
    curl_multi_setopt(ceiling->multi, CURLMOPT_MAXCONNECTS, concurrency * 2);
    for (long i = 0; i < concurrency && ceiling->left; i++)
        call_start(ceiling, easy_new(ceiling));
    while (ceiling->underway)
        turn(ceiling);
    curl_multi_cleanup(ceiling->multi);
}

/* User and system time of this process so far. */
static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / USEC_PER_S;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "url", required_argument, NULL, 'u' },   { "file", required_argument, NULL, 'f' },
        { "count", required_argument, NULL, 'n' }, { "concurrency", required_argument, NULL, 'c' },
        {0},
    };
    struct ceiling ceiling = {0};
    const char *file = NULL;
    long concurrency = 64;
    int option;
    usec_t began;
    double seconds, cpu;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'u': ceiling.url = optarg; break;
        case 'f': file = optarg; break;
        case 'n': ceiling.left = atol(optarg); break;
        case 'c': concurrency = atol(optarg); break;
        default: return 2;
        }
    }
    if (!ceiling.url || !file || ceiling.left < 1)
        return 2;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    read_calls(&ceiling, file);
    cpu = cpu_seconds();
    began = usec_monotonic();
    ceiling_run(&ceiling, concurrency);
    seconds = (double)(usec_monotonic() - began) / USEC_PER_S;
    cpu = cpu_seconds() - cpu;
    printf("{\"calls\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"rate\":%.1f}\n", ceiling.done,
           ceiling.failed, seconds, cpu, (double)ceiling.done / seconds);
    return ceiling.failed != 0;
}
