#include "common/arena.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first block with its head is what malloc hands out fastest; the second, of one size, comes from a store. */
enum { ARENA_FIRST_BYTES = 960, ARENA_BLOCK_BYTES = 8 * 1024, ARENA_KEEP_BYTES = 64 * 1024, STORE_BLOCKS = 512 };

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct arena {
    struct block *blocks; /* newest first; allocation happens in the first one */
};

/* Blocks of ARENA_BLOCK_BYTES that wait to be used again: each event needs one, and malloc takes its time. Those
 * of a thread that ends are given back with it. */
static _Thread_local struct store {
    struct block *blocks;
    int count;
} store;
static pthread_key_t store_key;
static pthread_once_t store_once = PTHREAD_ONCE_INIT;

static void blocks_free(struct block *block);

static void store_empty(void *own)
{
    struct store *ending = own;

    while (ending->blocks) {
        struct block *block = ending->blocks;

        ending->blocks = block->next;
        free(block);
    }
    ending->count = STORE_BLOCKS; /* nothing is kept any more */
}

static void store_make_key(void)
{
    pthread_key_create(&store_key, store_empty);
}

static bool store_keep(struct block *block)
{
    if (block->size != ARENA_BLOCK_BYTES || store.count >= STORE_BLOCKS)
        return false;
    if (!store.count) {
        pthread_once(&store_once, store_make_key);
        pthread_setspecific(store_key, &store);
    }
    block->next = store.blocks;
    store.blocks = block;
    store.count++;
    return true;
}

static struct block *block_new(size_t size)
{
    struct block *block = size == ARENA_BLOCK_BYTES ? store.blocks : NULL;

    if (block) {
        store.blocks = block->next;
        store.count--;
    } else if (!(block = malloc(sizeof(*block) + size))) {
        abort();
    }
    block->next = NULL;
    block->size = size;
    block->used = 0;
    return block;
}

struct arena *arena_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (!arena)
        abort();
    return arena;
}

static void blocks_free(struct block *block)
{
    while (block) {
        struct block *next = block->next;

        if (!store_keep(block))
            free(block);
        block = next;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    blocks_free(arena->blocks);
    free(arena);
}

void arena_clear(struct arena *arena)
{
    struct block *keep = arena->blocks;

    if (!keep)
        return;
    blocks_free(keep->next);
    keep->next = NULL;
    keep->used = 0;
    if (keep->size > ARENA_KEEP_BYTES) {
        free(keep);
        arena->blocks = NULL;
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct block *block = arena->blocks;
    size_t rounded = (size + 15) & ~(size_t)15;
    void *memory;

    if (!block || block->size - block->used < rounded) {
        size_t grown = block ? ARENA_BLOCK_BYTES : ARENA_FIRST_BYTES;

        if (block && block->size >= ARENA_BLOCK_BYTES)
            grown = block->size * 2 < ARENA_KEEP_BYTES ? block->size * 2 : ARENA_KEEP_BYTES;
        block = block_new(rounded > grown ? rounded : grown);
        block->next = arena->blocks;
        arena->blocks = block;
    }
    memory = block->data + block->used;
    block->used += rounded;
    return memset(memory, 0, size);
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_alloc(arena, size);

    return size ? memcpy(copy, bytes, size) : copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);

    memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    char *text;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
