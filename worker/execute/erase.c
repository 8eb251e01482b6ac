/*
 * Erasing one collection: the rows that were read of it are masked where they are, in one transaction of the customer's
 * database.
 *
 * Two databases can't commit at once. So the transaction's id is put on record here before it is committed there; a
 * later try asks that server what became of it, and does nothing again that was done.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rows.h"
#include "worker/execute/affected.h"
#include "worker/execute/erase.sql.h"
#include "worker/execute/job.h"
#include "worker/execute/overwrite.h"
#include "worker/execute/source.h"
#include "worker/execute/way.h"

DEFINE_CLEANUP(PGresult *, PQclear)

struct erasing {
    struct job *job;
    const char *address; /* "dataset:collection" */
    const struct dataset *dataset;
    const struct catalog_connection *connection;
    const struct graph_node *node;
    struct overwrite *overwrite;
    struct rows_reader *rows;
    struct source *source;
    int64_t count; /* rows masked */
};

static void erasing_end(struct erasing *erasing)
{
    overwrite_free(erasing->overwrite);
    rows_reader_free(erasing->rows);
    source_free(erasing->source);
}

/* --- outcomes ---------------------------------------------------------------------------------------- */

static void tell(struct job_outcome *outcome, enum job_result result, const char *message)
{
    outcome->result = result;
    outcome->message = message;
}

static void tell_success(const struct erasing *erasing, int64_t count, struct job_outcome *outcome)
{
    const struct job *job = erasing->job;

    tell(outcome, JOB_COMPLETE, arena_printf(job->arena, "success - masked %" PRId64 " records", count));
    outcome->row_count = count;
    outcome->fields = affected_fields(erasing->dataset, erasing->node->collection, job->policy, "erasure", job->arena);
}

static void tell_error(const struct job *job, const struct err *err, struct job_outcome *outcome)
{
    bool again = err_fate(err->code) == ERR_FATE_RETRY;

    if (err->code == ERR_INTERNAL)
        log_err("erase.failed", err, log_id("request", job->request_id), log_id("task", job->task.id));
    tell(outcome, again ? JOB_RETRY : JOB_FAILED, arena_strdup(job->arena, err->text));
}

/* --- whether it may be ------------------------------------------------------------------------------- */

static const struct catalog_dataset *find_dataset(const struct job *job)
{
    for (int i = 0; i < job->catalog->dataset_count; i++)
        if (!strcmp(job->catalog->datasets[i].dataset->key, job->task.dataset))
            return &job->catalog->datasets[i];
    return NULL;
}

/* True: it is not to be erased, and the outcome says why. */
static bool is_barred(const struct erasing *erasing, struct job_outcome *outcome)
{
    const struct catalog_connection *connection = erasing->connection;
    struct arena *arena = erasing->job->arena;

    if (connection->disabled)
        tell(outcome, JOB_SKIPPED, arena_printf(arena, "Skipping collection %s. ConnectionConfig %s is disabled.",
                                                erasing->address, connection->key));
    else if (!connection->does_erasure)
        tell(outcome, JOB_SKIPPED,
             arena_printf(arena, "Skipping collection %s. The erasure action is disabled for connection config with "
                                 "key '%s'.", erasing->address, connection->key));
    else if (!connection->writable)
        tell(outcome, JOB_FAILED, arena_printf(arena, "No values were erased since this connection %s has not been "
                                                      "given write access", connection->key));
    else
        return false;
    return true;
}

/* --- what was read ----------------------------------------------------------------------------------- */

static const struct task *find_access(const struct job *job)
{
    const char *id = arena_printf(job->arena, "access:%s:%s", job->task.dataset, job->task.collection);

    for (int i = 0; i < job->task_count; i++)
        if (!strcmp(job->tasks[i].id, id))
            return &job->tasks[i];
    return NULL;
}

/* 0 with erasing->rows NULL: there are none. */
static int open_rows(struct erasing *erasing, struct err *err)
{
    struct job *job = erasing->job;
    const struct task *access = find_access(job);

    if (!access || access->state != TASK_COMPLETE || !access->attempt)
        return err_set(err, ERR_REFUSED, "No values of %s were erased, as it was not read", erasing->address);
    if (!access->row_count)
        return 0;
    return rows_read(job->db,
                     &(struct rows_place){ .request_id = job->request_id, .task_id = access->id,
                                           .attempt = access->attempt, .key = job->key },
                     &erasing->rows, err);
}

/* --- over there -------------------------------------------------------------------------------------- */

/* `value` NULL: no parameter. Not by prepared statements: a batch is planned for what is in it, and poolers lose them.
 * `canceled` NULL: it is not to be stopped. */
static int source_run(struct source *source, const char *text, const char *value, const atomic_bool *canceled,
                      PGresult **ret, struct err *err)
{
    _cleanup_(PQclearp) PGresult *result = NULL;
    PGresult *more;
    int r = 0;

    if (!PQsendQueryParams(source_conn(source), text, value ? 1 : 0, NULL, &value, NULL, NULL, 0))
        return source_err(source, NULL, err);
    result = source_result(source, canceled);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        r = source_err(source, result, err);
    while ((more = source_result(source, NULL)))
        PQclear(more);
    if (r == 0)
        *ret = TAKE(result);
    return r;
}

static int source_do(struct source *source, const char *text, struct err *err)
{
    _cleanup_(PQclearp) PGresult *result = NULL;

    return source_run(source, text, NULL, NULL, &result, err);
}

/* The first value of the first row, in the job's arena; NULL: null. */
static int source_ask(struct erasing *erasing, const struct sql *sql, const char *value, const char **ret,
                      struct err *err)
{
    _cleanup_(PQclearp) PGresult *result = NULL;
    int r = source_run(erasing->source, sql->text, value, NULL, &result, err);

    if (r == 0)
        *ret = PQgetisnull(result, 0, 0) ? NULL : arena_strdup(erasing->job->arena, PQgetvalue(result, 0, 0));
    return r;
}

/* 1: an earlier try's transaction was committed. 0: it is to be done (anew). */
static int was_done(struct erasing *erasing, struct err *err)
{
    const char *xid = erasing->job->task.erase_xid, *status = NULL;
    int r = xid ? source_ask(erasing, &SQL_erase_status, xid, &status, err) : 0;

    if (r < 0 || !status)
        return r;
    if (!strcmp(status, "in progress"))
        return err_set(err, ERR_UNAVAILABLE,
                       "Connection '%s': an earlier transaction of this erasure has not ended yet.",
                       erasing->connection->key);
    return !strcmp(status, "committed");
}

static int begin(struct erasing *erasing, struct err *err)
{
    const char *unused;
    int r = source_do(erasing->source, "begin isolation level read committed read write", err);

    return r < 0 ? r : source_ask(erasing, &SQL_erase_settings, NULL, &unused, err);
}

static int bind(struct erasing *erasing, struct err *err)
{
    const struct dataset *dataset = erasing->dataset;
    const struct source_table *table = NULL;
    const char *const *columns;
    int count, r;

    r = source_table(erasing->source, dataset->schema, erasing->node->collection->name, erasing->job->arena, &table,
                     err);
    if (r < 0)
        return r;
    if (!table)
        return err_set(err, ERR_REFUSED, "No values of %s were erased, as there is no such table", erasing->address);
    columns = rows_columns(erasing->rows, &count);
    return overwrite_bind(erasing->overwrite, table, columns, count, err);
}

/* --- masking ----------------------------------------------------------------------------------------- */

static int run_batch(struct erasing *erasing, struct err *err)
{
    _cleanup_(PQclearp) PGresult *result = NULL;
    const char *json, *statement = overwrite_statement(erasing->overwrite, &json);
    int r;

    if (!statement)
        return 0;
    r = source_run(erasing->source, statement, json, &erasing->job->canceled, &result, err);
    if (r < 0)
        return r;
    erasing->count += strtoll(PQcmdTuples(result), NULL, 10);
    overwrite_clear(erasing->overwrite);
    return 0;
}

static int take_row(struct erasing *erasing, const struct rows_value *row, struct err *err)
{
    int r = overwrite_add(erasing->overwrite, row, err);

    if (r != 1)
        return r;
    r = run_batch(erasing, err);
    return r < 0 ? r : overwrite_add(erasing->overwrite, row, err);
}

static int mask_rows(struct erasing *erasing, struct err *err)
{
    const struct rows_value *row;
    int r;

    while ((r = rows_next(erasing->rows, &row, err)) == 1) {
        r = take_row(erasing, row, err);
        if (r < 0)
            return r;
        if (atomic_load(&erasing->job->canceled))
            return err_set(err, ERR_UNAVAILABLE, "Stopped, as the worker ends or another has the task now");
    }
    return r < 0 ? r : run_batch(erasing, err);
}

/* Here, before it is committed there. */
static int record(struct erasing *erasing, const char *xid, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const struct job *job = erasing->job;
    struct db_args *args = db_args_new(job->arena);
    int r;

    db_text(args, job->request_id);
    db_text(args, job->task.id);
    db_text(args, xid);
    db_int(args, erasing->count);
    db_text(args, job->task.erase_xid);
    r = db_run(job->db, &SQL_erase_record, args, &rows, err);
    if (r == 0 && !PQntuples(rows))
        return err_set(err, ERR_STALE, "Another worker does the same");
    return r;
}

/* A transaction that is not committed ends with its connection. */
static int mask_all(struct erasing *erasing, struct err *err)
{
    const char *xid = NULL;
    int r = begin(erasing, err);

    if (r == 0)
        r = mask_rows(erasing, err);
    if (r == 0)
        r = source_ask(erasing, &SQL_erase_xid, NULL, &xid, err);
    if (r == 0)
        r = record(erasing, xid, err);
    return r < 0 ? r : source_do(erasing->source, "commit", err);
}

static int erase_there(struct erasing *erasing, struct job_outcome *outcome, struct err *err)
{
    const struct job *job = erasing->job;
    int r = source_open(job->config, erasing->connection, erasing->dataset->database, true, &erasing->source, err);

    if (r == 0)
        r = was_done(erasing, err);
    if (r == 1) {
        tell_success(erasing, job->task.erase_count, outcome);
        return 0;
    }
    if (r == 0)
        r = bind(erasing, err);
    if (r == 0)
        r = mask_all(erasing, err);
    if (r == 0)
        tell_success(erasing, erasing->count, outcome);
    return r;
}

static int erase(struct erasing *erasing, struct job_outcome *outcome, struct err *err)
{
    struct job *job = erasing->job;
    const struct catalog_dataset *found = find_dataset(job);
    const struct graph_walk *walk;
    int r;

    if (!found)
        return err_set(err, ERR_REFUSED, "Dataset '%s' has no connection.", job->task.dataset);
    erasing->dataset = found->dataset;
    erasing->connection = found->connection;
    if (is_barred(erasing, outcome))
        return 0;
    r = way_find(job, &walk, &erasing->node, err);
    if (r == 0)
        r = overwrite_new(erasing->node, job->policy, &job->key, job->request_id, job->arena, &erasing->overwrite, err);
    if (r == 0)
        r = open_rows(erasing, err);
    if (r < 0)
        return r;
    if (erasing->rows && !overwrite_is_empty(erasing->overwrite))
        return erase_there(erasing, outcome, err);
    tell_success(erasing, 0, outcome);
    return 0;
}

void erase_run(struct job *job, struct job_outcome *outcome)
{
    _cleanup_(erasing_end) struct erasing erasing = { .job = job };
    struct err err = { 0 };

    erasing.address = arena_printf(job->arena, "%s:%s", job->task.dataset, job->task.collection);
    if (erase(&erasing, outcome, &err) < 0)
        tell_error(job, &err, outcome);
}
