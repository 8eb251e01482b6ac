#include "api/secret.c"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
