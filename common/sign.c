#include "common/sign.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/keyring.h"

_Static_assert(SIGN_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES && SIGN_BYTES == crypto_sign_BYTES, "Ed25519");
_Static_assert(KEYRING_KEY_BYTES == crypto_sign_SEEDBYTES && (int)SIGN_ID_MAX == KEYRING_ID_MAX, "keys of the ring");
_Static_assert(SIGN_TEXT_BYTES == sodium_base64_ENCODED_LEN(SIGN_BYTES, sodium_base64_VARIANT_ORIGINAL), "base64");
_Static_assert(SIGN_PUBLIC_TEXT_BYTES == sodium_base64_ENCODED_LEN(SIGN_PUBLIC_BYTES, sodium_base64_VARIANT_ORIGINAL),
               "base64");

struct sign_key {
    char id[SIGN_ID_MAX + 1];
    uint8_t public_key[SIGN_PUBLIC_BYTES];
};

struct sign_ring {
    uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* of the first */
    int count;
    struct sign_key keys[];
};

static void key_derive(const struct keyring_key *seed, struct sign_key *key, uint8_t secret[crypto_sign_SECRETKEYBYTES])
{
    memcpy(key->id, seed->id, sizeof(key->id));
    crypto_sign_seed_keypair(key->public_key, secret, seed->bytes);
}

int sign_ring_new(const char *keys, struct sign_ring **ret, struct err *err)
{
    _cleanup_(keyring_freep) struct keyring_key *seeds = NULL;
    uint8_t unused[crypto_sign_SECRETKEYBYTES];
    struct sign_ring *ring;
    size_t count = 0;
    int r;

    *ret = NULL;
    if (!keys || !*keys)
        return 0;
    if (sodium_init() < 0)
        abort(); /* no source of randomness */
    r = keyring_new("DOCKET_CHECKPOINT_KEYS", keys, &seeds, err);
    if (r < 0)
        return r;
    for (const struct keyring_key *seed = seeds; seed; seed = seed->next)
        count++;
    ring = calloc(1, sizeof(*ring) + count * sizeof(ring->keys[0]));
    if (!ring)
        abort();
    for (const struct keyring_key *seed = seeds; seed; seed = seed->next, ring->count++)
        key_derive(seed, &ring->keys[ring->count], ring->count ? unused : ring->secret);
    sodium_memzero(unused, sizeof(unused));
    *ret = ring;
    return 0;
}

void sign_ring_free(struct sign_ring *ring)
{
    if (!ring)
        return;
    sodium_memzero(ring->secret, sizeof(ring->secret));
    free(ring);
}

const char *sign_ring_id(const struct sign_ring *ring, int index)
{
    return index < ring->count ? ring->keys[index].id : NULL;
}

const uint8_t *sign_ring_public(const struct sign_ring *ring, int index)
{
    return index < ring->count ? ring->keys[index].public_key : NULL;
}

const char *sign_make(const struct sign_ring *ring, const void *bytes, size_t length, uint8_t ret[SIGN_BYTES])
{
    crypto_sign_detached(ret, NULL, bytes, length, ring->secret);
    return ring->keys[0].id;
}

bool sign_check(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *bytes, size_t length,
                const uint8_t signature[SIGN_BYTES])
{
    return crypto_sign_verify_detached(signature, bytes, length, public_key) == 0;
}

bool sign_public_parse(const char *text, struct sign_public *ret)
{
    struct keyring_key *key = NULL;
    struct err err;

    if (strchr(text, ',') || keyring_new("", text, &key, &err) < 0)
        return false;
    memcpy(ret->id, key->id, sizeof(ret->id));
    memcpy(ret->key, key->bytes, sizeof(ret->key));
    keyring_free(key);
    return true;
}

const char *sign_text(const uint8_t signature[SIGN_BYTES], char text[SIGN_TEXT_BYTES])
{
    return sodium_bin2base64(text, SIGN_TEXT_BYTES, signature, SIGN_BYTES, sodium_base64_VARIANT_ORIGINAL);
}

const char *sign_public_text(const uint8_t key[SIGN_PUBLIC_BYTES], char text[SIGN_PUBLIC_TEXT_BYTES])
{
    return sodium_bin2base64(text, SIGN_PUBLIC_TEXT_BYTES, key, SIGN_PUBLIC_BYTES, sodium_base64_VARIANT_ORIGINAL);
}

bool sign_parse(const char *text, uint8_t ret[SIGN_BYTES])
{
    size_t decoded = 0;

    return sodium_base642bin(ret, SIGN_BYTES, text, strlen(text), NULL, &decoded, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           decoded == SIGN_BYTES;
}
