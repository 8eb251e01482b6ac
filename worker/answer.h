/*
 * answer - what a two_way policy webhook said (webhooks-out.md 7 and 8). Pure.
 *
 * Threads: any. Ownership: texts are the arena's. Errors never hold a value that the answer had.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"

struct answer {
    bool halt;
    const char *derived;       /* JSON object of the identity fields that it brought, none of them null; NULL: none */
    const char *derived_names; /* their names with commas; NULL: none */
};

/* `cut`: there was more of it than was read. ERR_BAD_REQUEST: "Webhook '<key>' returned an invalid response format:
 * <details>", which names the place and the rule. */
int answer_read(const char *body, size_t length, bool cut, const char *webhook_key, struct arena *arena,
                struct answer *ret, struct err *err) MUST_CHECK;
