#include "worker/oauth.h"

#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/log.h"

#define IDLE_MAX (3600 * USEC_PER_S)
enum { JSON_DEPTH = 8, HASH_BYTES = 16, NAME_BYTES = 128, OUTCOME_BYTES = 48, KEY_BYTES = 320 };

struct waiter {
    oauth_done *done;
    void *context;
    struct waiter *next;
};

/* One connection's token, of one configuration. */
struct entry {
    char name[NAME_BYTES]; /* connection's id, colon, hash of the configuration */
    char id[NAME_BYTES];   /* the connection's */
    char *token;           /* NULL: none */
    usec_t use_until;
    char *refused;         /* the last one that the endpoint refused; NULL: none */
    usec_t failed_until;   /* fetched in vain: not again before then */
    char outcome[OUTCOME_BYTES];
    bool busy;             /* Redis or the token endpoint is asked */
    struct waiter *first, **last;
    struct arena *arena;   /* the fetch's */
    struct http_request request;
    const char *scope;     /* that is asked for */
    char key[128];         /* the connection's, for the log */
    usec_t used_at;
    struct oauth *oauth;
    UT_hash_handle hh;
};

struct oauth {
    const struct seal_ring *ring;
    struct http *http;
    struct cache *cache;
    struct arena *arena; /* a sealing's */
    struct entry *entries;
};

/* --- what the token endpoint answers ----------------------------------------------------------------- */

struct token_answer {
    const char *token, *scope; /* scope NULL: not said, which is "as asked for" (RFC 6749 5.1) */
    usec_t life;
};

static const char *member_text(json_object *answer, const char *name)
{
    json_object *member;

    if (!json_object_object_get_ex(answer, name, &member) || !json_object_is_type(member, json_type_string) ||
        strlen(json_object_get_string(member)) != (size_t)json_object_get_string_len(member))
        return NULL;
    return json_object_get_string(member);
}

/* Nothing in it may end a header: visible ASCII (RFC 6750 2.1 has fewer characters still). */
static bool is_token(const char *text)
{
    size_t length = text ? strlen(text) : 0;

    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return length && length <= OAUTH_TOKEN_BYTES;
}

/* A number, or, as some have it, a number's text. */
static usec_t life_of(json_object *answer)
{
    json_object *member;
    double seconds = OAUTH_LIFE_S;
    const char *text;
    char *end;

    if (!json_object_object_get_ex(answer, "expires_in", &member))
        return OAUTH_LIFE_S * USEC_PER_S;
    if (json_object_is_type(member, json_type_int) || json_object_is_type(member, json_type_double))
        seconds = json_object_get_double(member);
    else if (json_object_is_type(member, json_type_string)) {
        text = json_object_get_string(member);
        seconds = strtod(text, &end);
        if (!*text || *end)
            seconds = OAUTH_LIFE_S;
    }
    if (!(seconds > 0))
        return 0;
    return (usec_t)((seconds < OAUTH_LIFE_MAX_S ? seconds : OAUTH_LIFE_MAX_S) * USEC_PER_S);
}

static bool token_take(json_object *answer, struct arena *arena, struct token_answer *ret)
{
    const char *token = member_text(answer, "access_token"), *type = member_text(answer, "token_type");

    if (!is_token(token) || (type && strcasecmp(type, "bearer") != 0))
        return false; /* another type is used in another way (RFC 6749 7.1) */
    ret->token = arena_strdup(arena, token);
    ret->scope = arena_strdup(arena, member_text(answer, "scope"));
    ret->life = life_of(answer);
    return true;
}

/* False: it is no token answer of RFC 6749 5.1. */
static bool token_read(const char *body, size_t length, struct arena *arena, struct token_answer *ret)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    json_object *answer = length ? json_tokener_parse_ex(tokener, body, (int)length) : NULL;
    bool whole = json_tokener_get_error(tokener) == json_tokener_success &&
                 strspn(body ? body + json_tokener_get_parse_end(tokener) : "", " \t\r\n") ==
                     length - json_tokener_get_parse_end(tokener);
    bool reads = whole && json_object_is_type(answer, json_type_object) && token_take(answer, arena, ret);

    json_object_put(answer);
    json_tokener_free(tokener);
    return reads;
}

static usec_t use_for(usec_t life)
{
    usec_t margin = life / 10;

    return life - (margin < OAUTH_MARGIN_S * USEC_PER_S ? margin : OAUTH_MARGIN_S * USEC_PER_S);
}

/* --- scopes ------------------------------------------------------------------------------------------ */

static bool scope_has(const char *scope, const char *word, size_t length)
{
    for (const char *at = scope; *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strcspn(at, " ") == length && !strncmp(at, word, length))
            return true;
    }
    return false;
}

/* The words of `scope` that `other` lacks, with blanks; *count of them. */
static const char *scope_less(const char *scope, const char *other, struct arena *arena, int *count)
{
    const char *less = "";

    *count = 0;
    for (const char *at = scope; *at;) {
        size_t length;

        at += strspn(at, " ");
        length = strcspn(at, " ");
        if (length && !scope_has(other, at, length)) {
            less = arena_printf(arena, "%s%s%.*s", less, *less ? " " : "", (int)length, at);
            ++*count;
        }
        at += length;
    }
    return less;
}

/* What was asked for is our configuration's; what is told beside it is another's text, and only counted. */
static void tell_scopes(const struct entry *entry, const struct token_answer *answer)
{
    const char *asked = entry->scope ? entry->scope : "", *missing;
    int less, more;

    if (!answer->scope)
        return;
    missing = scope_less(asked, answer->scope, entry->arena, &less);
    scope_less(answer->scope, asked, entry->arena, &more);
    if (less || (more && *asked))
        log_warn("oauth.scope_differs", log_id("endpoint", entry->key), log_word("missing", missing),
                 log_number("beyond", more));
}

/* --- telling ----------------------------------------------------------------------------------------- */

static void text_free(char **text)
{
    if (!*text)
        return;
    sodium_memzero(*text, strlen(*text));
    free(TAKE(*text));
}

static void text_set(char **text, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        abort();
    text_free(text);
    *text = copy;
}

/* Who is told may ask again at once. */
static void tell_all(struct entry *entry, const char *token, bool was_cached, const char *outcome)
{
    struct waiter *waiter = entry->first, *next;

    entry->first = NULL;
    entry->last = &entry->first;
    entry->busy = false;
    for (; waiter; waiter = next) {
        next = waiter->next;
        waiter->done(waiter->context, token, was_cached, outcome);
        free(waiter);
    }
}

static void tell_failure(struct entry *entry, const char *word)
{
    snprintf(entry->outcome, sizeof(entry->outcome), "token_%s", word);
    entry->failed_until = usec_now() + OAUTH_AGAIN_MS * USEC_PER_MS;
    log_warn("oauth.failed", log_id("endpoint", entry->key), log_word("outcome", entry->outcome));
    tell_all(entry, NULL, false, entry->outcome);
}

static void tell_token(struct entry *entry, const char *token, bool was_cached)
{
    char *copy = NULL; /* told, the first may have it refused */

    text_set(&copy, token);
    tell_all(entry, copy, was_cached, NULL);
    text_free(&copy);
}

/* --- Redis ------------------------------------------------------------------------------------------- */

/* Sealed is "<end of use> <token>", bound to the connection. */
static void store(struct entry *entry)
{
    struct oauth *oauth = entry->oauth;
    char key[KEY_BYTES], wait[32];
    usec_t left = entry->use_until - usec_now();
    struct bytes plain, sealed;

    if (left < USEC_PER_MS)
        return;
    arena_clear(oauth->arena);
    plain.data = arena_printf(oauth->arena, "%lld %s", (long long)entry->use_until, entry->token);
    plain.length = strlen(plain.data);
    sealed = seal_ring_close(oauth->ring, "oauth_token", entry->id, plain, oauth->arena);
    snprintf(wait, sizeof(wait), "%lld", (long long)(left / USEC_PER_MS));
    cache_key(oauth->cache, "oauth_token", entry->name, key, sizeof(key));
    cache_run(oauth->cache, 5, (const char *[]){ "SET", key, sealed.data, "PX", wait },
              (const size_t[]){ 3, strlen(key), sealed.length, 2, strlen(wait) }, NULL, NULL);
    sodium_memzero((void *)(uintptr_t)plain.data, plain.length);
}

/* NULL: there is none, or it can't be opened (another ring's), or it is over. In the oauth's arena. */
static const char *stored_token(struct entry *entry, const redisReply *reply, usec_t *use_until)
{
    struct oauth *oauth = entry->oauth;
    struct bytes plain;
    struct err err;
    char *end;

    if (!reply || reply->type != REDIS_REPLY_STRING)
        return NULL;
    arena_clear(oauth->arena);
    if (seal_ring_open(oauth->ring, "oauth_token", entry->id, (struct bytes){ reply->str, reply->len }, oauth->arena,
                       &plain, &err) < 0)
        return NULL;
    *use_until = strtoll(plain.data, &end, 10);
    return *end == ' ' && *use_until > usec_now() ? end + 1 : NULL;
}

static void cache_get(struct entry *entry, cache_done *done)
{
    char key[KEY_BYTES];

    cache_key(entry->oauth->cache, "oauth_token", entry->name, key, sizeof(key));
    cache_run(entry->oauth->cache, 2, (const char *[]){ "GET", key }, NULL, done, entry);
}

/* --- fetching ---------------------------------------------------------------------------------------- */

/* application/x-www-form-urlencoded */
static void form_add(struct buf *buf, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._*";

    for (; *text; text++) {
        if (strchr(plain, *text))
            buf_addc(buf, *text);
        else if (*text == ' ')
            buf_addc(buf, '+');
        else
            buf_printf(buf, "%%%02X", (unsigned char)*text);
    }
}

/* Both parts are form-encoded first (RFC 6749 2.3.1), so that a colon in the id is none. */
static char *basic_header(const struct catalog_oauth *oauth, struct arena *arena)
{
    static const char name[] = "Authorization: Basic ";
    const char *id = oauth->client_id ? oauth->client_id : "";
    const char *secret = oauth->client_secret ? oauth->client_secret : "";
    struct buf pair = BUF_INIT(3 * (strlen(id) + strlen(secret)) + 1);
    size_t size;
    char *line;

    form_add(&pair, id);
    buf_addc(&pair, ':');
    form_add(&pair, secret);
    size = sodium_base64_encoded_len(pair.length, sodium_base64_VARIANT_ORIGINAL);
    line = arena_alloc(arena, strlen(name) + size);
    memcpy(line, name, strlen(name));
    sodium_bin2base64(line + strlen(name), size, (const uint8_t *)pair.data, pair.length,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(pair.data, pair.length);
    buf_free(&pair);
    return line;
}

static const char *form_body(const struct catalog_oauth *oauth, struct arena *arena)
{
    static const char grant[] = "grant_type=client_credentials", scope[] = "&scope=";
    struct buf body = BUF_INIT(sizeof(grant) + sizeof(scope) + 3 * (oauth->scope ? strlen(oauth->scope) : 0));
    const char *text;

    buf_adds(&body, grant);
    if (oauth->scope && *oauth->scope) {
        buf_adds(&body, scope);
        form_add(&body, oauth->scope);
    }
    text = arena_strdup(arena, body.data);
    buf_free(&body);
    return text;
}

static struct curl_slist *header_list(struct arena *arena, const char *const *lines, size_t count)
{
    struct curl_slist *list = arena_array(arena, struct curl_slist, count);

    for (size_t i = 0; i < count; i++) {
        list[i].data = (char *)(uintptr_t)lines[i];
        list[i].next = i + 1 < count ? &list[i + 1] : NULL;
    }
    return list;
}

/* The catalog may be another one before the answer is here. */
static void request_prepare(struct entry *entry, const struct catalog_connection *connection)
{
    const struct catalog_oauth *oauth = connection->oauth;
    struct arena *arena = entry->arena;
    const char *body;

    arena_clear(arena);
    body = form_body(oauth, arena);
    entry->scope = arena_strdup(arena, oauth->scope);
    entry->request = (struct http_request){
        .url = arena_strdup(arena, oauth->token_url ? oauth->token_url : ""),
        .tls = { arena_strdup(arena, connection->ca_certificate), arena_strdup(arena, connection->client_certificate),
                 arena_strdup(arena, connection->client_key) },
        .headers = header_list(arena,
                               (const char *const[]){ "Content-Type: application/x-www-form-urlencoded",
                                                      "Accept: application/json", "User-Agent: docket/" DOCKET_VERSION,
                                                      basic_header(oauth, arena) },
                               4),
        .body = body,
        .body_length = strlen(body),
        .answer_bytes = OAUTH_ANSWER_BYTES,
    };
}

static void on_fetched(void *context, const struct http_answer *http)
{
    struct entry *entry = context;
    struct token_answer answer;

    if (http->status / 100 != 2) {
        tell_failure(entry, http->outcome);
        return;
    }
    if (http->body_cut || !token_read(http->body, http->body_length, entry->arena, &answer)) {
        tell_failure(entry, "bad_answer");
        return;
    }
    tell_scopes(entry, &answer);
    text_set(&entry->token, answer.token);
    text_free(&entry->refused);
    entry->use_until = usec_now() + use_for(answer.life);
    entry->failed_until = 0;
    log_info("oauth.fetched", log_id("endpoint", entry->key), log_ms("life_ms", answer.life));
    store(entry);
    tell_token(entry, entry->token, false);
}

/* Another worker's will do, unless it is the one that the endpoint just refused. */
static void on_looked(void *context, const redisReply *reply)
{
    struct entry *entry = context;
    usec_t use_until;
    const char *token = stored_token(entry, reply, &use_until);

    if (!token || (entry->refused && !strcmp(token, entry->refused))) {
        http_post(entry->oauth->http, &entry->request, on_fetched, entry);
        return;
    }
    text_set(&entry->token, token);
    entry->use_until = use_until;
    tell_token(entry, entry->token, true);
}

/* --- entries ----------------------------------------------------------------------------------------- */

static void hash_text(crypto_generichash_state *state, const char *text)
{
    /* With its NUL, so that no two configurations run together. */
    crypto_generichash_update(state, (const uint8_t *)(text ? text : ""), text ? strlen(text) + 1 : 1);
}

static void entry_name(const struct catalog_connection *connection, char ret[NAME_BYTES])
{
    const struct catalog_oauth *oauth = connection->oauth;
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    hash_text(&state, oauth->token_url);
    hash_text(&state, oauth->scope);
    hash_text(&state, oauth->client_id);
    hash_text(&state, oauth->client_secret);
    crypto_generichash_final(&state, hash, sizeof(hash));
    snprintf(ret, NAME_BYTES, "%s:%s", connection->id, sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)));
}

static void entry_free(struct oauth *oauth, struct entry *entry)
{
    struct waiter *waiter;

    while ((waiter = entry->first)) {
        entry->first = waiter->next;
        free(waiter);
    }
    HASH_DEL(oauth->entries, entry);
    text_free(&entry->token);
    text_free(&entry->refused);
    arena_free(entry->arena);
    free(entry);
}

/* Of configurations that are no more. */
static void prune(struct oauth *oauth, usec_t now)
{
    struct entry *entry, *next;

    HASH_ITER(hh, oauth->entries, entry, next)
    {
        if (!entry->busy && now - entry->used_at > IDLE_MAX)
            entry_free(oauth, entry);
    }
}

static struct entry *entry_of(struct oauth *oauth, const struct catalog_connection *connection)
{
    usec_t now = usec_now();
    struct entry *entry;
    char name[NAME_BYTES];

    entry_name(connection, name);
    HASH_FIND_STR(oauth->entries, name, entry);
    if (!entry) {
        prune(oauth, now);
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            abort();
        memcpy(entry->name, name, sizeof(name));
        snprintf(entry->id, sizeof(entry->id), "%s", connection->id);
        entry->oauth = oauth;
        entry->last = &entry->first;
        entry->arena = arena_new();
        HASH_ADD_STR(oauth->entries, name, entry);
    }
    snprintf(entry->key, sizeof(entry->key), "%s", connection->key);
    entry->used_at = now;
    return entry;
}

static void wait_for(struct entry *entry, oauth_done *done, void *context)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (!waiter)
        abort();
    *waiter = (struct waiter){ done, context, NULL };
    *entry->last = waiter;
    entry->last = &waiter->next;
}

void oauth_token(struct oauth *oauth, const struct catalog_connection *connection, oauth_done *done, void *context)
{
    struct entry *entry = entry_of(oauth, connection);

    if (entry->token && entry->used_at < entry->use_until) {
        done(context, entry->token, true, NULL);
        return;
    }
    if (!entry->busy && entry->used_at < entry->failed_until) {
        done(context, NULL, false, entry->outcome);
        return;
    }
    wait_for(entry, done, context);
    if (entry->busy)
        return;
    entry->busy = true;
    request_prepare(entry, connection);
    cache_get(entry, on_looked);
}

/* --- refused ----------------------------------------------------------------------------------------- */

/* Another worker may have stored a fresh one meanwhile: that one stays. */
static void on_refused_looked(void *context, const redisReply *reply)
{
    struct entry *entry = context;
    usec_t use_until;
    const char *token = stored_token(entry, reply, &use_until);
    char key[KEY_BYTES];

    if (!token || !entry->refused || strcmp(token, entry->refused) != 0)
        return;
    cache_key(entry->oauth->cache, "oauth_token", entry->name, key, sizeof(key));
    cache_run(entry->oauth->cache, 2, (const char *[]){ "DEL", key }, NULL, NULL, NULL);
}

/* Of many calls that are refused together the first does it; the others' token is the entry's no more. */
void oauth_refused(struct oauth *oauth, const struct catalog_connection *connection, const char *token)
{
    struct entry *entry = entry_of(oauth, connection);

    if (!entry->token || strcmp(entry->token, token) != 0)
        return;
    log_info("oauth.refused", log_id("endpoint", entry->key));
    text_set(&entry->refused, token);
    text_free(&entry->token);
    cache_get(entry, on_refused_looked);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

struct oauth *oauth_new(const struct seal_ring *ring, struct http *http, struct cache *cache)
{
    struct oauth *oauth = calloc(1, sizeof(*oauth));

    if (!oauth)
        abort();
    oauth->ring = ring;
    oauth->http = http;
    oauth->cache = cache;
    oauth->arena = arena_new();
    return oauth;
}

void oauth_free(struct oauth *oauth)
{
    struct entry *entry, *next;

    if (!oauth)
        return;
    HASH_ITER(hh, oauth->entries, entry, next)
    {
        entry_free(oauth, entry);
    }
    arena_free(oauth->arena);
    free(oauth);
}
