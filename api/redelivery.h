/*
 * redelivery - an operator asks for one more round of attempts of calls that were settled: each is due at once,
 * whatever its request's status, with an event in the same transaction.
 *
 * Threads: as the call. Ownership: texts are the call's arena's.
 */
#pragma once

#include "api/api.h"

enum { REDELIVERY_MAX = 500 }; /* deliveries of one transaction */

struct redelivery {
    const char *request_id, *id;
    bool found;
    const char *refused; /* why not, in words; NULL: it is due */
};

/* Decides each by what it is when that is written: `found` and `refused` are set. `count` at most REDELIVERY_MAX, no
 * delivery twice. When it fails, nothing was written. */
int redelivery_run(struct api_call *call, struct redelivery *each, int count, struct err *err) MUST_CHECK;
