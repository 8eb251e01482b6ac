/*
 * transfer - what an access rule takes of the collected rows, as JSON {"dataset:collection": [rows]} with what people
 * filled in (dsr.md 4 and 5): made while it is sent, row by row, so that its size is bounded by nothing.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/results.h"
#include "api/results.sql.h"
#include "common/extract.h"
#include "common/log.h"
#include "common/rows.h"

/* Each has a connection to PostgreSQL of its own while it is sent. */
enum { TRANSFERS_MAX = 8 };
/* A row at least, whatever its size, and not much more than a piece. */
enum { OUT_BYTES_MAX = 2 * ROWS_VALUE_MAX };

struct transfer_task {
    const char *id, *dataset, *collection, *attempt;
};

struct transfer {
    struct arena *arena, *collection_arena;
    struct db *db;
    const struct catalog *catalog; /* a reference */
    const struct catalog_rule *rule;
    const char *request_id;
    struct seal_key key;
    struct transfer_task *tasks;
    int task_count, task; /* task: the next one */
    const char **inputs;  /* `"connection key":[object]` */
    int input_count, input;
    struct rows_reader *rows; /* of the collection under way; NULL: none */
    struct extract *extract;
    const char *address;
    int64_t row_count;
    bool begun, member, ended; /* member: one was written */
    struct buf out;
    size_t taken;
};

static atomic_int transfers;

/* --- the text ---------------------------------------------------------------------------------------- */

static void collection_end(struct transfer *transfer)
{
    extract_free(transfer->extract);
    rows_reader_free(transfer->rows);
    transfer->extract = NULL;
    transfer->rows = NULL;
    arena_clear(transfer->collection_arena);
}

static const struct dataset *dataset_find(const struct catalog *catalog, const char *key)
{
    for (int i = 0; i < catalog->dataset_count; i++)
        if (!strcmp(catalog->datasets[i].dataset->key, key))
            return catalog->datasets[i].dataset;
    return NULL;
}

/* What is in no dataset any more has no categories, so nothing of it is taken. */
static int collection_begin(struct transfer *transfer, const struct transfer_task *task, struct err *err)
{
    const struct dataset *dataset = dataset_find(transfer->catalog, task->dataset);
    const struct dataset_collection *collection = dataset ? dataset_collection(dataset, task->collection) : NULL;
    const struct rows_place place = { transfer->request_id, task->id, task->attempt, transfer->key };
    int r;

    if (!collection)
        return 0;
    r = rows_read(transfer->db, &place, &transfer->rows, err);
    if (r == 0)
        r = extract_new(dataset, collection, &transfer->rule->targets, transfer->rows, transfer->collection_arena,
                        &transfer->extract, err);
    transfer->address = arena_printf(transfer->collection_arena, "%s:%s", task->dataset, task->collection);
    transfer->row_count = 0;
    if (r == 0 && !transfer->extract)
        collection_end(transfer);
    return r;
}

static void member_begin(struct transfer *transfer)
{
    buf_adds(&transfer->out, transfer->member ? ",\n" : "\n");
    transfer->member = true;
}

static void row_write(struct transfer *transfer, const struct rows_value *values)
{
    bool any = false;
    int count;
    const char *const *columns = extract_columns(transfer->extract, &count);

    if (!transfer->row_count++) {
        member_begin(transfer);
        buf_json_string(&transfer->out, transfer->address);
        buf_adds(&transfer->out, ":[");
    } else
        buf_adds(&transfer->out, ",\n");
    buf_addc(&transfer->out, '{');
    for (int i = 0; i < count; i++) {
        if (!values[i].json)
            continue;
        buf_adds(&transfer->out, any ? "," : "");
        buf_json_string(&transfer->out, columns[i]);
        buf_addc(&transfer->out, ':');
        buf_add(&transfer->out, values[i].json, values[i].length);
        any = true;
    }
    buf_addc(&transfer->out, '}');
}

/* A collection without a row is left out. */
static int row_next(struct transfer *transfer, struct err *err)
{
    const struct rows_value *values;
    int r = extract_next(transfer->extract, &values, err);

    if (r > 0) {
        row_write(transfer, values);
        return 0;
    }
    if (r == 0 && transfer->row_count)
        buf_addc(&transfer->out, ']');
    collection_end(transfer);
    return r;
}

static int step(struct transfer *transfer, struct err *err)
{
    if (!transfer->begun) {
        buf_addc(&transfer->out, '{');
        transfer->begun = true;
    } else if (transfer->extract) {
        return row_next(transfer, err);
    } else if (transfer->task < transfer->task_count) {
        return collection_begin(transfer, &transfer->tasks[transfer->task++], err);
    } else if (transfer->input < transfer->input_count) {
        member_begin(transfer);
        buf_adds(&transfer->out, transfer->inputs[transfer->input++]);
    } else {
        buf_adds(&transfer->out, transfer->member ? "\n}\n" : "}\n");
        transfer->ended = true;
    }
    return 0;
}

/* --- the stream -------------------------------------------------------------------------------------- */

static int64_t transfer_read(void *context, void *buffer, size_t size, struct err *err)
{
    struct transfer *transfer = context;
    size_t rest;
    int r = 0;

    if (transfer->taken == transfer->out.length) {
        buf_clear(&transfer->out);
        transfer->taken = 0;
        while (r == 0 && transfer->out.length < size && !transfer->ended)
            r = step(transfer, err);
        if (r < 0)
            return r;
        if (transfer->out.overflow)
            return err_cause(err, ERR_INTERNAL, "a row has more than %d bytes", OUT_BYTES_MAX);
    }
    rest = transfer->out.length - transfer->taken;
    rest = rest < size ? rest : size;
    if (rest)
        memcpy(buffer, transfer->out.data + transfer->taken, rest);
    transfer->taken += rest;
    return (int64_t)rest;
}

static void transfer_free(void *context)
{
    struct transfer *transfer = context;

    collection_end(transfer);
    catalog_unref(transfer->catalog);
    db_free(transfer->db);
    buf_free(&transfer->out);
    arena_free(transfer->collection_arena);
    arena_free(transfer->arena);
    free(transfer);
    atomic_fetch_sub(&transfers, 1);
}

static int transfer_new(struct api_call *call, struct transfer **ret, struct err *err)
{
    struct transfer *transfer;

    if (atomic_fetch_add(&transfers, 1) >= TRANSFERS_MAX) {
        atomic_fetch_sub(&transfers, 1);
        return err_cause(err, ERR_UNAVAILABLE, "%d transfers are under way", TRANSFERS_MAX);
    }
    transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        abort();
    transfer->arena = arena_new();
    transfer->collection_arena = arena_new();
    transfer->out = BUF_INIT(OUT_BYTES_MAX);
    transfer->catalog = catalog_ref(call->catalog);
    transfer->request_id = arena_strdup(transfer->arena, call->params[0]);
    transfer->db = db_new(call->api->config->postgres_url, "docket-api transfer");
    *ret = transfer;
    return 0;
}

/* --- what is to be sent ------------------------------------------------------------------------------ */

static int read_tasks(struct api_call *call, struct transfer *transfer, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct arena *arena = transfer->arena;
    int r;

    db_text(args, transfer->request_id);
    r = db_run(call->db, &SQL_results_tasks, args, &rows, err);
    if (r < 0)
        return r;
    transfer->tasks = arena_array(arena, struct transfer_task, (size_t)PQntuples(rows) + 1);
    for (int row = 0; row < PQntuples(rows); row++) {
        if (!db_get_bool(rows, row, 4))
            return err_set(err, ERR_GONE, "Access data of privacy request '%s' was deleted.", transfer->request_id);
        transfer->tasks[transfer->task_count++] =
            (struct transfer_task){ db_dup_text(rows, row, 0, arena), db_dup_text(rows, row, 1, arena),
                                    db_dup_text(rows, row, 2, arena), db_dup_text(rows, row, 3, arena) };
    }
    return 0;
}

/* What nobody filled in is left out, as it is of a package. */
static const char *without_nulls(const char *json, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *object = json_tokener_parse(json);

    json_object_object_foreach(object, label, value)
    {
        if (!value)
            json_object_object_del(object, label);
    }
    return arena_strdup(arena, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int read_input(struct transfer *transfer, const PGresult *rows, int row, struct err *err)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(OUT_BYTES_MAX);
    struct bytes sealed, plain;
    char *owner = arena_printf(transfer->arena, "%s.access", db_get_text(rows, row, 1));
    int r;

    sealed.data = db_get_bytes(rows, row, 2, &sealed.length);
    r = seal_open(&transfer->key, "input", owner, sealed, transfer->arena, &plain, err);
    if (r < 0)
        return r;
    buf_json_string(&text, db_get_text(rows, row, 0));
    buf_printf(&text, ":[%s]", without_nulls(plain.data, transfer->arena));
    transfer->inputs[transfer->input_count++] = arena_strndup(transfer->arena, text.data, text.length);
    return 0;
}

static int read_inputs(struct api_call *call, struct transfer *transfer, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, transfer->request_id);
    r = db_run(call->db, &SQL_results_inputs, args, &rows, err);
    if (r < 0)
        return r;
    transfer->inputs = arena_array(transfer->arena, const char *, (size_t)PQntuples(rows) + 1);
    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        r = read_input(transfer, rows, row, err);
    return r;
}

/* Whether the collections were planned and have all come to their end. */
static int check_collected(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, call->params[0]);
    r = db_run(call->db, &SQL_results_collected, args, &rows, err);
    if (r < 0 || db_get_bool(rows, 0, 0))
        return r;
    return err_set(err, ERR_BAD_REQUEST,
                   "Access data of privacy request '%s' is not available because it was not collected.",
                   call->params[0]);
}

static const struct catalog_rule *rule_find(struct api_call *call, const char *policy_id)
{
    const struct catalog_policy *policy = catalog_policy_by_id(call->catalog, policy_id);

    for (int i = 0; policy && i < policy->rule_count; i++)
        if (!strcmp(policy->rules[i].key, call->params[1]) && !strcmp(policy->rules[i].action_type, "access"))
            return &policy->rules[i];
    return NULL;
}

/* The request's key and the rule; what speaks against it is told. */
static int subject_check(struct api_call *call, struct transfer *transfer, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const char *id = transfer->request_id;
    struct results_subject subject;
    int r = results_subject(call, id, &rows, &subject, err);

    if (r < 0)
        return r;
    if (!rows)
        return err_set(err, ERR_NOT_FOUND, "No privacy request with id %s found", id);
    if (subject.deleted)
        return err_set(err, ERR_INVALID, "Privacy request with id %s has been deleted.", id);
    transfer->rule = rule_find(call, subject.policy_id);
    if (!transfer->rule)
        return err_set(err, ERR_NOT_FOUND, "Rule key %s not found", call->params[1]);
    if (subject.forgotten || !subject.key_id)
        return err_set(err, ERR_GONE, "Privacy request '%s' was forgotten.", id);
    return seal_key_unwrap(call->api->ring, subject.key_id, subject.wrapped, id, &transfer->key, err);
}

int transfer_handle(struct api_call *call, struct err *err)
{
    struct transfer *transfer;
    int r = transfer_new(call, &transfer, err);

    if (r < 0)
        return r;
    r = subject_check(call, transfer, err);
    if (r == 0)
        r = check_collected(call, err);
    if (r == 0)
        r = read_tasks(call, transfer, err);
    if (r == 0)
        r = read_inputs(call, transfer, err);
    if (r == 0)
        r = results_disclose(call, transfer->request_id, "transfer", &transfer->rule->key, 1, err);
    if (r < 0) {
        transfer_free(transfer);
        return r;
    }
    http_set_header(call->http, "Cache-Control", "no-store");
    return api_answer_stream(call, 200, NULL, &(struct stream_source){ transfer_read, transfer_free, transfer }, err);
}
