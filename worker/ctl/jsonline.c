#include "worker/ctl/jsonline.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINE_BYTES = 1024 * 1024 };

struct jsonline jsonline_begin(const char *kind)
{
    struct jsonline line = { BUF_INIT(LINE_BYTES) };

    buf_adds(&line.buf, "{\"kind\":");
    buf_json_string(&line.buf, kind);
    return line;
}

static void add_name(struct jsonline *line, const char *name)
{
    if (line->buf.data[line->buf.length - 1] != '{')
        buf_addc(&line->buf, ',');
    buf_json_string(&line->buf, name);
    buf_addc(&line->buf, ':');
}

void jsonline_text(struct jsonline *line, const char *name, const char *value)
{
    add_name(line, name);
    buf_json_string(&line->buf, value);
}

void jsonline_number(struct jsonline *line, const char *name, int64_t value)
{
    add_name(line, name);
    buf_printf(&line->buf, "%" PRId64, value);
}

void jsonline_open(struct jsonline *line, const char *name)
{
    add_name(line, name);
    buf_addc(&line->buf, '{');
}

void jsonline_close(struct jsonline *line)
{
    buf_addc(&line->buf, '}');
}

void jsonline_end(struct jsonline *line)
{
    buf_adds(&line->buf, "}\n");
    fwrite(line->buf.data, 1, line->buf.length, stdout);
    buf_free(&line->buf);
}
