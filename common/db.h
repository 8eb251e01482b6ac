/*
 * db - one connection to PostgreSQL. Values travel as binary parameters, statements are the named blocks of
 * .sql files, prepared on first use.
 *
 * Threads:   one caller at a time per `struct db`.
 * Errors:    ERR_UNAVAILABLE when the server is away (the next call connects anew), ERR_CONFLICT for a
 *            constraint (err->cause = its name), ERR_BAD_REQUEST for a value that can't be stored, ERR_STALE for a lost race (deadlock, serialization),
 *            ERR_INTERNAL for the rest. Of a server's error only SQLSTATE and constraint name are kept.
 */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/sql.h"
#include "common/usec.h"

enum { DB_ARGS_MAX = 32 };

/* Parameters of one statement, in their order. Arrays are columns that grow row by row. Memory: the arena's. */
struct db_args;

struct db_args *db_args_new(struct arena *arena);
void db_text(struct db_args *args, const char *value); /* NULL is SQL null, here and below */
void db_json(struct db_args *args, const char *value); /* jsonb; its own type, as it is no text on the wire */
void db_bytes(struct db_args *args, const void *bytes, size_t length); /* bytea */
void db_int(struct db_args *args, int64_t value);                      /* bigint */
void db_bool(struct db_args *args, bool value);
void db_time(struct db_args *args, usec_t value); /* timestamptz; USEC_NONE is null */
void db_null(struct db_args *args);               /* null of the type that the statement infers */

enum db_type { DB_TEXT = 25, DB_BYTES = 17, DB_INT = 20, DB_BOOL = 16, DB_TIME = 1184 };
struct db_column; /* a parameter that is an array */

struct db_column *db_array(struct db_args *args, enum db_type type);
void db_add_text(struct db_column *column, const char *value);
void db_add_bytes(struct db_column *column, const void *bytes, size_t length); /* NULL bytes: null */
void db_add_int(struct db_column *column, int64_t value);
void db_add_bool(struct db_column *column, bool value);
void db_add_time(struct db_column *column, usec_t value);
void db_add_null(struct db_column *column);

/* What libpq wants; for those who run a statement themselves (worker/pipe). Arrays are finished by this. */
struct db_wire {
    int count;
    const Oid *types;
    const char *const *values;
    const int *lengths;
    const int *formats; /* all 1: binary */
};
const struct db_wire *db_args_wire(struct db_args *args);

struct db;

/* Never connects by itself: the first call does. `program` is shown in pg_stat_activity. */
struct db *db_new(const char *url, const char *program);
void db_free(struct db *db); /* accepts NULL */

/* From now on a call, connecting included, gives up after `patience`: ERR_UNAVAILABLE, and the connection is
 * dropped. For those who can do without PostgreSQL, since a server that hangs refuses nothing. 0: none. */
void db_set_patience(struct db *db, usec_t patience);
DEFINE_CLEANUP(struct db *, db_free)

/* Runs `sql` and fills *ret (owned by the caller: PQclear; _cleanup_(db_result_freep)). args may be NULL. */
int db_run(struct db *db, const struct sql *sql, struct db_args *args, PGresult **ret,
           struct err *err) MUST_CHECK;
/* The same, but planned anew with these very values: for searches, whose best plan depends on them, and for what is
 * rare, as a plan made while a table was small would read the whole of a large one. */
int db_run_planned(struct db *db, const struct sql *sql, struct db_args *args, PGresult **ret,
                   struct err *err) MUST_CHECK;
/* As db_run() and db_run_planned(), the rows thrown away. */
int db_do(struct db *db, const struct sql *sql, struct db_args *args, struct err *err) MUST_CHECK;
int db_do_planned(struct db *db, const struct sql *sql, struct db_args *args, struct err *err) MUST_CHECK;

/* A transaction of several calls. After a failure within it, only db_rollback() is allowed. */
int db_begin(struct db *db, struct err *err) MUST_CHECK;
int db_commit(struct db *db, struct err *err) MUST_CHECK;
void db_rollback(struct db *db); /* no-op outside a transaction */

/* Runs a script of many statements (migrations), as one transaction when `text` begins none itself. */
int db_script(struct db *db, const char *text, struct err *err) MUST_CHECK;

void db_result_free(PGresult *result);
DEFINE_CLEANUP(PGresult *, db_result_free)

/* Translates a failed result (or, NULL result, the connection's state) into err. */
int db_err(const PGconn *conn, const PGresult *result, struct err *err);

/* Columns of a binary result. Text and bytes point into the result. Null: NULL, 0, false, USEC_NONE. */
const char *db_get_text(const PGresult *result, int row, int column);
char *db_dup_text(const PGresult *result, int row, int column, struct arena *arena);
const void *db_get_bytes(const PGresult *result, int row, int column, size_t *length);
int64_t db_get_int(const PGresult *result, int row, int column); /* int2, int4, int8 */
bool db_get_bool(const PGresult *result, int row, int column);
usec_t db_get_time(const PGresult *result, int row, int column);
bool db_is_null(const PGresult *result, int row, int column);

/* One-dimensional arrays: the number of elements, and each (NULL: SQL null; `length` may be NULL for text,
 * which is copied into the arena so that it ends in NUL). */
int db_array_length(const PGresult *result, int row, int column);
const char **db_get_texts(const PGresult *result, int row, int column, struct arena *arena, int *count);
const int64_t *db_get_ints(const PGresult *result, int row, int column, struct arena *arena, int *count);
