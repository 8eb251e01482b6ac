#include "worker/intake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/arrival.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "worker/burial.h"
#include "worker/plan.h"
#include "worker/reread.h"
#include "worker/share.h"
#include "worker/trigger.h"

enum {
    READ_MESSAGES = 512,   /* from the queue at once */
    FETCH_WORKS = 512,     /* looked up at once */
    ACTIVE_WORKS = 4096,   /* looked up and not over: what may wait for its call */
    TICK_MS = 50,
    OVERTAKEN_SLOTS = 16384,
    OWN_MS = 500,          /* how long it may take to overtake an event of its own */
    CARE_IDLE_MS = 10000,  /* with care: nothing came for so long, so nothing will */
};

/* An event between two readings of its record, or on its way to the dead topic. Its offset is held meanwhile. */
struct stray {
    struct intake *intake;
    struct partition *partition;
    uint64_t ticket;
    int64_t offset;
    int faults;
};

/* Reading with care (share.h). */
struct care {
    rd_kafka_message_t *message; /* read, and not yet noted */
    struct partition *partition; /* its */
    bool noting, underway;       /* the note is on its way; its event is being handled */
    usec_t idle_since;           /* monotonic */
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
    struct share *share;
    struct arrival_reader *reader;
    struct burial *burial;
    int rereads; /* under way */
    struct care care;
    rd_kafka_queue_t *notes; /* where care's commits are told */
    int wake[2]; /* librdkafka writes, the loop reads */
    uv_poll_t *ready;
    uv_timer_t *tick;
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
    struct overtaken overtaken[OVERTAKEN_SLOTS];
};

static void fetch(struct intake *intake);

/* --- the end of an event ----------------------------------------------------------------------------- */

static void event_settled(struct intake *intake, struct partition *partition, uint64_t ticket)
{
    intake->underway--;
    share_done(partition, ticket);
}

static void event_refused(struct intake *intake, struct partition *partition, const struct work *work);

/* Each work of an event has this for its source. */
struct origin {
    struct intake *intake;
    struct partition *partition;
};

static void event_over(struct work *work, void *source)
{
    const struct origin *origin = source;
    struct intake *intake = origin->intake;

    if (intake->closed)
        intake->underway--; /* it ends with the program, not because it was settled */
    else if (work->dead != DEAD_NONE && !origin->partition->given_up)
        event_refused(intake, origin->partition, work);
    else
        event_settled(intake, origin->partition, work->ticket);
}

double intake_share(const struct intake *intake)
{
    return share_part(intake->share);
}

static void care_drop(struct intake *intake);

static void on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t error,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct intake *intake = opaque;

    (void)consumer;
    care_drop(intake);
    if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        log_info("intake.assigned", log_number("partitions", partitions->cnt));
        share_assign(intake->share, partitions);
    } else {
        log_info("intake.revoked", log_number("partitions", partitions->cnt));
        share_revoke(intake->share);
    }
}

/* --- reading ----------------------------------------------------------------------------------------- */

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

/* NULL when there is nothing to do for it here. */
static struct work *event_work(struct intake *intake, const struct arrival_event *event)
{
    struct work *work;

    if (event_is_reply(event->type)) {
        work = work_new(WORK_REPLY, event->request_id, event_over, NULL);
        work->eligible = event->type == EVENT_REPLY_ELIGIBLE;
        work->webhook_id = arena_strdup(work->arena, event->webhook_id);
        return work;
    }
    publish_seen(intake->publisher, event->request_id, event->seq);
    if (!plan_concerns(event->type) || is_overtaken(intake, event->type, event->request_id, event->seq))
        return NULL;
    work = work_new(WORK_EVENT, event->request_id, event_over, NULL);
    work->type = event->type;
    work->seq = event->seq;
    work->first_step = event->type == EVENT_PRE_APPROVAL_REQUESTED;
    return work;
}

static void work_queue(struct intake *intake, struct work *work)
{
    work->since = usec_monotonic();
    if (is_own(intake, work) && !intake_is_careful(intake))
        work_push(&intake->own, work);
    else
        work_push(work->first_step ? &intake->first_steps : &intake->soon, work);
}

static struct place place_of(const struct partition *partition, int64_t offset)
{
    struct place place = { .partition = partition->number, .offset = offset };

    snprintf(place.topic, sizeof(place.topic), "%s", partition->topic);
    return place;
}

static struct stray *stray_new(struct intake *intake, struct partition *partition, uint64_t ticket, int64_t offset,
                               int faults)
{
    struct stray *stray = malloc(sizeof(*stray));

    if (!stray)
        abort();
    *stray = (struct stray){ intake, partition, ticket, offset, faults };
    return stray;
}

static void on_buried(void *context, void *token)
{
    struct stray *stray = token;

    event_settled(context, stray->partition, stray->ticket);
    free(stray);
}

/* The event is under way until Kafka has its record on the dead topic. message NULL: to be read again. */
static void bury(struct intake *intake, struct stray *stray, rd_kafka_message_t *message, enum dead_reason reason,
                 const char *detail, const char *sqlstate)
{
    burial_bury(intake->burial,
                &(struct burial_case){ .place = place_of(stray->partition, stray->offset),
                                       .reason = reason,
                                       .detail = detail,
                                       .sqlstate = sqlstate,
                                       .token = stray },
                message);
}

/* From its record to a work, or to the dead topic, or to nothing. It counts as under way. */
static void take_message(struct intake *intake, const struct stray *of, rd_kafka_message_t *message)
{
    struct partition *partition = of->partition;
    bool is_reply = !strcmp(partition->topic, intake->callbacks);
    struct arrival_refusal refusal;
    struct arrival_event event;
    struct arrival record;
    struct origin *origin;
    struct work *work;

    arena_clear(intake->scratch);
    record = arrival_of(message, intake->scratch);
    TRIGGER(&record, "read");
    if (!arrival_read(intake->reader, is_reply ? ARRIVAL_CALLBACKS : ARRIVAL_LIFECYCLE, &record, intake->scratch, &event,
                     &refusal)) {
        bury(intake, stray_new(intake, partition, of->ticket, of->offset, of->faults), message, refusal.reason,
             refusal.detail, NULL);
        return;
    }
    work = event_work(intake, &event);
    if (!work) {
        event_settled(intake, partition, of->ticket);
        return;
    }
    origin = arena_new_of(work->arena, struct origin);
    *origin = (struct origin){ intake, partition };
    work->source = origin;
    work->ticket = of->ticket;
    work->offset = of->offset;
    work->faults = of->faults;
    work->cause = arena_strdup(work->arena, event.id);
    work->traceparent = arena_strdup(work->arena, event.traceparent);
    TRIGGER_LATER(&record, work);
    work_queue(intake, work);
}

static void read_message(struct intake *intake, rd_kafka_message_t *message)
{
    struct partition *partition =
        share_partition(intake->share, rd_kafka_topic_name(message->rkt), message->partition);

    metric_add(METRIC_EVENTS_IN, METRIC_LABELS(partition->topic), 1);
    intake->underway++;
    take_message(
        intake,
        &(struct stray){ intake, partition, offsets_add(partition->offsets, message->offset), message->offset, 0 },
        message);
}

/* --- what failed ------------------------------------------------------------------------------------- */

static void read_stray(struct intake *intake, struct stray *stray);

static void on_reread(void *context, rd_kafka_message_t *message, const struct err *err)
{
    struct stray *stray = context;
    struct intake *intake = stray->intake;

    intake->rereads--;
    if (intake->closed || intake->stopping)
        intake->underway--; /* its offset is not committed: the next one reads it */
    else if (stray->partition->given_up)
        event_settled(intake, stray->partition, stray->ticket);
    else if (message)
        take_message(intake, stray, message);
    else if (err->code == ERR_GONE)
        bury(intake, TAKE(stray), NULL, DEAD_INTERNAL, "its topic has it no more", NULL);
    else
        read_stray(intake, TAKE(stray));
    free(stray);
}

static void read_stray(struct intake *intake, struct stray *stray)
{
    struct place place = place_of(stray->partition, stray->offset);

    intake->rereads++;
    reread_begin(intake->loop, intake->config, &place, on_reread, stray);
}

/* A fault of our own may have been the moment's: the first time, all of it is done once more. */
static void event_refused(struct intake *intake, struct partition *partition, const struct work *work)
{
    struct stray *stray = stray_new(intake, partition, work->ticket, work->offset, work->faults + 1);
    struct place place = place_of(partition, work->offset);
    char text[PLACE_BYTES];

    if (work->dead != DEAD_INTERNAL || work->faults > 0) {
        bury(intake, stray, NULL, work->dead, work->dead_detail, work->sqlstate);
        return;
    }
    log_warn("event.failed", log_word("detail", work->dead_detail), log_word("sqlstate", work->sqlstate),
             log_word("place", place_print(&place, text)));
    read_stray(intake, stray);
}

/* --- reading ahead ----------------------------------------------------------------------------------- */

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

/* The lifecycle topic waits while enough is under way; replies never do, but for the last resort below. */
static void hold_back(struct intake *intake)
{
    if (intake->underway >= intake->config->intake_events)
        share_pause(intake->share, true);
    else if (intake->underway < intake->config->intake_events / 2)
        share_pause(intake->share, false);
}

/* After a fatal one (another process has this worker's name, say) the consumer reads nothing ever again. */
static void read_error(struct intake *intake, rd_kafka_resp_err_t error)
{
    rd_kafka_resp_err_t fatal;
    char text[256];

    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return;
    fatal = rd_kafka_fatal_error(intake->consumer, text, sizeof(text));
    if (!fatal) {
        log_warn("intake.kafka", log_word("cause", rd_kafka_err2name(error)));
        return;
    }
    intake->broken = true;
    log_error("intake.fatal", log_word("cause", rd_kafka_err2name(fatal)), log_word("message", text));
}

static void take_any(struct intake *intake, rd_kafka_message_t *message)
{
    if (!message->err)
        read_message(intake, message);
    else
        read_error(intake, message->err);
    rd_kafka_message_destroy(message);
}

/* --- reading with care ------------------------------------------------------------------------------- */

static void wake(const struct intake *intake)
{
    if (write(intake->wake[1], "n", 1) < 0) {
        /* full: there is enough to wake it */
    }
}

/* Nothing of what it read with care is its own any more. */
static void care_drop(struct intake *intake)
{
    if (intake->care.message)
        rd_kafka_message_destroy(intake->care.message);
    intake->care = (struct care){ 0 };
}

/* An event is over: the next one may be read. */
static void on_share_over(void *context, struct partition *partition)
{
    struct intake *intake = context;

    if (!intake->care.underway || partition->given_up)
        return;
    intake->care.underway = false;
    intake->care.idle_since = usec_monotonic();
    if (!share_windows(intake->share))
        share_end_care(intake->share);
    wake(intake);
}

/* It is written down: now it may kill us. */
static void care_begin(struct intake *intake)
{
    rd_kafka_message_t *message = TAKE(intake->care.message);
    struct partition *partition = intake->care.partition;

    intake->care.underway = true;
    if (share_is_deadly(partition, message->offset)) {
        intake->underway++;
        bury(intake,
             stray_new(intake, partition, offsets_add(partition->offsets, message->offset), message->offset, 0), message,
             DEAD_INTERNAL, "workers died at it", NULL);
    } else {
        read_message(intake, message);
    }
    rd_kafka_message_destroy(message);
}

static void on_noted(rd_kafka_t *consumer, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                     void *opaque)
{
    struct intake *intake = opaque;

    (void)consumer;
    (void)offsets;
    intake->care.noting = false;
    if (!intake->care.message || intake->closed)
        return; /* it is another's by now */
    if (error)
        log_warn("care.not_noted", log_word("cause", rd_kafka_err2name(error))); /* the next turn tries again */
    else
        care_begin(intake);
}

static void care_note(struct intake *intake)
{
    struct care *care = &intake->care;

    care->noting = share_note(intake->share, care->partition, care->message->offset, intake->notes, on_noted, intake);
}

static void care_take(struct intake *intake, rd_kafka_message_t *message)
{
    if (message->err || !intake_is_careful(intake)) { /* partitions may have been revoked on the way to it */
        take_any(intake, message);
        return;
    }
    intake->care.message = message;
    intake->care.partition =
        share_partition(intake->share, rd_kafka_topic_name(message->rkt), message->partition);
    care_note(intake);
}

/* What could have killed a reader before may also have been deleted, or be no event at all. */
static void care_idle(struct intake *intake)
{
    usec_t now = usec_monotonic();

    /* The configuration is read first, so that nobody is blamed for it. */
    if (!intake->care.idle_since || !intake->catalog || share_is_claiming(intake->share))
        intake->care.idle_since = now;
    else if (now - intake->care.idle_since > CARE_IDLE_MS * USEC_PER_MS)
        share_end_care(intake->share);
}

static void read_with_care(struct intake *intake)
{
    rd_kafka_message_t *message;

    if (!intake_is_careful(intake) || intake->care.underway || intake->care.noting || intake->stopping)
        return;
    if (intake->care.message)
        care_note(intake);
    else if (intake->catalog && rd_kafka_consume_batch_queue(intake->queue, 0, &message, 1) == 1)
        care_take(intake, message);
    else
        care_idle(intake);
}

static void read_messages(struct intake *intake)
{
    rd_kafka_message_t *messages[READ_MESSAGES];
    ssize_t count;

    /* Twice the bound is reached only when PostgreSQL is away: what isn't read stays on the topic. */
    while (!intake->stopping && !intake_is_careful(intake) && intake->underway < 2 * intake->config->intake_events) {
        count = rd_kafka_consume_batch_queue(intake->queue, 0, messages, READ_MESSAGES);
        for (ssize_t i = 0; i < count; i++)
            take_any(intake, messages[i]);
        if (count < READ_MESSAGES)
            break;
        hold_back(intake);
    }
    hold_back(intake);
    read_with_care(intake);
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
    burial_poll(intake->burial);
    rd_kafka_queue_poll_callback(intake->notes, 0);
    read_messages(intake);
}

static void on_tick(uv_timer_t *timer)
{
    struct intake *intake = timer->data;

    publisher_poll(intake->publisher, 0);
    burial_poll(intake->burial);
    rd_kafka_queue_poll_callback(intake->notes, 0);
    pass_own(intake, usec_monotonic());
    read_messages(intake);
    share_turn(intake->share);
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
    return intake->reloading || intake->rereads || share_is_busy(intake->share) || burial_is_reading(intake->burial);
}

bool intake_is_careful(const struct intake *intake)
{
    return share_windows(intake->share) > 0;
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
        { "fetch.min.bytes", "1" },     /* a reply is not kept waiting, */
        { "fetch.wait.max.ms", "500" }, /* and who has nothing to read costs the broker nothing */
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
    share_connect(intake->share, intake->consumer);
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
    intake->notes = rd_kafka_queue_new(intake->consumer);
    rd_kafka_queue_io_event_enable(intake->notes, intake->wake[1], "o", 1);
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
    intake->burial = burial_new(loop, config, intake->wake[1], on_buried, intake);
    work_queue_init(&intake->soon);
    work_queue_init(&intake->own);
    work_queue_init(&intake->first_steps);
    snprintf(intake->lifecycle, sizeof(intake->lifecycle), "%s.lifecycle", config->topic_prefix);
    snprintf(intake->callbacks, sizeof(intake->callbacks), "%s.callbacks", config->topic_prefix);
    intake->share = share_new(loop, intake->lifecycle, on_share_over, intake);
    r = arrival_reader_new(&intake->reader, err);
    if (r == 0)
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
    share_pause(intake->share, true);
    share_stop(intake->share);
    burial_stop(intake->burial);
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
    share_close(intake->share);
    care_drop(intake);
    intake->closed = true;
    uv_poll_stop(intake->ready);
    uv_close((uv_handle_t *)intake->ready, handle_free);
    uv_timer_stop(intake->tick);
    uv_close((uv_handle_t *)intake->tick, handle_free);
    rd_kafka_queue_destroy(intake->notes);
    rd_kafka_queue_destroy(intake->queue);
    rd_kafka_consumer_close(intake->consumer);
    rd_kafka_destroy(intake->consumer);
    drop_queue(&intake->soon);
    drop_queue(&intake->own);
    drop_queue(&intake->first_steps);
    burial_free(TAKE(intake->burial));
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    share_free(intake->share);
    close(intake->wake[0]);
    close(intake->wake[1]);
    catalog_unref(intake->catalog);
    arena_free(intake->arena);
    arena_free(intake->scratch);
    arrival_reader_free(intake->reader);
    free(intake);
}
