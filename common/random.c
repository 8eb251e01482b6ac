#include "common/random.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void random_bytes(void *bytes, size_t count)
{
    static _Thread_local uint8_t pool[1024];
    static _Thread_local size_t left;

    if (count > RANDOM_MAX)
        abort();
    if (left < count) {
        randombytes_buf(pool, sizeof(pool));
        left = sizeof(pool);
    }
    left -= count;
    memcpy(bytes, pool + left, count);
    sodium_memzero(pool + left, count);
}
