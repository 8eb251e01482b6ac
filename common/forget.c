#include "common/forget.h"

#include <string.h>

#include "common/event.h"
#include "common/forget.sql.h"
#include "common/journal.h"

/* The requests of one transaction that are forgotten by it. */
struct batch {
    const struct forget *forget;
    struct journal_entry entries[FORGET_BATCH_MAX], *pointers[FORGET_BATCH_MAX];
    int count;
    usec_t now;
};

static struct db_args *args_of_ids(struct arena *arena, const char *const *ids, int count)
{
    struct db_args *args = db_args_new(arena);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    return args;
}

/* --- deciding ---------------------------------------------------------------------------------------- */

static void batch_add(struct batch *batch, const char *id, int64_t seq)
{
    const struct forget *forget = batch->forget;
    struct journal_entry *entry = &batch->entries[batch->count];

    *entry = (struct journal_entry){ .request_id = id,
                                     .expected = seq,
                                     .type = EVENT_FORGOTTEN,
                                     .time = batch->now,
                                     .traceparent = event_trace_new(forget->arena),
                                     .payload = event_forgotten(forget->arena, id, forget->by) };
    batch->pointers[batch->count++] = entry;
}

/* A request in error may be tried again, or be left as it is: then it may be forgotten, and can't be tried again. */
static bool has_ended(enum pr_status status)
{
    return lifecycle_is_terminal(status) || status == PR_ERROR;
}

static enum forget_fate row_judge(struct batch *batch, const char *id, const PGresult *rows, int row,
                                  enum pr_status *status)
{
    *status = lifecycle_parse(db_get_text(rows, row, 2));
    if (db_get_bool(rows, row, 3))
        return FORGET_ALREADY;
    if (!has_ended(*status))
        return FORGET_UNFIT;
    batch_add(batch, id, db_get_int(rows, row, 1));
    return FORGET_DONE;
}

static int find_row(const PGresult *rows, const char *id)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), id))
            return row;
    return -1;
}

static int batch_judge(struct batch *batch, const char *const *ids, int count, struct forget_case *cases,
                       struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const struct forget *forget = batch->forget;
    int r = db_do_planned(forget->db, &SQL_forget_lock_calls, args_of_ids(forget->arena, ids, count), err);

    if (r == 0)
        r = db_run_planned(forget->db, &SQL_forget_rows, args_of_ids(forget->arena, ids, count), &rows, err);
    for (int i = 0; r == 0 && i < count; i++) {
        int row = find_row(rows, ids[i]);

        cases[i] = (struct forget_case){ .id = ids[i], .fate = FORGET_UNKNOWN };
        if (row >= 0)
            cases[i].fate = row_judge(batch, ids[i], rows, row, &cases[i].status);
    }
    return r;
}

/* --- writing ----------------------------------------------------------------------------------------- */

static int batch_erase(struct batch *batch, struct err *err)
{
    const struct forget *forget = batch->forget;
    const char *ids[FORGET_BATCH_MAX];
    struct db_args *args;

    for (int i = 0; i < batch->count; i++)
        ids[i] = batch->entries[i].request_id;
    args = args_of_ids(forget->arena, ids, batch->count);
    db_time(args, batch->now);
    return db_do_planned(forget->db, &SQL_forget_erase, args, err);
}

static int batch_write(struct batch *batch, struct err *err)
{
    const struct forget *forget = batch->forget;
    int r = batch->count ? batch_erase(batch, err) : 0;

    if (r < 0 || !batch->count)
        return r;
    journal_sort(batch->pointers, batch->count);
    return journal_append(forget->db, batch->pointers, batch->count, forget->source, forget->arena, err);
}

/* Within a transaction, whose keys are locked. */
static int batch_run(struct batch *batch, const char *const *ids, int count, struct forget_case *cases,
                     struct err *err)
{
    int r = batch_judge(batch, ids, count, cases, err);

    return r == 0 ? batch_write(batch, err) : r;
}

static int batch_end(struct batch *batch, int r, struct err *err)
{
    const struct forget *forget = batch->forget;

    if (r < 0)
        db_rollback(forget->db);
    else
        r = db_commit(forget->db, err);
    if (r == 0 && forget->publisher && batch->count)
        publish_entries(forget->publisher, batch->pointers, batch->count);
    return r;
}

/* --- the two ways ------------------------------------------------------------------------------------ */

int forget_requests(const struct forget *forget, const char *const *ids, int count, struct forget_case *cases,
                    struct err *err)
{
    struct batch batch = { .forget = forget, .now = usec_now() };
    int r = db_begin(forget->db, err);

    if (r < 0)
        return r;
    r = db_do_planned(forget->db, &SQL_forget_lock_keys, args_of_ids(forget->arena, ids, count), err);
    if (r == 0)
        r = batch_run(&batch, ids, count, cases, err);
    return batch_end(&batch, r, err);
}

static int candidates_claim(const struct forget *forget, usec_t before, const char **ids, int *count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(forget->arena);
    int r;

    db_time(args, before);
    db_int(args, FORGET_BATCH_MAX);
    r = db_run_planned(forget->db, &SQL_forget_candidates, args, &rows, err);
    if (r < 0)
        return r;
    *count = PQntuples(rows);
    for (int row = 0; row < *count; row++)
        ids[row] = db_dup_text(rows, row, 0, forget->arena);
    return 0;
}

int forget_due(const struct forget *forget, usec_t before, int *count, struct err *err)
{
    struct batch batch = { .forget = forget, .now = usec_now() };
    struct forget_case cases[FORGET_BATCH_MAX];
    const char *ids[FORGET_BATCH_MAX];
    int found = 0, r = db_begin(forget->db, err);

    if (r < 0)
        return r;
    r = candidates_claim(forget, before, ids, &found, err);
    if (r == 0 && found)
        r = batch_run(&batch, ids, found, cases, err);
    r = batch_end(&batch, r, err);
    if (r == 0)
        *count = batch.count;
    return r;
}
