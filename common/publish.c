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

enum { SOURCE_BYTES = 160, TOPIC_BYTES = 192, JANITOR_BATCH = 1000 };

/* The newest event of a request that was sent from here and whose outbox row still stands. */
struct sent {
    struct publish_ref ref;
    UT_hash_handle hh;
};

/* Refs in the order they came. */
struct ref_list {
    struct publish_ref *refs;
    int count, capacity;
};

/* What a delivery report finds its way back by. */
struct ticket {
    struct publisher *publisher;
    struct publish_ref ref; /* events */
    usec_t sent_at;
    struct ticket *previous, *next; /* events under way, oldest first */
    publish_done *done;             /* replies */
    void *opaque;
};

struct publisher {
    rd_kafka_t *events, *replies; /* replies give up after PUBLISH_REPLY_WAIT, events never */
    char source[SOURCE_BYTES], lifecycle[TOPIC_BYTES], callbacks[TOPIC_BYTES], dead[TOPIC_BYTES];
    pthread_mutex_t lock; /* over everything below */
    struct sent *sent;
    struct ref_list acked, left;
    struct ticket *oldest, *newest;
    int underway;
    /* the janitor */
    pthread_t janitor;
    bool has_janitor;
    atomic_bool stopping;
    struct db *db;
};

static void refs_add(struct ref_list *list, const struct publish_ref *ref)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->refs = realloc(list->refs, sizeof(*list->refs) * (size_t)list->capacity);
        if (!list->refs)
            abort();
    }
    list->refs[list->count++] = *ref;
}

static int refs_take(struct ref_list *list, struct publish_ref *refs, int max)
{
    int count = list->count < max ? list->count : max;

    if (!count)
        return 0;
    memcpy(refs, list->refs, sizeof(*refs) * (size_t)count);
    list->count -= count;
    memmove(list->refs, list->refs + count, sizeof(*refs) * (size_t)list->count);
    return count;
}

static struct publish_ref ref_make(const char *request_id, int64_t seq)
{
    struct publish_ref ref = { .seq = seq };

    snprintf(ref.request_id, sizeof(ref.request_id), "%s", request_id);
    return ref;
}

/* --- under the lock ---------------------------------------------------------------------------------- */

static int64_t sent_seq(const struct publisher *publisher, const char *request_id)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, request_id, sent);
    return sent ? sent->ref.seq : 0;
}

static void sent_set(struct publisher *publisher, const struct publish_ref *ref)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, ref->request_id, sent);
    if (sent) {
        if (ref->seq > sent->ref.seq)
            sent->ref.seq = ref->seq;
        return;
    }
    sent = calloc(1, sizeof(*sent));
    if (!sent)
        abort();
    sent->ref = *ref;
    HASH_ADD_STR(publisher->sent, ref.request_id, sent);
}

static void sent_drop(struct publisher *publisher, const struct publish_ref *ref)
{
    struct sent *sent;

    HASH_FIND_STR(publisher->sent, ref->request_id, sent);
    if (!sent || sent->ref.seq > ref->seq)
        return; /* a later event of it is still under way */
    HASH_DEL(publisher->sent, sent);
    free(sent);
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
    if (!ticket)
        return; /* a dead letter */
    pthread_mutex_lock(&publisher->lock);
    ticket_unlink(publisher, ticket);
    if (!message->err)
        refs_add(&publisher->acked, &ticket->ref);
    else
        sent_drop(publisher, &ticket->ref); /* its row stays: the relay's */
    pthread_mutex_unlock(&publisher->lock);
    if (message->err)
        log_error("publish.refused", log_id("request", ticket->ref.request_id),
                  log_word("cause", rd_kafka_err2name(message->err)));
    else
        metric_add(METRIC_EVENTS_OUT, METRIC_LABELS(publisher->lifecycle), 1);
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
    /* An event waits as long as it takes; within one producer a request's events cannot overtake each other. */
    static const struct setting events[] = {
        { "enable.idempotence", "true" },         { "acks", "all" },
        { "message.timeout.ms", "0" },            { "linger.ms", "2" },
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
    snprintf(publisher->callbacks, TOPIC_BYTES, "%s.callbacks", config->topic_prefix);
    snprintf(publisher->dead, TOPIC_BYTES, "%s.dead", config->topic_prefix);
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

static int outbox_do(struct publisher *publisher, const struct sql *sql, const struct publish_ref *refs,
                     int count, struct arena *arena)
{
    struct db_args *args = db_args_new(arena);
    struct err err;

    publish_refs_args(args, refs, count);
    return db_do(publisher->db, sql, args, &err);
}

static bool janitor_turn(struct publisher *publisher, struct publish_ref *refs, struct arena *arena)
{
    int left = publish_take_left(publisher, refs, JANITOR_BATCH), acked;

    if (left)
        (void)outbox_do(publisher, &SQL_publish_hasten, refs, left, arena); /* else they are due in 5 s anyway */
    acked = publish_take_acked(publisher, refs, JANITOR_BATCH);
    if (!acked)
        return true;
    if (outbox_do(publisher, &SQL_publish_forget, refs, acked, arena) < 0) {
        publish_give_back(publisher, refs, acked);
        return false;
    }
    publish_forgotten(publisher, refs, acked);
    return true;
}

/* What was acknowledged by the last flush, so that the next relay need not send it again. */
static void janitor_finish(struct publisher *publisher)
{
    struct publish_ref *refs = calloc(JANITOR_BATCH, sizeof(*refs));
    struct arena *arena = arena_new();

    if (!refs)
        abort();
    while (publisher->acked.count && janitor_turn(publisher, refs, arena))
        arena_clear(arena);
    arena_free(arena);
    free(refs);
}

void publisher_free(struct publisher *publisher, usec_t wait)
{
    struct sent *sent, *next;

    if (!publisher)
        return;
    atomic_store(&publisher->stopping, true);
    if (publisher->has_janitor)
        pthread_join(publisher->janitor, NULL);
    producer_free(publisher->replies, wait);
    producer_free(publisher->events, wait);
    if (publisher->has_janitor && publisher->db)
        janitor_finish(publisher);
    HASH_ITER(hh, publisher->sent, sent, next)
    {
        HASH_DEL(publisher->sent, sent);
        free(sent);
    }
    db_free(publisher->db);
    free(publisher->acked.refs);
    free(publisher->left.refs);
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

/* Under the lock, so that a request's events enter the queue in the order that `sent` tells. */
static bool event_send(struct publisher *publisher, const struct publish_record *record)
{
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
    ticket->ref = ref_make(record->request_id, record->seq);
    ticket->sent_at = usec_monotonic();
    if (produce(publisher->events, publisher->lifecycle, record->request_id, strlen(record->request_id),
                record->payload, record->payload_length, envelope_headers(&envelope), ticket)) {
        free(ticket); /* the queue is full: the row stays in the outbox */
        return false;
    }
    ticket_link(publisher, ticket);
    sent_set(publisher, &ticket->ref);
    return true;
}

int publish_entries(struct publisher *publisher, struct journal_entry *const *entries, int count)
{
    int left = 0;

    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++) {
        const struct journal_entry *entry = entries[i];
        struct publish_record record = { .request_id = entry->request_id,
                                         .seq = entry->seq,
                                         .type = event_word(entry->type),
                                         .source = publisher->source,
                                         .cause = entry->cause,
                                         .traceparent = entry->traceparent,
                                         .time = entry->time,
                                         .payload = entry->payload,
                                         .payload_length = strlen(entry->payload),
                                         .chain = entry->chain };

        if (!entry->seq)
            continue;
        if ((!entry->behind || sent_seq(publisher, entry->request_id) == entry->seq - 1) &&
            event_send(publisher, &record))
            continue;
        struct publish_ref ref = ref_make(entry->request_id, entry->seq);
        refs_add(&publisher->left, &ref);
        left++;
    }
    pthread_mutex_unlock(&publisher->lock);
    return left;
}

bool publish_record(struct publisher *publisher, const struct publish_record *record)
{
    bool sent;

    pthread_mutex_lock(&publisher->lock);
    sent = sent_seq(publisher, record->request_id) < record->seq && event_send(publisher, record);
    pthread_mutex_unlock(&publisher->lock);
    return sent;
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

void publish_dead(struct publisher *publisher, const struct publish_dead *dead)
{
    const rd_kafka_message_t *message = dead->message;
    rd_kafka_headers_t *original = NULL, *headers;
    char place[256];

    headers = rd_kafka_message_headers(message, &original) == RD_KAFKA_RESP_ERR_NO_ERROR
                  ? rd_kafka_headers_copy(original)
                  : rd_kafka_headers_new(2);
    snprintf(place, sizeof(place), "%s/%d/%lld", rd_kafka_topic_name(message->rkt), (int)message->partition,
             (long long)message->offset);
    header_add(headers, "docket_dead_reason", dead->reason);
    header_add(headers, "docket_dead_place", place);
    metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS(dead->reason), 1);
    log_error("event.dead", log_word("reason", dead->reason), log_word("place", place));
    produce(publisher->events, publisher->dead, message->key, message->key_len, message->payload, message->len,
            headers, NULL);
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

int publish_take_acked(struct publisher *publisher, struct publish_ref *refs, int max)
{
    int count;

    pthread_mutex_lock(&publisher->lock);
    count = refs_take(&publisher->acked, refs, max);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}

int publish_take_left(struct publisher *publisher, struct publish_ref *refs, int max)
{
    int count;

    pthread_mutex_lock(&publisher->lock);
    count = refs_take(&publisher->left, refs, max);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}

void publish_forgotten(struct publisher *publisher, const struct publish_ref *refs, int count)
{
    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++)
        sent_drop(publisher, &refs[i]);
    pthread_mutex_unlock(&publisher->lock);
}

void publish_give_back(struct publisher *publisher, const struct publish_ref *refs, int count)
{
    pthread_mutex_lock(&publisher->lock);
    for (int i = 0; i < count; i++)
        refs_add(&publisher->acked, &refs[i]);
    pthread_mutex_unlock(&publisher->lock);
}

void publish_refs_args(struct db_args *args, const struct publish_ref *refs, int count)
{
    struct db_column *ids = db_array(args, DB_TEXT), *seqs = db_array(args, DB_INT);

    for (int i = 0; i < count; i++) {
        db_add_text(ids, refs[i].request_id);
        db_add_int(seqs, refs[i].seq);
    }
}

/* --- a thread for programs without a loop ---------------------------------------------------------------- */

static void *janitor_run(void *context)
{
    struct publisher *publisher = context;
    struct publish_ref *refs = calloc(JANITOR_BATCH, sizeof(*refs));
    struct arena *arena = arena_new();

    if (!refs)
        abort();
    while (!atomic_load(&publisher->stopping)) {
        publisher_poll(publisher, 20 * USEC_PER_MS);
        if (publisher->db && !janitor_turn(publisher, refs, arena))
            publisher_poll(publisher, 500 * USEC_PER_MS); /* PostgreSQL is away: the acks keep */
        arena_clear(arena);
    }
    arena_free(arena);
    free(refs);
    return NULL;
}

int publisher_start_janitor(struct publisher *publisher, const char *postgres_url, struct err *err)
{
    if (postgres_url)
        publisher->db = db_new(postgres_url, "docket-publisher");
    if (pthread_create(&publisher->janitor, NULL, janitor_run, publisher))
        return err_cause(err, ERR_INTERNAL, "no thread");
    publisher->has_janitor = true;
    return 0;
}
