/*
 * csv - the list of requests as a spreadsheet (rest.md 9).
 *
 * Threads: any. Ownership: the caller's buffers.
 */
#pragma once

#include "api/search.h"
#include "common/buf.h"

enum { CSV_ROWS_MAX = 100000 };

/* One cell, quoted where it must be (RFC 4180). What a spreadsheet would take for a formula is kept from being
 * one by an apostrophe, as identities come from strangers; phone numbers stay as they are. */
void csv_cell(struct buf *out, bool first, const char *text);

/* All that matches, as a download. ERR_BAD_REQUEST when it is more than CSV_ROWS_MAX. */
int csv_answer(struct api_call *call, const struct search *search, struct err *err);
