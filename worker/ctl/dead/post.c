#include "worker/ctl/dead/post.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/kafka.h"
#include "worker/ctl/dead/shelf.h"

enum { WAIT_MS = 60000 };

struct post {
    rd_kafka_t *producer;
    struct arena *arena;
};

static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct slip *slip = message->_private;

    (void)producer;
    (void)opaque;
    *slip = (struct slip){ message->err, message->partition, message->offset };
}

int post_new(const struct config *config, struct post **ret, struct err *err)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        { "enable.idempotence", "true" }, { "acks", "all" },           { "message.timeout.ms", "30000" },
        { "linger.ms", "5" },             { "compression.type", "lz4" }, { "message.max.bytes", "100000000" },
    };
    rd_kafka_conf_t *conf;
    rd_kafka_t *producer;
    char text[512];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
        }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!producer) {
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
    }
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        abort();
    (*ret)->producer = producer;
    (*ret)->arena = arena_new();
    return 0;
}

void post_free(struct post *post)
{
    if (!post)
        return;
    rd_kafka_purge(post->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(post->producer, 100);
    rd_kafka_destroy(post->producer);
    arena_free(post->arena);
    free(post);
}

void post_send(struct post *post, const char *topic, int32_t partition, const struct arrival *record,
               rd_kafka_headers_t *headers, struct slip *slip)
{
    rd_kafka_resp_err_t error;

    *slip = (struct slip){ .error = RD_KAFKA_RESP_ERR__TIMED_OUT };
    error = rd_kafka_producev(
        post->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_KEY(record->key, record->key_length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value, record->length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(slip), RD_KAFKA_V_END);
    if (!error)
        return;
    rd_kafka_headers_destroy(headers); /* librdkafka takes them only when it takes the message */
    slip->error = error;
}

void post_wait(struct post *post)
{
    rd_kafka_flush(post->producer, WAIT_MS);
}

void post_note(struct post *post, const struct config *config, const struct dead_note *note, struct slip *slip)
{
    char topic[SHELF_TOPIC_BYTES], key[24];
    const char *value = dead_note_value(note, post->arena);
    struct arrival record = { .key = key, .value = value, .length = strlen(value) };

    record.key_length = (size_t)snprintf(key, sizeof(key), "%lld", (long long)note->of);
    post_send(post, shelf_topic(config, topic), 0, &record, dead_note_headers(note), slip);
}

const char *post_author(const char *given, struct arena *arena)
{
    const struct passwd *user = getpwuid(geteuid());
    char host[128] = "";

    if (given)
        return given;
    gethostname(host, sizeof(host) - 1);
    return arena_printf(arena, "%s@%s", user ? user->pw_name : "?", host);
}
