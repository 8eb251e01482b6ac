#include "worker/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum { PATIENCE_MS = 5000 };

struct claiming {
    uv_work_t work;
    rd_kafka_t *consumer;
    rd_kafka_topic_partition_list_t *partitions;
    struct claimed *claimed;
    char run[HOLD_RUN_BYTES];
    rd_kafka_resp_err_t error;
    claim_done *done;
    void *context;
};

/* Where nothing was committed yet reading begins with the first that there is. */
static rd_kafka_resp_err_t bounds(struct claiming *claiming, const rd_kafka_topic_partition_t *of, struct claimed *ret)
{
    bool none = of->offset < 0, careful = hold_is_careful(&ret->hold);
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (none || careful)
        error = rd_kafka_query_watermark_offsets(claiming->consumer, of->topic, of->partition, &low, &high, PATIENCE_MS);
    ret->position = none ? low : of->offset;
    /* Whoever died had not read what was not there yet. */
    ret->until = careful && high > ret->position ? high : 0;
    return error;
}

static rd_kafka_resp_err_t take_over(struct claiming *claiming, rd_kafka_topic_partition_t *of, struct claimed *ret)
{
    char text[HOLD_TEXT_BYTES] = "";
    struct hold before;
    rd_kafka_resp_err_t error;

    snprintf(text, sizeof(text), "%.*s", (int)of->metadata_size, of->metadata ? (const char *)of->metadata : "");
    before = hold_parse(text);
    ret->topic = of->topic;
    ret->partition = of->partition;
    ret->hold = hold_claim(&before, of->offset, claiming->run, usec_now());
    error = bounds(claiming, of, ret);
    ret->hold.from = ret->position;
    free(of->metadata);
    of->offset = ret->position;
    of->metadata = strdup(hold_print(&ret->hold, text));
    if (!of->metadata)
        abort();
    of->metadata_size = strlen(of->metadata);
    return error;
}

static void claim_blocking(uv_work_t *work)
{
    struct claiming *claiming = work->data;
    rd_kafka_topic_partition_list_t *list = claiming->partitions;

    claiming->error = rd_kafka_committed(claiming->consumer, list, PATIENCE_MS);
    for (int i = 0; i < list->cnt && !claiming->error; i++)
        claiming->error = list->elems[i].err ? list->elems[i].err
                                             : take_over(claiming, &list->elems[i], &claiming->claimed[i]);
    if (!claiming->error)
        claiming->error = rd_kafka_commit(claiming->consumer, list, 0);
}

static void on_claimed(uv_work_t *work, int status)
{
    struct claiming *claiming = work->data;

    (void)status;
    if (claiming->error)
        log_warn("claim.failed", log_word("cause", rd_kafka_err2name(claiming->error)));
    claiming->done(claiming->context, claiming->claimed, claiming->error ? -1 : claiming->partitions->cnt);
    rd_kafka_topic_partition_list_destroy(claiming->partitions);
    free(claiming->claimed);
    free(claiming);
}

void claim_begin(uv_loop_t *loop, rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *partitions,
                 const char *run, claim_done *done, void *context)
{
    struct claiming *claiming = calloc(1, sizeof(*claiming));

    if (!claiming || !(claiming->claimed = calloc((size_t)partitions->cnt + 1, sizeof(*claiming->claimed))))
        abort();
    claiming->consumer = consumer;
    claiming->partitions = rd_kafka_topic_partition_list_copy(partitions);
    claiming->done = done;
    claiming->context = context;
    snprintf(claiming->run, sizeof(claiming->run), "%s", run);
    claiming->work.data = claiming;
    uv_queue_work(loop, &claiming->work, claim_blocking, on_claimed);
}
