/*
 * arena - memory that lives as long as one request, event or batch, and is given back at once.
 *
 * Threads:   one at a time.
 * Ownership: everything allocated from an arena dies with arena_clear() or arena_free(). Allocation never
 *            fails: out of memory aborts, because Kafka redelivers. Sizes from outside are bounded before.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* accepts NULL */
void arena_clear(struct arena *arena);
DEFINE_CLEANUP(struct arena *, arena_free)

void *arena_alloc(struct arena *arena, size_t size);  /* 16-byte aligned, zeroed */
char *arena_strdup(struct arena *arena, const char *text);           /* NULL stays NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
void *arena_memdup(struct arena *arena, const void *bytes, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#define arena_new_of(arena, type) ((type *)arena_alloc(arena, sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc(arena, sizeof(type) * (count)))
