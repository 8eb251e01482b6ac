#include "worker/ctl/verb.h"

int verb_usage(const char *usage, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "usage: docketctl %s", usage);
}
