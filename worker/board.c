#include "worker/board.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"

enum { KEY_BYTES = 320, ROW_BYTES = 512 };

struct board {
    struct cache *cache;
    board_hint *hint;
    void *context;
    const char *worker;
};

struct look {
    struct board *board;
    char endpoint_id[64];
};

static const char *const breaker_words[] = {
    [BREAKER_CLOSED] = "closed", [BREAKER_HALF_OPEN] = "half_open", [BREAKER_OPEN] = "open",
};

static void row_write(const struct board_row *row, usec_t now, struct buf *buf)
{
    char time[USEC_TEXT_BYTES];

    buf_printf(buf, "{\"breaker\":\"%s\",\"open_until\":", breaker_words[row->breaker]);
    buf_json_string(buf, row->open_until ? usec_format_z(row->open_until, time) : NULL);
    buf_printf(buf, ",\"underway\":%d,\"queued\":%d,\"calls\":%d,\"failures\":%d,\"at\":\"%s\"}", row->underway,
               row->queued, row->calls, row->failures, usec_format_z(now, time));
}

void board_show(struct board *board, const struct board_row *row, usec_t now)
{
    struct buf text = BUF_INIT(ROW_BYTES);
    char key[KEY_BYTES], life[16];

    cache_key(board->cache, "endpoint", row->endpoint_id, key, sizeof(key));
    snprintf(life, sizeof(life), "%d", BOARD_LIFE_S);
    row_write(row, now, &text);
    cache_run(board->cache, 4, (const char *[]){ "HSET", key, board->worker, text.data }, NULL, NULL, NULL);
    cache_run(board->cache, 3, (const char *[]){ "EXPIRE", key, life }, NULL, NULL, NULL);
    buf_free(&text);
}

void board_opened(struct board *board, const char *endpoint_id, usec_t open_for)
{
    char key[KEY_BYTES], life[32];

    cache_key(board->cache, "breaker", endpoint_id, key, sizeof(key));
    snprintf(life, sizeof(life), "%lld", (long long)(open_for / USEC_PER_MS));
    cache_run(board->cache, 5, (const char *[]){ "SET", key, board->worker, "PX", life }, NULL, NULL, NULL);
}

static void on_looked(void *context, const redisReply *reply)
{
    struct look *look = context;

    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0)
        look->board->hint(look->board->context, look->endpoint_id, reply->integer * USEC_PER_MS);
    free(look);
}

/* What is left of the key's life, so that the workers' clocks need not agree. */
void board_look(struct board *board, const char *endpoint_id)
{
    struct look *look = calloc(1, sizeof(*look));
    char key[KEY_BYTES];

    if (!look)
        abort();
    look->board = board;
    snprintf(look->endpoint_id, sizeof(look->endpoint_id), "%s", endpoint_id);
    cache_key(board->cache, "breaker", endpoint_id, key, sizeof(key));
    cache_run(board->cache, 2, (const char *[]){ "PTTL", key }, NULL, on_looked, look);
}

struct board *board_new(const char *worker, struct cache *cache, board_hint *hint, void *context)
{
    struct board *board = calloc(1, sizeof(*board));

    if (!board)
        abort();
    board->worker = worker;
    board->cache = cache;
    board->hint = hint;
    board->context = context;
    return board;
}

void board_free(struct board *board)
{
    free(board);
}
