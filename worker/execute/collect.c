/*
 * collect - a collection's rows of one person, read from the customer's database and kept (dsr.md 3).
 *
 * What leads to them: the identities that the graph brings here, and what the collections before brought.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/query.h"
#include "common/rows.h"
#include "common/schema.h"
#include "worker/execute/affected.h"
#include "worker/execute/job.h"
#include "worker/execute/keys.h"
#include "worker/execute/source.h"
#include "worker/execute/value.h"
#include "worker/execute/way.h"

/* A column that rows are found by. */
struct target {
    const struct dataset_field *field;
    struct keys *keys;
    struct buf array; /* the parameter: keys of the statement under way */
};

struct collect {
    struct job *job;
    struct job_outcome *outcome;
    const struct catalog_connection *connection;
    const struct graph_walk *walk;
    const struct graph_node *node;
    struct source *source;
    const struct source_table *table;
    const struct dataset_field *const *fields; /* that are read: each a column */
    const char **columns;                      /* their names */
    const struct value_form **forms;
    int field_count;
    struct target *targets;
    int target_count;
    struct target **parameters; /* of the statement, in their order */
    int parameter_count;
    struct rows_writer *writer;
    struct buf json; /* a value under way */
    int64_t limit, count;
};

/* What a step that fails, or ends the job early, comes to. 0: go on. */
enum step { GO_ON, DONE };

static enum step end(struct collect *collect, enum job_result result, const char *message)
{
    collect->outcome->result = result;
    collect->outcome->message = arena_strdup(collect->job->arena, message);
    return DONE;
}

/* Worth another try, or not: as its code says. */
static enum step fail(struct collect *collect, const struct err *err)
{
    const struct job *job = collect->job;

    if (err->code == ERR_INTERNAL)
        log_err("collect.failed", err, log_id("request", job->request_id), log_id("task", job->task.id));
    return end(collect, err_fate(err->code) == ERR_FATE_RETRY ? JOB_RETRY : JOB_FAILED, err->text);
}

static const char *address(const struct collect *collect)
{
    const struct task *task = &collect->job->task;

    return arena_printf(collect->job->arena, "%s:%s", task->dataset, task->collection);
}

/* --- which collection, and whether it is read --------------------------------------------------------------------- */

static enum step find_node(struct collect *collect)
{
    struct err err = { 0 };

    return way_find(collect->job, &collect->walk, &collect->node, &err) < 0 ? fail(collect, &err) : GO_ON;
}

static bool feeds_others(const struct collect *collect)
{
    for (int n = 0; n < collect->walk->count; n++)
        for (int e = 0; e < collect->walk->nodes[n]->in_count; e++)
            if (collect->walk->nodes[n]->in[e].from == collect->node)
                return true;
    return false;
}

static enum step find_connection(struct collect *collect)
{
    const struct catalog *catalog = collect->job->catalog;

    for (int i = 0; i < catalog->dataset_count; i++)
        if (!strcmp(catalog->datasets[i].dataset->key, collect->job->task.dataset))
            collect->connection = catalog->datasets[i].connection;
    if (!collect->connection)
        return end(collect, JOB_FAILED,
                   arena_printf(collect->job->arena, "Dataset '%s' has no connection.", collect->job->task.dataset));
    if (collect->connection->disabled)
        return end(collect, JOB_SKIPPED,
                   arena_printf(collect->job->arena, "Skipping collection %s. ConnectionConfig %s is disabled.",
                                address(collect), collect->connection->key));
    return GO_ON;
}

/* A connection that gives nothing to packages is still read for what is erased by its rows, or found through them. */
static enum step check_action(struct collect *collect)
{
    const struct catalog_connection *connection = collect->connection;

    if (connection->does_access || feeds_others(collect) ||
        (connection->does_erasure && catalog_policy_has(collect->job->policy, "erasure")))
        return GO_ON;
    return end(collect, JOB_SKIPPED,
               arena_printf(collect->job->arena,
                            "Skipping collection %s. The access action is disabled for connection config with key "
                            "'%s'.",
                            address(collect), connection->key));
}

/* --- its columns -------------------------------------------------------------------------------------------------- */

static void list_fields(struct collect *collect)
{
    struct arena *arena = collect->job->arena;

    collect->field_count = query_columns(collect->walk, collect->node, arena, &collect->fields);
    collect->columns = arena_array(arena, const char *, (size_t)collect->field_count + 1);
    collect->forms = arena_array(arena, const struct value_form *, (size_t)collect->field_count + 1);
    for (int i = 0; i < collect->field_count; i++)
        collect->columns[i] = collect->fields[i]->column;
}

static enum step table_missing(struct collect *collect)
{
    const char *table = collect->node->collection->name;

    if (feeds_others(collect))
        return end(collect, JOB_FAILED,
                   arena_printf(collect->job->arena,
                                "Table '%s' did not exist during data retrieval, and other collections depend on it.",
                                table));
    return end(collect, JOB_SKIPPED,
               arena_printf(collect->job->arena, "Table '%s' did not exist during data retrieval.", table));
}

/* The table's column of a name; NULL, and the job ended, when it has none. */
static const struct source_column *column_of(struct collect *collect, const char *name)
{
    const struct source_column *column = source_column(collect->table, name);

    if (!column)
        end(collect, JOB_FAILED,
            arena_printf(collect->job->arena,
                         "Field '%s' of collection '%s' of dataset '%s' is no column of its table.",
                         name, collect->node->collection->name, collect->node->dataset->key));
    return column;
}

static enum step open_table(struct collect *collect)
{
    const struct dataset *dataset = collect->node->dataset;
    struct err err = { 0 };
    int r;

    r = source_open(collect->job->config, collect->connection, dataset->database, false, &collect->source, &err);
    if (r == 0)
        r = source_table(collect->source, dataset->schema, collect->node->collection->name, collect->job->arena,
                         &collect->table, &err);
    if (r < 0)
        return fail(collect, &err);
    if (!collect->table)
        return table_missing(collect);
    for (int i = 0; i < collect->field_count; i++) {
        const struct source_column *column = column_of(collect, collect->columns[i]);

        if (!column)
            return DONE;
        collect->forms[i] = value_form_of(column);
    }
    return GO_ON;
}

/* --- the keys ----------------------------------------------------------------------------------------------------- */

static const struct task *task_of(const struct job *job, const struct graph_node *node)
{
    for (int i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];

        if (task->action == TASK_ACCESS && task->state == TASK_COMPLETE && task->attempt &&
            !strcmp(task->dataset, node->dataset->key) && !strcmp(task->collection, node->collection->name))
            return task;
    }
    return NULL;
}

/* False: nothing leads here, and the customer's database is left alone. */
static bool may_have_keys(const struct collect *collect)
{
    for (int i = 0; i < collect->node->in_count; i++) {
        const struct graph_edge *edge = &collect->node->in[i];
        const struct task *task = edge->from ? task_of(collect->job, edge->from) : NULL;

        if (!edge->from || (task && task->row_count > 0))
            return true;
    }
    return false;
}

static struct target *target_of(const struct collect *collect, const struct dataset_field *field)
{
    for (int i = 0; i < collect->target_count; i++)
        if (!strcmp(collect->targets[i].field->path, field->path))
            return &collect->targets[i];
    return NULL;
}

static enum step target_add(struct collect *collect, const struct dataset_field *field)
{
    const struct source_column *column = column_of(collect, field->column);
    struct target *target = &collect->targets[collect->target_count];
    struct err err = { 0 };

    if (!column)
        return DONE;
    if (keys_new(field, column, PQserverVersion(source_conn(collect->source)), &target->keys, &err) < 0)
        return fail(collect, &err);
    target->field = field;
    target->array = BUF_INIT(KEYS_ARRAY_MAX);
    collect->target_count++;
    return GO_ON;
}

static enum step make_targets(struct collect *collect)
{
    const struct graph_node *node = collect->node;
    enum step step = GO_ON;

    collect->targets = arena_array(collect->job->arena, struct target, (size_t)node->in_count + 1);
    collect->parameters = arena_array(collect->job->arena, struct target *, (size_t)node->in_count + 1);
    for (int i = 0; i < node->in_count && step == GO_ON; i++)
        if (!target_of(collect, node->in[i].target))
            step = target_add(collect, node->in[i].target);
    return step;
}

/* An identity: a text, or {"label", "value"}. */
static void add_identities(struct collect *collect, json_object *identity)
{
    for (int i = 0; i < collect->node->in_count; i++) {
        const struct graph_edge *edge = &collect->node->in[i];
        json_object *value = NULL;

        if (edge->from || !json_object_object_get_ex(identity, edge->key, &value))
            continue;
        if (json_object_is_type(value, json_type_object))
            json_object_object_get_ex(value, "value", &value);
        keys_add(target_of(collect, edge->target)->keys, value, NULL);
    }
}

/* A value of a collection before that leads here. */
struct lead {
    int column; /* of its rows; -1: not read */
    const char *path; /* within the column; NULL */
    struct keys *keys;
};

static int leads_of(const struct collect *collect, const struct graph_node *from, const struct rows_reader *reader,
                    struct lead *leads)
{
    int count = 0;

    for (int i = 0; i < collect->node->in_count; i++) {
        const struct graph_edge *edge = &collect->node->in[i];
        int column = edge->from == from ? rows_column(reader, edge->source->column) : -1;

        if (column >= 0)
            leads[count++] = (struct lead){ column, edge->source->parent ? strchr(edge->source->path, '.') + 1 : NULL,
                                            target_of(collect, edge->target)->keys };
    }
    return count;
}

static int add_rows(struct collect *collect, const struct graph_node *from, struct rows_reader *reader,
                    struct err *err)
{
    struct lead *leads = arena_array(collect->job->arena, struct lead, (size_t)collect->node->in_count);
    int count = leads_of(collect, from, reader, leads), r;
    const struct rows_value *row;

    while ((r = rows_next(reader, &row, err)) == 1)
        for (int i = 0; i < count; i++)
            if (row[leads[i].column].json)
                keys_add_json(leads[i].keys, leads[i].path, row[leads[i].column].json, row[leads[i].column].length);
    return r;
}

static int add_upstream(struct collect *collect, const struct graph_node *from, struct err *err)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    const struct job *job = collect->job;
    const struct task *task = task_of(job, from);
    struct rows_place place = { .request_id = job->request_id, .key = job->key };
    int r;

    if (!task)
        return 0; /* skipped: it has no rows */
    place.task_id = task->id;
    place.attempt = task->attempt;
    r = rows_read(job->db, &place, &reader, err);
    return r < 0 ? r : add_rows(collect, from, reader, err);
}

static bool is_first_from(const struct graph_node *node, int edge)
{
    for (int i = 0; i < edge; i++)
        if (node->in[i].from == node->in[edge].from)
            return false;
    return true;
}

static enum step gather(struct collect *collect, json_object *identity)
{
    const struct graph_node *node = collect->node;
    struct err err = { 0 };

    add_identities(collect, identity);
    for (int i = 0; i < node->in_count; i++)
        if (node->in[i].from && is_first_from(node, i) && add_upstream(collect, node->in[i].from, &err) < 0)
            return fail(collect, &err);
    for (int i = 0; i < collect->target_count; i++)
        if (keys_overflow(collect->targets[i].keys))
            return end(collect, JOB_FAILED,
                       arena_printf(collect->job->arena, "Field '%s' has more than %d MB of values to look for.",
                                    collect->targets[i].field->path, KEYS_BYTES_MAX / (1024 * 1024)));
    return GO_ON;
}

/* --- the rows ----------------------------------------------------------------------------------------------------- */

static struct target *parameter_of(struct collect *collect, int n, const struct dataset_field *field)
{
    struct target *target = target_of(collect, field);

    if (!target || n < 1 || n > collect->node->in_count)
        abort(); /* the query is made of this node's edges */
    collect->parameters[n - 1] = target;
    collect->parameter_count = n > collect->parameter_count ? n : collect->parameter_count;
    return target;
}

static const char *word_condition(void *context, int n, const struct dataset_field *field, const char *expression)
{
    struct collect *collect = context;

    return keys_condition(parameter_of(collect, n, field)->keys, n, expression, collect->job->arena);
}

static const char *word_column(void *context, int n, const struct dataset_field *field, const char *expression)
{
    struct collect *collect = context;

    return keys_column(parameter_of(collect, n, field)->keys, n, expression, collect->job->arena);
}

/* The query, with each of its columns in the form in which it is wanted. */
static const char *statement(struct collect *collect)
{
    _cleanup_(buf_free) struct buf sql = BUF_INIT(16 * 1024 * 1024);
    struct arena *arena = collect->job->arena;
    const struct query_words words = { word_condition, word_column, collect };
    const char *select = query_select(collect->walk, collect->node, &words, collect->limit + 1, arena);

    buf_adds(&sql, "select ");
    for (int i = 0; i < collect->field_count; i++) {
        buf_adds(&sql, i ? ", " : "");
        buf_adds(&sql, value_expression(collect->forms[i], query_identifier(collect->columns[i], arena), arena));
    }
    buf_printf(&sql, " from (%s) as r", select);
    return arena_strdup(arena, sql.data);
}

static int keep_row(struct collect *collect, const PGresult *result, struct err *err)
{
    if (collect->count++ == collect->limit)
        return err_set(err, ERR_TOO_LARGE, "More than %" PRId64 " rows: the limit of %s.", collect->limit,
                       collect->connection->row_limit
                           ? arena_printf(collect->job->arena, "connection '%s' (row_limit)", collect->connection->key)
                           : "DOCKET_SOURCE_ROW_LIMIT");
    for (int i = 0; i < collect->field_count; i++) {
        struct buf *json = &collect->json;

        if (PQgetisnull(result, 0, i)) {
            rows_value(collect->writer, NULL, 0);
            continue;
        }
        buf_clear(json);
        value_put(collect->forms[i], PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i), json);
        rows_value(collect->writer, json->data, json->overflow ? (size_t)ROWS_VALUE_MAX + 1 : json->length);
    }
    return rows_end_row(collect->writer, err);
}

/* Row by row: a cursor's plan could not be a parallel one, and each of its fetches is waited for. */
static int keep_rows(struct collect *collect, struct err *err)
{
    PGconn *conn = source_conn(collect->source);
    PGresult *result;
    int r = 0;

    while (r == 0 && (result = source_result(collect->source, &collect->job->canceled))) {
        ExecStatusType status = PQresultStatus(result);

        if (status == PGRES_SINGLE_TUPLE)
            r = keep_row(collect, result, err);
        else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            r = source_err(collect->source, result, err);
        PQclear(result);
    }
    return r == 0 && PQstatus(conn) != CONNECTION_OK ? source_err(collect->source, NULL, err) : r;
}

/* Asks with the keys from `first` on, KEYS_STATEMENT_MAX of each column at the most. */
static int ask(struct collect *collect, const char *sql, int first, struct err *err)
{
    const char **values = arena_array(collect->job->arena, const char *, (size_t)collect->parameter_count + 1);
    PGconn *conn = source_conn(collect->source);

    for (int i = 0; i < collect->parameter_count; i++) {
        struct target *target = collect->parameters[i];

        keys_array(target->keys, first, KEYS_STATEMENT_MAX, &target->array);
        values[i] = target->array.data;
    }
    if (!PQsendQueryParams(conn, sql, collect->parameter_count, NULL, values, NULL, NULL, 1))
        return source_err(collect->source, NULL, err);
    PQsetSingleRowMode(conn);
    return keep_rows(collect, err);
}

/* Several statements never bring a row twice as long as only one column has keys, and equal keys are one. */
static enum step check_split(struct collect *collect, int *most)
{
    bool can_split = true;
    int used = 0;

    *most = 0;
    for (int i = 0; i < collect->target_count; i++) {
        int count = keys_count(collect->targets[i].keys);

        used += count > 0;
        can_split &= count == 0 || keys_can_split(collect->targets[i].keys);
        *most = count > *most ? count : *most;
    }
    if (*most <= KEYS_STATEMENT_MAX || (used == 1 && can_split))
        return GO_ON;
    return end(collect, JOB_FAILED,
               arena_printf(collect->job->arena,
                            "Collection %s is to be found by %d values: more than %d are asked for in parts, and that "
                            "only where one field leads to it, of a type whose equality is plain.",
                            address(collect), *most, KEYS_STATEMENT_MAX));
}

static int ask_all(struct collect *collect, int most, struct err *err)
{
    const char *sql;
    int r;

    if (most == 0)
        return 0;
    sql = statement(collect);
    r = source_snapshot(collect->source, err);
    for (int first = 0; first < most && r == 0; first += KEYS_STATEMENT_MAX)
        r = ask(collect, sql, first, err);
    return r;
}

/* `most` keys of a column; 0: no query, no rows. */
static enum step read_rows(struct collect *collect, int most)
{
    const struct job *job = collect->job;
    const struct rows_place place = { job->request_id, job->task.id, job->attempt, job->key };
    struct err err = { 0 };
    int r;

    r = rows_write(job->db, &place, collect->columns, collect->field_count, &collect->writer, &err);
    if (r == 0)
        r = ask_all(collect, most, &err);
    if (r == 0)
        r = rows_finish(collect->writer, &collect->outcome->row_count, &err);
    return r < 0 ? fail(collect, &err) : GO_ON;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void tell(struct collect *collect)
{
    struct job_outcome *outcome = collect->outcome;

    outcome->result = JOB_COMPLETE;
    outcome->message =
        arena_printf(collect->job->arena, "success - retrieved %" PRId64 " records", outcome->row_count);
    outcome->fields = affected_fields(collect->node->dataset, collect->node->collection, collect->job->policy, "access",
                                      collect->job->arena);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static enum step find(struct collect *collect)
{
    if (find_connection(collect) == DONE || find_node(collect) == DONE)
        return DONE;
    return check_action(collect);
}

/* *most: as check_split() has it. */
static enum step look(struct collect *collect, json_object *identity, int *most)
{
    *most = 0;
    if (!may_have_keys(collect))
        return GO_ON;
    if (open_table(collect) == DONE || make_targets(collect) == DONE || gather(collect, identity) == DONE)
        return DONE;
    return check_split(collect, most);
}

static void collect_free(struct collect *collect)
{
    for (int i = 0; i < collect->target_count; i++) {
        keys_free(collect->targets[i].keys);
        buf_free(&collect->targets[i].array);
    }
    rows_writer_free(collect->writer);
    source_free(collect->source);
    buf_free(&collect->json);
}

void collect_run(struct job *job, struct job_outcome *outcome)
{
    _cleanup_(collect_free) struct collect collect = { .job = job, .outcome = outcome,
                                                       .json = BUF_INIT(ROWS_VALUE_MAX) };
    _cleanup_(json_object_putp) json_object *identity = json_tokener_parse(job->identity ? job->identity : "{}");
    int most;

    if (find(&collect) == DONE)
        return;
    list_fields(&collect);
    collect.limit = collect.connection->row_limit ? collect.connection->row_limit : job->config->source_row_limit;
    if (look(&collect, identity, &most) == GO_ON && read_rows(&collect, most) == GO_ON)
        tell(&collect);
}
