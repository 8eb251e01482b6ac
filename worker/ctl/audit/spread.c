#include "worker/ctl/audit/spread.h"

#include <stdlib.h>

/* Below 2 * STEPS each length has a count of its own; above, each doubling has STEPS of them. */
enum { STEPS_LOG2 = 5, STEPS = 1 << STEPS_LOG2, BUCKETS = STEPS * (64 - STEPS_LOG2) };

struct spread {
    int64_t count;
    usec_t longest;
    int64_t buckets[BUCKETS];
};

struct spread *spread_new(void)
{
    struct spread *spread = calloc(1, sizeof(*spread));

    if (!spread)
        abort();
    return spread;
}

void spread_free(struct spread *spread)
{
    free(spread);
}

static int bucket_of(usec_t duration)
{
    uint64_t value = (uint64_t)duration;
    int shift;

    if (value < 2 * STEPS)
        return (int)value;
    shift = 63 - __builtin_clzll(value) - STEPS_LOG2;
    return shift * STEPS + (int)(value >> shift);
}

/* The longest that is counted there. */
static usec_t bucket_end(int bucket)
{
    int shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    uint64_t step = bucket < 2 * STEPS ? (uint64_t)bucket : (uint64_t)(bucket % STEPS + STEPS);

    return (usec_t)(((step + 1) << shift) - 1);
}

void spread_add(struct spread *spread, usec_t duration)
{
    if (duration < 0)
        duration = 0;
    spread->buckets[bucket_of(duration)]++;
    spread->count++;
    if (duration > spread->longest)
        spread->longest = duration;
}

void spread_merge(struct spread *to, const struct spread *from)
{
    for (int i = 0; i < BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->count += from->count;
    if (from->longest > to->longest)
        to->longest = from->longest;
}

int64_t spread_count(const struct spread *spread)
{
    return spread->count;
}

usec_t spread_at(const struct spread *spread, int per_mille)
{
    int64_t rank = (spread->count * per_mille + 999) / 1000, seen = 0;
    usec_t end;

    if (!spread->count)
        return USEC_NONE;
    for (int i = 0; i < BUCKETS; i++) {
        seen += spread->buckets[i];
        if (seen < rank || !seen)
            continue;
        end = bucket_end(i);
        return end < spread->longest ? end : spread->longest;
    }
    return spread->longest;
}
