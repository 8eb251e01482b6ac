#include "worker/retry.h"

#include <curl/curl.h>
#include <string.h>

bool retry_is_worth(int status_code)
{
    return status_code == 0 || status_code == 408 || status_code == 425 || status_code == 429 ||
           status_code >= 500;
}

usec_t retry_next(const struct retry_rule *rule, int attempt, usec_t retry_after, usec_t deadline, double chance,
                  usec_t now)
{
    usec_t wait, next;

    if (attempt > rule->schedule.count)
        return USEC_NONE;
    wait = rule->schedule.waits[attempt - 1];
    wait += (usec_t)((double)wait * (chance * 2 - 1) * rule->jitter_percent / 100);
    if (retry_after > rule->retry_after_max)
        retry_after = rule->retry_after_max;
    if (retry_after > wait)
        wait = retry_after;
    next = now + wait;
    return deadline != USEC_NONE && next > deadline ? USEC_NONE : next;
}

usec_t retry_after_parse(const char *text, usec_t now)
{
    size_t digits = strspn(text, "0123456789");
    usec_t seconds = 0;
    time_t date;

    if (digits && !text[digits]) {
        for (size_t i = 0; i < digits && seconds < 1000000000; i++)
            seconds = seconds * 10 + (text[i] - '0');
        return seconds * USEC_PER_S;
    }
    date = curl_getdate(text, NULL);
    if (date < 0 || (usec_t)date * USEC_PER_S <= now)
        return 0;
    return (usec_t)date * USEC_PER_S - now;
}
