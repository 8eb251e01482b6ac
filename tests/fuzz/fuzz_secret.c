#include "api/secret.c"

#include <curl/curl.h>

#include "tests/fuzz/fuzz.h"

/* Curl writes addresses anew: 127.1 is 127.0.0.1. */
static bool is_address(const char *host)
{
    return *host == '[' || !host[strspn(host, "0123456789.")];
}

/* Who calls the url must find in it what was checked: a scheme, a host, no user. */
static void check_as_curl_reads_it(const char *url)
{
    CURLU *parsed = curl_url();
    char *part = NULL;

    CHECK(parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0));
    CHECK(curl_url_get(parsed, CURLUPART_USER, &part, 0) == CURLUE_NO_USER);
    CHECK(!curl_url_get(parsed, CURLUPART_HOST, &part, 0) && *part);
    CHECK(is_address(part) || strcasestr(url, part));
    curl_free(part);
    CHECK(!curl_url_get(parsed, CURLUPART_SCHEME, &part, 0) && !strncmp(part, "http", 4));
    curl_free(part);
    curl_url_cleanup(parsed);
}

static bool has_line_end(const char *text)
{
    return text[strcspn(text, "\r\n")];
}

/* What was taken may stand in a call as it is. */
static void check_taken(json_object *secrets)
{
    json_object *headers = schema_get(secrets, "headers");

    check_as_curl_reads_it(schema_text(secrets, "url"));
    CHECK(!has_line_end(schema_text(secrets, "authorization")));
    if (!headers)
        return;
    json_object_object_foreach(headers, name, value) {
        CHECK(*name && !has_line_end(name) && !strpbrk(name, ": "));
        CHECK(!has_line_end(json_object_get_string(value)));
    }
}

/* Whatever it was made of. */
static void check_masked(json_object *masked)
{
    json_object_object_foreach(masked, name, value)
        CHECK(!value || !strcmp(name, "url") || !strcmp(json_object_get_string(value), SECRET_MASK));
}

/* The bytes as a url of their own, without the JSON around it. */
static void check_url_alone(const uint8_t *data, size_t size)
{
    char *url = strndup((const char *)data, size < SECRET_URL_MAX ? size : SECRET_URL_MAX);

    CHECK(url);
    if (!secret_url_problem(url, true))
        check_as_curl_reads_it(url);
    free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema_errors errors = { 0 };
    json_object *secrets = NULL, *merged, *masked;

    check_url_alone(data, size);
    if (schema_parse((const char *)data, size, &secrets, &errors) == 0 &&
        json_object_is_type(secrets, json_type_object)) {
        if (secret_check(secrets, true, &errors))
            check_taken(secrets);
        else
            CHECK(errors.list);
        merged = secret_merge(secrets, secrets);
        masked = secret_masked(merged);
        check_masked(masked);
        json_object_put(masked);
        json_object_put(merged);
    }
    json_object_put(secrets);
    schema_errors_free(&errors);
    return 0;
}
