#include "worker/ctl/dead/shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/kafka.h"
#include "common/place.h"

enum { TURN_MS = 100, FIRST_ENTRIES = 64 };

#define PATIENCE (30 * USEC_PER_S) /* without a word from a broker */

DEFINE_CLEANUP(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_destroy)

const char *shelf_topic(const struct config *config, char text[SHELF_TOPIC_BYTES])
{
    snprintf(text, SHELF_TOPIC_BYTES, "%s.dead", config->topic_prefix);
    return text;
}

/* --- reading the topic ------------------------------------------------------------------------------- */

/* It joins no group, and commits nothing. */
static int consumer_new(const struct config *config, rd_kafka_t **ret, struct err *err)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        { "group.id", "docketctl" },
        { "enable.auto.commit", "false" },
        { "auto.offset.reset", "earliest" },
        { "enable.partition.eof", "true" },
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

static int assign(const struct config *config, rd_kafka_t *consumer, int64_t first, struct err *err)
{
    _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    char topic[SHELF_TOPIC_BYTES];
    rd_kafka_resp_err_t error;

    rd_kafka_topic_partition_list_add(list, shelf_topic(config, topic), 0)->offset =
        first > 0 ? first : RD_KAFKA_OFFSET_BEGINNING;
    error = rd_kafka_assign(consumer, list);
    return error ? kafka_err(error, err) : 0;
}

/* 1: it was the last. */
static int take(const struct config *config, const rd_kafka_message_t *message, shelf_visit *visit, void *context,
                struct err *err)
{
    char topic[SHELF_TOPIC_BYTES];

    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return visit(context, (rd_kafka_message_t *)(uintptr_t)message) ? 1 : 0;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        return 1;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return err_set(err, ERR_NOT_FOUND, "there is no topic %s: docketctl topics makes it", shelf_topic(config, topic));
    default:
        return 0; /* brokers that come and go; patience has an end */
    }
}

static int scan(const struct config *config, rd_kafka_t *consumer, shelf_visit *visit, void *context, struct err *err)
{
    usec_t heard = usec_monotonic();
    int r = 0;

    while (r == 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, TURN_MS);

        if (!message) {
            if (usec_monotonic() - heard > PATIENCE)
                return err_cause(err, ERR_UNAVAILABLE, "kafka: no broker answered in time");
            continue;
        }
        if (!message->err)
            heard = usec_monotonic();
        r = take(config, message, visit, context, err);
        rd_kafka_message_destroy(message);
    }
    return r < 0 ? r : 0;
}

int shelf_scan(const struct config *config, int64_t first, shelf_visit *visit, void *context, struct err *err)
{
    rd_kafka_t *consumer;
    int r = consumer_new(config, &consumer, err);

    if (r < 0)
        return r;
    r = assign(config, consumer, first, err);
    if (r == 0)
        r = scan(config, consumer, visit, context, err);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return r;
}

/* --- its letters ------------------------------------------------------------------------------------- */

/* A place that was buried. */
struct grave {
    const char *place;
    UT_hash_handle hh;
};

struct reading {
    struct arena *arena, *scratch;
    struct shelf *shelf;
    int capacity;
    struct grave *graves;
};

static struct entry *entry_add(struct reading *reading)
{
    struct shelf *shelf = reading->shelf;

    if (shelf->count == reading->capacity) {
        struct entry *grown;

        reading->capacity = reading->capacity ? reading->capacity * 2 : FIRST_ENTRIES;
        grown = arena_array(reading->arena, struct entry, (size_t)reading->capacity);
        if (shelf->count)
            memcpy(grown, shelf->entries, sizeof(*grown) * (size_t)shelf->count);
        shelf->entries = grown;
    }
    return &shelf->entries[shelf->count++];
}

/* Whoever may write to the topic may write anything there: what is no word is not repeated as one. */
static const char *word_of(const char *text)
{
    return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text) ? text : "unreadable";
}

static struct dead_letter letter_dup(const struct dead_letter *letter, struct arena *arena)
{
    return (struct dead_letter){ .reason = arena_strdup(arena, word_of(letter->reason)),
                                 .place = arena_strdup(arena, letter->place),
                                 .time = letter->time,
                                 .detail = arena_strdup(arena, letter->detail),
                                 .sqlstate = arena_strdup(arena, letter->sqlstate),
                                 .lacks = arena_strdup(arena, letter->lacks) };
}

static void note_take(struct reading *reading, const struct dead_note *note)
{
    struct entry *entry = shelf_find(reading->shelf, note->of);

    if (!entry)
        return; /* of what retention has taken */
    entry->note = *note;
    entry->note.by = arena_strdup(reading->arena, note->by);
    entry->note.to = arena_strdup(reading->arena, note->to);
    entry->note.mended = arena_strdup(reading->arena, note->mended);
}

static bool is_repeat(struct reading *reading, const char *place)
{
    struct grave *grave;

    HASH_FIND_STR(reading->graves, place, grave);
    if (grave)
        return true;
    grave = arena_new_of(reading->arena, struct grave);
    grave->place = place;
    HASH_ADD_KEYPTR(hh, reading->graves, grave->place, strlen(place), grave);
    return false;
}

static int on_message(void *context, rd_kafka_message_t *message)
{
    struct reading *reading = context;
    struct arrival record, original;
    struct dead_letter letter;
    struct dead_note note;
    struct entry *entry;
    struct place place;

    arena_clear(reading->scratch);
    record = arrival_of(message, reading->scratch);
    if (dead_note_read(&record, reading->scratch, &note)) {
        note_take(reading, &note);
    } else if (dead_read(&record, reading->scratch, &original, &letter)) {
        entry = entry_add(reading);
        *entry = (struct entry){ .number = message->offset,
                                 .letter = letter_dup(&letter, reading->arena),
                                 .bytes = record.length };
        entry->topic = place_parse(letter.place, &place) ? arena_strdup(reading->arena, place.topic) : "";
        entry->repeat = is_repeat(reading, entry->letter.place);
    }
    return 0;
}

int shelf_read(const struct config *config, struct arena *arena, struct shelf *ret, struct err *err)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new();
    struct reading reading = { .arena = arena, .scratch = scratch, .shelf = ret };
    int r;

    *ret = (struct shelf){ 0 };
    r = shelf_scan(config, 0, on_message, &reading, err);
    HASH_CLEAR(hh, reading.graves);
    return r;
}

struct entry *shelf_find(const struct shelf *shelf, int64_t number)
{
    int low = 0, high = shelf->count;

    while (low < high) {
        int middle = low + (high - low) / 2;

        if (shelf->entries[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < shelf->count && shelf->entries[low].number == number ? &shelf->entries[low] : NULL;
}
