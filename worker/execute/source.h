/*
 * source - a connection to a customer's database, of type `postgres`: blocking, with limits, and what the catalog over
 * there says of its tables.
 *
 * Threads:   one caller at a time; for threads of the pool.
 * Errors:    ERR_UNAVAILABLE: away, or it ended the connection (worth another try). ERR_TIMEOUT: the statement took
 *            longer than allowed. ERR_REFUSED for the rest. err->text names connection and SQLSTATE, never a value.
 */
#pragma once

#include <libpq-fe.h>

#include "common/catalog.h"
#include "common/config.h"
#include "worker/execute/job.h"

struct source;

struct source_column {
    const char *name;
    Oid type, base, element; /* base: of a domain; element: of an array, else 0 */
    const char *type_name;   /* format_type(type, -1): what a cast says, qualified where it must be */
    const char *base_name;   /* the same of `base` */
    const char *element_name; /* the same of `element`; NULL: no array */
    char category;           /* pg_type.typcategory of `base`: 'S' string, 'N' numeric, 'D' time, 'A' array, ... */
    char element_category;   /* the same of `element`; 0: no array */
    int length;              /* characters of varchar(n), char(n), and elements of their arrays; 0: no bound */
    bool not_null, generated; /* generated: `generated always`, as an identity or by an expression */
};
struct source_table {
    const struct source_column *columns;
    int count;
    const char *const *primary_key; /* column names, in order */
    int key_count;
};

/* Connects with the connection's secrets (host, port, dbname, username, password, db_schema, sslmode), time limits
 * and, unless `write`, read-only. `database` NULL: the secrets' own. */
int source_open(const struct config *config, const struct catalog_connection *connection, const char *database,
                bool write, struct source **ret, struct err *err) MUST_CHECK;
void source_free(struct source *source);
DEFINE_CLEANUP(struct source *, source_free)
PGconn *source_conn(struct source *source);
/* Begins a transaction in which everything is seen as of one moment, and nothing is written. */
int source_snapshot(struct source *source, struct err *err) MUST_CHECK;
/* The next result of the statement that was sent; NULL: there is none, or the connection is lost, as its state tells.
 * While it waits it looks at `canceled` (NULL: nobody asks) and stops the statement: source_err() tells that then. The
 * caller's: PQclear(). */
PGresult *source_result(struct source *source, const atomic_bool *canceled);
/* After a failed call: ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_REFUSED. */
int source_err(struct source *source, const PGresult *result, struct err *err);
/* 0 with *ret NULL: there is no such table. schema NULL: found by search_path. */
int source_table(struct source *source, const char *schema, const char *table, struct arena *arena,
                 const struct source_table **ret, struct err *err) MUST_CHECK;
const struct source_column *source_column(const struct source_table *table, const char *name); /* NULL: none */
/* So that another thread may stop what it is doing (PQcancel). */
void source_cancel(struct source *source);
