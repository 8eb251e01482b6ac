#include "worker/ctl/audit/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db.h"
#include "worker/ctl/audit/progress.h"
#include "worker/ctl/audit/tables.sql.h"

enum { PAGE = 1000, ID_BYTES = CHAIN_ID_MAX + 1 };

struct tables {
    const struct tables_parts *parts;
    struct tables_counts *counts;
    struct db *snapshot, *now; /* the second one sees what came since */
    struct arena *arena;       /* of a page */
    struct progress progress;
    char ids[PAGE][ID_BYTES]; /* of chains that no row was met for */
    int id_count;
};

/* A request whose row and topic are not at the same event. */
struct apart {
    const char *id;
    int64_t seq, topic_seq; /* of the row; 0: the topic has nothing of it */
    uint8_t chain[DIGEST_BYTES]; /* of the topic's last */
};

struct page {
    PGresult *rows;
    int count;
    struct apart *behind, *ahead; /* the topic is */
    int behind_count, ahead_count;
};

static void tell(struct tables *tables, enum finding_kind kind, const char *id, int64_t seq, const char *field,
                 const char *text)
{
    struct finding_place place = FINDING_NOWHERE;

    place.id = id;
    place.seq = seq;
    place.field = field;
    if (text)
        finding_tell(tables->parts->findings, kind, &place, "%s", text);
    else
        finding_tell(tables->parts->findings, kind, &place, NULL);
}

static struct db_args *ids_args(struct tables *tables, const PGresult *rows)
{
    struct db_args *args = db_args_new(tables->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int row = 0; row < PQntuples(rows); row++)
        db_add_text(ids, db_get_text(rows, row, 0));
    return args;
}

/* --- the last events ----------------------------------------------------------------------------------- */

static int row_look(struct tables *tables, struct page *page, int row, struct err *err)
{
    const char *id = db_get_text(page->rows, row, 0);
    int64_t seq = db_get_int(page->rows, row, 1);
    struct apart apart = { .id = id, .seq = seq };
    struct state *state;
    const void *chain;
    size_t length;
    int r = states_find(tables->parts->states, id, &state, err);

    if (r < 0)
        return r;
    chain = db_get_bytes(page->rows, row, 2, &length);
    if (state) {
        state->is_matched = true;
        apart.topic_seq = state->seq;
        memcpy(apart.chain, state->chain, DIGEST_BYTES);
    }
    if (apart.topic_seq < seq)
        page->behind[page->behind_count++] = apart;
    else if (apart.topic_seq > seq)
        page->ahead[page->ahead_count++] = apart;
    else if (length != DIGEST_BYTES || memcmp(chain, apart.chain, DIGEST_BYTES) != 0)
        tell(tables, FINDING_ROW_DIFFERS, id, seq, NULL, NULL);
    return 0;
}

/* How many of the row's events beyond the topic's last wait in the outbox. */
static int64_t waiting_of(const PGresult *outbox, const struct apart *apart)
{
    int64_t last = apart->topic_seq;

    for (int row = 0; row < PQntuples(outbox); row++)
        if (!strcmp(db_get_text(outbox, row, 0), apart->id) && db_get_int(outbox, row, 1) == last + 1)
            last++;
    return last - apart->topic_seq;
}

static void behind_tell(struct tables *tables, const struct apart *apart, int64_t waiting)
{
    char text[160];

    tables->counts->unpublished += waiting;
    if (apart->topic_seq + waiting == apart->seq)
        return;
    if (!apart->topic_seq) {
        tell(tables, FINDING_ROW_ALONE, apart->id, 0, NULL, NULL);
        return;
    }
    snprintf(text, sizeof(text), "the topic ends with its event %lld, PostgreSQL with %lld, and they are not on their way",
             (long long)apart->topic_seq, (long long)apart->seq);
    tell(tables, FINDING_ROW_DIFFERS, apart->id, apart->topic_seq + waiting + 1, NULL, text);
}

static int behind_look(struct tables *tables, const struct page *page, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *outbox = NULL;
    struct db_args *args = db_args_new(tables->arena);
    struct db_column *ids = db_array(args, DB_TEXT);
    int r;

    for (int i = 0; i < page->behind_count; i++)
        db_add_text(ids, page->behind[i].id);
    r = db_run_planned(tables->snapshot, &SQL_tables_outbox, args, &outbox, err);
    for (int i = 0; r == 0 && i < page->behind_count; i++)
        behind_tell(tables, &page->behind[i], waiting_of(outbox, &page->behind[i]));
    return r;
}

/* They have gone on since the snapshot: then the event is there by now. */
static int ahead_look(struct tables *tables, const struct page *page, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *events = NULL;
    struct db_args *args = db_args_new(tables->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *seqs = db_array(args, DB_INT);
    int r;

    for (int i = 0; i < page->ahead_count; i++) {
        db_add_text(ids, page->ahead[i].id);
        db_add_int(seqs, page->ahead[i].topic_seq);
    }
    r = db_run_planned(tables->now, &SQL_tables_event, args, &events, err);
    for (int i = 0; r == 0 && i < page->ahead_count; i++) { /* in the order of the arrays */
        const struct apart *apart = &page->ahead[i];
        size_t length;
        const void *chain = db_get_bytes(events, i, 1, &length);

        if (!chain || length != DIGEST_BYTES || memcmp(chain, apart->chain, DIGEST_BYTES) != 0)
            tell(tables, FINDING_ROW_DIFFERS, apart->id, apart->topic_seq, NULL,
                 chain ? NULL : "the topic has an event that PostgreSQL has not");
    }
    return r;
}

/* --- what rows say ------------------------------------------------------------------------------------- */

static int chains_look(struct tables *tables, const PGresult *page, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    _cleanup_(db_result_freep) PGresult *count = NULL;
    int r = db_run_planned(tables->snapshot, &SQL_tables_chains, ids_args(tables, page), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        tell(tables, FINDING_ROW_EVENT, db_get_text(rows, row, 0), db_get_int(rows, row, 1), "request_event",
             db_get_bool(rows, row, 2) ? "the event before it is missing"
                                       : "its chain is not the one that follows from it and the event before");
    if (r == 0)
        r = db_run_planned(tables->snapshot, &SQL_tables_count, ids_args(tables, page), &count, err);
    if (r == 0)
        tables->counts->events += db_get_int(count, 0, 0);
    return r;
}

static const char *or_null(const char *text)
{
    return text ? text : "null";
}

static int check_look(struct tables *tables, const PGresult *page, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(tables->snapshot, &SQL_tables_check, ids_args(tables, page), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++) {
        const char *id = db_get_text(rows, row, 0), *key = db_get_text(rows, row, 2);
        const char *column = db_get_text(rows, row, 3);

        tell(tables, FINDING_ROW_CHANGED, id, 0,
             arena_printf(tables->arena, "%s%s%s", db_get_text(rows, row, 1), column ? "." : "", column ? column : ""),
             arena_printf(tables->arena, "%s%sby its events it is %.200s, and it is %.200s",
                          key && strcmp(key, id) != 0 ? key : "", key && strcmp(key, id) != 0 ? ": " : "",
                          or_null(db_get_text(rows, row, 4)), or_null(db_get_text(rows, row, 5))));
    }
    return r;
}

/* --- pages --------------------------------------------------------------------------------------------- */

static int page_look(struct tables *tables, PGresult *rows, struct err *err)
{
    struct page page = { .rows = rows, .count = PQntuples(rows) };
    int r = 0;

    page.behind = arena_array(tables->arena, struct apart, (size_t)page.count + 1);
    page.ahead = arena_array(tables->arena, struct apart, (size_t)page.count + 1);
    for (int row = 0; r == 0 && row < page.count; row++) {
        r = row_look(tables, &page, row, err);
        progress_step(&tables->progress);
    }
    if (r == 0 && page.behind_count)
        r = behind_look(tables, &page, err);
    if (r == 0 && page.ahead_count)
        r = ahead_look(tables, &page, err);
    if (r == 0)
        r = chains_look(tables, rows, err);
    tables->counts->chains += page.count;
    return r == 0 ? check_look(tables, rows, err) : r;
}

static int pages_look(struct tables *tables, struct err *err)
{
    char after[ID_BYTES] = "";
    int count = PAGE, r = 0;

    while (r == 0 && count == PAGE) {
        _cleanup_(db_result_freep) PGresult *rows = NULL;
        struct db_args *args;

        arena_clear(tables->arena);
        args = db_args_new(tables->arena);
        db_text(args, after);
        db_int(args, PAGE);
        r = db_run_planned(tables->snapshot, &SQL_tables_page, args, &rows, err);
        count = r == 0 ? PQntuples(rows) : 0;
        if (count)
            snprintf(after, sizeof(after), "%s", db_get_text(rows, count - 1, 0));
        if (count)
            r = page_look(tables, rows, err);
    }
    return r;
}

/* --- the other way round ------------------------------------------------------------------------------- */

static int unmatched_look(struct tables *tables, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args;
    struct db_column *ids;
    int r;

    arena_clear(tables->arena);
    args = db_args_new(tables->arena);
    ids = db_array(args, DB_TEXT);
    for (int i = 0; i < tables->id_count; i++)
        db_add_text(ids, tables->ids[i]);
    tables->id_count = 0;
    r = db_run_planned(tables->now, &SQL_tables_without, args, &rows, err);
    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        tell(tables, FINDING_ROW_MISSING, db_get_text(rows, row, 0), 0, NULL, NULL);
    return r;
}

static int state_look(void *context, const struct state *state, struct err *err)
{
    struct tables *tables = context;

    if (state->is_matched || !state->is_seen)
        return 0;
    memcpy(tables->ids[tables->id_count++], state->id, ID_BYTES);
    return tables->id_count == PAGE ? unmatched_look(tables, err) : 0;
}

static int states_look(struct tables *tables, struct err *err)
{
    int r = states_each(tables->parts->states, state_look, tables, err);

    return r == 0 && tables->id_count ? unmatched_look(tables, err) : r;
}

/* --- checkpoints --------------------------------------------------------------------------------------- */

static void checkpoint_tell(struct tables *tables, int64_t number, const char *text)
{
    struct finding_place place = FINDING_NOWHERE;

    place.checkpoint = number;
    finding_tell(tables->parts->findings, FINDING_ROW_CHECKPOINT, &place, "%s", text);
}

/* The rows, a page at a time, beside the topic. They are read as they are now: what is on the topic is in them. */
struct rows {
    PGresult *page;
    int at;
    int64_t number;    /* of the row; 0: there is none */
    int64_t published; /* up to this one they were on the topic when the snapshot was taken */
};

static int rows_next(struct tables *tables, struct rows *rows, struct err *err)
{
    struct db_args *args;
    int r = 0;

    rows->at++;
    if (!rows->page || (rows->at == PQntuples(rows->page) && rows->at == PAGE)) {
        db_result_free(rows->page);
        rows->page = NULL;
        arena_clear(tables->arena);
        args = db_args_new(tables->arena);
        db_int(args, rows->number);
        db_int(args, PAGE);
        r = db_run_planned(tables->now, &SQL_tables_checkpoints, args, &rows->page, err);
        rows->at = 0;
    }
    rows->number = r == 0 && rows->at < PQntuples(rows->page) ? db_get_int(rows->page, rows->at, 0) : 0;
    return r;
}

/* Rows before `number` are not on the topic. Where one was found missing there already, that is it. */
static int rows_to(struct tables *tables, struct rows *rows, int64_t number, struct err *err)
{
    struct line_counts line = line_counts(tables->parts->line);
    int r = 0;

    while (r == 0 && rows->number && rows->number < number) {
        if ((!line.is_broken || rows->number > line.last) && rows->number <= rows->published)
            checkpoint_tell(tables, rows->number, "it is in PostgreSQL, and not on the topic");
        r = rows_next(tables, rows, err);
    }
    return r;
}

static int checkpoint_look(struct tables *tables, struct rows *rows, const struct record *record, int64_t number,
                           struct err *err)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    uint8_t hash[DIGEST_BYTES];
    size_t length;
    int r = rows_to(tables, rows, number, err);

    if (r < 0)
        return r;
    if (rows->number != number) {
        checkpoint_tell(tables, number, "it is on the topic, and not in PostgreSQL");
        return 0;
    }
    digest_of(digest, record->value, record->value_length, hash);
    if (memcmp(hash, db_get_bytes(rows->page, rows->at, 1, &length), DIGEST_BYTES) != 0)
        checkpoint_tell(tables, number, "it is another in PostgreSQL than on the topic");
    return rows_next(tables, rows, err);
}

static int checkpoints_beside(struct tables *tables, struct reader_run *run, struct rows *rows, struct err *err)
{
    const struct record *record = NULL;
    int64_t last = 0;
    int r = rows_next(tables, rows, err);

    while (r == 0 && (r = reader_next(run, &record, err)) == 0 && record) {
        struct record_event event;

        record_event(record, &event);
        if (!record->value || !line_believes(tables->parts->line, record->offset) || event.sequence <= last)
            continue;
        last = event.sequence;
        r = checkpoint_look(tables, rows, record, last, err);
    }
    return r == 0 ? rows_to(tables, rows, INT64_MAX, err) : r;
}

static int checkpoints_look(struct tables *tables, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *published = NULL;
    struct reader *reader = tables->parts->reader;
    struct reader_bounds bounds = { 0 };
    struct rows rows = { .at = -1 };
    struct reader_run *run;
    int partitions = 0, r;

    arena_clear(tables->arena);
    r = db_run_planned(tables->snapshot, &SQL_tables_published, db_args_new(tables->arena), &published, err);
    if (r == 0)
        r = reader_partitions(reader, "checkpoints", &partitions, err);
    if (r == 0 && partitions)
        r = reader_bounds(reader, "checkpoints", 0, &bounds, err);
    if (r < 0)
        return r;
    rows.published = db_get_int(published, 0, 0);
    run = reader_run_new(reader);
    reader_run_add(run, "checkpoints", 0, bounds.low, bounds.high);
    r = checkpoints_beside(tables, run, &rows, err);
    reader_run_free(run);
    db_result_free(rows.page);
    return r;
}

/* --- all of it ----------------------------------------------------------------------------------------- */

static int snapshot_take(struct tables *tables, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_begin(tables->snapshot, err);

    if (r == 0)
        r = db_do_planned(tables->snapshot, &SQL_tables_snapshot, db_args_new(tables->arena), err);
    if (r == 0) /* it is taken by the first statement */
        r = db_run_planned(tables->snapshot, &SQL_tables_size, db_args_new(tables->arena), &rows, err);
    if (r == 0)
        progress_begin(&tables->progress, tables->parts->progress, "chains in PostgreSQL", db_get_int(rows, 0, 0));
    return r;
}

int tables_verify(const struct tables_parts *parts, struct tables_counts *ret, struct err *err)
{
    _cleanup_(db_freep) struct db *snapshot = db_new(parts->config->postgres_url, "docketctl audit");
    _cleanup_(db_freep) struct db *now = db_new(parts->config->postgres_url, "docketctl audit");
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct tables tables = { .parts = parts, .counts = ret, .snapshot = snapshot, .now = now, .arena = arena };
    int r = snapshot_take(&tables, err);

    if (r == 0)
        r = parts->catch_up(parts->context, err);
    if (r == 0)
        r = pages_look(&tables, err);
    if (r == 0)
        r = states_look(&tables, err);
    if (r == 0)
        r = checkpoints_look(&tables, err);
    progress_end(&tables.progress);
    db_rollback(snapshot);
    ret->looked = r == 0;
    return r;
}
