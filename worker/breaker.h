/*
 * breaker - stops calls to an endpoint that fails, and lets one through now and then to see.
 *
 * closed: calls go; enough failures within the window open it. open: none go, until the time is up. half open: one
 * probe goes; its success closes the breaker, its failure opens it again. Pure: the caller brings the time.
 */
#pragma once

#include <stdbool.h>

#include "common/usec.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker_rule {
    usec_t window, open_for;
    int calls, failures_percent;
};

enum { BREAKER_SLICES = 10 }; /* the window moves in tenths */

struct breaker {
    enum breaker_state state;
    usec_t open_until;
    bool probing; /* half open: the probe is under way */
    int64_t slice; /* the newest one's number since the epoch */
    int calls[BREAKER_SLICES], failures[BREAKER_SLICES];
};

/* May a call go now? Takes the probe's place when half open: every yes is followed by breaker_told(). */
bool breaker_admit(struct breaker *breaker, usec_t now);
/* What came of a call. True when the state changed. */
bool breaker_told(struct breaker *breaker, const struct breaker_rule *rule, bool failed, usec_t now);
/* When the next call may go; 0: now. */
usec_t breaker_opens_at(const struct breaker *breaker, usec_t now);
/* Another worker's is open until then: so is this one, unless it knows better. True when the state changed. */
bool breaker_hinted(struct breaker *breaker, usec_t open_until, usec_t now);
/* Within the window. */
void breaker_count(const struct breaker *breaker, const struct breaker_rule *rule, usec_t now, int *calls, int *failures);
