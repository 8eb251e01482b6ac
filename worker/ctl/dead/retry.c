#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/place.h"
#include "common/refetch.h"
#include "worker/ctl/dead/post.h"
#include "worker/ctl/dead/verbs.h"
#include "worker/ctl/verb.h"

enum { BATCH = 256, VALUE_BYTES = 16 * 1024 * 1024 };

#define PATIENCE (20 * USEC_PER_S)

DEFINE_CLEANUP(FILE *, fclose)

/* One that is put back, until that is known and noted. */
struct parcel {
    const struct entry *entry;
    struct place to;
    const char *mended;
    struct slip slip, note;
};

struct retrying {
    const struct config *config;
    const struct options *options;
    const struct shelf *shelf;
    struct arrival_reader *reader;
    struct post *post;
    const char *by;
    const char *value; /* of --value; NULL: none */
    size_t value_length;
    struct arena *arena; /* a record's */
    struct parcel parcels[BATCH];
    int count, left; /* left: not visited yet */
    int refused;
    struct err *err;
};

static bool mends(const struct options *options)
{
    return options->value || options->key || options->headers.count;
}

/* --- what is put back -------------------------------------------------------------------------------- */

/* Whether --header speaks of it, and of what value: NULL, it is to be left out. */
static bool header_is_meant(const char *option, const char *name, const char **value)
{
    const char *equals = strchr(option, '=');
    size_t length = equals ? (size_t)(equals - option) : strlen(option);

    *value = equals ? equals + 1 : NULL;
    return strlen(name) == length && !strncmp(name, option, length);
}

static bool is_replaced(const struct options *options, const char *name)
{
    const char *value;

    for (int i = 0; i < options->headers.count; i++)
        if (header_is_meant(options->headers.texts[i], name, &value))
            return true;
    return false;
}

/* The headers that stay, then those of --header. */
static void mend_headers(const struct options *options, struct arrival *record, struct arena *arena)
{
    struct record_header *list =
        arena_array(arena, struct record_header, (size_t)(record->header_count + options->headers.count) + 1);
    int count = 0;

    for (int i = 0; i < record->header_count; i++)
        if (!is_replaced(options, record->headers[i].name))
            list[count++] = record->headers[i];
    for (int i = 0; i < options->headers.count; i++) {
        const char *equals = strchr(options->headers.texts[i], '=');

        if (equals)
            list[count++] = (struct record_header){
                arena_strndup(arena, options->headers.texts[i], (size_t)(equals - options->headers.texts[i])), equals + 1,
                strlen(equals + 1)
            };
    }
    record->headers = list;
    record->header_count = count;
}

/* Names of what was changed. */
static const char *mend(const struct retrying *retrying, struct arrival *record)
{
    const struct options *options = retrying->options;
    const char *mended = "";

    if (options->key) {
        record->key = options->key;
        record->key_length = strlen(options->key);
        mended = "key";
    }
    if (retrying->value) {
        record->value = retrying->value;
        record->length = retrying->value_length;
        mended = arena_printf(retrying->arena, "%s%svalue", mended, *mended ? "," : "");
    }
    for (int i = 0; i < options->headers.count; i++)
        mended = arena_printf(retrying->arena, "%s%s%.*s", mended, *mended ? "," : "",
                              (int)strcspn(options->headers.texts[i], "="), options->headers.texts[i]);
    if (options->headers.count)
        mend_headers(options, record, retrying->arena);
    return *mended ? mended : NULL;
}

static rd_kafka_headers_t *headers_of(const struct arrival *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)record->header_count + 1);

    for (int i = 0; i < record->header_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
                            record->headers[i].value ? (ssize_t)record->headers[i].length : 0);
    return headers;
}

static bool topic_of(const struct config *config, const char *topic, enum arrival_topic *ret)
{
    size_t length = strlen(config->topic_prefix);

    if (strncmp(topic, config->topic_prefix, length) != 0)
        return false;
    *ret = !strcmp(topic + length, ".callbacks") ? ARRIVAL_CALLBACKS : ARRIVAL_LIFECYCLE;
    return !strcmp(topic + length, ".callbacks") || !strcmp(topic + length, ".lifecycle");
}

/* --- one of them ------------------------------------------------------------------------------------- */

static void say_refused(struct retrying *retrying, const struct entry *entry, const char *why)
{
    printf("%" PRId64 ": not retried: %s\n", entry->number, why);
    retrying->refused++;
}

static bool may_go(struct retrying *retrying, const struct entry *entry, const struct arrival *record,
                   enum arrival_topic topic)
{
    struct arrival_refusal refusal;
    struct arrival_event event;

    if (retrying->options->anyway ||
        arrival_read(retrying->reader, topic, record, retrying->arena, &event, &refusal))
        return true;
    say_refused(retrying, entry,
                arena_printf(retrying->arena, "it would be refused again, as %s: %s; --anyway sends it all the same",
                             dead_word(refusal.reason), refusal.detail));
    return false;
}

static void send_record(struct retrying *retrying, const struct entry *entry, struct arrival *record)
{
    struct parcel *parcel = &retrying->parcels[retrying->count];
    enum arrival_topic topic;

    *parcel = (struct parcel){ .entry = entry };
    if (!place_parse(entry->letter.place, &parcel->to) || !topic_of(retrying->config, parcel->to.topic, &topic)) {
        say_refused(retrying, entry, "its place is on no topic of docket's that is read");
        return;
    }
    parcel->mended = mend(retrying, record);
    if (!may_go(retrying, entry, record, topic))
        return;
    post_send(retrying->post, parcel->to.topic, RD_KAFKA_PARTITION_UA, record, headers_of(record), &parcel->slip);
    retrying->count++;
}

/* What the dead topic could not keep may still stand where it stood. */
static void send_elsewhere(struct retrying *retrying, const struct entry *entry)
{
    _cleanup_(refetched_freep) struct refetched *refetched = NULL;
    struct place place;
    struct arrival record;
    struct err err;

    if (!place_parse(entry->letter.place, &place) ||
        refetch(retrying->config, &place, PATIENCE, &refetched, &err) < 0) {
        say_refused(retrying, entry, "the dead topic does not have the record, and its place not any more");
        return;
    }
    record = arrival_of(refetched->message, retrying->arena);
    send_record(retrying, entry, &record);
}

static void batch_end(struct retrying *retrying);

static void take(struct retrying *retrying, const struct entry *entry, const struct arrival *record)
{
    struct arrival original;
    struct dead_letter letter;

    if (entry->note.state != DEAD_OPEN && !retrying->options->anyway)
        say_refused(retrying, entry,
                    arena_printf(retrying->arena, "it was %s before; --anyway sends it once more",
                                 dead_state_word(entry->note.state)));
    else if (entry->letter.lacks)
        send_elsewhere(retrying, entry);
    else if (dead_read(record, retrying->arena, &original, &letter))
        send_record(retrying, entry, &original);
}

static int on_message(void *context, rd_kafka_message_t *message)
{
    struct retrying *retrying = context;
    const struct entry *entry = shelf_find(retrying->shelf, message->offset);
    struct arrival record;

    if (!entry || !options_mean(retrying->options, entry, retrying->config->topic_prefix))
        return 0;
    arena_clear(retrying->arena);
    record = arrival_of(message, retrying->arena);
    take(retrying, entry, &record);
    if (retrying->count == BATCH)
        batch_end(retrying);
    return !--retrying->left;
}

/* --- a batch of them --------------------------------------------------------------------------------- */

/* First the record, then the note: a crash in between leaves it open, and a second copy does no harm. */
static void note_parcel(struct retrying *retrying, struct parcel *parcel)
{
    char to[PLACE_BYTES];
    struct dead_note note = { .of = parcel->entry->number,
                              .state = DEAD_RETRIED,
                              .time = usec_now(),
                              .by = retrying->by,
                              .mended = parcel->mended };

    parcel->to.partition = parcel->slip.partition;
    parcel->to.offset = parcel->slip.offset;
    note.to = place_print(&parcel->to, to);
    post_note(retrying->post, retrying->config, &note, &parcel->note);
}

static void tell_parcel(struct retrying *retrying, const struct parcel *parcel)
{
    char to[PLACE_BYTES];

    if (parcel->slip.error)
        say_refused(retrying, parcel->entry, rd_kafka_err2name(parcel->slip.error));
    else if (parcel->note.error)
        say_refused(retrying, parcel->entry, "it was sent, but that could not be noted");
    else
        printf("%" PRId64 ": retried, it is %s\n", parcel->entry->number, place_print(&parcel->to, to));
}

static void batch_end(struct retrying *retrying)
{
    post_wait(retrying->post);
    for (int i = 0; i < retrying->count; i++)
        if (!retrying->parcels[i].slip.error)
            note_parcel(retrying, &retrying->parcels[i]);
    post_wait(retrying->post);
    for (int i = 0; i < retrying->count; i++)
        tell_parcel(retrying, &retrying->parcels[i]);
    retrying->count = 0;
}

static int read_value(const char *path, char **ret, size_t *length, struct err *err)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "rb");
    char *bytes;

    if (!file)
        return err_set(err, ERR_BAD_REQUEST, "%s: %s", path, strerror(errno));
    bytes = malloc(VALUE_BYTES + 1);
    if (!bytes)
        abort();
    *length = fread(bytes, 1, VALUE_BYTES + 1, file);
    if (ferror(file) || *length > VALUE_BYTES) {
        free(bytes);
        return err_set(err, ERR_BAD_REQUEST, "%s can't be read, or is longer than 16 MiB", path);
    }
    *ret = bytes;
    return 0;
}

static int retry_all(struct retrying *retrying, int64_t first, struct err *err)
{
    int r = arrival_reader_new(&retrying->reader, err);

    if (r == 0)
        r = post_new(retrying->config, &retrying->post, err);
    if (r == 0)
        r = shelf_scan(retrying->config, first, on_message, retrying, err);
    if (r == 0)
        batch_end(retrying);
    post_free(retrying->post);
    arrival_reader_free(retrying->reader);
    if (r == 0 && retrying->refused)
        r = err_set(err, ERR_REFUSED, "%d of them could not be retried", retrying->refused);
    return r;
}

int dead_retry(const struct config *config, const struct options *options, struct arena *arena, struct err *err)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new();
    struct retrying *retrying = arena_new_of(arena, struct retrying);
    char *value = NULL;
    struct shelf shelf;
    int64_t first = 0;
    int r;

    if (!options_name_any(options))
        return verb_usage("dead retry N... | --all | --reason R | --topic T | --since TIME", err);
    if (mends(options) && options->number_count != 1)
        return err_set(err, ERR_BAD_REQUEST, "--key, --value and --header mend one letter: name it by its number");
    r = shelf_read(config, arena, &shelf, err);
    if (r == 0)
        r = options_check(options, &shelf, err);
    *retrying = (struct retrying){ .config = config, .options = options, .shelf = &shelf, .arena = scratch };
    if (r == 0 && options->value)
        r = read_value(options->value, &value, &retrying->value_length, err);
    if (r < 0)
        return r;
    retrying->value = value;
    retrying->by = post_author(options->by, arena);
    retrying->left = options_count(options, &shelf, config->topic_prefix, &first);
    if (retrying->left)
        r = retry_all(retrying, first, err);
    else
        printf("no dead letter is meant\n");
    free(value);
    return r;
}
