/*
 * trust - the public keys that checkpoints are believed by: those that were named, else those of DOCKET_CHECKPOINT_KEYS.
 *
 * Threads: read-only after trust_read().
 */
#pragma once

#include "common/checkpoint.h"
#include "common/config.h"
#include "worker/ctl/option.h"

struct trust {
    struct sign_public keys[OPTION_TEXTS_MAX];
    int count; /* 0: the keys that checkpoints name are believed, which proves nothing by itself */
};

/* `given`: what --public-key said. */
int trust_read(const struct option_texts *given, const struct config *config, struct trust *ret,
               struct err *err) MUST_CHECK;

/* The public key that a checkpoint must be signed with; NULL when its id is not known. */
const uint8_t *trust_key(const struct trust *trust, const struct checkpoint *checkpoint);

extern const char trust_nobody[]; /* what is to be said of none */
