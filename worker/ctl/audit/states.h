/*
 * states - how far each chain has come, for any number of them in bounded memory: up to a budget in a table, beyond it
 * the half that has not moved for longest in a temporary file (SQLite's, gone when it is closed).
 *
 * Threads:   one at a time.
 * Ownership: a state is valid until the next states_*() call.
 * Errors:    the file can't be written: ERR_UNAVAILABLE from states_get() and states_find().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/chain.h"
#include "common/err.h"

enum { STATES_BUDGET_MIN = 1024 * 1024 };

struct states;

struct state {
    char id[CHAIN_ID_MAX + 1];
    int64_t seq;    /* of the last event; 0: none yet */
    int64_t offset; /* where it stands; -1: not known any more */
    uint8_t chain[DIGEST_BYTES];
    bool is_seen;    /* a record of it was read */
    bool is_doubted; /* there is something to be remembered about it: see chains.c */
    bool is_matched; /* the database has it */
    uint32_t moved;  /* states' own: when it was asked for */
    uint64_t hash;   /* of its id, the same within this run */
};

struct states *states_new(int64_t budget_bytes);
void states_free(struct states *states); /* accepts NULL */
DEFINE_CLEANUP(struct states *, states_free)

/* The state of a chain; a new one, all zero, when there was none. */
int states_get(struct states *states, const char *id, struct state **ret, struct err *err) MUST_CHECK;
/* *ret NULL when there is none. */
int states_find(struct states *states, const char *id, struct state **ret, struct err *err) MUST_CHECK;

/* How many there are, and how many of them lie in the file. */
int64_t states_count(const struct states *states);
int64_t states_stored(const struct states *states);

/* All of them, in no order, as copies. Ends at a negative answer, which is returned. */
typedef int states_visit(void *context, const struct state *state, struct err *err);
int states_each(struct states *states, states_visit *visit, void *context, struct err *err) MUST_CHECK;
