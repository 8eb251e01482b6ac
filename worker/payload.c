#include "worker/payload.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/event.h"

enum { PAYLOAD_BODY_BYTES = 16 * 1024 * 1024 };

int payload_key(const struct request *request, const struct seal_ring *ring, struct seal_key *ret, struct err *err)
{
    if (!request->key_id)
        return err_set(err, ERR_NOT_FOUND, "The request was forgotten.");
    return seal_key_unwrap(ring, request->key_id, request->wrapped_key, request->id, ret, err);
}

static void add_member(struct buf *body, const char *name, const char *value)
{
    buf_adds(body, ",\"");
    buf_adds(body, name);
    buf_adds(body, "\":");
    buf_json_string(body, value);
}

static void add_time(struct buf *body, const char *name, usec_t time)
{
    char text[USEC_TEXT_BYTES];

    add_member(body, name, time == USEC_NONE ? NULL : usec_format_offset(time, text));
}

static void add_raw(struct buf *body, const char *name, const char *json)
{
    buf_adds(body, ",\"");
    buf_adds(body, name);
    buf_adds(body, "\":");
    buf_adds(body, json ? json : "null");
}

/* date(due_date) minus today, both UTC; may be negative. */
static void add_days_left(struct buf *body, usec_t due_date, usec_t now)
{
    const usec_t day = 86400 * USEC_PER_S;
    char text[24];

    if (due_date == USEC_NONE) {
        add_raw(body, "days_left", NULL);
        return;
    }
    snprintf(text, sizeof(text), "%lld", (long long)(due_date / day - now / day));
    add_raw(body, "days_left", text);
}

/* webhooks-out.md 3: 28 members, always all present. */
static void add_privacy_request(struct buf *body, const struct request *request,
                                const struct catalog_policy *policy, const char *custom_fields,
                                const char *cancel_reason, usec_t now)
{
    buf_adds(body, "{\"id\":");
    buf_json_string(body, request->id);
    add_member(body, "external_id", request->external_id);
    add_member(body, "status", lifecycle_word(request->status));
    add_time(body, "requested_at", request->requested_at);
    add_time(body, "started_processing_at", request->started_processing_at);
    add_time(body, "finished_processing_at", request->finished_processing_at);
    add_time(body, "reviewed_at", request->reviewed_at);
    add_member(body, "reviewed_by", request->reviewed_by);
    add_time(body, "finalized_at", request->finalized_at);
    add_member(body, "finalized_by", request->finalized_by);
    add_member(body, "submitted_by", request->submitted_by);
    add_member(body, "custom_privacy_request_fields_approved_by", request->custom_approved_by);
    add_time(body, "identity_verified_at", request->identity_verified_at);
    add_time(body, "custom_privacy_request_fields_approved_at", request->custom_approved_at);
    add_raw(body, "client_id", NULL);
    add_raw(body, "origin", NULL);
    add_member(body, "policy_id", request->policy_id);
    add_raw(body, "policy", policy ? policy->body_json : NULL);
    add_member(body, "property_id", request->property_id);
    add_member(body, "cancel_reason", cancel_reason);
    add_time(body, "canceled_at", request->canceled_at);
    add_raw(body, "consent_preferences", NULL);
    add_member(body, "source", request->source);
    add_time(body, "paused_at", request->paused_at);
    add_time(body, "due_date", request->due_date);
    add_days_left(body, request->due_date, now);
    add_raw(body, "custom_fields", custom_fields);
    add_member(body, "location", request->location);
    buf_addc(body, '}');
}

/* *ret NULL when nothing was sealed there. */
static int open_text(const struct request *request, const struct seal_key *key, const char *what,
                     struct bytes sealed, const char **ret, struct err *err)
{
    struct bytes plain;
    int r;

    *ret = NULL;
    if (!sealed.data)
        return 0;
    r = seal_open(key, what, request->id, sealed, request->arena, &plain, err);
    if (r < 0)
        return r;
    *ret = plain.data;
    return 0;
}

int payload_body(const struct payload_call *call, const char **ret, size_t *length, struct err *err)
{
    const struct request *request = call->request;
    const struct catalog_policy *policy = call->policy;
    const struct seal_key *key = call->key;
    usec_t now = call->now;
    _cleanup_(buf_free) struct buf body = BUF_INIT(PAYLOAD_BODY_BYTES);
    const char *identity, *custom_fields, *reason = NULL;
    char time[USEC_TEXT_BYTES];
    int r;

    r = open_text(request, key, "identity", request->sealed_identity, &identity, err);
    if (r < 0)
        return r;
    r = open_text(request, key, "custom_fields", request->sealed_custom_fields, &custom_fields, err);
    if (r < 0)
        return r;
    if (request->status == PR_CANCELED) {
        r = open_text(request, key, "reason", request->sealed_reason, &reason, err);
        if (r < 0)
            return r;
    }
    buf_adds(&body, "{\"privacy_request_id\":");
    buf_json_string(&body, request->id);
    add_member(&body, "privacy_request_status", lifecycle_word(request->status));
    add_raw(&body, "direction", "\"two_way\"");
    add_raw(&body, "callback_type", "\"pre_approval\"");
    add_raw(&body, "identity", identity);
    add_member(&body, "policy_action", policy ? catalog_policy_action(policy) : NULL);
    buf_adds(&body, ",\"privacy_request\":");
    add_privacy_request(&body, request, policy, custom_fields, reason, now);
    add_member(&body, "timestamp", usec_format_bare(now, time));
    buf_addc(&body, '}');
    if (body.overflow)
        return err_cause(err, ERR_INTERNAL, "body of more than %d bytes", PAYLOAD_BODY_BYTES);
    *ret = arena_memdup(request->arena, body.data, body.length + 1);
    *length = body.length;
    return 0;
}

/* A list as curl reads it, made in the request's arena: curl's own would be two allocations a header. */
struct headers {
    struct arena *arena;
    struct curl_slist *first, **last;
};

static void header_line(struct headers *headers, char *line)
{
    struct curl_slist *node = arena_new_of(headers->arena, struct curl_slist);

    node->data = line;
    *headers->last = node;
    headers->last = &node->next;
}

static void header_add(struct headers *headers, const char *name, const char *value)
{
    size_t name_length = strlen(name), value_length = strlen(value);
    char *line = arena_alloc(headers->arena, name_length + value_length + 3);

    /* curl drops a header without a value unless it ends in a semicolon. */
    memcpy(line, name, name_length);
    memcpy(line + name_length, *value ? ": " : ";", *value ? 2 : 1);
    memcpy(line + name_length + (*value ? 2 : 1), value, value_length);
    header_line(headers, line);
}

static const char *own_header(const struct catalog_connection *connection, const char *name)
{
    for (int i = 0; i < connection->header_count; i++)
        if (!strcasecmp(connection->headers[i].name, name))
            return connection->headers[i].value;
    return NULL;
}

/* What the connection's configuration says: its headers go over its authorization and the defaults. */
static void add_connection_headers(struct headers *headers, const struct catalog_connection *connection)
{
    if (connection->authorization && !own_header(connection, "authorization"))
        header_add(headers, "Authorization", connection->authorization);
    if (!own_header(connection, "user-agent"))
        header_add(headers, "User-Agent", "docket/" DOCKET_VERSION);
    for (int i = 0; i < connection->header_count; i++)
        header_add(headers, connection->headers[i].name, connection->headers[i].value);
}

static void add_reply_headers(struct headers *headers, const struct request *request, const char *token)
{
    static const struct {
        const char *name, *verdict;
    } replies[] = {
        { "reply-to-eligible", "eligible" },
        { "reply-to-not-eligible", "not-eligible" },
        { "reply-to-approve", "eligible" },  /* the names of older releases */
        { "reply-to-deny", "not-eligible" },
    };

    for (size_t i = 0; i < COUNT_OF(replies); i++)
        header_line(headers, arena_printf(request->arena, "%s: /privacy-request/%s/pre-approve/%s",
                                          replies[i].name, request->id, replies[i].verdict));
    header_add(headers, "reply-to-token", token);
}

int payload_headers(const struct payload_call *call, const char *body, size_t length, const struct token_key *tokens,
                    struct curl_slist **ret, const char **names, struct err *err)
{
    const struct request *request = call->request;
    const struct delivery *delivery = call->delivery;
    const struct catalog_connection *connection = call->webhook->connection;
    const char *traceparent = call->traceparent;
    usec_t now = call->now;
    struct token_reply reply = { .webhook_id = delivery->webhook_id,
                                 .request_id = request->id,
                                 .scope = TOKEN_SCOPE_REVIEW,
                                 .issued_at = now };
    struct headers headers = { request->arena, NULL, &headers.first };
    char *token, seconds[24];
    int r = token_reply_make(tokens, &reply, request->arena, &token, err);

    (void)body;
    (void)length;
    *names = NULL;

    if (r < 0)
        return r;
    add_connection_headers(&headers, connection);
    add_reply_headers(&headers, request, token);
    snprintf(seconds, sizeof(seconds), "%lld", (long long)(now / USEC_PER_S));
    header_add(&headers, "Content-Type", "application/json");
    header_add(&headers, "webhook-id", delivery->id);
    header_add(&headers, "webhook-timestamp", seconds);
    header_add(&headers, "traceparent", event_trace_child(request->arena, traceparent));
    header_line(&headers, arena_strdup(request->arena, "Expect:")); /* no 100-continue round trip */
    *ret = headers.first;
    return 0;
}
