/*
 * event_place - how far a reader of a topic is: of each partition the offset that comes next. Its text is the id of a
 * server-sent event: whoever gives it back goes on behind that event.
 *
 * The text is base64url of a form's number, of how many partitions there are and of each offset as LEB128, and of four
 * bytes of a hash over topic and all of these: so that what was cut, mistyped or made for another topic is told.
 *
 * Threads: any. Ownership: the arena's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"

enum { EVENT_PLACE_PARTITIONS_MAX = 10000, EVENT_PLACE_CHARS_MAX = 128 * 1024 };

struct event_place {
    int count;
    int64_t *offsets;
};

void event_place_add(struct buf *out, const char *topic, const struct event_place *place);
/* False when it is no text of a place in that topic; *ret is untouched then. */
bool event_place_read(const char *text, const char *topic, struct arena *arena, struct event_place *ret);
