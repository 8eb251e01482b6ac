#include "worker/ctl/audit/trust.h"

#include <stdio.h>
#include <string.h>

const char trust_nobody[] = "no public key was given: checkpoints are believed by the keys that they name, which "
                            "proves nothing by itself";

static int ring_read(const struct config *config, struct trust *ret, struct err *err)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = NULL;
    int r = sign_ring_new(config->checkpoint_keys, &ring, err);

    for (int i = 0; r == 0 && ring && sign_ring_id(ring, i) && i < OPTION_TEXTS_MAX; i++) {
        struct sign_public *key = &ret->keys[ret->count++];

        snprintf(key->id, sizeof(key->id), "%s", sign_ring_id(ring, i));
        memcpy(key->key, sign_ring_public(ring, i), SIGN_PUBLIC_BYTES);
    }
    return r;
}

int trust_read(const struct option_texts *given, const struct config *config, struct trust *ret, struct err *err)
{
    ret->count = 0;
    for (int i = 0; i < given->count; i++)
        if (!sign_public_parse(given->texts[i], &ret->keys[ret->count++]))
            return err_set(err, ERR_BAD_REQUEST, "--public-key takes id:base64 of 32 bytes, as docketctl keys public "
                                                 "prints it");
    return given->count ? 0 : ring_read(config, ret, err);
}

const uint8_t *trust_key(const struct trust *trust, const struct checkpoint *checkpoint)
{
    for (int i = 0; i < trust->count; i++)
        if (!strcmp(trust->keys[i].id, checkpoint->key_id))
            return trust->keys[i].key;
    return trust->count ? NULL : checkpoint->public_key;
}
