#include "common/lifecycle.h"

#include <string.h>

#include "common/cleanup.h"

static const struct {
    const char *word;
    bool terminal, active;
} statuses[PR_STATUSES] = {
    [PR_NONE] = { "none", false, false },
#define STATUS(name, word, terminal, active) [PR_##name] = { word, terminal, active },
#include "common/lifecycle.tbl.h"
#undef STATUS
};

const struct lifecycle_edge lifecycle_edges[] = {
    /* from                       on               to */
    { PR_NONE,                      ON_CREATE,       PR_PENDING },
    { PR_PENDING,                   ON_CALLS_OWED,   PR_AWAITING_PRE_APPROVAL },

    { PR_PENDING,                   ON_APPROVE,      PR_APPROVED },
    { PR_DUPLICATE,                 ON_APPROVE,      PR_APPROVED },
    { PR_AWAITING_PRE_APPROVAL,     ON_APPROVE,      PR_APPROVED },
    { PR_PRE_APPROVAL_NOT_ELIGIBLE, ON_APPROVE,      PR_APPROVED },

    { PR_PENDING,                   ON_DENY,         PR_DENIED },
    { PR_DUPLICATE,                 ON_DENY,         PR_DENIED },
    { PR_AWAITING_PRE_APPROVAL,     ON_DENY,         PR_DENIED },
    { PR_PRE_APPROVAL_NOT_ELIGIBLE, ON_DENY,         PR_DENIED },

    { PR_PENDING,                   ON_NOT_ELIGIBLE, PR_PRE_APPROVAL_NOT_ELIGIBLE },
    { PR_AWAITING_PRE_APPROVAL,     ON_NOT_ELIGIBLE, PR_PRE_APPROVAL_NOT_ELIGIBLE },

    { PR_APPROVED,                  ON_RUN,          PR_IN_PROCESSING },
    { PR_IN_PROCESSING,             ON_FINISH,       PR_COMPLETE },
    { PR_IN_PROCESSING,             ON_FAILURE,      PR_ERROR },
    { PR_IN_PROCESSING,             ON_HALT,         PR_PAUSED },
    { PR_PAUSED,                    ON_RESUME,       PR_IN_PROCESSING },
    { PR_PAUSED,                    ON_EXPIRE,       PR_ERROR },
    { PR_IN_PROCESSING,             ON_INPUT,        PR_REQUIRES_INPUT },
    { PR_REQUIRES_INPUT,            ON_CONTINUE,     PR_IN_PROCESSING },
    { PR_ERROR,                     ON_RETRY,        PR_IN_PROCESSING },

    { PR_IDENTITY_UNVERIFIED,          ON_CANCEL,    PR_CANCELED },
    { PR_PENDING,                      ON_CANCEL,    PR_CANCELED },
    { PR_AWAITING_PRE_APPROVAL,        ON_CANCEL,    PR_CANCELED },
    { PR_PRE_APPROVAL_NOT_ELIGIBLE,    ON_CANCEL,    PR_CANCELED },
    { PR_APPROVED,                     ON_CANCEL,    PR_CANCELED },
    { PR_IN_PROCESSING,                ON_CANCEL,    PR_CANCELED },
    { PR_REQUIRES_INPUT,               ON_CANCEL,    PR_CANCELED },
    { PR_PAUSED,                       ON_CANCEL,    PR_CANCELED },
    { PR_AWAITING_EMAIL_SEND,          ON_CANCEL,    PR_CANCELED },
    { PR_REQUIRES_MANUAL_FINALIZATION, ON_CANCEL,    PR_CANCELED },
    { PR_PENDING_EXTERNAL,             ON_CANCEL,    PR_CANCELED },
    { PR_DUPLICATE,                    ON_CANCEL,    PR_CANCELED },
};

const int lifecycle_edge_count = COUNT_OF(lifecycle_edges);

bool lifecycle_next(enum pr_status from, enum pr_on on, enum pr_status *to)
{
    for (int i = 0; i < lifecycle_edge_count; i++) {
        if (lifecycle_edges[i].from != from || lifecycle_edges[i].on != on)
            continue;
        *to = lifecycle_edges[i].to;
        return true;
    }
    return false;
}

const char *lifecycle_word(enum pr_status status)
{
    return statuses[status].word;
}

enum pr_status lifecycle_parse(const char *word)
{
    for (int i = PR_NONE + 1; word && i < PR_STATUSES; i++)
        if (!strcmp(statuses[i].word, word))
            return (enum pr_status)i;
    return PR_NONE;
}

bool lifecycle_is_terminal(enum pr_status status)
{
    return statuses[status].terminal;
}

bool lifecycle_is_active(enum pr_status status)
{
    return statuses[status].active;
}

bool lifecycle_takes_replies(enum pr_status status)
{
    return status == PR_PENDING || status == PR_AWAITING_PRE_APPROVAL;
}
