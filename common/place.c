#include "common/place.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *place_print(const struct place *place, char text[PLACE_BYTES])
{
    snprintf(text, PLACE_BYTES, "%s/%d/%" PRId64, place->topic, (int)place->partition, place->offset);
    return text;
}

static bool take_number(const char **end, const char *start, int64_t max, int64_t *ret)
{
    const char *slash = *end;
    char *stop;

    while (slash > start && slash[-1] != '/')
        slash--;
    if (slash == start || slash == *end || *slash < '0' || *slash > '9' || *end - slash > 19)
        return false;
    *ret = strtoll(slash, &stop, 10);
    if (stop != *end || *ret > max)
        return false;
    *end = slash - 1;
    return true;
}

bool place_parse(const char *text, struct place *ret)
{
    const char *end = text + strlen(text);
    int64_t partition, offset;

    if (!take_number(&end, text, INT64_MAX - 1, &offset) || !take_number(&end, text, INT32_MAX, &partition) ||
        end == text || end - text >= (ptrdiff_t)sizeof(ret->topic))
        return false;
    *ret = (struct place){ .partition = (int32_t)partition, .offset = offset };
    memcpy(ret->topic, text, (size_t)(end - text));
    return true;
}
