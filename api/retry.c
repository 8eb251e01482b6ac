/*
 * retry - requests that ended in error go on, from the step that failed (rest.md 13, lifecycle.md 8). One in any other
 * status stays as it is: nothing is made anew here.
 */
#include "api/api.h"
#include "api/decision.h"
#include "api/search.h"
#include "api/selection.h"

static const char *payload(const struct decision *decision, const struct decision_case *of, enum pr_status to,
                           const char *by)
{
    return event_by(decision->call->arena, of->id, to, by, decision->call->user_id, of->failed_step);
}

static const char *refusal(const struct decision *decision, const struct decision_case *of)
{
    if (of->fate == DECISION_DELETED)
        return "Cannot restart a deleted privacy request";
    if (of->fate == DECISION_FORGOTTEN)
        return arena_printf(decision->call->arena, "Cannot restart privacy request '%s': it was forgotten.", of->id);
    if (of->fate == DECISION_LOST)
        return "Privacy request could not be updated";
    return arena_printf(decision->call->arena,
                        "Cannot restart privacy request from failure: privacy request '%s' status = %s.", of->id,
                        lifecycle_word(of->from));
}

/* The worker reads the event and goes on; calls that wait are the run's own. */
static struct decision retrial(struct api_call *call)
{
    return (struct decision){
        .call = call, .on = ON_RETRY, .type = EVENT_RETRIED, .payload = payload, .refusal = refusal
    };
}

/* --- one ----------------------------------------------------------------------------------------------- */

static int retry_one(struct api_call *call, struct err *err)
{
    const struct decision decision = retrial(call);
    struct decision_case of;
    int r = decision_make_one(&decision, call->params[0], &of, err);

    if (r < 0)
        return r;
    if (of.fate == DECISION_UNFIT || of.fate == DECISION_FORGOTTEN)
        return err_set(err, ERR_BAD_REQUEST, "%s", refusal(&decision, &of));
    return search_answer_one(call, of.id, err);
}

/* --- many ---------------------------------------------------------------------------------------------- */

static int tell(const struct decision *decision, const struct decision_case *cases, int count, void *bulk,
                struct err *err)
{
    _cleanup_(json_object_putp) json_object *objects = NULL;
    const char *done[DECISION_BATCH_MAX] = { 0 };
    int done_count = 0, r;

    for (int i = 0; i < count; i++) {
        const char *what = decision_problem(decision, &cases[i]);

        if (what)
            decision_failed(bulk, what, cases[i].id);
        else
            done[done_count++] = cases[i].id;
    }
    r = search_objects(decision->call, NULL, done, done_count, &objects, err);
    for (int i = 0; r == 0 && i < done_count; i++)
        api_bulk_succeeded(bulk, json_object_get(json_object_array_get_idx(objects, (size_t)i)));
    return r;
}

static int retry_many(struct api_call *call, struct err *err)
{
    const struct decision decision = retrial(call);

    return decision_answer_bulk(&decision, tell, err);
}

const struct api_route retry_routes[] = {
    { "POST", "/privacy-request/{id}/retry", "privacy-request:resume", NULL, .handler = retry_one },
    { "POST", "/privacy-request/bulk/retry", "privacy-request:resume", &selection_schema, .handler = retry_many },
    { 0 },
};
