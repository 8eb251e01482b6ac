/*
 * verdict - whether a pre-approval reply stands (rest.md 11, lifecycle.md 5.1 and 13). Pure: no clock, no I/O.
 *
 * A reply that was given already is answered like the first time, whatever has become of the request; one that
 * contradicts what its webhook said before is refused. What is on its way to the topic counts as if it were on
 * record, so that the second of two replies is told what the first has done.
 */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "common/lifecycle.h"

enum verdict { VERDICT_NONE, VERDICT_ELIGIBLE, VERDICT_NOT_ELIGIBLE };

/* A reply, and all that is known about it. */
struct verdict_case {
    const char *request_id, *webhook_id;
    enum verdict verdict;
    bool bound;           /* the token names this very request */
    /* PostgreSQL's; `looked_up` false: it is away, and nothing of this is known */
    bool looked_up;
    bool webhook_exists, request_exists, deleted;
    bool called;          /* the webhook was, or is to be, asked about the request */
    enum pr_status status;
    enum verdict recorded; /* what this webhook has said */
    /* Redis', as far as it tells: on its way to the topic */
    enum verdict coming;  /* from this webhook */
    bool objection;       /* from another one that counts: not eligible */
};

enum ruling {
    RULING_SEND, /* to the callbacks topic, then 200 */
    RULING_KNOWN /* 200 at once: it is on record */
};

/* May this token speak about this request at all? ERR_NOT_FOUND, ERR_FORBIDDEN, or ERR_UNAVAILABLE for an unbound
 * token while PostgreSQL is away. */
int verdict_admit(const struct verdict_case *of, struct err *err) MUST_CHECK;

/* Of an admitted one. ERR_BAD_REQUEST in the contract's words for what does not stand. */
int verdict_judge(const struct verdict_case *of, enum ruling *ret, struct err *err) MUST_CHECK;

/* True while the request takes replies, as far as is known: what is on its way from others included. */
bool verdict_is_awaited(const struct verdict_case *of);

/* True when only what is on record is needed to judge it. */
bool verdict_is_settled(const struct verdict_case *of);
