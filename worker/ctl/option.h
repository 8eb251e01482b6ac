/*
 * option - the words after a verb: options by a table, into the fields of a struct, and what remains of them.
 *
 *   static const struct option_row rows[] = {
 *       { "--json", OPTION_FLAG, offsetof(struct options, json) },
 *       { "--since", OPTION_TIME, offsetof(struct options, since) },
 *       { 0 },
 *   };
 *
 * A value follows as the next word, or after "=". Options may stand before and after other words; after "--" there are
 * only other words.
 *
 * Ownership: texts point into `args`.
 * Errors:    ERR_BAD_REQUEST that names the option and what it takes.
 */
#pragma once

#include <stddef.h>

#include "common/err.h"

enum option_kind {
    OPTION_FLAG,  /* bool: true */
    OPTION_TEXT,  /* const char * */
    OPTION_TEXTS, /* struct option_texts; may be given many times */
    OPTION_TIME,  /* usec_t: ISO 8601, no zone means UTC; or a duration, which means so long ago */
    OPTION_BYTES, /* int64_t: a number, with K, M or G */
};

enum { OPTION_TEXTS_MAX = 64 };

struct option_texts {
    const char *texts[OPTION_TEXTS_MAX];
    int count;
};

struct option_row {
    const char *name; /* "--since"; NULL ends the table */
    enum option_kind kind;
    size_t offset;
};

/* What is not given keeps the value that `into` has. Other words go to `words`. */
int option_read(char **args, const struct option_row *rows, void *into, struct option_texts *words,
                struct err *err) MUST_CHECK;
