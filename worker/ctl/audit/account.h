/*
 * account - what of one request's person went to whom, by its events alone: the statement that docketctl audit
 * disclosures shows and signs.
 *
 * Threads:   one at a time per account.
 * Ownership: account_free(). Records are copied; memory is that of one request's events.
 */
#pragma once

#include <json-c/json.h>

#include "common/arena.h"
#include "common/record.h"

struct account;

struct account *account_new(const char *request_id);
void account_free(struct account *account); /* accepts NULL */
DEFINE_CLEANUP(struct account *, account_free)

/* In any order and as often as they come; those of others are passed over. */
void account_take(struct account *account, const struct record *record);

/* What keeps the events from being all of the request's first `account_count()`, as they were written: one is missing, or
 * is not what its chain says. NULL: nothing. After it nothing may be taken any more. */
const char *account_problem(struct account *account);
int account_count(const struct account *account);

/*
 * {"statement": "docket.disclosures.v1", "request_id", "policy_key", "action_type", "status", "made_at", "topic",
 *  "event_count", "chain", "disclosures": [...], "nothing_disclosed", "untold"}
 *
 * Each disclosure has "event", "time", "what" ("call", or as in docket.request.disclosed.v1), "to" and "why". untold:
 * attempts that were answered, by a docket that did not tell yet what they disclosed. A new object.
 */
json_object *account_statement(const struct account *account, const char *topic, usec_t now);
