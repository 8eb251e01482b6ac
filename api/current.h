/*
 * current - the latest catalog, shared by all threads of docket-api.
 *
 * Threads:   any. Ownership: what is given is a reference: catalog_unref().
 */
#pragma once

#include "common/catalog.h"

struct current;

struct current *current_new(const struct seal_ring *ring, const struct config *config);
void current_free(struct current *current); /* accepts NULL */

/* The one in hand, which may be a version behind; NULL before the first was read. Asks nobody. */
const struct catalog *current_peek(struct current *current);

/* The one that stands now: asks for its version, and reads it anew when that has moved. */
int current_take(struct current *current, struct db *db, const struct catalog **ret,
                 struct err *err) MUST_CHECK;
