#include "common/merkle.h"

#include <stdio.h>
#include <string.h>

struct merkle_hash merkle_leaf(struct digest *digest, const char *id, int64_t seq, const uint8_t chain[DIGEST_BYTES])
{
    char number[32], hex[DIGEST_HEX_BYTES];
    struct merkle_hash hash;

    digest_begin(digest);
    digest_add(digest, "\0", 1);
    digest_add(digest, id, strlen(id));
    digest_add(digest, number, (size_t)snprintf(number, sizeof(number), ".%lld\n", (long long)seq));
    digest_add(digest, digest_hex(chain, hex), DIGEST_HEX_BYTES - 1);
    digest_add(digest, "\n", 1);
    digest_end(digest, hash.bytes);
    return hash;
}

static struct merkle_hash node_of(struct digest *digest, const struct merkle_hash *left,
                                  const struct merkle_hash *right)
{
    struct merkle_hash hash;

    digest_begin(digest);
    digest_add(digest, "\1", 1);
    digest_add(digest, left, sizeof(*left));
    digest_add(digest, right, sizeof(*right));
    digest_end(digest, hash.bytes);
    return hash;
}

/* The largest power of two below `count`, of two or more. */
static size_t split_of(size_t count)
{
    size_t split = 1;

    while (split * 2 < count)
        split *= 2;
    return split;
}

struct merkle_hash merkle_root(struct digest *digest, const struct merkle_hash *leaves, size_t count)
{
    struct merkle_hash hash, left, right;
    size_t split;

    if (count == 0) {
        digest_of(digest, "", 0, hash.bytes);
        return hash;
    }
    if (count == 1)
        return leaves[0];
    split = split_of(count);
    left = merkle_root(digest, leaves, split);
    right = merkle_root(digest, leaves + split, count - split);
    return node_of(digest, &left, &right);
}

int merkle_path(struct digest *digest, const struct merkle_hash *leaves, size_t count, size_t index,
                struct merkle_hash path[MERKLE_PATH_MAX])
{
    size_t split = count > 1 ? split_of(count) : 0;
    int length;

    if (count <= 1)
        return 0;
    if (index < split) {
        length = merkle_path(digest, leaves, split, index, path);
        path[length] = merkle_root(digest, leaves + split, count - split);
    } else {
        length = merkle_path(digest, leaves + split, count - split, index - split, path);
        path[length] = merkle_root(digest, leaves, split);
    }
    return length + 1;
}

/* RFC 9162, 2.1.3.2. */
bool merkle_check(struct digest *digest, const struct merkle_hash *leaf, size_t index, size_t count,
                  const struct merkle_hash *path, int length, const struct merkle_hash *root)
{
    struct merkle_hash hash = *leaf;
    size_t node = index, last = count - 1;

    if (index >= count)
        return false;
    for (int i = 0; i < length; i++) {
        if (!last)
            return false; /* the path is too long */
        if (node & 1 || node == last) {
            hash = node_of(digest, &path[i], &hash);
            while (!(node & 1) && node) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_of(digest, &hash, &path[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return !last && !memcmp(&hash, root, sizeof(hash));
}
