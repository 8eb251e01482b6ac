#include "worker/execute/seen.h"

#include <stdlib.h>

enum { SIZE_FIRST = 1024 };

static bool is_free(const struct seen_hash *hash)
{
    return !hash->words[0] && !hash->words[1];
}

/* There is a free place: half of them are. */
static bool put(struct seen *seen, struct seen_hash hash)
{
    size_t i = hash.words[0] & (seen->size - 1);

    for (; !is_free(&seen->places[i]); i = (i + 1) & (seen->size - 1))
        if (seen->places[i].words[0] == hash.words[0] && seen->places[i].words[1] == hash.words[1])
            return false;
    seen->places[i] = hash;
    seen->count++;
    return true;
}

static void grow(struct seen *seen)
{
    struct seen larger = { .size = seen->size ? 2 * seen->size : SIZE_FIRST };

    larger.places = calloc(larger.size, sizeof(*larger.places));
    if (!larger.places)
        abort();
    for (size_t i = 0; i < seen->size; i++)
        if (!is_free(&seen->places[i]))
            (void)put(&larger, seen->places[i]);
    free(seen->places);
    *seen = larger;
}

bool seen_add(struct seen *seen, struct seen_hash hash)
{
    if (is_free(&hash))
        hash.words[1] = 1;
    if (2 * seen->count >= seen->size)
        grow(seen);
    return put(seen, hash);
}

void seen_free(struct seen *seen)
{
    free(seen->places);
    *seen = (struct seen){ 0 };
}
