/*
 * job - one task of a request (a collection to read or to erase, a package to make) on a thread of the pool, and what
 * came of it. It blocks: on the customer's database, on docket's own, on a storage. Nothing of the loop is touched.
 *
 * A job may be done twice, by this worker or another, at the same time even: what it leaves behind counts only when
 * the loop has put its outcome on record, and only one can.
 *
 * Threads:   made and ended on the loop; between, only its thread touches it.
 * Ownership: everything is its arena's, but the catalog, which it holds a reference to.
 */
#pragma once

#include <stdatomic.h>

#include "common/arena.h"
#include "common/catalog.h"
#include "common/config.h"
#include "common/db.h"
#include "common/seal.h"
#include "worker/task.h"

/* What a person filled in, sealed. */
struct job_input {
    const char *connection_key;
    const char *webhook_id;
    struct bytes sealed; /* "input" of "<webhook id>.access" */
};

enum job_result {
    JOB_COMPLETE,
    JOB_SKIPPED, /* `message` says why, in the contract's words */
    JOB_RETRY,   /* may succeed later; `message`; the last try fails */
    JOB_FAILED
};

struct job_outcome {
    enum job_result result;
    const char *message;    /* of the log: "success - retrieved 3 records"; never data */
    int64_t row_count;
    const char *fields;     /* JSON list, fields_affected; NULL: none */
    /* PACKAGE: */
    const char *storage_key, *storage, *format, *location; /* storage: JSON {"type","details"} */
    int64_t bytes;
    bool encrypted;
};

struct job {
    struct arena *arena;
    const struct config *config;
    const struct catalog *catalog; /* a reference */
    const struct seal_ring *ring;
    const char *request_id;
    const struct catalog_policy *policy;
    struct seal_key key;
    const char *identity;           /* JSON object, with what was derived over it: name -> text, or {"label","value"} */
    const char *encryption_key;     /* of the package, 16 bytes; NULL */
    usec_t requested_at;
    struct task task;
    const char *attempt;            /* a new one's */
    const struct task *tasks;       /* of the request, as they were when the job was made: whose rows to read */
    int task_count;
    const struct job_input *inputs; /* PACKAGE: of manual webhooks */
    int input_count;
    bool renewed;                   /* the loop's: its lease was renewed once */
    atomic_bool canceled;           /* the program ends, or the lease is lost: stop at the next opportunity */

    /* The thread's own blocking connection to docket's database, valid during the job. */
    struct db *db;
    struct job_outcome outcome;
    const char *traceparent, *cause; /* of what began it; NULL */
};

/* The three kinds. `outcome` is empty before; texts are the job's arena's. */
void collect_run(struct job *job, struct job_outcome *outcome); /* worker/execute/collect.c */
void package_run(struct job *job, struct job_outcome *outcome); /* worker/execute/package.c */
void erase_run(struct job *job, struct job_outcome *outcome);   /* worker/execute/erase.c */
