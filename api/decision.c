#include "api/decision.h"

#include <string.h>

#include "api/decision.sql.h"
#include "api/selection.h"

/* Looks at what others are faster with. */
enum { LOOKS_MAX = 6 };

const char *decision_problem(const struct decision *decision, const struct decision_case *of)
{
    if (of->fate == DECISION_DONE)
        return NULL;
    if (of->fate == DECISION_UNKNOWN)
        return arena_printf(decision->call->arena, "No privacy request found with id '%s'", of->id);
    return decision->refusal(decision, of);
}

/* --- planning ------------------------------------------------------------------------------------------ */

static int seal_reason(const struct decision *decision, struct decision_case *of, const PGresult *rows, int row,
                       struct err *err)
{
    struct api_call *call = decision->call;
    struct bytes wrapped;
    struct seal_key key;
    int r;

    if (!decision->reason || db_is_null(rows, row, 4))
        return 0; /* a request that was forgotten keeps no words of its own */
    wrapped.data = db_get_bytes(rows, row, 5, &wrapped.length);
    r = seal_key_unwrap(call->api->ring, db_get_text(rows, row, 4), wrapped, of->id, &key, err);
    if (r < 0)
        return r;
    of->reason = seal_close(&key, "reason", of->id, (struct bytes){ decision->reason, strlen(decision->reason) },
                            call->arena);
    return 0;
}

static void entry_make(const struct decision *decision, struct decision_case *of, int64_t seq, enum pr_status to)
{
    struct api_call *call = decision->call;

    of->entry = (struct journal_entry){
        .request_id = of->id,
        .expected = seq,
        .status = to,
        .actor = call->user_id,
        .type = decision->type,
        .time = usec_now(),
        .traceparent = event_trace_child(call->arena, http_header(call->http, "traceparent")),
        .payload = decision->payload(decision, of, to, call->user_id ? "user" : "client"),
    };
}

/* Decides by a row of SQL_decision_rows. Where it is to be written, the case stays open and has an entry. */
static int case_plan(const struct decision *decision, struct decision_case *of, const PGresult *rows, int row,
                     struct err *err)
{
    enum pr_status to = PR_NONE;

    of->from = lifecycle_parse(db_get_text(rows, row, 2));
    of->failed_step = db_dup_text(rows, row, 6, decision->call->arena);
    if (db_get_bool(rows, row, 3)) {
        of->fate = DECISION_DELETED;
        return 0;
    }
    if (!decision->keeps_status && !lifecycle_next(of->from, decision->on, &to)) {
        of->fate = DECISION_UNFIT;
        return 0;
    }
    if (!decision->keeps_status && db_get_bool(rows, row, 7)) {
        of->fate = DECISION_FORGOTTEN;
        return 0;
    }
    entry_make(decision, of, db_get_int(rows, row, 1), to);
    return seal_reason(decision, of, rows, row, err);
}

static struct db_args *args_of_open(const struct decision *decision, const struct decision_case *cases, int count)
{
    struct db_args *args = db_args_new(decision->call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        if (cases[i].fate == DECISION_OPEN)
            db_add_text(ids, cases[i].id);
    return args;
}

static int find_row(const PGresult *rows, const char *id)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), id))
            return row;
    return -1;
}

/* Reads the open ones and says of each what is to become of it: after this the open ones have an entry. */
static int batch_plan(const struct decision *decision, struct decision_case *cases, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db *db = decision->call->db;
    int r = db_run_planned(db, &SQL_decision_rows, args_of_open(decision, cases, count), &rows, err);

    for (int i = 0; r == 0 && i < count; i++) {
        int row = cases[i].fate == DECISION_OPEN ? find_row(rows, cases[i].id) : -1;

        if (row >= 0)
            r = case_plan(decision, &cases[i], rows, row, err);
        else if (cases[i].fate == DECISION_OPEN)
            cases[i].fate = DECISION_UNKNOWN;
    }
    return r;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static bool has_won(const struct decision_case *of)
{
    return of->fate == DECISION_OPEN && of->entry.seq;
}

static int write_reasons(const struct decision *decision, const struct decision_case *cases, int count,
                         struct err *err)
{
    struct db_args *args = db_args_new(decision->call->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *reasons = db_array(args, DB_BYTES);

    for (int i = 0; i < count; i++) {
        if (!has_won(&cases[i]))
            continue;
        db_add_text(ids, cases[i].id);
        db_add_bytes(reasons, cases[i].reason.data, cases[i].reason.length);
    }
    return db_do_planned(decision->call->db, &SQL_decision_reasons, args, err);
}

static int end_calls(const struct decision *decision, const struct decision_case *cases, int count, struct err *err)
{
    struct db_args *args = db_args_new(decision->call->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *times = db_array(args, DB_TIME);

    for (int i = 0; i < count; i++) {
        if (!has_won(&cases[i]))
            continue;
        db_add_text(ids, cases[i].id);
        db_add_time(times, cases[i].entry.time); /* the event's: whoever has that knows what became of the calls */
    }
    return db_do_planned(decision->call->db, &SQL_decision_end_calls, args, err);
}

static int entries_of(struct decision_case *cases, int count, struct journal_entry **entries)
{
    int found = 0;

    for (int i = 0; i < count; i++)
        if (cases[i].fate == DECISION_OPEN)
            entries[found++] = &cases[i].entry;
    journal_sort(entries, found);
    return found;
}

static int batch_transact(const struct decision *decision, struct decision_case *cases, int count,
                          struct journal_entry **entries, int entry_count, struct err *err)
{
    struct api_call *call = decision->call;
    int r = 0;

    if (decision->ends_calls)
        r = db_do_planned(call->db, &SQL_decision_lock, args_of_open(decision, cases, count), err);
    if (r == 0 && decision->type == EVENT_RETRIED)
        r = db_do_planned(call->db, &SQL_decision_lock_tasks, args_of_open(decision, cases, count), err);
    if (r == 0)
        r = journal_append(call->db, entries, entry_count, publisher_source(call->api->publisher), call->arena, err);
    if (r == 0 && decision->reason)
        r = write_reasons(decision, cases, count, err);
    if (r == 0 && decision->ends_calls)
        r = end_calls(decision, cases, count, err);
    return r;
}

/* Writes what was planned, as one transaction. -ERR_STALE: none was written, look again. */
static int batch_write(const struct decision *decision, struct decision_case *cases, int count, struct err *err)
{
    struct journal_entry *entries[DECISION_BATCH_MAX];
    int entry_count = entries_of(cases, count, entries);
    struct api_call *call = decision->call;
    int r;

    if (!entry_count)
        return 0;
    r = db_begin(call->db, err);
    if (r < 0)
        return r;
    r = batch_transact(decision, cases, count, entries, entry_count, err);
    if (r < 0)
        db_rollback(call->db);
    else
        r = db_commit(call->db, err);
    if (r < 0)
        return r;
    publish_entries(call->api->publisher, entries, entry_count);
    for (int i = 0; i < count; i++)
        if (has_won(&cases[i]))
            cases[i].fate = DECISION_DONE;
    return 0;
}

static bool any_open(const struct decision_case *cases, int count)
{
    for (int i = 0; i < count; i++)
        if (cases[i].fate == DECISION_OPEN)
            return true;
    return false;
}

int decision_make(const struct decision *decision, const char *const *ids, int count, struct decision_case *cases,
                  struct err *err)
{
    for (int i = 0; i < count; i++)
        cases[i] = (struct decision_case){ .id = ids[i] };
    for (int look = 0; look < LOOKS_MAX && any_open(cases, count); look++) {
        int r = batch_plan(decision, cases, count, err);

        if (r == 0)
            r = batch_write(decision, cases, count, err);
        if (r < 0 && r != -ERR_STALE)
            return r;
    }
    for (int i = 0; i < count; i++)
        if (cases[i].fate == DECISION_OPEN)
            cases[i].fate = DECISION_LOST;
    return 0;
}

int decision_make_all(const struct decision *decision, const char *const *ids, int count, decision_told *told,
                      void *context, struct err *err)
{
    struct decision_case cases[DECISION_BATCH_MAX];
    int r = 0;

    for (int first = 0; r == 0 && first < count; first += DECISION_BATCH_MAX) {
        int some = count - first < DECISION_BATCH_MAX ? count - first : DECISION_BATCH_MAX;

        r = decision_make(decision, ids + first, some, cases, err);
        if (r == 0)
            r = told(decision, cases, some, context, err);
    }
    return r;
}

int decision_answer_bulk(const struct decision *decision, decision_told *told, struct err *err)
{
    _cleanup_(json_object_putp) json_object *bulk = api_bulk();
    struct selection selection;
    int r = selection_read(decision->call, &selection, err);

    if (r == 0)
        r = decision_make_all(decision, selection.ids, selection.count, told, bulk, err);
    return r < 0 ? r : api_answer(decision->call, 200, TAKE(bulk));
}

void decision_failed(json_object *bulk, const char *message, const char *id)
{
    json_object *data = json_object_new_object();

    json_object_object_add(data, "privacy_request_id", api_json_text(id));
    api_bulk_failed(bulk, message, data);
}

int decision_make_one(const struct decision *decision, const char *id, struct decision_case *ret, struct err *err)
{
    int r = decision_make(decision, &id, 1, ret, err);

    if (r < 0)
        return r;
    if (ret->fate == DECISION_UNKNOWN)
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with id '%s'.", id);
    if (ret->fate == DECISION_DELETED)
        return err_set(err, ERR_INVALID, "Privacy request with id %s has been deleted.", id);
    if (ret->fate == DECISION_LOST)
        return err_cause(err, ERR_UNAVAILABLE, "others were faster with a request every time");
    return 0;
}
