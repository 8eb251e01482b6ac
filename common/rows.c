#include "common/rows.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/chunk.h"
#include "common/rows.sql.h"
#include "common/schema.h"

/* The place's texts are copied: who writes or reads for long need not keep them. */
struct rows_common {
    struct arena *arena;
    struct db *db;
    struct rows_place place;
    struct chunk_press *press;
    const char **columns;
    int count;
    int chunk; /* the next one's number */
};

struct rows_writer {
    struct rows_common common;
    struct buf plain;
    int column;        /* of the row under way */
    int too_large;     /* of its columns; -1: none */
    int64_t rows, held; /* of all; of those in `plain` */
};

struct rows_reader {
    struct rows_common common;
    struct rows_value *row;
    const uint8_t *at, *end; /* what is left of the chunk */
    bool is_last;
};

static void common_init(struct rows_common *common, struct db *db, const struct rows_place *place)
{
    common->arena = arena_new();
    common->db = db;
    common->place = *place;
    common->place.request_id = arena_strdup(common->arena, place->request_id);
    common->place.task_id = arena_strdup(common->arena, place->task_id);
    common->place.attempt = arena_strdup(common->arena, place->attempt);
    common->press = chunk_press_new();
}

static void common_free(struct rows_common *common)
{
    chunk_press_free(common->press);
    arena_free(common->arena);
}

static void *rows_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

static void place_args(struct db_args *args, const struct rows_common *common)
{
    db_text(args, common->place.request_id);
    db_text(args, common->place.task_id);
    db_text(args, common->place.attempt);
    db_int(args, common->chunk);
}

static void columns_copy(struct rows_common *common, const char *const *columns, int count)
{
    common->columns = arena_array(common->arena, const char *, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        common->columns[i] = arena_strdup(common->arena, columns[i]);
    common->count = count;
}

static void header_put(struct rows_writer *writer)
{
    _cleanup_(buf_free) struct buf header = BUF_INIT(ROWS_VALUE_MAX);

    buf_adds(&header, "{\"columns\":[");
    for (int i = 0; i < writer->common.count; i++) {
        buf_adds(&header, i ? "," : "");
        buf_json_string(&header, writer->common.columns[i]);
    }
    buf_adds(&header, "]}");
    chunk_put(&writer->plain, header.data, header.length);
}

/* The flags are set when it is known whether it is the last. */
static void plain_begin(struct rows_writer *writer)
{
    if (writer->plain.capacity > 4 * ROWS_CHUNK_BYTES)
        buf_free(&writer->plain); /* a single huge row's */
    buf_clear(&writer->plain);
    buf_addc(&writer->plain, writer->common.chunk == 0 ? CHUNK_FIRST : 0);
    writer->held = 0;
}

int rows_write(struct db *db, const struct rows_place *place, const char *const *columns, int count,
               struct rows_writer **ret, struct err *err)
{
    struct rows_writer *writer = rows_alloc(sizeof(*writer));

    (void)err; /* nothing is sent before there is a chunk of it */
    common_init(&writer->common, db, place);
    columns_copy(&writer->common, columns, count);
    writer->plain = BUF_INIT(CHUNK_PLAIN_MAX);
    writer->too_large = -1;
    plain_begin(writer);
    header_put(writer);
    *ret = writer;
    return 0;
}

void rows_value(struct rows_writer *writer, const char *json, size_t length)
{
    if (length > ROWS_VALUE_MAX && writer->too_large < 0)
        writer->too_large = writer->column;
    writer->column++;
    if (writer->too_large < 0)
        chunk_put(&writer->plain, json, length);
}

static int chunk_insert(struct rows_writer *writer, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct rows_common *common = &writer->common;
    struct db_args *args = db_args_new(arena);
    struct bytes sealed;
    int r;

    r = chunk_close(common->press, &common->place, common->chunk,
                    (struct bytes){ writer->plain.data, writer->plain.length }, &sealed, err);
    if (r < 0)
        return r;
    place_args(args, common);
    db_int(args, writer->held);
    db_bytes(args, sealed.data, sealed.length);
    r = db_do(common->db, &SQL_rows_insert, args, err);
    if (r < 0)
        return r;
    common->chunk++;
    plain_begin(writer);
    return 0;
}

/* Which row is too large, and by which column, without a word of what is in it. */
static int row_check(const struct rows_writer *writer, struct err *err)
{
    if (writer->column != writer->common.count)
        return err_cause(err, ERR_INTERNAL, "rows: a row of %d values for %d columns", writer->column,
                         writer->common.count);
    if (writer->too_large >= 0)
        return err_set(err, ERR_TOO_LARGE, "Column '%.200s' has a value of more than %d MB.",
                       writer->common.columns[writer->too_large], ROWS_VALUE_MAX / (1024 * 1024));
    if (writer->plain.overflow)
        return err_set(err, ERR_TOO_LARGE, "A row has more than %d MB.", CHUNK_ROW_MAX / (1024 * 1024));
    return 0;
}

int rows_end_row(struct rows_writer *writer, struct err *err)
{
    int r = row_check(writer, err);

    if (r < 0)
        return r;
    writer->column = 0;
    writer->held++;
    writer->rows++;
    return writer->plain.length < ROWS_CHUNK_BYTES ? 0 : chunk_insert(writer, err);
}

int rows_finish(struct rows_writer *writer, int64_t *count, struct err *err)
{
    int64_t rows = writer->rows;
    int r;

    writer->plain.data[0] |= CHUNK_LAST;
    r = chunk_insert(writer, err);
    if (r < 0)
        return r;
    *count = rows;
    return 0;
}

void rows_writer_free(struct rows_writer *writer)
{
    if (!writer)
        return;
    buf_free(&writer->plain);
    common_free(&writer->common);
    free(writer);
}

static int broken(const struct rows_reader *reader, struct err *err)
{
    return err_cause(err, ERR_INTERNAL, "rows: chunk %d is not one", reader->common.chunk - 1);
}

static int chunk_fetch(struct rows_reader *reader, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct rows_common *common = &reader->common;
    struct db_args *args = db_args_new(arena);
    struct bytes sealed, plain;
    int r;

    place_args(args, common);
    r = db_run(common->db, &SQL_rows_chunk, args, &result, err);
    if (r < 0)
        return r;
    if (PQntuples(result) == 0)
        return err_cause(err, ERR_INTERNAL, "rows: chunk %d is missing", common->chunk);
    sealed.data = db_get_bytes(result, 0, 0, &sealed.length);
    r = chunk_open(common->press, &common->place, common->chunk, sealed, &plain, err);
    if (r < 0)
        return r;
    reader->at = (const uint8_t *)plain.data + 1;
    reader->end = (const uint8_t *)plain.data + plain.length;
    reader->is_last = reader->at[-1] & CHUNK_LAST;
    if (!(reader->at[-1] & CHUNK_FIRST) != (common->chunk++ > 0))
        return broken(reader, err);
    return 0;
}

/* Of our own making and authentic; still, what can't be read is told and not followed. */
static bool header_parse(struct rows_common *common, const struct rows_value *header)
{
    _cleanup_(json_object_putp) json_object *object = NULL;
    json_object *columns = NULL;
    const char *text = arena_strndup(common->arena, header->json, header->length);
    int count;

    object = json_tokener_parse(text);
    if (!json_object_object_get_ex(object, "columns", &columns) || !json_object_is_type(columns, json_type_array))
        return false;
    count = (int)json_object_array_length(columns);
    common->columns = arena_array(common->arena, const char *, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        common->columns[i] =
            arena_strdup(common->arena, json_object_get_string(json_object_array_get_idx(columns, (size_t)i)));
    common->count = count;
    return true;
}

int rows_read(struct db *db, const struct rows_place *place, struct rows_reader **ret, struct err *err)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = rows_alloc(sizeof(*reader));
    struct rows_value header;
    int r;

    common_init(&reader->common, db, place);
    r = chunk_fetch(reader, err);
    if (r < 0)
        return r;
    if (!chunk_get(&reader->at, reader->end, &header) || !header.json || !header_parse(&reader->common, &header))
        return broken(reader, err);
    reader->row = arena_array(reader->common.arena, struct rows_value, (size_t)reader->common.count + 1);
    *ret = TAKE(reader);
    return 0;
}

const char *const *rows_columns(const struct rows_reader *reader, int *count)
{
    *count = reader->common.count;
    return reader->common.columns;
}

int rows_column(const struct rows_reader *reader, const char *name)
{
    for (int i = 0; i < reader->common.count; i++)
        if (!strcmp(reader->common.columns[i], name))
            return i;
    return -1;
}

int rows_next(struct rows_reader *reader, const struct rows_value **ret, struct err *err)
{
    int r;

    while (reader->at == reader->end) {
        if (reader->is_last)
            return 0;
        r = chunk_fetch(reader, err);
        if (r < 0)
            return r;
    }
    for (int i = 0; i < reader->common.count; i++)
        if (!chunk_get(&reader->at, reader->end, &reader->row[i]))
            return broken(reader, err);
    *ret = reader->row;
    return 1;
}

void rows_reader_free(struct rows_reader *reader)
{
    if (!reader)
        return;
    common_free(&reader->common);
    free(reader);
}

int rows_delete(struct db *db, const char *request_id, const char *task_id, const char *keep, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct db_args *args = db_args_new(arena);

    db_text(args, request_id);
    db_text(args, task_id);
    db_text(args, keep);
    return db_do(db, &SQL_rows_delete, args, err);
}
