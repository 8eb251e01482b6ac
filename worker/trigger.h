/*
 * trigger - a worker that dies on demand, for tests: at a record whose header `docket_test_trigger` says "read" when it
 * is read, "handle" when its request was looked up. Only in builds with DOCKET_TRIGGERS (presets asan, dev and tsan).
 */
#pragma once

#ifdef DOCKET_TRIGGERS

#include <stdlib.h>
#include <string.h>

#include "common/arrival.h"

static inline bool trigger_is(const struct arrival *record, const char *when)
{
    for (int i = 0; i < record->header_count; i++)
        if (!strcmp(record->headers[i].name, "docket_test_trigger") && record->headers[i].length == strlen(when) &&
            !memcmp(record->headers[i].value, when, strlen(when)))
            return true;
    return false;
}

#define TRIGGER(record, when)                                                                      \
    do {                                                                                           \
        if (trigger_is(record, when))                                                              \
            abort();                                                                               \
    } while (0)
#define TRIGGER_LATER(record, work) ((work)->deadly = trigger_is(record, "handle"))
#define TRIGGER_NOW(work)                                                                          \
    do {                                                                                           \
        if ((work)->deadly)                                                                        \
            abort();                                                                               \
    } while (0)

#else

#define TRIGGER(record, when) ((void)0)
#define TRIGGER_LATER(record, work) ((void)0)
#define TRIGGER_NOW(work) ((void)0)

#endif
