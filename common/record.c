#include "common/record.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/jsonschema.h"
#include "common/scan.h"
#include "common/schema.h"

enum {
    ATTRIBUTE_BYTES = 512,
    LIFECYCLE_BYTES = 1024 * 1024, /* event.c writes none that is longer */
    CALLBACKS_BYTES = 64 * 1024,
    CHAIN_CHARS = 2 * EVENT_CHAIN_BYTES,
};

#define JSON_TYPE "application/json"
#define STRUCTURED_TYPE "application/cloudevents+json"

static const struct {
    const char *name, *text;
} texts[] = {
#include "common/record.tbl.h"
};

struct record_reader {
    struct arena *arena;
    const struct jsonschema *schemas[EVENT_TYPES], *structured;
};

/* --- the reader -------------------------------------------------------------------------------------- */

static int compile(const char *name, bool open, struct arena *arena, const struct jsonschema **ret, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (!strcmp(texts[i].name, name))
            return jsonschema_compile(texts[i].text, open, arena, ret, err);
    return err_set(err, ERR_BAD_REQUEST, "There is no schema for %s.", name);
}

int record_reader_new(struct record_reader **ret, struct err *err)
{
    _cleanup_(record_reader_freep) struct record_reader *reader = calloc(1, sizeof(*reader));
    int r = 0;

    if (!reader)
        abort();
    reader->arena = arena_new();
    for (int type = EVENT_UNKNOWN + 1; r == 0 && type < EVENT_TYPES; type++)
        r = compile(event_word((enum event_type)type), true, reader->arena, &reader->schemas[type], err);
    if (r == 0)
        r = compile("structured", true, reader->arena, &reader->structured, err);
    if (r < 0)
        return r;
    *ret = TAKE(reader);
    return 0;
}

void record_reader_free(struct record_reader *reader)
{
    if (!reader)
        return;
    arena_free(reader->arena);
    free(reader);
}

/* --- records and places ------------------------------------------------------------------------------ */

struct record record_of(const rd_kafka_message_t *message, struct arena *arena)
{
    struct record record = {
        .key = message->key, .key_length = message->key_len, .value = message->payload, .length = message->len,
    };
    rd_kafka_headers_t *headers = NULL;
    struct record_header *list;

    if (rd_kafka_message_headers(message, &headers))
        return record;
    list = arena_array(arena, struct record_header, rd_kafka_header_cnt(headers) + 1);
    while (!rd_kafka_header_get_all(headers, (size_t)record.header_count, &list[record.header_count].name,
                                    &list[record.header_count].value, &list[record.header_count].length))
        record.header_count++;
    record.headers = list;
    return record;
}

const char *place_print(const struct place *place, char text[PLACE_BYTES])
{
    snprintf(text, PLACE_BYTES, "%s/%d/%" PRId64, place->topic, (int)place->partition, place->offset);
    return text;
}

static bool take_number(const char **end, const char *start, int64_t max, int64_t *ret)
{
    const char *slash = *end;
    char *stop;

    while (slash > start && slash[-1] != '/')
        slash--;
    if (slash == start || slash == *end || *slash < '0' || *slash > '9' || *end - slash > 19)
        return false;
    *ret = strtoll(slash, &stop, 10);
    if (stop != *end || *ret > max)
        return false;
    *end = slash - 1;
    return true;
}

bool place_parse(const char *text, struct place *ret)
{
    const char *end = text + strlen(text);
    int64_t partition, offset;

    if (!take_number(&end, text, INT64_MAX - 1, &offset) || !take_number(&end, text, INT32_MAX, &partition) ||
        end == text || end - text >= (ptrdiff_t)sizeof(ret->topic))
        return false;
    *ret = (struct place){ .partition = (int32_t)partition, .offset = offset };
    memcpy(ret->topic, text, (size_t)(end - text));
    return true;
}

/* --- refusing ---------------------------------------------------------------------------------------- */

enum attribute {
    CONTENT_TYPE,
    SPECVERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    TIME,
    DATASCHEMA,
    TRACEPARENT,
    CAUSATIONID,
    SEQUENCE,
    CHAIN,
    ATTRIBUTES
};

/* A record under way. */
struct reading {
    const struct record_reader *reader;
    enum record_topic topic;
    const struct record *record;
    struct arena *arena;
    struct record_event *event;
    struct record_refusal *refusal;
    bool structured;
    const void *data; /* the event's, as JSON */
    size_t length;
    const char *attributes[ATTRIBUTES]; /* NULL: not there */
};

static bool refuse(const struct reading *reading, enum dead_reason reason, const char *detail, ...) PRINTF_LIKE(3, 4);

static bool refuse(const struct reading *reading, enum dead_reason reason, const char *detail, ...)
{
    va_list args;

    reading->refusal->reason = reason;
    va_start(args, detail);
    vsnprintf(reading->refusal->detail, DEAD_DETAIL_BYTES, detail, args);
    va_end(args);
    return false;
}

/* --- the key ----------------------------------------------------------------------------------------- */

bool record_is_request_id(const char *text, size_t length)
{
    static const char form[] = "pri_xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (length != sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < length; i++)
        if (form[i] == 'x' && i > 3 ? !text[i] || !strchr("0123456789abcdef", text[i]) : text[i] != form[i])
            return false;
    return true;
}

static bool read_key(struct reading *reading)
{
    const struct record *record = reading->record;

    if (!record->key || !record->key_length)
        return refuse(reading, DEAD_BAD_KEY, "key is missing");
    if (!schema_is_utf8(record->key, record->key_length))
        return refuse(reading, DEAD_BAD_KEY, "key is no UTF-8");
    if (!record_is_request_id(record->key, record->key_length))
        return refuse(reading, DEAD_BAD_KEY, "key is no id of a request");
    reading->event->request_id = arena_strndup(reading->arena, record->key, record->key_length);
    return true;
}

static bool read_size(struct reading *reading)
{
    size_t most = reading->topic == RECORD_LIFECYCLE ? LIFECYCLE_BYTES : CALLBACKS_BYTES;

    if (!reading->record->value)
        return refuse(reading, DEAD_NO_VALUE, "value is missing");
    if (reading->record->length > most)
        return refuse(reading, DEAD_TOO_LARGE, "value has %zu bytes, %zu are allowed", reading->record->length, most);
    return true;
}

/* --- attributes -------------------------------------------------------------------------------------- */

/* Who must have it: records of either topic in binary mode, which docket itself writes, and those in structured mode,
 * whose writers know CloudEvents. */
enum { IN_LIFECYCLE = 1, IN_CALLBACKS = 2, IN_STRUCTURED = 4, IN_BINARY = 3, IN_ALL = 7 };

/* In the order in which publish.c writes them. */
static const struct {
    const char *header, *member;
    unsigned needed;
} attributes[ATTRIBUTES] = {
    [CONTENT_TYPE] = { "content-type", "datacontenttype", IN_BINARY },
    [SPECVERSION] = { "ce_specversion", "specversion", IN_ALL },
    [ID] = { "ce_id", "id", IN_ALL },
    [SOURCE] = { "ce_source", "source", IN_ALL },
    [TYPE] = { "ce_type", "type", IN_ALL },
    [SUBJECT] = { "ce_subject", "subject", IN_BINARY },
    [TIME] = { "ce_time", "time", IN_BINARY },
    [DATASCHEMA] = { "ce_dataschema", "dataschema", 0 },
    [TRACEPARENT] = { "ce_traceparent", "traceparent", 0 },
    [CAUSATIONID] = { "ce_causationid", "causationid", 0 },
    [SEQUENCE] = { "ce_sequence", NULL, IN_LIFECYCLE },
    [CHAIN] = { "ce_chain", NULL, IN_LIFECYCLE },
};

static const char *name_of(const struct reading *reading, enum attribute attribute)
{
    return reading->structured ? attributes[attribute].member : attributes[attribute].header;
}

/* Text without control characters, and not too long. */
static bool is_attribute(const char *bytes, size_t length)
{
    unsigned control = 0;

    if (length > ATTRIBUTE_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) /* without a branch, so that the compiler takes many at once */
        control |= ((unsigned char)bytes[i] < 0x20) | (bytes[i] == 0x7f);
    return !control && schema_is_utf8(bytes, length);
}

/* One that must be there must be of its form; another counts as absent when it is not. */
static bool keep_attribute(struct reading *reading, enum attribute attribute, const void *bytes, size_t length)
{
    bool needed = attributes[attribute].needed != 0;

    if (reading->attributes[attribute])
        return refuse(reading, DEAD_BAD_HEADER, "%s is there twice", name_of(reading, attribute));
    if (!bytes || !is_attribute(bytes, length))
        return !needed || refuse(reading, DEAD_BAD_HEADER, "%s is not of its form", name_of(reading, attribute));
    reading->attributes[attribute] = arena_strndup(reading->arena, bytes, length);
    return true;
}

/* -1: not one of ours. They mostly come in the table's order, so `next` is looked at first. */
static int attribute_find(const char *header, int next)
{
    for (int i = 0; i < ATTRIBUTES; i++) {
        int at = next + i < ATTRIBUTES ? next + i : next + i - ATTRIBUTES;

        if (!strcmp(attributes[at].header, header))
            return at;
    }
    return -1;
}

static bool read_headers(struct reading *reading)
{
    const struct record *record = reading->record;
    int next = 0;

    for (int i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];
        int attribute = attribute_find(header->name, next);

        if (attribute < 0)
            continue;
        if (!keep_attribute(reading, (enum attribute)attribute, header->value, header->length))
            return false;
        next = attribute + 1;
    }
    return true;
}

/* "application/json; charset=utf-8" is of the type "application/json". */
static bool is_media_type(const char *text, const char *type)
{
    size_t length = strcspn(text, "; \t");

    return strlen(type) == length && !strncasecmp(text, type, length);
}

/* --- structured mode --------------------------------------------------------------------------------- */

static const char *member_text(const struct reading *reading, const struct jsonschema_member *member, size_t *length)
{
    _cleanup_(buf_free) struct buf plain = BUF_INIT(member->length + 8);

    buf_adds(&plain, "");
    scan_text((struct scan_token){ SCAN_STRING, member->text, member->length }, &plain);
    *length = plain.length;
    return arena_strndup(reading->arena, plain.data, plain.length);
}

/* data_base64: RFC 4648, what it holds is JSON all the same. */
static bool decode_data(struct reading *reading, const struct jsonschema_member *member)
{
    size_t length;
    const char *text = member_text(reading, member, &length);
    unsigned char *bytes = arena_alloc(reading->arena, length + 1);

    if (sodium_base642bin(bytes, length + 1, text, length, NULL, &reading->length, NULL,
                          sodium_base64_VARIANT_ORIGINAL))
        return refuse(reading, DEAD_BAD_HEADER, "data_base64 is not of its form");
    reading->data = bytes;
    return true;
}

static bool keep_data(struct reading *reading, const struct jsonschema_member *data,
                      const struct jsonschema_member *base64)
{
    if (!data->text == !base64->text)
        return refuse(reading, DEAD_BAD_HEADER, "data is %s", data->text ? "there twice" : "missing");
    if (base64->text)
        return decode_data(reading, base64);
    reading->data = data->text;
    reading->length = data->length;
    return true;
}

static bool open_envelope(struct reading *reading)
{
    struct jsonschema_member members[ATTRIBUTES + 3] = { { "data" }, { "data_base64" } };
    char why[JSONSCHEMA_WHY_BYTES];
    enum jsonschema_verdict verdict;
    int count = 2, kept = 2;

    for (int i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].member)
            members[count++].name = attributes[i].member;
    verdict = jsonschema_check(reading->reader->structured, reading->record->value, reading->record->length, members,
                               why);
    if (verdict != JSONSCHEMA_FITS)
        return refuse(reading, verdict == JSONSCHEMA_MISFIT ? DEAD_BAD_HEADER : DEAD_BAD_JSON, "%s", why);
    memset(reading->attributes, 0, sizeof(reading->attributes)); /* a copy in the headers counts for nothing */
    for (int i = 0; i < ATTRIBUTES; i++) {
        const struct jsonschema_member *member = attributes[i].member ? &members[kept++] : NULL;
        size_t length;
        const char *text;

        if (!member || !member->text)
            continue;
        text = member_text(reading, member, &length);
        if (!keep_attribute(reading, (enum attribute)i, text, length))
            return false;
    }
    return keep_data(reading, &members[0], &members[1]);
}

static bool read_mode(struct reading *reading)
{
    const char *type = reading->attributes[CONTENT_TYPE];

    reading->structured = reading->topic == RECORD_CALLBACKS && type && is_media_type(type, STRUCTURED_TYPE);
    if (reading->structured)
        return open_envelope(reading);
    reading->data = reading->record->value;
    reading->length = reading->record->length;
    return true;
}

/* --- what attributes must say ------------------------------------------------------------------------ */

static bool check_needed(const struct reading *reading)
{
    unsigned mode = reading->structured                    ? IN_STRUCTURED
                    : reading->topic == RECORD_LIFECYCLE ? IN_LIFECYCLE
                                                           : IN_CALLBACKS;

    for (int i = 0; i < ATTRIBUTES; i++)
        if ((attributes[i].needed & mode) && (!reading->attributes[i] || !*reading->attributes[i]))
            return refuse(reading, DEAD_BAD_HEADER, "%s is missing", name_of(reading, (enum attribute)i));
    return true;
}

static bool is_version(const char *text)
{
    return !strncmp(text, "1.", 2) && text[2] && strspn(text + 2, "0123456789") == strlen(text + 2);
}

/* With a zone: a time of day somewhere is none. */
static bool is_time(const char *text)
{
    usec_t time;

    return strlen(text) >= sizeof("2026-01-02T03:04:05Z") - 1 && strchr(text, 'T') && strpbrk(text + 19, "Z+-") &&
           usec_parse(text, &time);
}

static bool check_common(const struct reading *reading)
{
    const char *const *of = reading->attributes;
    enum attribute wrong = ATTRIBUTES;

    if (of[CONTENT_TYPE] && !is_media_type(of[CONTENT_TYPE], JSON_TYPE))
        wrong = CONTENT_TYPE;
    else if (!is_version(of[SPECVERSION]))
        wrong = SPECVERSION;
    else if (of[TIME] && !is_time(of[TIME]))
        wrong = TIME;
    if (wrong != ATTRIBUTES)
        return refuse(reading, DEAD_BAD_HEADER, "%s is not of its form", name_of(reading, wrong));
    if (of[SUBJECT] && strcmp(of[SUBJECT], reading->event->request_id) != 0)
        return refuse(reading, DEAD_BAD_HEADER, "%s is another than the key", name_of(reading, SUBJECT));
    return true;
}

static bool read_sequence(struct reading *reading)
{
    const char *text = reading->attributes[SEQUENCE], *id;

    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 20)
        return refuse(reading, DEAD_BAD_HEADER, "ce_sequence is no number");
    reading->event->seq = strtoll(text, NULL, 10); /* what is too large becomes the largest, and is no id's */
    id = arena_printf(reading->arena, "%s.%" PRId64, reading->event->request_id, reading->event->seq);
    if (reading->event->seq < 1 || strcmp(id, reading->attributes[ID]) != 0)
        return refuse(reading, DEAD_BAD_HEADER, "ce_id is not that of the key and ce_sequence");
    if (strlen(reading->attributes[CHAIN]) != CHAIN_CHARS ||
        strspn(reading->attributes[CHAIN], "0123456789abcdef") != CHAIN_CHARS)
        return refuse(reading, DEAD_BAD_HEADER, "ce_chain is not of its form");
    return true;
}

/* --- the type and its data --------------------------------------------------------------------------- */

/* "docket.request.created.v7" while there is "docket.request.created.v1". */
static bool is_another_version(const char *word)
{
    const char *version = strrchr(word, '.');

    if (!version || version[1] != 'v' || !version[2] || strspn(version + 2, "0123456789") != strlen(version + 2))
        return false;
    for (int type = EVENT_UNKNOWN + 1; type < EVENT_TYPES; type++) {
        const char *known = event_word((enum event_type)type);

        if ((size_t)(strrchr(known, '.') - known) == (size_t)(version - word) &&
            !strncmp(known, word, (size_t)(version - word)))
            return true;
    }
    return false;
}

static bool read_type(struct reading *reading)
{
    const char *word = reading->attributes[TYPE];
    enum event_type type = event_parse(word);

    if (type == EVENT_UNKNOWN)
        return is_another_version(word) ? refuse(reading, DEAD_UNKNOWN_VERSION, "%s is of another version",
                                                 name_of(reading, TYPE))
                                        : refuse(reading, DEAD_UNKNOWN_TYPE, "%s is not known", name_of(reading, TYPE));
    if (event_is_reply(type) != (reading->topic == RECORD_CALLBACKS))
        return refuse(reading, DEAD_WRONG_TOPIC, "%s belongs on another topic", name_of(reading, TYPE));
    reading->event->type = type;
    return true;
}

static bool is_same(const struct jsonschema_member *member, const char *text)
{
    return scan_is((struct scan_token){ SCAN_STRING, member->text, member->length }, text);
}

static bool read_data(struct reading *reading)
{
    struct jsonschema_member members[] = { { "request_id" }, { "webhook_id" }, { NULL } };
    char why[JSONSCHEMA_WHY_BYTES];
    size_t length;
    enum jsonschema_verdict verdict = jsonschema_check(reading->reader->schemas[reading->event->type], reading->data,
                                                       reading->length, members, why);

    if (verdict != JSONSCHEMA_FITS)
        return refuse(reading, verdict == JSONSCHEMA_MISFIT ? DEAD_BAD_DATA : DEAD_BAD_JSON, "%s", why);
    if (!is_same(&members[0], reading->event->request_id))
        return refuse(reading, DEAD_BAD_DATA, "request_id is another than the key");
    if (event_is_reply(reading->event->type))
        reading->event->webhook_id = member_text(reading, &members[1], &length);
    return true;
}

bool record_read(const struct record_reader *reader, enum record_topic topic, const struct record *record,
                 struct arena *arena, struct record_event *event, struct record_refusal *refusal)
{
    struct reading reading = { reader, topic, record, arena, event, refusal, .data = NULL };

    *event = (struct record_event){ .type = EVENT_UNKNOWN };
    if (!read_key(&reading) || !read_size(&reading) || !read_headers(&reading) || !read_mode(&reading) ||
        !check_needed(&reading) || !check_common(&reading) || !read_type(&reading) ||
        (topic == RECORD_LIFECYCLE && !read_sequence(&reading)) || !read_data(&reading))
        return false;
    event->id = reading.attributes[ID];
    event->traceparent = reading.attributes[TRACEPARENT];
    return true;
}
