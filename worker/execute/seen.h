/*
 * seen - a set of hashes that only grows: what was met before.
 *
 * Threads: one at a time. Ownership: seen_free(), which leaves an empty set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen_hash {
    uint64_t words[2]; /* of bytes that nobody chose; both 0 is taken for another */
};

struct seen { /* all zero: empty */
    struct seen_hash *places;
    size_t count, size; /* size: a power of two, or 0 */
};

/* False when it was there already. */
bool seen_add(struct seen *seen, struct seen_hash hash);
void seen_free(struct seen *seen);
