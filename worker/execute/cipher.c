#include "worker/execute/cipher.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"

enum { CHUNK_BYTES = 48 * 1024 }; /* of three, so that base64 has no rest within */

struct cipher {
    struct sink sink;
    struct sink *next;
    EVP_CIPHER_CTX *context;
    size_t length; /* of `chunk`: encrypted, not yet passed on */
    uint8_t chunk[CHUNK_BYTES + CIPHER_TAG_BYTES];
    uint8_t text[(CHUNK_BYTES + CIPHER_TAG_BYTES) / 3 * 4 + 8];
};
_Static_assert(CHUNK_BYTES % 3 == 0, "base64 of a full chunk has no padding");

void cipher_free(struct cipher *cipher)
{
    if (!cipher)
        return;
    EVP_CIPHER_CTX_free(cipher->context);
    free(cipher);
}

static int chunk_pass(struct cipher *cipher, struct err *err)
{
    int length = EVP_EncodeBlock(cipher->text, cipher->chunk, (int)cipher->length);

    cipher->length = 0;
    return sink_put(cipher->next, cipher->text, (size_t)length, err);
}

static int cipher_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    struct cipher *cipher = (struct cipher *)sink;
    const uint8_t *at = bytes;
    int r = 0, done;

    while (r == 0 && length) {
        size_t some = CHUNK_BYTES - cipher->length < length ? CHUNK_BYTES - cipher->length : length;

        if (EVP_EncryptUpdate(cipher->context, cipher->chunk + cipher->length, &done, at, (int)some) != 1)
            return err_cause(err, ERR_INTERNAL, "cipher: encryption failed");
        cipher->length += (size_t)done;
        at += some;
        length -= some;
        if (cipher->length == CHUNK_BYTES)
            r = chunk_pass(cipher, err);
    }
    return r;
}

static bool cipher_begin(struct cipher *cipher, const char *key)
{
    int ignored;

    cipher->context = EVP_CIPHER_CTX_new();
    return cipher->context &&
           EVP_EncryptInit_ex(cipher->context, EVP_aes_128_gcm(), NULL, (const uint8_t *)key, cipher->chunk) == 1 &&
           EVP_EncryptUpdate(cipher->context, NULL, &ignored, cipher->chunk, CIPHER_NONCE_BYTES) == 1;
}

int cipher_new(const char *key, const uint8_t *nonce, struct sink *next, struct cipher **ret, struct err *err)
{
    _cleanup_(cipher_freep) struct cipher *cipher = calloc(1, sizeof(*cipher));

    if (!cipher)
        abort();
    if (strlen(key) != CIPHER_KEY_BYTES)
        return err_cause(err, ERR_INTERNAL, "cipher: a key of %zu bytes", strlen(key));
    if (nonce)
        memcpy(cipher->chunk, nonce, CIPHER_NONCE_BYTES);
    else
        random_bytes(cipher->chunk, CIPHER_NONCE_BYTES);
    cipher->sink.put = cipher_put;
    cipher->next = next;
    cipher->length = CIPHER_NONCE_BYTES;
    if (!cipher_begin(cipher, key))
        return err_cause(err, ERR_INTERNAL, "cipher: it can't be set up");
    *ret = TAKE(cipher);
    return 0;
}

struct sink *cipher_sink(struct cipher *cipher)
{
    return &cipher->sink;
}

int cipher_finish(struct cipher *cipher, struct err *err)
{
    int ignored;

    if (EVP_EncryptFinal_ex(cipher->context, cipher->chunk + cipher->length, &ignored) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher->context, EVP_CTRL_GCM_GET_TAG, CIPHER_TAG_BYTES,
                            cipher->chunk + cipher->length) != 1)
        return err_cause(err, ERR_INTERNAL, "cipher: encryption failed");
    cipher->length += CIPHER_TAG_BYTES;
    return chunk_pass(cipher, err);
}
