/*
 * board - what the workers tell each other and the API about endpoints, through Redis: how each of them stands with an
 * endpoint, and that a breaker opened. All of it may be missing; nothing here waits for an answer.
 *
 *   "<prefix>:endpoint:<connection id>"  hash: worker's name -> JSON object (board_row); lives BOARD_LIFE_S
 *   "<prefix>:breaker:<connection id>"   name of the worker whose breaker opened; lives as long as it stays open
 *
 *
 * Threads:   the loop's.
 */
#pragma once

#include "worker/breaker.h"
#include "worker/cache.h"

enum { BOARD_LIFE_S = 10 };

struct board;

struct board_row {
    const char *endpoint_id;
    enum breaker_state breaker;
    usec_t open_until; /* 0: not open */
    int underway, queued, calls, failures; /* the last two within the breaker's window */
};

/* Some worker's breaker of this endpoint is open for so long still. */
typedef void board_hint(void *context, const char *endpoint_id, usec_t open_for);

/* `worker` is this one's name. It must live as long. */
struct board *board_new(const char *worker, struct cache *cache, board_hint *hint, void *context);
void board_free(struct board *board); /* accepts NULL; after cache_free() */

void board_show(struct board *board, const struct board_row *row, usec_t now);
void board_opened(struct board *board, const char *endpoint_id, usec_t open_for);
void board_look(struct board *board, const char *endpoint_id); /* hint() follows when there is one */
