/*
 * package - how to come to a package again: where it lies as its row says (request_package), with the secrets that its
 * storage has by now.
 *
 * Threads: any. Ownership: texts are borrowed from the result and the catalog.
 */
#pragma once

#include "common/catalog.h"
#include "common/store.h"

/* The columns storage_key, storage ->> 'type', storage ->> 'details' from `column` on. */
struct store_target package_target(const struct config *config, const struct catalog *catalog, const PGresult *rows,
                                   int row, int column);
