#include "api/redelivery.h"

#include <stdlib.h>
#include <string.h>

#include "api/redelivery.sql.h"
#include "common/journal.h"

/* How often a transaction that lost to another (a deadlock) is tried. */
enum { TRIES_MAX = 6 };

/* The columns of SQL_redelivery_rows. */
enum {
    REQUEST, ID, KIND, WEBHOOK_ID, STATE, SEQ, STATUS, DELETED, FORGOTTEN, WEBHOOK_KEY, ENDPOINT_KEY, DISABLED,
    PAUSED,
};

/* --- whether ------------------------------------------------------------------------------------------- */

static bool is_waiting(const PGresult *rows, int row)
{
    return !strcmp(db_get_text(rows, row, STATE), "waiting");
}

static bool is_deleted(const PGresult *rows, int row)
{
    return db_get_bool(rows, row, DELETED);
}

static bool is_canceled(const PGresult *rows, int row)
{
    return lifecycle_parse(db_get_text(rows, row, STATUS)) == PR_CANCELED;
}

static bool is_forgotten(const PGresult *rows, int row)
{
    return db_get_bool(rows, row, FORGOTTEN);
}

static bool is_without_webhook(const PGresult *rows, int row)
{
    return db_is_null(rows, row, WEBHOOK_KEY);
}

static bool is_without_endpoint(const PGresult *rows, int row)
{
    return db_is_null(rows, row, ENDPOINT_KEY);
}

static bool is_disabled(const PGresult *rows, int row)
{
    return db_get_bool(rows, row, DISABLED);
}

static bool is_paused(const PGresult *rows, int row)
{
    return db_get_bool(rows, row, PAUSED);
}

/* In this order: the first that is so is told, with the text of `column` (-1: none) in its words. */
static const struct {
    bool (*is_so)(const PGresult *rows, int row);
    const char *before;
    int column;
    const char *after;
} refusals[] = {
    { is_waiting, "Delivery '", ID, "' is waiting already: it is called when it is due" },
    { is_deleted, "Privacy request '", REQUEST, "' was deleted" },
    { is_canceled, "Privacy request '", REQUEST, "' was canceled" },
    { is_forgotten, "Privacy request '", REQUEST, "' was forgotten: there is nothing left to send" },
    { is_without_webhook, "Its webhook was deleted", -1, "" },
    { is_without_endpoint, "Its webhook's connection was deleted", -1, "" },
    { is_disabled, "Connection '", ENDPOINT_KEY, "' is disabled" },
    { is_paused, "Endpoint '", ENDPOINT_KEY, "' is paused" },
};

static const char *refusal_of(struct api_call *call, const PGresult *rows, int row)
{
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (refusals[i].is_so(rows, row))
            return arena_printf(call->arena, "%s%s%s.", refusals[i].before,
                                refusals[i].column < 0 ? "" : db_get_text(rows, row, refusals[i].column),
                                refusals[i].after);
    return NULL;
}

/* --- one transaction ----------------------------------------------------------------------------------- */

/* What goes: sorted by request, maybe several of one. */
struct batch {
    struct journal_entry entries[REDELIVERY_MAX];
    const char *ids[REDELIVERY_MAX];
    int count;
    struct {
        int first, count;
    } rounds[REDELIVERY_MAX]; /* of `sent`, one append each: no request twice */
    int round_count;
    struct journal_entry *sent[REDELIVERY_MAX];
};

static struct db_args *ids_args(struct api_call *call, const struct redelivery *each, int count)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *requests = db_array(args, DB_TEXT), *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++) {
        db_add_text(requests, each[i].request_id);
        db_add_text(ids, each[i].id);
    }
    return args;
}

/* Planned as it runs: a plan that was made while a table was small would read the whole of a large one. */
static int run_planned(struct api_call *call, const struct sql *sql, struct db_args *args, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *ignored = NULL;

    return db_run_planned(call->db, sql, args, &ignored, err);
}

static struct redelivery *find(struct redelivery *each, int count, const PGresult *rows, int row)
{
    const char *request_id = db_get_text(rows, row, REQUEST), *id = db_get_text(rows, row, ID);

    for (int i = 0; i < count; i++)
        if (!strcmp(each[i].request_id, request_id) && !strcmp(each[i].id, id))
            return &each[i];
    return NULL;
}

static void batch_add(struct api_call *call, struct batch *batch, const struct redelivery *redelivery,
                      const PGresult *rows, int row)
{
    struct event_webhook webhook = {
        .webhook_id = db_dup_text(rows, row, WEBHOOK_ID, call->arena),
        .webhook_key = db_dup_text(rows, row, WEBHOOK_KEY, call->arena),
        .delivery_id = redelivery->id,
        .kind = db_dup_text(rows, row, KIND, call->arena),
    };

    batch->ids[batch->count] = redelivery->id;
    batch->entries[batch->count++] = (struct journal_entry){
        .request_id = redelivery->request_id,
        .expected = db_get_int(rows, row, SEQ),
        .status = PR_NONE,
        .actor = call->user_id,
        .type = EVENT_WEBHOOK_REDELIVERED,
        .time = usec_now(),
        .traceparent = event_trace_child(call->arena, http_header(call->http, "traceparent")),
        .payload = event_webhook(call->arena, redelivery->request_id, &webhook, NULL),
    };
}

static int batch_plan(struct api_call *call, struct redelivery *each, int count, struct batch *batch, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(call->db, &SQL_redelivery_rows, ids_args(call, each, count), &rows, err);

    if (r < 0)
        return r;
    for (int row = 0; row < PQntuples(rows); row++) {
        struct redelivery *redelivery = find(each, count, rows, row);

        if (!redelivery)
            continue;
        redelivery->found = true;
        redelivery->refused = refusal_of(call, rows, row);
        if (!redelivery->refused)
            batch_add(call, batch, redelivery, rows, row);
    }
    return 0;
}

/* The next round: of each request the first that was not sent yet, a number further for each that was. */
static int batch_round(struct batch *batch)
{
    const char *last = "";
    int first = batch->round_count ? batch->rounds[batch->round_count - 1].first +
                                         batch->rounds[batch->round_count - 1].count
                                   : 0;
    int count = 0, skipped = 0;

    for (int i = 0; i < batch->count; i++) {
        struct journal_entry *entry = &batch->entries[i];

        skipped = strcmp(entry->request_id, last) ? 0 : skipped + 1;
        last = entry->request_id;
        if (skipped != batch->round_count)
            continue;
        entry->expected += skipped;
        batch->sent[first + count++] = entry;
    }
    if (!count)
        return 0;
    batch->rounds[batch->round_count].first = first;
    batch->rounds[batch->round_count++].count = count;
    return count;
}

/* The requests are locked: what does not win is a defect. */
static int batch_append(struct api_call *call, struct batch *batch, struct err *err)
{
    const char *source = publisher_source(call->api->publisher);
    int count, first = 0;

    while ((count = batch_round(batch))) {
        int r = journal_append(call->db, batch->sent + first, count, source, call->arena, err);

        if (r < 0)
            return r;
        for (int i = 0; i < count; i++)
            if (!batch->sent[first + i]->seq)
                return err_cause(err, ERR_INTERNAL, "a locked request has moved");
        first += count;
    }
    return 0;
}

static int batch_settle(struct api_call *call, const struct batch *batch, struct err *err)
{
    struct db_column *requests, *ids;
    struct db_args *args;

    if (!batch->count)
        return 0;
    args = db_args_new(call->arena);
    requests = db_array(args, DB_TEXT);
    ids = db_array(args, DB_TEXT);
    for (int i = 0; i < batch->count; i++) {
        db_add_text(requests, batch->entries[i].request_id);
        db_add_text(ids, batch->ids[i]);
    }
    db_time(args, usec_now());
    return run_planned(call, &SQL_redelivery_settle, args, err);
}

static int batch_transact(struct api_call *call, struct redelivery *each, int count, struct batch *batch,
                          struct err *err)
{
    int r = db_do(call->db, &SQL_redelivery_catalog, NULL, err);

    if (r == 0)
        r = run_planned(call, &SQL_redelivery_lock, ids_args(call, each, count), err);
    if (r == 0)
        r = batch_plan(call, each, count, batch, err);
    if (r == 0)
        r = batch_append(call, batch, err);
    if (r == 0)
        r = batch_settle(call, batch, err);
    return r;
}

/* An outbox row's events are published together, and each round has one. */
static void batch_publish(struct api_call *call, struct batch *batch)
{
    for (int i = 0; i < batch->round_count; i++)
        publish_entries(call->api->publisher, batch->sent + batch->rounds[i].first, batch->rounds[i].count);
}

static int batch_try(struct api_call *call, struct redelivery *each, int count, struct err *err)
{
    struct batch *batch = arena_new_of(call->arena, struct batch);
    int r = db_begin(call->db, err);

    if (r < 0)
        return r;
    r = batch_transact(call, each, count, batch, err);
    if (r < 0)
        db_rollback(call->db);
    else
        r = db_commit(call->db, err);
    if (r == 0)
        batch_publish(call, batch);
    return r;
}

int redelivery_run(struct api_call *call, struct redelivery *each, int count, struct err *err)
{
    int r = 0;

    for (int try = 0; try < TRIES_MAX; try++) {
        for (int i = 0; i < count; i++)
            each[i].found = false;
        r = count ? batch_try(call, each, count, err) : 0;
        if (r != -ERR_STALE)
            return r;
    }
    return r;
}
