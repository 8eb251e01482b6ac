/*
 * request - a privacy request as the API shows it (rest.md 9.1), for what creates, lists and reviews requests.
 *
 * Threads:   any. Ownership: texts of a view are borrowed and must live until its object is serialized.
 */
#pragma once

#include <json-c/json.h>

#include "api/api.h"
#include "common/lifecycle.h"

struct request_view {
    const char *id, *external_id, *source, *location, *property_id;
    const char *reviewed_by, *submitted_by, *custom_approved_by, *finalized_by, *deleted_by;
    enum pr_status status;
    const struct catalog_policy *policy;
    usec_t created_at, started_processing_at, finished_processing_at, reviewed_at, identity_verified_at;
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
