/*
 * forget - a request's key is destroyed, and with it all that is sealed with it: who asked, what was added, collected,
 * answered and packed. What it went through stays on record. Packages are unreadable at once; a worker deletes them.
 *
 * Only what has come to its end can be forgotten: complete, denied, canceled, error. Nothing can be done with it then.
 *
 * Threads:   one caller at a time per connection. Ownership: everything is the arena's.
 */
#pragma once

#include "common/db.h"
#include "common/lifecycle.h"
#include "common/publish.h"

enum { FORGET_BATCH_MAX = 64 };

enum forget_fate {
    FORGET_DONE,
    FORGET_ALREADY, /* it was forgotten before: nothing happened */
    FORGET_UNKNOWN, /* no such request */
    FORGET_UNFIT    /* it has not come to its end: `status` */
};

struct forget_case {
    const char *id;
    enum forget_fate fate;
    enum pr_status status;
};

struct forget {
    struct db *db;
    struct publisher *publisher; /* NULL: the events are left to the relay */
    const char *source;          /* of the events */
    const char *by;              /* "operator", "retention" */
    struct arena *arena;
};

/* At most FORGET_BATCH_MAX ids, none twice, as one transaction. */
int forget_requests(const struct forget *forget, const char *const *ids, int count, struct forget_case *cases,
                    struct err *err) MUST_CHECK;

/* A batch of requests that were complete before `before` and that nobody else is at; *count says how many. */
int forget_due(const struct forget *forget, usec_t before, int *count, struct err *err) MUST_CHECK;
