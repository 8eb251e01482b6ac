/*
 * affected - which fields of a collection a policy's rules of one kind speak of: fields_affected of the log (dsr.md 7).
 * Pure.
 *
 * Ownership: the arena's.
 */
#pragma once

#include "common/catalog.h"

/* JSON: [{"path", "field_name", "data_categories"}], in the order of the paths, with the categories that are targets
 * of the rules of `action_type`. NULL: none. */
const char *affected_fields(const struct dataset *dataset, const struct dataset_collection *collection,
                            const struct catalog_policy *policy, const char *action_type, struct arena *arena);
