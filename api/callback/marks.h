/*
 * marks - replies that are on their way to the callbacks topic, told to all who take replies through Redis.
 *
 * A hash a request, `<prefix>:replies:<request id>`: webhook id -> how many calls have its verdict under way, above
 * zero for eligible, below for not eligible. It outlives the way to PostgreSQL by far and is then forgotten. Marks
 * only make answers truer: without Redis, and after its loss, what contradicts is found when it is consumed.
 *
 * Threads: one caller at a time per `struct redis`. Ownership: answers are the arena's.
 */
#pragma once

#include <stdbool.h>

#include "api/callback/verdict.h"
#include "common/arena.h"
#include "common/redis.h"

enum { MARK_SECONDS = 600 };

/* What was on its way about a request before this. */
struct mark {
    const char *webhook_id;
    enum verdict verdict;
};

struct mark_call {
    const char *request_id, *webhook_id;
    enum verdict verdict; /* VERDICT_NONE: only look */
    /* Filled: */
    const struct mark *marks;
    int count;
    bool marked; /* this call is in it now; marks_take_back() takes it out */
};

/* In order, each seeing those before it: one round trip. Nothing that contradicts its own webhook is marked. */
int marks_make(struct redis *redis, const char *prefix, struct mark_call *const *calls, int count,
               struct arena *arena, struct err *err) MUST_CHECK;

/* Those that are marked, as if they had never come. */
int marks_take_back(struct redis *redis, const char *prefix, struct mark_call *const *calls, int count,
                    struct arena *arena, struct err *err) MUST_CHECK;
