/* What a token endpoint may answer. Whatever is taken as a token is one, and ends no header. */

#include "worker/oauth.c"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *arena;
    struct token_answer answer;
    int less, more;
    char *body;

    if (!arena)
        arena = arena_new();
    body = arena_alloc(arena, size + 1);
    if (size)
        memcpy(body, data, size);
    if (token_read(body, size, arena, &answer)) {
        CHECK(*answer.token && strlen(answer.token) <= OAUTH_TOKEN_BYTES && !strpbrk(answer.token, "\r\n "));
        CHECK(answer.life >= 0 && answer.life <= OAUTH_LIFE_MAX_S * USEC_PER_S);
        CHECK(use_for(answer.life) >= 0 && use_for(answer.life) <= answer.life);
        if (answer.scope) {
            scope_less(answer.scope, "a b", arena, &less);
            scope_less("a b", answer.scope, arena, &more);
            CHECK(less >= 0 && more >= 0 && more <= 2);
        }
    }
    arena_clear(arena);
    return 0;
}
