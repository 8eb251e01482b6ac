#include "common/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/schema.h"

/*
 * The contract's one header, {"alg":"dir","enc":"A256GCM"}, and the empty key part after it. A
 * token that begins otherwise is not ours, so no other algorithm can be asked for and no header
 * need be parsed. That is also why this is OpenSSL's cipher and not a JOSE library: libcjose, for
 * one, writes the header with blanks.
 */
#define HEADER "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0"
#define HEAD HEADER ".."

enum { KEY_BYTES = 32, IV_BYTES = 12, TAG_BYTES = 16 };
enum { HEAD_CHARS = sizeof(HEAD) - 1, IV_CHARS = 16, TAG_CHARS = 22 };
/* Claims of the largest size make a token of the largest size. */
enum {
    TOKEN_BYTES_MAX = 16 * 1024,
    CLAIMS_BYTES_MAX = (TOKEN_BYTES_MAX - HEAD_CHARS - IV_CHARS - TAG_CHARS - 2) / 4 * 3
};

DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

struct token_key {
    uint8_t bytes[KEY_BYTES];
    EVP_CIPHER *cipher; /* looked up once: that is dearer than a token */
};

/* A JWE between its text and its meaning. `text` has `length` bytes. */
struct parts {
    uint8_t iv[IV_BYTES], tag[TAG_BYTES];
    uint8_t *text;
    size_t length;
};

static int forbidden(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "Not Authorized for this action");
}

int token_key_new(const char *app_encryption_key, struct token_key **ret, struct err *err)
{
    struct token_key *key;

    if (strlen(app_encryption_key) != KEY_BYTES)
        return err_cause(err, ERR_INTERNAL, "DOCKET_APP_ENCRYPTION_KEY must be %d bytes",
                         KEY_BYTES);
    key = calloc(1, sizeof(*key));
    if (!key)
        abort();
    memcpy(key->bytes, app_encryption_key, KEY_BYTES);
    key->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!key->cipher) {
        token_key_free(key);
        return err_cause(err, ERR_INTERNAL, "OpenSSL has no AES-256-GCM");
    }
    *ret = key;
    return 0;
}

void token_key_free(struct token_key *key)
{
    if (!key)
        return;
    EVP_CIPHER_free(key->cipher);
    OPENSSL_cleanse(key, sizeof(*key));
    free(key);
}

/* In place: parts->text from plain to sealed. The nonce is random, as the contract has it; by
 * chance alone a key is good for 2^32 tokens (NIST SP 800-38D, 8.3). */
static bool encrypt(const struct token_key *key, struct parts *parts)
{
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    return ctx && RAND_bytes(parts->iv, IV_BYTES) == 1 &&
           EVP_EncryptInit_ex2(ctx, key->cipher, key->bytes, parts->iv, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)HEADER, sizeof(HEADER) - 1) == 1 &&
           EVP_EncryptUpdate(ctx, parts->text, &n, parts->text, (int)parts->length) == 1 &&
           EVP_EncryptFinal_ex(ctx, parts->text + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, parts->tag) == 1;
}

/* In place, the other way. False: not sealed with this key, or changed since. */
static bool decrypt(const struct token_key *key, struct parts *parts)
{
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    return ctx && EVP_DecryptInit_ex2(ctx, key->cipher, key->bytes, parts->iv, NULL) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)HEADER, sizeof(HEADER) - 1) == 1 &&
           EVP_DecryptUpdate(ctx, parts->text, &n, parts->text, (int)parts->length) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, parts->tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, parts->text + n, &n) == 1;
}

static size_t base64_chars(size_t bytes)
{
    return sodium_base64_ENCODED_LEN(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING) - 1;
}

/* Writes base64url at `at` and the NUL after it; returns where the NUL is. */
static char *base64_write(char *at, const uint8_t *bytes, size_t length)
{
    size_t count = base64_chars(length);

    sodium_bin2base64(at, count + 1, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return at + count;
}

/* Reads exactly `count` characters into at most `length` bytes. */
static bool base64_read(const char *text, size_t count, uint8_t *bytes, size_t length, size_t *ret)
{
    return sodium_base642bin(bytes, length, text, count, NULL, ret, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

static char *parts_write(const struct parts *parts, struct arena *arena)
{
    char *token = arena_alloc(arena, HEAD_CHARS + IV_CHARS + 1 + base64_chars(parts->length) + 1 +
                                         TAG_CHARS + 1);
    char *at = token + HEAD_CHARS;

    memcpy(token, HEAD, HEAD_CHARS);
    at = base64_write(at, parts->iv, IV_BYTES);
    *at++ = '.';
    at = base64_write(at, parts->text, parts->length);
    *at++ = '.';
    base64_write(at, parts->tag, TAG_BYTES);
    return token;
}

static bool parts_read(const char *token, size_t length, struct arena *arena, struct parts *ret)
{
    const char *iv = token + HEAD_CHARS, *text = iv + IV_CHARS + 1,
               *tag = token + length - TAG_CHARS;
    size_t count, iv_length, tag_length;

    if (length < HEAD_CHARS + IV_CHARS + 1 + 1 + TAG_CHARS ||
        memcmp(token, HEAD, HEAD_CHARS) != 0 || text[-1] != '.' || tag[-1] != '.')
        return false;
    count = (size_t)(tag - text) - 1;
    ret->text = arena_alloc(arena, count + 1); /* more than its bytes, and a NUL after them */
    return base64_read(iv, IV_CHARS, ret->iv, IV_BYTES, &iv_length) &&
           base64_read(text, count, ret->text, count, &ret->length) &&
           base64_read(tag, TAG_CHARS, ret->tag, TAG_BYTES, &tag_length);
}

int token_seal(const struct token_key *key, const char *json, struct arena *arena, char **ret,
               struct err *err)
{
    struct parts parts = { .length = strlen(json) };

    if (parts.length > CLAIMS_BYTES_MAX)
        return err_cause(err, ERR_INTERNAL, "token: claims of %zu bytes", parts.length);
    parts.text = arena_memdup(arena, json, parts.length);
    if (!encrypt(key, &parts))
        return err_cause(err, ERR_INTERNAL, "token: OpenSSL could not seal");
    *ret = parts_write(&parts, arena);
    return 0;
}

int token_open(const struct token_key *key, const char *token, struct arena *arena, char **ret_json,
               struct err *err)
{
    size_t length = strnlen(token, TOKEN_BYTES_MAX + 1);
    struct parts parts;

    if (length > TOKEN_BYTES_MAX || !parts_read(token, length, arena, &parts) ||
        !decrypt(key, &parts))
        return forbidden(err);
    parts.text[parts.length] = '\0';
    if (strlen((char *)parts.text) != parts.length)
        return forbidden(err);
    *ret_json = (char *)parts.text;
    return 0;
}

/* Opened, and parsed as strictly as a body is: an object or nothing. */
static int claims_open(const struct token_key *key, const char *token, struct arena *arena,
                       json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *claims = NULL;
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    char *json;
    int r;

    r = token_open(key, token, arena, &json, err);
    if (r < 0)
        return r;
    if (schema_parse(json, strlen(json), &claims, &errors) < 0 ||
        !json_object_is_type(claims, json_type_object))
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

static int claims_seal(const struct token_key *key, const struct buf *json, struct arena *arena,
                       char **ret, struct err *err)
{
    if (json->overflow)
        return err_cause(err, ERR_INTERNAL, "token: claims of more than %zu bytes", json->max);
    return token_seal(key, json->data, arena, ret, err);
}

int token_reply_make(const struct token_key *key, const struct token_reply *reply,
                     struct arena *arena, char **ret, struct err *err)
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

int token_reply_open(const struct token_key *key, const char *token, const char *scope,
                     const char *request_id, usec_t now, usec_t life, struct arena *arena,
                     struct token_reply *ret, struct err *err)
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
    if (!webhook_id || !is_texts(scopes) || !claim_time(claims, "iat", &issued_at) ||
        !texts_hold(scopes, scope))
        return forbidden(err);
    bound_to = claim_text(claims, "privacy_request_id");
    if (schema_has(claims, "privacy_request_id") &&
        (!bound_to || strcmp(bound_to, request_id) != 0))
        return forbidden(err);
    if (now - issued_at > life)
        return err_set(err, ERR_FORBIDDEN, "Webhook token expired");
    *ret = (struct token_reply){ .webhook_id = arena_strdup(arena, webhook_id),
                                 .request_id = arena_strdup(arena, bound_to),
                                 .scope = arena_strdup(arena, scope),
                                 .issued_at = issued_at };
    return 0;
}

int token_access_make(const struct token_key *key, const struct token_access *access,
                      struct arena *arena, char **ret, struct err *err)
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
    buf_printf(&json, "\"iat\": \"%s\", \"exp\": %lld}",
               usec_format_offset(access->issued_at, time),
               (long long)(access->expires_at / USEC_PER_S));
    return claims_seal(key, &json, arena, ret, err);
}

/* `exp` in seconds, else `iat` and the life of a token. False when `exp` is there and no number
 * of that size. */
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
    if (!client_id || !is_texts(scopes) || !is_texts(roles) ||
        !claim_time(claims, "iat", &issued_at) ||
        !access_expiry(claims, issued_at, life, &expires_at) || now >= expires_at)
        return forbidden(err);
    *ret = (struct token_access){ .client_id = arena_strdup(arena, client_id),
                                  .scopes = texts_copy(scopes, arena),
                                  .roles = texts_copy(roles, arena),
                                  .issued_at = issued_at,
                                  .expires_at = expires_at };
    return 0;
}
