/* The bytes as a token, and, as most of these do not open, as what stands in a token that does. */

#include "common/token.h"

#include "tests/fuzz/fuzz.h"

static struct token_key *key;
static struct arena *arena;

static void open_all(const char *token)
{
    struct token_access access;
    struct token_reply reply;
    struct err err;
    char *json;

    if (token_open(key, token, arena, &json, &err) < 0)
        CHECK(err.code == ERR_FORBIDDEN);
    if (token_reply_open(key, token, TOKEN_SCOPE_REVIEW, "pri_1", 0, 0, arena, &reply, &err) < 0)
        CHECK(err.code == ERR_FORBIDDEN);
    else
        CHECK(reply.webhook_id && !strcmp(reply.scope, TOKEN_SCOPE_REVIEW));
    if (token_access_open(key, token, 0, 0, arena, &access, &err) < 0)
        CHECK(err.code == ERR_FORBIDDEN);
    else
        CHECK(access.client_id && access.scopes && access.roles);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    char *text, *token, *back;

    if (!key)
        CHECK(token_key_new("0123456789abcdef0123456789abcdef", &key, &err) == 0);
    if (!arena)
        arena = arena_new();
    text = arena_strndup(arena, (const char *)data, size);
    open_all(text);
    if (token_seal(key, text, arena, &token, &err) == 0) {
        CHECK(token_open(key, token, arena, &back, &err) == 0 && !strcmp(back, text));
        open_all(token);
    }
    arena_clear(arena);
    return 0;
}
