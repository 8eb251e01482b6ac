#include "api/event_place.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FORM = 1, CHECK_BYTES = 4, NUMBER_BYTES_MAX = 9, VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

/* --- numbers: seven bits a byte, the lowest first, the high bit while more follow ----------------------- */

static size_t number_put(uint8_t *to, int64_t number)
{
    uint64_t rest = (uint64_t)number;
    size_t length = 0;

    do {
        to[length] = (uint8_t)(rest & 0x7f);
        rest >>= 7;
        if (rest)
            to[length] |= 0x80;
        length++;
    } while (rest);
    return length;
}

/* Nine bytes hold what an int64_t above zero does. */
static bool number_take(const uint8_t **at, const uint8_t *end, int64_t *ret)
{
    uint64_t number = 0;

    for (int i = 0; i < NUMBER_BYTES_MAX && *at < end; i++) {
        uint8_t byte = *(*at)++;

        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        *ret = (int64_t)number;
        return byte || !i; /* one form for each number */
    }
    return false;
}

static void check_make(const char *topic, const uint8_t *bytes, size_t length, uint8_t ret[CHECK_BYTES])
{
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const uint8_t *)topic, strlen(topic) + 1);
    crypto_generichash_update(&state, bytes, length);
    crypto_generichash_final(&state, hash, sizeof(hash));
    memcpy(ret, hash, CHECK_BYTES);
}

void event_place_add(struct buf *out, const char *topic, const struct event_place *place)
{
    size_t room = 1 + (size_t)NUMBER_BYTES_MAX * ((size_t)place->count + 1) + CHECK_BYTES, length = 0;
    uint8_t *bytes = malloc(room);
    size_t chars = sodium_base64_encoded_len(room, VARIANT);
    char *text = malloc(chars);

    if (!bytes || !text)
        abort();
    bytes[length++] = FORM;
    length += number_put(bytes + length, place->count);
    for (int i = 0; i < place->count; i++)
        length += number_put(bytes + length, place->offsets[i]);
    check_make(topic, bytes, length, bytes + length);
    buf_adds(out, sodium_bin2base64(text, chars, bytes, length + CHECK_BYTES, VARIANT));
    free(bytes);
    free(text);
}

/* --- read ---------------------------------------------------------------------------------------------- */

static bool offsets_read(const uint8_t *at, const uint8_t *end, struct arena *arena, struct event_place *ret)
{
    struct event_place place;
    int64_t count;

    if (at == end || *at++ != FORM || !number_take(&at, end, &count) || count < 1 ||
        count > EVENT_PLACE_PARTITIONS_MAX)
        return false;
    place = (struct event_place){ (int)count, arena_array(arena, int64_t, (size_t)count) };
    for (int i = 0; i < place.count; i++)
        if (!number_take(&at, end, &place.offsets[i]))
            return false;
    if (at != end)
        return false;
    *ret = place;
    return true;
}

bool event_place_read(const char *text, const char *topic, struct arena *arena, struct event_place *ret)
{
    size_t length = strlen(text), byte_count;
    uint8_t check[CHECK_BYTES], *bytes;

    if (length > EVENT_PLACE_CHARS_MAX)
        return false;
    bytes = arena_alloc(arena, length + 1);
    if (sodium_base642bin(bytes, length, text, length, NULL, &byte_count, NULL, VARIANT) || byte_count < CHECK_BYTES)
        return false;
    byte_count -= CHECK_BYTES;
    check_make(topic, bytes, byte_count, check);
    return !memcmp(check, bytes + byte_count, CHECK_BYTES) && offsets_read(bytes, bytes + byte_count, arena, ret);
}
