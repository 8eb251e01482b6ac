/*
 * sheet - a report before it has a form: figures, and tables of texts, counts, durations and times. It is then printed
 * for a terminal, as CSV, as JSON, or as a page (page.h).
 *
 * Threads:   one at a time per sheet. Ownership: all of it is an arena's; texts are kept as they are given.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "common/arena.h"
#include "common/usec.h"

enum sheet_kind {
    SHEET_TEXT,
    SHEET_COUNT,
    SHEET_DURATION, /* usec_t; USEC_NONE: none */
    SHEET_TIME,     /* the same */
};

struct sheet_column {
    const char *key, *title; /* for machines; for people */
    enum sheet_kind kind;
};

struct sheet_cell {
    const char *text; /* of SHEET_TEXT; NULL: none */
    int64_t number;
};

/* The texts of a row, which come first, name it: no two rows have the same ones. */
struct sheet_table {
    const char *key, *title, *note; /* note: what a reader must know; NULL */
    int column_count, row_count;
    const struct sheet_column *columns;
    struct sheet_cell *cells; /* row by row */
    struct sheet_table *next;
};

struct sheet_figure {
    const char *key, *title;
    int64_t count;
    struct sheet_figure *next;
};

struct sheet {
    struct arena *arena;
    const char *title, *topic;
    usec_t since, until, made_at; /* since USEC_NONE: from the beginning */
    struct sheet_figure *figures, **figures_end;
    struct sheet_table *tables, **tables_end;
    const char *notes[8]; /* what is to be known of all of it */
    int note_count;
};

struct sheet *sheet_new(struct arena *arena, const char *title, const char *topic);
void sheet_figure(struct sheet *sheet, const char *key, const char *title, int64_t count);
void sheet_note(struct sheet *sheet, const char *note);
/* With room for `rows`; columns are kept as they are given. */
struct sheet_table *sheet_table(struct sheet *sheet, const char *key, const char *title, const char *note,
                                const struct sheet_column *columns, int column_count, int rows);
struct sheet_cell *sheet_row(struct sheet_table *table); /* the cells of one row more */

/* "3 d 4 h", "12 min 5 s", "31 ms"; "" for none. */
const char *sheet_duration(usec_t duration, struct arena *arena);
/* As a person reads it: a duration as above, a time to the second, "" for what is not there. */
const char *sheet_shown(const struct sheet_column *column, const struct sheet_cell *cell, struct arena *arena);

void sheet_print(const struct sheet *sheet, FILE *out);
/* table,name,measure,value: a line for each value. Durations in seconds. A text that a spreadsheet would take for a
 * formula begins with "'". */
void sheet_csv(const struct sheet *sheet, FILE *out);
/* {"title", "topic", "since", "until", "made_at", "notes": [...], "figures": {key: count}, "tables": {key: [{column:
 * value}]}}, durations in seconds. */
void sheet_json(const struct sheet *sheet, FILE *out);
