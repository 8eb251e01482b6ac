#include "common/merkle.h"

#include <stdio.h>

#include "tests/unit/test.h"

enum { LEAVES_MAX = 64 };

/* Roots over the leaves that leaves_make() makes, computed by Python from RFC 9162 alone. */
static const struct {
    size_t count;
    const char *root;
} vectors[] = {
    { 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { 1, "6f8f6e904243137afcf66b95716d95b331fac5e25099c652ff9179a42e31f2fc" },
    { 2, "bfcd9a84d9b201aa23e29e460320260478d1c07867d8fc0e7535d639169a7e41" },
    { 3, "59ae39ec46311aa0296df9dae33948efee66a8c6b8f2fe85b229aca722f76b00" },
    { 4, "902d8c74fe679644ea357f96c683dec28bf3cace1c3ae821df4c9cc87940f2cd" },
    { 5, "fffcaf1ac85f0518c8a2dce8e624909bfea4fe6a3f42a4ea4da5500131546c72" },
    { 7, "05fac0f7261e2390ee8060e653b36217161bb502efeea2760f7b6cd5e3775700" },
    { 8, "8a7f6de76a6d6bb30452c73db512a8dea35e7e2e2f5d80255ca8fb063c1cd6e0" },
    { 9, "047ac5d3eff040564fb49e15e07a25e01c83363450d85a2e5282f028e66f8c04" },
    { 33, "4823911fa0a9283485a7fb0ce499678536eb19f812027e32786f85e28a1ae9dc" },
    { 64, "f4fdbc1480bfc21c70cd13a1eb763cfaee6291a01e067e3ffc4ee2aba482143c" },
};

/* Leaf i: request pri_<i>, event i + 1, whose chain is the SHA-256 of i in digits. */
static void leaves_make(struct digest *digest, struct merkle_hash leaves[LEAVES_MAX])
{
    for (int i = 0; i < LEAVES_MAX; i++) {
        uint8_t chain[DIGEST_BYTES];
        char id[16], number[16];

        digest_of(digest, number, (size_t)snprintf(number, sizeof(number), "%d", i), chain);
        snprintf(id, sizeof(id), "pri_%d", i);
        leaves[i] = merkle_leaf(digest, id, i + 1, chain);
    }
}

static void roots_are_those_of_the_standard(void **state)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct merkle_hash leaves[LEAVES_MAX];
    char hex[DIGEST_HEX_BYTES];

    (void)state;
    leaves_make(digest, leaves);
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        assert_string_equal(digest_hex(merkle_root(digest, leaves, vectors[i].count).bytes, hex), vectors[i].root);
}

static void each_leaf_of_every_size_has_a_path_to_the_root(void **state)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct merkle_hash leaves[LEAVES_MAX], path[MERKLE_PATH_MAX];

    (void)state;
    leaves_make(digest, leaves);
    for (size_t count = 1; count <= LEAVES_MAX; count++) {
        struct merkle_hash root = merkle_root(digest, leaves, count);

        for (size_t index = 0; index < count; index++) {
            int length = merkle_path(digest, leaves, count, index, path);

            assert_true(merkle_check(digest, &leaves[index], index, count, path, length, &root));
        }
    }
}

static void a_path_proves_one_leaf_at_one_place_only(void **state)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct merkle_hash leaves[LEAVES_MAX], path[MERKLE_PATH_MAX], root, other;

    (void)state;
    leaves_make(digest, leaves);
    for (size_t count = 1; count <= LEAVES_MAX; count += 3) {
        root = merkle_root(digest, leaves, count);
        for (size_t index = 0; index < count; index++) {
            int length = merkle_path(digest, leaves, count, index, path);

            other = leaves[index];
            other.bytes[7] ^= 1;
            assert_false(merkle_check(digest, &other, index, count, path, length, &root));
            assert_false(merkle_check(digest, &leaves[index], count, count, path, length, &root));
            if (count > 1)
                assert_false(merkle_check(digest, &leaves[index], (index + 1) % count, count, path, length, &root));
            if (length) {
                assert_false(merkle_check(digest, &leaves[index], index, count, path, length - 1, &root));
                path[length - 1].bytes[0] ^= 1;
                assert_false(merkle_check(digest, &leaves[index], index, count, path, length, &root));
            }
            path[length] = leaves[index];
            assert_false(merkle_check(digest, &leaves[index], index, count, path, length + 1, &root));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(roots_are_those_of_the_standard),
        TEST(each_leaf_of_every_size_has_a_path_to_the_root),
        TEST(a_path_proves_one_leaf_at_one_place_only),
    };

    return cmocka_run_group_tests_name("common/merkle", tests, NULL, NULL);
}
