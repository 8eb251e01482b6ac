#include "api/api.h"

/* What the contract has and this version has not: a client sees 501 there, and not 404, once it may
 * call it. */

static int unavailable(struct api_call *call, struct err *err)
{
    static const char *const what[] = {
#define UNAVAILABLE(method, path, scope, what) what,
#include "api/unavailable.tbl.h"
#undef UNAVAILABLE
    };

    return err_set(err, ERR_NOT_IMPLEMENTED, "%s is not available in this version.",
                   what[call->route - unavailable_routes]);
}

const struct api_route unavailable_routes[] = {
#define UNAVAILABLE(method, path, scope, what) { method, path, scope, .handler = unavailable },
#include "api/unavailable.tbl.h"
#undef UNAVAILABLE
    { 0 },
};
