#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/kafka.h"
#include "worker/ctl/verb.h"

enum { TIMEOUT_MS = 30000, NAME_BYTES = 256 };

static const struct topic {
    const char *name; /* after the prefix */
    bool single;      /* one partition: its order counts, or little goes there */
    const char *retention_ms;
    const char *max_message_bytes; /* NULL: the broker's own */
} topics[] = {
    { "lifecycle", false, "-1" }, /* the whole history can be replayed */
    { "callbacks", false,
      "604800000" }, /* seven days: what is not consumed by then is long on record */
    { "configuration", true, "-1" }, /* who changed what: one chain */
    { "dead", true, "-1", "2097152" }, /* what is as large as a broker takes comes there with some headers more */
    { "checkpoints", true, "-1" },
};

DEFINE_CLEANUP(rd_kafka_queue_t *, rd_kafka_queue_destroy)
DEFINE_CLEANUP(rd_kafka_event_t *, rd_kafka_event_destroy)
DEFINE_CLEANUP(rd_kafka_AdminOptions_t *, rd_kafka_AdminOptions_destroy)
DEFINE_CLEANUP(rd_kafka_NewTopic_t *, rd_kafka_NewTopic_destroy)
DEFINE_CLEANUP(rd_kafka_topic_t *, rd_kafka_topic_destroy)
DEFINE_CLEANUP(const struct rd_kafka_metadata *, rd_kafka_metadata_destroy)

static int partitions_of(const struct topic *topic, const struct config *config)
{
    return topic->single ? 1 : (int)config->topic_partitions;
}

static int client_new(const struct config *config, rd_kafka_t **ret, struct err *err)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf = NULL;
    char problem[256];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    *ret = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (!*ret)
        return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    conf = NULL; /* the client's */
    return 0;
}

static int topic_new(const struct topic *topic, const char *name, const struct config *config,
                     rd_kafka_NewTopic_t **ret, struct err *err)
{
    char problem[256];

    *ret = rd_kafka_NewTopic_new(name, partitions_of(topic, config), (int)config->topic_replication,
                                 problem, sizeof(problem));
    if (!*ret)
        return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    rd_kafka_NewTopic_set_config(*ret, "cleanup.policy", "delete");
    rd_kafka_NewTopic_set_config(*ret, "retention.ms", topic->retention_ms);
    if (topic->max_message_bytes)
        rd_kafka_NewTopic_set_config(*ret, "max.message.bytes", topic->max_message_bytes);
    return 0;
}

/* What the broker said of the one topic that was asked for. *created is false when it was there
 * before. */
static int answer_read(rd_kafka_event_t *event, bool *created, struct err *err)
{
    const rd_kafka_topic_result_t **results;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    size_t count = 0;

    if (!error) {
        results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        error = count ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    }
    *created = !error;
    return !error || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? 0 : kafka_err(error, err);
}

static int topic_create(rd_kafka_t *client, const struct topic *topic, const char *name,
                        const struct config *config, bool *created, struct err *err)
{
    _cleanup_(rd_kafka_NewTopic_destroyp) rd_kafka_NewTopic_t *wanted = NULL;
    _cleanup_(rd_kafka_AdminOptions_destroyp) rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    _cleanup_(rd_kafka_queue_destroyp) rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    _cleanup_(rd_kafka_event_destroyp) rd_kafka_event_t *event = NULL;
    char problem[256];
    int r = topic_new(topic, name, config, &wanted, err);

    if (r < 0)
        return r;
    /* Until its partitions have leaders, so that the next program finds it. */
    if (rd_kafka_AdminOptions_set_operation_timeout(options, TIMEOUT_MS, problem, sizeof(problem)))
        return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    rd_kafka_CreateTopics(client, &wanted, 1, options, queue);
    event = rd_kafka_queue_poll(queue, 2 * TIMEOUT_MS);
    return event ? answer_read(event, created, err) : kafka_err(RD_KAFKA_RESP_ERR__TIMED_OUT, err);
}

static int partitions_ask(rd_kafka_t *client, const char *name, int *ret, struct err *err)
{
    _cleanup_(rd_kafka_topic_destroyp) rd_kafka_topic_t *topic =
        rd_kafka_topic_new(client, name, NULL);
    _cleanup_(rd_kafka_metadata_destroyp) const struct rd_kafka_metadata *metadata = NULL;
    usec_t until = usec_monotonic() + TIMEOUT_MS * USEC_PER_MS;
    rd_kafka_resp_err_t error;

    /* A broker may say that a topic exists before its metadata does. */
    do {
        rd_kafka_metadata_destroyp(&metadata);
        metadata = NULL;
        error = rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS);
        if (!error)
            error = metadata->topic_cnt ? metadata->topics[0].err
                                        : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    } while (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && usec_monotonic() < until);
    if (error)
        return kafka_err(error, err);
    *ret = metadata->topics[0].partition_cnt;
    return 0;
}

/* An existing topic stays as it is, whatever the settings say now. */
static int topic_ensure(rd_kafka_t *client, const struct topic *topic, const struct config *config,
                        struct err *err)
{
    int partitions = 0, r;
    char name[NAME_BYTES];
    bool created = false;

    snprintf(name, sizeof(name), "%s.%s", config->topic_prefix, topic->name);
    r = topic_create(client, topic, name, config, &created, err);
    if (r == 0) /* of one just made too: a program that finds only some of its topics reads only those for a while */
        r = partitions_ask(client, name, &partitions, err);
    if (r < 0) {
        const struct err why = *err;

        return err_cause(err, why.code, "topic %s: %s", name, why.cause);
    }
    printf("%-*s %4d partition%s  %s\n", (int)strlen(config->topic_prefix) + 12, name, partitions,
           partitions == 1 ? " " : "s", created ? "created" : "exists");
    return 0;
}

int topics_verb(const struct config *config, char **args, struct err *err)
{
    _cleanup_(rd_kafka_destroyp) rd_kafka_t *client = NULL;
    int r;

    if (args[0])
        return verb_usage("topics", err);
    r = client_new(config, &client, err);
    for (size_t i = 0; r == 0 && i < COUNT_OF(topics); i++)
        r = topic_ensure(client, &topics[i], config, err);
    return r;
}
