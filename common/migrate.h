/*
 * migrate - the database's schema: the files schemas/sql/NNNN_*.sql, which every program carries
 * with it, applied in order and recorded in `schema_migration`. docketctl applies them; the others
 * wait for it.
 *
 * A file that was applied is never changed again: what is to be different comes in a new one.
 *
 * Threads:   one caller at a time per `struct db`. Any number of processes may migrate at once.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "common/err.h"

struct db;

struct migrate_state {
    int version; /* the last one applied, 0 for none */
    int wanted;  /* the last one this program knows */
    bool current; /* everything this program knows is applied; a newer schema is current too */
};

int migrate_state(struct db *db, struct migrate_state *ret, struct err *err) MUST_CHECK;

/* Applies what is missing, each file in a transaction of its own; *applied counts them.
 * ERR_INTERNAL with a cause that names the file when an applied one has changed since. */
int migrate_run(struct db *db, int *applied, struct err *err) MUST_CHECK;

/* Returns once the schema is current, or ERR_UNAVAILABLE once `*stop` is set. Logs what it waits
 * for: the database, or `docketctl migrate`. */
int migrate_wait(struct db *db, const volatile sig_atomic_t *stop, struct err *err) MUST_CHECK;
