/*
 * structured - an event as one JSON object: CloudEvents' JSON format, for where there are no headers.
 *
 * The headers ce_x become members x, content-type becomes datacontenttype, the record's key partitionkey. Data that is
 * JSON stands in `data` as it stood in the record; other bytes stand in `data_base64`. It is one line.
 *
 * Threads: any.
 */
#pragma once

#include "common/buf.h"
#include "common/record.h"

/* `out` overflows at its maximum, as ever. */
void structured_add(struct buf *out, const struct record *record);
