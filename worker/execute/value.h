/*
 * value - a value of a customer's database as the JSON text that goes into a package. Pure.
 *
 * Numbers of fixed size are numbers, what JSON has no word for is text: NaN, numeric, uuid, times (ISO 8601, with
 * their zone where they have one), bytea (base64). Lists, composites and ranges are made JSON by the server. Bytes that
 * are no UTF-8, as a database without an encoding has them, become U+FFFD.
 *
 * Values arrive in PostgreSQL's binary form; those whose binary form says little are cast to text over there.
 */
#pragma once

#include "common/buf.h"
#include "worker/execute/source.h"

struct value_form;

/* How this column's values are read. Never NULL. */
const struct value_form *value_form_of(const struct source_column *column);
/* What is selected: `column` is a quoted name. */
const char *value_expression(const struct value_form *form, const char *column, struct arena *arena);
/* Appends the JSON text of a value that is not null. */
void value_put(const struct value_form *form, const char *bytes, size_t length, struct buf *json);
