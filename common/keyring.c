#include "common/keyring.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

bool keyring_decode(const char *text, size_t length, uint8_t ret[KEYRING_KEY_BYTES])
{
    static const int variants[] = { sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING };
    size_t decoded = 0;

    for (size_t i = 0; i < COUNT_OF(variants); i++)
        if (sodium_base642bin(ret, KEYRING_KEY_BYTES, text, length, NULL, &decoded, NULL, variants[i]) == 0)
            return decoded == KEYRING_KEY_BYTES;
    return false;
}

static bool id_is_valid(const char *id, size_t length)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    return length > 0 && length <= KEYRING_ID_MAX && strspn(id, allowed) >= length;
}

const struct keyring_key *keyring_find(const struct keyring_key *keys, const char *id, size_t length)
{
    for (const struct keyring_key *key = keys; key; key = key->next)
        if (strlen(key->id) == length && !memcmp(key->id, id, length))
            return key;
    return NULL;
}

/* One "id:base64" of what stands before it in `keys`. */
static int key_parse(const char *setting, const struct keyring_key *keys, const char *entry, size_t length, int number,
                     struct keyring_key **ret, struct err *err)
{
    const char *colon = memchr(entry, ':', length);
    struct keyring_key *key;

    if (!colon || !id_is_valid(entry, (size_t)(colon - entry)))
        return err_cause(err, ERR_INTERNAL,
                         "%s: key %d is not id:base64 with an id of 1 to %d letters, digits, '_', '.' or '-'",
                         setting, number, KEYRING_ID_MAX);
    if (keyring_find(keys, entry, (size_t)(colon - entry)))
        return err_cause(err, ERR_INTERNAL, "%s: key %d has the id of another", setting, number);
    key = calloc(1, sizeof(*key));
    if (!key)
        abort();
    memcpy(key->id, entry, (size_t)(colon - entry));
    if (!keyring_decode(colon + 1, length - (size_t)(colon + 1 - entry), key->bytes)) {
        free(key);
        return err_cause(err, ERR_INTERNAL, "%s: key %d is not base64 of %d bytes", setting, number,
                         KEYRING_KEY_BYTES);
    }
    *ret = key;
    return 0;
}

int keyring_new(const char *setting, const char *keys, struct keyring_key **ret, struct err *err)
{
    _cleanup_(keyring_freep) struct keyring_key *first = NULL;
    struct keyring_key **end = &first;

    for (int number = 1;; number++) {
        size_t length = strcspn(keys, ",");
        int r = key_parse(setting, first, keys, length, number, end, err);

        if (r < 0)
            return r;
        end = &(*end)->next;
        if (!keys[length])
            break;
        keys += length + 1;
    }
    *ret = TAKE(first);
    return 0;
}

void keyring_free(struct keyring_key *keys)
{
    while (keys) {
        struct keyring_key *next = keys->next;

        sodium_memzero(keys, sizeof(*keys));
        free(keys);
        keys = next;
    }
}
