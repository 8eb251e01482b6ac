#include "api/api.h"
#include "api/callback/reply.h"
#include "api/callback/resume.h"

/* docket-api takes replies too: a receiver that was given its address need not know docket-callback's. */

static int eligible(struct api_call *call, struct err *err)
{
    (void)err;
    reply_take(call->api->replies, call->http, call->params[0], true);
    return API_PENDING;
}

static int not_eligible(struct api_call *call, struct err *err)
{
    (void)err;
    reply_take(call->api->replies, call->http, call->params[0], false);
    return API_PENDING;
}

static int resume(struct api_call *call, struct err *err)
{
    (void)err;
    resume_take(call->api->resumes, call->http, call->params[0]);
    return API_PENDING;
}

/* The scope is the token's, and so is who calls: nobody else is let in by these. */
const struct api_route callback_routes[] = {
    { "POST", "/privacy-request/{id}/pre-approve/eligible", "", .prompt = true, .handler = eligible },
    { "POST", "/privacy-request/{id}/pre-approve/not-eligible", "", .prompt = true, .handler = not_eligible },
    { "POST", "/privacy-request/{id}/resume", "", .prompt = true, .handler = resume },
    { "POST", "/privacy_request/{id}/pre-approve/eligible", "", .prompt = true, .handler = eligible },
    { "POST", "/privacy_request/{id}/pre-approve/not-eligible", "", .prompt = true, .handler = not_eligible },
    { "POST", "/privacy_request/{id}/resume", "", .prompt = true, .handler = resume },
    { NULL },
};
