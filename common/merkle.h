/*
 * merkle - a Merkle tree over the heads of a checkpoint: RFC 9162, section 2.1, with SHA-256.
 *
 * A leaf is the text `<id>.<sequence>`, line feed, the chain's hex digits, line feed. Whoever has a leaf, its path and
 * the root knows that the leaf was there, and nothing of the others.
 *
 * Threads: one at a time per `struct digest`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"

enum { MERKLE_PATH_MAX = 64 };

struct merkle_hash {
    uint8_t bytes[DIGEST_BYTES];
};

struct merkle_hash merkle_leaf(struct digest *digest, const char *id, int64_t seq, const uint8_t chain[DIGEST_BYTES]);

/* Over the hashes of leaves, in their order. Of none: the hash of nothing. */
struct merkle_hash merkle_root(struct digest *digest, const struct merkle_hash *leaves, size_t count);

/* The hashes beside the way from a leaf up to the root, the leaf's neighbour first; how many that are. */
int merkle_path(struct digest *digest, const struct merkle_hash *leaves, size_t count, size_t index,
                struct merkle_hash path[MERKLE_PATH_MAX]);
bool merkle_check(struct digest *digest, const struct merkle_hash *leaf, size_t index, size_t count,
                  const struct merkle_hash *path, int length, const struct merkle_hash *root);
