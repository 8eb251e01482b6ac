/*
 * fuzz - a fuzzer is one function, called with bytes of which nothing is known. It must come back,
 * whatever they are, and CHECK what must hold of the result.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* Stays in builds without assert(), and a fuzzer sees it as a crash. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size); /* its name is libFuzzer's */
