#include "worker/intake.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "worker/offsets.h"
#include "worker/plan.h"

enum {
    READ_MESSAGES = 512,   /* from the queue at once */
    FETCH_WORKS = 512,     /* looked up at once */
    ACTIVE_WORKS = 4096,   /* looked up and not over: what may wait for its call */
    TICK_MS = 50,
    COMMIT_MS = 250,
    CALLBACK_BYTES = 65536,
    COUNT_PATIENCE_MS = 2000,
    OVERTAKEN_SLOTS = 16384,
    OWN_MS = 500,          /* how long it may take to overtake an event of its own */
};

struct partition {
    char topic[192];
    int32_t number;
    struct offsets *offsets;
    bool paused, given_up; /* given_up: another worker has it; freed with its last work */
    struct intake *intake;
    struct partition *next;
};

/* How far this worker itself has brought a request: events before that one ask for nothing any more. Each slot is
 * one request's, the last that came. */
struct overtaken {
    char request_id[64];
    int64_t seq;
};

struct intake {
    uv_loop_t *loop;
    const struct config *config;
    const struct seal_ring *ring;
    struct pipe *pipe;
    struct publisher *publisher;
    intake_outlet *outlet;
    void *context;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    char lifecycle[192], callbacks[192];
    int wake[2]; /* librdkafka writes, the loop reads */
    uv_poll_t *ready;
    uv_timer_t *tick;
    usec_t committed_at;
    struct partition *partitions;
    struct work_queue soon, first_steps; /* not looked up yet */
    struct work_queue own; /* events that this worker has put there: it is likely to overtake them in a moment */
    int active, underway;                /* looked up; in all */
    bool fetching, stopping, closed, reloading, broken;
    struct arena *arena, *scratch;       /* the fetch's; a message's */
    struct work *fetched[FETCH_WORKS];
    int fetched_count;
    const struct catalog *catalog;
    int64_t wanted_version;
    uv_work_t reload;
    const struct catalog *reloaded;
    int assigned, partition_count; /* of the lifecycle topic: this worker's, all; 0: not known */
    bool counting;
    uv_work_t count;
    int counted;
    struct overtaken overtaken[OVERTAKEN_SLOTS];
};

static void fetch(struct intake *intake);

/* --- partitions -------------------------------------------------------------------------------------- */

static struct partition *partition_of(struct intake *intake, const char *topic, int32_t number)
{
    struct partition *partition = intake->partitions;

    while (partition && (partition->given_up || partition->number != number || strcmp(partition->topic, topic)))
        partition = partition->next;
    if (partition)
        return partition;
    partition = calloc(1, sizeof(*partition));
    if (!partition)
        abort();
    snprintf(partition->topic, sizeof(partition->topic), "%s", topic);
    partition->number = number;
    partition->offsets = offsets_new();
    partition->intake = intake;
    partition->next = intake->partitions;
    intake->partitions = partition;
    return partition;
}

static void partition_free(struct intake *intake, struct partition *partition)
{
    struct partition **link = &intake->partitions;

    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    offsets_free(partition->offsets);
    free(partition);
}

/* What is settled of one partition (NULL: of all), to Kafka. */
static void commit(struct intake *intake, const struct partition *only, bool wait)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (struct partition *partition = intake->partitions; partition; partition = partition->next) {
        int64_t position;

        if (partition->given_up || (only && partition != only) ||
            !offsets_position(partition->offsets, &position))
            continue;
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->number)->offset = position;
    }
    if (list->cnt)
        rd_kafka_commit(intake->consumer, list, !wait);
    rd_kafka_topic_partition_list_destroy(list);
}

static void event_over(struct work *work, void *source)
{
    struct partition *partition = source;
    struct intake *intake = partition->intake;

    intake->underway--;
    if (intake->closed)
        return; /* it ends with the program, not because it was settled */
    offsets_done(partition->offsets, work->ticket);
    if (partition->given_up && !offsets_underway(partition->offsets))
        partition_free(intake, partition);
}

static void give_up(struct intake *intake, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt && !intake->closed; i++) {
        struct partition *partition =
            partition_of(intake, partitions->elems[i].topic, partitions->elems[i].partition);

        commit(intake, partition, true);
        partition->given_up = true;
        if (!offsets_underway(partition->offsets))
            partition_free(intake, partition);
    }
}

/* How many there are in all is asked of the broker, which takes its time. */
static void count_blocking(uv_work_t *count)
{
    struct intake *intake = count->data;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(intake->consumer, intake->lifecycle, NULL);
    const struct rd_kafka_metadata *metadata;

    intake->counted = 0;
    if (topic && !rd_kafka_metadata(intake->consumer, 0, topic, &metadata, COUNT_PATIENCE_MS)) {
        if (metadata->topic_cnt == 1)
            intake->counted = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

static void count_done(uv_work_t *count, int status)
{
    struct intake *intake = count->data;

    (void)status;
    intake->counting = false;
    if (intake->counted)
        intake->partition_count = intake->counted;
}

static void count_partitions(struct intake *intake)
{
    if (intake->counting || intake->stopping)
        return;
    intake->counting = true;
    intake->count.data = intake;
    uv_queue_work(intake->loop, &intake->count, count_blocking, count_done);
}

double intake_share(const struct intake *intake)
{
    if (!intake->partition_count)
        return 0;
    return intake->assigned < intake->partition_count ? (double)intake->assigned / intake->partition_count : 1;
}

static int lifecycle_count(const struct intake *intake, const rd_kafka_topic_partition_list_t *partitions)
{
    int count = 0;

    for (int i = 0; i < partitions->cnt; i++)
        count += !strcmp(partitions->elems[i].topic, intake->lifecycle);
    return count;
}

static void on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t error,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct intake *intake = opaque;

    if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        log_info("intake.assigned", log_number("partitions", partitions->cnt));
        intake->assigned = lifecycle_count(intake, partitions);
        count_partitions(intake);
        rd_kafka_assign(consumer, partitions);
        return;
    }
    log_info("intake.revoked", log_number("partitions", partitions->cnt));
    intake->assigned = 0;
    give_up(intake, partitions);
    rd_kafka_assign(consumer, NULL);
}

/* --- reading ----------------------------------------------------------------------------------------- */

static const char *header_text(const rd_kafka_headers_t *headers, const char *name, struct arena *arena)
{
    const void *value;
    size_t length;

    if (!headers || rd_kafka_header_get_last(headers, name, &value, &length) || !value || length > 512)
        return NULL;
    return arena_strndup(arena, value, length);
}

/* Of a reply's data only the webhook matters; the type says which verdict. */
static const char *reply_webhook(const rd_kafka_message_t *message, struct arena *arena)
{
    json_tokener *tokener;
    json_object *data, *member;
    const char *id = NULL;

    if (!message->payload || message->len > CALLBACK_BYTES)
        return NULL;
    tokener = json_tokener_new_ex(8);
    data = json_tokener_parse_ex(tokener, message->payload, (int)message->len);
    json_tokener_free(tokener);
    if (json_object_is_type(data, json_type_object) && json_object_object_get_ex(data, "webhook_id", &member) &&
        json_object_is_type(member, json_type_string))
        id = arena_strdup(arena, json_object_get_string(member));
    json_object_put(data);
    return id;
}

static struct work *read_reply(const rd_kafka_message_t *message, enum event_type type, const char *request_id,
                               const char **why)
{
    struct work *work;

    if (type != EVENT_REPLY_ELIGIBLE && type != EVENT_REPLY_NOT_ELIGIBLE) {
        *why = "unknown_type";
        return NULL;
    }
    work = work_new(WORK_REPLY, request_id, event_over, NULL);
    work->eligible = type == EVENT_REPLY_ELIGIBLE;
    work->webhook_id = reply_webhook(message, work->arena);
    if (work->webhook_id)
        return work;
    *why = "bad_data";
    work->over = NULL;
    work_close(work);
    return NULL;
}

static struct overtaken *overtaken_slot(struct intake *intake, const char *request_id)
{
    unsigned hash;

    HASH_JEN(request_id, strlen(request_id), hash);
    return &intake->overtaken[hash % OVERTAKEN_SLOTS];
}

void intake_overtake(struct intake *intake, const char *request_id, int64_t seq)
{
    struct overtaken *overtaken = overtaken_slot(intake, request_id);

    snprintf(overtaken->request_id, sizeof(overtaken->request_id), "%s", request_id);
    overtaken->seq = seq;
}

/* Of the calls that a request owes for its approval each is its own step: they are looked at in any case. */
static bool is_overtaken(struct intake *intake, enum event_type type, const char *request_id, int64_t seq)
{
    const struct overtaken *overtaken = overtaken_slot(intake, request_id);

    return type != EVENT_PRE_APPROVAL_REQUESTED && seq < overtaken->seq &&
           !strcmp(overtaken->request_id, request_id);
}

static bool is_own(struct intake *intake, const struct work *work)
{
    const struct overtaken *overtaken = overtaken_slot(intake, work->request_id);

    return work->kind == WORK_EVENT && work->type != EVENT_PRE_APPROVAL_REQUESTED && work->seq == overtaken->seq &&
           !strcmp(overtaken->request_id, work->request_id);
}

static struct work *read_event(struct intake *intake, const rd_kafka_headers_t *headers, enum event_type type,
                               const char *request_id, const char **why)
{
    const char *sequence = header_text(headers, "ce_sequence", intake->scratch);
    struct work *work;
    int64_t seq;

    if (type == EVENT_UNKNOWN)
        *why = "unknown_type";
    else if (!sequence)
        *why = "bad_header";
    if (*why)
        return NULL;
    seq = strtoll(sequence, NULL, 10);
    publish_seen(intake->publisher, request_id, seq);
    if (!plan_concerns(type) || is_overtaken(intake, type, request_id, seq))
        return NULL; /* nothing to do for it here */
    work = work_new(WORK_EVENT, request_id, event_over, NULL);
    work->type = type;
    work->seq = seq;
    work->first_step = type == EVENT_PRE_APPROVAL_REQUESTED;
    return work;
}

static void read_message(struct intake *intake, const rd_kafka_message_t *message)
{
    struct partition *partition =
        partition_of(intake, rd_kafka_topic_name(message->rkt), message->partition);
    uint64_t ticket = offsets_add(partition->offsets, message->offset);
    bool is_reply = !strcmp(partition->topic, intake->callbacks);
    struct arena *arena = intake->scratch;
    rd_kafka_headers_t *headers = NULL;
    const char *why = NULL, *request_id = NULL;
    enum event_type type;
    struct work *work = NULL;

    metric_add(METRIC_EVENTS_IN, METRIC_LABELS(partition->topic), 1);
    arena_clear(arena);
    rd_kafka_message_headers(message, &headers);
    type = event_parse(header_text(headers, "ce_type", arena));
    if (message->key && message->key_len && message->key_len < 128)
        request_id = arena_strndup(arena, message->key, message->key_len);
    if (!request_id)
        why = "bad_key";
    else if (is_reply)
        work = read_reply(message, type, request_id, &why);
    else
        work = read_event(intake, headers, type, request_id, &why);
    if (!work) {
        if (why)
            publish_dead(intake->publisher, &(struct publish_dead){ message, why });
        offsets_done(partition->offsets, ticket);
        return;
    }
    work->source = partition;
    work->ticket = ticket;
    work->cause = header_text(headers, "ce_id", work->arena);
    work->traceparent = header_text(headers, "ce_traceparent", work->arena);
    intake->underway++;
    work->since = usec_monotonic();
    if (is_own(intake, work))
        work_push(&intake->own, work);
    else
        work_push(work->first_step ? &intake->first_steps : &intake->soon, work);
}

/* Those that this worker went on from by now are over; one that it did not is looked at like any other. */
static void pass_own(struct intake *intake, usec_t now)
{
    struct work *work;

    while ((work = intake->own.first)) {
        bool overtaken = is_overtaken(intake, work->type, work->request_id, work->seq);

        if (!overtaken && now - work->since < OWN_MS * USEC_PER_MS)
            return;
        work_pop(&intake->own);
        if (overtaken)
            work_close(work);
        else
            work_push(&intake->soon, work);
    }
}

static void pause_partitions(struct intake *intake, bool pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (struct partition *partition = intake->partitions; partition; partition = partition->next) {
        if (partition->given_up || partition->paused == pause || strcmp(partition->topic, intake->lifecycle))
            continue;
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
        partition->paused = pause;
    }
    if (list->cnt && pause)
        rd_kafka_pause_partitions(intake->consumer, list);
    else if (list->cnt)
        rd_kafka_resume_partitions(intake->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The lifecycle topic waits while enough is under way; replies never do, but for the last resort below. */
static void hold_back(struct intake *intake)
{
    if (intake->underway >= intake->config->intake_events)
        pause_partitions(intake, true);
    else if (intake->underway < intake->config->intake_events / 2)
        pause_partitions(intake, false);
}

/* After a fatal one (another process has this worker's name, say) the consumer reads nothing ever again. */
static void read_error(struct intake *intake, rd_kafka_resp_err_t error)
{
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return;
    log_warn("intake.kafka", log_word("cause", rd_kafka_err2name(error)));
    if (rd_kafka_fatal_error(intake->consumer, NULL, 0))
        intake->broken = true;
}

static void read_messages(struct intake *intake)
{
    rd_kafka_message_t *messages[READ_MESSAGES];
    ssize_t count;

    /* Twice the bound is reached only when PostgreSQL is away: what isn't read stays on the topic. */
    while (!intake->stopping && intake->underway < 2 * intake->config->intake_events) {
        count = rd_kafka_consume_batch_queue(intake->queue, 0, messages, READ_MESSAGES);
        for (ssize_t i = 0; i < count; i++) {
            if (!messages[i]->err)
                read_message(intake, messages[i]);
            else
                read_error(intake, messages[i]->err);
            rd_kafka_message_destroy(messages[i]);
        }
        if (count < READ_MESSAGES)
            break;
        hold_back(intake);
    }
    hold_back(intake);
    fetch(intake);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct intake *intake = poll->data;
    char bytes[256];

    (void)status;
    (void)events;
    while (read(intake->wake[0], bytes, sizeof(bytes)) == sizeof(bytes))
        ;
    publisher_poll(intake->publisher, 0);
    read_messages(intake);
}

static void on_tick(uv_timer_t *timer)
{
    struct intake *intake = timer->data;
    usec_t now = usec_monotonic();

    publisher_poll(intake->publisher, 0);
    pass_own(intake, now);
    read_messages(intake);
    if (now - intake->committed_at > COMMIT_MS * USEC_PER_MS) {
        intake->committed_at = now;
        commit(intake, NULL, false);
        if (intake->assigned && !intake->partition_count)
            count_partitions(intake); /* the broker did not answer */
    }
}

/* --- looking up -------------------------------------------------------------------------------------- */

static void reload_blocking(uv_work_t *reload)
{
    struct intake *intake = reload->data;
    struct db *db = db_new(intake->config->postgres_url, "docket-worker catalog");
    struct err err;

    if (catalog_load(db, intake->ring, intake->config, &intake->reloaded, &err) < 0)
        log_err("catalog.failed", &err);
    db_free(db);
}

static void reload_done(uv_work_t *reload, int status)
{
    struct intake *intake = reload->data;

    (void)status;
    intake->reloading = false;
    if (intake->reloaded) {
        catalog_unref(intake->catalog);
        intake->catalog = TAKE(intake->reloaded);
        log_info("catalog.loaded", log_number("version", intake->catalog->version));
    }
    fetch(intake);
}

static void reload(struct intake *intake)
{
    if (intake->reloading || intake->stopping)
        return;
    intake->reloading = true;
    intake->reload.data = intake;
    uv_queue_work(intake->loop, &intake->reload, reload_blocking, reload_done);
}

static void put_back(struct intake *intake)
{
    for (int i = intake->fetched_count - 1; i >= 0; i--) {
        struct work *work = intake->fetched[i];

        work_set_active(work, NULL);
        work_push_front(work->first_step ? &intake->first_steps : &intake->soon, work);
    }
}

static void hand_on(struct intake *intake, PGresult *const *results)
{
    for (int i = 0; i < intake->fetched_count; i++) {
        struct work *work = intake->fetched[i];

        work->tries++;
        catalog_unref(work->catalog);
        work->catalog = catalog_ref(intake->catalog);
        work->request = request_read(results, work->request_id, work->arena);
        intake->outlet(intake->context, work);
    }
}

static void on_fetched(void *context, PGresult **results, const struct err *err)
{
    struct intake *intake = context;

    intake->fetching = false;
    if (err) {
        put_back(intake); /* the next tick tries again */
        return;
    }
    if (!intake->catalog || request_fetch_version(results) != intake->catalog->version) {
        put_back(intake);
        reload(intake);
        return;
    }
    hand_on(intake, results);
    fetch(intake);
}

static struct work *next_work(struct intake *intake)
{
    if (intake->soon.count)
        return work_pop(&intake->soon);
    return intake->active < ACTIVE_WORKS ? work_pop(&intake->first_steps) : NULL;
}

static void fetch(struct intake *intake)
{
    const char *ids[FETCH_WORKS], *reply_ids[FETCH_WORKS];
    struct pipe_group *group;
    struct work *work;
    int replies = 0;

    if (intake->fetching || intake->reloading || !pipe_is_up(intake->pipe))
        return;
    if (!intake->catalog) {
        reload(intake);
        return;
    }
    intake->fetched_count = 0;
    while (intake->fetched_count < FETCH_WORKS && (work = next_work(intake))) {
        ids[intake->fetched_count] = work->request_id;
        intake->fetched[intake->fetched_count++] = work;
        work_set_active(work, &intake->active);
        if (work->kind != WORK_EVENT)
            reply_ids[replies++] = work->request_id;
    }
    if (!intake->fetched_count)
        return;
    arena_clear(intake->arena);
    group = pipe_group_new(intake->pipe);
    request_fetch(group, ids, intake->fetched_count, reply_ids, replies, intake->arena);
    intake->fetching = true;
    pipe_send(group, on_fetched, intake);
}

void intake_submit(struct intake *intake, struct work *work)
{
    work_set_active(work, NULL);
    work_push(&intake->soon, work);
    fetch(intake);
}

void intake_refresh(struct intake *intake)
{
    reload(intake);
}

const struct catalog *intake_catalog(const struct intake *intake)
{
    return intake->catalog;
}

bool intake_is_broken(const struct intake *intake)
{
    return intake->broken;
}

bool intake_is_idle(const struct intake *intake)
{
    return !intake->underway && !intake->soon.count && !intake->first_steps.count;
}

bool intake_is_reading(const struct intake *intake)
{
    return intake->reloading || intake->counting;
}

/* --- birth and end ----------------------------------------------------------------------------------- */

void intake_name(const struct config *config, char ret[INTAKE_NAME_BYTES])
{
    char host[128] = "";

    gethostname(host, sizeof(host) - 1);
    snprintf(ret, INTAKE_NAME_BYTES, "%s/%s", host, config->worker_listen);
}

static int consumer_new(struct intake *intake, struct err *err)
{
    const struct config *config = intake->config;
    char group[192], instance[INTAKE_NAME_BYTES], text[512];
    rd_kafka_conf_t *conf;
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    snprintf(group, sizeof(group), "%s.worker", config->topic_prefix);
    /* A worker that comes back takes up its partitions at once, without the others noticing. */
    intake_name(config, instance);
    const struct {
        const char *name, *value;
    } settings[] = {
        { "group.id", group },
        { "group.instance.id", instance },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "auto.offset.reset", "earliest" },
        { "partition.assignment.strategy", "range" }, /* a request's two partitions go to the same worker */
        { "session.timeout.ms", "10000" },
        { "heartbeat.interval.ms", "1500" },
        { "fetch.min.bytes", "16384" }, /* many small answers cost the broker more than the records do, */
        { "fetch.wait.max.ms", "10" },  /* and a reply can wait this long */
        { "queued.min.messages", "10000" },
        { "queued.max.messages.kbytes", "4096" },
        { "topic.metadata.refresh.interval.ms", "30000" },
    };
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
        }
    rd_kafka_conf_set_opaque(conf, intake);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    intake->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (intake->consumer)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
}

static int subscribe(struct intake *intake, struct err *err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(2);
    rd_kafka_resp_err_t error;

    rd_kafka_topic_partition_list_add(topics, intake->lifecycle, RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_add(topics, intake->callbacks, RD_KAFKA_PARTITION_UA);
    rd_kafka_poll_set_consumer(intake->consumer);
    error = rd_kafka_subscribe(intake->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return error ? err_cause(err, ERR_INTERNAL, "kafka: %s", rd_kafka_err2name(error)) : 0;
}

static void watch(struct intake *intake)
{
    intake->queue = rd_kafka_queue_get_consumer(intake->consumer);
    rd_kafka_queue_io_event_enable(intake->queue, intake->wake[1], "c", 1);
    publisher_notify(intake->publisher, intake->wake[1]);
    uv_poll_init(intake->loop, intake->ready, intake->wake[0]);
    intake->ready->data = intake;
    uv_poll_start(intake->ready, UV_READABLE, on_ready);
    uv_timer_init(intake->loop, intake->tick);
    intake->tick->data = intake;
    uv_timer_start(intake->tick, on_tick, TICK_MS, TICK_MS);
}

int intake_new(uv_loop_t *loop, const struct config *config, const struct seal_ring *ring, struct pipe *pipe,
               struct publisher *publisher, intake_outlet *outlet, void *context, struct intake **ret,
               struct err *err)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    int r;

    if (!intake || !(intake->ready = malloc(sizeof(uv_poll_t))) || !(intake->tick = malloc(sizeof(uv_timer_t))) ||
        pipe2(intake->wake, O_CLOEXEC | O_NONBLOCK))
        abort();
    intake->loop = loop;
    intake->config = config;
    intake->ring = ring;
    intake->pipe = pipe;
    intake->publisher = publisher;
    intake->outlet = outlet;
    intake->context = context;
    intake->arena = arena_new();
    intake->scratch = arena_new();
    work_queue_init(&intake->soon);
    work_queue_init(&intake->own);
    work_queue_init(&intake->first_steps);
    snprintf(intake->lifecycle, sizeof(intake->lifecycle), "%s.lifecycle", config->topic_prefix);
    snprintf(intake->callbacks, sizeof(intake->callbacks), "%s.callbacks", config->topic_prefix);
    r = consumer_new(intake, err);
    if (r == 0)
        r = subscribe(intake, err);
    if (r < 0)
        return r; /* the program ends with this error */
    watch(intake);
    *ret = intake;
    return 0;
}

void intake_stop(struct intake *intake)
{
    intake->stopping = true;
    pause_partitions(intake, true);
}

bool intake_is_loading(const struct intake *intake)
{
    return intake->reloading;
}

static void handle_free(uv_handle_t *handle)
{
    free(handle);
}

static void drop_queue(struct work_queue *queue)
{
    struct work *work;

    while ((work = work_pop(queue)))
        work_close(work);
}

void intake_close(struct intake *intake)
{
    commit(intake, NULL, true);
    intake->closed = true;
    uv_poll_stop(intake->ready);
    uv_close((uv_handle_t *)intake->ready, handle_free);
    uv_timer_stop(intake->tick);
    uv_close((uv_handle_t *)intake->tick, handle_free);
    rd_kafka_queue_destroy(intake->queue);
    rd_kafka_consumer_close(intake->consumer);
    rd_kafka_destroy(intake->consumer);
    drop_queue(&intake->soon);
    drop_queue(&intake->own);
    drop_queue(&intake->first_steps);
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    while (intake->partitions)
        partition_free(intake, intake->partitions);
    close(intake->wake[0]);
    close(intake->wake[1]);
    catalog_unref(intake->catalog);
    arena_free(intake->arena);
    arena_free(intake->scratch);
    free(intake);
}
