#include "worker/ctl/audit/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { STEPS = 1024, EVERY_MS = 250 };

void progress_begin(struct progress *progress, bool asked, const char *what, int64_t of)
{
    *progress = (struct progress){
        .shown = asked || isatty(STDERR_FILENO), .of = of, .began = usec_monotonic(), .what = what
    };
}

static void tell(struct progress *progress, usec_t now)
{
    double seconds = (double)(now - progress->began) / (double)USEC_PER_S;

    progress->told_at = now;
    fprintf(stderr, "\r\033[K  %s: %lld of %lld, %.0f/s", progress->what, (long long)progress->done,
            (long long)progress->of, seconds > 0 ? (double)progress->done / seconds : 0);
    fflush(stderr);
}

void progress_step(struct progress *progress)
{
    usec_t now;

    if (++progress->done % STEPS || !progress->shown)
        return;
    now = usec_monotonic();
    if (now - progress->told_at >= EVERY_MS * USEC_PER_MS)
        tell(progress, now);
}

void progress_end(struct progress *progress)
{
    if (progress->shown && progress->told_at)
        fputs("\r\033[K", stderr);
}
