/*
 * extract - what of the collected rows goes to the person under one access rule (dsr.md 4, 1 to 5): by category,
 * collection by collection, row by row.
 *
 * A field of a category passes whole; of an object whose sub-fields have categories only those do, through lists too.
 * What is left empty by that is left out: values, not rows. A field whose value is an empty object or list is left out
 * too, unless the collection itself has the category: then its rows go as they are.
 *
 * Threads:   one caller at a time. Ownership: extract_free(); names are the arena's, rows stand until the next.
 */
#pragma once

#include "common/dataset.h"
#include "common/rows.h"

/* One collection's rows under a rule. */
struct extract;

/* 0 with *ret NULL: nothing of this collection is in the package. */
int extract_new(const struct dataset *dataset, const struct dataset_collection *collection,
                const struct dataset_texts *targets, struct rows_reader *rows, struct arena *arena,
                struct extract **ret, struct err *err) MUST_CHECK;
void extract_free(struct extract *extract); /* accepts NULL; before the rows' reader */
DEFINE_CLEANUP(struct extract *, extract_free)
const char *const *extract_columns(const struct extract *extract, int *count); /* those that may appear */
/* 1: the next row, as many values as columns, NULL json where the row has none of it; an SQL null is "null". 0: end. */
int extract_next(struct extract *extract, const struct rows_value **ret, struct err *err) MUST_CHECK;
