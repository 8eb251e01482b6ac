/*
 * markup - values as HTML, escaped: what stands in a person's data is never taken for markup. Pure.
 */
#pragma once

#include <stddef.h>

#include "common/buf.h"
#include "common/dataset.h"

/* For text and for attributes in double quotes; characters that HTML has no place for become U+FFFD. */
void markup_text(struct buf *out, const char *text);

/* A JSON value: objects as lists of names and values, lists as lists. `field` is what describes it (NULL: nothing):
 * names of sub-fields that are to be redacted are "field_<place>". Deeper than MARKUP_DEPTH_MAX it is JSON again. */
enum { MARKUP_DEPTH_MAX = 16 };
void markup_json(struct buf *out, const char *json, size_t length, const struct dataset_field *field);
