#include "worker/ctl/dead/plain.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/schema.h"

/* The bytes of the character at `at` when it may stand on a terminal, else 0. Beyond ASCII: not U+0080 to U+009F, which
 * are control characters; nor those that turn the direction of what follows. */
static size_t printable(const unsigned char *at, size_t left)
{
    size_t size = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;

    if (size > left || !schema_is_utf8((const char *)at, size))
        return 0;
    if (size == 1)
        return *at >= 0x20 && *at != 0x7f;
    if (at[0] == 0xc2 && at[1] < 0xa0)
        return 0;
    if (at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0x8b && at[2] <= 0xaf) || (at[1] == 0x81 && at[2] >= 0xa0)))
        return 0;
    return size;
}

bool plain_is_text(const void *bytes, size_t length)
{
    const unsigned char *at = bytes, *end = at + length;

    while (at < end) {
        size_t size = *at == '\n' || *at == '\t' ? 1 : printable(at, (size_t)(end - at));

        if (!size)
            return false;
        at += size;
    }
    return true;
}

void plain_line(struct buf *out, const void *bytes, size_t length)
{
    const unsigned char *at = bytes, *end = at + length;

    while (at < end) {
        size_t size = *at == '\\' ? 0 : printable(at, (size_t)(end - at));

        if (size)
            buf_add(out, at, size);
        else if (*at == '\\')
            buf_adds(out, "\\\\");
        else
            buf_printf(out, "\\x%02x", *at);
        at += size ? size : 1;
    }
}

static void lines(struct buf *out, const char *text, size_t length, const char *indent)
{
    const char *end = text + length;

    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));

        buf_adds(out, indent);
        buf_add(out, text, (size_t)((stop ? stop : end) - text));
        buf_addc(out, '\n');
        text = stop ? stop + 1 : end;
    }
}

static void sixteen(struct buf *out, const unsigned char *bytes, size_t count, size_t place, const char *indent)
{
    buf_printf(out, "%s%08zx ", indent, place);
    for (size_t i = 0; i < 16; i++)
        if (i < count)
            buf_printf(out, "%s%02x", i % 8 ? " " : "  ", bytes[i]);
        else
            buf_adds(out, i % 8 ? "   " : "    ");
    buf_adds(out, "  |");
    for (size_t i = 0; i < count; i++)
        buf_addc(out, bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.');
    buf_adds(out, "|\n");
}

void plain_block(struct buf *out, const void *bytes, size_t length, const char *indent)
{
    if (plain_is_text(bytes, length)) {
        lines(out, bytes, length, indent);
        return;
    }
    for (size_t at = 0; at < length; at += 16)
        sixteen(out, (const unsigned char *)bytes + at, length - at < 16 ? length - at : 16, at, indent);
}

static void add_base64(struct buf *out, const void *bytes, size_t length)
{
    size_t room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room);

    if (!text)
        abort();
    buf_printf(out, "\"%s\"", sodium_bin2base64(text, room, bytes, length, sodium_base64_VARIANT_ORIGINAL));
    free(text);
}

static void add_string(struct buf *out, const void *bytes, size_t length)
{
    char *text = calloc(1, length + 1);

    if (!text)
        abort();
    memcpy(text, bytes, length);
    buf_json_string(out, text);
    free(text);
}

void plain_json(struct buf *out, const char *name, const void *bytes, size_t length)
{
    bool is_text = !bytes || (schema_is_utf8(bytes, length) && !memchr(bytes, '\0', length));

    buf_printf(out, "\"%s%s\":", name, is_text ? "" : "_base64");
    if (!bytes)
        buf_adds(out, "null");
    else if (is_text)
        add_string(out, bytes, length);
    else
        add_base64(out, bytes, length);
}
