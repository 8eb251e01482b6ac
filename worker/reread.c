#include "worker/reread.h"

#include <stdlib.h>

#include "common/refetch.h"

#define PATIENCE (10 * USEC_PER_S)

struct rereading {
    uv_work_t work;
    const struct config *config;
    struct place place;
    struct refetched *found;
    struct err err;
    reread_done *done;
    void *context;
};

static void read_blocking(uv_work_t *work)
{
    struct rereading *rereading = work->data;

    if (refetch(rereading->config, &rereading->place, PATIENCE, &rereading->found, &rereading->err) < 0)
        rereading->found = NULL;
}

static void read_done(uv_work_t *work, int status)
{
    struct rereading *rereading = work->data;

    (void)status;
    rereading->done(rereading->context, rereading->found ? rereading->found->message : NULL, &rereading->err);
    refetched_free(rereading->found); /* its consumer has no group to leave, so this does not wait */
    free(rereading);
}

void reread_begin(uv_loop_t *loop, const struct config *config, const struct place *place, reread_done *done,
                  void *context)
{
    struct rereading *rereading = calloc(1, sizeof(*rereading));

    if (!rereading)
        abort();
    rereading->config = config;
    rereading->place = *place;
    rereading->done = done;
    rereading->context = context;
    rereading->work.data = rereading;
    uv_queue_work(loop, &rereading->work, read_blocking, read_done);
}
