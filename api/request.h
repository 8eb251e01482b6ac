/*
 * request - a privacy request as the API shows it (rest.md 9.1), for what creates, lists and reviews requests.
 *
 * Threads:   any. Ownership: texts of a view are borrowed and must live until its object is serialized.
 */
#pragma once

#include <json-c/json.h>

#include "api/api.h"
#include "common/lifecycle.h"

#define USEC_PER_DAY ((usec_t)86400 * USEC_PER_S)

struct request_view {
    const char *id, *external_id, *source, *location, *property_id;
    const char *reviewed_by, *submitted_by, *custom_approved_by, *finalized_by, *deleted_by;
    enum pr_status status;
    const struct catalog_policy *policy;
    usec_t created_at, updated_at, started_processing_at, finished_processing_at, reviewed_at, identity_verified_at;
    usec_t paused_at, due_date, custom_approved_at, finalized_at, deleted_at;
    json_object *identity, *custom_fields; /* labelled, taken over; NULL: not asked for, or none */
    const char *failed_step;               /* list and search only, else NULL: action_required_details */
    bool listed;                           /* list and search: tells resume_endpoint */
};

/* A view of nothing: every time is "none". */
struct request_view request_view_empty(void);

/* `now` is for days_left. */
json_object *request_object(const struct request_view *view, usec_t now);

/* Whole days from the day of `now` to the day of `due_date`, both UTC. */
long long request_days_left(usec_t due_date, usec_t now);

/* --- as they are stored --- */

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
