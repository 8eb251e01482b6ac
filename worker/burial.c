#include "worker/burial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/metric.h"
#include "worker/reread.h"

enum { AGAIN_MS = 1000, FLUSH_MS = 2000 };

/* What is said where the record itself could not be kept. */
#define LACKS "key, headers and value"

/* One on its way. */
struct grave {
    struct burial *burial;
    struct place place;
    enum dead_reason reason;
    char detail[DEAD_DETAIL_BYTES], sqlstate[8];
    void *token;
    bool empty;   /* without the record: its topic has it no more, or no broker takes it */
    bool waiting; /* for the next try */
    struct grave *next, **link; /* link: where it hangs */
};

struct burial {
    uv_loop_t *loop;
    const struct config *config;
    int wake;
    burial_told *told;
    void *context;
    rd_kafka_t *producer; /* NULL until it is needed */
    uv_timer_t *again;
    char topic[192];
    struct grave *graves;
    int rereading;
    bool closing;
};

static void grave_send(struct grave *grave, rd_kafka_message_t *message);

static void grave_free(struct grave *grave)
{
    *grave->link = grave->next;
    if (grave->next)
        grave->next->link = grave->link;
    free(grave);
}

/* --- the end of one ---------------------------------------------------------------------------------- */

static void buried(struct grave *grave)
{
    struct burial *burial = grave->burial;
    void *token = grave->token;
    char place[PLACE_BYTES];

    metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS(dead_word(grave->reason)), 1);
    log_error("event.dead", log_word("reason", dead_word(grave->reason)), log_word("detail", grave->detail),
              log_word("place", place_print(&grave->place, place)));
    grave_free(grave);
    burial->told(burial->context, token);
}

static void on_reread(void *context, rd_kafka_message_t *message, const struct err *err)
{
    struct grave *grave = context;
    struct burial *burial = grave->burial;

    burial->rereading--;
    if (burial->closing)
        return;
    grave->empty = !message && err->code == ERR_GONE;
    if (message || grave->empty)
        grave_send(grave, message);
    else
        grave->waiting = true;
}

static void read_again(struct grave *grave)
{
    struct burial *burial = grave->burial;

    grave->waiting = false;
    burial->rereading++;
    reread_begin(burial->loop, burial->config, &grave->place, on_reread, grave);
}

static void on_again(uv_timer_t *timer)
{
    struct burial *burial = timer->data;

    for (struct grave *grave = burial->graves, *next; grave; grave = next) {
        next = grave->next; /* it may be over with this very call */
        if (grave->waiting && grave->empty)
            grave_send(grave, NULL);
        else if (grave->waiting)
            read_again(grave);
    }
}

/* A record that is too large for the dead topic is kept without what it is made of: its place tells where that stands. */
static void refused(struct grave *grave, rd_kafka_resp_err_t error)
{
    bool too_large = error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !grave->empty;

    log_error("burial.refused", log_word("cause", rd_kafka_err2name(error)));
    grave->empty = grave->empty || too_large;
    grave->waiting = !too_large;
    if (too_large)
        grave_send(grave, NULL);
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct grave *grave = message->_private;
    const struct burial *burial = opaque;

    (void)producer;
    if (burial->closing)
        return;
    if (message->err)
        refused(grave, message->err);
    else
        buried(grave);
}

/* --- sending ----------------------------------------------------------------------------------------- */

/* One record a request: what one of them is refused for says nothing about another. */
static int producer_new(struct burial *burial, struct err *err)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        { "enable.idempotence", "true" },    { "acks", "all" },
        { "message.timeout.ms", "0" },       { "linger.ms", "0" },
        { "batch.num.messages", "1" },       { "message.max.bytes", "100000000" },
        { "compression.type", "lz4" },       { "topic.metadata.propagation.max.ms", "2000" },
    };
    rd_kafka_queue_t *queue;
    rd_kafka_conf_t *conf;
    char text[512];
    int r = kafka_conf(burial->config, &conf, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
        }
    rd_kafka_conf_set_opaque(conf, burial);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    burial->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!burial->producer) {
        rd_kafka_conf_destroy(conf);
        return err_cause(err, ERR_INTERNAL, "kafka: %s", text);
    }
    queue = rd_kafka_queue_get_main(burial->producer);
    rd_kafka_queue_io_event_enable(queue, burial->wake, "b", 1);
    rd_kafka_queue_destroy(queue);
    return 0;
}

static rd_kafka_headers_t *headers_of(const struct grave *grave, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *original = NULL;
    char place[PLACE_BYTES];
    struct dead_letter letter = { .reason = dead_word(grave->reason),
                                  .place = place_print(&grave->place, place),
                                  .time = usec_now(),
                                  .detail = *grave->detail ? grave->detail : NULL,
                                  .sqlstate = *grave->sqlstate ? grave->sqlstate : NULL,
                                  .lacks = message ? NULL : LACKS };

    if (message)
        rd_kafka_message_headers(message, &original);
    return dead_headers(original, &letter);
}

/* All on one partition, whatever somebody made of the topic: notes find their letters by the offset alone. */
static rd_kafka_resp_err_t produce(struct grave *grave, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = headers_of(grave, message);
    const void *key = message ? message->key : NULL, *value = message ? message->payload : "";
    rd_kafka_resp_err_t error = rd_kafka_producev(
        grave->burial->producer, RD_KAFKA_V_TOPIC(grave->burial->topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY(key, message ? message->key_len : 0),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value, message ? message->len : 0), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(grave), RD_KAFKA_V_END);

    if (error)
        rd_kafka_headers_destroy(headers); /* librdkafka takes them only when it takes the message */
    return error;
}

static void grave_send(struct grave *grave, rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t error;
    struct err err;

    grave->waiting = false;
    if (!grave->burial->producer && producer_new(grave->burial, &err) < 0) {
        log_err("burial.failed", &err);
        grave->waiting = true;
        return;
    }
    error = produce(grave, message);
    if (error)
        refused(grave, error);
}

void burial_bury(struct burial *burial, const struct burial_case *of, rd_kafka_message_t *message)
{
    struct grave *grave = calloc(1, sizeof(*grave));

    if (!grave)
        abort();
    grave->burial = burial;
    grave->place = of->place;
    grave->reason = of->reason;
    grave->token = of->token;
    snprintf(grave->detail, sizeof(grave->detail), "%s", of->detail ? of->detail : "");
    snprintf(grave->sqlstate, sizeof(grave->sqlstate), "%s", of->sqlstate ? of->sqlstate : "");
    grave->next = burial->graves;
    grave->link = &burial->graves;
    if (grave->next)
        grave->next->link = &grave->next;
    burial->graves = grave;
    if (message)
        grave_send(grave, message);
    else
        read_again(grave);
}

void burial_stop(struct burial *burial)
{
    uv_timer_stop(burial->again);
}

void burial_poll(struct burial *burial)
{
    if (burial->producer)
        rd_kafka_poll(burial->producer, 0);
}

bool burial_is_reading(const struct burial *burial)
{
    return burial->rereading > 0;
}

/* --- birth and end ----------------------------------------------------------------------------------- */

struct burial *burial_new(uv_loop_t *loop, const struct config *config, int wake, burial_told *told, void *context)
{
    struct burial *burial = calloc(1, sizeof(*burial));

    if (!burial || !(burial->again = malloc(sizeof(*burial->again))))
        abort();
    burial->loop = loop;
    burial->config = config;
    burial->wake = wake;
    burial->told = told;
    burial->context = context;
    snprintf(burial->topic, sizeof(burial->topic), "%s.dead", config->topic_prefix);
    uv_timer_init(loop, burial->again);
    burial->again->data = burial;
    uv_timer_start(burial->again, on_again, AGAIN_MS, AGAIN_MS);
    return burial;
}

static void handle_free(uv_handle_t *handle)
{
    free(handle);
}

void burial_free(struct burial *burial)
{
    if (!burial)
        return;
    burial->closing = true;
    uv_timer_stop(burial->again);
    uv_close((uv_handle_t *)burial->again, handle_free);
    if (burial->producer) {
        rd_kafka_flush(burial->producer, FLUSH_MS);
        rd_kafka_purge(burial->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(burial->producer, 100);
        rd_kafka_destroy(burial->producer);
    }
    while (burial->graves) {
        free(burial->graves->token);
        grave_free(burial->graves);
    }
    free(burial);
}
