/*
 * replay - records of one of docket's topics, as they are, to another topic or to a file: for a consumer that begins
 * anew, or somewhere else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/event.h"
#include "common/kafka.h"
#include "common/structured.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/log.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit replay --to TOPIC|FILE; see docketctl audit --help"

/* An event is published after it happened, by a clock that may be another's. */
#define CLOCKS_APART (10 * 60 * USEC_PER_S)

enum { LINE_BYTES = 64 * 1024 * 1024, TIMEOUT_MS = 30000 };

struct options {
    const char *to, *from_topic;
    usec_t since, until;
    struct option_texts types, requests;
};

static const struct option_row rows[] = {
    { "--to", OPTION_TEXT, offsetof(struct options, to) },
    { "--from-topic", OPTION_TEXT, offsetof(struct options, from_topic) },
    { "--since", OPTION_TIME, offsetof(struct options, since) },
    { "--until", OPTION_TIME, offsetof(struct options, until) },
    { "--type", OPTION_TEXTS, offsetof(struct options, types) },
    { "--request", OPTION_TEXTS, offsetof(struct options, requests) },
    { 0 },
};

struct replay {
    const struct config *config;
    struct options options;
    long long count;
    /* One of these. */
    FILE *file;
    rd_kafka_t *producer;
    rd_kafka_resp_err_t refused; /* what a broker said of a record */
    struct buf line;
};

/* --- which records ----------------------------------------------------------------------------------- */

static bool is_among(const struct option_texts *texts, const char *text, size_t length)
{
    for (int i = 0; i < texts->count; i++)
        if (strlen(texts->texts[i]) == length && !memcmp(texts->texts[i], text, length))
            return true;
    return !texts->count;
}

/* By when it happened, not by when it came to the topic. What has no time is in no span of time. */
static bool is_in_time(const struct options *options, const char *text)
{
    usec_t time;

    if (options->since == USEC_NONE && options->until == USEC_NONE)
        return true;
    return text && usec_parse(text, &time) && (options->since == USEC_NONE || time >= options->since) &&
           (options->until == USEC_NONE || time < options->until);
}

static bool is_wanted(const struct options *options, const struct record *record)
{
    struct record_event event;
    const char *type;

    record_event(record, &event);
    type = event.attributes[RECORD_TYPE] ? event.attributes[RECORD_TYPE] : "";
    return is_among(&options->requests, record->key ? record->key : "", record->key_length) &&
           is_among(&options->types, type, strlen(type)) && is_in_time(options, event.attributes[RECORD_TIME]);
}

/* --- to a file --------------------------------------------------------------------------------------- */

static int file_open(struct replay *replay, const char *path, struct err *err)
{
    replay->file = strcmp(path, "-") ? fopen(path, "we") : stdout;
    if (!replay->file)
        return err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno));
    return 0;
}

static int file_failed(const struct replay *replay, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "%.200s: %s", replay->options.to, strerror(errno));
}

static int file_write(struct replay *replay, const struct record *record, struct err *err)
{
    buf_clear(&replay->line);
    structured_add(&replay->line, record);
    buf_addc(&replay->line, '\n');
    if (replay->line.overflow)
        return err_cause(err, ERR_INTERNAL, "a record of %zu bytes is too long for a line", record->value_length);
    if (fwrite(replay->line.data, 1, replay->line.length, replay->file) != replay->line.length)
        return file_failed(replay, err);
    return 0;
}

static int file_close(struct replay *replay, struct err *err)
{
    FILE *file = TAKE(replay->file);

    if (file && (file == stdout ? fflush(file) : fclose(file)))
        return file_failed(replay, err);
    return 0;
}

/* --- to a topic -------------------------------------------------------------------------------------- */

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct replay *replay = opaque;

    (void)producer;
    if (message->err && !replay->refused)
        replay->refused = message->err;
    replay->count += !message->err;
}

static int producer_open(struct replay *replay, struct err *err)
{
    static const char *const settings[][2] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "compression.type", "lz4" },
        { "linger.ms", "10" },
        { "queue.buffering.max.kbytes", "65536" },
        { "allow.auto.create.topics", "false" },
    };
    rd_kafka_conf_t *conf;
    char problem[256];
    int r = kafka_conf(replay->config, &conf, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], problem, sizeof(problem)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
        }
    rd_kafka_conf_set_opaque(conf, replay);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    replay->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (replay->producer)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

/* A topic that nobody made has a name that nobody meant. */
static int topic_check(struct replay *replay, struct err *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(replay->producer, replay->options.to, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error;

    if (!topic)
        return kafka_err(rd_kafka_last_error(), err);
    error = rd_kafka_metadata(replay->producer, 0, topic, &metadata, TIMEOUT_MS);
    if (!error)
        error = metadata->topic_cnt ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        return err_set(err, ERR_BAD_REQUEST,
                       "there is no topic %.200s: make it first; a file is named with a '/' in it", replay->options.to);
    return error ? kafka_err(error, err) : 0;
}

static int topic_open(struct replay *replay, struct err *err)
{
    const char *prefix = replay->config->topic_prefix, *to = replay->options.to;
    size_t length = strlen(prefix);
    int r;

    if (!strncmp(to, prefix, length) && to[length] == '.')
        return err_set(err, ERR_BAD_REQUEST, "%.200s is one of docket's own topics", to);
    r = producer_open(replay, err);
    return r == 0 ? topic_check(replay, err) : r;
}

static rd_kafka_headers_t *headers_copy(const struct record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)record->header_count);

    for (int i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];

        rd_kafka_header_add(headers, header->name, -1, header->value, header->value ? (ssize_t)header->length : 0);
    }
    return headers;
}

static rd_kafka_resp_err_t produce(struct replay *replay, const struct record *record)
{
    rd_kafka_headers_t *headers = headers_copy(record);
    rd_kafka_resp_err_t error = rd_kafka_producev(
        replay->producer, RD_KAFKA_V_TOPIC(replay->options.to),
        RD_KAFKA_V_KEY((void *)(uintptr_t)record->key, record->key_length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->value_length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

    if (error)
        rd_kafka_headers_destroy(headers);
    return error;
}

/* Into the producer's queue, waiting for room in it. The key decides on the partition, so the order of each is kept. */
static int topic_write(struct replay *replay, const struct record *record, struct err *err)
{
    rd_kafka_resp_err_t error = produce(replay, record);

    while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(replay->producer, 100);
        error = produce(replay, record);
    }
    rd_kafka_poll(replay->producer, 0);
    if (!error)
        error = replay->refused;
    return error ? kafka_err(error, err) : 0;
}

static int topic_close(struct replay *replay, struct err *err)
{
    rd_kafka_resp_err_t error = rd_kafka_flush(replay->producer, TIMEOUT_MS);

    if (!error)
        error = replay->refused;
    return error ? kafka_err(error, err) : 0;
}

/* --- the verb ---------------------------------------------------------------------------------------- */

/* A word that holds a '/' is a path, as no topic's name does. */
static bool is_file(const char *to)
{
    return !strcmp(to, "-") || strchr(to, '/');
}

static int replay_open(struct replay *replay, struct err *err)
{
    return is_file(replay->options.to) ? file_open(replay, replay->options.to, err) : topic_open(replay, err);
}

static int record_write(struct replay *replay, const struct record *record, struct err *err)
{
    if (record->has_more_headers)
        return err_cause(err, ERR_INTERNAL, "a record with more than %d headers", RECORD_HEADERS_MAX);
    if (replay->producer)
        return topic_write(replay, record, err);
    replay->count++;
    return file_write(replay, record, err);
}

static int records_write(struct replay *replay, struct err *err)
{
    const struct options *options = &replay->options;
    const struct log_range range = {
        .since = options->since == USEC_NONE ? USEC_NONE : options->since - CLOCKS_APART,
        .partition = LOG_ALL,
    };
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;
    int r = log_open(replay->config, options->from_topic, &range, &log, err);

    while (r == 0 && (r = log_next(log, &record, err)) == 0 && record)
        if (is_wanted(options, record))
            r = record_write(replay, record, err);
    if (r < 0)
        return r;
    return replay->producer ? topic_close(replay, err) : file_close(replay, err);
}

static int options_check(const struct options *options, const struct option_texts *words, struct err *err)
{
    static const char *const topics[] = { "lifecycle", "callbacks", "configuration" };
    bool is_known = false;

    if (!options->to || words->count)
        return verb_usage(USAGE, err);
    for (size_t i = 0; i < COUNT_OF(topics); i++)
        is_known |= !strcmp(options->from_topic, topics[i]);
    if (!is_known)
        return err_set(err, ERR_BAD_REQUEST, "--from-topic is lifecycle, callbacks or configuration");
    for (int i = 0; i < options->types.count; i++)
        if (event_parse(options->types.texts[i]) == EVENT_UNKNOWN)
            return err_set(err, ERR_BAD_REQUEST, "there is no type %.100s; schemas/README.md lists them",
                           options->types.texts[i]);
    return 0;
}

int audit_replay(const struct config *config, char **args, struct err *err)
{
    struct replay replay = {
        .config = config,
        .options = { .from_topic = "lifecycle", .since = USEC_NONE, .until = USEC_NONE },
        .line = BUF_INIT(LINE_BYTES),
    };
    struct option_texts words;
    int r = option_read(args, rows, &replay.options, &words, err);

    if (r == 0)
        r = options_check(&replay.options, &words, err);
    if (r == 0)
        r = replay_open(&replay, err);
    if (r == 0)
        r = records_write(&replay, err);
    if (replay.producer)
        rd_kafka_destroy(replay.producer);
    if (replay.file && replay.file != stdout)
        fclose(replay.file);
    buf_free(&replay.line);
    if (r == 0)
        fprintf(stderr, "%lld record%s of %s to %s\n", replay.count, replay.count == 1 ? "" : "s",
                replay.options.from_topic, replay.options.to);
    return r;
}
