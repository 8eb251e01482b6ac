/*
 * plain - bytes from anywhere, on a terminal or in JSON: nothing that a terminal takes for more than text, nothing that
 * is no JSON.
 */
#pragma once

#include <stdbool.h>

#include "common/buf.h"

/* Text without control characters but line ends and tabs, as UTF-8. */
bool plain_is_text(const void *bytes, size_t length);
/* On one line: what is no printable text stands as \xNN. */
void plain_line(struct buf *out, const void *bytes, size_t length);
/* Text as it is, each line behind `indent`; else a table of sixteen bytes a line. Ends with a line end. */
void plain_block(struct buf *out, const void *bytes, size_t length, const char *indent);
/* A member `name` with a JSON string, or `name`_base64 where it is no UTF-8 or has a NUL; null for NULL. */
void plain_json(struct buf *out, const char *name, const void *bytes, size_t length);
