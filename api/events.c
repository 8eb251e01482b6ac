/*
 * events - the lifecycle topic as server-sent events (docs/consuming.md): for who has HTTP and no Kafka client. What a
 * client asks for is read here, and carried out by event_stream.
 */
#include <string.h>

#include "api/event_stream.h"
#include "common/schema.h"

enum { TYPE_CHARS_MAX = 100, ID_CHARS_MAX = 256 };

static int read_types(struct api_call *call, struct event_wish *wish, struct err *err)
{
    const char *types[EVENT_STREAM_TYPES_MAX + 1];
    int count = http_queries(call->http, "type", types, EVENT_STREAM_TYPES_MAX + 1);

    if (count > EVENT_STREAM_TYPES_MAX)
        return api_invalid(call, err, "query", "type", "too_long", "List should have at most %d items after validation",
                           EVENT_STREAM_TYPES_MAX);
    for (int i = 0; i < count; i++) {
        if (!*types[i] || strlen(types[i]) > TYPE_CHARS_MAX)
            return api_invalid(call, err, "query", "type", "value_error",
                               "Value error, A type or its beginning has 1 to %d characters", TYPE_CHARS_MAX);
        wish->types[wish->type_count++] = types[i];
    }
    return 0;
}

static int read_request(struct api_call *call, struct event_wish *wish, struct err *err)
{
    wish->request_id = http_query(call->http, "request_id");
    if (wish->request_id && (!*wish->request_id || strlen(wish->request_id) > ID_CHARS_MAX))
        return api_invalid(call, err, "query", "request_id", "value_error",
                           "Value error, The id of a privacy request has 1 to %d characters", ID_CHARS_MAX);
    return 0;
}

static int read_from(struct api_call *call, struct event_wish *wish, struct err *err)
{
    const char *from = http_query(call->http, "from");

    wish->from_beginning = from && !strcmp(from, "beginning");
    if (!from || wish->from_beginning || !strcmp(from, "now"))
        return 0;
    return api_invalid(call, err, "query", "from", "enum", "Input should be 'beginning' or 'now'");
}

/* An empty one is what a client sends that has seen none. */
static int read_place(struct api_call *call, const char *where, const char *name, const char *text,
                      struct event_wish *wish, struct err *err)
{
    const char *topic = arena_printf(call->arena, "%s.lifecycle", call->api->config->topic_prefix);
    struct event_place *place = arena_new_of(call->arena, struct event_place);

    if (!text || !*text)
        return 0;
    if (!event_place_read(text, topic, call->arena, place))
        return api_invalid(call, err, where, name, "value_error",
                           "Value error, This is no id of an event that was sent");
    wish->after = place;
    return 0;
}

/* A client that comes back does so by the address that it began with, so the header goes before the query. */
static int read_after(struct api_call *call, struct event_wish *wish, struct err *err)
{
    int r = read_place(call, "header", "Last-Event-ID", http_header(call->http, "Last-Event-ID"), wish, err);

    if (r < 0 || wish->after)
        return r;
    return read_place(call, "query", "last_event_id", http_query(call->http, "last_event_id"), wish, err);
}

static int events_read(struct api_call *call, struct err *err)
{
    struct event_wish wish = { 0 };
    int r = read_types(call, &wish, err);

    if (r == 0)
        r = read_request(call, &wish, err);
    if (r == 0)
        r = read_from(call, &wish, err);
    if (r == 0)
        r = read_after(call, &wish, err);
    return r == 0 ? event_stream_open(call->api->events, call, &wish, err) : r;
}

const struct api_route event_routes[] = {
    { "GET", "/docket/events", "privacy-request:read", .handler = events_read },
    { 0 },
};
