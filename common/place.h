/*
 * place - where a record stands, as a word: "<topic>/<partition>/<offset>".
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PLACE_BYTES = 300 };
struct place {
    char topic[250]; /* as long as Kafka lets them be */
    int32_t partition;
    int64_t offset;
};
const char *place_print(const struct place *place, char text[PLACE_BYTES]);
bool place_parse(const char *text, struct place *ret);
