/*
 * bench_load - sends the shots of a file over kept-alive connections and times every answer.
 *
 *   bench_load --port N --file SHOTS [--connections N] [--count N] [--seconds N] [--rate N] [--times FILE]
 *
 * Each connection sends its next shot when the answer before is there; the file is begun anew when it is through.
 * With --rate, shots are due at fixed times, and an answer's time counts from when its shot was due, so that a server
 * that stalls cannot hide the calls it held up. --times writes a line a call: shot, that time (microseconds since the
 * epoch), microseconds until the answer, status. Prints one JSON line.
 *
 * One thread, one epoll. Only answers with a Content-Length are understood, which is what docket sends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/usec.h"
#include "tests/bench/shot.h"

enum { ANSWER_BYTES_MAX = 16 << 20, READ_BYTES = 64 << 10, EVENTS = 256, CONNECTIONS_MAX = 1024 };

struct timing {
    uint32_t shot;
    int32_t status; /* 0: the connection broke */
    usec_t from, took; /* wall clock; how long */
};

struct connection {
    int fd;
    bool busy;
    size_t sent_bytes; /* of the shot under way */
    struct timing timing;
    usec_t counts_from;
    struct buf in;
};

struct load {
    int port, epoll;
    struct shot_file file;
    long count;
    usec_t began, ends; /* monotonic */
    double rate;        /* 0: as fast as answers come */
    struct connection connections[CONNECTIONS_MAX];
    int connection_count;
    struct timing *timings;
    long started, done;
};

static void connection_open(struct load *load, struct connection *connection)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)))
        shot_die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event))
        shot_die("epoll_ctl");
}

/* --- one call ---------------------------------------------------------------------------------------- */

static void call_done(struct load *load, struct connection *connection, int status)
{
    connection->timing.status = status;
    connection->timing.took = usec_monotonic() - connection->counts_from;
    load->timings[load->done++] = connection->timing;
    connection->busy = false;
    buf_clear(&connection->in);
}

static void connection_broke(struct load *load, struct connection *connection)
{
    close(connection->fd);
    if (connection->busy)
        call_done(load, connection, 0);
    connection_open(load, connection);
}

/* Sends what the socket takes; false when it broke. */
static bool send_more(struct load *load, struct connection *connection)
{
    const struct shot *shot = &load->file.shots[connection->timing.shot];
    size_t total = shot->head_bytes + shot->body_bytes;
    struct iovec parts[2] = { { (void *)shot->head, shot->head_bytes }, { (void *)shot->body, shot->body_bytes } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

    while (connection->sent_bytes < total) {
        size_t skip = connection->sent_bytes;
        ssize_t sent;

        for (int i = 0; i < 2; i++) {
            const char *bytes = i ? shot->body : shot->head;
            size_t length = i ? shot->body_bytes : shot->head_bytes, dropped = skip < length ? skip : length;

            parts[i] = (struct iovec){ (void *)(bytes + dropped), length - dropped };
            skip -= dropped;
        }
        sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL); /* blocks when full: bodies are small */
        if (sent < 0)
            return false;
        connection->sent_bytes += (size_t)sent;
    }
    return true;
}

static usec_t due_time(const struct load *load, long number)
{
    return load->began + (usec_t)((double)number * USEC_PER_S / load->rate);
}

static void call_start(struct load *load, struct connection *connection)
{
    long number = load->started++;

    connection->busy = true;
    connection->sent_bytes = 0;
    connection->timing = (struct timing){ .shot = (uint32_t)((size_t)number % load->file.count) };
    connection->counts_from = load->rate > 0 ? due_time(load, number) : usec_monotonic();
    connection->timing.from = usec_now() - (usec_monotonic() - connection->counts_from);
    if (!send_more(load, connection))
        connection_broke(load, connection);
}

/* The answer's status once all of it is here, else 0. */
static int read_answer(const struct buf *in)
{
    const char *end = in->length ? strstr(in->data, "\r\n\r\n") : NULL;

    if (!end || in->length - (size_t)(end + 4 - in->data) < shot_content_length(in->data))
        return 0;
    return atoi(in->data + strlen("HTTP/1.1 "));
}

static void connection_ready(struct load *load, struct connection *connection)
{
    static char bytes[READ_BYTES];
    ssize_t length = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    int status;

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || !connection->busy) {
        connection_broke(load, connection);
        return;
    }
    buf_add(&connection->in, bytes, (size_t)length);
    status = read_answer(&connection->in);
    if (status)
        call_done(load, connection, status);
}

/* --- the run ----------------------------------------------------------------------------------------- */

static bool is_over(const struct load *load, usec_t now)
{
    return load->started >= load->count || now >= load->ends;
}

static void start_calls(struct load *load)
{
    usec_t now = usec_monotonic();

    for (int i = 0; i < load->connection_count && !is_over(load, now); i++) {
        if (load->connections[i].busy)
            continue;
        if (load->rate > 0 && due_time(load, load->started) > now)
            return;
        call_start(load, &load->connections[i]);
    }
}

static int wait_ms(const struct load *load)
{
    usec_t left;

    if (load->rate <= 0)
        return 1000;
    left = due_time(load, load->started) - usec_monotonic();
    return left > 0 ? (int)(left / USEC_PER_MS) : 0;
}

static void load_run(struct load *load)
{
    struct epoll_event events[EVENTS];

    while (load->done < load->started || !is_over(load, usec_monotonic())) {
        int count;

        start_calls(load);
        count = epoll_wait(load->epoll, events, EVENTS, wait_ms(load));
        for (int i = 0; i < count; i++)
            connection_ready(load, events[i].data.ptr);
    }
}

/* --- what came of it --------------------------------------------------------------------------------- */

static int compare_took(const void *a, const void *b)
{
    usec_t x = ((const struct timing *)a)->took, y = ((const struct timing *)b)->took;

    return (x > y) - (x < y);
}

static void write_times(const struct load *load, const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file)
        shot_die(path);
    for (long i = 0; i < load->done; i++) {
        const struct timing *timing = &load->timings[i];

        fprintf(file, "%u,%lld,%lld,%d\n", timing->shot, (long long)timing->from, (long long)timing->took,
                timing->status);
    }
    fclose(file);
}

static void print_result(struct load *load, double seconds)
{
    long failed = 0;
    double ms[3];

    for (long i = 0; i < load->done; i++)
        failed += load->timings[i].status / 100 != 2;
    qsort(load->timings, (size_t)load->done, sizeof(*load->timings), compare_took);
    for (int i = 0; i < 3; i++)
        ms[i] = (double)load->timings[(load->done - 1) * (i == 2 ? 1000 : i ? 990 : 500) / 1000].took / USEC_PER_MS;
    printf("{\"calls\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f}\n",
           load->done, failed, seconds, (double)load->done / seconds, ms[0], ms[1], ms[2]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },    { "file", required_argument, NULL, 'f' },
        { "connections", required_argument, NULL, 'c' }, { "count", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 's' }, { "rate", required_argument, NULL, 'r' },
        { "times", required_argument, NULL, 't' },   {0},
    };
    static struct load load = { .connection_count = 32, .count = 10000000 };
    const char *file = NULL, *times = NULL;
    double seconds = 60;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'p': load.port = atoi(optarg); break;
        case 'f': file = optarg; break;
        case 'c': load.connection_count = atoi(optarg); break;
        case 'n': load.count = atol(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'r': load.rate = atof(optarg); break;
        case 't': times = optarg; break;
        default: return 2;
        }
    }
    if (!file || !load.port || load.connection_count < 1 || load.connection_count > CONNECTIONS_MAX)
        return 2;
    load.file = shot_file_open(file);
    load.timings = calloc((size_t)load.count, sizeof(*load.timings)); /* pages come only as they are written */
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load.timings || load.epoll < 0)
        shot_die("start");
    for (int i = 0; i < load.connection_count; i++) {
        load.connections[i].in = BUF_INIT(ANSWER_BYTES_MAX);
        connection_open(&load, &load.connections[i]);
    }
    load.began = usec_monotonic();
    load.ends = load.began + (usec_t)(seconds * USEC_PER_S);
    load_run(&load);
    seconds = (double)(usec_monotonic() - load.began) / USEC_PER_S;
    if (times)
        write_times(&load, times);
    if (load.done)
        print_result(&load, seconds);
    return load.done == 0;
}
