/*
 * store_kind - what a kind of storage can do: keep sealed bytes under a location, and give them back. common/store.c
 * seals, opens and checks; these only carry. Nobody else calls them.
 */
#pragma once

#include "common/store.h"

struct store_kind {
    const char *type;
    /* What is under way is `handle`; finish() and abandon() release it, and only finish() leaves the object there. */
    int (*begin)(const struct store_target *target, const char *location, void **handle, struct err *err);
    int (*put)(void *handle, const void *bytes, size_t length, struct err *err);
    int (*finish)(void *handle, struct err *err);
    void (*abandon)(void *handle);
    int (*open)(const struct store_target *target, const char *location, void **handle, struct err *err);
    /* Fills the buffer as far as there are bytes; fewer than `size` only at the end. */
    int64_t (*get)(void *handle, void *buffer, size_t size, struct err *err);
    void (*close)(void *handle);
    int (*remove)(const struct store_target *target, const char *location, struct err *err);
};

extern const struct store_kind store_local; /* common/store_local.c */
extern const struct store_kind store_s3;    /* common/store_s3.c */
