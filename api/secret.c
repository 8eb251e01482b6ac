#include "api/secret.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/pem.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

#define SIGNING_PREFIX "whsec_"

enum { HOST_CHARS_MAX = 253, PORT_MAX = 65535, SIGNING_BYTES_NEW = 32 };

/* The contract's come first: they are shown even when there are none. */
enum { CONTRACT_FIELDS = 3 };

static const struct schema_field fields[] = {
    { "url", .required = true, .schema = { SCHEMA_STRING, .max = SECRET_URL_MAX } },
    { "authorization", .required = true,
      .schema = { SCHEMA_STRING, .max = SECRET_AUTHORIZATION_MAX } },
    { "headers", .nullable = true, .schema = { SCHEMA_STRINGS } },
    { "signing_secret", .nullable = true, .schema = { SCHEMA_STRING } },
    { "ca_certificate", .nullable = true, .schema = { SCHEMA_STRING } },
    { "client_certificate", .nullable = true, .schema = { SCHEMA_STRING } },
    { "client_key", .nullable = true, .schema = { SCHEMA_STRING } },
    { 0 },
};
static const struct schema schema = { SCHEMA_OBJECT, .fields = fields };

static void refuse(struct schema_errors *errors, const struct schema_loc *loc, const char *problem)
{
    schema_error(errors, loc, "value_error", "Value error, %s", problem);
}

/* --- the url ---------------------------------------------------------------------------------- */

static bool is_visible_ascii(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    return true;
}

static bool is_port(const char *text, size_t length)
{
    return length && length <= 5 && strspn(text, "0123456789") == length && atoi(text) >= 1 &&
           atoi(text) <= PORT_MAX;
}

static bool is_host(const char *text, size_t length)
{
    return length && length <= HOST_CHARS_MAX && strspn(text, ALPHANUMERIC "-._") >= length &&
           text[0] != '.';
}

static bool is_ipv6(const char *text, size_t length)
{
    char address[INET6_ADDRSTRLEN] = { 0 };
    struct in6_addr parsed;

    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* "host", "host:port", "[v6]" or "[v6]:port". */
static const char *authority_problem(const char *text, size_t length)
{
    const char *end = text + length, *host_end, *close;

    if (memchr(text, '@', length))
        return "The url must not hold a user or password: they would be shown. Use authorization.";
    close = *text == '[' ? memchr(text, ']', length) : NULL;
    host_end = close ? close + 1 : memchr(text, ':', length);
    if (!host_end)
        host_end = end;
    if (close ? !is_ipv6(text + 1, (size_t)(close - text - 1))
              : !is_host(text, (size_t)(host_end - text)))
        return "The url must name a host.";
    if (host_end < end &&
        (*host_end != ':' || !is_port(host_end + 1, (size_t)(end - host_end - 1))))
        return "The url's port must be a number from 1 to 65535.";
    return NULL;
}

const char *secret_url_problem(const char *url, bool allow_http)
{
    bool https = !strncasecmp(url, "https://", 8);
    const char *authority = url + (https ? 8 : 7);

    if (!is_visible_ascii(url) || strchr(url, '\\'))
        return "The url must be visible ASCII characters, without blanks, control characters and "
               "backslashes.";
    if (!https && strncasecmp(url, "http://", 7) != 0)
        return "The url must begin with https:// or http://.";
    if (!https && !allow_http)
        return "The url must begin with https://: plain http endpoints are not allowed here.";
    return authority_problem(authority, strcspn(authority, "/?#"));
}

/* --- header values and names ------------------------------------------------------------------ */

/* Visible characters, ASCII or UTF-8, with blanks and tabs between them (RFC 9110, 5.5). */
static bool is_header_value(const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return !length ||
           (!isblank((unsigned char)text[0]) && !isblank((unsigned char)text[length - 1]));
}

static bool is_token(const char *text)
{
    return *text && !text[strspn(text, ALPHANUMERIC "!#$%&'*+-.^_`|~")];
}

/* What docket says itself in every call, or what would change how its bytes are read. '*': any
 * end. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {
        "Host",       "Content-Length", "Content-Type", "Transfer-Encoding",
        "Connection", "Expect",         "Trailer",      "TE",
        "Upgrade",    "reply-to*",      "webhook-*",    "traceparent",
    };

    for (size_t i = 0; i < COUNT_OF(reserved); i++) {
        size_t length = strcspn(reserved[i], "*");

        if (!strncasecmp(name, reserved[i], length) && (reserved[i][length] || !name[length]))
            return true;
    }
    return false;
}

static const char *header_problem(const char *name, const char *value)
{
    if (strlen(name) > SECRET_HEADER_NAME_MAX || !is_token(name))
        return "A header's name must be a token of at most 128 characters.";
    if (is_reserved(name))
        return "This header is docket's own and cannot be configured.";
    if (strlen(value) > SECRET_HEADER_VALUE_MAX)
        return "A header's value should have at most 4096 bytes.";
    return is_header_value(value)
               ? NULL
               : "A header's value must be visible characters without line ends.";
}

static bool has_name_before(json_object *headers, const char *name)
{
    json_object_object_foreach(headers, other, ignored) {
        (void)ignored;
        if (other == name)
            return false;
        if (!strcasecmp(other, name))
            return true;
    }
    return false;
}

static void check_headers(json_object *headers, struct schema_errors *errors)
{
    const struct schema_loc loc = { .name = "headers" };

    if (json_object_object_length(headers) > SECRET_HEADERS_MAX) {
        refuse(errors, &loc, "There should be at most 32 headers.");
        return;
    }
    json_object_object_foreach(headers, name, value) {
        const struct schema_loc header = { .parent = &loc, .name = name };
        const char *problem = header_problem(name, json_object_get_string(value));

        if (!problem && has_name_before(headers, name))
            problem = "This header is given more than once.";
        if (problem)
            refuse(errors, &header, problem);
    }
}

/* --- docket's own ----------------------------------------------------------------------------- */

static const char *signing_problem(const char *text)
{
    const size_t prefix = strlen(SIGNING_PREFIX);
    uint8_t key[SECRET_SIGNING_BYTES_MAX];
    size_t length = 0;
    bool fits = !strncmp(text, SIGNING_PREFIX, prefix) &&
                !sodium_base642bin(key, sizeof(key), text + prefix, strlen(text + prefix), NULL,
                                   &length, NULL, sodium_base64_VARIANT_ORIGINAL) &&
                length >= SECRET_SIGNING_BYTES_MIN;

    sodium_memzero(key, sizeof(key));
    return fits ? NULL
                : "The signing_secret must be whsec_ and the base64 of 24 to 64 bytes.";
}

static const char *bounded(const char *text, const char *problem_of(const char *text))
{
    return strlen(text) > SECRET_PEM_BYTES_MAX ? "This should have at most 65536 bytes."
                                               : problem_of(text);
}

static const char *certificates_problem(const char *text)
{
    return bounded(text, pem_certificates_problem);
}

static const char *key_problem(const char *text)
{
    return bounded(text, pem_key_problem);
}

static const struct part {
    const char *name;
    const char *(*problem)(const char *text);
} parts[] = {
    { "signing_secret", signing_problem },
    { "ca_certificate", certificates_problem },
    { "client_certificate", certificates_problem },
    { "client_key", key_problem },
};

/* True when it is not there, or as it should be. */
static bool check_part(json_object *secrets, const struct part *part, struct schema_errors *errors)
{
    const struct schema_loc loc = { .name = part->name };
    const char *text = schema_text(secrets, part->name);
    const char *problem = text ? part->problem(text) : NULL;

    if (problem)
        refuse(errors, &loc, problem);
    return !problem;
}

static void check_pair(json_object *secrets, struct schema_errors *errors)
{
    const struct schema_loc certificate_loc = { .name = "client_certificate" };
    const struct schema_loc key_loc = { .name = "client_key" };
    const char *certificate = schema_text(secrets, "client_certificate");
    const char *key = schema_text(secrets, "client_key"), *problem;

    if (!certificate && !key)
        return;
    if (!key)
        refuse(errors, &key_loc, "A client_certificate needs its client_key.");
    else if (!certificate)
        refuse(errors, &certificate_loc, "A client_key needs its client_certificate.");
    else if ((problem = pem_pair_problem(certificate, key)))
        refuse(errors, &key_loc, problem);
}

static void check_parts(json_object *secrets, struct schema_errors *errors)
{
    bool fit = true;

    for (size_t i = 0; i < COUNT_OF(parts); i++)
        fit = check_part(secrets, &parts[i], errors) && fit;
    if (fit)
        check_pair(secrets, errors);
}

const char *secret_signing_new(struct arena *arena)
{
    uint8_t key[SIGNING_BYTES_NEW];
    char text[sodium_base64_ENCODED_LEN(SIGNING_BYTES_NEW, sodium_base64_VARIANT_ORIGINAL)];

    randombytes_buf(key, sizeof(key));
    sodium_bin2base64(text, sizeof(text), key, sizeof(key), sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(key, sizeof(key));
    return arena_printf(arena, SIGNING_PREFIX "%s", text);
}

static void put_previous(json_object *next, const char *secret, usec_t until)
{
    json_object_object_add(next, "signing_previous", json_object_new_string(secret));
    json_object_object_add(next, "signing_until", json_object_new_int64(until));
}

void secret_keep_previous(json_object *next, json_object *stored, usec_t now, usec_t overlap)
{
    const char *fresh = schema_text(next, "signing_secret");
    const char *old = schema_text(stored, "signing_secret");
    const char *previous = schema_text(stored, "signing_previous");
    usec_t until = schema_int(stored, "signing_until", 0);

    if (!fresh || !old)
        return; /* signing ends, or begins */
    if (strcmp(fresh, old) != 0 && overlap)
        put_previous(next, old, now + overlap);
    else if (!strcmp(fresh, old) && previous && until > now)
        put_previous(next, previous, until);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* As pydantic's `all(...)`: null, "", 0, false, {} and [] are nothing. */
static bool is_empty(json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return true;
    case json_type_object:
        return !json_object_object_length(value);
    case json_type_array:
        return !json_object_array_length(value);
    case json_type_double:
        return json_object_get_double(value) == 0;
    default:
        return !json_object_get_boolean(value);
    }
}

static void check_authorization(const char *authorization, struct schema_errors *errors)
{
    const struct schema_loc loc = { .name = "authorization" };

    if (!is_header_value(authorization))
        refuse(errors, &loc, "The authorization must be visible characters without line ends.");
    else if (!strcmp(authorization, SECRET_MASK))
        refuse(errors, &loc, "The authorization is only the mask that hides the stored one.");
}

static void check_url(const char *url, bool allow_http, struct schema_errors *errors)
{
    const struct schema_loc loc = { .name = "url" };
    const char *problem = secret_url_problem(url, allow_http);

    if (problem)
        refuse(errors, &loc, problem);
}

static size_t errors_count(const struct schema_errors *errors)
{
    return errors->list ? json_object_array_length(errors->list) : 0;
}

bool secret_check(json_object *secrets, bool allow_http, struct schema_errors *errors)
{
    size_t before = errors_count(errors);

    if (is_empty(schema_get(secrets, "url")) || is_empty(schema_get(secrets, "authorization"))) {
        refuse(errors, NULL, "HttpsSchema must be supplied all of: ['url', 'authorization'].");
        return false;
    }
    if (!schema_check(&schema, secrets, NULL, errors))
        return false;
    check_url(schema_text(secrets, "url"), allow_http, errors);
    check_authorization(schema_text(secrets, "authorization"), errors);
    if (schema_get(secrets, "headers"))
        check_headers(schema_get(secrets, "headers"), errors);
    check_parts(secrets, errors);
    return errors_count(errors) == before;
}

json_object *secret_trim(json_object *secrets)
{
    json_object *trimmed = json_object_new_object();

    for (const struct schema_field *field = fields; field->name; field++)
        if (field < fields + CONTRACT_FIELDS || schema_get(secrets, field->name))
            json_object_object_add(trimmed, field->name,
                                   json_object_get(schema_get(secrets, field->name)));
    return trimmed;
}

static bool is_mask(json_object *value)
{
    return json_object_is_type(value, json_type_string) &&
           !strcmp(json_object_get_string(value), SECRET_MASK);
}

json_object *secret_merge(json_object *stored, json_object *changes)
{
    json_object *merged = stored ? secret_trim(stored) : json_object_new_object();

    for (const struct schema_field *field = fields; field->name; field++) {
        json_object *value = schema_get(changes, field->name);

        if (schema_has(changes, field->name) && !is_mask(value))
            json_object_object_add(merged, field->name, json_object_get(value));
    }
    return merged;
}

json_object *secret_masked(json_object *secrets)
{
    json_object *masked = secret_trim(secrets);

    for (const struct schema_field *field = fields; field->name; field++)
        if (strcmp(field->name, "url") != 0 && schema_get(masked, field->name))
            json_object_object_add(masked, field->name, json_object_new_string(SECRET_MASK));
    return masked;
}
