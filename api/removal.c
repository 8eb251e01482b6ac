/*
 * removal - requests are deleted softly (rest.md 13): hidden from lists, and nothing goes on with them. What they hold
 * stays on record, and so does who did it.
 */
#include "api/api.h"
#include "api/decision.h"
#include "api/selection.h"

static const char *payload(const struct decision *decision, const struct decision_case *of, enum pr_status to,
                           const char *by)
{
    return event_by(decision->call->arena, of->id, to, by, decision->call->user_id, NULL);
}

static const char *refusal(const struct decision *decision, const struct decision_case *of)
{
    if (of->fate == DECISION_DELETED)
        return arena_printf(decision->call->arena, "Privacy request '%s' has already been deleted.", of->id);
    return "Privacy request could not be deleted";
}

static struct decision removal(struct api_call *call)
{
    return (struct decision){ .call = call,
                              .keeps_status = true,
                              .ends_calls = true,
                              .type = EVENT_DELETED,
                              .payload = payload,
                              .refusal = refusal };
}

static int remove_one(struct api_call *call, struct err *err)
{
    const struct decision decision = removal(call);
    struct decision_case of;
    int r = decision_make_one(&decision, call->params[0], &of, err);

    return r < 0 ? r : api_answer_null(call, 200);
}

static int tell(const struct decision *decision, const struct decision_case *cases, int count, void *bulk,
                struct err *err)
{
    (void)err;
    for (int i = 0; i < count; i++) {
        const char *what = decision_problem(decision, &cases[i]);

        if (what)
            decision_failed(bulk, what, cases[i].id);
        else
            api_bulk_succeeded(bulk, api_json_text(cases[i].id));
    }
    return 0;
}

static int remove_many(struct api_call *call, struct err *err)
{
    const struct decision decision = removal(call);

    return decision_answer_bulk(&decision, tell, err);
}

const struct api_route removal_routes[] = {
    { "POST", "/privacy-request/{id}/soft-delete", "privacy-request:delete", NULL, .handler = remove_one },
    { "POST", "/privacy-request/bulk/soft-delete", "privacy-request:delete", &selection_schema,
      .handler = remove_many },
    { 0 },
};
