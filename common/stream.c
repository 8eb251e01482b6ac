#include "common/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct stream {
    struct stream_pool *pool;
    struct stream_source source;
    struct MHD_Connection *connection;
    struct stream *next; /* among those that wait for their next piece */
    size_t length, taken;
    bool ended, failed;
    char piece[STREAM_PIECE_BYTES];
};

struct stream_pool {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct stream *first, **last;
    bool ending;
    pthread_t *threads;
    int thread_count, streams_max;
    atomic_int streams;
};

/* --- pieces ------------------------------------------------------------------------------------------ */

static int stream_fill(struct stream *stream, struct err *err)
{
    int64_t count = stream->source.read(stream->source.context, stream->piece, sizeof(stream->piece), err);

    stream->taken = 0;
    stream->length = count > 0 ? (size_t)count : 0;
    stream->ended = count == 0;
    stream->failed = count < 0;
    return count < 0 ? (int)count : 0;
}

static struct stream *pool_pop(struct stream_pool *pool)
{
    struct stream *stream;

    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->ending)
        pthread_cond_wait(&pool->filled, &pool->lock);
    stream = pool->first;
    if (stream) {
        pool->first = stream->next;
        if (!pool->first)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->lock);
    return stream;
}

static void pool_push(struct stream_pool *pool, struct stream *stream)
{
    stream->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = stream;
    pool->last = &stream->next;
    pthread_cond_signal(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
}

/* Once its connection goes on, the stream may be gone. */
static void *pool_run(void *context)
{
    struct stream *stream;
    struct err err = { 0 };

    while ((stream = pool_pop(context))) {
        if (stream_fill(stream, &err) < 0)
            log_err("http.answer_cut", &err);
        MHD_resume_connection(stream->connection);
    }
    return NULL;
}

/* Where there is nothing to take, the connection stands still until there is. */
static ssize_t on_wanted(void *context, uint64_t position, char *buffer, size_t size)
{
    struct stream *stream = context;
    size_t rest = stream->length - stream->taken, count = rest < size ? rest : size;

    (void)position;
    if (stream->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!rest) {
        MHD_suspend_connection(stream->connection);
        pool_push(stream->pool, stream);
        return 0;
    }
    memcpy(buffer, stream->piece + stream->taken, count);
    stream->taken += count;
    return (ssize_t)count;
}

struct MHD_Response *stream_response(struct stream *stream, struct MHD_Connection *connection)
{
    stream->connection = connection;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE_BYTES, on_wanted, stream, NULL);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

int stream_open(struct stream_pool *pool, const struct stream_source *source, struct stream **ret, struct err *err)
{
    _cleanup_(stream_freep) struct stream *stream = calloc(1, sizeof(*stream));
    int r;

    if (!stream)
        abort();
    stream->pool = pool;
    stream->source = *source;
    if (atomic_fetch_add(&pool->streams, 1) >= pool->streams_max)
        return err_cause(err, ERR_UNAVAILABLE, "more than %d answers are streamed", pool->streams_max);
    r = stream_fill(stream, err);
    if (r < 0)
        return r;
    *ret = TAKE(stream);
    return 0;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    stream->source.close(stream->source.context);
    atomic_fetch_sub(&stream->pool->streams, 1);
    free(stream);
}

struct stream_pool *stream_pool_new(int threads, int streams_max)
{
    struct stream_pool *pool = calloc(1, sizeof(*pool));

    if (!pool || !(pool->threads = calloc((size_t)threads, sizeof(*pool->threads))))
        abort();
    pool->last = &pool->first;
    pool->streams_max = streams_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->filled, NULL);
    for (; pool->thread_count < threads; pool->thread_count++)
        if (pthread_create(&pool->threads[pool->thread_count], NULL, pool_run, pool))
            abort();
    return pool;
}

void stream_pool_free(struct stream_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}
