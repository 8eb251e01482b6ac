/*
 * rows - a collection's rows as they are kept in request_rows: in chunks, compressed, sealed. A row is a list of
 * values in the order of `columns`; each is JSON text as it goes into a package, so that nobody parses it again but
 * who needs the value.
 *
 * common/chunk.h has the form of a chunk. Rows that lost a chunk, the last one too, are ERR_INTERNAL, not fewer rows.
 *
 * Threads:   one caller at a time; for threads of their own, as they use a blocking connection.
 * Ownership: noun_free(); values point into the chunk and stand until the next row.
 */
#pragma once

#include "common/db.h"
#include "common/seal.h"

enum { ROWS_CHUNK_BYTES = 512 * 1024, ROWS_VALUE_MAX = 64 * 1024 * 1024 };

struct rows_place {
    const char *request_id, *task_id, *attempt;
    struct seal_key key;
};

struct rows_writer;
/* Writes below `attempt`; nothing of it counts until the task's row names that attempt. */
int rows_write(struct db *db, const struct rows_place *place, const char *const *columns, int count,
               struct rows_writer **ret, struct err *err) MUST_CHECK;
/* One value of the row under way, in the order of the columns; NULL json: SQL null. */
void rows_value(struct rows_writer *writer, const char *json, size_t length);
/* ERR_TOO_LARGE: a value of more than ROWS_VALUE_MAX, or a row of more than CHUNK_ROW_MAX. */
int rows_end_row(struct rows_writer *writer, struct err *err) MUST_CHECK;
int rows_finish(struct rows_writer *writer, int64_t *count, struct err *err) MUST_CHECK;
void rows_writer_free(struct rows_writer *writer); /* accepts NULL; what is unfinished stays unused */
DEFINE_CLEANUP(struct rows_writer *, rows_writer_free)

struct rows_reader;
struct rows_value {
    const char *json; /* NULL: SQL null; not ended by NUL */
    size_t length;
};
int rows_read(struct db *db, const struct rows_place *place, struct rows_reader **ret, struct err *err) MUST_CHECK;
const char *const *rows_columns(const struct rows_reader *reader, int *count);
int rows_column(const struct rows_reader *reader, const char *name); /* -1: none */
/* 1 and *ret, as many values as columns; 0 at the end. */
int rows_next(struct rows_reader *reader, const struct rows_value **ret, struct err *err) MUST_CHECK;
void rows_reader_free(struct rows_reader *reader);
DEFINE_CLEANUP(struct rows_reader *, rows_reader_free)

/* Of a request; `task_id` NULL: of all its tasks; of all attempts but `keep`, NULL: of all. */
int rows_delete(struct db *db, const char *request_id, const char *task_id, const char *keep,
                struct err *err) MUST_CHECK;
