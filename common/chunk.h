/*
 * chunk - a piece of a collection's rows, in the form that common/rows keeps: values one after another, compressed
 * (zstd), sealed with the request's key and bound to its place and number. Knows nothing of SQL.
 *
 * A value is its length plus one as a varint (7 bits a byte, lowest first), then its bytes; 0 is SQL null. A chunk
 * before it is compressed is a byte of flags and then values, row after row; the first chunk has one value before
 * them, the JSON object {"columns": [names]}. The last says that it is the last, so that rows which lost their end are
 * not taken for all there were.
 *
 * Threads:   one caller at a time per press.
 * Ownership: chunk_press_free(); what chunk_close() and chunk_open() give stands until the next call with that press.
 */
#pragma once

#include "common/buf.h"
#include "common/rows.h"

enum { CHUNK_FIRST = 1, CHUNK_LAST = 2 };
/* A row that is larger is refused; so is what claims to be larger once it is unpacked. */
enum { CHUNK_ROW_MAX = 128 * 1024 * 1024, CHUNK_PLAIN_MAX = ROWS_CHUNK_BYTES + CHUNK_ROW_MAX };

/* NULL json: SQL null. A `plain` that would pass its maximum overflows, as every buf. */
void chunk_put(struct buf *plain, const char *json, size_t length);

/* Reads the value at *at and moves behind it; false when the bytes up to `end` are not one. */
static inline bool chunk_get(const uint8_t **at, const uint8_t *end, struct rows_value *ret)
{
    const uint8_t *p = *at;
    uint64_t length = 0;
    unsigned shift = 0;

    for (;; shift += 7) {
        if (p == end || shift > 28)
            return false;
        length |= (uint64_t)(*p & 0x7f) << shift;
        if (*p++ < 0x80)
            break;
    }
    if (length && length - 1 > (uint64_t)(end - p))
        return false;
    *ret = (struct rows_value){ length ? (const char *)p : NULL, length ? length - 1 : 0 };
    *at = p + ret->length;
    return true;
}

struct chunk_press; /* what packs and unpacks, and its memory */
struct chunk_press *chunk_press_new(void);
void chunk_press_free(struct chunk_press *press); /* accepts NULL */
DEFINE_CLEANUP(struct chunk_press *, chunk_press_free)

int chunk_close(struct chunk_press *press, const struct rows_place *place, int number, struct bytes plain,
                struct bytes *ret, struct err *err) MUST_CHECK;
/* ERR_INTERNAL when it is not what was closed for this place and number. */
int chunk_open(struct chunk_press *press, const struct rows_place *place, int number, struct bytes sealed,
               struct bytes *ret, struct err *err) MUST_CHECK;
