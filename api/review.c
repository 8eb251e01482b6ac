/*
 * review - people and their programs approve, deny and cancel requests, many at once (rest.md 10, lifecycle.md 5.2).
 *
 * Each request is decided by what it is when its decision is written: it is read, the lifecycle is asked, and the
 * append names the sequence number that was read. What was faster makes it look again.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/request.h"
#include "api/review.sql.h"
#include "api/search.h"
#include "common/buf.h"
#include "common/journal.h"

/* Requests of one transaction; looks at what others are faster with; what filters may match; a reason's length. */
enum { BATCH_MAX = 100, LOOKS_MAX = 6, FILTER_MAX = 10000, REASON_CHARS = 32000, REASON_BYTES = REASON_CHARS * 6 };

/* --- what a caller may send ---------------------------------------------------------------------------- */

static const struct schema id_schema = { .type = SCHEMA_STRING, .max = 256 };
static const struct schema ids_schema = { .type = SCHEMA_LIST, .item = &id_schema };

static const struct schema_field selection_fields[] = {
    { "request_ids", .nullable = true, .schema = { .type = SCHEMA_LIST, .item = &id_schema } },
    { "filters", .nullable = true, .schema = { .type = SCHEMA_ANY } }, /* search_schema, see check_selection() */
    { "exclude_ids", .nullable = true, .schema = { .type = SCHEMA_LIST, .item = &id_schema } },
    { "reason", .nullable = true, .schema = { .type = SCHEMA_STRING, .max = REASON_CHARS } },
    { 0 },
};
static const struct schema selection_schema = { .type = SCHEMA_OBJECT, .fields = selection_fields };

/* What makes a selection none, NULL when it is one. */
static const char *selection_problem(json_object *ids, json_object *filters, json_object *exclude)
{
    if (!ids && !filters)
        return "Value error, Either 'request_ids' or 'filters' must be provided";
    if (ids && filters)
        return "Value error, Provide either 'request_ids' or 'filters', not both";
    if (exclude && !filters)
        return "Value error, 'exclude_ids' can only be used with 'filters'";
    if (ids && !json_object_array_length(ids))
        return "Value error, 'request_ids' must not be empty";
    return NULL;
}

static void check_object(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    const struct schema_loc inner = { .parent = loc, .name = "filters" };
    json_object *filters;
    const char *problem;

    if (!schema_check(&selection_schema, value, loc, errors))
        return;
    filters = schema_get(value, "filters");
    problem = selection_problem(schema_get(value, "request_ids"), filters, schema_get(value, "exclude_ids"));
    if (problem)
        schema_error(errors, loc, "value_error", "%s", problem);
    else if (filters)
        schema_check(&search_schema, filters, &inner, errors);
}

static void check_selection(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!json_object_is_type(value, json_type_array)) {
        check_object(value, loc, errors);
        return;
    }
    if (schema_check(&ids_schema, value, loc, errors) && !json_object_array_length(value))
        schema_error(errors, loc, "value_error", "%s", selection_problem(value, NULL, NULL));
}

static const struct schema review_schema = { .type = SCHEMA_ANY, .check = check_selection };

/* --- which requests ------------------------------------------------------------------------------------ */

struct ids {
    const char **ids;
    int count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct ids ids_read(struct arena *arena, json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    struct ids ids = { arena_array(arena, const char *, count + 1), (int)count };

    for (size_t i = 0; i < count; i++)
        ids.ids[i] = json_object_get_string(json_object_array_get_idx(list, i));
    return ids;
}

static bool ids_have(const struct ids *sorted, const char *id)
{
    return sorted->count && bsearch(&id, sorted->ids, (size_t)sorted->count, sizeof(id), by_text);
}

/* Each id once, where it came first. */
static void ids_unique(struct arena *arena, struct ids *ids)
{
    const char **sorted = arena_memdup(arena, ids->ids, (size_t)ids->count * sizeof(*sorted));
    bool *seen = arena_array(arena, bool, (size_t)ids->count);
    int kept = 0;

    qsort(sorted, (size_t)ids->count, sizeof(*sorted), by_text);
    for (int i = 0; i < ids->count; i++) {
        const char **place = bsearch(&ids->ids[i], sorted, (size_t)ids->count, sizeof(*sorted), by_text);

        while (place > sorted && !strcmp(place[-1], *place))
            place--;
        if (!seen[place - sorted])
            ids->ids[kept++] = ids->ids[i];
        seen[place - sorted] = true;
    }
    ids->count = kept;
}

static int ids_by_filter(struct api_call *call, struct ids *ret, struct err *err)
{
    struct ids exclude = ids_read(call->arena, schema_get(call->body, "exclude_ids"));
    const struct search *search;
    struct search_found found;
    int r = search_parse(call, schema_get(call->body, "filters"), &search, err);

    if (r < 0)
        return r;
    r = search_ids(call, search, 0, FILTER_MAX, &found, err);
    if (r < 0)
        return r;
    if (found.total > FILTER_MAX)
        return err_set(err, ERR_BAD_REQUEST,
                       "The filters match %lld privacy requests. A maximum of %d is permitted. Please narrow them and "
                       "try again.",
                       found.total, FILTER_MAX);
    qsort(exclude.ids, (size_t)exclude.count, sizeof(*exclude.ids), by_text);
    *ret = (struct ids){ arena_array(call->arena, const char *, (size_t)found.count + 1), 0 };
    for (int i = 0; i < found.count; i++)
        if (!ids_have(&exclude, found.ids[i]))
            ret->ids[ret->count++] = found.ids[i];
    return 0;
}

static int ids_select(struct api_call *call, struct ids *ret, struct err *err)
{
    bool is_list = json_object_is_type(call->body, json_type_array);

    if (!is_list && schema_get(call->body, "filters"))
        return ids_by_filter(call, ret, err);
    *ret = ids_read(call->arena, is_list ? call->body : schema_get(call->body, "request_ids"));
    ids_unique(call->arena, ret);
    return 0;
}

/* --- deciding ------------------------------------------------------------------------------------------ */

struct verdict {
    enum pr_on on;
    enum event_type type;
    const char *refused; /* where the lifecycle knows no such step */
    bool names_status;   /* `refused` is followed by the status */
    const char *lost;    /* when others were faster every time */
};

static const struct verdict approval = {
    ON_APPROVE, EVENT_APPROVED, "Cannot transition status", false, "Privacy request could not be updated",
};
static const struct verdict denial = {
    ON_DENY, EVENT_DENIED, "Cannot transition status", false, "Privacy request could not be updated",
};
static const struct verdict cancellation = {
    ON_CANCEL, EVENT_CANCELED, "Cannot cancel privacy request in", true, "Privacy request could not be canceled",
};

/* One of the requests of a call. */
struct candidate {
    const char *id;
    bool open;           /* no answer to it yet */
    const char *problem; /* NULL when it was decided */
    struct journal_entry entry;
    struct bytes reason; /* sealed */
};

struct review {
    struct api_call *call;
    const struct verdict *verdict;
    const char *reason; /* escaped; NULL: none */
};

/* As Python's html.escape(): it is shown in web pages of others. */
static const char *html_escape(struct arena *arena, const char *text)
{
    static const char *const escapes[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#x27;",
    };
    _cleanup_(buf_free) struct buf out = BUF_INIT(REASON_BYTES);

    for (; *text; text++) {
        const char *escape = escapes[(unsigned char)*text];

        if (escape)
            buf_adds(&out, escape);
        else
            buf_addc(&out, *text);
    }
    return arena_strndup(arena, out.length ? out.data : "", out.length);
}

static const char *verdict_payload(const struct review *review, const char *id, enum pr_status status)
{
    const char *user_id = review->call->user_id, *by = user_id ? "user" : "client";

    if (review->verdict->type == EVENT_APPROVED)
        return event_approved(review->call->arena, id, by, user_id, NULL);
    return event_reviewed(review->call->arena, id, status, by, user_id);
}

static int candidate_seal(const struct review *review, struct candidate *candidate, const PGresult *rows, int row,
                          struct err *err)
{
    struct api_call *call = review->call;
    struct bytes wrapped;
    struct seal_key key;
    int r;

    if (!review->reason || db_is_null(rows, row, 4))
        return 0; /* a request that was forgotten keeps no words of its own */
    wrapped.data = db_get_bytes(rows, row, 5, &wrapped.length);
    r = seal_key_unwrap(call->api->ring, db_get_text(rows, row, 4), wrapped, candidate->id, &key, err);
    if (r < 0)
        return r;
    candidate->reason = seal_close(&key, "reason", candidate->id,
                                   (struct bytes){ review->reason, strlen(review->reason) }, call->arena);
    return 0;
}

static const char *refusal(const struct review *review, enum pr_status status)
{
    const struct verdict *verdict = review->verdict;

    if (!verdict->names_status)
        return verdict->refused;
    return arena_printf(review->call->arena, "%s %s status", verdict->refused, lifecycle_word(status));
}

/* Decides by a row of SQL_review_rows. */
static int candidate_plan(const struct review *review, struct candidate *candidate, const PGresult *rows, int row,
                          struct err *err)
{
    enum pr_status from = lifecycle_parse(db_get_text(rows, row, 2)), to;
    struct api_call *call = review->call;

    candidate->open = false;
    candidate->problem = "Cannot transition status for a deleted request";
    if (db_get_bool(rows, row, 3))
        return 0;
    candidate->problem = refusal(review, from);
    if (!lifecycle_next(from, review->verdict->on, &to))
        return 0;
    candidate->open = true;
    candidate->problem = review->verdict->lost;
    candidate->entry = (struct journal_entry){
        .request_id = candidate->id,
        .expected = db_get_int(rows, row, 1),
        .status = to,
        .actor = call->user_id,
        .type = review->verdict->type,
        .time = usec_now(),
        .traceparent = event_trace_child(call->arena, http_header(call->http, "traceparent")),
        .payload = verdict_payload(review, candidate->id, to),
    };
    return candidate_seal(review, candidate, rows, row, err);
}

static struct db_args *args_of_open(const struct review *review, const struct candidate *candidates, int count)
{
    struct db_args *args = db_args_new(review->call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        if (candidates[i].open)
            db_add_text(ids, candidates[i].id);
    return args;
}

/* Planned as it runs: a plan that was made while a table was small would read the whole of a large one. */
static int run_planned(struct api_call *call, const struct sql *sql, struct db_args *args, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *ignored = NULL;

    return db_run_planned(call->db, sql, args, &ignored, err);
}

static int find_row(const PGresult *rows, const char *id)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), id))
            return row;
    return -1;
}

/* Reads the open ones and says of each what is to become of it: after this the open ones have an entry. */
static int batch_plan(const struct review *review, struct candidate *candidates, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(review->call->db, &SQL_review_rows, args_of_open(review, candidates, count), &rows, err);

    for (int i = 0; r == 0 && i < count; i++) {
        int row = candidates[i].open ? find_row(rows, candidates[i].id) : -1;

        if (row >= 0)
            r = candidate_plan(review, &candidates[i], rows, row, err);
        else if (candidates[i].open) {
            candidates[i].open = false;
            candidates[i].problem =
                arena_printf(review->call->arena, "No privacy request found with id '%s'", candidates[i].id);
        }
    }
    return r;
}

/* Those that won no longer are open. */
static int batch_settle(const struct review *review, struct candidate *candidates, int count, struct err *err)
{
    struct db_args *args = db_args_new(review->call->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *reasons = db_array(args, DB_BYTES);

    for (int i = 0; i < count; i++) {
        if (!candidates[i].open || !candidates[i].entry.seq)
            continue;
        db_add_text(ids, candidates[i].id);
        db_add_bytes(reasons, candidates[i].reason.data, candidates[i].reason.length);
    }
    db_time(args, review->call->now);
    return run_planned(review->call, &SQL_review_settle, args, err);
}

static int entries_of(struct candidate *candidates, int count, struct journal_entry **entries)
{
    int found = 0;

    for (int i = 0; i < count; i++)
        if (candidates[i].open)
            entries[found++] = &candidates[i].entry;
    journal_sort(entries, found);
    return found;
}

static int batch_transact(const struct review *review, struct candidate *candidates, int count,
                          struct journal_entry **entries, int entry_count, struct err *err)
{
    struct api_call *call = review->call;
    int r = run_planned(call, &SQL_review_lock, args_of_open(review, candidates, count), err);

    if (r == 0)
        r = journal_append(call->db, entries, entry_count, publisher_source(call->api->publisher), call->arena, err);
    if (r == 0)
        r = batch_settle(review, candidates, count, err);
    return r;
}

/* Writes what was planned, as one transaction. -ERR_STALE: none was written, look again. */
static int batch_write(const struct review *review, struct candidate *candidates, int count, struct err *err)
{
    struct journal_entry *entries[BATCH_MAX];
    int entry_count = entries_of(candidates, count, entries);
    struct api_call *call = review->call;
    int r;

    if (!entry_count)
        return 0;
    r = db_begin(call->db, err);
    if (r < 0)
        return r;
    r = batch_transact(review, candidates, count, entries, entry_count, err);
    if (r < 0)
        db_rollback(call->db);
    else
        r = db_commit(call->db, err);
    if (r < 0)
        return r;
    publish_entries(call->api->publisher, entries, entry_count);
    for (int i = 0; i < count; i++) {
        if (!candidates[i].open || !candidates[i].entry.seq)
            continue;
        candidates[i].open = false;
        candidates[i].problem = NULL;
    }
    return 0;
}

static bool any_open(const struct candidate *candidates, int count)
{
    for (int i = 0; i < count; i++)
        if (candidates[i].open)
            return true;
    return false;
}

static int batch_decide(const struct review *review, struct candidate *candidates, int count, struct err *err)
{
    for (int look = 0; look < LOOKS_MAX && any_open(candidates, count); look++) {
        int r = batch_plan(review, candidates, count, err);

        if (r == 0)
            r = batch_write(review, candidates, count, err);
        if (r < 0 && r != -ERR_STALE)
            return r;
    }
    return 0;
}

/* --- the answer ---------------------------------------------------------------------------------------- */

/* The object of request `id`, which is the next one of the list or not in it. */
static json_object *next_object(json_object *objects, size_t *at, const char *id)
{
    json_object *object = json_object_array_get_idx(objects, *at);

    if (object && !strcmp(schema_text(object, "id"), id)) {
        ++*at;
        return json_object_get(object);
    }
    object = json_object_new_object();
    json_object_object_add(object, "privacy_request_id", api_json_text(id));
    return object;
}

/* Adds the batch's requests as they are now, each to where it belongs. */
static int batch_tell(const struct review *review, const struct candidate *candidates, int count, json_object *bulk,
                      struct err *err)
{
    _cleanup_(json_object_putp) json_object *objects = NULL;
    const char *ids[BATCH_MAX];
    size_t at = 0;
    int r;

    for (int i = 0; i < count; i++)
        ids[i] = candidates[i].id;
    r = search_objects(review->call, NULL, ids, count, &objects, err);
    if (r < 0)
        return r;
    for (int i = 0; i < count; i++) {
        json_object *object = next_object(objects, &at, candidates[i].id);

        if (candidates[i].problem)
            api_bulk_failed(bulk, candidates[i].problem, object);
        else
            api_bulk_succeeded(bulk, object);
    }
    return 0;
}

/* What was decided stays decided when a later batch fails: who asks again is told which those are. */
static int review_run(const struct review *review, const struct ids *ids, json_object *bulk, struct err *err)
{
    struct candidate candidates[BATCH_MAX];
    int r = 0;

    for (int first = 0; r == 0 && first < ids->count; first += BATCH_MAX) {
        int count = ids->count - first < BATCH_MAX ? ids->count - first : BATCH_MAX;

        for (int i = 0; i < count; i++)
            candidates[i] = (struct candidate){ .id = ids->ids[first + i], .open = true };
        r = batch_decide(review, candidates, count, err);
        if (r == 0)
            r = batch_tell(review, candidates, count, bulk, err);
    }
    return r;
}

static int review_handle(struct api_call *call, const struct verdict *verdict, struct err *err)
{
    _cleanup_(json_object_putp) json_object *bulk = api_bulk();
    struct review review = { .call = call, .verdict = verdict };
    const char *reason = json_object_is_type(call->body, json_type_object) ? schema_text(call->body, "reason") : NULL;
    struct ids ids;
    int r = ids_select(call, &ids, err);

    if (r < 0)
        return r;
    if (reason && verdict != &approval)
        review.reason = html_escape(call->arena, reason);
    r = review_run(&review, &ids, bulk, err);
    if (r < 0)
        return r;
    return api_answer(call, 200, TAKE(bulk));
}

static int review_approve(struct api_call *call, struct err *err)
{
    return review_handle(call, &approval, err);
}

static int review_deny(struct api_call *call, struct err *err)
{
    return review_handle(call, &denial, err);
}

static int review_cancel(struct api_call *call, struct err *err)
{
    return review_handle(call, &cancellation, err);
}

const struct api_route review_routes[] = {
    { "PATCH", "/privacy-request/administrate/approve", "privacy-request:review", &review_schema,
      .handler = review_approve },
    { "PATCH", "/privacy-request/administrate/deny", "privacy-request:review", &review_schema,
      .handler = review_deny },
    { "PATCH", "/privacy-request/administrate/cancel", "privacy-request:review", &review_schema,
      .handler = review_cancel },
    { 0 },
};
