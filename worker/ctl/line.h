/*
 * line - one finding or sum as a line of JSON on standard output, for those who read what docketctl says by a program.
 *
 *   struct line line = line_begin("missing");
 *   line_text(&line, "request_id", id);
 *   line_end(&line);
 *
 * Threads: any, each its own line. Ownership: line_end() gives the memory back.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"

struct line {
    struct buf buf;
};

struct line line_begin(const char *kind); /* {"kind":... */
void line_text(struct line *line, const char *name, const char *value); /* NULL: null */
void line_number(struct line *line, const char *name, int64_t value);
/* {"name":{...}}: what is between them are members of that object. */
void line_open(struct line *line, const char *name);
void line_close(struct line *line);
void line_end(struct line *line);
