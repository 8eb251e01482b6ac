/*
 * attest - the checkpoint that states how far a request had come, and the proof made of both: what somebody outside needs
 * to be sure of one request (schemas/README.md, "A proof").
 *
 * Threads:   one at a time.
 * Ownership: results live in the caller's arena.
 * Errors:    as in log.h.
 */
#pragma once

#include "common/checkpoint.h"
#include "worker/ctl/audit/request.h"
#include "worker/ctl/audit/trust.h"

struct attest {
    bool found;
    struct checkpoint checkpoint; /* the one with the request's highest head, of those that are believed */
    int index;                    /* of the head in it */
    const void *value;            /* of its record, as it stands there */
    size_t value_length;
    const char *signature;
    int64_t unknown; /* checkpoints that name the request and are not believed */
};

/* Read from when the request's last event came, and when nothing is there, from its first. */
int attest_find(const struct config *config, const struct request *request, const struct trust *trust,
                struct arena *arena, struct attest *ret, struct err *err) MUST_CHECK;

const struct checkpoint_head *attest_head(const struct attest *attest);
/* Whether the request's chain is what the checkpoint states. */
bool attest_holds(const struct attest *attest, const struct request *request);

/* The proof, as JSON. Only of what holds. */
void attest_proof(const struct attest *attest, const struct request *request, struct arena *arena, struct buf *out);
