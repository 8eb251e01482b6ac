#include "api/callback/verdict.h"

int verdict_admit(const struct verdict_case *of, struct err *err)
{
    if (!of->looked_up)
        return of->bound ? 0 : err_cause(err, ERR_UNAVAILABLE, "an unbound token while PostgreSQL is away");
    if (!of->webhook_exists)
        return err_set(err, ERR_NOT_FOUND, "No Pre-Approval Webhook found with id '%s'.", of->webhook_id);
    if (!of->request_exists)
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with id: '%s'.", of->request_id);
    /* A token from before tokens were bound: good for the requests that its webhook was asked about. */
    if (!of->bound && !of->called)
        return err_set(err, ERR_FORBIDDEN, "Not Authorized for this action");
    return 0;
}

bool verdict_is_awaited(const struct verdict_case *of)
{
    if (of->looked_up && (of->deleted || !lifecycle_takes_replies(of->status)))
        return false;
    return !of->objection;
}

bool verdict_is_settled(const struct verdict_case *of)
{
    return of->looked_up && of->recorded != VERDICT_NONE;
}

static int not_awaited(const struct verdict_case *of, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST,
                   "Privacy request with id '%s' is not in pending or awaiting pre-approval status.", of->request_id);
}

static int contradicts(const struct verdict_case *of, struct err *err)
{
    bool eligible = of->verdict == VERDICT_ELIGIBLE;

    return err_set(err, ERR_BAD_REQUEST, "Failed to mark privacy request %s as %s due to: webhook has already "
                   "answered %s.", of->request_id, eligible ? "eligible" : "not eligible",
                   eligible ? "not eligible" : "eligible");
}

int verdict_judge(const struct verdict_case *of, enum ruling *ret, struct err *err)
{
    enum verdict said = verdict_is_settled(of) ? of->recorded : of->coming;

    if (said == of->verdict) {
        *ret = verdict_is_settled(of) ? RULING_KNOWN : RULING_SEND;
        return 0;
    }
    if (!verdict_is_awaited(of))
        return not_awaited(of, err);
    if (said != VERDICT_NONE)
        return contradicts(of, err);
    *ret = RULING_SEND;
    return 0;
}
