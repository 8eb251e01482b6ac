/*
 * request - privacy requests as docket-api reads them, with what is sealed in them, for what creates, lists and
 * reviews requests.
 *
 * Threads:   any. Ownership: texts of a view are borrowed and must live until its object is serialized.
 */
#pragma once

#include "api/api.h"
#include "api/view.h"

/* Rows of the requests with these ids, in that order; unknown ids are left out. */
int request_rows(struct api_call *call, const char *const *ids, int count, PGresult **ret, struct err *err) MUST_CHECK;

/* What a row tells as it stands; texts point into `rows`. */
struct request_view request_view_read(const struct api_call *call, const PGresult *rows, int row);

/* What is sealed in a row, opened: JSON texts of identity and custom fields, and why it was denied or canceled.
 * NULL: not asked for, not there, or its key was forgotten. What can't be opened is logged and left out. */
enum request_sealed { REQUEST_IDENTITY = 1, REQUEST_CUSTOM_FIELDS = 2, REQUEST_REASON = 4 };
struct request_secrets {
    const char *identity, *custom_fields, *reason;
};
struct request_secrets request_open(struct api_call *call, const PGresult *rows, int row, unsigned which);

/* XX, XX-YYY or EEA, in capitals and with a hyphen. False when `text` is no location. */
enum { REQUEST_LOCATION_BYTES = 8 };
bool request_location(const char *text, char ret[REQUEST_LOCATION_BYTES]);
