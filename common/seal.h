/*
 * seal - what may be forgotten, or must not be seen, is encrypted before it is stored.
 *
 * A ring of master keys with ids: the first seals, all open. Each request has a key of its own, which the
 * ring wraps; what belongs to the request is sealed with that. XChaCha20-Poly1305 (libsodium), a random
 * nonce, and a context that binds a sealed value to its place: "what" and whose, as additional data.
 * Sealed form: nonce (24) || ciphertext || tag (16). Wrapped by the ring: the key id is stored beside it.
 *
 * Threads:   a ring is read-only after seal_ring_new(); any thread.
 * Errors:    ERR_INTERNAL with a cause, never with the value.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

enum { SEAL_KEY_BYTES = 32, SEAL_OVERHEAD_BYTES = 40, SEAL_HASH_BYTES = 32, SEAL_KEY_ID_MAX = 32 };

struct seal_ring;
struct seal_key {
    uint8_t bytes[SEAL_KEY_BYTES];
};
struct bytes {
    const void *data; /* NULL: absent */
    size_t length;
};

/* `keys` as DOCKET_SEALING_KEYS, `hash_key` as DOCKET_IDENTITY_HASH_KEY (NULL: seal_hash() is not used). */
int seal_ring_new(const char *keys, const char *hash_key, struct seal_ring **ret, struct err *err) MUST_CHECK;
void seal_ring_free(struct seal_ring *ring);
DEFINE_CLEANUP(struct seal_ring *, seal_ring_free)

/* A fresh key for a request, and its form for the database. *key_id points into the ring. */
void seal_key_new(struct seal_key *ret);
struct bytes seal_key_wrap(const struct seal_ring *ring, const struct seal_key *key, const char *request_id,
                           struct arena *arena, const char **key_id);
int seal_key_unwrap(const struct seal_ring *ring, const char *key_id, struct bytes wrapped,
                    const char *request_id, struct seal_key *ret, struct err *err) MUST_CHECK;

/* With a request's key. `what` names the place, e.g. "identity", "reason". */
struct bytes seal_close(const struct seal_key *key, const char *what, const char *owner_id, struct bytes plain,
                        struct arena *arena);
int seal_open(const struct seal_key *key, const char *what, const char *owner_id, struct bytes sealed,
              struct arena *arena, struct bytes *ret, struct err *err) MUST_CHECK; /* ret->data ends in NUL */

/* With the ring itself, for what belongs to no request (connection secrets). The sealed form begins with
 * the key id's length (1 byte) and the key id. */
struct bytes seal_ring_close(const struct seal_ring *ring, const char *what, const char *owner_id,
                             struct bytes plain, struct arena *arena);
int seal_ring_open(const struct seal_ring *ring, const char *what, const char *owner_id, struct bytes sealed,
                   struct arena *arena, struct bytes *ret, struct err *err) MUST_CHECK;

/* Ids of the ring's keys: the first seals; NULL past the last. */
const char *seal_ring_id(const struct seal_ring *ring, int index);
/* The id of the key that sealed it; "" for what is no sealed form. */
void seal_ring_id_of(struct bytes sealed, char ret[SEAL_KEY_ID_MAX + 1]);

/* Keyed BLAKE2b-256 of field, NUL, value: identity search. */
void seal_hash(const struct seal_ring *ring, const char *field, const char *value,
               uint8_t ret[SEAL_HASH_BYTES]);
