#include "common/httpd.c"

#include "tests/fuzz/fuzz.h"

static void check_pairs(const struct pair *pairs)
{
    for (; pairs; pairs = pairs->next) {
        CHECK(schema_is_utf8(pairs->name, strlen(pairs->name)));
        CHECK(schema_is_utf8(pairs->value, strlen(pairs->value)));
    }
}

/* What is decoded is text, or the call is refused; and it is never longer than what came. */
static void check_target(struct exchange *exchange, const char *target)
{
    target_parse(exchange, target);
    CHECK(exchange->call.path);
    CHECK(strlen(exchange->call.path) <= strlen(target));
    CHECK(schema_is_utf8(exchange->call.path, strlen(exchange->call.path)));
    if (!exchange->malformed)
        check_pairs(exchange->queries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct httpd httpd = { .body_bytes = 1 << 20 };
    struct exchange *exchange = exchange_new(&httpd);
    char *text = strndup((const char *)data, size);

    CHECK(text);
    check_target(exchange, text);
    exchange->call.body = text;
    exchange->call.body_length = strlen(text);
    http_form(&exchange->call, "client_id");
    check_pairs(exchange->form);
    accepts_gzip(text);
    exchange_free(exchange);
    free(text);
    return 0;
}
