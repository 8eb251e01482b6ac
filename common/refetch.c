#include "common/refetch.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/kafka.h"

enum { TURN_MS = 100 };

DEFINE_CLEANUP(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_destroy)

void refetched_free(struct refetched *refetched)
{
    if (!refetched)
        return;
    if (refetched->message)
        rd_kafka_message_destroy(refetched->message);
    if (refetched->consumer) {
        rd_kafka_consumer_close(refetched->consumer);
        rd_kafka_destroy(refetched->consumer);
    }
    free(refetched);
}

/* It joins no group, and commits nothing. */
static int consumer_new(const struct config *config, rd_kafka_t **ret, struct err *err)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        { "group.id", "docket.refetch" },    { "enable.auto.commit", "false" },
        { "auto.offset.reset", "error" },    { "enable.partition.eof", "true" },
        { "queued.min.messages", "1" },      { "fetch.wait.max.ms", "10" },
    };
    rd_kafka_conf_t *conf;
    char text[512];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
        }
    *ret = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (!*ret) {
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
    }
    rd_kafka_poll_set_consumer(*ret);
    return 0;
}

static int assign(rd_kafka_t *consumer, const struct place *place, struct err *err)
{
    _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t error;

    rd_kafka_topic_partition_list_add(list, place->topic, place->partition)->offset = place->offset;
    error = rd_kafka_assign(consumer, list);
    return error ? kafka_err(error, err) : 0;
}

static int gone(struct err *err)
{
    return err_set(err, ERR_GONE, "The topic does not have the record any more.");
}

/* What one message says about it; 1: nothing yet. */
static int judge(struct refetched *refetched, rd_kafka_message_t *message, int64_t offset, struct err *err)
{
    rd_kafka_resp_err_t error = message->err;

    if (!error && message->offset == offset) {
        refetched->message = message;
        return 0;
    }
    rd_kafka_message_destroy(message);
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: /* a later one: it was deleted */
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return gone(err);
    default:
        return 1; /* brokers that come and go */
    }
}

static int await(struct refetched *refetched, int64_t offset, usec_t until, struct err *err)
{
    while (usec_monotonic() < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(refetched->consumer, TURN_MS);
        int r = message ? judge(refetched, message, offset, err) : 1;

        if (r <= 0)
            return r;
    }
    return err_cause(err, ERR_UNAVAILABLE, "kafka: the record was not to be had in time");
}

int refetch(const struct config *config, const struct place *place, usec_t patience, struct refetched **ret,
            struct err *err)
{
    _cleanup_(refetched_freep) struct refetched *refetched = calloc(1, sizeof(*refetched));
    int r;

    if (!refetched)
        abort();
    r = consumer_new(config, &refetched->consumer, err);
    if (r == 0)
        r = assign(refetched->consumer, place, err);
    if (r == 0)
        r = await(refetched, place->offset, usec_monotonic() + patience, err);
    if (r < 0)
        return r;
    *ret = TAKE(refetched);
    return 0;
}
