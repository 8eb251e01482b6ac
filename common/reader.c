#include "common/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"

enum {
    BATCH = 512,      /* records from a queue at once */
    TOPIC_BYTES = 256,
    KIB = 1024,
    AHEAD_KIB_MIN = 256,
    AHEAD_KIB_MAX = 16 * 1024,
};

DEFINE_CLEANUP(rd_kafka_topic_t *, rd_kafka_topic_destroy)
DEFINE_CLEANUP(const struct rd_kafka_metadata *, rd_kafka_metadata_destroy)
DEFINE_CLEANUP(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_destroy)

/* A partition of a run. */
struct part {
    char name[TOPIC_BYTES];
    rd_kafka_topic_t *topic; /* NULL: not begun */
    int32_t partition;
    int64_t until;
    int64_t position; /* what comes next of it */
    bool is_over;
};

struct reader_run {
    struct reader *reader;
    struct reader_run *next;
    rd_kafka_queue_t *queue;
    struct part *parts;
    int part_count, open; /* open: not over */
    bool begun;           /* all parts that are open are read */
    int last;             /* the part that the record before was of */
    rd_kafka_message_t *batch[BATCH];
    int at, count;        /* of the batch: the next, and how many there are */
    rd_kafka_message_t *current;
    struct record record; /* of `current` */
};

struct reader {
    const struct config *config;
    usec_t patience;
    rd_kafka_t *asker, *consumer; /* the second one when it is known how many partitions share what is read ahead */
    int partitions;               /* of all topics that were asked for */
    struct reader_run *runs;
};

/* --- clients ----------------------------------------------------------------------------------------- */

struct setting {
    const char *name, *value;
};

static int client_new(const struct config *config, const struct setting *settings, int count, rd_kafka_t **ret,
                      struct err *err)
{
    rd_kafka_conf_t *conf;
    char problem[256];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    for (int i = 0; i < count; i++) {
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, problem, sizeof(problem)) == RD_KAFKA_CONF_OK)
            continue;
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    }
    *ret = rd_kafka_new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
    if (*ret)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

/* What is read ahead is said a partition. */
static int consumer_new(struct reader *reader, struct err *err)
{
    int kib = READER_AHEAD_BYTES / KIB / (reader->partitions ? reader->partitions : 1);
    char text[16];
    const struct setting settings[] = {
        { "queued.max.messages.kbytes", text },
        { "enable.partition.eof", "true" },
        { "fetch.wait.max.ms", "10" }, /* partitions begin one by one, each behind a fetch that waits at others' ends */
        /* A client that has read as far ahead as it may sleeps a second before it looks whether there is room again,
         * unless it has something to ask a broker: then it looks at once. */
        { "topic.metadata.refresh.interval.ms", "20" },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "auto.offset.reset", "error" },
    };

    kib = kib < AHEAD_KIB_MIN ? AHEAD_KIB_MIN : kib > AHEAD_KIB_MAX ? AHEAD_KIB_MAX : kib;
    snprintf(text, sizeof(text), "%d", kib);
    return client_new(reader->config, settings, COUNT_OF(settings), &reader->consumer, err);
}

int reader_new(const struct config *config, usec_t patience, struct reader **ret, struct err *err)
{
    struct reader *reader = calloc(1, sizeof(*reader));
    int r;

    if (!reader)
        abort();
    reader->config = config;
    reader->patience = patience;
    r = client_new(config, NULL, 0, &reader->asker, err);
    if (r < 0) {
        free(reader);
        return r;
    }
    *ret = reader;
    return 0;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    while (reader->runs)
        reader_run_free(reader->runs);
    if (reader->consumer)
        rd_kafka_destroy(reader->consumer);
    rd_kafka_destroy(reader->asker);
    free(reader);
}

/* --- asking ------------------------------------------------------------------------------------------ */

static const char *topic_name(const struct reader *reader, const char *name, char text[TOPIC_BYTES])
{
    snprintf(text, TOPIC_BYTES, "%s.%s", reader->config->topic_prefix, name);
    return text;
}

static int patience_ms(const struct reader *reader)
{
    return (int)(reader->patience / USEC_PER_MS);
}

int reader_partitions(struct reader *reader, const char *name, int *ret, struct err *err)
{
    _cleanup_(rd_kafka_metadata_destroyp) const struct rd_kafka_metadata *metadata = NULL;
    _cleanup_(rd_kafka_topic_destroyp) rd_kafka_topic_t *topic = NULL;
    char text[TOPIC_BYTES];
    rd_kafka_resp_err_t error;

    topic = rd_kafka_topic_new(reader->asker, topic_name(reader, name, text), NULL);
    if (!topic)
        return kafka_err(rd_kafka_last_error(), err);
    error = rd_kafka_metadata(reader->asker, 0, topic, &metadata, patience_ms(reader));
    if (!error && metadata->topic_cnt)
        error = metadata->topics[0].err;
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        *ret = 0;
    else if (error)
        return kafka_err(error, err);
    else
        *ret = metadata->topic_cnt ? metadata->topics[0].partition_cnt : 0;
    reader->partitions += *ret;
    return 0;
}

int reader_bounds(struct reader *reader, const char *name, int32_t partition, struct reader_bounds *ret,
                  struct err *err)
{
    struct reader_bounds bounds;
    char text[TOPIC_BYTES];
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(reader->asker, topic_name(reader, name, text),
                                                                 partition, &bounds.low, &bounds.high,
                                                                 patience_ms(reader));

    if (error)
        return kafka_err(error, err);
    *ret = bounds;
    return 0;
}

int reader_offset_at(struct reader *reader, const char *name, int32_t partition, usec_t time, int64_t high,
                     int64_t *ret, struct err *err)
{
    _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    char text[TOPIC_BYTES];
    rd_kafka_resp_err_t error;

    /* Asked by a time, answered by an offset in its place. Kafka's milliseconds: one too early rather than too late. */
    rd_kafka_topic_partition_list_add(list, topic_name(reader, name, text), partition)->offset = time / USEC_PER_MS;
    error = rd_kafka_offsets_for_times(reader->asker, list, patience_ms(reader));
    if (!error)
        error = list->elems[0].err;
    if (error)
        return kafka_err(error, err);
    *ret = list->elems[0].offset < 0 ? high : list->elems[0].offset;
    return 0;
}

/* --- runs -------------------------------------------------------------------------------------------- */

struct reader_run *reader_run_new(struct reader *reader)
{
    struct reader_run *run = calloc(1, sizeof(*run));

    if (!run)
        abort();
    run->reader = reader;
    run->next = reader->runs;
    reader->runs = run;
    return run;
}

void reader_run_add(struct reader_run *run, const char *name, int32_t partition, int64_t from, int64_t until)
{
    struct part *part;

    run->parts = realloc(run->parts, sizeof(*part) * (size_t)(run->part_count + 1));
    if (!run->parts)
        abort();
    part = &run->parts[run->part_count++];
    *part = (struct part){ .partition = partition, .until = until, .position = from, .is_over = from >= until };
    topic_name(run->reader, name, part->name);
    run->open += !part->is_over;
}

static int part_begin(struct reader_run *run, struct part *part, struct err *err)
{
    rd_kafka_topic_t *topic;

    if (part->topic)
        return 0;
    topic = rd_kafka_topic_new(run->reader->consumer, part->name, NULL);
    if (!topic)
        return kafka_err(rd_kafka_last_error(), err);
    if (rd_kafka_consume_start_queue(topic, part->partition, part->position, run->queue)) {
        rd_kafka_topic_destroy(topic);
        return kafka_err(rd_kafka_last_error(), err);
    }
    part->topic = topic;
    return 0;
}

static void part_end(struct part *part)
{
    if (!part->topic)
        return;
    rd_kafka_consume_stop(part->topic, part->partition);
    rd_kafka_topic_destroy(part->topic);
    part->topic = NULL;
}

/* `ahead`: those that are over, too, as they may be extended. */
static int run_begin(struct reader_run *run, bool ahead, struct err *err)
{
    int r = run->reader->consumer ? 0 : consumer_new(run->reader, err);

    if (r == 0 && !run->queue)
        run->queue = rd_kafka_queue_new(run->reader->consumer);
    for (int i = 0; r == 0 && i < run->part_count; i++)
        if (ahead || !run->parts[i].is_over)
            r = part_begin(run, &run->parts[i], err);
    run->begun = r == 0;
    return r;
}

int reader_run_ahead(struct reader_run *run, struct err *err)
{
    return run_begin(run, true, err);
}

static void current_drop(struct reader_run *run)
{
    if (run->current)
        rd_kafka_message_destroy(run->current);
    run->current = NULL;
}

void reader_run_free(struct reader_run *run)
{
    struct reader_run **link;

    if (!run)
        return;
    for (link = &run->reader->runs; *link != run; link = &(*link)->next)
        ;
    *link = run->next;
    current_drop(run);
    while (run->at < run->count)
        rd_kafka_message_destroy(run->batch[run->at++]);
    for (int i = 0; i < run->part_count; i++)
        part_end(&run->parts[i]);
    if (run->queue)
        rd_kafka_queue_destroy(run->queue);
    free(run->parts);
    free(run);
}

/* --- reading ----------------------------------------------------------------------------------------- */

/* A batch would be waited for until it is full; so one record is, and what came with it is taken along. */
static int batch_fill(struct reader_run *run, struct err *err)
{
    ssize_t more;

    run->at = run->count = 0;
    run->batch[0] = rd_kafka_consume_queue(run->queue, patience_ms(run->reader));
    if (!run->batch[0])
        return kafka_err(RD_KAFKA_RESP_ERR__TIMED_OUT, err);
    more = rd_kafka_consume_batch_queue(run->queue, 0, run->batch + 1, BATCH - 1);
    run->count = 1 + (more > 0 ? (int)more : 0);
    return 0;
}

/* Records of a partition come one after another. */
static struct part *part_of(struct reader_run *run, const rd_kafka_message_t *message)
{
    for (int i = 0; i < run->part_count; i++) {
        int at = (run->last + i) % run->part_count;
        struct part *part = &run->parts[at];

        if (part->topic == message->rkt && part->partition == message->partition) {
            run->last = at;
            return part;
        }
    }
    return NULL; /* it was ended */
}

/* Of several partitions, one that is over is read no further. */
static void part_is_over(struct reader_run *run, struct part *part)
{
    part->is_over = true;
    run->open--;
    if (run->part_count > 1)
        part_end(part);
}

static int part_failed(const struct part *part, rd_kafka_resp_err_t error, struct err *err)
{
    if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return err_set(err, ERR_GONE, "offset %lld of %s, partition %d, is not there any more",
                       (long long)part->position, part->name, (int)part->partition);
    return kafka_err(error, err);
}

/* The batch's next one. *taken: it was looked at to the end; else it stays for when the run is extended. *ret NULL: it
 * was no record of the run. */
static int message_take(struct reader_run *run, rd_kafka_message_t *message, bool *taken, const struct record **ret,
                        struct err *err)
{
    struct part *part = part_of(run, message);

    *taken = true;
    *ret = NULL;
    if (!part)
        return 0;
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return part_failed(part, message->err, err);
    if (message->err || message->offset >= part->until) { /* nothing lies between */
        part->position = message->offset > part->position ? message->offset : part->position;
        *taken = message->err || run->part_count > 1;
        if (part->position >= part->until && !part->is_over)
            part_is_over(run, part);
        return 0;
    }
    part->position = message->offset + 1;
    record_read(message, &run->record);
    *ret = &run->record;
    if (part->position >= part->until)
        part_is_over(run, part);
    return 0;
}

int reader_next(struct reader_run *run, const struct record **ret, struct err *err)
{
    int r = run->begun ? 0 : run_begin(run, false, err);

    current_drop(run);
    *ret = NULL;
    while (r == 0 && run->open && !*ret) {
        rd_kafka_message_t *message;
        bool taken;

        if (run->at == run->count) {
            r = batch_fill(run, err);
            continue;
        }
        message = run->batch[run->at];
        r = message_take(run, message, &taken, ret, err);
        run->at += taken;
        if (*ret)
            run->current = message;
        else if (taken)
            rd_kafka_message_destroy(message);
    }
    return r;
}

void reader_run_extend(struct reader_run *run, int64_t until)
{
    struct part *part = &run->parts[0];
    bool was_over = part->is_over;

    part->until = until;
    part->is_over = part->position >= until;
    run->open += was_over - part->is_over;
    run->begun = run->begun && part->topic;
}

int64_t reader_run_position(const struct reader_run *run)
{
    return run->parts[0].position;
}
