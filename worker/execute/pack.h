/*
 * pack - the forms that a package may have: worker/execute/package.c gives them the rows collection by collection, and
 * what they make of it goes on to a sink, in bounded memory.
 *
 * Threads:   one caller at a time.
 * Ownership: what begin() gives is free()'s; texts and sections given to it stand as long.
 */
#pragma once

#include "common/buf.h"
#include "common/dataset.h"
#include "common/rows.h"
#include "common/usec.h"
#include "worker/execute/sink.h"

/* What is gathered before it goes on; and what one value may come to by being laid out. */
enum { PACK_CHUNK_BYTES = 64 * 1024, PACK_TEXT_MAX = 512 * 1024 * 1024 };

/* What all of the package is about. */
struct pack_about {
    const char *request_id, *action; /* "access" */
    const char *identity;            /* JSON object: name -> text, or {"label","value"} */
    usec_t requested_at;
    const char *encryption_key; /* NULL: none */
    struct arena *arena;
};

/* A key of the package, and what its rows have. */
struct pack_section {
    const char *address;                         /* "dataset:collection", or a connection's key */
    const struct dataset *dataset;               /* NULL: filled in by hand */
    int dataset_place;                           /* among all datasets, from 1 */
    const struct dataset_collection *collection; /* NULL with `dataset` */
    const char *const *columns;
    int count;
};

struct pack_form {
    const char *word;   /* "json", "csv", "html" */
    const char *suffix; /* of its file */
    bool encrypts;      /* when there is a key */
    int (*begin)(const struct pack_about *about, struct sink *out, void **handle, struct err *err);
    /* Ends the one before. Only those that have a row are begun. */
    int (*section)(void *handle, const struct pack_section *section, struct err *err);
    int (*row)(void *handle, const struct rows_value *values, struct err *err); /* NULL json: has none of it */
    int (*finish)(void *handle, struct err *err);
    void (*free)(void *handle);
};

extern const struct pack_form pack_json; /* worker/execute/pack_json.c */
extern const struct pack_form pack_csv;  /* worker/execute/pack_csv.c */
extern const struct pack_form pack_html; /* worker/execute/pack_html.c */
const struct pack_form *pack_form(const char *word); /* NULL: no such form */

/* Passes `text` on once it is long enough to be worth it, or `all` of it. ERR_TOO_LARGE: it had more than its max. */
int pack_flush(struct buf *text, bool all, struct sink *out, struct err *err) MUST_CHECK;
/* A name for a file: letters, digits and "_.-", and what is in `also`; others are "_", and then `number` is added, so
 * that two names that differ only there stay two. Never one that leads elsewhere. */
const char *pack_name(struct arena *arena, const char *name, const char *also, int number);
