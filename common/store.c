#include "common/store.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/store_kind.h"

/*
 * What lies in a storage: MAGIC, the stream's header, then frames of FRAME_BYTES, each with ABYTES more; the last may
 * be shorter and carries the final tag, so that a file cut at a frame's end is told from a whole one.
 */
#define MAGIC "docket1\n"

enum {
    MAGIC_BYTES = sizeof(MAGIC) - 1,
    FRAME_BYTES = 64 * 1024,
    SEALED_BYTES = FRAME_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES,
    HEADER_BYTES = MAGIC_BYTES + crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    LOCATION_MAX = 512,
    PART_MAX = 255 /* of a location, between slashes: a file's name */
};
_Static_assert(SEAL_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES, "key");

static const struct store_kind *const kinds[] = { &store_local, &store_s3 };

struct store_writer {
    const struct store_kind *kind;
    void *handle;
    crypto_secretstream_xchacha20poly1305_state state;
    int64_t bytes;
    size_t length; /* in the frame under way */
    uint8_t frame[FRAME_BYTES], sealed[SEALED_BYTES];
};

struct store_reader {
    const struct store_kind *kind;
    void *handle;
    crypto_secretstream_xchacha20poly1305_state state;
    size_t at, length; /* of the opened frame */
    bool final;
    uint8_t frame[FRAME_BYTES], sealed[SEALED_BYTES];
};

static int kind_find(const struct store_target *target, const struct store_kind **ret, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!strcmp(kinds[i]->type, target->type)) {
            *ret = kinds[i];
            return 0;
        }
    }
    return err_set(err, ERR_REFUSED, "Storage of type '%s' is not available in this version.", target->type);
}

/* Parts of ordinary characters between single slashes, none of them "." or "..". */
static bool location_is_safe(const char *location)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    if (strlen(location) > LOCATION_MAX)
        return false;
    for (;;) {
        size_t length = strspn(location, allowed);

        if (!length || length > PART_MAX || strspn(location, ".") >= length)
            return false;
        location += length;
        if (!*location)
            return true;
        if (*location++ != '/')
            return false;
    }
}

static int place_check(const struct store_target *target, const char *location, const struct store_kind **ret,
                       struct err *err)
{
    if (sodium_init() < 0)
        abort(); /* no source of randomness */
    if (!location_is_safe(location))
        return err_cause(err, ERR_INTERNAL, "store: a location that leads elsewhere, or has other characters");
    return kind_find(target, ret, err);
}

/* A key for this very place, so that a package put in another's place does not open. */
static void place_key(const struct seal_key *key, const char *request_id, const char *location,
                      uint8_t ret[SEAL_KEY_BYTES])
{
    static const char what[] = "package";
    crypto_generichash_state state;

    crypto_generichash_init(&state, key->bytes, sizeof(key->bytes), SEAL_KEY_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)what, sizeof(what));
    crypto_generichash_update(&state, (const uint8_t *)request_id, strlen(request_id) + 1);
    crypto_generichash_update(&state, (const uint8_t *)location, strlen(location));
    crypto_generichash_final(&state, ret, SEAL_KEY_BYTES);
}

/* --- writing -------------------------------------------------------------------------------------------- */

void store_writer_free(struct store_writer *writer)
{
    if (!writer)
        return;
    if (writer->handle)
        writer->kind->abandon(writer->handle);
    sodium_memzero(writer, sizeof(*writer));
    free(writer);
}

static int writer_begin(struct store_writer *writer, const uint8_t key[SEAL_KEY_BYTES], struct err *err)
{
    uint8_t header[HEADER_BYTES];

    memcpy(header, MAGIC, MAGIC_BYTES);
    crypto_secretstream_xchacha20poly1305_init_push(&writer->state, header + MAGIC_BYTES, key);
    return writer->kind->put(writer->handle, header, sizeof(header), err);
}

int store_write(const struct store_target *target, const char *location, const struct seal_key *key,
                const char *request_id, struct store_writer **ret, struct err *err)
{
    _cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    const struct store_kind *kind;
    uint8_t own[SEAL_KEY_BYTES];
    int r = place_check(target, location, &kind, err);

    if (r < 0)
        return r;
    writer = calloc(1, sizeof(*writer));
    if (!writer)
        abort();
    writer->kind = kind;
    r = kind->begin(target, location, &writer->handle, err);
    if (r < 0)
        return r;
    place_key(key, request_id, location, own);
    r = writer_begin(writer, own, err);
    sodium_memzero(own, sizeof(own));
    if (r == 0)
        *ret = TAKE(writer);
    return r;
}

static int frame_put(struct store_writer *writer, uint8_t tag, struct err *err)
{
    unsigned long long sealed;

    crypto_secretstream_xchacha20poly1305_push(&writer->state, writer->sealed, &sealed, writer->frame, writer->length,
                                               NULL, 0, tag);
    writer->length = 0;
    return writer->kind->put(writer->handle, writer->sealed, (size_t)sealed, err);
}

int store_put(struct store_writer *writer, const void *bytes, size_t length, struct err *err)
{
    const uint8_t *at = bytes;
    int r = 0;

    writer->bytes += (int64_t)length;
    while (r == 0 && length) {
        size_t some = FRAME_BYTES - writer->length < length ? FRAME_BYTES - writer->length : length;

        memcpy(writer->frame + writer->length, at, some);
        writer->length += some;
        at += some;
        length -= some;
        if (writer->length == FRAME_BYTES)
            r = frame_put(writer, crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, err);
    }
    return r;
}

int store_finish(struct store_writer *writer, int64_t *bytes, struct err *err)
{
    int r = frame_put(writer, crypto_secretstream_xchacha20poly1305_TAG_FINAL, err);

    if (r == 0)
        r = writer->kind->finish(TAKE(writer->handle), err);
    if (r == 0)
        *bytes = writer->bytes;
    return r;
}

/* --- reading -------------------------------------------------------------------------------------------- */

void store_reader_free(struct store_reader *reader)
{
    if (!reader)
        return;
    if (reader->handle)
        reader->kind->close(reader->handle);
    sodium_memzero(reader, sizeof(*reader));
    free(reader);
}

static int damaged(struct err *err)
{
    return err_cause(err, ERR_INTERNAL, "store: what lies there does not open with this key, or is not whole");
}

static int reader_begin(struct store_reader *reader, const uint8_t key[SEAL_KEY_BYTES], struct err *err)
{
    uint8_t header[HEADER_BYTES];
    int64_t length = reader->kind->get(reader->handle, header, sizeof(header), err);

    if (length < 0)
        return (int)length;
    if (length != HEADER_BYTES || memcmp(header, MAGIC, MAGIC_BYTES) != 0 ||
        crypto_secretstream_xchacha20poly1305_init_pull(&reader->state, header + MAGIC_BYTES, key) != 0)
        return damaged(err);
    return 0;
}

int store_read(const struct store_target *target, const char *location, const struct seal_key *key,
               const char *request_id, struct store_reader **ret, struct err *err)
{
    _cleanup_(store_reader_freep) struct store_reader *reader = NULL;
    const struct store_kind *kind;
    uint8_t own[SEAL_KEY_BYTES];
    int r = place_check(target, location, &kind, err);

    if (r < 0)
        return r;
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        abort();
    reader->kind = kind;
    r = kind->open(target, location, &reader->handle, err);
    if (r < 0)
        return r;
    place_key(key, request_id, location, own);
    r = reader_begin(reader, own, err);
    sodium_memzero(own, sizeof(own));
    if (r == 0)
        *ret = TAKE(reader);
    return r;
}

/* The end counts only where the stream says so, and nothing may follow it. */
static int end_check(struct store_reader *reader, struct err *err)
{
    uint8_t more;
    int64_t length = reader->kind->get(reader->handle, &more, 1, err);

    if (length < 0)
        return (int)length;
    return length ? damaged(err) : 0;
}

static int frame_get(struct store_reader *reader, struct err *err)
{
    unsigned long long opened = 0;
    uint8_t tag = 0;
    int64_t length = reader->kind->get(reader->handle, reader->sealed, SEALED_BYTES, err);

    if (length < 0)
        return (int)length;
    if (crypto_secretstream_xchacha20poly1305_pull(&reader->state, reader->frame, &opened, &tag, reader->sealed,
                                                   (unsigned long long)length, NULL, 0) != 0)
        return damaged(err);
    reader->at = 0;
    reader->length = (size_t)opened;
    reader->final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    if (reader->final)
        return end_check(reader, err);
    return opened == FRAME_BYTES ? 0 : damaged(err);
}

int64_t store_get(struct store_reader *reader, void *buffer, size_t size, struct err *err)
{
    size_t some;

    while (size && reader->at == reader->length && !reader->final) {
        int r = frame_get(reader, err);

        if (r < 0)
            return r;
    }
    some = reader->length - reader->at < size ? reader->length - reader->at : size;
    memcpy(buffer, reader->frame + reader->at, some);
    reader->at += some;
    return (int64_t)some;
}

int store_delete(const struct store_target *target, const char *location, struct err *err)
{
    const struct store_kind *kind;
    int r = place_check(target, location, &kind, err);

    return r < 0 ? r : kind->remove(target, location, err);
}
