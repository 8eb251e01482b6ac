#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/ctl/verb.h"

enum {
    KEY_BYTES = 32,
    KEY_CHARS = sodium_base64_ENCODED_LEN(KEY_BYTES, sodium_base64_VARIANT_ORIGINAL)
};
enum { APP_KEY_RANDOM_BYTES = 24 }; /* 32 characters of base64, which are the key's 32 bytes */

static const char *fresh(char text[KEY_CHARS], size_t bytes, int variant)
{
    unsigned char random[KEY_BYTES];

    randombytes_buf(random, bytes);
    sodium_bin2base64(text, KEY_CHARS, random, bytes, variant);
    sodium_memzero(random, sizeof(random));
    return text;
}

/* The day, which an operator recognises, and enough chance that no ring gets it twice. */
static const char *fresh_id(char text[32])
{
    time_t now = time(NULL);
    struct tm day;

    gmtime_r(&now, &day);
    strftime(text, 32, "%Y-%m-%d", &day);
    snprintf(text + strlen(text), 32 - strlen(text), "-%04x", randombytes_uniform(0x10000));
    return text;
}

int keys_verb(const struct config *config, char **args, struct err *err)
{
    char id[32], text[KEY_CHARS];

    if (args[0] && !strcmp(args[0], "rewrap") && !args[1])
        return rewrap_verb(config, err);
    if (!args[0] || strcmp(args[0], "new") != 0 || args[1])
        return verb_usage("keys new | rewrap", err);
    if (sodium_init() < 0)
        abort();
    printf(
        "# Put a new sealing key before the old ones, with a comma: the first seals, all open.\n");
    printf("DOCKET_SEALING_KEYS=%s:%s\n", fresh_id(id),
           fresh(text, KEY_BYTES, sodium_base64_VARIANT_ORIGINAL));
    printf("# These two cannot be exchanged later without losing what was made with them.\n");
    printf("DOCKET_IDENTITY_HASH_KEY=%s\n", fresh(text, KEY_BYTES, sodium_base64_VARIANT_ORIGINAL));
    printf("DOCKET_APP_ENCRYPTION_KEY=%s\n",
           fresh(text, APP_KEY_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE));
    sodium_memzero(text, sizeof(text));
    return 0;
}
