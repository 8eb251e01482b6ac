#include "worker/ctl/audit/request.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/chain.h"

struct events {
    const struct request_event **events;
    int count, room;
};

/* --- what is kept -------------------------------------------------------------------------------------- */

static const struct request_event *event_keep(struct arena *arena, const struct record *record)
{
    struct request_event *kept = arena_new_of(arena, struct request_event);

    kept->record = *record;
    kept->record.topic = NULL; /* the log's */
    kept->record.key = arena_memdup(arena, record->key, record->key_length);
    kept->record.value = record->value ? arena_strndup(arena, record->value, record->value_length) : NULL;
    for (int i = 0; i < record->header_count; i++) {
        struct record_header *header = &kept->record.headers[i];

        header->name = arena_strdup(arena, header->name);
        header->value = header->value ? arena_strndup(arena, header->value, header->length) : NULL;
    }
    record_event(&kept->record, &kept->event);
    return kept;
}

static void events_add(struct events *events, const struct request_event *event)
{
    if (events->count == events->room) {
        events->room = events->room ? events->room * 2 : 64;
        events->events = realloc(events->events, sizeof(*events->events) * (size_t)events->room);
        if (!events->events)
            abort();
    }
    events->events[events->count++] = event;
}

static int events_read(const struct config *config, const struct log_range *range, const char *id, struct arena *arena,
                       struct events *events, struct err *err)
{
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;
    size_t length = strlen(id);
    int r = log_open(config, "lifecycle", range, &log, err);

    while (r == 0 && (r = log_next(log, &record, err)) == 0 && record)
        if (record->key_length == length && !memcmp(record->key, id, length))
            events_add(events, event_keep(arena, record));
    return r;
}

/* --- their order --------------------------------------------------------------------------------------- */

/* What has no number stands last. */
static int64_t number_of(const struct request_event *event)
{
    return event->event.sequence ? event->event.sequence : INT64_MAX;
}

static int compare_events(const void *a, const void *b)
{
    const struct request_event *one = *(const struct request_event *const *)a,
                               *other = *(const struct request_event *const *)b;

    if (number_of(one) != number_of(other))
        return number_of(one) < number_of(other) ? -1 : 1;
    return one->record.offset < other->record.offset ? -1 : one->record.offset > other->record.offset;
}

static bool is_repeat(const struct request_event *one, const struct request_event *other)
{
    return one->event.has_chain && other->event.has_chain &&
           !memcmp(one->event.chain, other->event.chain, DIGEST_BYTES) &&
           one->record.value_length == other->record.value_length &&
           !memcmp(one->record.value, other->record.value, one->record.value_length);
}

/* Whether the next event, which has the next number, follows from those that do. */
static bool follows(const struct request *request, const struct request_event *event, struct digest *digest)
{
    uint8_t chain[DIGEST_BYTES];

    if (event->event.sequence != request->whole + 1 || !event->event.has_chain || !event->record.value)
        return false;
    chain_next(digest, request_chain(request), &event->event, event->record.value, event->record.value_length, chain);
    return !memcmp(chain, event->event.chain, DIGEST_BYTES);
}

void request_settle(const char *id, const struct request_event **events, int count, struct digest *digest,
                    struct request *ret)
{
    int limit = INT_MAX; /* of two different events with one number neither is known to be right */

    *ret = (struct request){ .id = id, .events = events };
    if (count)
        qsort(events, (size_t)count, sizeof(*events), compare_events);
    for (int i = 0; i < count; i++) {
        const struct request_event *last = ret->count ? events[ret->count - 1] : NULL;

        if (!last || !events[i]->event.sequence || last->event.sequence != events[i]->event.sequence)
            events[ret->count++] = events[i];
        else if (is_repeat(last, events[i]))
            ret->repeats++;
        else if (ret->count - 1 < limit)
            limit = ret->count - 1;
    }
    while (ret->whole < ret->count && ret->whole < limit && follows(ret, events[ret->whole], digest))
        ret->whole++;
}

const uint8_t *request_chain(const struct request *request)
{
    return request->whole ? request->events[request->whole - 1]->event.chain : NULL;
}

/* --- all of it ----------------------------------------------------------------------------------------- */

int request_read(const struct config *config, const char *id, struct arena *arena, struct request *ret,
                 struct err *err)
{
    const struct log_range ranges[] = { { .since = USEC_NONE, .partition = LOG_ALL, .key = id },
                                        { .since = USEC_NONE, .partition = LOG_ALL } };
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct events events = { 0 };
    const struct request_event **kept;
    int r = 0;

    for (size_t i = 0; r == 0 && !events.count && i < COUNT_OF(ranges); i++)
        r = events_read(config, &ranges[i], id, arena, &events, err);
    kept = events.count ? arena_memdup(arena, events.events, sizeof(*events.events) * (size_t)events.count) : NULL;
    free(events.events);
    if (r < 0)
        return r;
    if (!kept)
        return err_set(err, ERR_NOT_FOUND, "%s.lifecycle has no event of %s", config->topic_prefix, id);
    request_settle(id, kept, events.count, digest, ret);
    return 0;
}
