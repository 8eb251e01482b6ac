#include "common/chunk.h"

#include <stdlib.h>
#include <zstd.h>

/* The fastest that still halves what people's rows are: sealing and storing the rest costs less than a higher level. */
enum { CHUNK_LEVEL = 1, CHUNK_KEEP_BYTES = 4 * ROWS_CHUNK_BYTES };

struct chunk_press {
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    struct arena *arena; /* of one chunk: what it was sealed into or opened from */
    uint8_t *bytes;      /* its packed or unpacked form */
    size_t capacity;
};

void chunk_put(struct buf *plain, const char *json, size_t length)
{
    uint8_t head[5];
    size_t count = 0;
    uint64_t rest = json ? (uint64_t)length + 1 : 0;

    for (; rest >= 0x80; rest >>= 7)
        head[count++] = (uint8_t)(rest | 0x80);
    head[count++] = (uint8_t)rest;
    buf_add(plain, head, count);
    if (length && json)
        buf_add(plain, json, length);
}

struct chunk_press *chunk_press_new(void)
{
    struct chunk_press *press = calloc(1, sizeof(*press));

    if (!press)
        abort();
    press->arena = arena_new();
    return press;
}

void chunk_press_free(struct chunk_press *press)
{
    if (!press)
        return;
    ZSTD_freeCCtx(press->packer);
    ZSTD_freeDCtx(press->unpacker);
    arena_free(press->arena);
    free(press->bytes);
    free(press);
}

/* Room for `size` bytes. What a single huge row took is given back with the next of usual size. */
static uint8_t *press_room(struct chunk_press *press, size_t size)
{
    if (size > press->capacity || (press->capacity > CHUNK_KEEP_BYTES && size <= CHUNK_KEEP_BYTES)) {
        free(press->bytes);
        press->bytes = malloc(size);
        press->capacity = size;
        if (!press->bytes)
            abort();
    }
    return press->bytes;
}

static const char *chunk_owner(struct chunk_press *press, const struct rows_place *place, int number)
{
    return arena_printf(press->arena, "%s.%s.%d", place->task_id, place->attempt, number);
}

int chunk_close(struct chunk_press *press, const struct rows_place *place, int number, struct bytes plain,
                struct bytes *ret, struct err *err)
{
    size_t bound = ZSTD_compressBound(plain.length), packed;
    uint8_t *bytes = press_room(press, bound);

    arena_clear(press->arena);
    if (!press->packer && !(press->packer = ZSTD_createCCtx()))
        abort();
    packed = ZSTD_compressCCtx(press->packer, bytes, bound, plain.data, plain.length, CHUNK_LEVEL);
    if (ZSTD_isError(packed))
        return err_cause(err, ERR_INTERNAL, "rows: zstd: %s", ZSTD_getErrorName(packed));
    *ret = seal_close(&place->key, "rows", chunk_owner(press, place, number), (struct bytes){ bytes, packed },
                      press->arena);
    return 0;
}

int chunk_open(struct chunk_press *press, const struct rows_place *place, int number, struct bytes sealed,
               struct bytes *ret, struct err *err)
{
    struct bytes packed;
    unsigned long long size;
    uint8_t *bytes;
    int r;

    arena_clear(press->arena);
    r = seal_open(&place->key, "rows", chunk_owner(press, place, number), sealed, press->arena, &packed, err);
    if (r < 0)
        return r;
    size = ZSTD_getFrameContentSize(packed.data, packed.length);
    if (!packed.data || size == 0 || size > CHUNK_PLAIN_MAX) /* zstd's codes for errors are larger still */
        return err_cause(err, ERR_INTERNAL, "rows: a chunk is no frame");
    if (!press->unpacker && !(press->unpacker = ZSTD_createDCtx()))
        abort();
    bytes = press_room(press, size);
    if (ZSTD_decompressDCtx(press->unpacker, bytes, size, packed.data, packed.length) != size)
        return err_cause(err, ERR_INTERNAL, "rows: a chunk does not unpack");
    *ret = (struct bytes){ bytes, size };
    return 0;
}
