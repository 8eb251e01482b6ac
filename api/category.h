/*
 * category - the data categories that a rule may aim at: the default taxonomy.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <stdbool.h>

/* All names in their order; ends with NULL. */
extern const char *const categories[];

bool category_exists(const char *name);

/* True for what an access or erasure rule aims at by default (dsr.md 8): what is about a person,
 * two levels deep, but for financial, payment and authorization data. schemas/sql/0003_defaults.sql
 * lists the same. */
bool category_is_default_target(const char *name);
