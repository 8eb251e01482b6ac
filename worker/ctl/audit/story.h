/*
 * story - what an event of a request says, in words for people (story.tbl.h). Pure.
 *
 * What stands in a record may be anything, and the words go to a terminal: control characters become "?".
 *
 * Threads: any.
 */
#pragma once

#include <json-c/json.h>

#include "common/buf.h"
#include "common/record.h"

/* What happened, by an event's type and data. Of a type that is not known: the words of its name. */
void story_what(const char *type, json_object *data, struct buf *out);
/* Who did it, as far as the event says so, and the program that recorded it: "user fid_1, docket-api". */
void story_who(const char *source, json_object *data, struct buf *out);

/* The data of a record; NULL when it is no JSON object. */
json_object *story_data(const struct record *record);
/* The status that it sets; NULL: none. Lives as long as `data`. */
const char *story_status(json_object *data);

/* A text with its control characters as "?". */
void story_text(const char *text, struct buf *out);
