/*
 * random - random bytes for ids and nonces, drawn from a buffer of the thread: one system call for many. Keys are
 * made by libsodium directly, so that they stand in no buffer.
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

/* `count` at most RANDOM_MAX. */
enum { RANDOM_MAX = 64 };
void random_bytes(void *bytes, size_t count);
