/*
 * actor - who changes the configuration: told to the database for the transaction under way, whose triggers write it
 * into the event of each row (schemas/sql/0009_configuration.sql). Who changes rows without it is told as "database".
 *
 * Threads: as the db's. Ownership: texts are the caller's.
 */
#pragma once

#include "common/arena.h"
#include "common/db.h"

/* by: "client", "user", "system"; source: as of the program's events; NULL: left out. */
struct actor {
    const char *by, *client_id, *user_id, *reason, *source;
};

/* Within a transaction, before its first change: also waits for the one before it, so that no two interleave. */
int actor_set(struct db *db, const struct actor *actor, struct arena *arena, struct err *err) MUST_CHECK;
