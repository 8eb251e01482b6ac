#include "worker/breaker.h"

#include <string.h>

bool breaker_admit(struct breaker *breaker, usec_t now)
{
    if (breaker->state == BREAKER_OPEN && now >= breaker->open_until)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN || breaker->probing)
        return false;
    breaker->probing = true;
    return true;
}

usec_t breaker_opens_at(const struct breaker *breaker, usec_t now)
{
    if (breaker->state == BREAKER_OPEN)
        return breaker->open_until > now ? breaker->open_until : 0;
    /* The probe decides within one call's time; look again soon. */
    return breaker->state == BREAKER_HALF_OPEN && breaker->probing ? now + USEC_PER_S : 0;
}

static void window_move(struct breaker *breaker, const struct breaker_rule *rule, usec_t now)
{
    int64_t slice = now / (rule->window / BREAKER_SLICES + 1);

    if (slice - breaker->slice >= BREAKER_SLICES) {
        memset(breaker->calls, 0, sizeof(breaker->calls));
        memset(breaker->failures, 0, sizeof(breaker->failures));
        breaker->slice = slice;
    }
    while (breaker->slice < slice) {
        breaker->slice++;
        breaker->calls[breaker->slice % BREAKER_SLICES] = 0;
        breaker->failures[breaker->slice % BREAKER_SLICES] = 0;
    }
}

static void count_all(const struct breaker *breaker, int *calls, int *failures)
{
    *calls = *failures = 0;
    for (int i = 0; i < BREAKER_SLICES; i++) {
        *calls += breaker->calls[i];
        *failures += breaker->failures[i];
    }
}

static bool too_many(const struct breaker *breaker, const struct breaker_rule *rule)
{
    int calls, failures;

    count_all(breaker, &calls, &failures);
    return calls >= rule->calls && (int64_t)failures * 100 >= (int64_t)calls * rule->failures_percent;
}

static bool open_again(struct breaker *breaker, const struct breaker_rule *rule, usec_t now)
{
    breaker->state = BREAKER_OPEN;
    breaker->open_until = now + rule->open_for;
    return true;
}

bool breaker_told(struct breaker *breaker, const struct breaker_rule *rule, bool failed, usec_t now)
{
    if (breaker->state == BREAKER_HALF_OPEN && breaker->probing) {
        breaker->probing = false;
        if (failed)
            return open_again(breaker, rule, now);
        memset(breaker->calls, 0, sizeof(breaker->calls));
        memset(breaker->failures, 0, sizeof(breaker->failures));
        breaker->state = BREAKER_CLOSED;
        return true;
    }
    window_move(breaker, rule, now);
    breaker->calls[breaker->slice % BREAKER_SLICES]++;
    breaker->failures[breaker->slice % BREAKER_SLICES] += failed;
    if (breaker->state != BREAKER_CLOSED || !failed || !too_many(breaker, rule))
        return false; /* calls that were under way when it opened say nothing new */
    return open_again(breaker, rule, now);
}

/* One that is open by its own experience, or probes, is not to be held up by what others found before. */
bool breaker_hinted(struct breaker *breaker, usec_t open_until, usec_t now)
{
    if (breaker->state != BREAKER_CLOSED || open_until <= now)
        return false;
    breaker->state = BREAKER_OPEN;
    breaker->open_until = open_until;
    return true;
}

void breaker_count(const struct breaker *breaker, const struct breaker_rule *rule, usec_t now, int *calls, int *failures)
{
    struct breaker moved = *breaker;

    window_move(&moved, rule, now);
    count_all(&moved, calls, failures);
}
