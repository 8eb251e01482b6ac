/*
 * digest - SHA-256, over and over: OpenSSL's, which uses what the processor has for it.
 *
 * Threads:   one at a time per `struct digest`.
 * Ownership: digest_free().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX_BYTES = 2 * DIGEST_BYTES + 1 };

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *digest); /* accepts NULL */
DEFINE_CLEANUP(struct digest *, digest_free)

void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_end(struct digest *digest, uint8_t ret[DIGEST_BYTES]);

/* All three at once. */
void digest_of(struct digest *digest, const void *bytes, size_t length, uint8_t ret[DIGEST_BYTES]);

/* 64 lower-case hex digits, there and back. */
const char *digest_hex(const uint8_t bytes[DIGEST_BYTES], char text[DIGEST_HEX_BYTES]);
int digest_parse(const char *text, size_t length, uint8_t ret[DIGEST_BYTES]) MUST_CHECK; /* -1: they are none */
