#include "worker/hold.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct hold hold_new(const char *run, int64_t position, usec_t now)
{
    struct hold hold = { .since = now, .from = position, .at = -1, .blamed = -1 };

    snprintf(hold.run, sizeof(hold.run), "%s", run);
    return hold;
}

const char *hold_print(const struct hold *hold, char text[HOLD_TEXT_BYTES])
{
    if (!*hold->run)
        return "";
    snprintf(text, HOLD_TEXT_BYTES,
             "run=%s since=%" PRId64 " from=%" PRId64 " falls=%d at=%" PRId64 " blamed=%" PRId64 " deaths=%d", hold->run,
             hold->since / USEC_PER_S, hold->from, hold->falls, hold->at, hold->blamed, hold->deaths);
    return text;
}

struct hold hold_parse(const char *text)
{
    static const char form[] =
        "run=%16[0-9a-f] since=%" SCNd64 " from=%" SCNd64 " falls=%d at=%" SCNd64 " blamed=%" SCNd64 " deaths=%d%n";
    struct hold hold, none = { .at = -1, .blamed = -1 };
    int64_t since;
    int end = -1;

    if (!text ||
        sscanf(text, form, hold.run, &since, &hold.from, &hold.falls, &hold.at, &hold.blamed, &hold.deaths, &end) != 7 ||
        end < 0 || text[end] || hold.falls < 0 || hold.deaths < 0 || since < 0 || since > INT64_MAX / USEC_PER_S)
        return none;
    hold.since = since * USEC_PER_S;
    return hold;
}

struct hold hold_claim(const struct hold *before, int64_t position, const char *run, usec_t now)
{
    struct hold hold = hold_new(run, position, now);
    bool in_a_row = now - before->since < HOLD_YOUNG && before->from == position;

    if (!*before->run || !strcmp(before->run, run))
        return hold;
    hold.falls = in_a_row ? before->falls + 1 : 1; /* one that kills is never got past */
    hold.blamed = before->blamed;
    hold.deaths = before->deaths;
    if (before->at < 0 || before->at != position)
        return hold;
    hold.deaths = before->at == before->blamed ? before->deaths + 1 : 1;
    hold.blamed = before->at;
    /* However long it took with care to come to this event, care is what it needs. */
    if (hold.falls < HOLD_FALLS)
        hold.falls = HOLD_FALLS;
    return hold;
}

bool hold_is_careful(const struct hold *hold)
{
    return hold->falls >= HOLD_FALLS;
}

bool hold_is_deadly(const struct hold *hold, int64_t offset)
{
    return hold->blamed == offset && hold->deaths >= HOLD_DEATHS;
}
