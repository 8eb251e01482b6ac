/*
 * jsonline - one finding or sum as a line of JSON on standard output, for those who read what docketctl says by a program.
 *
 *   struct jsonline line = jsonline_begin("missing");
 *   jsonline_text(&line, "request_id", id);
 *   jsonline_end(&line);
 *
 * Threads: any, each its own line. Ownership: jsonline_end() gives the memory back.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"

struct jsonline {
    struct buf buf;
};

struct jsonline jsonline_begin(const char *kind); /* {"kind":... */
void jsonline_text(struct jsonline *line, const char *name, const char *value); /* NULL: null */
void jsonline_number(struct jsonline *line, const char *name, int64_t value);
/* {"name":{...}}: what is between them are members of that object. */
void jsonline_open(struct jsonline *line, const char *name);
void jsonline_close(struct jsonline *line);
void jsonline_end(struct jsonline *line);
