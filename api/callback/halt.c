#include "api/callback/halt.h"

#include <string.h>

static int forbidden(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "Not Authorized for this action");
}

int halt_admit(const struct halt_case *of, struct err *err)
{
    if (!of->webhook_exists)
        return err_set(err, ERR_NOT_FOUND, "No Policy Pre-Execution Webhook found with id '%s'.", of->webhook_id);
    if (!of->request_exists)
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with id '%s'.", of->request_id);
    /* A token from before tokens were bound: good for the requests that its webhook was called about. */
    if (!of->bound && !of->called)
        return forbidden(err);
    if (of->deleted)
        return err_set(err, ERR_INVALID, "Privacy request with id %s has been deleted.", of->request_id);
    return 0;
}

static bool is_halter(const struct halt_case *of)
{
    return of->paused_webhook_id && !strcmp(of->paused_webhook_id, of->webhook_id);
}

/* The run is at this very call: its answer is still to come, or is there and about to pause the request. */
static bool is_at_call(const struct halt_case *of)
{
    return of->status == PR_IN_PROCESSING && of->current && ((of->open && !of->passed) || of->halted);
}

int halt_judge(const struct halt_case *of, enum halt_ruling *ret, struct err *err)
{
    if (of->status == PR_PAUSED && !is_halter(of))
        return forbidden(err);
    if (of->status == PR_PAUSED && of->called) {
        *ret = HALT_RESUME;
        return 0;
    }
    if (is_at_call(of) && (of->open || !of->resumed)) {
        *ret = of->resumed ? HALT_KNOWN : HALT_KEEP;
        return 0;
    }
    return err_set(err, ERR_BAD_REQUEST, "Invalid resume request: privacy request '%s' status = %s.", of->request_id,
                   lifecycle_word(of->status));
}
