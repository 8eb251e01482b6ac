/*
 * review - people and their programs approve, deny and cancel requests, many at once (rest.md 10, lifecycle.md 5.2).
 */
#include <string.h>

#include "api/api.h"
#include "api/decision.h"
#include "api/search.h"
#include "api/selection.h"
#include "common/buf.h"

enum { REASON_CHARS = 32000, REASON_BYTES = REASON_CHARS * 6 };

/* --- what a caller may send ---------------------------------------------------------------------------- */

static const struct schema_field reason_fields[] = {
    { "reason", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = REASON_CHARS } },
    { 0 },
};
static const struct schema reason_schema = { .type = SCHEMA_OBJECT, .fields = reason_fields };

static void check_review(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    selection_check(value, loc, errors);
    if (json_object_is_type(value, json_type_object))
        schema_check(&reason_schema, value, loc, errors);
}

static const struct schema review_schema = { .type = SCHEMA_ANY, .check = check_review };

/* --- deciding ------------------------------------------------------------------------------------------ */

struct verdict {
    struct decision decision; /* first: what is handed around is a pointer to it */
    const char *unfit;        /* where the lifecycle knows no such step */
    bool names_status;        /* `unfit` is followed by the status */
    const char *lost;         /* when others were faster every time */
};

/* As Python's html.escape(): it is shown in web pages of others. */
static const char *html_escape(struct arena *arena, const char *text)
{
    static const char *const escapes[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#x27;",
    };
    _cleanup_(buf_free) struct buf out = BUF_INIT(REASON_BYTES);

    for (; *text; text++) {
        const char *escape = escapes[(unsigned char)*text];

        if (escape)
            buf_adds(&out, escape);
        else
            buf_addc(&out, *text);
    }
    return arena_strndup(arena, out.length ? out.data : "", out.length);
}

static const char *payload(const struct decision *decision, const struct decision_case *of, enum pr_status to,
                           const char *by)
{
    struct arena *arena = decision->call->arena;
    const char *user_id = decision->call->user_id;

    if (decision->type == EVENT_APPROVED)
        return event_approved(arena, of->id, by, user_id, NULL);
    return event_reviewed(arena, of->id, to, by, user_id);
}

static const char *refusal(const struct decision *decision, const struct decision_case *of)
{
    const struct verdict *verdict = (const struct verdict *)decision;

    if (of->fate == DECISION_DELETED)
        return "Cannot transition status for a deleted request";
    if (of->fate == DECISION_LOST)
        return verdict->lost;
    if (!verdict->names_status)
        return verdict->unfit;
    return arena_printf(decision->call->arena, "%s %s status", verdict->unfit, lifecycle_word(of->from));
}

#define VERDICT(on_what, event, unfit_text, with_status, lost_text)                                                  \
    {                                                                                                                \
        { .on = (on_what), .type = (event), .ends_calls = true, .payload = payload, .refusal = refusal },            \
            (unfit_text), (with_status), (lost_text)                                                                 \
    }

static const struct verdict approval = VERDICT(ON_APPROVE, EVENT_APPROVED, "Cannot transition status", false,
                                               "Privacy request could not be updated");
static const struct verdict denial = VERDICT(ON_DENY, EVENT_DENIED, "Cannot transition status", false,
                                             "Privacy request could not be updated");
static const struct verdict cancellation = VERDICT(ON_CANCEL, EVENT_CANCELED, "Cannot cancel privacy request in", true,
                                                   "Privacy request could not be canceled");

/* --- the answer ---------------------------------------------------------------------------------------- */

/* The object of request `id`, which is the next one of the list or not in it. */
static json_object *next_object(json_object *objects, size_t *at, const char *id)
{
    json_object *object = json_object_array_get_idx(objects, *at);

    if (object && !strcmp(schema_text(object, "id"), id)) {
        ++*at;
        return json_object_get(object);
    }
    object = json_object_new_object();
    json_object_object_add(object, "privacy_request_id", api_json_text(id));
    return object;
}

/* Adds the batch's requests as they are now, each to where it belongs. */
static int tell(const struct decision *decision, const struct decision_case *cases, int count, void *bulk,
                struct err *err)
{
    _cleanup_(json_object_putp) json_object *objects = NULL;
    const char *ids[DECISION_BATCH_MAX] = { 0 };
    size_t at = 0;
    int r;

    for (int i = 0; i < count; i++)
        ids[i] = cases[i].id;
    r = search_objects(decision->call, NULL, ids, count, &objects, err);
    if (r < 0)
        return r;
    for (int i = 0; i < count; i++) {
        const char *what = decision_problem(decision, &cases[i]);
        json_object *object = next_object(objects, &at, cases[i].id);

        if (what)
            api_bulk_failed(bulk, what, object);
        else
            api_bulk_succeeded(bulk, object);
    }
    return 0;
}

static int review_handle(struct api_call *call, const struct verdict *of, struct err *err)
{
    const char *reason = json_object_is_type(call->body, json_type_object) ? schema_text(call->body, "reason") : NULL;
    struct verdict verdict = *of;

    verdict.decision.call = call;
    if (reason && of != &approval)
        verdict.decision.reason = html_escape(call->arena, reason);
    return decision_answer_bulk(&verdict.decision, tell, err);
}

static int review_approve(struct api_call *call, struct err *err)
{
    return review_handle(call, &approval, err);
}

static int review_deny(struct api_call *call, struct err *err)
{
    return review_handle(call, &denial, err);
}

static int review_cancel(struct api_call *call, struct err *err)
{
    return review_handle(call, &cancellation, err);
}

const struct api_route review_routes[] = {
    { "PATCH", "/privacy-request/administrate/approve", "privacy-request:review", &review_schema,
      .handler = review_approve },
    { "PATCH", "/privacy-request/administrate/deny", "privacy-request:review", &review_schema,
      .handler = review_deny },
    { "PATCH", "/privacy-request/administrate/cancel", "privacy-request:review", &review_schema,
      .handler = review_cancel },
    { 0 },
};
