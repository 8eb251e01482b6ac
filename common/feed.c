#include "common/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"

/* What is asked for at once; memory of a longer text that is given back when it was taken. */
enum { TAKE_BYTES = 16 * 1024, SPARE_BYTES = 128 * 1024 };

struct feed {
    pthread_mutex_t lock;
    pthread_cond_t taken_some;
    /* Under the lock: */
    struct buf text;
    size_t taken;
    struct MHD_Connection *connection; /* NULL: not answered yet */
    bool suspended, ended, gone;
    int holders;
};

struct feed *feed_new(size_t max)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    pthread_condattr_t monotonic;

    if (!feed)
        abort();
    feed->text = BUF_INIT(max);
    feed->holders = 2;
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->taken_some, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return feed;
}

/* Unlocks. */
static void feed_let_go(struct feed *feed)
{
    bool is_last = !--feed->holders;

    pthread_mutex_unlock(&feed->lock);
    if (!is_last)
        return;
    buf_free(&feed->text);
    pthread_cond_destroy(&feed->taken_some);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

static size_t held(const struct feed *feed)
{
    return feed->text.length - feed->taken;
}

/* --- the HTTP thread's side -------------------------------------------------------------------------- */

/* What was taken is forgotten when all of it was, so that nothing is moved. */
static ssize_t feed_take(struct feed *feed, char *buffer, size_t size)
{
    size_t rest = held(feed), count = rest < size ? rest : size;

    memcpy(buffer, feed->text.data + feed->taken, count);
    feed->taken += count;
    if (count == rest) {
        size_t max = feed->text.max;

        feed->taken = 0;
        buf_clear(&feed->text);
        if (feed->text.capacity > SPARE_BYTES) {
            buf_free(&feed->text);
            feed->text = BUF_INIT(max);
        }
    }
    pthread_cond_signal(&feed->taken_some);
    return (ssize_t)count;
}

/* Where there is nothing to take, the connection stands still until there is. */
static ssize_t on_wanted(void *context, uint64_t position, char *buffer, size_t size)
{
    struct feed *feed = context;
    ssize_t count = 0;

    (void)position;
    pthread_mutex_lock(&feed->lock);
    if (feed->gone) {
        count = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (held(feed)) {
        count = feed_take(feed, buffer, size);
    } else if (feed->ended) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        feed->suspended = true;
        MHD_suspend_connection(feed->connection);
    }
    pthread_mutex_unlock(&feed->lock);
    return count;
}

struct MHD_Response *feed_response(struct feed *feed, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&feed->lock);
    feed->connection = connection;
    pthread_mutex_unlock(&feed->lock);
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, TAKE_BYTES, on_wanted, feed, NULL);
}

void feed_leave(struct feed *feed)
{
    if (!feed)
        return;
    pthread_mutex_lock(&feed->lock);
    feed->gone = true;
    feed->suspended = false;
    pthread_cond_signal(&feed->taken_some);
    feed_let_go(feed);
}

/* --- the writer's side ------------------------------------------------------------------------------- */

static void feed_go_on(struct feed *feed)
{
    if (!feed->suspended)
        return;
    feed->suspended = false;
    MHD_resume_connection(feed->connection);
}

/* What was taken makes room, once it is more than what is left: so a byte is moved once at the most. */
static void feed_close_up(struct feed *feed)
{
    size_t rest = held(feed);

    if (feed->taken <= rest)
        return;
    memmove(feed->text.data, feed->text.data + feed->taken, rest);
    feed->text.length = rest;
    feed->taken = 0;
}

bool feed_put(struct feed *feed, const void *bytes, size_t length)
{
    bool put;

    pthread_mutex_lock(&feed->lock);
    feed_close_up(feed);
    put = !feed->gone && length <= feed->text.max - feed->text.length;
    if (put) {
        buf_add(&feed->text, bytes, length);
        feed_go_on(feed);
    }
    pthread_mutex_unlock(&feed->lock);
    return put;
}

size_t feed_held(struct feed *feed)
{
    size_t count;

    pthread_mutex_lock(&feed->lock);
    count = held(feed);
    pthread_mutex_unlock(&feed->lock);
    return count;
}

void feed_wait(struct feed *feed, size_t most, usec_t until)
{
    const struct timespec deadline = { .tv_sec = until / USEC_PER_S, .tv_nsec = until % USEC_PER_S * 1000 };
    int r = 0;

    pthread_mutex_lock(&feed->lock);
    while (held(feed) > most && !feed->gone && r == 0)
        r = pthread_cond_timedwait(&feed->taken_some, &feed->lock, &deadline);
    pthread_mutex_unlock(&feed->lock);
}

/* libmicrohttpd does not look at a connection that stands still. It goes on only under our lock, so its socket is its
 * own for as long. Who has closed his side for writing is taken for gone. */
static bool has_hung_up(const struct feed *feed)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(feed->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;
    ssize_t count = info ? recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;

    return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool feed_is_gone(struct feed *feed)
{
    bool gone;

    pthread_mutex_lock(&feed->lock);
    if (feed->suspended && has_hung_up(feed)) {
        feed->gone = true;
        feed_go_on(feed);
    }
    gone = feed->gone;
    pthread_mutex_unlock(&feed->lock);
    return gone;
}

void feed_end(struct feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    feed->ended = true;
    feed_go_on(feed);
    feed_let_go(feed);
}
