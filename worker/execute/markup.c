#include "worker/execute/markup.h"

#include <string.h>

#include "common/scan.h"

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return (unsigned char)c < 0x20 && !strchr("\t\n\r", c) ? "\xef\xbf\xbd" : NULL;
    }
}

static void add_escaped(struct buf *out, const char *text, size_t length)
{
    const char *end = text + length, *start = text;

    for (; text < end; text++) {
        const char *escape = escape_of(*text);

        if (!escape)
            continue;
        buf_add(out, start, (size_t)(text - start));
        buf_adds(out, escape);
        start = text + 1;
    }
    buf_add(out, start, (size_t)(end - start));
}

void markup_text(struct buf *out, const char *text)
{
    add_escaped(out, text, strlen(text));
}

/* --- JSON ------------------------------------------------------------------------------------------------------ */

static void add_value(struct buf *out, struct scan *scan, struct scan_token token, const struct dataset_field *field,
                      int depth);

static void add_string(struct buf *out, struct scan_token token)
{
    _cleanup_(buf_free) struct buf plain = BUF_INIT(token.length + 4);

    if (token.length <= 2) {
        buf_adds(out, "<i>empty</i>");
        return;
    }
    if (!memchr(token.text, '\\', token.length)) { /* as nearly all are */
        add_escaped(out, token.text + 1, token.length - 2);
        return;
    }
    scan_text(token, &plain);
    if (plain.data)
        add_escaped(out, plain.data, plain.length);
}

static void add_plain(struct buf *out, struct scan_token token)
{
    if (*token.text == 'n')
        buf_adds(out, "<i>none</i>");
    else
        add_escaped(out, token.text, token.length);
}

/* The sub-field that a key is; NULL when none is known. */
static const struct dataset_field *sub_field(const struct dataset_field *field, struct scan_token key)
{
    for (int i = 0; field && i < field->field_count; i++)
        if (scan_is(key, field->fields[i].name))
            return &field->fields[i];
    return NULL;
}

static void add_key(struct buf *out, struct scan_token key, const struct dataset_field *parent,
                    const struct dataset_field *field)
{
    if (field && field->redact)
        buf_printf(out, "field_%d", (int)(field - parent->fields) + 1);
    else
        add_string(out, key);
}

static void add_object(struct buf *out, struct scan *scan, const struct dataset_field *field, int depth)
{
    struct scan_token key = scan_next(scan);

    if (key.kind != SCAN_KEY) {
        buf_adds(out, "<i>empty</i>");
        return;
    }
    buf_adds(out, "<dl>");
    for (; key.kind == SCAN_KEY; key = scan_next(scan)) {
        const struct dataset_field *below = sub_field(field, key);

        buf_adds(out, "<dt>");
        add_key(out, key, field, below);
        buf_adds(out, "</dt><dd>");
        add_value(out, scan, scan_next(scan), below, depth + 1);
        buf_adds(out, "</dd>");
    }
    buf_adds(out, "</dl>");
}

static bool is_end(struct scan_token token)
{
    return token.kind == SCAN_CLOSE || token.kind == SCAN_END;
}

static void add_list(struct buf *out, struct scan *scan, const struct dataset_field *field, int depth)
{
    struct scan_token token = scan_next(scan);

    if (is_end(token)) {
        buf_adds(out, "<i>empty</i>");
        return;
    }
    buf_adds(out, "<ul>");
    for (; !is_end(token); token = scan_next(scan)) {
        buf_adds(out, "<li>");
        add_value(out, scan, token, field, depth + 1);
        buf_adds(out, "</li>");
    }
    buf_adds(out, "</ul>");
}

static void add_value(struct buf *out, struct scan *scan, struct scan_token token, const struct dataset_field *field,
                      int depth)
{
    bool opens = token.kind == SCAN_OBJECT || token.kind == SCAN_LIST;

    if (opens && depth >= MARKUP_DEPTH_MAX) {
        token = scan_whole(scan, token);
        buf_adds(out, "<code>");
        add_escaped(out, token.text, token.length);
        buf_adds(out, "</code>");
    } else if (token.kind == SCAN_OBJECT) {
        add_object(out, scan, field, depth);
    } else if (token.kind == SCAN_LIST) {
        add_list(out, scan, field, depth);
    } else if (token.kind == SCAN_STRING) {
        add_string(out, token);
    } else if (token.kind == SCAN_PLAIN) {
        add_plain(out, token);
    }
}

void markup_json(struct buf *out, const char *json, size_t length, const struct dataset_field *field)
{
    struct scan scan = scan_of(json, length);

    add_value(out, &scan, scan_next(&scan), field, 0);
}
