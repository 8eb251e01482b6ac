/*
 * sign - what docket states about its own log is signed, so that whoever has the public key can check it.
 *
 * A ring of Ed25519 keys with ids, DOCKET_CHECKPOINT_KEYS: the first signs, the others are there for their public keys,
 * which checks of what they once signed need. A signature is over the bytes as they stand, no hash before it.
 *
 * Threads:   a ring is read-only after sign_ring_new(); any thread.
 * Errors:    ERR_INTERNAL with a cause, never with a key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { SIGN_PUBLIC_BYTES = 32, SIGN_BYTES = 64, SIGN_ID_MAX = 32 };

struct sign_ring;

/* `keys` as DOCKET_CHECKPOINT_KEYS: "id:base64 of the 32-byte seed" with commas. NULL or "": *ret is NULL, as none is
 * configured. */
int sign_ring_new(const char *keys, struct sign_ring **ret, struct err *err) MUST_CHECK;
void sign_ring_free(struct sign_ring *ring); /* accepts NULL */
DEFINE_CLEANUP(struct sign_ring *, sign_ring_free)

/* Key `index` of the ring, 0 is the one that signs: its id, NULL past the last; its public key. */
const char *sign_ring_id(const struct sign_ring *ring, int index);
const uint8_t *sign_ring_public(const struct sign_ring *ring, int index);

/* By the ring's first key; returns its id. */
const char *sign_make(const struct sign_ring *ring, const void *bytes, size_t length, uint8_t ret[SIGN_BYTES]);
bool sign_check(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *bytes, size_t length,
                const uint8_t signature[SIGN_BYTES]);

/* Public keys that somebody names, in the same form: "id:base64 of the 32-byte public key". False when it is none. */
struct sign_public {
    char id[SIGN_ID_MAX + 1];
    uint8_t key[SIGN_PUBLIC_BYTES];
};
bool sign_public_parse(const char *text, struct sign_public *ret);

/* Standard base64 with padding, as keys and signatures are written everywhere. */
enum { SIGN_TEXT_BYTES = 89, SIGN_PUBLIC_TEXT_BYTES = 45 }; /* with the NUL */
const char *sign_text(const uint8_t signature[SIGN_BYTES], char text[SIGN_TEXT_BYTES]);
const char *sign_public_text(const uint8_t key[SIGN_PUBLIC_BYTES], char text[SIGN_PUBLIC_TEXT_BYTES]);
bool sign_parse(const char *text, uint8_t ret[SIGN_BYTES]);
