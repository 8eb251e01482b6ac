#include "api/delivery.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "api/auth.h"
#include "api/connection.h"
#include "api/delivery.sql.h"
#include "api/redelivery.h"

/* How many deliveries a page with a filter looks at; values of one filter; a cursor's characters. */
enum { LOOK_MAX = 20000, VALUES_MAX = 16, CURSOR_CHARS_MAX = 512, PAGE_SIZE = 50, PAGE_SIZE_MAX = 100 };

#define HIDDEN "**********"
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define TIME_MAX ((usec_t)1 << 56) /* beyond the year 4000 */

static const char *const states[] = { "waiting", "held", "delivered", "given_up", "skipped", NULL };

/* --- cursors ------------------------------------------------------------------------------------------- */

const char *delivery_cursor(struct arena *arena, const struct delivery_place *place)
{
    const char *plain = arena_printf(arena, "%" PRId64 " %s %s", place->created_at, place->request_id, place->id);
    size_t length = strlen(plain), size = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_alloc(arena, size);

    return sodium_bin2base64(text, size, (const unsigned char *)plain, length,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* The part up to the next blank, which becomes its end; NULL when it is empty. */
static char *part(char **at)
{
    char *start = *at;
    size_t length = strcspn(start, " ");

    *at = start + length + (start[length] == ' ');
    start[length] = '\0';
    return length ? start : NULL;
}

bool delivery_cursor_read(struct arena *arena, const char *cursor, struct delivery_place *ret)
{
    size_t length = strlen(cursor), plain_length;
    char *plain = arena_alloc(arena, length + 1), *at = plain, *time, *request_id, *id;
    long long created_at;

    if (length > CURSOR_CHARS_MAX || sodium_base642bin((unsigned char *)plain, length, cursor, length, NULL,
                                                       &plain_length, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING))
        return false;
    plain[plain_length] = '\0';
    if (strlen(plain) != plain_length || !schema_is_utf8(plain, plain_length))
        return false;
    time = part(&at);
    request_id = part(&at);
    id = part(&at);
    if (!time || !request_id || !id || *at || !schema_parse_int(time, &created_at) || created_at < 0 ||
        created_at > TIME_MAX)
        return false;
    *ret = (struct delivery_place){ created_at, request_id, id };
    return true;
}

int delivery_cursor_param(struct api_call *call, const char *where, const char *text, struct delivery_place *ret,
                          struct err *err)
{
    if (text && !delivery_cursor_read(call->arena, text, ret))
        return api_invalid(call, err, where, "cursor", "value_error",
                           "Value error, This is no cursor of a page before");
    return 0;
}

/* --- the object ---------------------------------------------------------------------------------------- */

/* The columns of lists and rows, in their order. */
enum {
    HORIZON_CREATED_AT, HORIZON_REQUEST_ID, HORIZON_ID, REQUEST_ID, ID, KIND, WEBHOOK_ID, CONNECTION_ID, STATE,
    ATTEMPTS, DUE_AT, OUTCOME, PROBLEM, CREATED_AT, SETTLED_AT, RUN, REDELIVERY, WORKER, KEY_ID, WRAPPED,
};

/* Webhook and endpoint by their keys, as they are called now: null when they were deleted. */
static json_object *delivery_object(const struct api_call *call, const PGresult *rows, int row)
{
    const struct catalog_webhook *webhook = catalog_webhook_by_id(call->catalog, db_get_text(rows, row, WEBHOOK_ID));
    const struct catalog_connection *connection =
        catalog_connection_by_id(call->catalog, db_get_text(rows, row, CONNECTION_ID));
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "id", api_json_text(db_get_text(rows, row, ID)) },
        { "request_id", api_json_text(db_get_text(rows, row, REQUEST_ID)) },
        { "kind", api_json_text(db_get_text(rows, row, KIND)) },
        { "webhook", api_json_text(webhook ? webhook->key : NULL) },
        { "endpoint", api_json_text(connection ? connection->key : NULL) },
        { "state", api_json_text(db_get_text(rows, row, STATE)) },
        { "attempt_count", json_object_new_int64(db_get_int(rows, row, ATTEMPTS)) },
        { "outcome", api_json_text(db_get_text(rows, row, OUTCOME)) },
        { "problem", api_json_text(db_get_text(rows, row, PROBLEM)) },
        { "due_at", api_json_time(db_get_time(rows, row, DUE_AT)) },
        { "created_at", api_json_time(db_get_time(rows, row, CREATED_AT)) },
        { "settled_at", api_json_time(db_get_time(rows, row, SETTLED_AT)) },
        { "run", json_object_new_int64(db_get_int(rows, row, RUN)) },
        { "redelivery", json_object_new_boolean(db_get_bool(rows, row, REDELIVERY)) },
        { "worker", api_json_text(db_get_text(rows, row, WORKER)) },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

/* --- what a list may be asked for ---------------------------------------------------------------------- */

static const char *const kinds[] = { "pre_approval", "pre", "post", NULL };

static const struct schema state_schema = { .type = SCHEMA_STRING, .words = states };
static const struct schema kind_schema = { .type = SCHEMA_STRING, .words = kinds };

static const struct schema_field query_fields[] = {
    { "request_id", .schema = { .type = SCHEMA_STRING, .min = 1, .max = 256 } },
    { "endpoint", .schema = { .type = SCHEMA_KEY } },
    { "webhook", .schema = { .type = SCHEMA_KEY } },
    { "kind", .schema = { .type = SCHEMA_LIST, .item = &kind_schema, .max = VALUES_MAX } },
    { "state", .schema = { .type = SCHEMA_LIST, .item = &state_schema, .max = VALUES_MAX } },
    { "created_gt", .schema = { .type = SCHEMA_DATETIME } },
    { "created_lt", .schema = { .type = SCHEMA_DATETIME } },
    { "cursor", .schema = { .type = SCHEMA_STRING } },
    { "size", .schema = { .type = SCHEMA_INT, .min = 1, .max = PAGE_SIZE_MAX } },
    { 0 },
};
static const struct schema query_schema = { .type = SCHEMA_OBJECT, .fields = query_fields };

static json_object *query_values(struct api_call *call, const char *name)
{
    json_object *list = json_object_new_array();
    const char *values[VALUES_MAX + 1]; /* one more than fit, so that it is told */
    int count = http_queries(call->http, name, values, VALUES_MAX + 1);

    for (int i = 0; i < count && i < VALUES_MAX + 1; i++)
        json_object_array_add(list, api_json_text(values[i]));
    return list;
}

/* The query as if it were a body, so that one schema tells all that is wrong with it. */
static json_object *query_object(struct api_call *call)
{
    json_object *object = json_object_new_object();

    for (const struct schema_field *field = query_fields; field->name; field++) {
        const char *value = http_query(call->http, field->name);

        if (value)
            json_object_object_add(object, field->name,
                                   field->schema.type == SCHEMA_LIST ? query_values(call, field->name)
                                                                     : api_json_text(value));
    }
    return object;
}

struct listing {
    const char *request_id;     /* NULL, and below: any */
    const char **connection_ids, **webhook_ids, **states, **kinds; /* end with NULL */
    usec_t created_gt, created_lt;
    struct delivery_place after; /* request_id NULL: from the newest */
    int64_t size;
};

static const char **words_of(struct arena *arena, json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    const char **words = count ? arena_array(arena, const char *, count + 1) : NULL;

    for (size_t i = 0; i < count; i++)
        words[i] = arena_strdup(arena, json_object_get_string(json_object_array_get_idx(list, i)));
    return words;
}

static const struct catalog_connection *connection_by_key(const struct catalog *catalog, const char *key)
{
    for (int i = 0; i < catalog->connection_count; i++)
        if (!strcmp(catalog->connections[i].key, key))
            return &catalog->connections[i];
    return NULL;
}

static int read_endpoint(struct api_call *call, const char *key, struct listing *ret, struct err *err)
{
    const struct catalog_connection *connection;

    if (!key)
        return 0;
    connection = connection_by_key(call->catalog, key);
    if (!connection)
        return connection_unknown(arena_strdup(call->arena, key), err);
    ret->connection_ids = arena_array(call->arena, const char *, 2);
    ret->connection_ids[0] = connection->id;
    return 0;
}

/* Webhooks of different kinds may have the same key. */
static int read_webhook(struct api_call *call, const char *key, struct listing *ret, struct err *err)
{
    const struct catalog *catalog = call->catalog;
    int count = 0;

    if (!key)
        return 0;
    ret->webhook_ids = arena_array(call->arena, const char *,
                                   (size_t)(catalog->webhook_count + catalog->policy_webhook_count) + 1);
    for (int i = 0; i < catalog->webhook_count; i++)
        if (!strcmp(catalog->webhooks[i].key, key))
            ret->webhook_ids[count++] = catalog->webhooks[i].id;
    for (int i = 0; i < catalog->policy_webhook_count; i++)
        if (!strcmp(catalog->policy_webhooks[i]->key, key))
            ret->webhook_ids[count++] = catalog->policy_webhooks[i]->id;
    return count ? 0 : err_set(err, ERR_NOT_FOUND, "No webhook found with key '%s'.", key);
}

static usec_t time_of(json_object *query, const char *name)
{
    const char *text = schema_text(query, name);
    usec_t time = USEC_NONE;

    if (text)
        usec_parse(text, &time);
    return time;
}

static int listing_read(struct api_call *call, json_object *query, struct listing *ret, struct err *err)
{
    const struct schema_loc root = { .name = "query" };
    int r;

    if (!schema_check(&query_schema, query, &root, &call->errors))
        return err_set(err, ERR_INVALID, "The query does not fit.");
    *ret = (struct listing){
        .request_id = arena_strdup(call->arena, schema_text(query, "request_id")),
        .states = words_of(call->arena, schema_get(query, "state")),
        .kinds = words_of(call->arena, schema_get(query, "kind")),
        .created_gt = time_of(query, "created_gt"),
        .created_lt = time_of(query, "created_lt"),
        .after = { .created_at = USEC_NONE },
        .size = schema_int(query, "size", PAGE_SIZE),
    };
    r = delivery_cursor_param(call, "query", schema_text(query, "cursor"), &ret->after, err);
    if (r == 0)
        r = read_endpoint(call, schema_text(query, "endpoint"), ret, err);
    if (r == 0)
        r = read_webhook(call, schema_text(query, "webhook"), ret, err);
    return r;
}

/* --- listing ------------------------------------------------------------------------------------------- */

static void args_list(struct db_args *args, const char *const *list)
{
    struct db_column *column;

    if (!list) {
        db_null(args);
        return;
    }
    column = db_array(args, DB_TEXT);
    for (; *list; list++)
        db_add_text(column, *list);
}

/* How many deliveries of one endpoint are looked at: where all pass, those of the page and one more. */
static int64_t look_depth(const struct api_call *call, const struct listing *listing)
{
    int64_t page = listing->size + 1, depth = LOOK_MAX;

    if (!listing->states && !listing->kinds && !listing->webhook_ids)
        return page;
    if (!listing->connection_ids && call->catalog->connection_count)
        depth /= call->catalog->connection_count;
    return depth > page ? depth : page;
}

static struct db_args *listing_args(struct api_call *call, const struct listing *listing)
{
    struct db_args *args = db_args_new(call->arena);

    args_list(args, listing->connection_ids);
    db_time(args, listing->created_gt);
    db_time(args, listing->created_lt);
    db_time(args, listing->after.created_at);
    db_text(args, listing->after.request_id);
    db_text(args, listing->after.id);
    db_int(args, look_depth(call, listing));
    args_list(args, listing->states);
    args_list(args, listing->kinds);
    args_list(args, listing->webhook_ids);
    db_int(args, listing->size + 1);
    if (listing->request_id)
        db_text(args, listing->request_id);
    return args;
}

static const char *cursor_of(struct api_call *call, const PGresult *rows, int row, int created_at)
{
    struct delivery_place place = {
        .created_at = db_get_time(rows, row, created_at),
        .request_id = db_get_text(rows, row, created_at == CREATED_AT ? REQUEST_ID : HORIZON_REQUEST_ID),
        .id = db_get_text(rows, row, created_at == CREATED_AT ? ID : HORIZON_ID),
    };

    return delivery_cursor(call->arena, &place);
}

/* Where there is more than the page, behind its last one; else where the look ended, if it did; else nowhere. */
static const char *next_cursor(struct api_call *call, const struct listing *listing, const PGresult *rows, int found)
{
    if (found > listing->size)
        return cursor_of(call, rows, (int)listing->size - 1, CREATED_AT);
    if (PQntuples(rows) && !db_is_null(rows, 0, HORIZON_ID))
        return cursor_of(call, rows, 0, HORIZON_CREATED_AT);
    return NULL;
}

static int answer_list(struct api_call *call, const struct listing *listing, const PGresult *rows)
{
    int count = PQntuples(rows) && !db_is_null(rows, 0, ID) ? PQntuples(rows) : 0;
    const char *next = next_cursor(call, listing, rows, count);
    json_object *body = json_object_new_object(), *items = json_object_new_array();

    for (int row = 0; row < count && row < listing->size; row++)
        json_object_array_add(items, delivery_object(call, rows, row));
    json_object_object_add(body, "items", items);
    json_object_object_add(body, "next_cursor", api_json_text(next));
    return api_answer(call, 200, body);
}

static int delivery_list(struct api_call *call, struct err *err)
{
    _cleanup_(json_object_putp) json_object *query = query_object(call);
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct listing listing;
    int r = listing_read(call, query, &listing, err);

    if (r == 0)
        r = db_run_planned(call->db, listing.request_id ? &SQL_delivery_list_of : &SQL_delivery_list,
                           listing_args(call, &listing), &rows, err);
    return r < 0 ? r : answer_list(call, &listing, rows);
}

/* --- one, with its attempts ---------------------------------------------------------------------------- */

static int delivery_unknown(struct api_call *call, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No delivery found with id '%s' of privacy request '%s'.", call->params[1],
                   call->params[0]);
}

/* The length of the sequence that begins at `bytes`; 0 when that is no UTF-8. */
static size_t sequence_length(const char *bytes, size_t length)
{
    for (size_t count = 1; count <= 4 && count <= length; count++)
        if (schema_is_utf8(bytes, count))
            return count;
    return 0;
}

/* A cut may have gone through a character, here or when the answer was kept: what is left of that goes too. */
static size_t cut_length(const char *bytes, size_t length)
{
    const size_t cut = DELIVERY_ANSWER_BYTES;

    if (length < cut)
        return length;
    for (size_t back = 1; back < 4; back++)
        if ((bytes[cut - back] & 0xc0) == 0xc0)
            return sequence_length(bytes + cut - back, back) ? cut : cut - back;
    return cut;
}

json_object *delivery_answer_text(const void *bytes, size_t length)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(3 * DELIVERY_ANSWER_BYTES);
    const char *at = bytes, *end;

    if (!bytes)
        return NULL;
    for (end = at + cut_length(bytes, length); at < end;) {
        size_t count = sequence_length(at, (size_t)(end - at));

        if (count)
            buf_add(&text, at, count);
        else
            buf_adds(&text, REPLACEMENT);
        at += count ? count : 1;
    }
    return json_object_new_string_len(text.length ? text.data : "", (int)text.length);
}

json_object *delivery_duration(const PGresult *rows, int row, int column)
{
    if (db_is_null(rows, row, column))
        return NULL;
    return json_object_new_double((double)db_get_int(rows, row, column) / (double)USEC_PER_MS);
}

/* Of one delivery: what its attempts are shown with. */
struct showing {
    struct api_call *call;
    bool may_see_answers;
    struct seal_key key;
};

/* docket's own headers as they were sent, and the names of the connection's own. */
static json_object *headers_object(const struct showing *showing, usec_t started_at, const char *names)
{
    struct arena *arena = showing->call->arena;
    json_object *headers = json_object_new_object();

    while (names && *names) {
        size_t length = strcspn(names, ",");

        json_object_object_add(headers, arena_strndup(arena, names, length), api_json_text(HIDDEN));
        names += length + (names[length] == ',');
    }
    json_object_object_add(headers, "content-type", api_json_text("application/json"));
    json_object_object_add(headers, "webhook-id", api_json_text(showing->call->params[1]));
    json_object_object_add(headers, "webhook-timestamp",
                           api_json_text(arena_printf(arena, "%" PRId64, started_at / USEC_PER_S)));
    return headers;
}

enum { A_ATTEMPT, A_STARTED_AT, A_DURATION, A_ADDRESS, A_STATUS, A_OUTCOME, A_HEADERS, A_ANSWER };

/* What can't be opened is as if it were not there: a key that was forgotten takes its answers along. */
static json_object *answer_shown(const struct showing *showing, const PGresult *rows, int row)
{
    struct bytes sealed, plain;
    struct err err;

    sealed.data = db_get_bytes(rows, row, A_ANSWER, &sealed.length);
    if (!showing->may_see_answers || !sealed.data ||
        seal_open(&showing->key, "answer", showing->call->params[1], sealed, showing->call->arena, &plain, &err) < 0)
        return NULL;
    return delivery_answer_text(plain.data, plain.length);
}

static json_object *attempt_object(const struct showing *showing, const PGresult *rows, int row)
{
    usec_t started_at = db_get_time(rows, row, A_STARTED_AT);
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "number", json_object_new_int64(db_get_int(rows, row, A_ATTEMPT)) },
        { "started_at", api_json_time(started_at) },
        { "duration_ms", delivery_duration(rows, row, A_DURATION) },
        { "address", api_json_text(db_get_text(rows, row, A_ADDRESS)) },
        { "status_code",
          db_is_null(rows, row, A_STATUS) ? NULL : json_object_new_int64(db_get_int(rows, row, A_STATUS)) },
        { "outcome", api_json_text(db_get_text(rows, row, A_OUTCOME)) },
        { "headers", headers_object(showing, started_at, db_get_text(rows, row, A_HEADERS)) },
        { "answer", answer_shown(showing, rows, row) },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

/* An answer may be about a person: who sees it must be allowed to see what requests are about, and the request's key
 * must still be there. */
static bool may_see_answers(struct showing *showing, const PGresult *rows)
{
    struct api_call *call = showing->call;
    struct bytes wrapped;
    struct err err;

    wrapped.data = db_get_bytes(rows, 0, WRAPPED, &wrapped.length);
    return wrapped.data && auth_check(call, "privacy-request:view_data", &err) == 0 &&
           seal_key_unwrap(call->api->ring, db_get_text(rows, 0, KEY_ID), wrapped, call->params[0], &showing->key,
                           &err) == 0;
}

static struct db_args *delivery_args(struct api_call *call)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, call->params[0]);
    db_text(args, call->params[1]);
    return args;
}

static int read_attempts(struct showing *showing, json_object **ret, struct err *err)
{
    struct api_call *call = showing->call;
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = delivery_args(call);
    int r;

    db_int(args, DELIVERY_ATTEMPTS_MAX);
    r = db_run_planned(call->db, &SQL_delivery_attempts, args, &rows, err);
    if (r < 0)
        return r;
    *ret = json_object_new_array();
    for (int row = 0; row < PQntuples(rows); row++)
        json_object_array_add(*ret, attempt_object(showing, rows, row));
    return 0;
}

static int read_row(struct api_call *call, PGresult **ret, struct err *err)
{
    int r = db_run_planned(call->db, &SQL_delivery_row, delivery_args(call), ret, err);

    return r < 0 ? r : PQntuples(*ret) ? 0 : delivery_unknown(call, err);
}

static int delivery_get(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct showing showing = { .call = call };
    json_object *object, *attempts;
    int r = read_row(call, &rows, err);

    if (r < 0)
        return r;
    showing.may_see_answers = may_see_answers(&showing, rows);
    r = read_attempts(&showing, &attempts, err);
    if (r < 0)
        return r;
    object = delivery_object(call, rows, 0);
    json_object_object_add(object, "attempts", attempts);
    return api_answer(call, 200, object);
}

/* --- anew ---------------------------------------------------------------------------------------------- */

static int delivery_redeliver(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct redelivery redelivery = { .request_id = call->params[0], .id = call->params[1] };
    int r = redelivery_run(call, &redelivery, 1, err);

    if (r < 0)
        return r;
    if (!redelivery.found)
        return delivery_unknown(call, err);
    if (redelivery.refused)
        return err_set(err, ERR_CONFLICT, "%s", redelivery.refused);
    r = read_row(call, &rows, err);
    return r < 0 ? r : api_answer(call, 202, delivery_object(call, rows, 0));
}

const struct api_route delivery_routes[] = {
    { "GET", "/docket/delivery", "webhook:read", .handler = delivery_list },
    { "GET", "/docket/delivery/{request_id}/{delivery_id}", "webhook:read", .handler = delivery_get },
    { "POST", "/docket/delivery/{request_id}/{delivery_id}/redeliver", "privacy-request:resume",
      .handler = delivery_redeliver },
    { 0 },
};
