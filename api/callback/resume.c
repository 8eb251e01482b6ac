#include "api/callback/resume.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/callback/arrival.h"
#include "api/callback/halt.h"
#include "api/callback/resume.sql.h"
#include "api/view.h"
#include "common/db.h"
#include "common/identity.h"
#include "common/journal.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/schema.h"

/* Requests of one transaction; looks at what others are faster with; calls that wait for the thread. */
enum { BATCH_MAX = 128, LOOKS_MAX = 6, QUEUE_MAX = 2048 };

/* How long PostgreSQL has to answer, and how long one that did not is left alone. A call under way is answered within
 * the time that docket-callback gives itself to end. */
#define PATIENCE (4 * USEC_PER_S)
#define AWAY_FOR (1 * USEC_PER_S)

/* One call on its way. Lives in the call's arena, and dies with its answer. */
struct resume {
    struct resume_queue *queue;
    struct http_call *http;
    struct halt_case of;
    const char *traceparent;
    const char *derived, *derived_names; /* JSON object of identity fields, their names with commas; NULL: none */
    /* As it was looked up last: */
    int64_t seq;
    const char *webhook_key, *delivery_id, *key_id;
    struct bytes wrapped_key;
    enum halt_ruling ruling;
    bool chosen; /* to be written in this round: the first of its request */
    struct journal_entry entry;
    struct bytes sealed;
    const char *answer;
    struct resume *next;
};

struct resume_queue {
    struct resume_parts parts;
    pthread_t thread;
    /* Under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct resume *first, **last;
    int waiting;
    bool stopping;
    /* The thread's: */
    struct arena *arena; /* of a turn */
    struct db *db;
    usec_t away_until; /* monotonic */
    bool away;
};

/* --- answers ------------------------------------------------------------------------------------------- */

static void count_answer(const char *answer)
{
    metric_add(METRIC_REPLIES, METRIC_LABELS("resume", answer), 1);
}

static void answer_done(struct resume *resume)
{
    static const char *const words[] = { [HALT_RESUME] = "resumed", [HALT_KEEP] = "kept", [HALT_KNOWN] = "known" };

    count_answer(words[resume->ruling]);
    http_answer_json(resume->http, 200, resume->answer);
}

/* What is behind it is told once, by who found it. */
static void answer_err(struct resume *resume, const struct err *err)
{
    struct err told = *err;

    *told.cause = '\0';
    count_answer(err_word(err->code));
    http_answer_err(resume->http, &told);
}

static void refuse_all(struct resume *const *resumes, int count, const struct err *err)
{
    for (int i = 0; i < count; i++)
        answer_err(resumes[i], err);
}

/* --- what is known ------------------------------------------------------------------------------------- */

static void facts_read(const PGresult *rows, int row, struct resume *resume)
{
    struct arena *arena = resume->http->arena;
    struct halt_case *of = &resume->of;
    struct bytes wrapped;

    of->webhook_exists = db_get_bool(rows, row, 0);
    of->request_exists = db_get_bool(rows, row, 1);
    of->deleted = db_get_bool(rows, row, 2);
    of->status = lifecycle_parse(db_get_text(rows, row, 3));
    of->paused_webhook_id = db_dup_text(rows, row, 4, arena);
    of->called = db_get_bool(rows, row, 5);
    of->current = db_get_bool(rows, row, 6);
    of->open = db_get_bool(rows, row, 7);
    of->passed = db_get_bool(rows, row, 8);
    of->halted = db_get_bool(rows, row, 9);
    of->resumed = db_get_bool(rows, row, 10);
    resume->seq = db_get_int(rows, row, 11);
    resume->webhook_key = db_dup_text(rows, row, 12, arena);
    resume->delivery_id = db_dup_text(rows, row, 13, arena);
    resume->key_id = db_dup_text(rows, row, 14, arena);
    wrapped.data = db_get_bytes(rows, row, 15, &wrapped.length);
    if (wrapped.data)
        resume->wrapped_key = (struct bytes){ arena_memdup(arena, wrapped.data, wrapped.length), wrapped.length };
}

static int look_up(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(queue->arena);
    struct db_column *requests = db_array(args, DB_TEXT), *webhooks = db_array(args, DB_TEXT);
    int r;

    for (int i = 0; i < count; i++) {
        db_add_text(requests, resumes[i]->of.request_id);
        db_add_text(webhooks, resumes[i]->of.webhook_id);
    }
    r = db_run(queue->db, &SQL_resume_facts, args, &rows, err);
    for (int i = 0; r == 0 && i < count; i++)
        facts_read(rows, i, resumes[i]);
    return r;
}

/* --- planning ------------------------------------------------------------------------------------------ */

/* A request whose key was forgotten keeps nothing about anybody. */
static int seal_derived(struct resume *resume, struct err *err)
{
    struct seal_key key;
    int r;

    if (!resume->derived || !resume->key_id)
        return 0;
    r = seal_key_unwrap(resume->queue->parts.ring, resume->key_id, resume->wrapped_key, resume->of.request_id, &key,
                        err);
    if (r == 0)
        resume->sealed = seal_close(&key, "derived", resume->delivery_id,
                                    (struct bytes){ resume->derived, strlen(resume->derived) }, resume->http->arena);
    return r;
}

static void entry_make(struct resume *resume)
{
    const struct event_webhook webhook = {
        .webhook_id = resume->of.webhook_id,
        .webhook_key = resume->webhook_key,
        .delivery_id = resume->delivery_id,
        .kind = "pre",
    };
    bool goes_on = resume->ruling == HALT_RESUME;
    enum pr_status to = PR_NONE;

    if (goes_on)
        lifecycle_next(resume->of.status, ON_RESUME, &to);
    resume->entry = (struct journal_entry){
        .request_id = resume->of.request_id,
        .expected = resume->seq,
        .status = to,
        .type = goes_on ? EVENT_RESUMED : EVENT_RESUME_KEPT,
        .time = usec_now(),
        .traceparent = event_trace_child(resume->http->arena, resume->traceparent),
        .payload = event_resumed(resume->http->arena, resume->of.request_id, to, goes_on ? "webhook" : NULL, &webhook,
                                 resume->derived_names),
    };
}

static int plan(struct resume *resume, struct err *err)
{
    int r = halt_admit(&resume->of, err);

    resume->chosen = false;
    resume->answer = NULL;
    if (r == 0)
        r = halt_judge(&resume->of, &resume->ruling, err);
    if (r < 0 || resume->ruling == HALT_KNOWN)
        return r;
    entry_make(resume);
    return seal_derived(resume, err);
}

/* Answers those that are refused; returns how many are left, moved to the front. */
static int plan_all(struct resume **resumes, int count)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        struct err err;

        if (plan(resumes[i], &err) == 0) {
            resumes[left++] = resumes[i];
            continue;
        }
        if (err.code == ERR_INTERNAL)
            log_err("resume.failed", &err, log_id("request", resumes[i]->of.request_id));
        answer_err(resumes[i], &err);
    }
    return left;
}

/* Of several for one request the first has its turn; the others look again at what it made of it. */
static int choose(struct resume *const *resumes, int count, struct journal_entry **entries)
{
    int chosen = 0;

    for (int i = 0; i < count; i++) {
        bool is_first = resumes[i]->ruling != HALT_KNOWN;

        for (int j = 0; is_first && j < i; j++)
            is_first = !resumes[j]->chosen || strcmp(resumes[j]->of.request_id, resumes[i]->of.request_id) != 0;
        resumes[i]->chosen = is_first;
        if (is_first)
            entries[chosen++] = &resumes[i]->entry;
    }
    journal_sort(entries, chosen);
    return chosen;
}

/* --- writing ------------------------------------------------------------------------------------------- */

static bool is_done(const struct resume *resume)
{
    return resume->ruling == HALT_KNOWN || (resume->chosen && resume->entry.seq);
}

static int lock_calls(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    struct db_args *args = db_args_new(queue->arena);
    struct db_column *requests = db_array(args, DB_TEXT), *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++) {
        if (!resumes[i]->chosen)
            continue;
        db_add_text(requests, resumes[i]->of.request_id);
        db_add_text(ids, resumes[i]->delivery_id);
    }
    return db_do_planned(queue->db, &SQL_resume_lock, args, err);
}

/* Of those that won. */
static int settle(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    struct db_args *args = db_args_new(queue->arena);
    struct db_column *requests = db_array(args, DB_TEXT), *ids = db_array(args, DB_TEXT),
                     *sealed = db_array(args, DB_BYTES), *times = db_array(args, DB_TIME);

    for (int i = 0; i < count; i++) {
        if (!resumes[i]->chosen || !resumes[i]->entry.seq)
            continue;
        db_add_text(requests, resumes[i]->of.request_id);
        db_add_text(ids, resumes[i]->delivery_id);
        db_add_bytes(sealed, resumes[i]->sealed.data, resumes[i]->sealed.length);
        db_add_time(times, resumes[i]->entry.time);
    }
    return db_do_planned(queue->db, &SQL_resume_settle, args, err);
}

static const char *render(const PGresult *rows, int row, const char *policy_json, struct arena *arena)
{
    const struct catalog_policy policy = { .api_json = policy_json };
    struct request_view view = view_read(rows, row);
    _cleanup_(json_object_putp) json_object *object = NULL;

    view.policy = policy_json ? &policy : NULL;
    object = request_object(&view, usec_now());
    return arena_strdup(arena, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* The requests as their callers are answered, read in the transaction: later they may be further on. */
static int show(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL, *policies = NULL;
    const char **ids = arena_array(queue->arena, const char *, (size_t)count);
    struct db_args *args = db_args_new(queue->arena);
    struct db_column *column = db_array(args, DB_TEXT);
    int shown = 0, r;

    for (int i = 0; i < count; i++) {
        if (!is_done(resumes[i]))
            continue;
        ids[shown++] = resumes[i]->of.request_id;
        db_add_text(column, resumes[i]->of.request_id);
    }
    r = view_rows(queue->db, ids, shown, queue->arena, &rows, err);
    if (r == 0)
        r = db_run_planned(queue->db, &SQL_resume_policies, args, &policies, err);
    if (r == 0 && (PQntuples(rows) != shown || PQntuples(policies) != shown))
        r = err_set(err, ERR_STALE, "A request is gone.");
    for (int i = 0, row = 0; r == 0 && i < count; i++)
        if (is_done(resumes[i])) {
            resumes[i]->answer = render(rows, row, db_get_text(policies, row, 0), resumes[i]->http->arena);
            row++;
        }
    return r;
}

static int transact(struct resume_queue *queue, struct resume *const *resumes, int count,
                    struct journal_entry **entries, int entry_count, struct err *err)
{
    int r = 0;

    if (entry_count)
        r = lock_calls(queue, resumes, count, err);
    if (r == 0 && entry_count)
        r = journal_append(queue->db, entries, entry_count, publisher_source(queue->parts.publisher), queue->arena,
                           err);
    if (r == 0 && entry_count)
        r = settle(queue, resumes, count, err);
    return r == 0 ? show(queue, resumes, count, err) : r;
}

static int write_all(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    struct journal_entry *entries[BATCH_MAX];
    int entry_count = choose(resumes, count, entries), r = db_begin(queue->db, err);

    if (r < 0)
        return r;
    r = transact(queue, resumes, count, entries, entry_count, err);
    if (r < 0)
        db_rollback(queue->db);
    else
        r = db_commit(queue->db, err);
    if (r == 0)
        publish_entries(queue->parts.publisher, entries, entry_count);
    return r;
}

/* --- a turn -------------------------------------------------------------------------------------------- */

/* Answers what was done; returns how many are left, moved to the front. */
static int answer_all(struct resume **resumes, int count)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        if (is_done(resumes[i]))
            answer_done(resumes[i]);
        else
            resumes[left++] = resumes[i];
    }
    return left;
}

static void note_away(struct resume_queue *queue, const struct err *err)
{
    if (!queue->away)
        log_warn("resume.without", log_word("dependency", "postgresql"), log_word("cause", err->cause));
    queue->away = true;
    queue->away_until = usec_monotonic() + AWAY_FOR;
}

static void note_back(struct resume_queue *queue)
{
    if (queue->away)
        log_info("resume.with_again", log_word("dependency", "postgresql"));
    queue->away = false;
}

/* None of these was written. What the database can't do now, as it is away or its tables are not there yet, is worth
 * another try of the sender's. */
static void fail_all(struct resume_queue *queue, struct resume *const *resumes, int count, struct err *err)
{
    if (err->code == ERR_INTERNAL) {
        log_err("resume.failed", err);
        err_set(err, ERR_UNAVAILABLE, "Service Unavailable");
    } else if (err->code == ERR_UNAVAILABLE) {
        note_away(queue, err);
    }
    refuse_all(resumes, count, err);
}

/* Returns how many must be looked at again: somebody was faster with their requests. */
static int round_run(struct resume_queue *queue, struct resume **resumes, int count)
{
    struct err err;
    int r = look_up(queue, resumes, count, &err);

    if (r == 0)
        count = plan_all(resumes, count);
    if (r == 0 && count)
        r = write_all(queue, resumes, count, &err);
    if (r == -ERR_STALE)
        return count;
    if (r < 0) {
        fail_all(queue, resumes, count, &err);
        return 0;
    }
    note_back(queue);
    return answer_all(resumes, count);
}

static void turn(struct resume_queue *queue, struct resume **resumes, int count)
{
    struct err err;

    if (queue->away && usec_monotonic() < queue->away_until) {
        err_set(&err, ERR_UNAVAILABLE, "Service Unavailable");
        refuse_all(resumes, count, &err);
        return;
    }
    for (int look = 0; look < LOOKS_MAX && count; look++)
        count = round_run(queue, resumes, count);
    if (!count)
        return;
    log_warn("resume.overtaken", log_number("calls", count));
    err_set(&err, ERR_UNAVAILABLE, "Service Unavailable");
    refuse_all(resumes, count, &err);
}

/* --- the thread ---------------------------------------------------------------------------------------- */

static bool queue_push(struct resume_queue *queue, struct resume *resume)
{
    bool taken;

    pthread_mutex_lock(&queue->lock);
    taken = queue->waiting < QUEUE_MAX;
    if (taken) {
        *queue->last = resume;
        queue->last = &resume->next;
        queue->waiting++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

/* Waits; 0 at the end, when nothing is left. */
static int queue_take(struct resume_queue *queue, struct resume **ret)
{
    int count = 0;

    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->stopping)
        pthread_cond_wait(&queue->filled, &queue->lock);
    while (queue->first && count < BATCH_MAX) {
        ret[count++] = queue->first;
        queue->first = queue->first->next;
    }
    if (!queue->first)
        queue->last = &queue->first;
    queue->waiting -= count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

static void *queue_run(void *opaque)
{
    struct resume_queue *queue = opaque;
    struct resume *batch[BATCH_MAX];
    int count;

    while ((count = queue_take(queue, batch))) {
        turn(queue, batch, count);
        arena_clear(queue->arena);
    }
    return NULL;
}

static void queue_close(struct resume_queue *queue)
{
    db_free(queue->db);
    arena_free(queue->arena);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

int resume_queue_new(const struct resume_parts *parts, struct resume_queue **ret, struct err *err)
{
    struct resume_queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        abort();
    queue->parts = *parts;
    queue->last = &queue->first;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    queue->arena = arena_new();
    queue->db = db_new(parts->config->postgres_url, "docket resumes");
    db_set_patience(queue->db, PATIENCE);
    if (pthread_create(&queue->thread, NULL, queue_run, queue)) {
        queue_close(queue);
        return err_cause(err, ERR_INTERNAL, "no thread for resumes");
    }
    *ret = queue;
    return 0;
}

void resume_queue_free(struct resume_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    queue_close(queue);
}

/* --- taking one ---------------------------------------------------------------------------------------- */

static void check_derived(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    identity_check(value, loc, errors);
}

static const struct schema_field body_fields[] = {
    { "derived_identity", .nullable = true, .schema = { .type = SCHEMA_OBJECT, .check = check_derived } },
    { 0 },
};
static const struct schema body_schema = { .type = SCHEMA_OBJECT, .fields = body_fields };

static int token_check(struct resume *resume, struct err *err)
{
    const struct resume_parts *parts = &resume->queue->parts;
    struct token_reply token;
    int r = arrival_token(resume->http, parts->tokens, parts->config, TOKEN_SCOPE_RESUME, resume->of.request_id,
                          &token, err);

    if (r < 0)
        return r;
    resume->of.webhook_id = token.webhook_id;
    resume->of.bound = token.request_id != NULL;
    return 0;
}

/* Unlike a pre-approval reply's, the body must be there. */
static int body_check(struct resume *resume, json_object *body, struct schema_errors *errors, struct err *err)
{
    static const struct schema_loc loc = { .name = "body" };
    json_object *derived;

    if (!resume->http->body_length)
        schema_error(errors, &loc, "missing", "Field required");
    else
        schema_check(&body_schema, body, &loc, errors);
    if (errors->list)
        return err_set(err, ERR_INVALID, "The body does not fit.");
    derived = schema_get(body, "derived_identity");
    if (derived)
        resume->derived = identity_derived(derived, resume->http->arena, &resume->derived_names);
    return 0;
}

static int ids_check(const struct resume *resume, struct err *err)
{
    if (!arrival_is_id(resume->of.webhook_id))
        return err_set(err, ERR_NOT_FOUND, "No Policy Pre-Execution Webhook found with that id.");
    if (!arrival_is_id(resume->of.request_id))
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with that id.");
    return 0;
}

/* In the contract's order: JSON, token, shape (rest.md 1.1). */
static int resume_check(struct resume *resume, struct schema_errors *errors, struct err *err)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    int r = arrival_body(resume->http, &body, errors, err);

    if (r == 0)
        r = token_check(resume, err);
    if (r == 0)
        r = body_check(resume, body, errors, err);
    return r == 0 ? ids_check(resume, err) : r;
}

void resume_take(struct resume_queue *queue, struct http_call *call, const char *request_id)
{
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    struct resume *resume = arena_new_of(call->arena, struct resume);
    struct err err;
    int r;

    resume->queue = queue;
    resume->http = call;
    resume->traceparent = http_header(call, "traceparent");
    resume->of.request_id = request_id;
    r = resume_check(resume, &errors, &err);
    if (r == 0 && queue_push(queue, resume))
        return;
    if (r == 0)
        err_set(&err, ERR_UNAVAILABLE, "Service Unavailable");
    count_answer(err_word(err.code));
    arrival_refuse(call, &errors, &err);
}
