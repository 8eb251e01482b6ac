/*
 * keyring - a setting that is a ring of keys: "id:base64 of 32 bytes" with commas, in their order.
 *
 * Threads:   read-only after keyring_new(); any thread.
 * Errors:    ERR_INTERNAL with a cause that tells the place in the setting, never what stands there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { KEYRING_KEY_BYTES = 32, KEYRING_ID_MAX = 32 };

struct keyring_key {
    struct keyring_key *next;
    char id[KEYRING_ID_MAX + 1];
    uint8_t bytes[KEYRING_KEY_BYTES];
};

/* `setting`: its name, for errors. At least one key. */
int keyring_new(const char *setting, const char *keys, struct keyring_key **ret, struct err *err) MUST_CHECK;
void keyring_free(struct keyring_key *keys); /* wipes them; accepts NULL */
DEFINE_CLEANUP(struct keyring_key *, keyring_free)

const struct keyring_key *keyring_find(const struct keyring_key *keys, const char *id, size_t length);

/* 32 bytes of standard base64, with or without its padding. */
bool keyring_decode(const char *text, size_t length, uint8_t ret[KEYRING_KEY_BYTES]);
