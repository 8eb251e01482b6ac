/*
 * buf - a growing run of bytes that is born with its maximum.
 *
 * Threads:   one at a time.
 * Ownership: the buffer owns its bytes until buf_free(). A write past the maximum sets `overflow`, changes
 *            nothing else, and every later write is ignored: check once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

struct buf {
    char *data; /* NUL-terminated once anything was written; NULL before */
    size_t length, capacity, max;
    bool overflow;
};

#define BUF_INIT(max_bytes) ((struct buf){ .max = (max_bytes) })

void buf_free(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_add(struct buf *buf, const void *bytes, size_t length);
void buf_adds(struct buf *buf, const char *text);
void buf_addc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* A JSON string with its quotes, or null for NULL. RFC 8259 section 7. */
void buf_json_string(struct buf *buf, const char *text);
