/*
 * retry - whether and when a failed call is made again. Pure: the caller brings time and chance.
 */
#pragma once

#include <stdbool.h>

#include "common/config.h"

/* `schedule`: the connection's own where it has one, else the configuration's. */
struct retry_rule {
    struct config_schedule schedule;
    int jitter_percent;
    usec_t retry_after_max;
};

/* Standard Webhooks and CONVENTIONS of the field: 408, 425, 429, 5xx, and no answer at all. */
bool retry_is_worth(int status_code);

/*
 * When attempt number `attempt` (1 is the first since it was owed or owed anew) failed at `now`: the next one's time, or USEC_NONE when it was the
 * last. `retry_after`: what the endpoint asked for, 0 when nothing; `deadline`: USEC_NONE or the request's own;
 * `chance`: 0 to 1.
 */
usec_t retry_next(const struct retry_rule *rule, int attempt, usec_t retry_after, usec_t deadline, double chance,
                  usec_t now);

/* RFC 9110 10.2.3: seconds or an HTTP date. The wait from `now`; 0 for what is neither or past. */
usec_t retry_after_parse(const char *text, usec_t now);
