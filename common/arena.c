#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 1024, ARENA_KEEP_BYTES = 64 * 1024 };

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(16) unsigned char data[];
};

struct arena {
    struct block *blocks; /* newest first; allocation happens in the first one */
};

static struct block *block_new(size_t size)
{
    struct block *block = malloc(sizeof(*block) + size);

    if (!block)
        abort();
    *block = (struct block){ .size = size };
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
        size_t grown = block ? block->size * 2 : ARENA_BLOCK_BYTES;

        if (grown > ARENA_KEEP_BYTES)
            grown = ARENA_KEEP_BYTES;
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
