#include "api/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"

enum { TOPIC_BYTES = 192, NUDGE_MS = 100 };
/* How long a broker is asked at once, and after how long partitions that were added are found. */
#define ASK_PATIENCE (USEC_PER_S)
#define LOOK_EVERY (60 * USEC_PER_S)

DEFINE_CLEANUP(const struct rd_kafka_metadata *, rd_kafka_metadata_destroy)
DEFINE_CLEANUP(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_destroy)

struct tail {
    char name[TOPIC_BYTES];
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    struct event_place place;
    int started;    /* partitions that are read */
    usec_t look_at; /* when the partitions are counted next, monotonic */
    size_t taken;   /* bytes, since it was nudged */
    rd_kafka_message_t *message;
    struct record record;
};

/* --- birth and end ------------------------------------------------------------------------------------- */

/* A fetch brings a little of each partition, as it is compressed; a batch that is larger comes alone. Without that each
 * would bring whole batches of all partitions, of up to a megabyte each. That Kafka is away is told by others. */
static int conf_fill(rd_kafka_conf_t *conf, struct err *err)
{
    char ahead[16], problem[256];
    const char *const settings[][2] = {
        { "queued.max.messages.kbytes", ahead },
        { "queued.min.messages", "1000" },
        { "fetch.message.max.bytes", "16384" },
        { "fetch.wait.max.ms", "100" },
        { "auto.offset.reset", "earliest" },
        { "enable.auto.commit", "false" },
        { "log_level", "2" },
    };

    snprintf(ahead, sizeof(ahead), "%d", TAIL_AHEAD_KIB);
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], problem, sizeof(problem)) != RD_KAFKA_CONF_OK)
            return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    /* Of librdkafka 2.2 and later; what it is about is nudge()'s in those before. */
    rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "0", problem, sizeof(problem));
    return 0;
}

static int client_open(struct tail *tail, const struct config *config, struct err *err)
{
    rd_kafka_conf_t *conf = NULL;
    char problem[256];
    int r = kafka_conf(config, &conf, err);

    if (r == 0)
        r = conf_fill(conf, err);
    if (r == 0)
        tail->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
    if (tail->client)
        return 0;
    if (conf)
        rd_kafka_conf_destroy(conf);
    return r < 0 ? r : err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

int tail_new(const struct config *config, struct tail **ret, struct err *err)
{
    struct tail *tail = calloc(1, sizeof(*tail));
    int r;

    if (!tail)
        abort();
    snprintf(tail->name, sizeof(tail->name), "%s.lifecycle", config->topic_prefix);
    r = client_open(tail, config, err);
    if (r < 0) {
        free(tail);
        return r;
    }
    tail->topic = rd_kafka_topic_new(tail->client, tail->name, NULL);
    tail->queue = rd_kafka_queue_new(tail->client);
    *ret = tail;
    return 0;
}

void tail_free(struct tail *tail)
{
    if (!tail)
        return;
    if (tail->message)
        rd_kafka_message_destroy(tail->message);
    for (int i = 0; i < tail->started; i++)
        rd_kafka_consume_stop(tail->topic, i);
    rd_kafka_queue_destroy(tail->queue);
    rd_kafka_topic_destroy(tail->topic);
    rd_kafka_destroy(tail->client);
    free(tail->place.offsets);
    free(tail);
}

const char *tail_topic(const struct tail *tail)
{
    return tail->name;
}

/* --- where it is --------------------------------------------------------------------------------------- */

/* Partitions beyond `count` are dropped, those that come in begin with their first record. */
static void place_resize(struct event_place *place, int count)
{
    int64_t *offsets = realloc(place->offsets, sizeof(*offsets) * (size_t)count);

    if (!offsets)
        abort();
    for (int i = place->count; i < count; i++)
        offsets[i] = 0;
    *place = (struct event_place){ count, offsets };
}

static rd_kafka_resp_err_t partitions_ask(struct tail *tail, usec_t patience, int *ret)
{
    _cleanup_(rd_kafka_metadata_destroyp) const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(tail->client, 0, tail->topic, &metadata, (int)(patience / USEC_PER_MS));

    if (error)
        return error;
    if (!metadata->topic_cnt || metadata->topics[0].err)
        return metadata->topic_cnt ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!metadata->topics[0].partition_cnt)
        return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    *ret = metadata->topics[0].partition_cnt;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t ends_ask(struct tail *tail, int count, usec_t patience)
{
    _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(count);
    rd_kafka_resp_err_t error;

    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, tail->name, i)->offset = RD_KAFKA_OFFSET_END;
    error = rd_kafka_offsets_for_times(tail->client, list, (int)(patience / USEC_PER_MS));
    for (int i = 0; !error && i < count; i++)
        error = list->elems[i].err ? list->elems[i].err
                : list->elems[i].offset < 0 ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : error;
    if (error)
        return error;
    place_resize(&tail->place, count);
    for (int i = 0; i < count; i++)
        tail->place.offsets[list->elems[i].partition] = list->elems[i].offset;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int tail_from_end(struct tail *tail, usec_t patience, struct err *err)
{
    usec_t until = usec_monotonic() + patience;
    rd_kafka_resp_err_t error;
    int count;

    do {
        error = partitions_ask(tail, ASK_PATIENCE, &count);
        if (!error)
            error = ends_ask(tail, count, ASK_PATIENCE);
        if (!error)
            return 0;
        rd_kafka_poll(tail->client, 50); /* so that what is told at once is not asked in a loop */
    } while (usec_monotonic() < until);
    return err_cause(err, ERR_UNAVAILABLE, "kafka: %s", rd_kafka_err2name(error));
}

void tail_from(struct tail *tail, const struct event_place *place)
{
    place_resize(&tail->place, place->count);
    memcpy(tail->place.offsets, place->offsets, sizeof(*place->offsets) * (size_t)place->count);
}

const struct event_place *tail_place(const struct tail *tail)
{
    return &tail->place;
}

/* --- reading ------------------------------------------------------------------------------------------- */

/* Those that are not read yet, once it is known how many there are. */
static void partitions_start(struct tail *tail)
{
    while (tail->started < tail->place.count &&
           !rd_kafka_consume_start_queue(tail->topic, tail->started, tail->place.offsets[tail->started], tail->queue))
        tail->started++;
}

/* Again with the next record while it fails. A topic does not shrink; one that was made anew may be smaller than a
 * place that was kept. */
static void partitions_look(struct tail *tail, usec_t now, usec_t patience)
{
    int count;

    if (now < tail->look_at || partitions_ask(tail, patience, &count))
        return;
    tail->look_at = now + LOOK_EVERY;
    if (count > tail->place.count || !tail->started)
        place_resize(&tail->place, count);
    partitions_start(tail);
}

/* A client of librdkafka that has read ahead as far as it may looks again a second later, or when there is something
 * else to be asked. So who has taken all of it asks something: where the partition begins and ends. */
static void nudge(struct tail *tail)
{
    int64_t low, high;

    if (tail->taken < TAIL_AHEAD_KIB * 1024 || rd_kafka_queue_length(tail->queue))
        return;
    rd_kafka_query_watermark_offsets(tail->client, tail->name, tail->record.partition, &low, &high, NUDGE_MS);
    tail->taken = 0;
}

const struct record *tail_next(struct tail *tail, usec_t wait)
{
    if (tail->message)
        rd_kafka_message_destroy(tail->message);
    tail->message = NULL;
    partitions_look(tail, usec_monotonic(), wait);
    nudge(tail);
    tail->message = rd_kafka_consume_queue(tail->queue, (int)(wait / USEC_PER_MS));
    if (!tail->message || tail->message->err)
        return NULL; /* librdkafka tries again by itself */
    record_read(tail->message, &tail->record);
    tail->place.offsets[tail->record.partition] = tail->record.offset + 1;
    tail->taken += tail->record.value_length;
    return &tail->record;
}
