#include "worker/ctl/audit/fit.h"

#include <stdbool.h>

static size_t distance(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* Whether `end` is to be preferred to `best`, which has as many on the wrong side. */
static bool is_nearer(size_t end, size_t best, size_t by_offset, size_t expected)
{
    if (best == by_offset || end == by_offset)
        return end == by_offset;
    return distance(end, expected) <= distance(best, expected); /* what is too much is likelier than what came late */
}

size_t fit_wrong(const enum fit *sides, size_t count, size_t end)
{
    size_t wrong = 0;

    for (size_t i = 0; i < count; i++)
        wrong += sides[i] == (i < end ? FIT_BEYOND : FIT_WITHIN);
    return wrong;
}

size_t fit_end(const enum fit *sides, size_t count, size_t by_offset, size_t expected)
{
    size_t wrong = fit_wrong(sides, count, 0), least = wrong, best = 0;

    for (size_t end = 1; end <= count; end++) {
        wrong += sides[end - 1] == FIT_BEYOND;
        wrong -= sides[end - 1] == FIT_WITHIN;
        if (wrong < least || (wrong == least && is_nearer(end, best, by_offset, expected))) {
            least = wrong;
            best = end;
        }
    }
    return best;
}
