#include "common/arrival.h"

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
};

#define JSON_TYPE "application/json"
#define STRUCTURED_TYPE "application/cloudevents+json"

static const struct {
    const char *name, *text;
} texts[] = {
#include "common/arrival.tbl.h"
};

struct arrival_reader {
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

int arrival_reader_new(struct arrival_reader **ret, struct err *err)
{
    _cleanup_(arrival_reader_freep) struct arrival_reader *reader = calloc(1, sizeof(*reader));
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

void arrival_reader_free(struct arrival_reader *reader)
{
    if (!reader)
        return;
    arena_free(reader->arena);
    free(reader);
}

/* --- records ----------------------------------------------------------------------------------------- */

struct arrival arrival_of(const rd_kafka_message_t *message, struct arena *arena)
{
    struct arrival record = {
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

/* --- refusing ---------------------------------------------------------------------------------------- */

/* A record under way. */
struct reading {
    const struct arrival_reader *reader;
    enum arrival_topic topic;
    const struct arrival *record;
    struct arena *arena;
    struct arrival_event *event;
    struct arrival_refusal *refusal;
    bool structured;
    const void *data; /* the event's, as JSON */
    size_t length;
    struct record_event said; /* attributes: those that are of their form */
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

bool arrival_is_request_id(const char *text, size_t length)
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
    const struct arrival *record = reading->record;

    if (!record->key || !record->key_length)
        return refuse(reading, DEAD_BAD_KEY, "key is missing");
    if (!schema_is_utf8(record->key, record->key_length))
        return refuse(reading, DEAD_BAD_KEY, "key is no UTF-8");
    if (!arrival_is_request_id(record->key, record->key_length))
        return refuse(reading, DEAD_BAD_KEY, "key is no id of a request");
    reading->event->request_id = arena_strndup(reading->arena, record->key, record->key_length);
    return true;
}

static bool read_size(struct reading *reading)
{
    size_t most = reading->topic == ARRIVAL_LIFECYCLE ? LIFECYCLE_BYTES : CALLBACKS_BYTES;

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

static const struct {
    const char *member; /* in structured mode; NULL: only in binary mode */
    unsigned needed;
} attributes[RECORD_ATTRIBUTES] = {
    [RECORD_CONTENT_TYPE] = { "datacontenttype", IN_BINARY },
    [RECORD_SPECVERSION] = { "specversion", IN_ALL },
    [RECORD_ID] = { "id", IN_ALL },
    [RECORD_SOURCE] = { "source", IN_ALL },
    [RECORD_TYPE] = { "type", IN_ALL },
    [RECORD_SUBJECT] = { "subject", IN_BINARY },
    [RECORD_TIME] = { "time", IN_BINARY },
    [RECORD_DATASCHEMA] = { "dataschema", 0 },
    [RECORD_TRACEPARENT] = { "traceparent", 0 },
    [RECORD_CAUSE] = { "causationid", 0 },
    [RECORD_SEQUENCE] = { NULL, IN_LIFECYCLE },
    [RECORD_CHAIN] = { NULL, IN_LIFECYCLE },
};

static const char *name_of(const struct reading *reading, enum record_attribute attribute)
{
    return reading->structured ? attributes[attribute].member : record_attribute_name(attribute);
}

/* Text without control characters, and not too long. */
static bool is_attribute(const char *text)
{
    size_t length = strnlen(text, ATTRIBUTE_BYTES + 1);
    unsigned control = 0;

    if (length > ATTRIBUTE_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) /* without a branch, so that the compiler takes many at once */
        control |= ((unsigned char)text[i] < 0x20) | (text[i] == 0x7f);
    return !control && schema_is_utf8(text, length);
}

/* One that must be there must be of its form; another counts as absent when it is not. */
static bool check_forms(struct reading *reading)
{
    for (int i = 0; i < RECORD_ATTRIBUTES; i++) {
        const char **text = &reading->said.attributes[i];

        if (!*text || is_attribute(*text))
            continue;
        if (attributes[i].needed)
            return refuse(reading, DEAD_BAD_HEADER, "%s is not of its form",
                          name_of(reading, (enum record_attribute)i));
        *text = NULL;
    }
    return true;
}

static bool read_headers(struct reading *reading)
{
    const struct arrival *record = reading->record;

    record_attributes(record->headers, record->header_count, &reading->said);
    if (reading->said.doubled)
        return refuse(reading, DEAD_BAD_HEADER, "%s is there twice, or holds a NUL", reading->said.doubled);
    return check_forms(reading);
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

/* Attributes are the envelope's; a copy in the headers counts for nothing. */
static bool take_members(struct reading *reading, const struct jsonschema_member *members)
{
    memset(&reading->said, 0, sizeof(reading->said));
    for (int i = 0; i < RECORD_ATTRIBUTES; i++) {
        const char **text = &reading->said.attributes[i];
        size_t length;

        if (!attributes[i].member || !members->name || !(members++)->text)
            continue;
        *text = member_text(reading, members - 1, &length);
        if (strlen(*text) != length)
            return refuse(reading, DEAD_BAD_HEADER, "%s is not of its form", attributes[i].member);
    }
    return check_forms(reading);
}

static bool open_envelope(struct reading *reading)
{
    struct jsonschema_member members[RECORD_ATTRIBUTES + 3] = { { "data" }, { "data_base64" } };
    char why[JSONSCHEMA_WHY_BYTES];
    enum jsonschema_verdict verdict;
    int count = 2;

    for (int i = 0; i < RECORD_ATTRIBUTES; i++)
        if (attributes[i].member)
            members[count++].name = attributes[i].member;
    verdict = jsonschema_check(reading->reader->structured, reading->record->value, reading->record->length, members,
                               why);
    if (verdict != JSONSCHEMA_FITS)
        return refuse(reading, verdict == JSONSCHEMA_MISFIT ? DEAD_BAD_HEADER : DEAD_BAD_JSON, "%s", why);
    return take_members(reading, &members[2]) && keep_data(reading, &members[0], &members[1]);
}

static bool read_mode(struct reading *reading)
{
    const char *type = reading->said.attributes[RECORD_CONTENT_TYPE];

    reading->structured = reading->topic == ARRIVAL_CALLBACKS && type && is_media_type(type, STRUCTURED_TYPE);
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
                    : reading->topic == ARRIVAL_LIFECYCLE ? IN_LIFECYCLE
                                                           : IN_CALLBACKS;

    for (int i = 0; i < RECORD_ATTRIBUTES; i++) {
        const char *text = reading->said.attributes[i];

        if ((attributes[i].needed & mode) && (!text || !*text))
            return refuse(reading, DEAD_BAD_HEADER, "%s is missing", name_of(reading, (enum record_attribute)i));
    }
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
    const char *const *of = reading->said.attributes;
    enum record_attribute wrong = RECORD_ATTRIBUTES;

    if (of[RECORD_CONTENT_TYPE] && !is_media_type(of[RECORD_CONTENT_TYPE], JSON_TYPE))
        wrong = RECORD_CONTENT_TYPE;
    else if (!is_version(of[RECORD_SPECVERSION]))
        wrong = RECORD_SPECVERSION;
    else if (of[RECORD_TIME] && !is_time(of[RECORD_TIME]))
        wrong = RECORD_TIME;
    if (wrong != RECORD_ATTRIBUTES)
        return refuse(reading, DEAD_BAD_HEADER, "%s is not of its form", name_of(reading, wrong));
    if (of[RECORD_SUBJECT] && strcmp(of[RECORD_SUBJECT], reading->event->request_id) != 0)
        return refuse(reading, DEAD_BAD_HEADER, "%s is another than the key", name_of(reading, RECORD_SUBJECT));
    return true;
}

static bool read_sequence(struct reading *reading)
{
    const char *id;

    if (!reading->said.sequence)
        return refuse(reading, DEAD_BAD_HEADER, "ce_sequence is not of its form");
    reading->event->seq = reading->said.sequence;
    id = arena_printf(reading->arena, "%s.%" PRId64, reading->event->request_id, reading->event->seq);
    if (strcmp(id, reading->said.attributes[RECORD_ID]) != 0)
        return refuse(reading, DEAD_BAD_HEADER, "ce_id is not that of the key and ce_sequence");
    if (!reading->said.has_chain)
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
    const char *word = reading->said.attributes[RECORD_TYPE], *name = name_of(reading, RECORD_TYPE);
    enum event_type type = event_parse(word);

    if (type == EVENT_UNKNOWN)
        return is_another_version(word) ? refuse(reading, DEAD_UNKNOWN_VERSION, "%s is of another version", name)
                                        : refuse(reading, DEAD_UNKNOWN_TYPE, "%s is not known", name);
    if (reading->topic == ARRIVAL_CALLBACKS ? !event_is_reply(type) : !event_is_lifecycle(type))
        return refuse(reading, DEAD_WRONG_TOPIC, "%s belongs on another topic", name);
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

bool arrival_read(const struct arrival_reader *reader, enum arrival_topic topic, const struct arrival *record,
                 struct arena *arena, struct arrival_event *event, struct arrival_refusal *refusal)
{
    struct reading reading = { reader, topic, record, arena, event, refusal, .data = NULL };

    *event = (struct arrival_event){ .type = EVENT_UNKNOWN };
    if (!read_key(&reading) || !read_size(&reading) || !read_headers(&reading) || !read_mode(&reading) ||
        !check_needed(&reading) || !check_common(&reading) || !read_type(&reading) ||
        (topic == ARRIVAL_LIFECYCLE && !read_sequence(&reading)) || !read_data(&reading))
        return false;
    event->id = arena_strdup(arena, reading.said.attributes[RECORD_ID]);
    event->traceparent = arena_strdup(arena, reading.said.attributes[RECORD_TRACEPARENT]);
    return true;
}
