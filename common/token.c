#include "common/token.h"

#include <cjose/cjose.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/schema.h"

/* Claims so long that their token is just short of what token_open() takes. */
enum { TOKEN_BYTES_MAX = 16 * 1024, CLAIMS_BYTES_MAX = TOKEN_BYTES_MAX * 3 / 4 - 128, KEY_BYTES = 32 };

/*
 * The contract's one header, {"alg":"dir","enc":"A256GCM"}, and the empty key part after it. A token that
 * begins otherwise is not ours: so no other algorithm is ever looked at.
 */
#define TOKEN_HEAD "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0.."
enum { IV_CHARS = 16, TAG_CHARS = 22 }; /* base64url of 12 and of 16 bytes */

DEFINE_CLEANUP(cjose_jwe_t *, cjose_jwe_release)
DEFINE_CLEANUP(char *, free)

struct token_key {
    cjose_jwk_t *jwk;
    cjose_header_t *header;
};

static int forbidden(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "Not Authorized for this action");
}

int token_key_new(const char *app_encryption_key, struct token_key **ret, struct err *err)
{
    _cleanup_(token_key_freep) struct token_key *key = NULL;
    cjose_err problem = { 0 };

    if (strlen(app_encryption_key) != KEY_BYTES)
        return err_cause(err, ERR_INTERNAL, "DOCKET_APP_ENCRYPTION_KEY must be %d bytes", KEY_BYTES);
    key = calloc(1, sizeof(*key));
    if (!key)
        abort();
    key->jwk = cjose_jwk_create_oct_spec((const uint8_t *)app_encryption_key, KEY_BYTES, &problem);
    key->header = cjose_header_new(&problem);
    if (!key->jwk || !key->header ||
        !cjose_header_set(key->header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_DIR, &problem) ||
        !cjose_header_set(key->header, CJOSE_HDR_ENC, CJOSE_HDR_ENC_A256GCM, &problem))
        return err_cause(err, ERR_INTERNAL, "token key: %s", problem.message);
    *ret = TAKE(key);
    return 0;
}

void token_key_free(struct token_key *key)
{
    if (!key)
        return;
    cjose_jwk_release(key->jwk);
    cjose_header_release(key->header);
    free(key);
}

int token_seal(const struct token_key *key, const char *json, struct arena *arena, char **ret, struct err *err)
{
    _cleanup_(cjose_jwe_releasep) cjose_jwe_t *jwe = NULL;
    _cleanup_(freep) char *token = NULL;
    cjose_err problem = { 0 };

    jwe = cjose_jwe_encrypt(key->jwk, key->header, (const uint8_t *)json, strlen(json), &problem);
    if (jwe)
        token = cjose_jwe_export(jwe, &problem);
    if (!token)
        return err_cause(err, ERR_INTERNAL, "token: %s", problem.message);
    *ret = arena_strdup(arena, token);
    return 0;
}

/* `count` characters of base64url that are whole bytes. */
static bool is_base64url(const char *text, size_t count)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return count >= 2 && count % 4 != 1 && strspn(text, allowed) == count;
}

/*
 * The five parts with their exact lengths. libcjose takes what the parts say for granted (a short nonce would
 * be read past its end), so it only ever sees what has passed here.
 */
static bool has_shape(const char *token, size_t length)
{
    const size_t head = strlen(TOKEN_HEAD), fixed = head + IV_CHARS + 1 + 1 + TAG_CHARS;
    const char *iv = token + head, *text = iv + IV_CHARS + 1, *tag = token + length - TAG_CHARS;

    if (length <= fixed || length > TOKEN_BYTES_MAX || memcmp(token, TOKEN_HEAD, head) != 0)
        return false;
    return is_base64url(iv, IV_CHARS) && iv[IV_CHARS] == '.' &&
           is_base64url(text, (size_t)(tag - text) - 1) && tag[-1] == '.' && is_base64url(tag, TAG_CHARS);
}

int token_open(const struct token_key *key, const char *token, struct arena *arena, char **ret_json,
               struct err *err)
{
    _cleanup_(cjose_jwe_releasep) cjose_jwe_t *jwe = NULL;
    _cleanup_(freep) char *plain = NULL;
    size_t length = strnlen(token, TOKEN_BYTES_MAX + 1), plain_length = 0;

    if (!has_shape(token, length))
        return forbidden(err);
    jwe = cjose_jwe_import(token, length, NULL);
    if (jwe)
        plain = (char *)cjose_jwe_decrypt(jwe, key->jwk, &plain_length, NULL);
    if (!plain || memchr(plain, '\0', plain_length))
        return forbidden(err);
    *ret_json = arena_strndup(arena, plain, plain_length);
    return 0;
}

/* Opened, and parsed as strictly as a body is: an object or nothing. */
static int claims_open(const struct token_key *key, const char *token, struct arena *arena, json_object **ret,
                       struct err *err)
{
    _cleanup_(json_object_putp) json_object *claims = NULL;
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    char *json;
    int r;

    r = token_open(key, token, arena, &json, err);
    if (r < 0)
        return r;
    if (schema_parse(json, strlen(json), &claims, &errors) < 0 || !json_object_is_type(claims, json_type_object))
        return forbidden(err);
    *ret = TAKE(claims);
    return 0;
}

/* NULL unless it is a string. */
static const char *claim_text(json_object *claims, const char *name)
{
    json_object *value = schema_get(claims, name);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static bool claim_time(json_object *claims, const char *name, usec_t *ret)
{
    const char *text = claim_text(claims, name);

    return text && usec_parse(text, ret);
}

static bool is_texts(json_object *list)
{
    if (!json_object_is_type(list, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (!json_object_is_type(json_object_array_get_idx(list, i), json_type_string))
            return false;
    return true;
}

static bool texts_hold(json_object *list, const char *text)
{
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), text))
            return true;
    return false;
}

static const char **texts_copy(json_object *list, struct arena *arena)
{
    size_t count = json_object_array_length(list);
    const char **texts = arena_array(arena, const char *, count + 1);

    for (size_t i = 0; i < count; i++)
        texts[i] = arena_strdup(arena, json_object_get_string(json_object_array_get_idx(list, i)));
    return texts;
}

static void add_texts(struct buf *json, const char *name, const char *const *texts)
{
    buf_printf(json, "\"%s\": [", name);
    for (int i = 0; texts[i]; i++) {
        if (i)
            buf_adds(json, ", ");
        buf_json_string(json, texts[i]);
    }
    buf_adds(json, "], ");
}

static int claims_seal(const struct token_key *key, const struct buf *json, struct arena *arena, char **ret,
                       struct err *err)
{
    if (json->overflow)
        return err_cause(err, ERR_INTERNAL, "token: claims of more than %zu bytes", json->max);
    return token_seal(key, json->data, arena, ret, err);
}

int token_reply_make(const struct token_key *key, const struct token_reply *reply, struct arena *arena,
                     char **ret, struct err *err)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(CLAIMS_BYTES_MAX);
    char time[USEC_TEXT_BYTES];

    buf_adds(&json, "{\"webhook_id\": ");
    buf_json_string(&json, reply->webhook_id);
    buf_adds(&json, ", ");
    add_texts(&json, "scopes", (const char *[]){ reply->scope, NULL });
    buf_printf(&json, "\"iat\": \"%s\"", usec_format_bare(reply->issued_at, time));
    if (reply->request_id) {
        buf_adds(&json, ", \"privacy_request_id\": ");
        buf_json_string(&json, reply->request_id);
    }
    buf_addc(&json, '}');
    return claims_seal(key, &json, arena, ret, err);
}

int token_reply_open(const struct token_key *key, const char *token, const char *scope, const char *request_id,
                     usec_t now, usec_t life, struct arena *arena, struct token_reply *ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *claims = NULL;
    const char *webhook_id, *bound_to;
    json_object *scopes;
    usec_t issued_at;
    int r;

    r = claims_open(key, token, arena, &claims, err);
    if (r < 0)
        return r;
    webhook_id = claim_text(claims, "webhook_id");
    scopes = schema_get(claims, "scopes");
    if (!webhook_id || !is_texts(scopes) || !claim_time(claims, "iat", &issued_at) || !texts_hold(scopes, scope))
        return forbidden(err);
    bound_to = claim_text(claims, "privacy_request_id");
    if (schema_has(claims, "privacy_request_id") && (!bound_to || strcmp(bound_to, request_id) != 0))
        return forbidden(err);
    if (now - issued_at > life)
        return err_set(err, ERR_FORBIDDEN, "Webhook token expired");
    *ret = (struct token_reply){ .webhook_id = arena_strdup(arena, webhook_id),
                                 .request_id = arena_strdup(arena, bound_to),
                                 .scope = arena_strdup(arena, scope),
                                 .issued_at = issued_at };
    return 0;
}

int token_access_make(const struct token_key *key, const struct token_access *access, struct arena *arena,
                      char **ret, struct err *err)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(CLAIMS_BYTES_MAX);
    static const char *const none[] = { NULL };
    char time[USEC_TEXT_BYTES];

    buf_adds(&json, "{\"client-id\": ");
    buf_json_string(&json, access->client_id);
    buf_adds(&json, ", ");
    add_texts(&json, "scopes", access->scopes);
    add_texts(&json, "roles", access->roles);
    add_texts(&json, "systems", none);
    add_texts(&json, "connections", none);
    add_texts(&json, "monitors", none);
    buf_printf(&json, "\"iat\": \"%s\", \"exp\": %lld}", usec_format_offset(access->issued_at, time),
               (long long)(access->expires_at / USEC_PER_S));
    return claims_seal(key, &json, arena, ret, err);
}

/* `exp` in seconds, else `iat` and the life of a token. False when `exp` is there and no number of that size. */
static bool access_expiry(json_object *claims, usec_t issued_at, usec_t life, usec_t *ret)
{
    json_object *exp = schema_get(claims, "exp");
    int64_t seconds = json_object_get_int64(exp);

    *ret = issued_at + life;
    if (!exp)
        return true;
    if ((!json_object_is_type(exp, json_type_int) && !json_object_is_type(exp, json_type_double)) ||
        seconds < 0 || seconds > INT64_MAX / USEC_PER_S)
        return false;
    *ret = seconds * USEC_PER_S;
    return true;
}

int token_access_open(const struct token_key *key, const char *token, usec_t now, usec_t life,
                      struct arena *arena, struct token_access *ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *claims = NULL;
    json_object *scopes, *roles;
    const char *client_id;
    usec_t issued_at, expires_at;
    int r;

    r = claims_open(key, token, arena, &claims, err);
    if (r < 0)
        return r;
    client_id = claim_text(claims, "client-id");
    scopes = schema_get(claims, "scopes");
    roles = schema_get(claims, "roles");
    if (!client_id || !is_texts(scopes) || !is_texts(roles) || !claim_time(claims, "iat", &issued_at) ||
        !access_expiry(claims, issued_at, life, &expires_at) || now >= expires_at)
        return forbidden(err);
    *ret = (struct token_access){ .client_id = arena_strdup(arena, client_id),
                                  .scopes = texts_copy(scopes, arena),
                                  .roles = texts_copy(roles, arena),
                                  .issued_at = issued_at,
                                  .expires_at = expires_at };
    return 0;
}
