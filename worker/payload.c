#include "worker/payload.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/event.h"
#include "common/identity.h"

enum { PAYLOAD_BODY_BYTES = 16 * 1024 * 1024 };

#define SECRET_PREFIX "whsec_"

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

/* What of a request is sealed, opened. NULL: nothing there. */
struct opened {
    const char *identity, *custom_fields, *cancel_reason;
};

/* Parts of the privacy request, as far as the endpoint is told them. */
struct parts {
    struct buf *body;
    const struct disclosure *disclosure;
};

static void part_text(const struct parts *parts, const char *name, const char *value)
{
    if (disclosure_has_part(parts->disclosure, name))
        add_member(parts->body, name, value);
}

static void part_time(const struct parts *parts, const char *name, usec_t time)
{
    if (disclosure_has_part(parts->disclosure, name))
        add_time(parts->body, name, time);
}

static void part_raw(const struct parts *parts, const char *name, const char *json)
{
    if (disclosure_has_part(parts->disclosure, name))
        add_raw(parts->body, name, json);
}

/* webhooks-out.md 3: 28 members, always all present, unless its endpoint's configuration leaves some out. Their names
 * stand in disclosure_parts too. */
static void add_privacy_request(struct buf *body, const struct payload_call *call, const struct opened *opened)
{
    const struct request *request = call->request;
    const struct parts parts = { body, call->webhook->connection->disclosure };

    buf_adds(body, "{\"id\":");
    buf_json_string(body, request->id);
    part_text(&parts, "external_id", request->external_id);
    part_text(&parts, "status", lifecycle_word(request->status));
    part_time(&parts, "requested_at", request->requested_at);
    part_time(&parts, "started_processing_at", request->started_processing_at);
    part_time(&parts, "finished_processing_at", request->finished_processing_at);
    part_time(&parts, "reviewed_at", request->reviewed_at);
    part_text(&parts, "reviewed_by", request->reviewed_by);
    part_time(&parts, "finalized_at", request->finalized_at);
    part_text(&parts, "finalized_by", request->finalized_by);
    part_text(&parts, "submitted_by", request->submitted_by);
    part_text(&parts, "custom_privacy_request_fields_approved_by", request->custom_approved_by);
    part_time(&parts, "identity_verified_at", request->identity_verified_at);
    part_time(&parts, "custom_privacy_request_fields_approved_at", request->custom_approved_at);
    part_raw(&parts, "client_id", NULL);
    part_raw(&parts, "origin", NULL);
    part_text(&parts, "policy_id", request->policy_id);
    part_raw(&parts, "policy", call->policy ? call->policy->body_json : NULL);
    part_text(&parts, "property_id", request->property_id);
    part_text(&parts, "cancel_reason", opened->cancel_reason);
    part_time(&parts, "canceled_at", request->canceled_at);
    part_raw(&parts, "consent_preferences", NULL);
    part_text(&parts, "source", request->source);
    part_time(&parts, "paused_at", request->paused_at);
    part_time(&parts, "due_date", request->due_date);
    if (disclosure_has_part(parts.disclosure, "days_left"))
        add_days_left(body, request->due_date, call->now);
    part_raw(&parts, "custom_fields", opened->custom_fields);
    part_text(&parts, "location", request->location);
    buf_addc(body, '}');
}

/* --- what is sealed ------------------------------------------------------------------------------------ */

/* *ret NULL when nothing was sealed there. */
static int open_text(const struct payload_call *call, const char *what, const char *owner_id, struct bytes sealed,
                     const char **ret, struct err *err)
{
    struct bytes plain = { 0 };
    int r = sealed.data ? seal_open(call->key, what, owner_id, sealed, call->request->arena, &plain, err) : 0;

    if (r == 0)
        *ret = plain.data;
    return r;
}

static bool has_derived(const struct request *request)
{
    for (int i = 0; i < request->delivery_count; i++)
        if (request->deliveries[i].sealed_derived.data || request->deliveries[i].sealed_resumed.data)
            return true;
    return false;
}

/* One that is not settled yet is the last. */
static int settled_order(const void *a, const void *b)
{
    usec_t first = (*(const struct delivery *const *)a)->settled_at;
    usec_t second = (*(const struct delivery *const *)b)->settled_at;

    if (first == USEC_NONE || second == USEC_NONE)
        return (first == USEC_NONE) - (second == USEC_NONE);
    return (first > second) - (first < second);
}

static const struct delivery **deliveries_settled(const struct request *request)
{
    size_t count = (size_t)request->delivery_count;
    const struct delivery **sorted = arena_array(request->arena, const struct delivery *, count);

    for (size_t i = 0; i < count; i++)
        sorted[i] = &request->deliveries[i];
    qsort(sorted, count, sizeof(*sorted), settled_order);
    return sorted;
}

/* What an answer brought, then what the reply to it did. Adds to the `count` texts there are; the new count. */
static int open_derived(const struct payload_call *call, const struct delivery *delivery, const char **texts,
                        int *count, struct err *err)
{
    const struct bytes sealed[] = { delivery->sealed_derived, delivery->sealed_resumed };

    for (size_t i = 0; i < COUNT_OF(sealed); i++) {
        int r = open_text(call, "derived", delivery->id, sealed[i], &texts[*count], err);

        if (r < 0)
            return r;
        *count += texts[*count] != NULL;
    }
    return 0;
}

/* What earlier webhooks derived goes over what the request came with, the later over the earlier. */
static int overlay_derived(const struct payload_call *call, const char **identity, struct err *err)
{
    const struct request *request = call->request;
    const struct delivery **deliveries = deliveries_settled(request);
    const char **texts = arena_array(request->arena, const char *, 2 * (size_t)request->delivery_count);
    int count = 0;

    for (int i = 0; i < request->delivery_count; i++) {
        int r = open_derived(call, deliveries[i], texts, &count, err);

        if (r < 0)
            return r;
    }
    *identity = identity_overlay(*identity, texts, count, request->arena);
    return 0;
}

/* Most requests have nothing derived: their identity goes out as it was sealed, unparsed. */
static int open_identity(const struct payload_call *call, const char **ret, struct err *err)
{
    const struct request *request = call->request;
    int r = open_text(call, "identity", request->id, request->sealed_identity, ret, err);

    if (r < 0 || !*ret || !has_derived(request))
        return r;
    return overlay_derived(call, ret, err);
}

int payload_identity(const struct request *request, const struct seal_key *key, const char **ret, struct err *err)
{
    const struct payload_call call = { .request = request, .key = key };

    *ret = NULL;
    return open_identity(&call, ret, err);
}

static int open_all(const struct payload_call *call, struct opened *ret, struct err *err)
{
    const struct request *request = call->request;
    int r = open_identity(call, &ret->identity, err);

    if (r < 0)
        return r;
    r = open_text(call, "custom_fields", request->id, request->sealed_custom_fields, &ret->custom_fields, err);
    if (r < 0 || request->status != PR_CANCELED)
        return r;
    return open_text(call, "reason", request->id, request->sealed_reason, &ret->cancel_reason, err);
}

/* --- the body ------------------------------------------------------------------------------------------ */

/* Whoever is asked before approval always has an answer to give. */
static bool is_two_way(const struct catalog_webhook *webhook)
{
    return webhook->two_way || webhook->kind == WEBHOOK_PRE_APPROVAL;
}

/* `identity`: what the endpoint is told of it. */
static void add_all(struct buf *body, const struct payload_call *call, const struct opened *opened,
                    const char *identity)
{
    const struct request *request = call->request;
    char time[USEC_TEXT_BYTES];

    buf_adds(body, "{\"privacy_request_id\":");
    buf_json_string(body, request->id);
    add_member(body, "privacy_request_status", lifecycle_word(request->status));
    add_member(body, "direction", is_two_way(call->webhook) ? "two_way" : "one_way");
    add_member(body, "callback_type", webhook_kind_word(call->webhook->kind));
    add_raw(body, "identity", identity);
    add_member(body, "policy_action", call->policy ? catalog_policy_action(call->policy) : NULL);
    buf_adds(body, ",\"privacy_request\":");
    add_privacy_request(body, call, opened);
    add_member(body, "timestamp", usec_format_bare(call->now, time));
    buf_addc(body, '}');
}

int payload_body(const struct payload_call *call, const char **ret, size_t *length, const char **disclosed,
                 struct err *err)
{
    _cleanup_(buf_free) struct buf body = BUF_INIT(PAYLOAD_BODY_BYTES);
    const struct catalog_connection *connection = call->webhook->connection;
    const struct disclosure_place place = { connection->key, connection->host, call->policy ? call->policy->key : NULL };
    struct opened opened = { 0 };
    const char *identity;
    int r = open_all(call, &opened, err);

    if (r < 0)
        return r;
    identity = disclosure_identity(connection->disclosure, opened.identity, call->request->arena);
    add_all(&body, call, &opened, identity);
    if (body.overflow)
        return err_cause(err, ERR_INTERNAL, "body of more than %d bytes", PAYLOAD_BODY_BYTES);
    *ret = arena_memdup(call->request->arena, body.data, body.length + 1);
    *length = body.length;
    *disclosed = disclosure_tell(connection->disclosure, &place, identity, call->request->arena);
    return 0;
}

/* --- the signature ------------------------------------------------------------------------------------- */

enum { SIGNATURE_CHARS = 3 + 44 }; /* "v1," and 32 bytes as base64 */

/* "whsec_" and base64, padded or not, into `key`, which has room for its characters. */
static bool secret_read(const char *secret, uint8_t *key, size_t *length)
{
    size_t prefix = strlen(SECRET_PREFIX);

    if (strncmp(secret, SECRET_PREFIX, prefix) != 0)
        return false;
    secret += prefix;
    return !sodium_base642bin(key, strlen(secret), secret, strcspn(secret, "="), NULL, length, NULL,
                              sodium_base64_VARIANT_ORIGINAL_NO_PADDING) &&
           *length;
}

struct signed_text {
    const char *id, *seconds, *body;
    size_t length;
};

/* Writes SIGNATURE_CHARS and a NUL. */
static void sign(const uint8_t *key, size_t key_length, const struct signed_text *text, char *ret)
{
    crypto_auth_hmacsha256_state state;
    uint8_t hash[crypto_auth_hmacsha256_BYTES];

    crypto_auth_hmacsha256_init(&state, key, key_length);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)text->id, strlen(text->id));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)text->seconds, strlen(text->seconds));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)text->body, text->length);
    crypto_auth_hmacsha256_final(&state, hash);
    sodium_memzero(&state, sizeof(state));
    memcpy(ret, "v1,", 3);
    sodium_bin2base64(ret + 3, SIGNATURE_CHARS - 3 + 1, hash, sizeof(hash), sodium_base64_VARIANT_ORIGINAL);
}

/* False: the secret is none. */
static bool secret_sign(const char *secret, const struct signed_text *text, struct arena *arena, char *ret)
{
    size_t room = strlen(secret), length;
    uint8_t *key = arena_alloc(arena, room);
    bool reads = secret_read(secret, key, &length);

    if (reads)
        sign(key, length, text, ret);
    sodium_memzero(key, room);
    return reads;
}

const char *payload_signature(const struct catalog_connection *connection, const char *id, const char *seconds,
                              const char *body, size_t length, usec_t now, struct arena *arena)
{
    const struct signed_text text = { id, seconds, body, length };
    char *both, *second;

    if (!connection->signing_secret)
        return NULL;
    both = arena_alloc(arena, 2 * SIGNATURE_CHARS + 2);
    second = both + SIGNATURE_CHARS + 1;
    if (!secret_sign(connection->signing_secret, &text, arena, both))
        return NULL;
    if (connection->signing_previous && now < connection->signing_until &&
        secret_sign(connection->signing_previous, &text, arena, second))
        second[-1] = ' ';
    return both;
}

/* --- the headers --------------------------------------------------------------------------------------- */

/* A list as curl reads it, made in the request's arena: curl's own would be two allocations a header. */
struct headers {
    struct arena *arena;
    struct curl_slist *first, **last;
    const char *names; /* of those that the connection brought, with commas; NULL: none yet */
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

/* One that the connection's configuration brings: it is named in what is kept of the attempt. */
static void header_add_own(struct headers *headers, const char *name, const char *value)
{
    header_add(headers, name, value);
    headers->names = headers->names ? arena_printf(headers->arena, "%s,%s", headers->names, name) : name;
}

static bool has_own(const struct catalog_connection *connection, const char *name)
{
    for (int i = 0; i < connection->header_count; i++)
        if (!strcasecmp(connection->headers[i].name, name))
            return true;
    return false;
}

/* A token goes whatever the connection's headers say; its authorization only where they say nothing. */
static void add_authorization(struct headers *headers, const struct payload_call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;

    if (call->bearer)
        header_add_own(headers, "Authorization", arena_printf(headers->arena, "Bearer %s", call->bearer));
    else if (connection->authorization && !has_own(connection, "authorization"))
        header_add_own(headers, "Authorization", connection->authorization);
}

/* What the connection's configuration says: its headers go over its authorization and the defaults. */
static void add_connection_headers(struct headers *headers, const struct payload_call *call)
{
    const struct catalog_connection *connection = call->webhook->connection;

    add_authorization(headers, call);
    if (!has_own(connection, "user-agent"))
        header_add(headers, "User-Agent", "docket/" DOCKET_VERSION);
    for (int i = 0; i < connection->header_count; i++)
        if (!call->bearer || strcasecmp(connection->headers[i].name, "authorization") != 0)
            header_add_own(headers, connection->headers[i].name, connection->headers[i].value);
}

struct reply_path {
    const char *name, *end;
};

static const struct reply_path pre_approval_paths[] = {
    { "reply-to-eligible", "pre-approve/eligible" },
    { "reply-to-not-eligible", "pre-approve/not-eligible" },
    { "reply-to-approve", "pre-approve/eligible" },  /* the names of older releases */
    { "reply-to-deny", "pre-approve/not-eligible" },
    { 0 },
};
static const struct reply_path pre_paths[] = { { "reply-to", "resume" }, { 0 } };

/* Where a webhook of a kind replies, and what its token is good for. Nobody waits for those of post ones. */
static const struct {
    const struct reply_path *paths;
    const char *scope;
} replies[WEBHOOK_KINDS] = {
    [WEBHOOK_PRE_APPROVAL] = { pre_approval_paths, TOKEN_SCOPE_REVIEW },
    [WEBHOOK_PRE] = { pre_paths, TOKEN_SCOPE_RESUME },
};

static int add_reply_headers(struct headers *headers, const struct payload_call *call, const struct token_key *tokens,
                             struct err *err)
{
    const struct request *request = call->request;
    enum webhook_kind kind = call->webhook->kind;
    const struct token_reply reply = { call->delivery->webhook_id, request->id, replies[kind].scope, call->now };
    char *token;
    int r;

    if (!reply.scope || !is_two_way(call->webhook))
        return 0;
    r = token_reply_make(tokens, &reply, headers->arena, &token, err);
    if (r < 0)
        return r;
    for (const struct reply_path *path = replies[kind].paths; path->name; path++)
        header_line(headers, arena_printf(headers->arena, "%s: /privacy-request/%s/%s", path->name, request->id,
                                          path->end));
    header_add(headers, "reply-to-token", token);
    return 0;
}

/* Who wants its calls signed is not called without a signature. */
static int add_signature(struct headers *headers, const struct payload_call *call, const char *seconds,
                         const char *body, size_t length, struct err *err)
{
    const struct catalog_connection *connection = call->webhook->connection;
    const char *signature =
        payload_signature(connection, call->delivery->id, seconds, body, length, call->now, headers->arena);

    if (!signature && connection->signing_secret)
        return err_cause(err, ERR_INTERNAL, "the connection's signing secret is not \"" SECRET_PREFIX "\" and base64");
    if (signature)
        header_add_own(headers, "webhook-signature", signature);
    return 0;
}

int payload_headers(const struct payload_call *call, const char *body, size_t length, const struct token_key *tokens,
                    struct curl_slist **ret, const char **names, struct err *err)
{
    struct headers headers = { call->request->arena, NULL, &headers.first, NULL };
    char seconds[24];
    int r;

    snprintf(seconds, sizeof(seconds), "%lld", (long long)(call->now / USEC_PER_S));
    add_connection_headers(&headers, call);
    r = add_reply_headers(&headers, call, tokens, err);
    if (r < 0)
        return r;
    header_add(&headers, "Content-Type", "application/json");
    header_add(&headers, "webhook-id", call->delivery->id);
    header_add(&headers, "webhook-timestamp", seconds);
    r = add_signature(&headers, call, seconds, body, length, err);
    if (r < 0)
        return r;
    header_add(&headers, "traceparent", event_trace_child(headers.arena, call->traceparent));
    header_line(&headers, arena_strdup(headers.arena, "Expect:")); /* no 100-continue round trip */
    *ret = headers.first;
    *names = headers.names;
    return 0;
}

int payload_trial_headers(const struct catalog_connection *connection, const char *bearer, const char *id,
                          const char *body, size_t length, usec_t now, struct arena *arena, struct curl_slist **ret,
                          struct err *err)
{
    const struct catalog_webhook webhook = { .connection = connection };
    const struct delivery delivery = { .id = id };
    const struct payload_call call = { .delivery = &delivery, .webhook = &webhook, .bearer = bearer, .now = now };
    struct headers headers = { arena, NULL, &headers.first, NULL };
    const char *seconds = arena_printf(arena, "%lld", (long long)(now / USEC_PER_S));
    int r;

    add_connection_headers(&headers, &call);
    header_add(&headers, "Content-Type", "application/json");
    header_add(&headers, "webhook-id", id);
    header_add(&headers, "webhook-timestamp", seconds);
    r = add_signature(&headers, &call, seconds, body, length, err);
    if (r < 0)
        return r;
    header_line(&headers, arena_strdup(arena, "Expect:"));
    *ret = headers.first;
    return 0;
}
