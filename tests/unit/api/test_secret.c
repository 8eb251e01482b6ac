#include "api/secret.c"

#include <openssl/pem.h>
#include <stdio.h>

#include "tests/unit/test.h"

static json_object *object_of(const char *url, const char *headers)
{
    char text[16384];

    snprintf(text, sizeof(text),
             "{\"url\": \"%s\", \"authorization\": \"Bearer x\", \"headers\": %s}", url, headers);
    return json_tokener_parse(text);
}

/* The first error as "loc: msg"; "" when there is none. */
static const char *verdict(struct test *test, json_object *secrets, bool allow_http)
{
    struct schema_errors errors = { 0 };
    const char *text = "";
    bool fits = secret_check(secrets, allow_http, &errors);

    assert_int_equal(fits, !errors.list);
    if (errors.list) {
        json_object *first = json_object_array_get_idx(errors.list, 0);

        text = arena_printf(
            test->arena, "%s: %s",
            json_object_to_json_string_ext(schema_get(first, "loc"), JSON_C_TO_STRING_PLAIN),
            schema_text(first, "msg"));
    }
    schema_errors_free(&errors);
    json_object_put(secrets);
    return text;
}

static void urls_that_can_be_called_are_taken(void **state)
{
    static const char *const urls[] = {
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.COM:443/a/b?c=d&e=%20#f",
        "http://127.0.0.1:8080/hook",
        "https://[::1]:8443/x",
        "https://[2001:db8::1]",
        "https://a_b.example/",
        "https://example.com?x=@y",
        "https://example.com/a@b",
        "https://localhost",
    };

    for (size_t i = 0; i < COUNT_OF(urls); i++)
        assert_string_equal(verdict(*state, object_of(urls[i], "null"), true), "");
}

static void urls_that_cannot_are_refused_and_told_why(void **state)
{
#define BEGIN "[\"url\"]: Value error, The url must begin with https:// or http://."
#define VISIBLE \
    "[\"url\"]: Value error, The url must be visible ASCII characters, without blanks, control characters and " \
    "backslashes."
#define HOST "[\"url\"]: Value error, The url must name a host."
#define PORT "[\"url\"]: Value error, The url's port must be a number from 1 to 65535."
#define USER \
    "[\"url\"]: Value error, The url must not hold a user or password: they would be shown. Use authorization."
    static const char *const urls[][2] = {
        { "ftp://example.com", BEGIN },
        { "file:///etc/passwd", BEGIN },
        { "example.com/hook", BEGIN },
        { "//example.com", BEGIN },
        { "https:/example.com", BEGIN },
        { "{service-url}/handler", BEGIN },
        { "javascript:alert(1)", BEGIN },
        { "https://exa mple.com", VISIBLE },
        { " https://example.com", VISIBLE },
        { "https://example.com/\\r\\nHost: evil", VISIBLE },
        { "https://example.com/\\u007f", VISIBLE },
        { "https://example.com\\\\@evil.example", VISIBLE },
        { "https://b\\u00fccher.example", VISIBLE },
        { "https://", HOST },
        { "https:///path", HOST },
        { "https://?x", HOST },
        { "https://:443/", HOST },
        { "https://.example.com", HOST },
        { "https://exa|mple.com", HOST },
        { "https://[::1", HOST },
        { "https://[]", HOST },
        { "https://[example.com]/", HOST },
        { "https://[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20]/", HOST },
        { "https://example.com:", PORT },
        { "https://example.com:0", PORT },
        { "https://example.com:65536", PORT },
        { "https://example.com:44x", PORT },
        { "https://example.com:-1", PORT },
        { "https://example.com:999999", PORT },
        { "https://[::1]443", PORT },
        { "https://user:pass@example.com", USER },
        { "https://@example.com", USER },
    };

    for (size_t i = 0; i < COUNT_OF(urls); i++)
        assert_string_equal(verdict(*state, object_of(urls[i][0], "null"), true), urls[i][1]);
}

static void plain_http_is_taken_only_where_it_is_allowed(void **state)
{
    assert_string_equal(verdict(*state, object_of("http://example.com", "null"), true), "");
    assert_string_equal(
        verdict(*state, object_of("http://example.com", "null"), false),
        "[\"url\"]: Value error, The url must begin with https://: plain http endpoints are not "
        "allowed here.");
    assert_string_equal(verdict(*state, object_of("https://example.com", "null"), false), "");
}

static void headers_are_tokens_with_visible_values(void **state)
{
#define NAME "Value error, A header's name must be a token of at most 128 characters."
#define VALUE "Value error, A header's value must be visible characters without line ends."
#define OWN "Value error, This header is docket's own and cannot be configured."
    static const char *const headers[][2] = {
        { "{}", "" },
        { "{\"User-Agent\": \"Example\", \"X-Empty\": \"\", \"Authorization\": \"other\"}", "" },
        { "{\"X-A\": \"a b\\tc \\u00fc\"}", "" },
        { "{\"\": \"x\"}", "[\"headers\",\"\"]: " NAME },
        { "{\"X A\": \"x\"}", "[\"headers\",\"X A\"]: " NAME },
        { "{\"X:\": \"x\"}", "[\"headers\",\"X:\"]: " NAME },
        { "{\"X\\u00fc\": \"x\"}", "[\"headers\",\"X\xc3\xbc\"]: " NAME },
        { "{\"X-A\": \"x\\r\\nHost: evil\"}", "[\"headers\",\"X-A\"]: " VALUE },
        { "{\"X-A\": \"x\\n\"}", "[\"headers\",\"X-A\"]: " VALUE },
        { "{\"X-A\": \"x\\u007f\"}", "[\"headers\",\"X-A\"]: " VALUE },
        { "{\"X-A\": \" x\"}", "[\"headers\",\"X-A\"]: " VALUE },
        { "{\"X-A\": \"x \"}", "[\"headers\",\"X-A\"]: " VALUE },
        { "{\"X-A\": 1}", "[\"headers\",\"X-A\"]: Input should be a valid string" },
        { "{\"X-A\": null}", "[\"headers\",\"X-A\"]: Input should be a valid string" },
        { "[\"X-A\"]", "[\"headers\"]: Input should be a valid dictionary" },
        { "\"X-A: x\"", "[\"headers\"]: Input should be a valid dictionary" },
        { "{\"host\": \"x\"}", "[\"headers\",\"host\"]: " OWN },
        { "{\"Content-Length\": \"1\"}", "[\"headers\",\"Content-Length\"]: " OWN },
        { "{\"content-type\": \"x\"}", "[\"headers\",\"content-type\"]: " OWN },
        { "{\"Transfer-Encoding\": \"chunked\"}", "[\"headers\",\"Transfer-Encoding\"]: " OWN },
        { "{\"CONNECTION\": \"close\"}", "[\"headers\",\"CONNECTION\"]: " OWN },
        { "{\"Reply-To\": \"x\"}", "[\"headers\",\"Reply-To\"]: " OWN },
        { "{\"reply-to-token\": \"x\"}", "[\"headers\",\"reply-to-token\"]: " OWN },
        { "{\"Webhook-Id\": \"x\"}", "[\"headers\",\"Webhook-Id\"]: " OWN },
        { "{\"TraceParent\": \"x\"}", "[\"headers\",\"TraceParent\"]: " OWN },
        { "{\"X-A\": \"1\", \"x-a\": \"2\"}",
          "[\"headers\",\"x-a\"]: Value error, This header is given more than once." },
        { "{\"Hostname\": \"x\", \"TE2\": \"x\"}", "" },
    };

    for (size_t i = 0; i < COUNT_OF(headers); i++)
        assert_string_equal(verdict(*state, object_of("https://example.com", headers[i][0]), false),
                            headers[i][1]);
}

static void sizes_are_bounded(void **state)
{
    struct test *test = *state;
    char *many = arena_strdup(test->arena, "{\"X-0\": \"x\"");
    char *long_text = arena_alloc(test->arena, SECRET_AUTHORIZATION_MAX + 2);
    json_object *secrets;

    for (int i = 1; i <= SECRET_HEADERS_MAX; i++)
        many = arena_printf(test->arena, "%s, \"X-%d\": \"x\"", many, i);
    assert_string_equal(
        verdict(test, object_of("https://example.com", arena_printf(test->arena, "%s}", many)),
                false),
        "[\"headers\"]: Value error, There should be at most 32 headers.");

    memset(long_text, 'a', SECRET_AUTHORIZATION_MAX + 1);
    secrets = object_of("https://example.com", "null");
    json_object_object_add(secrets, "authorization", json_object_new_string(long_text));
    assert_string_equal(verdict(test, secrets, false),
                        "[\"authorization\"]: String should have at most 8192 characters");

    secrets = object_of("https://example.com", "{}");
    json_object_object_add(schema_get(secrets, "headers"), "X-A",
                           json_object_new_string(long_text));
    assert_string_equal(
        verdict(test, secrets, false),
        "[\"headers\",\"X-A\"]: Value error, A header's value should have at most 4096 bytes.");

    long_text[SECRET_URL_MAX] = '\0';
    secrets = object_of(arena_printf(test->arena, "https://e.example/%s", long_text), "null");
    assert_string_equal(verdict(test, secrets, false),
                        "[\"url\"]: String should have at most 2048 characters");
}

static void what_is_missing_is_told_in_one_error(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"url\": \"https://example.com\"}",
        "{\"authorization\": \"x\"}",
        "{\"url\": \"\", \"authorization\": \"x\"}",
        "{\"url\": \"https://example.com\", \"authorization\": null}",
        "{\"url\": [], \"authorization\": {}}",
        "{\"url\": 0, \"authorization\": 0.0}",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        assert_string_equal(
            verdict(*state, json_tokener_parse(texts[i]), false),
            "[]: Value error, HttpsSchema must be supplied all of: ['url', 'authorization'].");
    assert_string_equal(
        verdict(*state, json_tokener_parse("{\"url\": 1, \"authorization\": \"x\"}"), false),
        "[\"url\"]: Input should be a valid string");
    assert_string_equal(
        verdict(*state,
                json_tokener_parse("{\"url\": \"https://e.example\", "
                                   "\"authorization\": \"a\\r\\nb\"}"),
                false),
        "[\"authorization\"]: Value error, The authorization must be visible characters without "
        "line ends.");
    assert_string_equal(
        verdict(*state,
                json_tokener_parse("{\"url\": \"https://e.example\", "
                                   "\"authorization\": \"**********\"}"),
                false),
        "[\"authorization\"]: Value error, The authorization is only the mask that hides the stored "
        "one.");
}

static void assert_json(json_object *object, const char *text)
{
    assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                   JSON_C_TO_STRING_NOSLASHESCAPE),
                        text);
    json_object_put(object);
}

static void changes_go_over_what_is_stored_but_the_mask_does_not(void **state)
{
    json_object *stored = json_tokener_parse(
        "{\"url\": \"https://a\", \"authorization\": \"x\", \"headers\": {\"A\": \"1\"}}");
    json_object *changes =
        json_tokener_parse("{\"url\": \"https://b\", \"authorization\": \"**********\", "
                           "\"headers\": null, \"more\": 1}");

    (void)state;
    assert_json(secret_merge(stored, changes),
                "{\"url\":\"https://b\",\"authorization\":\"x\",\"headers\":null}");
    assert_json(secret_merge(NULL, changes), "{\"url\":\"https://b\",\"headers\":null}");
    assert_json(secret_trim(changes),
                "{\"url\":\"https://b\",\"authorization\":\"**********\",\"headers\":null}");
    assert_json(
        secret_masked(stored),
        "{\"url\":\"https://a\",\"authorization\":\"**********\",\"headers\":\"**********\"}");
    assert_json(json_object_get(stored),
                "{\"url\":\"https://a\",\"authorization\":\"x\",\"headers\":{\"A\":\"1\"}}");
    json_object_put(stored);
    json_object_put(changes);
}

/* --- docket's own ----------------------------------------------------------------------------- */

/* A key and a certificate of its own making, as texts of the test's arena. */
struct pair {
    EVP_PKEY *key;
    const char *key_pem, *certificate_pem;
};

static const char *text_of(struct test *test, BIO *bio)
{
    char *data;
    long length = BIO_get_mem_data(bio, &data);
    const char *text = arena_strndup(test->arena, data, (size_t)length);

    BIO_free(bio);
    return text;
}

static const char *key_text(struct test *test, EVP_PKEY *key, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, passphrase ? EVP_aes_256_cbc() : NULL,
                                              (const unsigned char *)passphrase,
                                              passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    return text_of(test, bio);
}

static const char *certificate_text(struct test *test, EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());

    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    X509_free(certificate);
    return text_of(test, bio);
}

static struct pair pair_new(struct test *test)
{
    struct pair pair = { EVP_EC_gen("P-256"), NULL, NULL };

    pair.key_pem = key_text(test, pair.key, NULL);
    pair.certificate_pem = certificate_text(test, pair.key);
    return pair;
}

/* The verdict of secrets that are right but for these two members; a NULL value is none. */
static const char *verdict_with(struct test *test, const char *name, const char *value,
                                const char *other, const char *other_value)
{
    json_object *secrets = object_of("https://example.com", "null");

    json_object_object_add(secrets, name, value ? json_object_new_string(value) : NULL);
    if (other)
        json_object_object_add(secrets, other, json_object_new_string(other_value));
    return verdict(test, secrets, false);
}

static void a_signing_secret_is_whsec_and_base64_of_24_to_64_bytes(void **state)
{
#define SIGNING \
    "[\"signing_secret\"]: Value error, The signing_secret must be whsec_ and the base64 of 24 to 64 bytes."
    static const struct {
        const char *secret, *verdict;
    } cases[] = {
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "" },
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMQ==", SIGNING }, /* 22 bytes */
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", SIGNING }, /* 23 */
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA==", "" },  /* 25 */
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA", SIGNING },
        { "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", SIGNING },
        { "WHSEC_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", SIGNING },
        { "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI-", SIGNING },
        { "whsec_MDEyMzQ1Njc4OTAx MjM0NTY3ODkwMTIz", SIGNING },
        { "whsec_", SIGNING },
        { "", SIGNING },
        { SECRET_MASK, SIGNING },
        { NULL, "" },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(verdict_with(*state, "signing_secret", cases[i].secret, NULL, NULL),
                            cases[i].verdict);
}

static void a_signing_secret_is_bounded_on_both_ends(void **state)
{
    struct test *test = *state;
    uint8_t key[SECRET_SIGNING_BYTES_MAX + 1] = { 0 };
    char text[128];

    for (size_t length = SECRET_SIGNING_BYTES_MIN - 1; length <= sizeof(key); length++) {
        bool fits = length >= SECRET_SIGNING_BYTES_MIN && length <= SECRET_SIGNING_BYTES_MAX;

        sodium_bin2base64(text, sizeof(text), key, length, sodium_base64_VARIANT_ORIGINAL);
        assert_string_equal(verdict_with(test, "signing_secret",
                                         arena_printf(test->arena, "whsec_%s", text), NULL, NULL),
                            fits ? "" : SIGNING);
    }
}

static void a_new_signing_secret_is_one_and_no_other(void **state)
{
    struct test *test = *state;
    const char *first = secret_signing_new(test->arena), *second = secret_signing_new(test->arena);

    assert_int_equal(strlen(first), strlen("whsec_") + 44); /* 32 bytes */
    assert_string_equal(verdict_with(test, "signing_secret", first, NULL, NULL), "");
    assert_string_not_equal(first, second);
}

static void certificates_and_keys_are_what_openssl_can_read(void **state)
{
#define NO_CERTIFICATE(name) \
    "[\"" name "\"]: Value error, This must be one or more certificates in PEM form."
#define NO_KEY \
    "[\"client_key\"]: Value error, This must be a private key in PEM form, without a passphrase."
    struct test *test = *state;
    struct pair pair = pair_new(test), other = pair_new(test);
    const char *chain =
        arena_printf(test->arena, "%s\n%s", pair.certificate_pem, other.certificate_pem);
    const char *locked = key_text(test, pair.key, "passphrase");
    char *broken = arena_strdup(test->arena, chain);
    const struct {
        const char *name, *value, *other, *other_value, *verdict;
    } cases[] = {
        { "ca_certificate", pair.certificate_pem, NULL, NULL, "" },
        { "ca_certificate", chain, NULL, NULL, "" },
        { "ca_certificate", "garbage", NULL, NULL, NO_CERTIFICATE("ca_certificate") },
        { "ca_certificate", "", NULL, NULL, NO_CERTIFICATE("ca_certificate") },
        { "ca_certificate", pair.key_pem, NULL, NULL, NO_CERTIFICATE("ca_certificate") },
        { "ca_certificate", SECRET_MASK, NULL, NULL, NO_CERTIFICATE("ca_certificate") },
        { "ca_certificate", broken, NULL, NULL,
          "[\"ca_certificate\"]: Value error, This holds something that is no certificate." },
        { "client_certificate", pair.certificate_pem, "client_key", pair.key_pem, "" },
        { "client_certificate", chain, "client_key", pair.key_pem, "" },
        { "client_certificate", "x", "client_key", pair.key_pem,
          NO_CERTIFICATE("client_certificate") },
        { "client_certificate", pair.certificate_pem, "client_key", "x", NO_KEY },
        { "client_certificate", pair.certificate_pem, "client_key", "", NO_KEY },
        { "client_certificate", pair.certificate_pem, "client_key", pair.certificate_pem, NO_KEY },
        { "client_certificate", pair.certificate_pem, "client_key", locked, NO_KEY },
        { "client_certificate", pair.certificate_pem, "client_key", other.key_pem,
          "[\"client_key\"]: Value error, This key is not the certificate's." },
        { "client_certificate", pair.certificate_pem, NULL, NULL,
          "[\"client_key\"]: Value error, A client_certificate needs its client_key." },
        { "client_key", pair.key_pem, NULL, NULL,
          "[\"client_certificate\"]: Value error, A client_key needs its client_certificate." },
        { "client_key", NULL, NULL, NULL, "" },
    };

    memset(broken + strlen(pair.certificate_pem) + 40, '!', 8); /* within the second one */
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(verdict_with(test, cases[i].name, cases[i].value, cases[i].other,
                                         cases[i].other_value),
                            cases[i].verdict);
    EVP_PKEY_free(pair.key);
    EVP_PKEY_free(other.key);
}

static void certificates_and_keys_are_bounded(void **state)
{
    static const char *const names[] = { "ca_certificate", "client_certificate", "client_key" };
    struct test *test = *state;
    struct pair pair = pair_new(test);
    size_t length = strlen(pair.certificate_pem);
    char *text = arena_alloc(test->arena, SECRET_PEM_BYTES_MAX + 2);

    memset(text, '\n', SECRET_PEM_BYTES_MAX);
    memcpy(text, pair.certificate_pem, length);
    assert_string_equal(verdict_with(test, "ca_certificate", text, NULL, NULL), "");
    text[SECRET_PEM_BYTES_MAX] = '\n';
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_string_equal(
            verdict_with(test, names[i], text, NULL, NULL),
            arena_printf(test->arena,
                         "[\"%s\"]: Value error, This should have at most 65536 bytes.", names[i]));
    EVP_PKEY_free(pair.key);
}

static void own_parts_are_there_when_they_are_given_and_masked(void **state)
{
    json_object *stored = json_tokener_parse(
        "{\"url\": \"https://a\", \"authorization\": \"x\", \"headers\": null, "
        "\"signing_secret\": \"s\", \"client_key\": \"k\", \"signing_previous\": \"p\", "
        "\"signing_until\": 5}");
    json_object *changes = json_tokener_parse("{\"signing_secret\": null, \"client_key\": \"" SECRET_MASK
                                              "\", \"signing_previous\": \"mine\"}");
    json_object *merged = secret_merge(stored, changes);

    (void)state;
    assert_json(secret_masked(stored),
                "{\"url\":\"https://a\",\"authorization\":\"" SECRET_MASK
                "\",\"headers\":null,\"signing_secret\":\"" SECRET_MASK
                "\",\"client_key\":\"" SECRET_MASK "\"}");
    assert_json(secret_trim(merged), "{\"url\":\"https://a\",\"authorization\":\"x\","
                                     "\"headers\":null,\"client_key\":\"k\"}");
    json_object_put(merged);
    json_object_put(stored);
    json_object_put(changes);
}

static void a_replaced_signing_secret_signs_for_the_overlap(void **state)
{
#define STORED(members) "{\"url\":\"https://a\"" members "}"
#define SECRET(text) ",\"signing_secret\":\"" text "\""
#define PREVIOUS(text, until) ",\"signing_previous\":\"" text "\",\"signing_until\":" until
    static const struct {
        const char *stored, *next;
        usec_t overlap;
        const char *result;
    } cases[] = {
        { STORED(SECRET("a")), STORED(SECRET("b")), 10,
          STORED(SECRET("b") PREVIOUS("a", "1010")) },
        { STORED(SECRET("a")), STORED(SECRET("b")), 0, STORED(SECRET("b")) },
        { STORED(SECRET("b") PREVIOUS("a", "1005")), STORED(SECRET("c")), 10,
          STORED(SECRET("c") PREVIOUS("b", "1010")) },
        { STORED(SECRET("b") PREVIOUS("a", "1005")), STORED(SECRET("b")), 10,
          STORED(SECRET("b") PREVIOUS("a", "1005")) },
        { STORED(SECRET("b") PREVIOUS("a", "1000")), STORED(SECRET("b")), 10, STORED(SECRET("b")) },
        { STORED(SECRET("b") PREVIOUS("a", "1005")), STORED(), 10, STORED() },
        { STORED(), STORED(SECRET("a")), 10, STORED(SECRET("a")) },
        { NULL, STORED(SECRET("a")), 10, STORED(SECRET("a")) },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_object *stored = cases[i].stored ? json_tokener_parse(cases[i].stored) : NULL;
        json_object *next = json_tokener_parse(cases[i].next);

        secret_keep_previous(next, stored, 1000, cases[i].overlap);
        assert_json(next, cases[i].result);
        json_object_put(stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(urls_that_can_be_called_are_taken),
        TEST(urls_that_cannot_are_refused_and_told_why),
        TEST(plain_http_is_taken_only_where_it_is_allowed),
        TEST(headers_are_tokens_with_visible_values),
        TEST(sizes_are_bounded),
        TEST(what_is_missing_is_told_in_one_error),
        TEST(changes_go_over_what_is_stored_but_the_mask_does_not),
        TEST(a_signing_secret_is_whsec_and_base64_of_24_to_64_bytes),
        TEST(a_signing_secret_is_bounded_on_both_ends),
        TEST(a_new_signing_secret_is_one_and_no_other),
        TEST(certificates_and_keys_are_what_openssl_can_read),
        TEST(certificates_and_keys_are_bounded),
        TEST(own_parts_are_there_when_they_are_given_and_masked),
        TEST(a_replaced_signing_secret_signs_for_the_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
