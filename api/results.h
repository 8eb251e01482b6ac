/*
 * results - who asks for a request's results: what both ways to them (packages, transfer) need to know of it.
 *
 * Threads: the call's. Ownership: texts point into the result.
 */
#pragma once

#include "api/api.h"
#include "common/lifecycle.h"

struct results_subject {
    enum pr_status status;
    bool deleted, forgotten;
    const char *policy_id, *key_id; /* key_id NULL: its key is destroyed */
    struct bytes wrapped;
};
/* 0 with *rows NULL when there is no such request. `rows` is the caller's: PQclear. */
int results_subject(struct api_call *call, const char *request_id, PGresult **rows, struct results_subject *ret,
                    struct err *err) MUST_CHECK;

/* Puts on record, before any of it goes out, that the caller is given something: `what` and whose as in event_disclosed().
 * Nothing of it may go out when this fails. */
int results_disclose(struct api_call *call, const char *request_id, const char *what, const char *const *rule_keys,
                     int rule_count, struct err *err) MUST_CHECK;

int transfer_handle(struct api_call *call, struct err *err); /* api/transfer.c */
