/*
 * bench_history - a log as docket would have written it, written as fast as Kafka takes it: requests with ten events each,
 * some thousands of them at a time, with chains that are right, and a checkpoint for each stretch.
 *
 *   bench_history --brokers HOST:PORT --prefix P --partitions N --requests N --keys ID:BASE64
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint.h"
#include "common/config.h"
#include "common/event.h"
#include "common/kafka.h"

enum {
    EVENTS = 10,     /* of a request */
    AT_ONCE = 2000,  /* requests under way */
    STRETCH = 10000, /* events between two checkpoints */
    HEADERS = 12,
    PARTITIONS_MAX = 256,
};

struct options {
    const char *brokers, *prefix, *keys;
    int partitions, requests;
};

/* A request under way. */
struct life {
    char id[64];
    const char *trace;
    int seq;
    uint8_t chain[DIGEST_BYTES];
};

/* A record with the texts that it points to: the stretch's arena's. */
struct made {
    struct record record;
    int32_t partition;
};

struct history {
    struct options options;
    rd_kafka_t *client;
    struct sign_ring *ring;
    struct digest *digest;
    struct arena *arena; /* of a stretch */
    struct checkpoint_builder *builder;
    struct life lives[AT_ONCE];
    struct made *made; /* of the stretch */
    int made_count, begun, number;
    int64_t offsets[PARTITIONS_MAX];
    uint8_t previous[DIGEST_BYTES];
    usec_t now;
    rd_kafka_resp_err_t refused;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_history: %s\n", what);
    exit(1);
}

/* --- events -------------------------------------------------------------------------------------------- */

static const struct event_webhook webhook = { .webhook_id = "pre_1f0c4a52-6f5e-4a0e-9d5b-0a5c2f1f7b3e",
                                              .webhook_key = "risk_check",
                                              .delivery_id = "dlv_0af7651916cd43dd8448eb211c80319c",
                                              .kind = "pre_approval" };

static const char *payload_of(struct history *history, const struct life *life, enum event_type *type)
{
    struct event_attempt attempt = { .webhook = webhook,
                                     .attempt = 1,
                                     .status_code = 200,
                                     .outcome = "succeeded",
                                     .duration = 12345,
                                     .next_attempt_at = USEC_NONE };
    const struct event_task task = { .task_id = "access:postgres_example:customer",
                                     .action = "access",
                                     .connection_key = "postgres_example",
                                     .dataset = "postgres_example",
                                     .collection = "customer",
                                     .row_count = 3,
                                     .next_try_at = USEC_NONE };
    const struct event_creation creation = { .policy_id = "pol_default_access_policy",
                                             .policy_key = "default_access_policy",
                                             .action_type = "access",
                                             .source = "Privacy Center",
                                             .time = history->now,
                                             .requested_at = history->now,
                                             .due_date = history->now,
                                             .started_processing_at = USEC_NONE,
                                             .finished_processing_at = USEC_NONE };
    const char *id = life->id;

    switch (life->seq) {
    case 1:
        *type = EVENT_CREATED;
        return event_created(history->arena, id, &creation);
    case 2:
        *type = EVENT_PRE_APPROVAL_REQUESTED;
        return event_pre_approval_requested(history->arena, id, &webhook, 1);
    case 3:
        *type = EVENT_WEBHOOK_SENT;
        return event_webhook_attempt(history->arena, id, &attempt);
    case 4:
        *type = EVENT_ELIGIBLE;
        return event_reply(history->arena, id, &webhook, true, PR_NONE, NULL);
    case 5:
        *type = EVENT_APPROVED;
        return event_approved(history->arena, id, "webhooks", NULL, &webhook);
    case 6:
        *type = EVENT_STARTED;
        return event_started(history->arena, id, 4, NULL);
    case EVENTS:
        *type = EVENT_COMPLETED;
        return event_status(history->arena, id, PR_COMPLETE);
    default:
        *type = EVENT_TASK_COMPLETED;
        return event_task(history->arena, id, &task);
    }
}

static void header_put(struct record *record, enum record_attribute attribute, const char *text)
{
    record->headers[record->header_count++] =
        (struct record_header){ record_attribute_name(attribute), text, strlen(text) };
}

static void chain_put(struct history *history, struct life *life, struct record *record)
{
    struct record_event event;
    char *hex = arena_alloc(history->arena, DIGEST_HEX_BYTES);

    record_event(record, &event);
    chain_next(history->digest, life->seq > 1 ? life->chain : NULL, &event, record->value, record->value_length,
               life->chain);
    header_put(record, RECORD_CHAIN, digest_hex(life->chain, hex));
}

/* The next event of a request, as publish.c would have sent it. */
static void event_make(struct history *history, struct life *life)
{
    struct made *made = &history->made[history->made_count++];
    struct record *record = &made->record;
    char *time = arena_alloc(history->arena, USEC_TEXT_BYTES);
    enum event_type type;
    const char *value, *word, *id = arena_strdup(history->arena, life->id);

    life->seq++;
    value = payload_of(history, life, &type);
    word = event_word(type);
    *record = (struct record){
        .key = id, .key_length = strlen(id), .value = value, .value_length = strlen(value)
    };
    header_put(record, RECORD_CONTENT_TYPE, "application/json");
    header_put(record, RECORD_SPECVERSION, "1.0");
    header_put(record, RECORD_ID, arena_printf(history->arena, "%s.%d", id, life->seq));
    header_put(record, RECORD_SOURCE, "/docket/local/docket-worker");
    header_put(record, RECORD_TYPE, word);
    header_put(record, RECORD_SUBJECT, id);
    header_put(record, RECORD_TIME, usec_format_z(history->now += 137, time));
    header_put(record, RECORD_DATASCHEMA, arena_printf(history->arena, "docket:events/%s.json", word));
    header_put(record, RECORD_TRACEPARENT, event_trace_child(history->arena, life->trace));
    if (life->seq > 1)
        header_put(record, RECORD_CAUSE, arena_printf(history->arena, "%s.%d", id, life->seq - 1));
    header_put(record, RECORD_SEQUENCE, arena_printf(history->arena, "%020d", life->seq));
    chain_put(history, life, record);
    made->partition =
        rd_kafka_msg_partitioner_consistent(NULL, id, strlen(id), history->options.partitions, NULL, NULL);
}

/* --- Kafka --------------------------------------------------------------------------------------------- */

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct history *history = opaque;

    (void)client;
    if (message->err)
        history->refused = message->err;
}

static void client_open(struct history *history)
{
    static const char *const settings[][2] = { { "enable.idempotence", "true" },
                                               { "compression.type", "lz4" },
                                               { "linger.ms", "20" },
                                               { "queue.buffering.max.messages", "200000" },
                                               { "message.max.bytes", "2000000" } };
    const struct config config = { .kafka_brokers = history->options.brokers, .kafka_properties = "" };
    rd_kafka_conf_t *conf;
    char problem[256];
    struct err err;

    if (kafka_conf(&config, &conf, &err) < 0)
        die(err.text);
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], problem, sizeof(problem)) != RD_KAFKA_CONF_OK)
            die(problem);
    rd_kafka_conf_set_opaque(conf, history);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    history->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (!history->client)
        die(problem);
}

static void record_send(struct history *history, const char *topic, int32_t partition, const struct record *record)
{
    rd_kafka_resp_err_t error;
    char name[256];

    snprintf(name, sizeof(name), "%s.%s", history->options.prefix, topic);
    do {
        rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)record->header_count);

        for (int i = 0; i < record->header_count; i++)
            rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
                                (ssize_t)record->headers[i].length);
        error = rd_kafka_producev(history->client, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_KEY((void *)(uintptr_t)record->key, record->key_length),
                                  RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->value_length),
                                  RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_END);
        if (error)
            rd_kafka_headers_destroy(headers);
        rd_kafka_poll(history->client, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 100 : 0);
    } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    if (error || history->refused)
        die(rd_kafka_err2name(error ? error : history->refused));
}

/* --- checkpoints --------------------------------------------------------------------------------------- */

static void windows_build(struct history *history)
{
    checkpoint_builder_clear(history->builder);
    for (int32_t partition = 0; partition < history->options.partitions; partition++) {
        checkpoint_window_begin(history->builder, "lifecycle", partition, history->offsets[partition]);
        for (int i = 0; i < history->made_count; i++) {
            if (history->made[i].partition != partition)
                continue;
            if (!checkpoint_add(history->builder, &history->made[i].record))
                die("too much for a checkpoint");
            history->offsets[partition]++;
        }
        checkpoint_window_end(history->builder, history->offsets[partition]);
    }
}

static void checkpoint_send(struct history *history)
{
    _cleanup_(buf_free) struct buf value = BUF_INIT(CHECKPOINT_BYTES);
    struct checkpoint checkpoint = { .number = ++history->number, .made_at = history->now };
    char id[64], sequence[32], time[USEC_TEXT_BYTES], text[SIGN_TEXT_BYTES];
    uint8_t signature[SIGN_BYTES];
    struct record record = { .key = CHECKPOINT_SUBJECT, .key_length = strlen(CHECKPOINT_SUBJECT) };

    windows_build(history);
    checkpoint.has_previous = checkpoint.number > 1;
    memcpy(checkpoint.previous, history->previous, DIGEST_BYTES);
    snprintf(checkpoint.key_id, sizeof(checkpoint.key_id), "%s", sign_ring_id(history->ring, 0));
    memcpy(checkpoint.public_key, sign_ring_public(history->ring, 0), SIGN_PUBLIC_BYTES);
    checkpoint_built(history->builder, &checkpoint);
    checkpoint_write(&checkpoint, &value);
    digest_of(history->digest, value.data, value.length, history->previous);
    record.value = value.data;
    record.value_length = value.length;
    snprintf(id, sizeof(id), CHECKPOINT_SUBJECT ".%d", history->number);
    snprintf(sequence, sizeof(sequence), "%020d", history->number);
    header_put(&record, RECORD_CONTENT_TYPE, "application/json");
    header_put(&record, RECORD_SPECVERSION, "1.0");
    header_put(&record, RECORD_ID, id);
    header_put(&record, RECORD_SOURCE, "/docket/local/docket-worker");
    header_put(&record, RECORD_TYPE, CHECKPOINT_TYPE);
    header_put(&record, RECORD_SUBJECT, CHECKPOINT_SUBJECT);
    header_put(&record, RECORD_TIME, usec_format_z(checkpoint.made_at, time));
    header_put(&record, RECORD_DATASCHEMA, "docket:events/" CHECKPOINT_TYPE ".json");
    header_put(&record, RECORD_SEQUENCE, sequence);
    header_put(&record, RECORD_KEY_ID, sign_make(history->ring, value.data, value.length, signature));
    header_put(&record, RECORD_SIGNATURE, sign_text(signature, text));
    record_send(history, "checkpoints", 0, &record);
}

/* --- all of it ----------------------------------------------------------------------------------------- */

static void stretch_end(struct history *history)
{
    if (!history->made_count)
        return;
    for (int i = 0; i < history->made_count; i++)
        record_send(history, "lifecycle", history->made[i].partition, &history->made[i].record);
    checkpoint_send(history);
    history->made_count = 0;
    arena_clear(history->arena);
}

static bool life_begin(struct history *history, struct life *life, struct arena *arena)
{
    if (history->begun == history->options.requests)
        return false;
    history->begun++;
    *life = (struct life){ .trace = event_trace_new(arena) };
    snprintf(life->id, sizeof(life->id), "%s", event_row_id(arena, "pri"));
    return true;
}

/* Each request that is under way has an event in its turn; when it has its last, another begins. */
static void history_write(struct history *history)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    int under_way;

    for (int i = 0; i < AT_ONCE; i++)
        history->lives[i].seq = EVENTS; /* none yet */
    do {
        under_way = 0;
        for (int i = 0; i < AT_ONCE; i++) {
            struct life *life = &history->lives[i];

            if (life->seq == EVENTS && !life_begin(history, life, arena))
                continue;
            event_make(history, life);
            under_way++;
            if (history->made_count == STRETCH)
                stretch_end(history);
        }
    } while (under_way);
    stretch_end(history);
}

static void options_read(int argc, char **argv, struct options *ret)
{
    static const struct option known[] = { { "brokers", required_argument, NULL, 'b' },
                                           { "prefix", required_argument, NULL, 'p' },
                                           { "partitions", required_argument, NULL, 'n' },
                                           { "requests", required_argument, NULL, 'r' },
                                           { "keys", required_argument, NULL, 'k' },
                                           { 0 } };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'b')
            ret->brokers = optarg;
        else if (option == 'p')
            ret->prefix = optarg;
        else if (option == 'k')
            ret->keys = optarg;
        else if (option == 'n')
            ret->partitions = atoi(optarg);
        else if (option == 'r')
            ret->requests = atoi(optarg);
    }
    if (!ret->brokers || !ret->prefix || !ret->keys || ret->requests < 1 || ret->partitions < 1 ||
        ret->partitions > PARTITIONS_MAX)
        die("--brokers --prefix --partitions --requests --keys");
}

int main(int argc, char **argv)
{
    struct history *history = calloc(1, sizeof(*history));
    struct err err;

    if (!history || !(history->made = calloc(STRETCH, sizeof(*history->made))))
        abort();
    options_read(argc, argv, &history->options);
    if (sign_ring_new(history->options.keys, &history->ring, &err) < 0)
        die(err.cause);
    client_open(history);
    history->digest = digest_new();
    history->arena = arena_new();
    history->builder = checkpoint_builder_new();
    history->now = 1767323045 * USEC_PER_S;
    history_write(history);
    if (rd_kafka_flush(history->client, 120000) || history->refused)
        die("Kafka did not take all of it");
    printf("{\"requests\":%d,\"events\":%d,\"checkpoints\":%d}\n", history->options.requests,
           history->options.requests * EVENTS, history->number);
    rd_kafka_destroy(history->client);
    checkpoint_builder_free(history->builder);
    sign_ring_free(history->ring);
    digest_free(history->digest);
    arena_free(history->arena);
    free(history->made);
    free(history);
    return 0;
}
