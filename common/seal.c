#include "common/seal.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/keyring.h"
#include "common/random.h"

/* What a wrapped request key is bound to, beside the request's id. */
#define WRAP_PLACE "request_key"

enum { NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
_Static_assert((int)SEAL_KEY_BYTES == KEYRING_KEY_BYTES && (int)SEAL_KEY_ID_MAX == KEYRING_ID_MAX, "keys of the ring");
_Static_assert(NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES == SEAL_OVERHEAD_BYTES,
               "sealed form");
_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");

struct seal_ring {
    struct keyring_key *keys; /* the first seals */
    bool can_hash;
    uint8_t hash_key[SEAL_KEY_BYTES];
};

/* libsodium locks and counts by itself: any number of calls from any thread set it up once. */
static void sodium_ready(void)
{
    if (sodium_init() < 0)
        abort(); /* no source of randomness */
}

int seal_ring_new(const char *keys, const char *hash_key, struct seal_ring **ret, struct err *err)
{
    _cleanup_(seal_ring_freep) struct seal_ring *ring = NULL;
    int r;

    sodium_ready();
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        abort();
    r = keyring_new("DOCKET_SEALING_KEYS", keys, &ring->keys, err);
    if (r < 0)
        return r;
    if (hash_key && !keyring_decode(hash_key, strlen(hash_key), ring->hash_key))
        return err_cause(err, ERR_INTERNAL, "DOCKET_IDENTITY_HASH_KEY is not base64 of %d bytes",
                         SEAL_KEY_BYTES);
    ring->can_hash = hash_key != NULL;
    *ret = TAKE(ring);
    return 0;
}

void seal_ring_free(struct seal_ring *ring)
{
    if (!ring)
        return;
    keyring_free(ring->keys);
    sodium_memzero(ring, sizeof(*ring));
    free(ring);
}

/* what, NUL, owner: both are texts, so no two pairs give the same bytes. */
static struct buf context_of(const char *what, const char *owner_id)
{
    struct buf context = BUF_INIT(SIZE_MAX / 4);

    buf_add(&context, what, strlen(what) + 1);
    buf_adds(&context, owner_id);
    return context;
}

static void encrypt(const uint8_t key[SEAL_KEY_BYTES], const char *what, const char *owner_id,
                    struct bytes plain, uint8_t *sealed)
{
    _cleanup_(buf_free) struct buf context = context_of(what, owner_id);

    random_bytes(sealed, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_BYTES, NULL, plain.data, plain.length,
                                               (const uint8_t *)context.data, context.length, NULL,
                                               sealed, key);
}

/* `plain` has room for sealed.length - SEAL_OVERHEAD_BYTES. */
static int decrypt(const uint8_t key[SEAL_KEY_BYTES], const char *what, const char *owner_id,
                   struct bytes sealed, uint8_t *plain, struct err *err)
{
    _cleanup_(buf_free) struct buf context = context_of(what, owner_id);
    const uint8_t *bytes = sealed.data;

    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            plain, NULL, NULL, bytes + NONCE_BYTES, sealed.length - NONCE_BYTES,
            (const uint8_t *)context.data, context.length, bytes, key) != 0)
        return err_cause(err, ERR_INTERNAL, "seal: %s does not open", what);
    return 0;
}

static struct bytes close_with(const uint8_t key[SEAL_KEY_BYTES], const char *what, const char *owner_id,
                               struct bytes plain, struct arena *arena)
{
    size_t length = plain.length + SEAL_OVERHEAD_BYTES;
    uint8_t *sealed;

    if (!plain.data)
        return (struct bytes){ 0 };
    sealed = arena_alloc(arena, length);
    encrypt(key, what, owner_id, plain, sealed);
    return (struct bytes){ sealed, length };
}

static int open_with(const uint8_t key[SEAL_KEY_BYTES], const char *what, const char *owner_id,
                     struct bytes sealed, struct arena *arena, struct bytes *ret, struct err *err)
{
    uint8_t *plain;
    int r;

    if (!sealed.data) {
        *ret = (struct bytes){ 0 };
        return 0;
    }
    if (sealed.length < SEAL_OVERHEAD_BYTES)
        return err_cause(err, ERR_INTERNAL, "seal: %s has %zu bytes", what, sealed.length);
    plain =
        arena_alloc(arena, sealed.length - SEAL_OVERHEAD_BYTES + 1); /* zeroed: it ends in NUL */
    r = decrypt(key, what, owner_id, sealed, plain, err);
    if (r < 0)
        return r;
    *ret = (struct bytes){ plain, sealed.length - SEAL_OVERHEAD_BYTES };
    return 0;
}

void seal_key_new(struct seal_key *ret)
{
    sodium_ready();
    randombytes_buf(ret->bytes, sizeof(ret->bytes));
}

struct bytes seal_key_wrap(const struct seal_ring *ring, const struct seal_key *key,
                           const char *request_id, struct arena *arena, const char **key_id)
{
    struct bytes plain = { key->bytes, sizeof(key->bytes) };

    *key_id = ring->keys->id;
    return close_with(ring->keys->bytes, WRAP_PLACE, request_id, plain, arena);
}

int seal_key_unwrap(const struct seal_ring *ring, const char *key_id, struct bytes wrapped,
                    const char *request_id, struct seal_key *ret, struct err *err)
{
    const struct keyring_key *key = keyring_find(ring->keys, key_id, strlen(key_id));
    struct seal_key plain;
    int r;

    if (!key)
        return err_cause(err, ERR_INTERNAL, "seal: no master key '%.*s'", SEAL_KEY_ID_MAX, key_id);
    if (!wrapped.data || wrapped.length != SEAL_KEY_BYTES + SEAL_OVERHEAD_BYTES)
        return err_cause(err, ERR_INTERNAL, "seal: a wrapped key has %zu bytes", wrapped.length);
    r = decrypt(key->bytes, WRAP_PLACE, request_id, wrapped, plain.bytes, err);
    if (r < 0)
        return r;
    *ret = plain;
    sodium_memzero(&plain, sizeof(plain));
    return 0;
}

struct bytes seal_close(const struct seal_key *key, const char *what, const char *owner_id,
                        struct bytes plain, struct arena *arena)
{
    return close_with(key->bytes, what, owner_id, plain, arena);
}

int seal_open(const struct seal_key *key, const char *what, const char *owner_id,
              struct bytes sealed, struct arena *arena, struct bytes *ret, struct err *err)
{
    return open_with(key->bytes, what, owner_id, sealed, arena, ret, err);
}

struct bytes seal_ring_close(const struct seal_ring *ring, const char *what, const char *owner_id,
                             struct bytes plain, struct arena *arena)
{
    const struct keyring_key *key = ring->keys;
    size_t id_length = strlen(key->id), length = 1 + id_length + plain.length + SEAL_OVERHEAD_BYTES;
    uint8_t *sealed;

    if (!plain.data)
        return (struct bytes){ 0 };
    sealed = arena_alloc(arena, length);
    sealed[0] = (uint8_t)id_length;
    memcpy(sealed + 1, key->id, id_length);
    encrypt(key->bytes, what, owner_id, plain, sealed + 1 + id_length);
    return (struct bytes){ sealed, length };
}

int seal_ring_open(const struct seal_ring *ring, const char *what, const char *owner_id,
                   struct bytes sealed, struct arena *arena, struct bytes *ret, struct err *err)
{
    const uint8_t *bytes = sealed.data;
    const struct keyring_key *key;
    size_t head;

    if (!bytes) {
        *ret = (struct bytes){ 0 };
        return 0;
    }
    head = sealed.length ? 1 + (size_t)bytes[0] : 1;
    if (sealed.length < head)
        return err_cause(err, ERR_INTERNAL, "seal: %s has %zu bytes", what, sealed.length);
    key = keyring_find(ring->keys, (const char *)bytes + 1, head - 1);
    if (!key)
        return err_cause(err, ERR_INTERNAL, "seal: no master key for %s", what);
    return open_with(key->bytes, what, owner_id,
                     (struct bytes){ bytes + head, sealed.length - head }, arena, ret, err);
}

const char *seal_ring_id(const struct seal_ring *ring, int index)
{
    const struct keyring_key *key = ring->keys;

    while (key && index--)
        key = key->next;
    return key ? key->id : NULL;
}

void seal_ring_id_of(struct bytes sealed, char ret[SEAL_KEY_ID_MAX + 1])
{
    const uint8_t *bytes = sealed.data;
    size_t length = sealed.length ? bytes[0] : 0;

    if (length > SEAL_KEY_ID_MAX || sealed.length <= length)
        length = 0;
    if (length)
        memcpy(ret, bytes + 1, length);
    ret[length] = '\0';
}

void seal_hash(const struct seal_ring *ring, const char *field, const char *value,
               uint8_t ret[SEAL_HASH_BYTES])
{
    crypto_generichash_state state;

    if (!ring->can_hash)
        abort(); /* a hash under no key could be guessed back: better none */
    crypto_generichash_init(&state, ring->hash_key, sizeof(ring->hash_key), SEAL_HASH_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)field, strlen(field) + 1);
    crypto_generichash_update(&state, (const uint8_t *)value, strlen(value));
    crypto_generichash_final(&state, ret, SEAL_HASH_BYTES);
}
