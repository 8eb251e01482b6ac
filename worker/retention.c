#include "worker/retention.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/forget.h"
#include "common/journal.h"
#include "common/log.h"
#include "common/package.h"
#include "worker/retention.sql.h"

enum {
    ROUND_S = 5,
    BATCHES_MAX = 16,      /* of requests that are forgotten in a round */
    ROWS_PAGE = 200,       /* requests that are looked at in a round */
    ROWS_DELETE = 256,     /* chunks at once, of half a MiB at the most */
    PACKAGES_MAX = 16,
    ID_BYTES = 64,
};

struct retention {
    uv_work_t work;
    uv_loop_t *loop;
    const struct config *config;
    struct publisher *publisher;
    struct intake *intake;
    struct db *db;
    struct arena *arena;
    const struct catalog *catalog; /* during a round */
    char cursor[ID_BYTES];         /* of the rows' pages: where the last one ended */
    usec_t next_at;
    bool busy, ended, failing;
    bool more;                     /* the round has left something */
    atomic_bool stopping;
};

/* --- forgetting -------------------------------------------------------------------------------------- */

static int forget_old(struct retention *retention, struct err *err)
{
    const struct forget forget = { retention->db, retention->publisher, publisher_source(retention->publisher),
                                   "retention", retention->arena };
    usec_t before = usec_now() - retention->config->forget_after;
    int count = FORGET_BATCH_MAX, total = 0, r = 0;

    if (!retention->config->forget_after)
        return 0;
    for (int i = 0; r == 0 && i < BATCHES_MAX && count == FORGET_BATCH_MAX && !retention->stopping; i++) {
        r = forget_due(&forget, before, &count, err);
        total += r == 0 ? count : 0;
    }
    retention->more |= r == 0 && count == FORGET_BATCH_MAX;
    if (total)
        log_info("retention.forgotten", log_number("requests", total));
    return r;
}

/* --- rows -------------------------------------------------------------------------------------------- */

static int delete_rows(struct retention *retention, const char *const *ids, int count, struct err *err)
{
    int64_t deleted = 1;
    int r = 0;

    while (r == 0 && deleted > 0 && !retention->stopping) {
        _cleanup_(db_result_freep) PGresult *result = NULL;
        struct db_args *args = db_args_new(retention->arena);
        struct db_column *column = db_array(args, DB_TEXT);

        for (int i = 0; i < count; i++)
            db_add_text(column, ids[i]);
        db_int(args, ROWS_DELETE);
        r = db_run_planned(retention->db, &SQL_retention_rows_delete, args, &result, err);
        deleted = r == 0 ? atoll(PQcmdTuples(result)) : 0;
    }
    return r;
}

/* A page a round, over and over: what rows there are is looked through in time, and no round costs more than a page. */
static int delete_old_rows(struct retention *retention, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(retention->arena);
    const char *due[ROWS_PAGE];
    int count, due_count = 0, r;

    db_text(args, retention->cursor);
    db_int(args, ROWS_PAGE);
    db_time(args, usec_now() - retention->config->results_life);
    r = db_run_planned(retention->db, &SQL_retention_rows_page, args, &rows, err);
    if (r < 0)
        return r;
    count = PQntuples(rows);
    for (int row = 0; row < count; row++)
        if (db_get_bool(rows, row, 1))
            due[due_count++] = db_get_text(rows, row, 0);
    snprintf(retention->cursor, ID_BYTES, "%s", count == ROWS_PAGE ? db_get_text(rows, count - 1, 0) : "");
    retention->more |= due_count && count == ROWS_PAGE;
    return due_count ? delete_rows(retention, due, due_count, err) : 0;
}

/* --- packages ---------------------------------------------------------------------------------------- */

/* The columns of SQL_retention_package_claim. */
enum { REQUEST, RULE_KEY, LOCATION, DELETE_AT, STORAGE_KEY, FORGOTTEN = 7 };

static struct journal_entry package_entry(struct retention *retention, const PGresult *rows, int row)
{
    const struct event_package package = { .storage_key = db_get_text(rows, row, STORAGE_KEY),
                                           .location = db_get_text(rows, row, LOCATION) };
    const char *id = db_get_text(rows, row, REQUEST);

    return (struct journal_entry){
        .request_id = id,
        .expected = JOURNAL_ANY,
        .type = EVENT_PACKAGE_DELETED,
        .time = usec_now(),
        .traceparent = event_trace_new(retention->arena),
        .payload = event_package_deleted(retention->arena, id, db_get_text(rows, row, RULE_KEY), &package,
                                         db_get_bool(rows, row, FORGOTTEN) ? "forgotten" : "expired"),
    };
}

/* *gone: unless it was made anew meanwhile, and stays. */
static int package_remove(struct retention *retention, const PGresult *rows, int row, bool *gone, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *removed = NULL;
    struct db_args *args = db_args_new(retention->arena);
    int r;

    for (int column = REQUEST; column <= LOCATION; column++)
        db_text(args, db_get_text(rows, row, column));
    db_time(args, db_get_time(rows, row, DELETE_AT));
    r = db_run_planned(retention->db, &SQL_retention_package_gone, args, &removed, err);
    *gone = r == 0 && PQntuples(removed);
    return r;
}

/* Its row and its event go together. The request first, as whoever makes a package anew does. */
static int package_gone(struct retention *retention, const PGresult *rows, int row, struct err *err)
{
    struct journal_entry entry = package_entry(retention, rows, row), *entries = &entry;
    bool gone = false;
    int r = db_begin(retention->db, err);

    if (r < 0)
        return r;
    r = journal_append(retention->db, &entries, 1, publisher_source(retention->publisher), retention->arena, err);
    if (r == 0)
        r = package_remove(retention, rows, row, &gone, err);
    if (r == 0 && gone)
        r = db_commit(retention->db, err);
    else
        db_rollback(retention->db);
    if (r == 0 && gone)
        publish_entries(retention->publisher, &entries, 1);
    return r;
}

/* One that can't be deleted now is tried again when its lease ends; the others go on. */
static int package_delete(struct retention *retention, const PGresult *rows, int row, struct err *err)
{
    const struct store_target target = package_target(retention->config, retention->catalog, rows, row, STORAGE_KEY);
    struct err away = { 0 };

    if (store_delete(&target, db_get_text(rows, row, LOCATION), &away) == 0)
        return package_gone(retention, rows, row, err);
    log_err("package.not_deleted", &away, log_id("request", db_get_text(rows, row, REQUEST)),
            log_word("storage", target.key));
    return 0;
}

static int delete_old_packages(struct retention *retention, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(retention->arena);
    int r;

    db_int(args, PACKAGES_MAX);
    r = db_run_planned(retention->db, &SQL_retention_package_claim, args, &rows, err);
    for (int row = 0; r == 0 && row < PQntuples(rows) && !retention->stopping; row++)
        r = package_delete(retention, rows, row, err);
    retention->more |= r == 0 && PQntuples(rows) == PACKAGES_MAX;
    return r;
}

/* --- rounds ------------------------------------------------------------------------------------------ */

static void round_run(uv_work_t *work)
{
    int (*const parts[])(struct retention *, struct err *) = { forget_old, delete_old_rows, delete_old_packages };
    struct retention *retention = work->data;
    struct err err = { 0 };
    int r = 0;

    arena_clear(retention->arena);
    for (size_t i = 0; r == 0 && i < COUNT_OF(parts) && !retention->stopping; i++)
        r = parts[i](retention, &err);
    if (r < 0 && !retention->failing) /* told once, until it works again */
        log_err("retention.failed", &err);
    retention->failing = r < 0;
}

static void retention_release(struct retention *retention)
{
    db_free(retention->db);
    arena_free(retention->arena);
    free(retention);
}

static void round_over(uv_work_t *work, int status)
{
    struct retention *retention = work->data;

    (void)status;
    catalog_unref(retention->catalog);
    retention->catalog = NULL;
    retention->busy = false;
    retention->next_at = usec_monotonic() + (retention->more ? 0 : ROUND_S * USEC_PER_S);
    if (retention->ended)
        retention_release(retention);
}

void retention_turn(struct retention *retention)
{
    const struct catalog *catalog = intake_catalog(retention->intake);

    if (retention->busy || !catalog || usec_monotonic() < retention->next_at)
        return;
    retention->busy = true;
    retention->more = false;
    retention->catalog = catalog_ref(catalog);
    retention->work.data = retention;
    uv_queue_work(retention->loop, &retention->work, round_run, round_over);
}

struct retention *retention_new(uv_loop_t *loop, const struct config *config, struct publisher *publisher,
                                struct intake *intake)
{
    struct retention *retention = calloc(1, sizeof(*retention));

    if (!retention)
        abort();
    retention->loop = loop;
    retention->config = config;
    retention->publisher = publisher;
    retention->intake = intake;
    retention->db = db_new(config->postgres_url, "docket-worker retention");
    retention->arena = arena_new();
    return retention;
}

void retention_free(struct retention *retention)
{
    if (!retention)
        return;
    retention->stopping = true;
    retention->ended = true;
    if (!retention->busy)
        retention_release(retention);
}
