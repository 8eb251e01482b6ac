#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = BUF_INIT(buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

/* Room for `more` bytes and the NUL; false, and `overflow`, when that passes the maximum. */
static bool buf_reserve(struct buf *buf, size_t more)
{
    size_t capacity = buf->capacity ? buf->capacity : 64;

    if (buf->overflow || more > buf->max || buf->length > buf->max - more) {
        buf->overflow = true;
        return false;
    }
    while (capacity < buf->length + more + 1)
        capacity *= 2;
    if (capacity == buf->capacity)
        return true;
    buf->data = realloc(buf->data, capacity);
    if (!buf->data)
        abort();
    buf->capacity = capacity;
    return true;
}

void buf_add(struct buf *buf, const void *bytes, size_t length)
{
    if (!buf_reserve(buf, length))
        return;
    if (length)
        memcpy(buf->data + buf->length, bytes, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void buf_adds(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_addc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length >= 0 && buf_reserve(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
}

void buf_json_string(struct buf *buf, const char *text)
{
    const char *start = text;

    if (!text) {
        buf_adds(buf, "null");
        return;
    }
    buf_addc(buf, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(buf, start, (size_t)(text - start));
        if (c == '"' || c == '\\')
            buf_printf(buf, "\\%c", c);
        else
            buf_printf(buf, "\\u%04x", c);
        start = text + 1;
    }
    buf_add(buf, start, (size_t)(text - start));
    buf_addc(buf, '"');
}
