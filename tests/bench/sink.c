/*
 * bench_sink - the cheapest endpoint that is still one: takes calls on kept-alive connections and answers 200 {} at
 * once, paths that start with /slow after --delay-ms. GET /stats tells what came, a line a path.
 *
 *   bench_sink [--port N] [--delay-ms N] [--record FILE --record-count N] [--arrivals FILE] [--reply-port N]
 *
 * --record keeps the first N calls as shots; --arrivals writes a line a call: when it was here in full (microseconds
 * since the epoch), path, privacy request id. Both files are whole after GET /stats. With --reply-port, each call that
 * asks whether a request is eligible is answered, and then replied to: eligible, over a few connections to that port.
 *
 * One thread, one epoll. It prints the port it listens on, and runs until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/usec.h"
#include "tests/bench/shot.h"

enum { PATHS_MAX = 32, PATH_BYTES = 64, CALL_BYTES_MAX = 16 << 20, READ_BYTES = 32 << 10, EVENTS = 256,
       REPLIERS = 16, REPLY_BYTES = 2048 };

struct path {
    char name[PATH_BYTES];
    long count;
    usec_t first, last;
};

struct client {
    int fd;
    struct buf in;
    bool waits;   /* for its delayed answer; what it sends meanwhile stays in `in` */
    usec_t due;
    TAILQ_ENTRY(client) delayed;
};

/* A reply on its way; those that wait for a connection are a queue. */
struct reply {
    char text[REPLY_BYTES];
    size_t length;
    STAILQ_ENTRY(reply) next;
};

/* A connection to whoever takes replies: one at a time. */
struct replier {
    int fd;
    bool busy;
};

struct sink {
    int epoll, listener, reply_port;
    struct replier repliers[REPLIERS];
    STAILQ_HEAD(, reply) replies;
    long replied, refused;
    usec_t delay;
    FILE *record, *arrivals;
    long record_left;
    struct path paths[PATHS_MAX];
    int path_count;
    TAILQ_HEAD(, client) delayed; /* one delay for all, so the first is due first */
};

/* One call within a client's input. */
struct call {
    struct shot shot;
    char path[PATH_BYTES];
    bool is_get;
};

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/* --- what came --------------------------------------------------------------------------------------- */

static struct path *path_of(struct sink *sink, const char *name)
{
    struct path *path = sink->paths;

    for (int i = 0; i < sink->path_count; i++, path++)
        if (!strcmp(path->name, name))
            return path;
    if (sink->path_count == PATHS_MAX)
        return &sink->paths[0];
    sink->path_count++;
    snprintf(path->name, sizeof(path->name), "%s", name);
    return path;
}

static void write_arrival(FILE *file, const struct call *call, usec_t now)
{
    static const char member[] = "\"privacy_request_id\"";
    const char *id = memmem(call->shot.body, call->shot.body_bytes, member, sizeof(member) - 1);
    int length = 0;

    if (id) {
        id += sizeof(member) - 1;
        id += strspn(id, " :\"");
        length = (int)strcspn(id, "\"");
    }
    fprintf(file, "%lld,%s,%.*s\n", (long long)now, call->path, length, id ? id : "");
}

static void count_call(struct sink *sink, const struct call *call)
{
    struct path *path = path_of(sink, call->path);

    path->last = usec_now();
    if (!path->count++)
        path->first = path->last;
    if (sink->arrivals)
        write_arrival(sink->arrivals, call, path->last);
    if (sink->record_left > 0) {
        sink->record_left--;
        shot_write(sink->record, &call->shot);
    }
}

/* --- replies ----------------------------------------------------------------------------------------- */

static void replier_open(struct sink *sink, struct replier *replier)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)sink->reply_port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = replier };
    int one = 1;

    replier->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(replier->fd, (struct sockaddr *)&address, sizeof(address)))
        shot_die("connect to the reply port");
    setsockopt(replier->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(sink->epoll, EPOLL_CTL_ADD, replier->fd, &event))
        shot_die("epoll_ctl");
}

static void replies_send(struct sink *sink)
{
    for (int i = 0; i < REPLIERS && !STAILQ_EMPTY(&sink->replies); i++) {
        struct replier *replier = &sink->repliers[i];
        struct reply *reply = STAILQ_FIRST(&sink->replies);

        if (replier->busy)
            continue;
        if (!replier->fd)
            replier_open(sink, replier);
        if (send(replier->fd, reply->text, reply->length, MSG_NOSIGNAL) != (ssize_t)reply->length)
            shot_die("send a reply");
        replier->busy = true;
        STAILQ_REMOVE_HEAD(&sink->replies, next);
        free(reply);
    }
}

/* An answer to a reply is far smaller than one read takes. */
static void replier_ready(struct sink *sink, struct replier *replier)
{
    static const char done[] = "HTTP/1.1 200";
    char bytes[READ_BYTES];
    ssize_t length = recv(replier->fd, bytes, sizeof(bytes), 0);

    if (length <= 0)
        shot_die("read the answer to a reply");
    if (length > (ssize_t)sizeof(done) && !memcmp(bytes, done, sizeof(done) - 1))
        sink->replied++;
    else
        sink->refused++;
    replier->busy = false;
    replies_send(sink);
}

/* A header's value within a call's head; its length. */
static const char *header_find(const struct shot *shot, const char *name, size_t *length)
{
    const char *found = memmem(shot->head, shot->head_bytes, name, strlen(name));

    if (found) {
        found += strlen(name);
        *length = strcspn(found, "\r");
    }
    return found;
}

static void reply_to(struct sink *sink, const struct call *call)
{
    size_t path_length, token_length;
    const char *path = header_find(&call->shot, "reply-to-eligible: ", &path_length);
    const char *token = header_find(&call->shot, "reply-to-token: ", &token_length);
    struct reply *reply;

    if (!path || !token)
        return;
    reply = malloc(sizeof(*reply));
    if (!reply)
        abort();
    reply->length = (size_t)snprintf(reply->text, sizeof(reply->text),
                                     "POST /api/v1%.*s HTTP/1.1\r\nHost: docket\r\nAuthorization: Bearer %.*s\r\n"
                                     "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                                     (int)path_length, path, (int)token_length, token);
    STAILQ_INSERT_TAIL(&sink->replies, reply, next);
    replies_send(sink);
}

/* --- answers ----------------------------------------------------------------------------------------- */

/* Answers are far smaller than a socket's buffer: what it does not take at once means a client that is gone. */
static bool answer(const struct client *client, const void *bytes, size_t length)
{
    return send(client->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool answer_stats(struct sink *sink, const struct client *client)
{
    struct buf body = BUF_INIT(PATHS_MAX * 256), whole = BUF_INIT(PATHS_MAX * 256 + 256);
    bool ok;

    buf_adds(&body, "{");
    for (int i = 0; i < sink->path_count; i++) {
        const struct path *path = &sink->paths[i];

        buf_adds(&body, i ? "," : "");
        buf_json_string(&body, path->name);
        buf_printf(&body, ":{\"count\":%ld,\"first_us\":%lld,\"last_us\":%lld}", path->count,
                   (long long)path->first, (long long)path->last);
    }
    buf_printf(&body, "%s\"replies\":{\"count\":%ld,\"refused\":%ld}}", sink->path_count ? "," : "", sink->replied,
               sink->refused);
    buf_printf(&whole, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               body.length, body.data);
    if (sink->record)
        fflush(sink->record);
    if (sink->arrivals)
        fflush(sink->arrivals);
    ok = answer(client, whole.data, whole.length);
    buf_free(&body);
    buf_free(&whole);
    return ok;
}

static bool answer_call(struct sink *sink, struct client *client, const struct call *call)
{
    if (call->is_get)
        return answer_stats(sink, client);
    count_call(sink, call);
    if (sink->reply_port)
        reply_to(sink, call);
    if (strncmp(call->path, "/slow", 5) != 0)
        return answer(client, ANSWER, sizeof(ANSWER) - 1);
    client->waits = true;
    client->due = usec_monotonic() + sink->delay;
    TAILQ_INSERT_TAIL(&sink->delayed, client, delayed);
    return true;
}

/* --- clients ----------------------------------------------------------------------------------------- */

static void client_free(struct sink *sink, struct client *client)
{
    if (client->waits)
        TAILQ_REMOVE(&sink->delayed, client, delayed);
    close(client->fd);
    buf_free(&client->in);
    free(client);
}

/* 1: `call` is the first of the input; 0: it is not all here yet; -1: this is no HTTP that we know. */
static int read_call(const struct client *client, struct call *call)
{
    const char *end = client->in.length ? strstr(client->in.data, "\r\n\r\n") : NULL;
    const char *path;
    size_t length;

    if (!end)
        return 0;
    call->shot.head = client->in.data;
    call->shot.head_bytes = (size_t)(end - client->in.data) + 4;
    call->shot.body = end + 4;
    call->shot.body_bytes = shot_content_length(client->in.data);
    if (client->in.length - call->shot.head_bytes < call->shot.body_bytes)
        return 0;
    path = strchr(client->in.data, ' ');
    if (!path || path > end)
        return -1;
    length = strcspn(++path, " ?\r");
    snprintf(call->path, sizeof(call->path), "%.*s", (int)length, path);
    call->is_get = !strncmp(client->in.data, "GET ", 4);
    return 1;
}

static void drop_front(struct buf *in, size_t length)
{
    in->length -= length;
    memmove(in->data, in->data + length, in->length + 1);
}

static bool answer_all(struct sink *sink, struct client *client)
{
    struct call call;
    int r = 0;

    while (!client->waits && (r = read_call(client, &call)) > 0) {
        size_t length = call.shot.head_bytes + call.shot.body_bytes;

        if (!answer_call(sink, client, &call))
            return false;
        drop_front(&client->in, length);
    }
    return r >= 0;
}

static void client_ready(struct sink *sink, struct client *client)
{
    static char bytes[READ_BYTES];
    ssize_t length = recv(client->fd, bytes, sizeof(bytes), 0);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length > 0)
        buf_add(&client->in, bytes, (size_t)length);
    if (length <= 0 || client->in.overflow || !answer_all(sink, client))
        client_free(sink, client);
}

static void accept_client(struct sink *sink)
{
    int fd = accept4(sink->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    struct client *client;
    struct epoll_event event = { .events = EPOLLIN };

    if (fd < 0)
        return;
    client = calloc(1, sizeof(*client));
    if (!client)
        abort();
    client->fd = fd;
    client->in = BUF_INIT(CALL_BYTES_MAX);
    event.data.ptr = client;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(sink->epoll, EPOLL_CTL_ADD, fd, &event))
        shot_die("epoll_ctl");
}

static void answer_delayed(struct sink *sink, usec_t now)
{
    struct client *client;

    while ((client = TAILQ_FIRST(&sink->delayed)) && client->due <= now) {
        TAILQ_REMOVE(&sink->delayed, client, delayed);
        client->waits = false;
        if (!answer(client, ANSWER, sizeof(ANSWER) - 1) || !answer_all(sink, client))
            client_free(sink, client);
    }
}

static int wait_ms(const struct sink *sink)
{
    const struct client *client = TAILQ_FIRST(&sink->delayed);
    usec_t left;

    if (!client)
        return -1;
    left = client->due - usec_monotonic();
    return left > 0 ? (int)(left / USEC_PER_MS) + 1 : 0;
}

static _Noreturn void sink_run(struct sink *sink)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(sink->epoll, events, EVENTS, wait_ms(sink));

        for (int i = 0; i < count; i++) {
            struct replier *replier = events[i].data.ptr;

            if (!replier)
                accept_client(sink);
            else if (replier >= sink->repliers && replier < sink->repliers + REPLIERS)
                replier_ready(sink, replier);
            else
                client_ready(sink, events[i].data.ptr);
        }
        answer_delayed(sink, usec_monotonic());
    }
}

/* --- start ------------------------------------------------------------------------------------------- */

static void sink_listen(struct sink *sink, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN };
    socklen_t length = sizeof(address);
    int one = 1;

    sink->epoll = epoll_create1(EPOLL_CLOEXEC);
    sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(sink->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(sink->listener, (struct sockaddr *)&address, length) || listen(sink->listener, 4096) ||
        getsockname(sink->listener, (struct sockaddr *)&address, &length) ||
        epoll_ctl(sink->epoll, EPOLL_CTL_ADD, sink->listener, &event))
        shot_die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static FILE *open_output(const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file)
        shot_die(path);
    return file;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },     { "delay-ms", required_argument, NULL, 'd' },
        { "record", required_argument, NULL, 'r' },   { "record-count", required_argument, NULL, 'n' },
        { "arrivals", required_argument, NULL, 'a' }, { "reply-port", required_argument, NULL, 'y' }, {0},
    };
    struct sink sink = { .delay = 0 };
    int option, port = 0;

    TAILQ_INIT(&sink.delayed);
    STAILQ_INIT(&sink.replies);
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'y': sink.reply_port = atoi(optarg); break;
        case 'd': sink.delay = atol(optarg) * USEC_PER_MS; break;
        case 'r': sink.record = open_output(optarg); break;
        case 'n': sink.record_left = atol(optarg); break;
        case 'a': sink.arrivals = open_output(optarg); break;
        default: return 2;
        }
    }
    if (!sink.record)
        sink.record_left = 0;
    sink_listen(&sink, port);
    sink_run(&sink);
}
