#include "api/callback/marks.h"

#include <stdlib.h>
#include <string.h>

/* Sent as text each time, not by its hash: Redis may have been restarted since, and it is short. */
static const char mark_script[] =
    "local before = redis.call('HGETALL', KEYS[1])\n"
    "local own = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')\n"
    "if ARGV[2] ~= '0' and own * ARGV[2] >= 0 then\n"
    "  redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])\n"
    "  redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
    "end\n"
    "return before\n";

/* A mark that has expired meanwhile must not come back as its opposite. */
static const char take_back_script[] =
    "local own = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')\n"
    "if own * ARGV[2] > 1 then\n"
    "  redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])\n"
    "elseif own * ARGV[2] == 1 then\n"
    "  redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "end\n"
    "return 0\n";

static const char *const counts[] = {
    [VERDICT_NONE] = "0",
    [VERDICT_ELIGIBLE] = "1",
    [VERDICT_NOT_ELIGIBLE] = "-1",
};

static const char *key_of(const char *prefix, const struct mark_call *call, struct arena *arena)
{
    return arena_printf(arena, "%s:replies:%s", prefix, call->request_id);
}

static enum verdict verdict_of(const char *count)
{
    long number = count ? strtol(count, NULL, 10) : 0;

    if (!number)
        return VERDICT_NONE;
    return number > 0 ? VERDICT_ELIGIBLE : VERDICT_NOT_ELIGIBLE;
}

/* HGETALL's list is name, value, name, value ... */
static void marks_read(struct mark_call *call, const struct redis_answer *answer, struct arena *arena)
{
    struct mark *marks = arena_array(arena, struct mark, (size_t)answer->count / 2 + 1);
    enum verdict own = VERDICT_NONE;

    call->count = 0;
    for (int i = 0; i + 1 < answer->count; i += 2) {
        struct mark mark = { .webhook_id = answer->items[i].text,
                             .verdict = verdict_of(answer->items[i + 1].text) };

        if (!mark.webhook_id || mark.verdict == VERDICT_NONE)
            continue;
        if (!strcmp(mark.webhook_id, call->webhook_id))
            own = mark.verdict;
        marks[call->count++] = mark;
    }
    call->marks = marks;
    call->marked = call->verdict != VERDICT_NONE && (own == VERDICT_NONE || own == call->verdict);
}

int marks_make(struct redis *redis, const char *prefix, struct mark_call *const *calls, int count,
               struct arena *arena, struct err *err)
{
    struct redis_command *commands = arena_array(arena, struct redis_command, (size_t)count);
    const char *seconds = arena_printf(arena, "%d", MARK_SECONDS);
    const struct redis_answer *answers;
    int r;

    for (int i = 0; i < count; i++)
        commands[i] = REDIS_COMMAND("EVAL", mark_script, "1", key_of(prefix, calls[i], arena),
                                    calls[i]->webhook_id, counts[calls[i]->verdict], seconds);
    r = redis_run(redis, commands, count, arena, &answers, err);
    for (int i = 0; r == 0 && i < count; i++)
        marks_read(calls[i], &answers[i], arena);
    return r;
}

int marks_take_back(struct redis *redis, const char *prefix, struct mark_call *const *calls, int count,
                    struct arena *arena, struct err *err)
{
    struct redis_command *commands = arena_array(arena, struct redis_command, (size_t)count);
    const struct redis_answer *answers;
    int used = 0;

    for (int i = 0; i < count; i++)
        if (calls[i]->marked)
            commands[used++] = REDIS_COMMAND("EVAL", take_back_script, "1", key_of(prefix, calls[i], arena),
                                             calls[i]->webhook_id, counts[calls[i]->verdict]);
    return used ? redis_run(redis, commands, used, arena, &answers, err) : 0;
}
