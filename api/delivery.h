/*
 * delivery - calls owed to webhooks, as operators see them: listed, shown with their attempts, made anew.
 *
 * Threads: as the call. Ownership: texts are the arena's.
 */
#pragma once

#include "api/api.h"

/* How much of an attempt's answer is shown, and how many attempts of a delivery. */
enum { DELIVERY_ANSWER_BYTES = 4096, DELIVERY_ATTEMPTS_MAX = 1000 };

/* Where a page ended: lists go by the time that a call was owed, then by request and delivery. A cursor is its text,
 * base64url, which says nothing to its bearer. */
struct delivery_place {
    usec_t created_at;
    const char *request_id, *id;
};
const char *delivery_cursor(struct arena *arena, const struct delivery_place *place);
bool delivery_cursor_read(struct arena *arena, const char *cursor, struct delivery_place *ret);

/* The query's (or, `where` "body", a body's) cursor; text NULL: *ret is left. ERR_INVALID when it is none. */
int delivery_cursor_param(struct api_call *call, const char *where, const char *text, struct delivery_place *ret,
                          struct err *err) MUST_CHECK;

/* What an endpoint answered, as text: cut, and what is no UTF-8 replaced by U+FFFD. NULL for none. */
json_object *delivery_answer_text(const void *bytes, size_t length);

/* A column of microseconds in milliseconds; null stays null. */
json_object *delivery_duration(const PGresult *rows, int row, int column);
