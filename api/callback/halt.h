/*
 * halt - whether the reply to a halt stands (rest.md 11, lifecycle.md 6 and 13). Pure: no clock, no I/O.
 *
 * A pre-execution webhook that halts a request may reply before its halting answer is on record, as both take their own
 * way. That reply is kept, and the request will not pause.
 */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "common/lifecycle.h"

/* A reply, and all that is known about it. */
struct halt_case {
    const char *request_id, *webhook_id;
    bool bound;                    /* the token names this very request */
    bool webhook_exists;           /* and is called before a run */
    bool request_exists, deleted;
    enum pr_status status;
    const char *paused_webhook_id; /* while paused: who halted it */
    /* The webhook's delivery about the request. */
    bool called;                   /* there is one */
    bool current;                  /* of the request's present run */
    bool open;                     /* waiting or held: its answer is not on record */
    bool passed;                   /* the run is past it */
    bool halted;                   /* its answer said so */
    bool resumed;                  /* a reply to that is on record */
};

enum halt_ruling {
    HALT_RESUME, /* the request goes on */
    HALT_KEEP,   /* it came before the request paused: on record, the request will not pause */
    HALT_KNOWN   /* a kept one said again: nothing is written */
};

/* May this token speak about this request at all? ERR_NOT_FOUND, ERR_FORBIDDEN, or ERR_INVALID for a deleted one. */
int halt_admit(const struct halt_case *of, struct err *err) MUST_CHECK;

/* Of an admitted one. ERR_FORBIDDEN when another webhook halted the request, ERR_BAD_REQUEST in the contract's words
 * for what does not stand. */
int halt_judge(const struct halt_case *of, enum halt_ruling *ret, struct err *err) MUST_CHECK;
