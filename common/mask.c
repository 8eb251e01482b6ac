#include "common/mask.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/schema.h"

enum { RANDOM_CHARS = 30, SECRET_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16 };

/* What the contract would generate and keep for a request and strategy. A strategy uses those that it names. */
struct mask_secrets {
    const char *salt, *key;           /* hash, hmac */
    const uint8_t *aes_key;           /* SECRET_BYTES */
    const char *key_hmac, *salt_hmac; /* aes_encrypt: of the nonce */
    const uint8_t *seed;              /* SECRET_BYTES: random_string_rewrite */
};

struct strategy {
    const char *name;
    bool needs_secrets, is_text;
    const struct schema_field *fields;
    /* `value` NULL: SQL null. Without suffix and cut. NULL: the value stays or becomes null. */
    const char *(*rewrite)(const struct mask *mask, const char *value, const char *place, struct arena *arena);
};

struct mask {
    const struct strategy *strategy;
    struct mask_secrets secrets;
    const char *rewrite_value, *suffix; /* NULL: none */
    int random_chars;
    bool sha512;
};

DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

/* --- texts ------------------------------------------------------------------------------------------- */

static char *hex_text(const uint8_t *bytes, size_t count, struct arena *arena)
{
    char *text = arena_alloc(arena, 2 * count + 1);

    return sodium_bin2hex(text, 2 * count + 1, bytes, count);
}

static char *base64_text(const uint8_t *bytes, size_t count, int variant, struct arena *arena)
{
    size_t size = sodium_base64_encoded_len(count, variant);

    return sodium_bin2base64(arena_alloc(arena, size), size, bytes, count, variant);
}

/* `count` characters at the most; those of UTF-8 are whole. */
static const char *text_cut(const char *text, int count, struct arena *arena)
{
    const char *at = text;

    for (; *at; at++)
        if ((*at & 0xC0) != 0x80 && count-- == 0)
            return arena_strndup(arena, text, (size_t)(at - text));
    return text;
}

/* --- strategies -------------------------------------------------------------------------------------- */

static const char *rewrite_null(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    (void)mask;
    (void)value;
    (void)place;
    (void)arena;
    return NULL;
}

static const char *rewrite_nothing(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    (void)mask;
    (void)place;
    (void)arena;
    return value;
}

static const char *rewrite_constant(const struct mask *mask, const char *value, const char *place,
                                    struct arena *arena)
{
    (void)value;
    (void)place;
    (void)arena;
    return mask->rewrite_value;
}

/* Keyed by the seed: place, NUL, then nothing for null, or one byte and the value. */
static void random_seed(const uint8_t *seed, const char *place, const char *value,
                        uint8_t ret[randombytes_SEEDBYTES])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, seed, SECRET_BYTES, randombytes_SEEDBYTES);
    crypto_generichash_update(&state, (const uint8_t *)place, strlen(place) + 1);
    if (value) {
        crypto_generichash_update(&state, (const uint8_t *)"=", 1);
        crypto_generichash_update(&state, (const uint8_t *)value, strlen(value));
    }
    crypto_generichash_final(&state, ret, randombytes_SEEDBYTES);
}

/* Each character as likely as any other: bytes that would favour some are passed over. Twice as many bytes as
 * characters are too few with a chance below 2^-60 even for the shortest; then the text begins with the same again. */
static const char *rewrite_random(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    enum { LETTERS = sizeof(letters) - 1, FAIR = 256 / LETTERS * LETTERS, SPARE = 32 };
    size_t count = (size_t)mask->random_chars, drawn = 2 * count + SPARE, length = 0;
    char *text = arena_alloc(arena, count + 1);
    uint8_t seed[randombytes_SEEDBYTES], *bytes = arena_alloc(arena, drawn);

    random_seed(mask->secrets.seed, place, value, seed);
    randombytes_buf_deterministic(bytes, drawn, seed);
    for (size_t i = 0; length < count; i = (i + 1) % drawn)
        if (bytes[i] < FAIR)
            text[length++] = letters[bytes[i] % LETTERS];
    return text;
}

static const char *rewrite_hash(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    const char *salt = mask->secrets.salt;
    const char *salted = value ? arena_printf(arena, "%s%s", value, salt) : NULL;
    uint8_t hash[crypto_hash_sha512_BYTES];

    (void)place;
    if (!value)
        return NULL;
    if (mask->sha512)
        crypto_hash_sha512(hash, (const uint8_t *)salted, strlen(salted));
    else
        crypto_hash_sha256(hash, (const uint8_t *)salted, strlen(salted));
    return hex_text(hash, mask->sha512 ? crypto_hash_sha512_BYTES : crypto_hash_sha256_BYTES, arena);
}

/* Keys are texts of any length. */
static void hmac_sha256(const char *key, const char *value, const char *salt,
                        uint8_t ret[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, (const uint8_t *)key, strlen(key));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)value, strlen(value));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)salt, strlen(salt));
    crypto_auth_hmacsha256_final(&state, ret);
}

static void hmac_sha512(const char *key, const char *value, const char *salt,
                        uint8_t ret[crypto_auth_hmacsha512_BYTES])
{
    crypto_auth_hmacsha512_state state;

    crypto_auth_hmacsha512_init(&state, (const uint8_t *)key, strlen(key));
    crypto_auth_hmacsha512_update(&state, (const uint8_t *)value, strlen(value));
    crypto_auth_hmacsha512_update(&state, (const uint8_t *)salt, strlen(salt));
    crypto_auth_hmacsha512_final(&state, ret);
}

static const char *rewrite_hmac(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    uint8_t hash[crypto_auth_hmacsha512_BYTES];

    (void)place;
    if (!value)
        return NULL;
    if (mask->sha512)
        hmac_sha512(mask->secrets.key, value, mask->secrets.salt, hash);
    else
        hmac_sha256(mask->secrets.key, value, mask->secrets.salt, hash);
    return hex_text(hash, mask->sha512 ? crypto_auth_hmacsha512_BYTES : crypto_auth_hmacsha256_BYTES, arena);
}

/* `sealed` has room for the value and the tag. With good arguments only memory can be what fails. */
static void aes_seal(const uint8_t *key, const uint8_t *nonce, const char *value, int length, uint8_t *sealed)
{
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    if (!ctx || EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &n, nonce, NONCE_BYTES) != 1 ||
        EVP_EncryptUpdate(ctx, sealed, &n, (const uint8_t *)value, length) != 1 ||
        EVP_EncryptFinal_ex(ctx, sealed + length, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, sealed + length) != 1)
        abort();
}

/* The nonce comes of the value, so that equal values give equal texts. */
static const char *rewrite_aes(const struct mask *mask, const char *value, const char *place, struct arena *arena)
{
    uint8_t nonce[crypto_auth_hmacsha256_BYTES];
    size_t length = value ? strlen(value) : 0;
    uint8_t *sealed = arena_alloc(arena, length + TAG_BYTES);

    (void)place;
    if (!value)
        return NULL;
    hmac_sha256(mask->secrets.key_hmac, value, mask->secrets.salt_hmac, nonce);
    aes_seal(mask->secrets.aes_key, nonce, value, (int)length, sealed);
    return base64_text(sealed, length + TAG_BYTES, sodium_base64_VARIANT_ORIGINAL, arena);
}

/* --- configurations ---------------------------------------------------------------------------------- */

static const char *const algorithms[] = { "SHA-256", "SHA-512", NULL };
static const char *const modes[] = { "GCM", NULL };

static const struct schema_field suffix_fields[] = {
    { "suffix", .required = true, .schema = { SCHEMA_STRING, .max = MASK_TEXT_CHARS_MAX } },
    { 0 },
};

#define FORMAT_PRESERVATION                                                                        \
    { "format_preservation", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = suffix_fields } }

static const struct schema_field no_fields[] = { { 0 } };
static const struct schema_field constant_fields[] = {
    { "rewrite_value", .required = true, .schema = { SCHEMA_STRING, .max = MASK_TEXT_CHARS_MAX } },
    FORMAT_PRESERVATION,
    { 0 },
};
static const struct schema_field random_fields[] = {
    { "length", .nullable = true, .schema = { SCHEMA_INT, .min = 1, .max = MASK_RANDOM_CHARS_MAX } },
    FORMAT_PRESERVATION,
    { 0 },
};
static const struct schema_field hash_fields[] = {
    { "algorithm", .nullable = true, .schema = { SCHEMA_STRING, .words = algorithms } },
    FORMAT_PRESERVATION,
    { 0 },
};
static const struct schema_field aes_fields[] = {
    { "mode", .nullable = true, .schema = { SCHEMA_STRING, .words = modes } },
    FORMAT_PRESERVATION,
    { 0 },
};

static const struct strategy strategies[] = {
    /* name                    secrets text  configuration    what it writes */
    { "null_rewrite",          false, false, no_fields,       rewrite_null },
    { "string_rewrite",        false, true,  constant_fields, rewrite_constant },
    { "random_string_rewrite", false, true,  random_fields,   rewrite_random },
    { "hash",                  true,  true,  hash_fields,     rewrite_hash },
    { "hmac",                  true,  true,  hash_fields,     rewrite_hmac },
    { "aes_encrypt",           true,  true,  aes_fields,      rewrite_aes },
    { "preserve",              false, false, no_fields,       rewrite_nothing },
};

static const struct strategy *strategy_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(strategies); i++)
        if (!strcmp(strategies[i].name, name))
            return &strategies[i];
    return NULL;
}

static int strategy_unknown(const char *name, struct err *err)
{
    _cleanup_(buf_free) struct buf names = BUF_INIT(sizeof(err->text));

    for (size_t i = 0; i < COUNT_OF(strategies); i++)
        buf_printf(&names, "%s%s", i ? ", " : "", strategies[i].name);
    return err_set(err, ERR_BAD_REQUEST, "Strategy '%.200s' does not exist. Valid strategies are [%s]", name,
                   names.data);
}

/* The first thing that does not fit, in one line: "hash: algorithm: Input should be 'SHA-256' or 'SHA-512'". */
static int configuration_wrong(const struct strategy *strategy, const struct schema_errors *errors, struct err *err)
{
    _cleanup_(buf_free) struct buf path = BUF_INIT(sizeof(err->text));
    json_object *first = json_object_array_get_idx(errors->list, 0), *loc = schema_get(first, "loc");

    for (size_t i = 0; i < json_object_array_length(loc); i++)
        buf_printf(&path, "%s%s", i ? "." : "", json_object_get_string(json_object_array_get_idx(loc, i)));
    return err_set(err, ERR_BAD_REQUEST, "Masking strategy '%s': %s: %s", strategy->name, path.data,
                   schema_text(first, "msg"));
}

/* 0 and *ret, checked; the caller's. */
static int configuration_read(const struct strategy *strategy, const char *configuration, json_object **ret,
                              struct err *err)
{
    static const struct schema_loc loc = { .name = "configuration" };
    const struct schema schema = { SCHEMA_OBJECT, .fields = strategy->fields };
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    _cleanup_(json_object_putp) json_object *object = NULL;
    const char *text = configuration ? configuration : "{}";

    if (schema_parse(text, strlen(text), &object, &errors) < 0)
        return err_set(err, ERR_BAD_REQUEST, "Masking strategy '%s': configuration: JSON decode error",
                       strategy->name);
    if (!schema_check(&schema, object, &loc, &errors))
        return configuration_wrong(strategy, &errors, err);
    *ret = TAKE(object);
    return 0;
}

static int strategy_read(const char *name, const char *configuration, const struct strategy **ret,
                         json_object **ret_configuration, struct err *err)
{
    const struct strategy *strategy = strategy_find(name);
    int r;

    if (!strategy)
        return strategy_unknown(name, err);
    r = configuration_read(strategy, configuration, ret_configuration, err);
    if (r == 0)
        *ret = strategy;
    return r;
}

int mask_check(const char *strategy, const char *configuration, struct err *err)
{
    _cleanup_(json_object_putp) json_object *object = NULL;
    const struct strategy *found;

    return strategy_read(strategy, configuration, &found, &object, err);
}

bool mask_needs_secrets(const char *strategy)
{
    const struct strategy *found = strategy_find(strategy);

    return found && found->needs_secrets;
}

bool mask_is_text(const char *strategy)
{
    const struct strategy *found = strategy_find(strategy);

    return found && found->is_text;
}

/* --- secrets ----------------------------------------------------------------------------------------- */

/* Keyed BLAKE2b of "mask", strategy, secret and request, each with its NUL: texts, so no two give the same bytes. */
static const uint8_t *secret_bytes(const struct seal_key *key, const char *request_id, const char *strategy,
                                   const char *name, struct arena *arena)
{
    const char *const parts[] = { "mask", strategy, name, request_id };
    uint8_t *bytes = arena_alloc(arena, SECRET_BYTES);
    crypto_generichash_state state;

    crypto_generichash_init(&state, key->bytes, sizeof(key->bytes), SECRET_BYTES);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        crypto_generichash_update(&state, (const uint8_t *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&state, bytes, SECRET_BYTES);
    return bytes;
}

static const char *secret_text(const struct seal_key *key, const char *request_id, const char *strategy,
                               const char *name, struct arena *arena)
{
    return base64_text(secret_bytes(key, request_id, strategy, name, arena), SECRET_BYTES,
                       sodium_base64_VARIANT_URLSAFE, arena);
}

static struct mask_secrets secrets_derive(const char *strategy, const struct seal_key *key, const char *request_id,
                                          struct arena *arena)
{
    return (struct mask_secrets){
        .salt = secret_text(key, request_id, strategy, "salt", arena),
        .key = secret_text(key, request_id, strategy, "key", arena),
        .aes_key = secret_bytes(key, request_id, strategy, "aes_key", arena),
        .key_hmac = secret_text(key, request_id, strategy, "key_hmac", arena),
        .salt_hmac = secret_text(key, request_id, strategy, "salt_hmac", arena),
        .seed = secret_bytes(key, request_id, strategy, "seed", arena),
    };
}

/* --- masks ------------------------------------------------------------------------------------------- */

static int mask_new_with(const char *strategy, const char *configuration, const struct mask_secrets *secrets,
                         struct arena *arena, const struct mask **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *object = NULL;
    struct mask *mask = arena_new_of(arena, struct mask);
    const char *algorithm;
    json_object *format;
    int r = strategy_read(strategy, configuration, &mask->strategy, &object, err);

    if (r < 0)
        return r;
    algorithm = schema_text(object, "algorithm");
    format = schema_get(object, "format_preservation");
    mask->secrets = *secrets;
    mask->sha512 = algorithm && !strcmp(algorithm, "SHA-512");
    mask->rewrite_value = arena_strdup(arena, schema_text(object, "rewrite_value"));
    mask->random_chars = (int)schema_int(object, "length", RANDOM_CHARS);
    mask->suffix = mask->strategy->is_text && format ? arena_strdup(arena, schema_text(format, "suffix")) : NULL;
    *ret = mask;
    return 0;
}

int mask_new(const char *strategy, const char *configuration, const struct seal_key *key, const char *request_id,
             struct arena *arena, const struct mask **ret, struct err *err)
{
    struct mask_secrets secrets = secrets_derive(strategy, key, request_id, arena);

    return mask_new_with(strategy, configuration, &secrets, arena, ret, err);
}

bool mask_keeps(const struct mask *mask)
{
    return mask->strategy->rewrite == rewrite_nothing;
}

bool mask_nulls(const struct mask *mask)
{
    return mask->strategy->rewrite == rewrite_null;
}

const char *mask_value(const struct mask *mask, const char *value, const char *place, int length,
                       struct arena *arena)
{
    const char *text = mask->strategy->rewrite(mask, value, place, arena);

    if (!text || mask_keeps(mask))
        return text;
    if (mask->suffix)
        text = arena_printf(arena, "%s%s", text, mask->suffix);
    return length > 0 ? text_cut(text, length, arena) : text;
}
