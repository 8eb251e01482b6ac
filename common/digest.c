#include "common/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
    EVP_MD *kind;
    EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
    struct digest *digest = calloc(1, sizeof(*digest));

    if (!digest)
        abort();
    digest->kind = EVP_MD_fetch(NULL, "SHA256", NULL);
    digest->context = EVP_MD_CTX_new();
    if (!digest->kind || !digest->context)
        abort();
    return digest;
}

void digest_free(struct digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    EVP_MD_free(digest->kind);
    free(digest);
}

/* With this algorithm none of these can fail. */
void digest_begin(struct digest *digest)
{
    if (!EVP_DigestInit_ex2(digest->context, digest->kind, NULL))
        abort();
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    if (!EVP_DigestUpdate(digest->context, bytes, length))
        abort();
}

void digest_end(struct digest *digest, uint8_t ret[DIGEST_BYTES])
{
    if (!EVP_DigestFinal_ex(digest->context, ret, NULL))
        abort();
}

void digest_of(struct digest *digest, const void *bytes, size_t length, uint8_t ret[DIGEST_BYTES])
{
    digest_begin(digest);
    digest_add(digest, bytes, length);
    digest_end(digest, ret);
}

const char *digest_hex(const uint8_t bytes[DIGEST_BYTES], char text[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < DIGEST_BYTES; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * DIGEST_BYTES] = '\0';
    return text;
}

/* One more than what a lower-case hex digit stands for; 0: it is none. */
static const uint8_t hex_values[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int digest_parse(const char *text, size_t length, uint8_t ret[DIGEST_BYTES])
{
    if (length != 2 * DIGEST_BYTES)
        return -1;
    for (int i = 0; i < DIGEST_BYTES; i++) {
        uint8_t high = hex_values[(uint8_t)text[2 * i]], low = hex_values[(uint8_t)text[2 * i + 1]];

        if (!high || !low)
            return -1;
        ret[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return 0;
}
