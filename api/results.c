/*
 * results - packages are fetched: who may see results is given links, and whoever has a link the package, until the
 * link ends, the package is deleted or the request is forgotten (rest.md 13).
 */
#include "api/results.h"

#include <string.h>
#include <strings.h>

#include "api/results.sql.h"
#include "api/ticket.h"
#include "common/event.h"
#include "common/log.h"
#include "common/package.h"

/* --- the request ------------------------------------------------------------------------------------- */

int results_subject(struct api_call *call, const char *request_id, PGresult **rows, struct results_subject *ret,
                    struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    PGresult *found = NULL;
    int r;

    db_text(args, request_id);
    r = db_run(call->db, &SQL_results_request, args, &found, err);
    if (r < 0)
        return r;
    if (!PQntuples(found)) {
        PQclear(found);
        *rows = NULL;
        return 0;
    }
    *rows = found;
    *ret = (struct results_subject){ .status = lifecycle_parse(db_get_text(found, 0, 0)),
                                     .deleted = db_get_bool(found, 0, 1),
                                     .forgotten = db_get_bool(found, 0, 2),
                                     .policy_id = db_get_text(found, 0, 3),
                                     .key_id = db_get_text(found, 0, 4) };
    ret->wrapped.data = db_get_bytes(found, 0, 5, &ret->wrapped.length);
    return 0;
}

static int refuse_when_off(const struct api_call *call, struct err *err)
{
    if (call->api->config->results_download)
        return 0;
    return err_set(err, ERR_FORBIDDEN, "Access results download is disabled.");
}

/* --- who is given what ------------------------------------------------------------------------------- */

int results_disclose(struct api_call *call, const char *request_id, const char *what, const char *const *rule_keys,
                     int rule_count, struct err *err)
{
    struct journal_entry entry = { .request_id = request_id, .expected = JOURNAL_ANY, .type = EVENT_DISCLOSED };
    struct journal_entry *entries[] = { &entry };
    int r;

    if (!strcmp(call->http->method, "HEAD"))
        return 0; /* nothing of it goes out */
    entry.time = usec_now();
    entry.traceparent = event_trace_child(call->arena, http_header(call->http, "traceparent"));
    entry.payload = event_disclosed(call->arena, request_id,
                                    &(struct event_disclosed){
                                        .what = what,
                                        .rule_keys = rule_keys,
                                        .rule_count = rule_count,
                                        .to = !call->client_id ? "link" : call->user_id ? "user" : "client",
                                        .client_id = call->client_id,
                                        .user_id = call->user_id,
                                    });
    r = journal_append(call->db, entries, 1, publisher_source(call->api->publisher), call->arena, err);
    if (r == 0)
        publish_entries(call->api->publisher, entries, 1);
    return r;
}

/* --- links ------------------------------------------------------------------------------------------- */

/* Where whoever asks has reached us, when no other address is configured. A proxy that ends TLS says so. */
static const char *base_url(struct api_call *call)
{
    const char *set = call->api->config->public_url, *host = http_header(call->http, "Host");
    const char *proto = http_header(call->http, "X-Forwarded-Proto");
    size_t length = strlen(set);

    if (!length)
        return arena_printf(call->arena, "%s://%s", proto && !strcasecmp(proto, "https") ? "https" : "http",
                            host ? host : "localhost");
    while (length && set[length - 1] == '/')
        length--;
    return arena_strndup(call->arena, set, length);
}

static json_object *link_object(struct api_call *call, const char *request_id, const char *rule_key)
{
    const struct config *config = call->api->config;
    const struct ticket ticket = { request_id, rule_key, call->now + config->package_link_life };
    const char *token = ticket_make(config->app_encryption_key, &ticket, call->arena);

    return api_json_text(arena_printf(call->arena, "%s/api/v1/docket/package/%s", base_url(call), token));
}

static int answer_links(struct api_call *call, const char *request_id, bool forgotten, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    json_object *body, *links;
    const char **rule_keys;
    int count, r;

    db_text(args, request_id);
    db_time(args, call->now);
    r = db_run(call->db, &SQL_results_packages, args, &rows, err);
    if (r < 0)
        return r;
    count = forgotten ? 0 : PQntuples(rows);
    rule_keys = arena_array(call->arena, const char *, (size_t)count + 1);
    for (int row = 0; row < count; row++)
        rule_keys[row] = db_get_text(rows, row, 0);
    if (count)
        r = results_disclose(call, request_id, "links", rule_keys, count, err);
    if (r < 0)
        return r;
    links = json_object_new_array();
    for (int i = 0; i < count; i++)
        json_object_array_add(links, link_object(call, request_id, rule_keys[i]));
    body = json_object_new_object();
    json_object_object_add(body, "access_result_urls", links);
    http_set_header(call->http, "Cache-Control", "no-store");
    return api_answer(call, 200, body);
}

static int access_results(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const char *id = call->params[0];
    struct results_subject subject;
    int r = refuse_when_off(call, err);

    if (r == 0)
        r = results_subject(call, id, &rows, &subject, err);
    if (r < 0)
        return r;
    if (!rows)
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with id '%s'.", id);
    if (subject.deleted)
        return err_set(err, ERR_INVALID, "Privacy request with id %s has been deleted.", id);
    if (subject.status != PR_COMPLETE)
        return err_set(err, ERR_BAD_REQUEST,
                       "Access results for privacy request '%s' are not available because the request is not complete.",
                       id);
    return answer_links(call, id, subject.forgotten, err);
}

/* --- a package --------------------------------------------------------------------------------------- */

static int package_key(struct api_call *call, const char *request_id, struct seal_key *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct results_subject subject;
    int r = results_subject(call, request_id, &rows, &subject, err);

    if (r < 0)
        return r;
    if (!rows)
        return err_set(err, ERR_NOT_FOUND, "There is no such package.");
    if (subject.forgotten || !subject.key_id)
        return err_set(err, ERR_GONE, "This privacy request was forgotten, and its package with it.");
    if (subject.deleted)
        return err_set(err, ERR_GONE, "This privacy request was deleted.");
    return seal_key_unwrap(call->api->ring, subject.key_id, subject.wrapped, request_id, ret, err);
}

static int package_find(struct api_call *call, const struct ticket *ticket, PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    PGresult *rows = NULL;
    int r;

    db_text(args, ticket->request_id);
    db_text(args, ticket->rule_key);
    r = db_run(call->db, &SQL_results_package, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows)) {
        PQclear(rows);
        return err_set(err, ERR_NOT_FOUND, "There is no such package any more.");
    }
    *ret = rows;
    return 0;
}

static int package_open(struct api_call *call, const struct ticket *ticket, const struct seal_key *key,
                        const PGresult *rows, struct store_reader **ret, struct err *err)
{
    const struct store_target target = package_target(call->api->config, call->catalog, rows, 0, 3);
    int r = store_read(&target, db_get_text(rows, 0, 0), key, ticket->request_id, ret, err);

    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "There is no such package any more.");
    if (r == -ERR_REFUSED) /* it is not the caller's mistake */
        return err_cause(err, ERR_INTERNAL, "storage '%s' refuses", target.key);
    return r;
}

static int64_t package_read(void *context, void *buffer, size_t size, struct err *err)
{
    return store_get(context, buffer, size, err);
}

static void package_close(void *context)
{
    store_reader_free(context);
}

static const char *content_type(const char *suffix, bool encrypted)
{
    static const struct {
        const char *suffix, *type;
    } rows[] = { { ".json", "application/json" }, { ".zip", "application/zip" } };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!strcmp(suffix, rows[i].suffix) && !(encrypted && i == 0))
            return rows[i].type;
    return "application/octet-stream"; /* so is a document that only its reader can decrypt */
}

static void package_headers(struct api_call *call, const struct ticket *ticket, const char *suffix, bool several)
{
    http_set_header(call->http, "Cache-Control", "no-store");
    http_set_header(call->http, "X-Content-Type-Options", "nosniff");
    http_set_header(call->http, "Content-Disposition",
                    arena_printf(call->arena, "attachment; filename=\"%s%s%s%s\"", ticket->request_id,
                                 several ? "." : "", several ? ticket->rule_key : "", suffix));
}

static int package_send(struct api_call *call, const struct ticket *ticket, const PGresult *rows,
                        struct store_reader *reader, struct err *err)
{
    const struct stream_source source = { package_read, package_close, reader };
    const char *dot = strrchr(db_get_text(rows, 0, 0), '.');
    const char *suffix = arena_strdup(call->arena, dot && !strchr(dot, '/') ? dot : "");

    package_headers(call, ticket, suffix, db_get_int(rows, 0, 2) > 1);
    return api_answer_stream(call, 200, content_type(suffix, db_get_bool(rows, 0, 1)), &source, err);
}

static int package_handle(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct store_reader *reader = NULL;
    struct ticket ticket;
    struct seal_key key;
    int r = refuse_when_off(call, err);

    if (r == 0)
        r = ticket_open(call->api->config->app_encryption_key, call->params[0], call->now, call->arena, &ticket, err);
    if (r == 0)
        r = package_key(call, ticket.request_id, &key, err);
    if (r == 0)
        r = package_find(call, &ticket, &rows, err);
    if (r == 0)
        r = package_open(call, &ticket, &key, rows, &reader, err);
    if (r == 0)
        r = results_disclose(call, ticket.request_id, "package", &ticket.rule_key, 1, err);
    if (r == 0)
        return package_send(call, &ticket, rows, reader, err);
    store_reader_free(reader);
    return r;
}

const struct api_route result_routes[] = {
    { "GET", "/privacy-request/{id}/access-results", "privacy-request-access-results:read", NULL,
      .handler = access_results },
    { "GET", "/docket/package/{token}", "", NULL, .optimistic = true, .handler = package_handle },
    { "GET", "/privacy-request/transfer/{id}/{rule_key}", "privacy-request:transfer", NULL,
      .handler = transfer_handle },
    { 0 },
};
