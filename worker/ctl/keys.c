#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/config.h"
#include "common/sign.h"
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

static int new_verb(const struct config *config, struct err *err)
{
    char id[32], text[KEY_CHARS];

    (void)config;
    (void)err;
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
    printf("# A new checkpoint key, too, goes before the old ones: the first signs, all are published.\n");
    printf("DOCKET_CHECKPOINT_KEYS=%s:%s\n", fresh_id(id), fresh(text, KEY_BYTES, sodium_base64_VARIANT_ORIGINAL));
    sodium_memzero(text, sizeof(text));
    return 0;
}

/* As --public-key of docketctl audit takes them. */
static int public_print(const char *keys, struct err *err)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = NULL;
    char text[SIGN_PUBLIC_TEXT_BYTES];
    int r = sign_ring_new(keys, &ring, err);

    if (r < 0)
        return r;
    if (!ring)
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_CHECKPOINT_KEYS is empty");
    for (int i = 0; sign_ring_id(ring, i); i++)
        printf("%s:%s\n", sign_ring_id(ring, i), sign_public_text(sign_ring_public(ring, i), text));
    return 0;
}

static int public_verb(const struct config *config, struct err *err)
{
    _cleanup_(config_freep) struct config *own = NULL;
    int r = config ? 0 : config_load(CONFIG_CTL, NULL, &own, err);

    return r < 0 ? r : public_print((config ? config : own)->checkpoint_keys, err);
}

int keys_verb(const struct config *config, char **args, struct err *err)
{
    static const struct {
        const char *name;
        int (*run)(const struct config *config, struct err *err);
    } verbs[] = { { "new", new_verb }, { "public", public_verb }, { "rewrap", rewrap_verb } };

    for (size_t i = 0; args[0] && !args[1] && i < COUNT_OF(verbs); i++)
        if (!strcmp(args[0], verbs[i].name))
            return verbs[i].run(config, err);
    return verb_usage("keys new | public | rewrap", err);
}
