/*
 * progress - how far a long reading has come, on one line of a terminal, several times a second.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/usec.h"

struct progress {
    bool shown;     /* on standard error */
    int64_t done, of;
    usec_t began, told_at;
    const char *what;
};

/* `of`: records in all. Shown when standard error is a terminal, or when it is asked for. */
void progress_begin(struct progress *progress, bool asked, const char *what, int64_t of);
/* Cheap: it looks at the clock once in a thousand. */
void progress_step(struct progress *progress);
/* Clears the line. */
void progress_end(struct progress *progress);
