#include "common/publish.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/publish.sql.h"

enum { SOURCE_BYTES = 160, TOPIC_BYTES = 192, JANITOR_BATCH = 1000, SEEN_SLOTS = 65536 };

/* A PostgreSQL that hangs must not keep the janitor from telling what Kafka has taken: replies are answered by that. */
#define JANITOR_PATIENCE (2 * USEC_PER_S)

/* The newest event of a request that was sent from here and whose outbox row still stands. */
struct sent {
    char request_id[64];
    int64_t seq;
    UT_hash_handle hh;
};

/* The latest event of a request that was read from the topic. Each slot is one request's, the last that came: what
 * is pushed out is left to the relay, as if it had not been seen. */
struct seen {
    uint64_t hash;
    int64_t seq;
};

/* An outbox row whose events are on their way from here. It may go when all of them were sent and acknowledged. */
struct box {
    int64_t id;
    int count, underway;
    bool incomplete; /* some were left to the relay, or refused by Kafka */
    UT_hash_handle hh;
    struct box_event {
        char request_id[64];
        int64_t seq;
    } events[];
};

/* Outbox rows in the order they came. */
struct id_list {
    int64_t *ids;
    int count, capacity;
};

/* What a delivery report finds its way back by. */
struct ticket {
    struct box *box; /* events */
    usec_t sent_at;
    struct ticket *previous, *next; /* events under way, oldest first */
    publish_done *done;             /* replies */
    void *opaque;
};

struct publisher {
    rd_kafka_t *events, *replies; /* replies give up after PUBLISH_REPLY_WAIT, events never */
    char source[SOURCE_BYTES], lifecycle[TOPIC_BYTES], configuration[TOPIC_BYTES], callbacks[TOPIC_BYTES];
    pthread_mutex_t lock; /* over everything below */
    struct sent *sent;
    struct seen seen[SEEN_SLOTS];
    struct box *boxes;
    struct id_list acked, left;
    struct ticket *oldest, *newest;
    int underway;
    /* the janitor */
    pthread_t janitor;
    bool has_janitor;
    atomic_bool stopping;
    struct db *db;
};

static void ids_add(struct id_list *list, int64_t id)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->ids = realloc(list->ids, sizeof(*list->ids) * (size_t)list->capacity);
        if (!list->ids)
            abort();
    }
    list->ids[list->count++] = id;
}

static int ids_take(struct id_list *list, int64_t *ids, int max)
{
    int count = list->count < max ? list->count : max;

    if (!count)
        return 0;
    memcpy(ids, list->ids, sizeof(*ids) * (size_t)count);
    list->count -= count;
    memmove(list->ids, list->ids + count, sizeof(*ids) * (size_t)list->count);
    return count;
}

/* --- under the lock ---------------------------------------------------------------------------------- */

static int64_t sent_seq(const struct publisher *publisher, const char *request_id)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, request_id, sent);
    return sent ? sent->seq : 0;
}

static void sent_set(struct publisher *publisher, const char *request_id, int64_t seq)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, request_id, sent);
    if (sent) {
        if (seq > sent->seq)
            sent->seq = seq;
        return;
    }
    sent = calloc(1, sizeof(*sent));
    if (!sent)
        abort();
    snprintf(sent->request_id, sizeof(sent->request_id), "%s", request_id);
    sent->seq = seq;
    HASH_ADD_STR(publisher->sent, request_id, sent);
}

static void sent_drop(struct publisher *publisher, const struct box_event *event)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, event->request_id, sent);
    if (!sent || sent->seq > event->seq)
        return; /* a later event of it is still under way */
    HASH_DEL(publisher->sent, sent);
    free(sent);
}

/* FNV-1a. Ids are random, so that two of one hash will not be met. */
static uint64_t hash_of(const char *request_id)
{
    uint64_t hash = 0xcbf29ce484222325u;

    while (*request_id)
        hash = (hash ^ (unsigned char)*request_id++) * 0x100000001b3u;
    return hash;
}

void publish_seen(struct publisher *publisher, const char *request_id, int64_t seq)
{
    uint64_t hash = hash_of(request_id);
    struct seen *seen = &publisher->seen[hash % SEEN_SLOTS];

    pthread_mutex_lock(&publisher->lock);
    if (seen->hash != hash || seen->seq < seq)
        *seen = (struct seen){ hash, seq };
    pthread_mutex_unlock(&publisher->lock);
}

static bool was_seen(const struct publisher *publisher, const char *request_id, int64_t seq)
{
    uint64_t hash = hash_of(request_id);
    const struct seen *seen = &publisher->seen[hash % SEEN_SLOTS];

    return seen->hash == hash && seen->seq >= seq;
}

static struct box *box_of(struct publisher *publisher, int64_t id)
{
    struct box *box;

    HASH_FIND(hh, publisher->boxes, &id, sizeof(id), box);
    return box;
}

static struct box *box_new(struct publisher *publisher, int64_t id, int max)
{
    struct box *box = calloc(1, sizeof(*box) + sizeof(box->events[0]) * (size_t)max);

    if (!box)
        abort();
    box->id = id;
    HASH_ADD(hh, publisher->boxes, id, sizeof(box->id), box);
    return box;
}

static void box_free(struct publisher *publisher, struct box *box)
{
    for (int i = 0; i < box->count; i++)
        sent_drop(publisher, &box->events[i]);
    HASH_DEL(publisher->boxes, box);
    free(box);
}

/* Nothing of it is under way any more: it may go, or what is left of it is the relay's. */
static void box_check(struct publisher *publisher, struct box *box)
{
    if (box->underway)
        return;
    if (box->incomplete)
        box_free(publisher, box);
    else
        ids_add(&publisher->acked, box->id);
}

static void ticket_link(struct publisher *publisher, struct ticket *ticket)
{
    ticket->previous = publisher->newest;
    if (publisher->newest)
        publisher->newest->next = ticket;
    else
        publisher->oldest = ticket;
    publisher->newest = ticket;
    publisher->underway++;
}

static void ticket_unlink(struct publisher *publisher, struct ticket *ticket)
{
    if (ticket->previous)
        ticket->previous->next = ticket->next;
    else
        publisher->oldest = ticket->next;
    if (ticket->next)
        ticket->next->previous = ticket->previous;
    else
        publisher->newest = ticket->previous;
    publisher->underway--;
}

/* --- delivery reports -------------------------------------------------------------------------------- */

static void event_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct ticket *ticket = message->_private;
    struct publisher *publisher = opaque;

    (void)handle;
    pthread_mutex_lock(&publisher->lock);
    ticket_unlink(publisher, ticket);
    ticket->box->underway--;
    if (message->err)
        ticket->box->incomplete = true; /* its row stays: the relay's */
    box_check(publisher, ticket->box);
    pthread_mutex_unlock(&publisher->lock);
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE)
        log_error("publish.refused", log_word("cause", rd_kafka_err2name(message->err)));
    if (!message->err)
        metric_add(METRIC_EVENTS_OUT, METRIC_LABELS(rd_kafka_topic_name(message->rkt)), 1);
    free(ticket);
}

static void reply_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    struct ticket *ticket = message->_private;
    struct publisher *publisher = opaque;
    struct err err = { 0 };

    (void)handle;
    if (message->err)
        err_cause(&err, ERR_UNAVAILABLE, "kafka: %s", rd_kafka_err2name(message->err));
    else
        metric_add(METRIC_EVENTS_OUT, METRIC_LABELS(publisher->callbacks), 1);
    ticket->done(ticket->opaque, message->err ? &err : NULL);
    free(ticket);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

struct setting {
    const char *name, *value;
};

static int producer_new(const struct config *config, const struct setting *settings, int count,
                        void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                        struct publisher *publisher, rd_kafka_t **ret, struct err *err)
{
    rd_kafka_conf_t *conf;
    char text[512];
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    for (int i = 0; i < count; i++) {
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
            continue;
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
    }
    rd_kafka_conf_set_opaque(conf, publisher);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    *ret = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (*ret)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
}

int publisher_new(const struct config *config, const char *program, struct publisher **ret, struct err *err)
{
    /* An event waits as long as it takes; within one producer a request's events cannot overtake each other. Nobody
     * waits for it, so it may linger for others: small batches are what Kafka spends its time on. */
    static const struct setting events[] = {
        { "enable.idempotence", "true" },         { "acks", "all" },
        { "message.timeout.ms", "0" },            { "linger.ms", "10" },
        { "queue.buffering.max.messages", "1000000" }, { "compression.type", "lz4" },
    };
    static const struct setting replies[] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "message.timeout.ms", "5000" }, /* PUBLISH_REPLY_WAIT */
        { "linger.ms", "1" },
    };
    struct publisher *publisher = calloc(1, sizeof(*publisher));
    int r;

    if (!publisher)
        abort();
    pthread_mutex_init(&publisher->lock, NULL);
    snprintf(publisher->source, sizeof(publisher->source), "/docket/%s/%s", config->cluster, program);
    snprintf(publisher->lifecycle, TOPIC_BYTES, "%s.lifecycle", config->topic_prefix);
    snprintf(publisher->configuration, TOPIC_BYTES, "%s.configuration", config->topic_prefix);
    snprintf(publisher->callbacks, TOPIC_BYTES, "%s.callbacks", config->topic_prefix);
    r = producer_new(config, events, COUNT_OF(events), event_delivered, publisher, &publisher->events, err);
    if (r == 0)
        r = producer_new(config, replies, COUNT_OF(replies), reply_delivered, publisher, &publisher->replies,
                         err);
    if (r < 0) {
        publisher_free(publisher, 0);
        return r;
    }
    *ret = publisher;
    return 0;
}

static void producer_free(rd_kafka_t *producer, usec_t wait)
{
    if (!producer)
        return;
    rd_kafka_flush(producer, (int)(wait / USEC_PER_MS));
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(producer, 100); /* the reports of what was purged, which free their tickets */
    rd_kafka_destroy(producer);
}

/* --- the janitor ------------------------------------------------------------------------------------- */

static int outbox_do(struct publisher *publisher, const struct sql *sql, const int64_t *ids, int count,
                     struct arena *arena)
{
    struct db_args *args = db_args_new(arena);
    struct err err;

    publish_outbox_args(args, ids, count);
    return db_do(publisher->db, sql, args, &err);
}

static bool janitor_turn(struct publisher *publisher, int64_t *ids, struct arena *arena)
{
    int left = publish_take_left(publisher, ids, JANITOR_BATCH), acked;

    if (left)
        (void)outbox_do(publisher, &SQL_publish_hasten, ids, left, arena); /* else they are due in 5 s anyway */
    acked = publish_take_acked(publisher, ids, JANITOR_BATCH);
    if (!acked)
        return true;
    if (outbox_do(publisher, &SQL_publish_forget, ids, acked, arena) < 0) {
        publish_give_back(publisher, ids, acked);
        return false;
    }
    publish_forgotten(publisher, ids, acked);
    return true;
}

/* What was acknowledged by the last flush, so that the next relay need not send it again. */
static void janitor_finish(struct publisher *publisher)
{
    int64_t *ids = calloc(JANITOR_BATCH, sizeof(*ids));
    struct arena *arena = arena_new();

    if (!ids)
        abort();
    while (publisher->acked.count && janitor_turn(publisher, ids, arena))
        arena_clear(arena);
    arena_free(arena);
    free(ids);
}

void publisher_free(struct publisher *publisher, usec_t wait)
{
    struct box *box, *next;

    if (!publisher)
        return;
    atomic_store(&publisher->stopping, true);
    if (publisher->has_janitor)
        pthread_join(publisher->janitor, NULL);
    producer_free(publisher->replies, wait);
    producer_free(publisher->events, wait);
    if (publisher->has_janitor && publisher->db)
        janitor_finish(publisher);
    HASH_ITER(hh, publisher->boxes, box, next)
    {
        box_free(publisher, box);
    }
    db_free(publisher->db);
    free(publisher->acked.ids);
    free(publisher->left.ids);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher);
}

const char *publisher_source(const struct publisher *publisher)
{
    return publisher->source;
}

/* --- sending ----------------------------------------------------------------------------------------- */

/* CloudEvents 1.0, Kafka binding, binary mode. */
struct envelope {
    const char *id, *source, *type, *subject, *traceparent, *cause;
    usec_t time;
    int64_t seq;          /* 0: the event is in no sequence */
    const uint8_t *chain; /* NULL: in no chain */
};

static void header_add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    if (value)
        rd_kafka_header_add(headers, name, -1, value, -1);
}

static rd_kafka_headers_t *envelope_headers(const struct envelope *envelope)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(12);
    char time[USEC_TEXT_BYTES], text[2 * EVENT_CHAIN_BYTES + 1];

    header_add(headers, "content-type", "application/json");
    header_add(headers, "ce_specversion", "1.0");
    header_add(headers, "ce_id", envelope->id);
    header_add(headers, "ce_source", envelope->source);
    header_add(headers, "ce_type", envelope->type);
    header_add(headers, "ce_subject", envelope->subject);
    header_add(headers, "ce_time", usec_format_z(envelope->time, time));
    snprintf(text, sizeof(text), "docket:events/%.44s.json", envelope->type);
    header_add(headers, "ce_dataschema", text);
    header_add(headers, "ce_traceparent", envelope->traceparent);
    header_add(headers, "ce_causationid", envelope->cause);
    if (envelope->seq) {
        snprintf(text, sizeof(text), "%020lld", (long long)envelope->seq);
        header_add(headers, "ce_sequence", text);
    }
    if (envelope->chain)
        header_add(headers, "ce_chain", sodium_bin2hex(text, sizeof(text), envelope->chain, EVENT_CHAIN_BYTES));
    return headers;
}

static rd_kafka_resp_err_t produce(rd_kafka_t *producer, const char *topic, const void *key, size_t key_length,
                                   const void *value, size_t length, rd_kafka_headers_t *headers, void *opaque)
{
    rd_kafka_resp_err_t error = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value, length), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);

    if (error)
        rd_kafka_headers_destroy(headers); /* librdkafka takes them only when it takes the message */
    return error;
}

static const char *topic_of(const struct publisher *publisher, const struct publish_record *record)
{
    return strcmp(record->aggregate, "configuration") ? publisher->lifecycle : publisher->configuration;
}

/* Under the lock, so that a request's events enter the queue in the order that `sent` tells. */
static bool event_send(struct publisher *publisher, struct box *box, const struct publish_record *record)
{
    struct box_event *event = &box->events[box->count];
    struct ticket *ticket = calloc(1, sizeof(*ticket));
    char id[96];
    struct envelope envelope = { .id = id,
                                 .source = record->source,
                                 .type = record->type,
                                 .subject = record->request_id,
                                 .traceparent = record->traceparent,
                                 .cause = record->cause,
                                 .time = record->time,
                                 .seq = record->seq,
                                 .chain = record->chain };

    if (!ticket)
        abort();
    snprintf(id, sizeof(id), "%s.%lld", record->request_id, (long long)record->seq);
    ticket->box = box;
    ticket->sent_at = usec_monotonic();
    if (produce(publisher->events, topic_of(publisher, record), record->request_id, strlen(record->request_id),
                record->payload, record->payload_length, envelope_headers(&envelope), ticket)) {
        free(ticket); /* the queue is full: the row stays in the outbox */
        return false;
    }
    snprintf(event->request_id, sizeof(event->request_id), "%s", record->request_id);
    event->seq = record->seq;
    box->count++;
    box->underway++;
    ticket_link(publisher, ticket);
    sent_set(publisher, record->request_id, record->seq);
    return true;
}

/* Sends it when the one before it is known to be on the topic or on its way there from here. */
static bool event_try(struct publisher *publisher, struct box *box, const struct publish_record *record)
{
    return (!record->behind || sent_seq(publisher, record->request_id) == record->seq - 1 ||
            was_seen(publisher, record->request_id, record->seq - 1)) &&
           event_send(publisher, box, record);
}

static struct publish_record entry_record(const struct publisher *publisher, const struct journal_entry *entry)
{
    return (struct publish_record){ .aggregate = "lifecycle",
                                    .request_id = entry->request_id,
                                    .seq = entry->seq,
                                    .type = event_word(entry->type),
                                    .source = publisher->source,
                                    .cause = entry->cause,
                                    .traceparent = entry->traceparent,
                                    .time = entry->time,
                                    .payload = entry->payload,
                                    .payload_length = strlen(entry->payload),
                                    .chain = entry->chain,
                                    .behind = entry->behind };
}

int publish_entries(struct publisher *publisher, struct journal_entry *const *entries, int count)
{
    struct box *box = NULL;
    int left = 0;

    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++) {
        struct publish_record record = entry_record(publisher, entries[i]);

        if (!entries[i]->seq)
            continue;
        if (!box)
            box = box_new(publisher, entries[i]->outbox, count);
        left += !event_try(publisher, box, &record);
    }
    if (left) {
        ids_add(&publisher->left, box->id);
        box->incomplete = true;
    }
    if (box)
        box_check(publisher, box);
    pthread_mutex_unlock(&publisher->lock);
    return left;
}

void publish_outbox(struct publisher *publisher, int64_t outbox, const struct publish_record *records, int count)
{
    struct box *box;

    pthread_mutex_lock(&publisher->lock);
    if (!box_of(publisher, outbox)) { /* else it is on its way from here already */
        box = box_new(publisher, outbox, count);
        for (int i = 0; i < count; i++)
            if (sent_seq(publisher, records[i].request_id) < records[i].seq &&
                !event_try(publisher, box, &records[i]))
                box->incomplete = true;
        if (box->incomplete)
            ids_add(&publisher->left, outbox); /* soon again: what it waits for may be gone by then */
        box_check(publisher, box);
    }
    pthread_mutex_unlock(&publisher->lock);
}

int publish_reply(struct publisher *publisher, const struct publish_reply *reply, publish_done *done,
                  void *opaque, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    enum event_type type = reply->eligible ? EVENT_REPLY_ELIGIBLE : EVENT_REPLY_NOT_ELIGIBLE;
    const char *payload = event_callback(arena, reply->request_id, reply->webhook_id, reply->eligible,
                                         reply->received_at);
    struct envelope envelope = {
        .id = arena_printf(arena, "%s.%s.%s", reply->request_id, reply->webhook_id,
                           reply->eligible ? "eligible" : "not_eligible"),
        .source = publisher->source,
        .type = event_word(type),
        .subject = reply->request_id,
        .traceparent = event_trace_child(arena, reply->traceparent),
        .time = reply->received_at,
    };
    struct ticket *ticket = calloc(1, sizeof(*ticket));
    rd_kafka_resp_err_t error;

    if (!ticket)
        abort();
    ticket->done = done;
    ticket->opaque = opaque;
    error = produce(publisher->replies, publisher->callbacks, reply->request_id, strlen(reply->request_id),
                    payload, strlen(payload), envelope_headers(&envelope), ticket);
    if (!error)
        return 0;
    free(ticket);
    return err_cause(err, ERR_UNAVAILABLE, "kafka: %s", rd_kafka_err2name(error));
}

/* --- telling ----------------------------------------------------------------------------------------- */

void publisher_poll(struct publisher *publisher, usec_t wait)
{
    rd_kafka_poll(publisher->events, 0);
    rd_kafka_poll(publisher->replies, (int)(wait / USEC_PER_MS));
    rd_kafka_poll(publisher->events, 0);
}

int publisher_underway(struct publisher *publisher, usec_t *oldest)
{
    int underway;

    pthread_mutex_lock(&publisher->lock);
    underway = publisher->underway;
    *oldest = publisher->oldest ? usec_monotonic() - publisher->oldest->sent_at : 0;
    pthread_mutex_unlock(&publisher->lock);
    return underway;
}

void publisher_notify(struct publisher *publisher, int fd)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(publisher->events);

    rd_kafka_queue_io_event_enable(queue, fd, "p", 1);
    rd_kafka_queue_destroy(queue);
}

int publish_take_acked(struct publisher *publisher, int64_t *outboxes, int max)
{
    int count;

    pthread_mutex_lock(&publisher->lock);
    count = ids_take(&publisher->acked, outboxes, max);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}

int publish_take_left(struct publisher *publisher, int64_t *outboxes, int max)
{
    int count;

    pthread_mutex_lock(&publisher->lock);
    count = ids_take(&publisher->left, outboxes, max);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}

void publish_forgotten(struct publisher *publisher, const int64_t *outboxes, int count)
{
    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++)
        box_free(publisher, box_of(publisher, outboxes[i]));
    pthread_mutex_unlock(&publisher->lock);
}

void publish_give_back(struct publisher *publisher, const int64_t *outboxes, int count)
{
    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++)
        ids_add(&publisher->acked, outboxes[i]);
    pthread_mutex_unlock(&publisher->lock);
}

void publish_outbox_args(struct db_args *args, const int64_t *outboxes, int count)
{
    struct db_column *ids = db_array(args, DB_INT);

    for (int i = 0; i < count; i++)
        db_add_int(ids, outboxes[i]);
}

/* --- a thread for programs without a loop ---------------------------------------------------------------- */

static void *janitor_run(void *context)
{
    struct publisher *publisher = context;
    int64_t *ids = calloc(JANITOR_BATCH, sizeof(*ids));
    struct arena *arena = arena_new();

    if (!ids)
        abort();
    while (!atomic_load(&publisher->stopping)) {
        publisher_poll(publisher, 20 * USEC_PER_MS);
        if (publisher->db && !janitor_turn(publisher, ids, arena))
            publisher_poll(publisher, 500 * USEC_PER_MS); /* PostgreSQL is away: the acks keep */
        arena_clear(arena);
    }
    arena_free(arena);
    free(ids);
    return NULL;
}

int publisher_start_janitor(struct publisher *publisher, const char *postgres_url, struct err *err)
{
    if (postgres_url) {
        publisher->db = db_new(postgres_url, "docket-publisher");
        db_set_patience(publisher->db, JANITOR_PATIENCE);
    }
    if (pthread_create(&publisher->janitor, NULL, janitor_run, publisher))
        return err_cause(err, ERR_INTERNAL, "no thread");
    publisher->has_janitor = true;
    return 0;
}
