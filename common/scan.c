#include "common/scan.h"

#include <stdint.h>
#include <string.h>

struct scan scan_of(const char *json, size_t length)
{
    return (struct scan){ json, json + length };
}

static bool is_between(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',';
}

static void skip_between(struct scan *scan)
{
    while (scan->at < scan->end && is_between(*scan->at))
        scan->at++;
}

/* Behind the quote that ends the string at `at`; `end` when none does. */
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at < end ? at + 1 : end;
}

static const char *plain_end(const char *at, const char *end)
{
    while (at < end && !is_between(*at) && *at != ']' && *at != '}')
        at++;
    return at;
}

static struct scan_token token_of(struct scan *scan, enum scan_kind kind, const char *end)
{
    struct scan_token token = { kind, scan->at, (size_t)(end - scan->at) };

    scan->at = end;
    return token;
}

static struct scan_token string_next(struct scan *scan)
{
    struct scan_token token = token_of(scan, SCAN_STRING, string_end(scan->at, scan->end));

    while (scan->at < scan->end && is_between(*scan->at) && *scan->at != ',')
        scan->at++;
    if (scan->at < scan->end && *scan->at == ':') {
        scan->at++;
        token.kind = SCAN_KEY;
    }
    return token;
}

struct scan_token scan_next(struct scan *scan)
{
    skip_between(scan);
    if (scan->at == scan->end)
        return token_of(scan, SCAN_END, scan->end);
    switch (*scan->at) {
    case '{':
        return token_of(scan, SCAN_OBJECT, scan->at + 1);
    case '[':
        return token_of(scan, SCAN_LIST, scan->at + 1);
    case '}':
    case ']':
        return token_of(scan, SCAN_CLOSE, scan->at + 1);
    case '"':
        return string_next(scan);
    case ':': /* where none may be */
        return token_of(scan, SCAN_END, scan->end);
    default:
        return token_of(scan, SCAN_PLAIN, plain_end(scan->at, scan->end));
    }
}

struct scan_token scan_whole(struct scan *scan, struct scan_token open)
{
    size_t depth = 1;

    while (depth) {
        struct scan_token token = scan_next(scan);

        if (token.kind == SCAN_END)
            break;
        depth += token.kind == SCAN_OBJECT || token.kind == SCAN_LIST;
        depth -= token.kind == SCAN_CLOSE;
    }
    open.length = (size_t)(scan->at - open.text);
    return open;
}

/* --- strings -------------------------------------------------------------------------------------------- */

static void add_utf8(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_addc(out, (char)point);
        return;
    }
    if (point < 0x800) {
        buf_addc(out, (char)(0xc0 | point >> 6));
    } else {
        if (point < 0x10000) {
            buf_addc(out, (char)(0xe0 | point >> 12));
        } else {
            buf_addc(out, (char)(0xf0 | point >> 18));
            buf_addc(out, (char)(0x80 | (point >> 12 & 0x3f)));
        }
        buf_addc(out, (char)(0x80 | (point >> 6 & 0x3f)));
    }
    buf_addc(out, (char)(0x80 | (point & 0x3f)));
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The four digits of "\uXXXX" at `at`; false when they are not there. */
static bool unit_read(const char *at, const char *end, uint32_t *ret)
{
    uint32_t unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return false;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return false;
        unit = unit << 4 | (uint32_t)digit;
    }
    *ret = unit;
    return true;
}

static const char *add_unit(const char *at, const char *end, struct buf *out)
{
    uint32_t high, low;

    if (!unit_read(at, end, &high)) {
        add_utf8(out, 0xfffd);
        return at + 2 < end ? at + 2 : end;
    }
    if (high >= 0xd800 && high < 0xdc00 && unit_read(at + 6, end, &low) && low >= 0xdc00 && low < 0xe000) {
        add_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        return at + 12;
    }
    add_utf8(out, !high || (high >= 0xd800 && high < 0xe000) ? 0xfffd : high); /* NUL would end a C string */
    return at + 6;
}

/* One escape at `at`; what is behind it. */
static const char *add_escape(const char *at, const char *end, struct buf *out)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *letter;

    if (end - at < 2)
        return end;
    if (at[1] == 'u')
        return add_unit(at, end, out);
    letter = strchr(letters, at[1]);
    buf_addc(out, letter && *letter ? meant[letter - letters] : at[1]);
    return at + 2;
}

void scan_text(struct scan_token token, struct buf *out)
{
    const char *at = token.text + 1, *end = token.text + token.length;

    if (token.length < 2)
        return;
    if (end[-1] == '"')
        end--;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));

        buf_add(out, at, (size_t)((escape ? escape : end) - at));
        at = escape ? add_escape(escape, end, out) : end;
    }
}

bool scan_is(struct scan_token token, const char *text)
{
    _cleanup_(buf_free) struct buf plain = BUF_INIT(token.length + 4);
    size_t length = strlen(text);

    if (!memchr(token.text, '\\', token.length))
        return token.length == length + 2 && !memcmp(token.text + 1, text, length);
    scan_text(token, &plain);
    return plain.length == length && !memcmp(plain.data, text, length);
}

/* --- layout --------------------------------------------------------------------------------------------- */

/* Deeper than that is laid out as if it were not: a value of nothing but brackets must not grow without bound. */
enum { INDENT_MAX = 64 };

static void add_line(struct buf *out, int depth)
{
    buf_addc(out, '\n');
    for (int i = 0; i < depth && i < INDENT_MAX; i++)
        buf_adds(out, "  ");
}

void scan_indent(const char *json, size_t length, int depth, struct buf *out)
{
    struct scan scan = scan_of(json, length);
    enum scan_kind last = SCAN_END; /* END: nothing yet */

    for (;;) {
        struct scan_token token = scan_next(&scan);
        bool opened = last == SCAN_OBJECT || last == SCAN_LIST;

        if (token.kind == SCAN_END)
            return;
        if (token.kind == SCAN_CLOSE)
            depth--;
        else if (last != SCAN_END && last != SCAN_KEY && !opened)
            buf_addc(out, ',');
        if (last != SCAN_END && last != SCAN_KEY && !(opened && token.kind == SCAN_CLOSE))
            add_line(out, depth);
        buf_add(out, token.text, token.length);
        if (token.kind == SCAN_KEY)
            buf_adds(out, ": ");
        depth += token.kind == SCAN_OBJECT || token.kind == SCAN_LIST;
        last = token.kind;
    }
}
