#include "api/view.h"

#include <stdio.h>

#include "api/api.h"
#include "api/view.sql.h"

struct request_view request_view_empty(void)
{
    return (struct request_view){
        .created_at = USEC_NONE,
        .updated_at = USEC_NONE,
        .started_processing_at = USEC_NONE,
        .finished_processing_at = USEC_NONE,
        .reviewed_at = USEC_NONE,
        .identity_verified_at = USEC_NONE,
        .paused_at = USEC_NONE,
        .due_date = USEC_NONE,
        .custom_approved_at = USEC_NONE,
        .finalized_at = USEC_NONE,
        .deleted_at = USEC_NONE,
    };
}

static long long day_of(usec_t time)
{
    return time / USEC_PER_DAY - (time % USEC_PER_DAY < 0);
}

long long request_days_left(usec_t due_date, usec_t now)
{
    return day_of(due_date) - day_of(now);
}

static void add_text(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, api_json_text(value));
}

static void add_time(json_object *object, const char *name, usec_t value)
{
    json_object_object_add(object, name, api_json_time(value));
}

/* Text that is JSON already, put into the answer as it stands. */
static json_object *raw_json(const char *json)
{
    json_object *object = json_object_new_object();

    json_object_set_serializer(object, json_object_userdata_to_json_string, (void *)(uintptr_t)json, NULL);
    return object;
}

/* Where a person goes on with what stands still. */
static json_object *resume_endpoint(const struct request_view *view)
{
    static const struct {
        enum pr_status status;
        const char *end;
    } ends[] = {
        { PR_PAUSED, "resume" },
        { PR_ERROR, "retry" },
        { PR_REQUIRES_INPUT, "resume_from_requires_input" },
    };
    char path[256];

    for (size_t i = 0; view->listed && i < COUNT_OF(ends); i++) {
        if (ends[i].status != view->status)
            continue;
        snprintf(path, sizeof(path), "/privacy-request/%s/%s", view->id, ends[i].end);
        return json_object_new_string(path);
    }
    return NULL;
}

static json_object *action_required(const struct request_view *view)
{
    json_object *details;

    if (!view->listed || !view->failed_step || view->status != PR_ERROR)
        return NULL;
    details = json_object_new_object();
    add_text(details, "step", view->failed_step);
    add_text(details, "collection", NULL);
    add_text(details, "action_needed", NULL);
    return details;
}

json_object *request_object(const struct request_view *view, usec_t now)
{
    json_object *object = json_object_new_object();

    add_text(object, "id", view->id);
    add_time(object, "created_at", view->created_at);
    add_time(object, "started_processing_at", view->started_processing_at);
    add_time(object, "reviewed_at", view->reviewed_at);
    add_text(object, "reviewed_by", view->reviewed_by);
    add_text(object, "submitted_by", view->submitted_by);
    add_text(object, "reviewer", NULL); /* users are not part of this version */
    add_text(object, "submitter", NULL);
    add_time(object, "finished_processing_at", view->finished_processing_at);
    add_time(object, "identity_verified_at", view->identity_verified_at);
    add_time(object, "paused_at", view->paused_at);
    add_text(object, "status", lifecycle_word(view->status));
    add_text(object, "external_id", view->external_id);
    json_object_object_add(object, "identity", view->identity);
    json_object_object_add(object, "custom_privacy_request_fields", view->custom_fields);
    json_object_object_add(object, "policy", view->policy ? raw_json(view->policy->api_json) : NULL);
    json_object_object_add(object, "action_required_details", action_required(view));
    json_object_object_add(object, "resume_endpoint", resume_endpoint(view));
    json_object_object_add(object, "days_left",
                           view->due_date == USEC_NONE
                               ? NULL
                               : json_object_new_int64(request_days_left(view->due_date, now)));
    add_text(object, "custom_privacy_request_fields_approved_by", view->custom_approved_by);
    add_time(object, "custom_privacy_request_fields_approved_at", view->custom_approved_at);
    add_text(object, "source", view->source);
    add_text(object, "location", view->location);
    add_text(object, "property_id", view->property_id);
    add_time(object, "deleted_at", view->deleted_at);
    add_text(object, "deleted_by", view->deleted_by);
    add_time(object, "finalized_at", view->finalized_at);
    add_text(object, "finalized_by", view->finalized_by);
    add_text(object, "duplicate_request_group_id", NULL); /* duplicates are not looked for */
    return object;
}

/* --- as they are stored -------------------------------------------------------------------------------- */

int view_rows(struct db *db, const char *const *ids, int count, struct arena *arena, PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(arena);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    return db_run_planned(db, &SQL_view_rows, args, ret, err);
}

struct request_view view_read(const PGresult *rows, int row)
{
    return (struct request_view){
        .id = db_get_text(rows, row, VIEW_ID),
        .status = lifecycle_parse(db_get_text(rows, row, VIEW_STATUS)),
        .external_id = db_get_text(rows, row, VIEW_EXTERNAL_ID),
        .source = db_get_text(rows, row, VIEW_SOURCE),
        .location = db_get_text(rows, row, VIEW_LOCATION),
        .property_id = db_get_text(rows, row, VIEW_PROPERTY_ID),
        .reviewed_by = db_get_text(rows, row, VIEW_REVIEWED_BY),
        .submitted_by = db_get_text(rows, row, VIEW_SUBMITTED_BY),
        .custom_approved_by = db_get_text(rows, row, VIEW_CUSTOM_APPROVED_BY),
        .finalized_by = db_get_text(rows, row, VIEW_FINALIZED_BY),
        .deleted_by = db_get_text(rows, row, VIEW_DELETED_BY),
        .created_at = db_get_time(rows, row, VIEW_CREATED_AT),
        .started_processing_at = db_get_time(rows, row, VIEW_STARTED_AT),
        .finished_processing_at = db_get_time(rows, row, VIEW_FINISHED_AT),
        .reviewed_at = db_get_time(rows, row, VIEW_REVIEWED_AT),
        .identity_verified_at = db_get_time(rows, row, VIEW_VERIFIED_AT),
        .paused_at = db_get_time(rows, row, VIEW_PAUSED_AT),
        .due_date = db_get_time(rows, row, VIEW_DUE_DATE),
        .custom_approved_at = db_get_time(rows, row, VIEW_CUSTOM_APPROVED_AT),
        .finalized_at = db_get_time(rows, row, VIEW_FINALIZED_AT),
        .deleted_at = db_get_time(rows, row, VIEW_DELETED_AT),
        .updated_at = db_get_time(rows, row, VIEW_UPDATED_AT),
        .failed_step = db_get_text(rows, row, VIEW_FAILED_STEP),
    };
}
