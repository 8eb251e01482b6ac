#include "worker/ctl/admin.h"

#include <string.h>

#include "common/config.h"

enum {
    TIMEOUT_MS = 30000,
    METADATA_MS = 5000, /* any broker has it at hand */
};

DEFINE_CLEANUP(rd_kafka_queue_t *, rd_kafka_queue_destroy)
DEFINE_CLEANUP(rd_kafka_event_t *, rd_kafka_event_destroy)
DEFINE_CLEANUP(rd_kafka_AdminOptions_t *, rd_kafka_AdminOptions_destroy)
DEFINE_CLEANUP(rd_kafka_NewTopic_t *, rd_kafka_NewTopic_destroy)
DEFINE_CLEANUP(rd_kafka_NewPartitions_t *, rd_kafka_NewPartitions_destroy)
DEFINE_CLEANUP(rd_kafka_ConfigResource_t *, rd_kafka_ConfigResource_destroy)
DEFINE_CLEANUP(rd_kafka_topic_t *, rd_kafka_topic_destroy)
DEFINE_CLEANUP(const struct rd_kafka_metadata *, rd_kafka_metadata_destroy)

/* One question to the cluster and what came back of it. */
struct ask {
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
};

static void ask_end(struct ask *ask)
{
    rd_kafka_event_destroyp(&ask->event);
    rd_kafka_queue_destroyp(&ask->queue);
    rd_kafka_AdminOptions_destroyp(&ask->options);
}

static int problem_err(const char *problem, struct err *err)
{
    return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

static void ask_begin(rd_kafka_t *client, rd_kafka_admin_op_t operation, struct ask *ask)
{
    *ask = (struct ask){ .options = rd_kafka_AdminOptions_new(client, operation), .queue = rd_kafka_queue_new(client) };
}

/* Until its effect is there, so that the next program finds it. */
static int ask_finish(struct ask *ask, struct err *err)
{
    char problem[256];

    if (rd_kafka_AdminOptions_set_operation_timeout(ask->options, TIMEOUT_MS, problem, sizeof(problem)))
        return problem_err(problem, err);
    return 0;
}

static int ask_wait(struct ask *ask, struct err *err)
{
    rd_kafka_resp_err_t error;

    ask->event = rd_kafka_queue_poll(ask->queue, 2 * TIMEOUT_MS);
    error = ask->event ? rd_kafka_event_error(ask->event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    return error ? kafka_err(error, err) : 0;
}

int admin_open(const struct config *config, rd_kafka_t **ret, struct err *err)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf = NULL;
    char problem[256];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    *ret = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (!*ret)
        return problem_err(problem, err);
    conf = NULL; /* the client's */
    return 0;
}

/* --- making ------------------------------------------------------------------------------------------ */

static int new_topic(const struct admin_new *topic, rd_kafka_NewTopic_t **ret, struct err *err)
{
    char problem[256];

    *ret = rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replicas, problem, sizeof(problem));
    if (!*ret)
        return problem_err(problem, err);
    for (int i = 0; i < topic->setting_count; i++)
        rd_kafka_NewTopic_set_config(*ret, topic->settings[i].name, topic->settings[i].value);
    return 0;
}

/* What the broker said of the one topic that was asked for. */
static rd_kafka_resp_err_t topic_error(const rd_kafka_topic_result_t **results, size_t count)
{
    return count ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
}

int admin_create(rd_kafka_t *client, const struct admin_new *topic, bool *created, struct err *err)
{
    _cleanup_(rd_kafka_NewTopic_destroyp) rd_kafka_NewTopic_t *wanted = NULL;
    _cleanup_(ask_end) struct ask ask = { 0 };
    const rd_kafka_topic_result_t **results;
    rd_kafka_resp_err_t error;
    size_t count;
    int r;

    ask_begin(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, &ask);
    r = new_topic(topic, &wanted, err);
    if (r == 0)
        r = ask_finish(&ask, err);
    if (r < 0)
        return r;
    rd_kafka_CreateTopics(client, &wanted, 1, ask.options, ask.queue);
    r = ask_wait(&ask, err);
    if (r < 0)
        return r;
    results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ask.event), &count);
    error = topic_error(results, count);
    *created = !error;
    return !error || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? 0 : kafka_err(error, err);
}

/* --- looking ----------------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t metadata_ask(rd_kafka_t *client, const char *name, const struct rd_kafka_metadata **ret)
{
    _cleanup_(rd_kafka_topic_destroyp) rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic, ret, METADATA_MS);

    if (error)
        return error;
    return (*ret)->topic_cnt ? (*ret)->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

int admin_partitions(rd_kafka_t *client, const char *name, int *ret, struct err *err)
{
    usec_t until = usec_monotonic() + TIMEOUT_MS * USEC_PER_MS;
    rd_kafka_resp_err_t error;

    /* A broker may say that a topic exists before its metadata does. */
    do {
        _cleanup_(rd_kafka_metadata_destroyp) const struct rd_kafka_metadata *metadata = NULL;

        error = metadata_ask(client, name, &metadata);
        if (!error)
            *ret = metadata->topics[0].partition_cnt;
    } while (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && usec_monotonic() < until);
    return error ? kafka_err(error, err) : 0;
}

static int replicas_of(const struct rd_kafka_metadata_topic *topic)
{
    int least = topic->partition_cnt ? topic->partitions[0].replica_cnt : 0;

    for (int i = 1; i < topic->partition_cnt; i++)
        if (topic->partitions[i].replica_cnt < least)
            least = topic->partitions[i].replica_cnt;
    return least;
}

/* `entries`: of the one topic that was asked for. */
static int configs_ask(rd_kafka_t *client, const char *name, struct ask *ask, const rd_kafka_ConfigEntry_t ***entries,
                       size_t *count, struct err *err)
{
    _cleanup_(rd_kafka_ConfigResource_destroyp) rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    const rd_kafka_ConfigResource_t **results;
    size_t result_count;
    int r;

    ask_begin(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, ask);
    rd_kafka_DescribeConfigs(client, &resource, 1, ask->options, ask->queue);
    r = ask_wait(ask, err);
    if (r < 0)
        return r;
    results =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(ask->event), &result_count);
    if (!result_count)
        return kafka_err(RD_KAFKA_RESP_ERR__FAIL, err);
    if (rd_kafka_ConfigResource_error(results[0]))
        return kafka_err(rd_kafka_ConfigResource_error(results[0]), err);
    *entries = rd_kafka_ConfigResource_configs(results[0], count);
    return 0;
}

static int settings_ask(rd_kafka_t *client, const char *name, struct arena *arena, struct admin_topic *topic,
                        struct err *err)
{
    _cleanup_(ask_end) struct ask ask = { 0 };
    const rd_kafka_ConfigEntry_t **entries;
    size_t count;
    int r = configs_ask(client, name, &ask, &entries, &count, err);

    if (r < 0)
        return r;
    topic->settings = arena_array(arena, struct admin_setting, count + 1);
    for (size_t i = 0; i < count; i++)
        topic->settings[topic->setting_count++] =
            (struct admin_setting){ arena_strdup(arena, rd_kafka_ConfigEntry_name(entries[i])),
                                    arena_strdup(arena, rd_kafka_ConfigEntry_value(entries[i])) };
    return 0;
}

int admin_describe(rd_kafka_t *client, const char *name, struct arena *arena, struct admin_topic *ret,
                   struct err *err)
{
    _cleanup_(rd_kafka_metadata_destroyp) const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error = metadata_ask(client, name, &metadata);

    *ret = (struct admin_topic){ 0 };
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return 0;
    if (error)
        return kafka_err(error, err);
    ret->exists = true;
    ret->partitions = metadata->topics[0].partition_cnt;
    ret->replicas = replicas_of(&metadata->topics[0]);
    return settings_ask(client, name, arena, ret, err);
}

const char *admin_value(const struct admin_topic *topic, const char *name)
{
    for (int i = 0; i < topic->setting_count; i++)
        if (!strcmp(topic->settings[i].name, name))
            return topic->settings[i].value;
    return NULL;
}

/* --- changing ---------------------------------------------------------------------------------------- */

static bool is_named(const struct admin_setting *settings, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(settings[i].name, name))
            return true;
    return false;
}

/* What AlterConfigs does not name goes back to the broker's default, so what is the topic's own is named too.
 * IncrementalAlterConfigs, which leaves the rest alone, needs librdkafka 2.2. */
static void keep_own(rd_kafka_ConfigResource_t *resource, const rd_kafka_ConfigEntry_t **entries, size_t entry_count,
                     const struct admin_setting *settings, int count)
{
    for (size_t i = 0; i < entry_count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]), *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG && value &&
            !is_named(settings, count, name))
            rd_kafka_ConfigResource_set_config(resource, name, value);
    }
}

static int alter_ask(rd_kafka_t *client, rd_kafka_ConfigResource_t *resource, struct err *err)
{
    _cleanup_(ask_end) struct ask ask = { 0 };
    const rd_kafka_ConfigResource_t **results;
    rd_kafka_resp_err_t error;
    size_t count;
    int r;

    ask_begin(client, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, &ask);
    rd_kafka_AlterConfigs(client, &resource, 1, ask.options, ask.queue);
    r = ask_wait(&ask, err);
    if (r < 0)
        return r;
    results = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(ask.event), &count);
    error = count ? rd_kafka_ConfigResource_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    return error ? kafka_err(error, err) : 0;
}

int admin_alter(rd_kafka_t *client, const char *name, const struct admin_setting *settings, int count, struct err *err)
{
    _cleanup_(rd_kafka_ConfigResource_destroyp) rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    _cleanup_(ask_end) struct ask ask = { 0 };
    const rd_kafka_ConfigEntry_t **entries;
    size_t entry_count;
    int r = configs_ask(client, name, &ask, &entries, &entry_count, err);

    if (r < 0)
        return r;
    keep_own(resource, entries, entry_count, settings, count);
    for (int i = 0; i < count; i++)
        rd_kafka_ConfigResource_set_config(resource, settings[i].name, settings[i].value);
    return alter_ask(client, resource, err);
}

int admin_grow(rd_kafka_t *client, const char *name, int partitions, struct err *err)
{
    _cleanup_(rd_kafka_NewPartitions_destroyp) rd_kafka_NewPartitions_t *wanted = NULL;
    _cleanup_(ask_end) struct ask ask = { 0 };
    const rd_kafka_topic_result_t **results;
    rd_kafka_resp_err_t error;
    char problem[256];
    size_t count;
    int r;

    ask_begin(client, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, &ask);
    wanted = rd_kafka_NewPartitions_new(name, (size_t)partitions, problem, sizeof(problem));
    if (!wanted)
        return problem_err(problem, err);
    r = ask_finish(&ask, err);
    if (r < 0)
        return r;
    rd_kafka_CreatePartitions(client, &wanted, 1, ask.options, ask.queue);
    r = ask_wait(&ask, err);
    if (r < 0)
        return r;
    results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(ask.event), &count);
    error = topic_error(results, count);
    return error ? kafka_err(error, err) : 0;
}
