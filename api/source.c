#include "api/source.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "api/secret.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { PORT_MAX = 65535 };

static const char *const sslmodes[] = { "disable", "allow", "prefer", "require", "verify-ca", "verify-full", NULL };

static const struct schema_field fields[] = {
    { "host", .required = true, .schema = { SCHEMA_STRING, .max = SOURCE_HOST_MAX } },
    { "port", .nullable = true, .schema = { SCHEMA_INT, .min = 1, .max = PORT_MAX } },
    { "dbname", .nullable = true, .schema = { SCHEMA_STRING, .max = SOURCE_NAME_MAX } },
    { "username", .nullable = true, .schema = { SCHEMA_STRING, .max = SOURCE_NAME_MAX } },
    { "password", .nullable = true, .schema = { SCHEMA_STRING, .max = SOURCE_PASSWORD_MAX } },
    { "db_schema", .nullable = true, .schema = { SCHEMA_STRING, .max = SOURCE_NAME_MAX } },
    { "ssl_mode", .nullable = true, .schema = { SCHEMA_STRING, .words = sslmodes } },
    { "sslmode", .nullable = true, .schema = { SCHEMA_STRING, .words = sslmodes } },
    { "ssh_required", .nullable = true, .schema = { SCHEMA_BOOL } },
    { 0 },
};
static const struct schema schema = { SCHEMA_OBJECT, .forbid_extra = true, .fields = fields };

static void refuse(struct schema_errors *errors, const char *name, const char *problem)
{
    const struct schema_loc loc = { .name = name };

    schema_error(errors, name ? &loc : NULL, "value_error", "Value error, %s", problem);
}

/* --- what may be stored -------------------------------------------------------------------------------- */

/* A name or an address. A path would be a socket of docket's own machine, and a list more than one place. */
static const char *host_problem(const char *text)
{
    struct in6_addr address;

    if (inet_pton(AF_INET6, text, &address) == 1)
        return NULL;
    return text[strspn(text, ALPHANUMERIC "-._")] || *text == '.' || *text == '-'
               ? "The host must be one name or address."
               : NULL;
}

/* libpq would take these for a whole set of its settings. */
static const char *dbname_problem(const char *text)
{
    return strchr(text, '=') || strstr(text, "://") ? "The dbname must be a name, not a connection string." : NULL;
}

static const char *password_problem(const char *text)
{
    return strcmp(text, SECRET_MASK) ? NULL : "The password is only the mask that hides the stored one.";
}

static const char *any_problem(const char *text)
{
    (void)text;
    return NULL;
}

static const struct part {
    const char *name;
    const char *(*problem)(const char *text);
} parts[] = {
    { "host", host_problem },         { "dbname", dbname_problem }, { "username", any_problem },
    { "password", password_problem }, { "db_schema", any_problem },
};

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static void check_part(json_object *secrets, const struct part *part, struct schema_errors *errors)
{
    const char *text = schema_text(secrets, part->name);
    const char *problem = !text               ? NULL
                          : has_control(text) ? "This must be without control characters."
                                              : part->problem(text);

    if (problem)
        refuse(errors, part->name, problem);
}

static void check_ssl(json_object *secrets, struct schema_errors *errors)
{
    const char *contract = schema_text(secrets, "ssl_mode"), *libpq = schema_text(secrets, "sslmode");

    if (contract && libpq && strcmp(contract, libpq) != 0)
        refuse(errors, "sslmode", "This is another mode than ssl_mode, which is the same setting.");
    if (schema_bool(secrets, "ssh_required", false))
        refuse(errors, "ssh_required", "Connections through SSH are not available in this version.");
}

static size_t errors_count(const struct schema_errors *errors)
{
    return errors->list ? json_object_array_length(errors->list) : 0;
}

static bool is_empty(json_object *value)
{
    return !value || (json_object_is_type(value, json_type_string) && !json_object_get_string_len(value));
}

bool source_check(json_object *secrets, struct schema_errors *errors)
{
    size_t before = errors_count(errors);

    if (is_empty(schema_get(secrets, "host"))) {
        refuse(errors, NULL, "PostgreSQLSchema must be supplied all of: ['host'].");
        return false;
    }
    if (!schema_check(&schema, secrets, NULL, errors))
        return false;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        check_part(secrets, &parts[i], errors);
    check_ssl(secrets, errors);
    return errors_count(errors) == before;
}

/* --- as it is stored, merged and shown ----------------------------------------------------------------- */

static const char *sslmode_of(json_object *secrets)
{
    const char *text = schema_text(secrets, "ssl_mode");

    return text ? text : schema_text(secrets, "sslmode");
}

static void add_text(json_object *object, const char *name, const char *text)
{
    if (text && *text)
        json_object_object_add(object, name, json_object_new_string(text));
}

json_object *source_trim(json_object *secrets)
{
    json_object *trimmed = json_object_new_object();

    for (size_t i = 0; i < COUNT_OF(parts); i++)
        add_text(trimmed, parts[i].name, schema_text(secrets, parts[i].name));
    add_text(trimmed, "sslmode", sslmode_of(secrets));
    json_object_object_add(trimmed, "port", json_object_new_int64(schema_int(secrets, "port", SOURCE_PORT)));
    return trimmed;
}

static bool is_mask(json_object *value)
{
    return json_object_is_type(value, json_type_string) && !strcmp(json_object_get_string(value), SECRET_MASK);
}

/* What is unknown stays in, to be refused. */
json_object *source_merge(json_object *stored, json_object *changes)
{
    json_object *merged = stored ? source_trim(stored) : json_object_new_object();

    if (schema_has(changes, "ssl_mode"))
        json_object_object_del(merged, "sslmode");
    json_object_object_foreach(changes, name, value) {
        if (!is_mask(value))
            json_object_object_add(merged, name, json_object_get(value));
    }
    return merged;
}

static json_object *shown_text(const char *text)
{
    return text ? json_object_new_string(text) : NULL;
}

json_object *source_masked(json_object *secrets)
{
    json_object *shown = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "host", shown_text(schema_text(secrets, "host")) },
        { "port", json_object_new_int64(schema_int(secrets, "port", SOURCE_PORT)) },
        { "username", shown_text(schema_text(secrets, "username")) },
        { "password", schema_text(secrets, "password") ? json_object_new_string(SECRET_MASK) : NULL },
        { "dbname", shown_text(schema_text(secrets, "dbname")) },
        { "db_schema", shown_text(schema_text(secrets, "db_schema")) },
        { "ssl_mode", shown_text(sslmode_of(secrets)) },
        { "ssh_required", json_object_new_boolean(false) },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(shown, members[i].name, members[i].value);
    return shown;
}

/* --- trying it ----------------------------------------------------------------------------------------- */

DEFINE_CLEANUP(PGconn *, PQfinish)
DEFINE_CLEANUP(PGresult *, PQclear)

static int refused(struct err *err, const char *text, const char *cause)
{
    int r = err_set(err, ERR_REFUSED, "%s", text);

    snprintf(err->cause, sizeof(err->cause), "%s", cause);
    return r;
}

static int refused_operational(struct err *err, const char *cause)
{
    return refused(err, "Operational Error connecting to postgres db.", cause);
}

static PGconn *conn_start(json_object *secrets)
{
    char port[8];
    const struct {
        const char *keyword, *value;
    } settings[] = {
        { "host", schema_text(secrets, "host") },         { "port", port },
        { "dbname", schema_text(secrets, "dbname") },     { "user", schema_text(secrets, "username") },
        { "password", schema_text(secrets, "password") }, { "sslmode", schema_text(secrets, "sslmode") },
        { "application_name", "docket" },
    };
    const char *keywords[COUNT_OF(settings) + 1] = { 0 }, *values[COUNT_OF(settings) + 1] = { 0 };

    snprintf(port, sizeof(port), "%d", (int)schema_int(secrets, "port", SOURCE_PORT));
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        keywords[i] = settings[i].keyword;
        values[i] = settings[i].value;
    }
    return PQconnectStartParams(keywords, values, 0);
}

/* False: the time is over. */
static bool socket_wait(const PGconn *conn, short events, usec_t deadline)
{
    struct pollfd socket = { .fd = PQsocket(conn), .events = events };
    usec_t left = deadline - usec_monotonic();

    return left > 0 && poll(&socket, 1, (int)(left / USEC_PER_MS) + 1) != 0;
}

static int conn_wait(PGconn *conn, usec_t deadline, struct err *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    if (!conn || PQstatus(conn) == CONNECTION_BAD)
        return refused_operational(err, "connect");
    while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
        if (!socket_wait(conn, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return refused_operational(err, "timeout");
        state = PQconnectPoll(conn);
    }
    return state == PGRES_POLLING_OK ? 0 : refused_operational(err, "connect");
}

static int conn_ask(PGconn *conn, usec_t deadline, struct err *err)
{
    _cleanup_(PQclearp) PGresult *result = NULL;
    const char *sqlstate;

    if (!PQsendQuery(conn, "select 1"))
        return refused_operational(err, "send");
    while (PQisBusy(conn)) {
        if (!socket_wait(conn, POLLIN, deadline))
            return refused_operational(err, "timeout");
        if (!PQconsumeInput(conn))
            return refused_operational(err, "receive");
    }
    result = PQgetResult(conn);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return 0;
    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return refused(err, "Internal Error connecting to postgres db.", sqlstate ? sqlstate : "select");
}

int source_try(json_object *secrets, usec_t timeout, struct err *err)
{
    _cleanup_(PQfinishp) PGconn *conn = NULL;
    usec_t deadline = usec_monotonic() + timeout;
    int r;

    if (!secrets)
        return refused(err, "Connection error: the connection has no secrets.", "no secrets");
    conn = conn_start(secrets);
    r = conn_wait(conn, deadline, err);
    return r < 0 ? r : conn_ask(conn, deadline, err);
}
