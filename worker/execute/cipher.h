/*
 * cipher - a package as its receiver can open it with the `encryption_key` that came with the request (dsr.md 4):
 * base64 of nonce || AES-128-GCM ciphertext || tag, the nonce as additional data. What is put comes out encrypted at
 * the sink behind.
 *
 * Threads:   one caller at a time. Ownership: cipher_free(); the sink behind is the caller's.
 */
#pragma once

#include <stdint.h>

#include "worker/execute/sink.h"

enum { CIPHER_KEY_BYTES = 16, CIPHER_NONCE_BYTES = 12, CIPHER_TAG_BYTES = 16 };

struct cipher;

/* `nonce` NULL: a random one, as it must be but for tests. */
int cipher_new(const char *key, const uint8_t *nonce, struct sink *next, struct cipher **ret,
               struct err *err) MUST_CHECK;
struct sink *cipher_sink(struct cipher *cipher);
int cipher_finish(struct cipher *cipher, struct err *err) MUST_CHECK; /* the tag, and base64's end */
void cipher_free(struct cipher *cipher);
DEFINE_CLEANUP(struct cipher *, cipher_free)
