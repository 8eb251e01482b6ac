/*
 * scan - JSON text read token by token, in place: for rows of which there are millions, and whose numbers must come
 * out digit by digit as they went in. For text of PostgreSQL's or our own making: it is taken to be JSON, and what is
 * none gives SCAN_END early, never a read past its end.
 *
 * Threads:   any, each its own scan. Ownership: tokens point into the text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum scan_kind {
    SCAN_END,
    SCAN_OBJECT, /* { */
    SCAN_LIST,   /* [ */
    SCAN_CLOSE,  /* } or ] */
    SCAN_KEY,    /* a string with a colon after it */
    SCAN_STRING,
    SCAN_PLAIN /* number, true, false, null */
};

struct scan {
    const char *at, *end;
};

struct scan_token {
    enum scan_kind kind;
    const char *text; /* as it stands there: strings and keys with their quotes */
    size_t length;
};

struct scan scan_of(const char *json, size_t length);
struct scan_token scan_next(struct scan *scan);
/* After SCAN_OBJECT or SCAN_LIST: all of it, from its bracket to the one that closes it. */
struct scan_token scan_whole(struct scan *scan, struct scan_token open);

/* What a string or key says, its escapes undone, as UTF-8. A lone surrogate and NUL become U+FFFD. */
void scan_text(struct scan_token token, struct buf *out);
bool scan_is(struct scan_token token, const char *text); /* whether it says just this */

/* The whole value as json.dumps(indent=2) lays it out, `depth` levels deep: no indent before, no line end after. */
void scan_indent(const char *json, size_t length, int depth, struct buf *out);
