#include "worker/execute/source.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/execute/source.sql.h"

/* How long a job that is to stop goes on waiting for an answer. */
enum { LOOK_MS = 200, STATE_CHARS = 5 };

struct source {
    PGconn *conn;
    char key[256]; /* the connection's */
    bool canceled; /* by source_result(): what fails now fails for that */
};

/* What is worth saying of an SQLSTATE, by its beginning; the first that fits. UNAVAILABLE is worth another try. */
static const struct {
    const char *prefix;
    enum err_code code;
    const char *text;
} states[] = {
    { "57014", ERR_TIMEOUT, "a statement took longer than is allowed (statement_timeout of the connection, or "
                            "DOCKET_SOURCE_STATEMENT_TIMEOUT)" },
    { "57P", ERR_UNAVAILABLE, "the database ended the connection" },
    { "08", ERR_UNAVAILABLE, "the connection was lost" },
    { "53", ERR_UNAVAILABLE, "the database has no room for another connection or statement" },
    { "55P03", ERR_UNAVAILABLE, "a lock was not to be had" },
    { "25P0", ERR_UNAVAILABLE, "the database ended the transaction" },
    { "40", ERR_UNAVAILABLE, "another transaction was in the way" },
    { "28", ERR_REFUSED, "the database does not let this user in" },
    { "3D000", ERR_REFUSED, "there is no such database" },
    { "42501", ERR_REFUSED, "the user may not do this" },
    { "42P01", ERR_REFUSED, "there is no such table" },
    { "42703", ERR_REFUSED, "there is no such column" },
    { "25006", ERR_REFUSED, "the connection is read-only" },
    { "23502", ERR_REFUSED, "a column may not be null" },
    { "23503", ERR_REFUSED, "other rows refer to what would change" },
    { "23505", ERR_REFUSED, "a value must be unique" },
    { "23514", ERR_REFUSED, "a check constraint does not allow a value" },
    { "22001", ERR_REFUSED, "a value is too long for its column" },
    { "", ERR_REFUSED, "the database refused a statement" },
};

static int state_err(const struct source *source, const char *state, struct err *err)
{
    size_t i = 0;

    while (strncmp(state, states[i].prefix, strlen(states[i].prefix)) != 0)
        i++;
    err_set(err, states[i].code, "Connection '%s': %s (SQLSTATE %.5s).", source->key, states[i].text, state);
    snprintf(err->cause, sizeof(err->cause), "source: %.5s", state);
    return -(int)states[i].code;
}

static int away_err(const struct source *source, const char *why, struct err *err)
{
    err_set(err, ERR_UNAVAILABLE, "Connection '%s': %s.", source->key, why);
    snprintf(err->cause, sizeof(err->cause), "source: %s", why);
    return -ERR_UNAVAILABLE;
}

/* The server's words may hold values (of DETAIL, or of a type's input): none is read. */
int source_err(struct source *source, const PGresult *result, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    if (source->canceled)
        return away_err(source, "the statement was stopped, as the worker ends", err);
    if (!state)
        return away_err(source, "the connection was lost", err);
    return state_err(source, state, err);
}

static void ignore_notice(void *unused, const PGresult *result)
{
    (void)unused;
    (void)result;
}

/* With verbosity "sqlstate" libpq says no more than "connection to server at ... failed: FATAL:  28P01". */
static int connect_err(const struct source *source, struct err *err)
{
    static const char severity[] = "FATAL:  ";
    const char *message = PQerrorMessage(source->conn), *found = strstr(message, severity), *state = "";

    if (found)
        state = found + sizeof(severity) - 1;
    if (strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == STATE_CHARS)
        return state_err(source, state, err);
    return away_err(source, "the database can't be reached", err);
}

/* False when time is up. */
static bool await(PGconn *conn, short events, usec_t deadline)
{
    struct pollfd socket = { .fd = PQsocket(conn), .events = events };
    usec_t left = deadline - usec_monotonic();
    int r = left > 0 ? poll(&socket, 1, (int)(left / USEC_PER_MS) + 1) : 0;

    return r > 0 || (r < 0 && errno == EINTR);
}

static int connect_wait(struct source *source, usec_t patience, struct err *err)
{
    usec_t deadline = usec_monotonic() + patience;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    if (PQstatus(source->conn) == CONNECTION_BAD)
        return connect_err(source, err);
    PQsetErrorVerbosity(source->conn, PQERRORS_SQLSTATE);
    PQsetNoticeReceiver(source->conn, ignore_notice, NULL);
    while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
        if (!await(source->conn, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return away_err(source, "connecting took longer than is allowed (DOCKET_SOURCE_CONNECT_TIMEOUT)", err);
        state = PQconnectPoll(source->conn);
    }
    return state == PGRES_POLLING_OK ? 0 : connect_err(source, err);
}

/* A network that is dead ends the connection within a minute and a half: bytes that are not acknowledged by
 * tcp_user_timeout, an answer that does not come by keepalives. Where to and
 * as whom is said in full, so that nothing of it comes from the environment or ~/.pgpass. */
static void connect_begin(struct source *source, const struct catalog_source *secrets, const char *database)
{
    char port[16];
    const char *const parameters[][2] = {
        { "host", secrets->host ? secrets->host : "localhost" },
        { "port", port },
        { "dbname", database ? database : secrets->database },
        { "user", secrets->username },
        { "password", secrets->password ? secrets->password : "" },
        { "passfile", "/dev/null" },
        { "sslmode", secrets->sslmode ? secrets->sslmode : "prefer" },
        { "application_name", "docket" },
        { "client_encoding", "UTF8" },
        { "options", "" },
        { "gssencmode", "disable" },
        { "keepalives", "1" },
        { "keepalives_idle", "30" },
        { "keepalives_interval", "10" },
        { "keepalives_count", "5" },
        { "tcp_user_timeout", "90000" },
    };
    const char *names[COUNT_OF(parameters) + 1] = { 0 }, *values[COUNT_OF(parameters) + 1] = { 0 };

    snprintf(port, sizeof(port), "%d", secrets->port ? secrets->port : 5432);
    for (size_t i = 0; i < COUNT_OF(parameters); i++) {
        names[i] = parameters[i][0];
        values[i] = parameters[i][1];
    }
    source->conn = PQconnectStartParams(names, values, 0); /* 0: a database's name is no connection string */
    if (!source->conn)
        abort();
}

static PGresult *source_exec(struct source *source, const struct sql *sql, const char *const *values, int count)
{
    return PQexecParams(source->conn, sql->text, count, NULL, values, NULL, NULL, 0);
}

static int session_set(struct source *source, const struct config *config, const struct catalog_connection *connection,
                       bool write, struct err *err)
{
    long long timeout = connection->statement_timeout_ms ? connection->statement_timeout_ms
                                                         : config->source_statement_timeout / USEC_PER_MS;
    PGresult *result;
    char milliseconds[32];
    const char *const values[] = { connection->source->schema, milliseconds, write ? "off" : "on" };
    int r = 0;

    snprintf(milliseconds, sizeof(milliseconds), "%lld", timeout);
    result = source_exec(source, &SQL_source_settings, values, 3);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        r = source_err(source, result, err);
    PQclear(result);
    return r;
}

int source_open(const struct config *config, const struct catalog_connection *connection, const char *database,
                bool write, struct source **ret, struct err *err)
{
    _cleanup_(source_freep) struct source *source = calloc(1, sizeof(*source));
    int r;

    if (!source)
        abort();
    snprintf(source->key, sizeof(source->key), "%s", connection->key);
    if (!connection->source)
        return err_set(err, ERR_REFUSED, "Connection '%s' has no secrets.", connection->key);
    connect_begin(source, connection->source, database);
    r = connect_wait(source, config->source_connect_timeout, err);
    if (r < 0)
        return r;
    r = session_set(source, config, connection, write, err);
    if (r < 0)
        return r;
    *ret = TAKE(source);
    return 0;
}

void source_free(struct source *source)
{
    if (!source)
        return;
    PQfinish(source->conn);
    free(source);
}

int source_snapshot(struct source *source, struct err *err)
{
    PGresult *result = source_exec(source, &SQL_source_snapshot, NULL, 0);
    int r = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : source_err(source, result, err);

    PQclear(result);
    return r;
}

PGconn *source_conn(struct source *source)
{
    return source->conn;
}

void source_cancel(struct source *source)
{
    PGcancel *cancel = PQgetCancel(source->conn);
    char unused[256];

    if (cancel)
        PQcancel(cancel, unused, sizeof(unused));
    PQfreeCancel(cancel);
}

static void look_up(struct source *source, const atomic_bool *canceled)
{
    if (source->canceled || !canceled || !atomic_load_explicit(canceled, memory_order_relaxed))
        return;
    source->canceled = true;
    source_cancel(source);
}

PGresult *source_result(struct source *source, const atomic_bool *canceled)
{
    while (PQisBusy(source->conn)) {
        look_up(source, canceled);
        await(source->conn, POLLIN, usec_monotonic() + LOOK_MS * USEC_PER_MS);
        if (!PQconsumeInput(source->conn))
            break; /* which PQgetResult() makes an error of */
    }
    return PQgetResult(source->conn);
}

static Oid get_oid(const PGresult *result, int row, int column)
{
    return (Oid)strtoul(PQgetvalue(result, row, column), NULL, 10);
}

static bool get_bool(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

static void column_read(const PGresult *result, int row, struct arena *arena, struct source_column *column)
{
    int i = 0;

    column->name = arena_strdup(arena, PQgetvalue(result, row, i++));
    column->type = get_oid(result, row, i++);
    column->base = get_oid(result, row, i++);
    column->element = get_oid(result, row, i++);
    column->type_name = arena_strdup(arena, PQgetvalue(result, row, i++));
    column->base_name = arena_strdup(arena, PQgetvalue(result, row, i++));
    column->element_name = column->element ? arena_strdup(arena, PQgetvalue(result, row, i)) : NULL;
    i++;
    column->category = PQgetvalue(result, row, i++)[0];
    column->element_category = PQgetvalue(result, row, i++)[0]; /* of SQL null: NUL */
    column->length = atoi(PQgetvalue(result, row, i++));
    column->not_null = get_bool(result, row, i++);
    column->generated = get_bool(result, row, i++);
}

static const struct source_table *table_read(const PGresult *result, struct arena *arena)
{
    struct source_table *table = arena_new_of(arena, struct source_table);
    int count = PQntuples(result), place_column = PQfnumber(result, "key_place");
    struct source_column *columns = arena_array(arena, struct source_column, (size_t)count);
    const char **key = arena_array(arena, const char *, (size_t)count);

    for (int i = 0; i < count; i++) {
        int place = atoi(PQgetvalue(result, i, place_column));

        column_read(result, i, arena, &columns[i]);
        if (place < 0 || place >= count)
            continue;
        key[place] = columns[i].name;
        table->key_count++;
    }
    table->columns = columns;
    table->count = count;
    table->primary_key = key;
    return table;
}

int source_table(struct source *source, const char *schema, const char *table, struct arena *arena,
                 const struct source_table **ret, struct err *err)
{
    const char *const values[] = { schema, table };
    PGresult *result = source_exec(source, &SQL_source_table, values, 2);
    int r = 0;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        r = source_err(source, result, err);
    else
        *ret = PQntuples(result) ? table_read(result, arena) : NULL;
    PQclear(result);
    return r;
}

const struct source_column *source_column(const struct source_table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (!strcmp(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}
