#include "worker/notary.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/reader.h"
#include "worker/notary.sql.h"

#define LEASE (10 * USEC_PER_S)
#define PATIENCE (5 * USEC_PER_S) /* for Kafka, of a round that anyone may do again */
#define LOOK_MIN (250 * USEC_PER_MS)
#define LOOK_MAX (5 * USEC_PER_S)

enum { TOPIC_BYTES = 192, SOURCE_BYTES = 160, WORKER_BYTES = 256 };

const struct sql *const notary_statements[] = { &SQL_notary_claim, NULL };

/* What is to be covered of a partition. */
struct stretch {
    const char *topic;
    int32_t partition;
    int64_t at, until;
    struct reader_run *run;
    const struct record *left; /* read, and too much for the checkpoint before */
};

struct notary {
    uv_loop_t *loop;
    uv_work_t work;
    const struct config *config;
    struct pipe *pipe;
    char worker[WORKER_BYTES], source[SOURCE_BYTES], topic[TOPIC_BYTES];
    const struct sign_ring *ring; /* NULL: no checkpoints are made */
    struct arena *asking_arena;
    usec_t next_at;
    bool asking, busy, ended, failing;
    atomic_bool stopping;
    /* The round's. */
    struct db *db;
    struct arena *arena;
    struct digest *digest;
    struct checkpoint_builder *builder;
    struct reader *reader;
    rd_kafka_t *producer;
    struct stretch *stretches;
    int stretch_count;
    int64_t number; /* of the last one */
    uint8_t previous[DIGEST_BYTES];
};

/* --- publishing -------------------------------------------------------------------------------------- */

struct sending {
    bool done;
    rd_kafka_resp_err_t error;
};

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct sending *sending = message->_private;

    (void)producer;
    (void)opaque;
    sending->done = true;
    sending->error = message->err;
}

static int producer_new(struct notary *notary, struct err *err)
{
    static const char *const settings[][2] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "message.timeout.ms", "5000" }, /* PATIENCE */
        { "linger.ms", "0" },
        { "message.max.bytes", "4194304" }, /* the broker's own limit decides */
    };
    rd_kafka_conf_t *conf;
    char problem[256];
    int r = kafka_conf(notary->config, &conf, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], problem, sizeof(problem)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
        }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    notary->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (notary->producer)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

static void header_add(rd_kafka_headers_t *headers, enum record_attribute attribute, const char *value)
{
    rd_kafka_header_add(headers, record_attribute_name(attribute), -1, value, -1);
}

struct publication {
    int64_t number;
    const void *value;
    size_t length;
    const uint8_t *signature;
    const char *key_id;
    usec_t made_at;
};

static rd_kafka_headers_t *headers_of(const struct notary *notary, const struct publication *publication)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(10);
    char text[SIGN_TEXT_BYTES], time[USEC_TEXT_BYTES];

    header_add(headers, RECORD_CONTENT_TYPE, "application/json");
    header_add(headers, RECORD_SPECVERSION, "1.0");
    snprintf(text, sizeof(text), CHECKPOINT_SUBJECT ".%lld", (long long)publication->number);
    header_add(headers, RECORD_ID, text);
    header_add(headers, RECORD_SOURCE, notary->source);
    header_add(headers, RECORD_TYPE, CHECKPOINT_TYPE);
    header_add(headers, RECORD_SUBJECT, CHECKPOINT_SUBJECT);
    header_add(headers, RECORD_TIME, usec_format_z(publication->made_at, time));
    header_add(headers, RECORD_DATASCHEMA, "docket:events/" CHECKPOINT_TYPE ".json");
    snprintf(text, sizeof(text), "%020lld", (long long)publication->number);
    header_add(headers, RECORD_SEQUENCE, text);
    header_add(headers, RECORD_SIGNATURE, sign_text(publication->signature, text));
    header_add(headers, RECORD_KEY_ID, publication->key_id);
    return headers;
}

/* Until Kafka has it. */
static int record_send(struct notary *notary, const struct publication *publication, struct err *err)
{
    struct sending sending = { 0 };
    rd_kafka_headers_t *headers;
    int r = notary->producer ? 0 : producer_new(notary, err);

    if (r < 0)
        return r;
    headers = headers_of(notary, publication);
    sending.error = rd_kafka_producev(
        notary->producer, RD_KAFKA_V_TOPIC(notary->topic),
        RD_KAFKA_V_KEY(CHECKPOINT_SUBJECT, strlen(CHECKPOINT_SUBJECT)),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)publication->value, publication->length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(&sending), RD_KAFKA_V_END);
    if (sending.error) {
        rd_kafka_headers_destroy(headers);
        return kafka_err(sending.error, err);
    }
    while (!sending.done) /* the report comes within PATIENCE */
        rd_kafka_poll(notary->producer, 100);
    return sending.error ? kafka_err(sending.error, err) : 0;
}

static int publish(struct notary *notary, const struct publication *publication, struct err *err)
{
    struct db_args *args = db_args_new(notary->arena);
    int r = record_send(notary, publication, err);

    if (r < 0)
        return r;
    db_int(args, publication->number);
    r = db_do_planned(notary->db, &SQL_notary_published, args, err);
    if (r == 0)
        log_info("checkpoint.published", log_number("number", publication->number),
                 log_number("bytes", (int64_t)publication->length), log_word("key", publication->key_id));
    return r;
}

/* What a worker made and did not live to publish, or to note. */
static int publish_left(struct notary *notary, bool *found, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct publication publication = { 0 };
    size_t length;
    int r = db_run_planned(notary->db, &SQL_notary_unpublished, db_args_new(notary->arena), &rows, err);

    *found = r == 0 && PQntuples(rows);
    if (!*found)
        return r;
    publication.number = db_get_int(rows, 0, 0);
    publication.value = db_get_bytes(rows, 0, 1, &publication.length);
    publication.signature = db_get_bytes(rows, 0, 2, &length);
    publication.key_id = db_get_text(rows, 0, 3);
    publication.made_at = db_get_time(rows, 0, 4);
    return publish(notary, &publication, err);
}

/* --- what there is to cover -------------------------------------------------------------------------- */

static int64_t place_of(const PGresult *places, const char *topic, int32_t partition)
{
    for (int row = 0; row < PQntuples(places); row++)
        if (db_get_int(places, row, 1) == partition && !strcmp(db_get_text(places, row, 0), topic))
            return db_get_int(places, row, 2);
    return -1;
}

static void stretch_add(struct notary *notary, const char *topic, int32_t partition, int64_t from, int64_t until)
{
    struct stretch *stretch;

    notary->stretches = realloc(notary->stretches, sizeof(*stretch) * (size_t)(notary->stretch_count + 1));
    if (!notary->stretches)
        abort();
    stretch = &notary->stretches[notary->stretch_count++];
    *stretch = (struct stretch){ .topic = topic, .partition = partition, .at = from, .until = until };
    stretch->run = reader_run_new(notary->reader);
    reader_run_add(stretch->run, topic, partition, from, until);
}

/* A log that is shorter than what was stated of it, at either end, is no checkpoint's matter to hide: the audit finds
 * it. Here it is told, and what is there is covered. */
static int partition_look(struct notary *notary, const PGresult *places, const char *topic, int32_t partition,
                          struct err *err)
{
    int64_t place = place_of(places, topic, partition);
    struct reader_bounds bounds;
    int r = reader_bounds(notary->reader, topic, partition, &bounds, err);

    if (r < 0)
        return r;
    if (place > bounds.high) {
        log_error("checkpoint.log_cut", log_word("topic", topic), log_number("partition", partition),
                  log_number("covered", place), log_number("there", bounds.high));
        return 0;
    }
    if (place >= 0 && place < bounds.low)
        log_error("checkpoint.log_gone", log_word("topic", topic), log_number("partition", partition),
                  log_number("covered", place), log_number("there", bounds.low));
    place = place < bounds.low ? bounds.low : place;
    if (place < bounds.high)
        stretch_add(notary, topic, partition, place, bounds.high);
    return 0;
}

/* What came since, to the high watermarks of now. A topic that is not there yet has nothing. */
static int stretches_look(struct notary *notary, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *places = NULL;
    int r = db_run_planned(notary->db, &SQL_notary_places, db_args_new(notary->arena), &places, err);

    for (int i = 0; r == 0 && checkpoint_topics[i]; i++) {
        int partitions = 0;

        r = reader_partitions(notary->reader, checkpoint_topics[i], &partitions, err);
        for (int32_t partition = 0; r == 0 && partition < partitions; partition++)
            r = partition_look(notary, places, checkpoint_topics[i], partition, err);
    }
    return r;
}

/* --- making one -------------------------------------------------------------------------------------- */

/* Into the checkpoint under way, as far as it has room. */
static int stretch_read(struct notary *notary, struct stretch *stretch, bool *full, struct err *err)
{
    const struct record *record = TAKE(stretch->left);
    int r = 0;

    checkpoint_window_begin(notary->builder, stretch->topic, stretch->partition, stretch->at);
    if (!record)
        r = reader_next(stretch->run, &record, err);
    while (r == 0 && record && !notary->stopping && checkpoint_add(notary->builder, record))
        r = reader_next(stretch->run, &record, err);
    if (r == 0 && notary->stopping)
        return err_cause(err, ERR_UNAVAILABLE, "stopping");
    if (r < 0)
        return r;
    *full = record != NULL;
    stretch->left = record;
    stretch->at = record ? record->offset : stretch->until;
    checkpoint_window_end(notary->builder, stretch->at);
    return 0;
}

static int read_on(struct notary *notary, bool *more, struct err *err)
{
    int r = 0;

    *more = false;
    checkpoint_builder_clear(notary->builder);
    for (int i = 0; r == 0 && i < notary->stretch_count && !*more; i++)
        if (notary->stretches[i].at < notary->stretches[i].until)
            r = stretch_read(notary, &notary->stretches[i], more, err);
    return r;
}

static int last_look(struct notary *notary, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(notary->db, &SQL_notary_last, db_args_new(notary->arena), &rows, err);
    size_t length;

    if (r < 0)
        return r;
    notary->number = PQntuples(rows) ? db_get_int(rows, 0, 0) : 0;
    if (notary->number)
        memcpy(notary->previous, db_get_bytes(rows, 0, 1, &length), DIGEST_BYTES);
    return 0;
}

static void describe(struct notary *notary, struct checkpoint *checkpoint)
{
    checkpoint->number = notary->number + 1;
    checkpoint->has_previous = notary->number > 0;
    memcpy(checkpoint->previous, notary->previous, DIGEST_BYTES);
    checkpoint->made_at = usec_now();
    snprintf(checkpoint->key_id, sizeof(checkpoint->key_id), "%s", sign_ring_id(notary->ring, 0));
    memcpy(checkpoint->public_key, sign_ring_public(notary->ring, 0), SIGN_PUBLIC_BYTES);
}

static int store(struct notary *notary, const struct checkpoint *checkpoint, const struct publication *publication,
                 struct err *err)
{
    struct db_args *args = db_args_new(notary->arena);
    struct db_column *topics, *partitions, *offsets;

    db_int(args, publication->number);
    db_bytes(args, publication->value, publication->length);
    db_bytes(args, publication->signature, SIGN_BYTES);
    db_text(args, publication->key_id);
    db_time(args, publication->made_at);
    topics = db_array(args, DB_TEXT);
    partitions = db_array(args, DB_INT);
    offsets = db_array(args, DB_INT);
    for (int i = 0; i < checkpoint->window_count; i++) {
        db_add_text(topics, checkpoint->windows[i].topic);
        db_add_int(partitions, checkpoint->windows[i].partition);
        db_add_int(offsets, checkpoint->windows[i].to);
    }
    return db_do_planned(notary->db, &SQL_notary_insert, args, err);
}

/* What was read becomes the next checkpoint: first in PostgreSQL, then on the topic. */
static int make(struct notary *notary, struct err *err)
{
    _cleanup_(buf_free) struct buf value = BUF_INIT(CHECKPOINT_BYTES);
    struct checkpoint checkpoint = { 0 };
    uint8_t signature[SIGN_BYTES];
    struct publication publication;
    int r;

    describe(notary, &checkpoint);
    checkpoint_built(notary->builder, &checkpoint);
    if (!checkpoint.windows)
        return 0;
    checkpoint_write(&checkpoint, &value);
    if (value.overflow)
        return err_cause(err, ERR_INTERNAL, "a checkpoint of more than %d bytes", CHECKPOINT_BYTES);
    publication = (struct publication){ .number = checkpoint.number,
                                        .value = value.data,
                                        .length = value.length,
                                        .signature = signature,
                                        .key_id = sign_make(notary->ring, value.data, value.length, signature),
                                        .made_at = checkpoint.made_at };
    r = store(notary, &checkpoint, &publication, err);
    if (r < 0)
        return r;
    notary->number = checkpoint.number;
    digest_of(notary->digest, value.data, value.length, notary->previous);
    return publish(notary, &publication, err);
}

/* --- rounds ------------------------------------------------------------------------------------------ */

static int lease_move(struct notary *notary, const struct sql *sql, usec_t wait, bool whole, struct err *err)
{
    struct db_args *args = db_args_new(notary->arena);

    db_text(args, notary->worker);
    db_int(args, wait);
    if (sql == &SQL_notary_release)
        db_bool(args, whole);
    return db_do_planned(notary->db, sql, args, err);
}

static int round_work(struct notary *notary, struct err *err)
{
    bool more = true;
    int r = 0;

    while (r == 0 && more)
        r = publish_left(notary, &more, err);
    if (r == 0)
        r = reader_new(notary->config, PATIENCE, &notary->reader, err);
    if (r == 0)
        r = last_look(notary, err);
    if (r == 0)
        r = stretches_look(notary, err);
    for (more = true; r == 0 && more;) {
        r = read_on(notary, &more, err);
        if (r == 0)
            r = make(notary, err);
        if (r == 0)
            r = lease_move(notary, &SQL_notary_renew, LEASE, false, err);
        arena_clear(notary->arena);
    }
    return r;
}

static void round_tell(struct notary *notary, int r, const struct err *err)
{
    if (r == -ERR_CONFLICT)
        log_info("checkpoint.elsewhere", log_number("number", notary->number + 1)); /* another worker's lease */
    else if (r < 0 && !notary->failing && !notary->stopping) /* told once, until it works again */
        log_err("checkpoint.failed", err);
    notary->failing = r < 0;
}

static void round_run(uv_work_t *work)
{
    struct notary *notary = work->data;
    struct err err = { 0 }, ignored;
    usec_t wait = notary->config->checkpoint_interval;
    int r;

    notary->db = db_new(notary->config->postgres_url, "docket-worker notary");
    r = round_work(notary, &err);
    round_tell(notary, r, &err);
    if (r < 0 && wait > LOOK_MAX)
        wait = LOOK_MAX;
    (void)lease_move(notary, &SQL_notary_release, wait, r == 0, &ignored); /* else it ends by itself */
    db_free(TAKE(notary->db));
    reader_free(TAKE(notary->reader));
    free(TAKE(notary->stretches));
    notary->stretch_count = 0;
    checkpoint_builder_clear(notary->builder);
    arena_clear(notary->arena);
}

static void notary_release(struct notary *notary)
{
    if (notary->asking || notary->busy)
        return;
    if (notary->producer)
        rd_kafka_destroy(notary->producer);
    checkpoint_builder_free(notary->builder);
    digest_free(notary->digest);
    arena_free(notary->arena);
    arena_free(notary->asking_arena);
    free(notary);
}

static void round_over(uv_work_t *work, int status)
{
    struct notary *notary = work->data;

    (void)status;
    notary->busy = false;
    if (notary->ended)
        notary_release(notary);
}

/* --- turns ------------------------------------------------------------------------------------------- */

static usec_t look_every(const struct notary *notary)
{
    usec_t wait = notary->config->checkpoint_interval / 4;

    return wait < LOOK_MIN ? LOOK_MIN : wait > LOOK_MAX ? LOOK_MAX : wait;
}

static void on_claimed(void *context, PGresult **results, const struct err *err)
{
    struct notary *notary = context;

    notary->asking = false;
    notary->next_at = usec_monotonic() + look_every(notary);
    if (notary->ended) {
        notary_release(notary);
        return;
    }
    if (err)
        return;
    metric_set(METRIC_CHECKPOINT_NUMBER, NULL, (double)db_get_int(results[0], 0, 1));
    if (!db_is_null(results[0], 0, 2))
        metric_set(METRIC_CHECKPOINT_AGE, NULL, (double)db_get_int(results[0], 0, 2));
    if (!db_get_bool(results[0], 0, 0) || notary->stopping)
        return;
    notary->busy = true;
    notary->work.data = notary;
    uv_queue_work(notary->loop, &notary->work, round_run, round_over);
}

void notary_turn(struct notary *notary)
{
    struct pipe_group *group;
    struct db_args *args;

    if (!notary->ring || notary->asking || notary->busy || notary->stopping || !pipe_is_up(notary->pipe) ||
        usec_monotonic() < notary->next_at)
        return;
    arena_clear(notary->asking_arena);
    args = db_args_new(notary->asking_arena);
    db_text(args, notary->worker);
    db_int(args, LEASE);
    group = pipe_group_new(notary->pipe);
    pipe_add(group, &SQL_notary_claim, args);
    notary->asking = true;
    pipe_send(group, on_claimed, notary);
}

struct notary *notary_new(uv_loop_t *loop, const struct config *config, const struct sign_ring *ring,
                          struct pipe *pipe, const char *worker)
{
    struct notary *notary = calloc(1, sizeof(*notary));

    if (!notary)
        abort();
    notary->loop = loop;
    notary->config = config;
    notary->pipe = pipe;
    notary->ring = ring;
    snprintf(notary->worker, sizeof(notary->worker), "%s", worker);
    snprintf(notary->source, sizeof(notary->source), "/docket/%s/docket-worker", config->cluster);
    snprintf(notary->topic, sizeof(notary->topic), "%s.checkpoints", config->topic_prefix);
    notary->arena = arena_new();
    notary->asking_arena = arena_new();
    notary->digest = digest_new();
    notary->builder = checkpoint_builder_new();
    if (!ring)
        log_warn("checkpoint.none_made", log_word("as", "DOCKET_CHECKPOINT_KEYS is empty"));
    return notary;
}

void notary_stop(struct notary *notary)
{
    notary->stopping = true;
}

void notary_free(struct notary *notary)
{
    if (!notary)
        return;
    notary->stopping = true;
    notary->ended = true;
    notary_release(notary);
}
