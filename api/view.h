/*
 * view - a privacy request as the API shows it (rest.md 9.1). For docket-callback too, which has no catalog.
 *
 * Threads:   any. Ownership: texts of a view are borrowed and must live until its object is serialized.
 */
#pragma once

#include <json-c/json.h>

#include "common/catalog.h"
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

/* The columns of view_rows(), in its order. */
enum view_column {
    VIEW_ID, VIEW_STATUS, VIEW_POLICY_ID, VIEW_EXTERNAL_ID, VIEW_SOURCE, VIEW_LOCATION, VIEW_PROPERTY_ID,
    VIEW_REVIEWED_BY, VIEW_SUBMITTED_BY, VIEW_CUSTOM_APPROVED_BY, VIEW_FINALIZED_BY, VIEW_DELETED_BY, VIEW_CREATED_AT,
    VIEW_STARTED_AT, VIEW_FINISHED_AT, VIEW_REVIEWED_AT, VIEW_VERIFIED_AT, VIEW_PAUSED_AT, VIEW_DUE_DATE,
    VIEW_CUSTOM_APPROVED_AT, VIEW_FINALIZED_AT, VIEW_DELETED_AT, VIEW_UPDATED_AT, VIEW_FAILED_STEP, VIEW_KEY_ID,
    VIEW_WRAPPED, VIEW_IDENTITY, VIEW_CUSTOM_FIELDS, VIEW_REASON,
};

/* Rows of the requests with these ids, in that order; unknown ids are left out. */
int view_rows(struct db *db, const char *const *ids, int count, struct arena *arena, PGresult **ret,
              struct err *err) MUST_CHECK;

/* What a row tells as it stands, without its policy; texts point into `rows`. */
struct request_view view_read(const PGresult *rows, int row);
