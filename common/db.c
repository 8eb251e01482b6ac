#include "common/db.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

/* PostgreSQL counts from 2000-01-01. */
#define PG_EPOCH ((usec_t)946684800 * USEC_PER_S)

enum { DB_ARRAY_BYTES_MAX = 256 * 1024 * 1024, DB_PREPARED_MAX = 256 };

struct db_column {
    struct buf bytes; /* the elements as they go on the wire; header is set when the array is finished */
    uint32_t count, element;
    bool has_null;
    struct arena *arena;
};

struct db_args {
    struct arena *arena;
    struct db_wire wire;
    struct db_column *columns[DB_ARGS_MAX];
    Oid types[DB_ARGS_MAX];
    const char *values[DB_ARGS_MAX];
    int lengths[DB_ARGS_MAX];
    int formats[DB_ARGS_MAX];
};

struct db {
    char *url;
    char program[64];
    PGconn *conn;
    const struct sql *prepared[DB_PREPARED_MAX];
    int prepared_count;
    bool in_transaction;
    usec_t patience, deadline; /* 0: none; else of the call under way, monotonic */
};

struct db_args *db_args_new(struct arena *arena)
{
    struct db_args *args = arena_new_of(arena, struct db_args);

    args->arena = arena;
    return args;
}

static int arg_add(struct db_args *args, Oid type, const void *bytes, size_t length)
{
    int i = args->wire.count++;

    if (i >= DB_ARGS_MAX)
        abort();
    args->types[i] = type;
    args->values[i] = bytes;
    args->lengths[i] = (int)length;
    args->formats[i] = 1;
    return i;
}

static void arg_copy(struct db_args *args, Oid type, const void *bytes, size_t length)
{
    arg_add(args, type, bytes ? arena_memdup(args->arena, bytes, length) : NULL, length);
}

void db_text(struct db_args *args, const char *value)
{
    arg_copy(args, DB_TEXT, value, value ? strlen(value) : 0);
}

void db_json(struct db_args *args, const char *value)
{
    /* jsonb's binary form is a version byte and the text. */
    arg_add(args, 3802, value ? arena_printf(args->arena, "\x01%s", value) : NULL,
            value ? strlen(value) + 1 : 0);
}

void db_bytes(struct db_args *args, const void *bytes, size_t length)
{
    arg_copy(args, DB_BYTES, bytes, length);
}

void db_int(struct db_args *args, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    arg_copy(args, DB_INT, &wire, sizeof(wire));
}

void db_bool(struct db_args *args, bool value)
{
    char wire = value ? 1 : 0;

    arg_copy(args, DB_BOOL, &wire, 1);
}

/* Unsigned, as USEC_NONE has no time before it; it is not sent. */
static uint64_t time_wire(usec_t value)
{
    return htobe64((uint64_t)value - (uint64_t)PG_EPOCH);
}

void db_time(struct db_args *args, usec_t value)
{
    uint64_t wire = time_wire(value);

    arg_copy(args, DB_TIME, value == USEC_NONE ? NULL : &wire, sizeof(wire));
}

void db_null(struct db_args *args)
{
    arg_add(args, 0, NULL, 0);
}

static Oid array_type(enum db_type type)
{
    switch (type) {
    case DB_TEXT:
        return 1009;
    case DB_BYTES:
        return 1001;
    case DB_INT:
        return 1016;
    case DB_BOOL:
        return 1000;
    default:
        return 1185;
    }
}

struct array_header {
    uint32_t dimensions, has_null, element, count, lower_bound;
};

struct db_column *db_array(struct db_args *args, enum db_type type)
{
    struct db_column *column = arena_new_of(args->arena, struct db_column);
    int i = arg_add(args, array_type(type), NULL, 0);

    column->bytes = BUF_INIT(DB_ARRAY_BYTES_MAX);
    column->element = type;
    column->arena = args->arena;
    buf_add(&column->bytes, &(struct array_header){ 0 }, sizeof(struct array_header));
    args->columns[i] = column;
    return column;
}

static void add_element(struct db_column *column, const void *bytes, size_t length)
{
    uint32_t wire = htonl(bytes ? (uint32_t)length : UINT32_MAX);

    if (!bytes)
        column->has_null = true;
    buf_add(&column->bytes, &wire, sizeof(wire));
    if (bytes)
        buf_add(&column->bytes, bytes, length);
    column->count++;
}

void db_add_text(struct db_column *column, const char *value)
{
    add_element(column, value, value ? strlen(value) : 0);
}

void db_add_bytes(struct db_column *column, const void *bytes, size_t length)
{
    add_element(column, bytes, length);
}

void db_add_int(struct db_column *column, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    add_element(column, &wire, sizeof(wire));
}

void db_add_bool(struct db_column *column, bool value)
{
    char wire = value ? 1 : 0;

    add_element(column, &wire, 1);
}

void db_add_time(struct db_column *column, usec_t value)
{
    uint64_t wire = time_wire(value);

    add_element(column, value == USEC_NONE ? NULL : &wire, sizeof(wire));
}

void db_add_null(struct db_column *column)
{
    add_element(column, NULL, 0);
}

/* Writes the header, moves the bytes into the arena (so that nobody need free them). */
static void column_finish(struct db_args *args, int i)
{
    struct db_column *column = args->columns[i];
    struct array_header header = { htonl(column->count ? 1 : 0), htonl(column->has_null),
                                   htonl(column->element), htonl(column->count), htonl(1) };
    size_t length = column->count ? column->bytes.length : 3 * sizeof(uint32_t);

    if (column->bytes.overflow)
        abort(); /* callers bound their batches far below this */
    memcpy(column->bytes.data, &header, column->count ? sizeof(header) : length);
    args->values[i] = arena_memdup(args->arena, column->bytes.data, length);
    args->lengths[i] = (int)length;
    buf_free(&column->bytes);
    args->columns[i] = NULL;
}

const struct db_wire *db_args_wire(struct db_args *args)
{
    for (int i = 0; i < args->wire.count; i++)
        if (args->columns[i])
            column_finish(args, i);
    args->wire.types = args->types;
    args->wire.values = args->values;
    args->wire.lengths = args->lengths;
    args->wire.formats = args->formats;
    return &args->wire;
}

struct db *db_new(const char *url, const char *program)
{
    struct db *db = calloc(1, sizeof(*db));

    if (!db || !(db->url = strdup(url)))
        abort();
    snprintf(db->program, sizeof(db->program), "%s", program);
    return db;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    PQfinish(db->conn);
    free(db->url);
    free(db);
}

void db_result_free(PGresult *result)
{
    PQclear(result);
}

static int err_of(const PGconn *conn, const PGresult *result, const char *state, struct err *err)
{
    const char *constraint = result ? PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) : NULL;

    if (!state || PQstatus(conn) == CONNECTION_BAD || !strncmp(state, "57P", 3) || !strncmp(state, "08", 2) ||
        !strncmp(state, "53", 2))
        return err_cause(err, ERR_UNAVAILABLE, "postgresql: %s", state ? state : "connection lost");
    if (!strcmp(state, "40P01") || !strcmp(state, "40001"))
        return err_cause(err, ERR_STALE, "postgresql: %s", state);
    if (!strncmp(state, "23", 2)) {
        err_cause(err, ERR_CONFLICT, "%s", constraint ? constraint : state);
        return -ERR_CONFLICT;
    }
    if (!strncmp(state, "22", 2)) {
        err_set(err, ERR_BAD_REQUEST, "A value of the request can't be stored.");
        snprintf(err->cause, sizeof(err->cause), "postgresql: %s", state);
        return -ERR_BAD_REQUEST;
    }
    /* The primary message names our own tables and columns; DETAIL, which holds values, is never read. */
    return err_cause(err, ERR_INTERNAL, "postgresql: %s at '%.160s'", state,
                     PQresultErrorField(result, PG_DIAG_INTERNAL_QUERY) ? "in a function" : "statement");
}

int db_err(const PGconn *conn, const PGresult *result, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    int r = err_of(conn, result, state, err);

    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state ? state : "");
    return r;
}

static void ignore_notice(void *unused, const PGresult *result)
{
    (void)unused;
    (void)result;
}

void db_set_patience(struct db *db, usec_t patience)
{
    db->patience = patience;
}

/* True once the socket is fit for `events`; false when patience is at its end. */
static bool db_await(const struct db *db, short events)
{
    struct pollfd socket = { .fd = PQsocket(db->conn), .events = events };
    usec_t left;
    int r;

    do {
        left = db->deadline - usec_monotonic();
        r = left > 0 ? poll(&socket, 1, (int)(left / USEC_PER_MS) + 1) : 0;
    } while (r < 0 && errno == EINTR);
    return r > 0;
}

static void db_open(struct db *db, const char *const *keys, const char *const *values)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    if (!db->patience) {
        db->conn = PQconnectdbParams(keys, values, 1);
        return;
    }
    db->conn = PQconnectStartParams(keys, values, 1);
    if (PQstatus(db->conn) == CONNECTION_BAD)
        return;
    while ((state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) &&
           db_await(db, state == PGRES_POLLING_READING ? POLLIN : POLLOUT))
        state = PQconnectPoll(db->conn);
}

/* True once a result can be had without waiting. */
static bool db_has_result(struct db *db)
{
    int unsent;

    while ((unsent = PQflush(db->conn)) > 0)
        if (!db_await(db, POLLIN | POLLOUT) || !PQconsumeInput(db->conn))
            return false;
    while (unsent == 0 && PQisBusy(db->conn))
        if (!db_await(db, POLLIN) || !PQconsumeInput(db->conn))
            return false;
    return unsent == 0;
}

/* What became of a statement that was sent, within patience: its last result, or NULL and no connection any more. */
static PGresult *db_receive(struct db *db, bool sent)
{
    PGresult *result = NULL, *next;

    while (sent && (sent = db_has_result(db)) && (next = PQgetResult(db->conn))) {
        PQclear(result);
        result = next;
    }
    if (sent)
        return result;
    PQclear(result);
    PQfinish(TAKE(db->conn));
    return NULL;
}

static PGresult *db_send_prepare(struct db *db, const struct sql *sql, int count, const Oid *types)
{
    if (!db->patience)
        return PQprepare(db->conn, sql->name, sql->text, count, types);
    return db_receive(db, PQsendPrepare(db->conn, sql->name, sql->text, count, types));
}

static PGresult *db_send(struct db *db, const struct sql *sql, const struct db_wire *wire)
{
    static const struct db_wire none;

    wire = wire ? wire : &none;
    if (!db->patience)
        return PQexecPrepared(db->conn, sql->name, wire->count, wire->values, wire->lengths, wire->formats, 1);
    return db_receive(db, PQsendQueryPrepared(db->conn, sql->name, wire->count, wire->values, wire->lengths,
                                              wire->formats, 1));
}

static PGresult *db_send_unprepared(struct db *db, const struct sql *sql, const struct db_wire *wire)
{
    if (!db->patience)
        return PQexecParams(db->conn, sql->text, wire->count, wire->types, wire->values, wire->lengths,
                            wire->formats, 1);
    return db_receive(db, PQsendQueryParams(db->conn, sql->text, wire->count, wire->types, wire->values,
                                            wire->lengths, wire->formats, 1));
}

static PGresult *db_send_text(struct db *db, const char *text)
{
    db->deadline = usec_monotonic() + db->patience;
    if (!db->patience)
        return PQexec(db->conn, text);
    return db_receive(db, PQsendQuery(db->conn, text));
}

/* What an idle connection has to read is its end, and perhaps why: the server was restarted. Found before the next
 * statement is sent, that costs nobody an error. */
static bool db_is_alive(const struct db *db)
{
    struct pollfd socket = { .fd = PQsocket(db->conn), .events = POLLIN };

    while (PQstatus(db->conn) == CONNECTION_OK && poll(&socket, 1, 0) > 0)
        if (!PQconsumeInput(db->conn))
            return false;
    return PQstatus(db->conn) == CONNECTION_OK;
}

static int db_connect(struct db *db, struct err *err)
{
    /* Compiling a statement of ours costs many times what running it does. */
    const char *keys[] = { "dbname", "application_name", "connect_timeout", "client_encoding", "options", NULL };
    const char *values[] = { db->url, db->program, "5", "UTF8", "-c jit=off", NULL };

    db->deadline = usec_monotonic() + db->patience;
    if (db->conn && (db->in_transaction ? PQstatus(db->conn) == CONNECTION_OK : db_is_alive(db)))
        return 0;
    if (db->in_transaction)
        return err_cause(err, ERR_UNAVAILABLE, "postgresql: connection lost in a transaction");
    PQfinish(db->conn);
    db->prepared_count = 0;
    db_open(db, keys, values);
    if (PQstatus(db->conn) != CONNECTION_OK) {
        PQfinish(TAKE(db->conn));
        return err_cause(err, ERR_UNAVAILABLE, "postgresql: no connection");
    }
    if (db->patience)
        PQsetnonblocking(db->conn, 1);
    PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    return 0;
}

static bool is_prepared(const struct db *db, const struct sql *sql)
{
    for (int i = 0; i < db->prepared_count; i++)
        if (db->prepared[i] == sql)
            return true;
    return false;
}

static int db_prepare(struct db *db, const struct sql *sql, const struct db_wire *wire, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;

    if (is_prepared(db, sql))
        return 0;
    if (db->prepared_count == DB_PREPARED_MAX)
        return err_cause(err, ERR_INTERNAL, "more than %d statements on a connection", DB_PREPARED_MAX);
    result = db_send_prepare(db, sql, wire ? wire->count : 0, wire ? wire->types : NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

        db_err(db->conn, result, err);
        log_error("db.prepare_failed", log_word("statement", sql->name), log_word("message", message));
        return -(int)err->code;
    }
    db->prepared[db->prepared_count++] = sql;
    return 0;
}

/* Takes `result`. */
static int result_check(struct db *db, const struct sql *sql, PGresult *result, PGresult **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *held = result;
    ExecStatusType status = PQresultStatus(result);
    int r;

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        r = db_err(db->conn, result, err);
        if (err->code == ERR_INTERNAL)
            log_error("db.statement_failed", log_word("statement", sql->name),
                      log_word("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
        return r;
    }
    *ret = TAKE(held);
    return 0;
}

int db_run(struct db *db, const struct sql *sql, struct db_args *args, PGresult **ret, struct err *err)
{
    const struct db_wire *wire = args ? db_args_wire(args) : NULL;
    int r;

    r = db_connect(db, err);
    if (r < 0)
        return r;
    r = db_prepare(db, sql, wire, err);
    if (r < 0)
        return r;
    return result_check(db, sql, db_send(db, sql, wire), ret, err);
}

int db_run_planned(struct db *db, const struct sql *sql, struct db_args *args, PGresult **ret, struct err *err)
{
    const struct db_wire *wire = db_args_wire(args);
    int r = db_connect(db, err);

    if (r < 0)
        return r;
    return result_check(db, sql, db_send_unprepared(db, sql, wire), ret, err);
}

int db_do(struct db *db, const struct sql *sql, struct db_args *args, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;

    return db_run(db, sql, args, &result, err);
}

int db_do_planned(struct db *db, const struct sql *sql, struct db_args *args, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *ignored = NULL;

    return db_run_planned(db, sql, args, &ignored, err);
}

static int db_command(struct db *db, const char *text, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = db_send_text(db, text);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        return db_err(db->conn, result, err);
    return 0;
}

int db_begin(struct db *db, struct err *err)
{
    int r = db_connect(db, err);

    if (r < 0)
        return r;
    r = db_command(db, "begin", err);
    db->in_transaction = r == 0;
    return r;
}

int db_commit(struct db *db, struct err *err)
{
    int r = db_command(db, "commit", err);

    if (r == 0)
        db->in_transaction = false;
    else
        db_rollback(db);
    return r;
}

void db_rollback(struct db *db)
{
    struct err ignored;

    if (!db->in_transaction)
        return;
    db->in_transaction = false;
    if (db->conn && PQstatus(db->conn) == CONNECTION_OK && db_command(db, "rollback", &ignored) < 0)
        PQfinish(TAKE(db->conn)); /* a connection in an unknown state is not used again */
}

int db_script(struct db *db, const char *text, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    int r = db_connect(db, err);

    if (r < 0)
        return r;
    result = PQexec(db->conn, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        log_error("db.script_failed",
                  log_word("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
        return db_err(db->conn, result, err);
    }
    return 0;
}

bool db_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column);
}

const char *db_get_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

char *db_dup_text(const PGresult *result, int row, int column, struct arena *arena)
{
    return arena_strdup(arena, db_get_text(result, row, column));
}

const void *db_get_bytes(const PGresult *result, int row, int column, size_t *length)
{
    *length = (size_t)PQgetlength(result, row, column);
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static int64_t read_int(const char *bytes, size_t length)
{
    uint64_t eight;
    uint32_t four;
    uint16_t two;

    switch (length) {
    case 8:
        memcpy(&eight, bytes, 8);
        return (int64_t)be64toh(eight);
    case 4:
        memcpy(&four, bytes, 4);
        return (int32_t)ntohl(four);
    case 2:
        memcpy(&two, bytes, 2);
        return (int16_t)ntohs(two);
    default:
        return 0;
    }
}

int64_t db_get_int(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    return read_int(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

bool db_get_bool(const PGresult *result, int row, int column)
{
    return !PQgetisnull(result, row, column) && *PQgetvalue(result, row, column);
}

usec_t db_get_time(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return USEC_NONE;
    return db_get_int(result, row, column) + PG_EPOCH;
}

int db_array_length(const PGresult *result, int row, int column)
{
    struct array_header header;

    if (PQgetlength(result, row, column) < (int)sizeof(header))
        return 0;
    memcpy(&header, PQgetvalue(result, row, column), sizeof(header));
    return (int)ntohl(header.count);
}

/* The next element's bytes (NULL: null); moves *at past it. */
static const char *next_element(const char **at, size_t *length)
{
    uint32_t wire;
    const char *element;

    memcpy(&wire, *at, sizeof(wire));
    wire = ntohl(wire);
    element = *at + sizeof(wire);
    *length = wire == UINT32_MAX ? 0 : wire;
    *at = element + *length;
    return wire == UINT32_MAX ? NULL : element;
}

const char **db_get_texts(const PGresult *result, int row, int column, struct arena *arena, int *count)
{
    const char *at = PQgetvalue(result, row, column) + sizeof(struct array_header), *element;
    const char **texts;
    size_t length;

    *count = db_array_length(result, row, column);
    texts = arena_array(arena, const char *, (size_t)*count + 1);
    for (int i = 0; i < *count; i++) {
        element = next_element(&at, &length);
        texts[i] = element ? arena_strndup(arena, element, length) : NULL;
    }
    return texts;
}

const int64_t *db_get_ints(const PGresult *result, int row, int column, struct arena *arena, int *count)
{
    const char *at = PQgetvalue(result, row, column) + sizeof(struct array_header), *element;
    int64_t *numbers;
    size_t length;

    *count = db_array_length(result, row, column);
    numbers = arena_array(arena, int64_t, (size_t)*count + 1);
    for (int i = 0; i < *count; i++) {
        element = next_element(&at, &length);
        numbers[i] = element ? read_int(element, length) : 0;
    }
    return numbers;
}
