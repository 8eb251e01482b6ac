/* A record of either topic. What is taken is an event in every respect; what is refused has a reason and says so in
 * words of ours; and both readers of JSON, the one that builds and the one that only looks, take the same texts.
 *
 * An input is its topic's first letter, then lines `name: value` (key: the key), an empty line, and the value. */

#include "common/jsonschema.h"
#include "common/arrival.h"
#include "common/schema.h"

#include "tests/fuzz/fuzz.h"

enum { HEADERS_MAX = 32 };

struct input {
    struct arrival record;
    struct record_header headers[HEADERS_MAX];
};

/* A line without its end; NULL at the end of the head. */
static char *take_line(char **at, char *end, size_t *length)
{
    char *line = *at, *stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;

    if (!stop || stop == line) {
        *at = stop ? stop + 1 : end;
        return NULL;
    }
    *stop = '\0'; /* as librdkafka ends them */
    *at = stop + 1;
    *length = (size_t)(stop - line);
    return line;
}

static void add_header(struct input *input, char *line, size_t length)
{
    char *colon = memchr(line, ':', length), *value;

    if (!colon || input->record.header_count == HEADERS_MAX)
        return;
    *colon = '\0';
    value = colon + 1 + (colon + 1 < line + length && colon[1] == ' ');
    if (!strcmp(line, "key")) {
        input->record.key = value;
        input->record.key_length = (size_t)(line + length - value);
        return;
    }
    input->headers[input->record.header_count++] =
        (struct record_header){ line, value, (size_t)(line + length - value) };
}

static void read_input(struct input *input, char *at, char *end)
{
    size_t length;
    char *line;

    while ((line = take_line(&at, end, &length)))
        add_header(input, line, length);
    input->record.headers = input->headers;
    input->record.value = at;
    input->record.length = (size_t)(end - at);
}

static void check_event(const struct arrival_event *event, enum arrival_topic topic)
{
    CHECK(event->type != EVENT_UNKNOWN && event_is_reply(event->type) == (topic == ARRIVAL_CALLBACKS));
    CHECK(arrival_is_request_id(event->request_id, strlen(event->request_id)));
    CHECK(event->id && *event->id && schema_is_utf8(event->id, strlen(event->id)) && !strpbrk(event->id, "\r\n"));
    CHECK(topic == ARRIVAL_CALLBACKS ? event->webhook_id && *event->webhook_id : event->seq > 0);
    CHECK(!event->webhook_id || schema_is_utf8(event->webhook_id, strlen(event->webhook_id)));
}

static void check_refusal(const struct arrival_refusal *refusal)
{
    CHECK(refusal->reason > DEAD_NONE && refusal->reason < DEAD_REASONS && *refusal->detail);
    for (const char *c = refusal->detail; *c; c++)
        CHECK(*c >= 0x20 && *c < 0x7f);
}

static void check_json(const char *text, size_t length)
{
    struct schema_errors errors = { 0 };
    char why[JSONSCHEMA_WHY_BYTES];
    json_object *value = NULL;
    bool parsed = schema_parse(text, length, &value, &errors) == 0;

    CHECK(parsed == (jsonschema_check(NULL, text, length, NULL, why) == JSONSCHEMA_FITS));
    json_object_put(value);
    schema_errors_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arrival_reader *reader;
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    char *text = arena_memdup(arena, data, size ? size : 1);
    struct arrival_refusal refusal;
    struct input input = { 0 };
    struct arrival_event event;
    enum arrival_topic topic;
    struct err err;

    if (!size)
        return 0;
    if (!reader)
        CHECK(arrival_reader_new(&reader, &err) == 0);
    topic = *text == 'c' ? ARRIVAL_CALLBACKS : ARRIVAL_LIFECYCLE;
    read_input(&input, text + 1 + (size > 1 && text[1] == '\n'), text + size);
    if (arrival_read(reader, topic, &input.record, arena, &event, &refusal))
        check_event(&event, topic);
    else
        check_refusal(&refusal);
    check_json(input.record.value, input.record.length);
    return 0;
}
