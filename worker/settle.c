#include "worker/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/journal.sql.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/publish.sql.h"
#include "worker/settle.sql.h"

enum { BATCH_ITEMS = 512, BATCH_OUTBOXES = 256, SOON_MS = 1, AGAIN_MS = 100, IDLE_MS = 25 };

const struct sql *const settle_statements[] = {
    &SQL_settle_park,    &SQL_settle_attempts,  &SQL_settle_deliveries, &SQL_settle_owed,
    &SQL_settle_replies, &SQL_settle_approvals, &SQL_settle_steps,      &SQL_settle_endpoint_pauses,
    &SQL_settle_plans,   &SQL_settle_leases,    &SQL_settle_tasks,
    &SQL_journal_append, &SQL_publish_forget,   &SQL_publish_hasten,    NULL,
};

/* The items of one kind in a batch, and where its answer stands in the group. */
struct section {
    struct settle_item *items[BATCH_ITEMS];
    struct journal_entry *entries[BATCH_ITEMS];
    int count, statement;
    const char *worker, *source; /* this process; of its events */
    usec_t package_life;
};

/* A request that has an item in the batch: its others wait for the next, as one statement moves it once. */
struct taken {
    const char *request_id;
    UT_hash_handle hh;
};

struct settle {
    uv_timer_t *timer;
    struct pipe *pipe;
    struct publisher *publisher;
    struct settle_item *first, **last; /* waiting, in order */
    int waiting;
    bool busy;
    int count, suspects;               /* in the batch; to be written alone, to find the one that fails */
    int64_t wins[SETTLE_KINDS];        /* batches that were written, of those that had the kind */
    usec_t sent_at;
    struct arena *arena;               /* the batch's */
    struct section sections[SETTLE_KINDS];
    int64_t acked[BATCH_OUTBOXES], left[BATCH_OUTBOXES]; /* outbox rows that may go; that are the relay's */
    int acked_count, left_count;
};

static void batch_send(struct settle *settle);

static void on_timer(uv_timer_t *timer)
{
    batch_send(timer->data);
}

static void send_in(struct settle *settle, int wait_ms)
{
    if (!settle->busy && !uv_is_active((uv_handle_t *)settle->timer))
        uv_timer_start(settle->timer, on_timer, (uint64_t)wait_ms, 0);
}

void settle_submit(struct settle *settle, struct settle_item *item)
{
    work_open(item->work);
    item->next = NULL;
    *settle->last = item;
    settle->last = &item->next;
    settle->waiting++;
    if (!settle->busy)
        uv_timer_start(settle->timer, on_timer, SOON_MS, 0);
}

/* --- parameters -------------------------------------------------------------------------------------- */

/* A column after the journal's ten, taken from each item. */
#define COLUMN(args, type, add, section, expression)                                                \
    do {                                                                                             \
        struct db_column *column_ = db_array(args, type);                                           \
        for (int i_ = 0; i_ < (section)->count; i_++) {                                              \
            const struct settle_item *item = (section)->items[i_];                                   \
            add(column_, expression);                                                                \
        }                                                                                            \
    } while (0)

static void add_bytes(struct db_column *column, struct bytes bytes)
{
    db_add_bytes(column, bytes.data, bytes.length);
}

static void endpoint_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->connection_id);
    db_text(args, section->source);
}

static void park_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->entry.request_id);
    COLUMN(args, DB_TEXT, db_add_text, section, item->delivery_id);
    COLUMN(args, DB_TEXT, db_add_text, section, delivery_word(item->state));
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
}

static void attempt_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->delivery_id);
    COLUMN(args, DB_TEXT, db_add_text, section, delivery_word(item->state));
    COLUMN(args, DB_INT, db_add_int, section, item->attempt);
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome);
    COLUMN(args, DB_TIME, db_add_time, section, item->started_at);
    COLUMN(args, DB_INT, db_add_int, section, item->duration);
    COLUMN(args, DB_TEXT, db_add_text, section, item->address);
    COLUMN(args, DB_INT, db_add_int, section, item->status_code);
    COLUMN(args, DB_BYTES, add_bytes, section, item->answer);
    COLUMN(args, DB_BOOL, db_add_bool, section, item->passed);
    COLUMN(args, DB_BOOL, db_add_bool, section, item->halted);
    COLUMN(args, DB_TEXT, db_add_text, section, item->problem);
    COLUMN(args, DB_TEXT, db_add_text, section, item->header_names);
    COLUMN(args, DB_BYTES, add_bytes, section, item->derived);
}

static void delivery_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->delivery_id);
    COLUMN(args, DB_TEXT, db_add_text, section, delivery_word(item->state));
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    db_int(args, section->items[0]->version);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome);
}

static void owed_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->delivery_id);
    COLUMN(args, DB_TEXT, db_add_text, section, item->webhook_id);
    COLUMN(args, DB_TEXT, db_add_text, section, item->connection_id);
}

static void reply_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->webhook_id);
    COLUMN(args, DB_BOOL, db_add_bool, section, item->eligible);
}

static void step_args(struct db_args *args, const struct section *section)
{
    db_int(args, section->items[0]->version);
    COLUMN(args, DB_TEXT, db_add_text, section, item->delivery_id);
    COLUMN(args, DB_TEXT, db_add_text, section, webhook_kind_word(item->webhook_kind));
    COLUMN(args, DB_TEXT, db_add_text, section, item->webhook_id);
    COLUMN(args, DB_TEXT, db_add_text, section, item->connection_id);
    COLUMN(args, DB_TEXT, db_add_text, section, delivery_word(item->state));
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    COLUMN(args, DB_INT, db_add_int, section, item->run);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome);
    db_text(args, section->worker);
}

static void plan_args(struct db_args *args, const struct section *section)
{
    db_int(args, section->items[0]->version);
    COLUMN(args, DB_TEXT, db_add_text, section, item->tasks);
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    db_text(args, section->worker);
}

static void lease_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->entry.request_id);
    COLUMN(args, DB_TEXT, db_add_text, section, item->task_id);
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    COLUMN(args, DB_INT, db_add_int, section, item->run);
    db_text(args, section->worker);
    COLUMN(args, DB_BOOL, db_add_bool, section, item->claimed);
}

static void task_args(struct db_args *args, const struct section *section)
{
    COLUMN(args, DB_TEXT, db_add_text, section, item->task_id);
    COLUMN(args, DB_TEXT, db_add_text, section, task_state_word(item->task_state));
    COLUMN(args, DB_TIME, db_add_time, section, item->due_at);
    COLUMN(args, DB_INT, db_add_int, section, item->run);
    COLUMN(args, DB_TEXT, db_add_text, section, item->attempt_id);
    COLUMN(args, DB_INT, db_add_int, section, item->outcome_of->row_count);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->fields);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->message);
    db_text(args, section->worker);
    COLUMN(args, DB_TEXT, db_add_text, section, item->rule_key);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->storage_key);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->storage);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->format);
    COLUMN(args, DB_TEXT, db_add_text, section, item->outcome_of->location);
    COLUMN(args, DB_INT, db_add_int, section, item->outcome_of->bytes);
    COLUMN(args, DB_BOOL, db_add_bool, section, item->outcome_of->encrypted);
    db_int(args, section->package_life);
}

static void approval_args(struct db_args *args, const struct section *section)
{
    db_int(args, section->items[0]->version); /* batch_take() puts one version in a batch */
}

/* has_entries: each item is an event, and its answer says which were appended; tells: the answer's first column has the
 * requests whose item was written. */
static const struct {
    const struct sql *sql;
    bool has_entries;
    void (*args)(struct db_args *args, const struct section *section);
    bool tells;
} kinds[SETTLE_KINDS] = {
    [SETTLE_ENDPOINT] = { &SQL_settle_endpoint_pauses, false, endpoint_args },
    [SETTLE_PARK] = { &SQL_settle_park, false, park_args },
    [SETTLE_ATTEMPT] = { &SQL_settle_attempts, true, attempt_args },
    [SETTLE_DELIVERY] = { &SQL_settle_deliveries, true, delivery_args },
    [SETTLE_OWE] = { &SQL_settle_owed, true, owed_args },
    [SETTLE_REPLY] = { &SQL_settle_replies, true, reply_args },
    [SETTLE_APPROVE] = { &SQL_settle_approvals, true, approval_args },
    [SETTLE_STEP] = { &SQL_settle_steps, true, step_args },
    [SETTLE_PLAN] = { &SQL_settle_plans, true, plan_args },
    [SETTLE_LEASE] = { &SQL_settle_leases, false, lease_args, .tells = true },
    [SETTLE_TASK] = { &SQL_settle_tasks, true, task_args },
    [SETTLE_ENTRY] = { &SQL_journal_append, true, NULL },
};

/* --- a batch ----------------------------------------------------------------------------------------- */

static bool batch_admits(struct settle *settle, struct settle_item *item, struct taken **taken)
{
    const struct section *section = &settle->sections[item->kind];
    const char *id = item->entry.request_id;
    struct taken *other;

    HASH_FIND_STR(*taken, id, other);
    if (other)
        return false;
    if (section->count && section->items[0]->version != item->version)
        return false; /* a statement names one version; 0 in those that name none */
    other = arena_new_of(settle->arena, struct taken);
    other->request_id = id;
    HASH_ADD_KEYPTR(hh, *taken, other->request_id, strlen(id), other);
    return true;
}

/* Takes what fits from the queue; what must wait keeps its place. */
static int batch_take(struct settle *settle)
{
    struct settle_item *item = settle->first, **keep = &settle->first;
    struct taken *taken = NULL;
    int count = 0, most = settle->suspects ? 1 : BATCH_ITEMS;

    while (item && count < most) {
        struct settle_item *next = item->next;
        struct section *section = &settle->sections[item->kind];

        if (batch_admits(settle, item, &taken)) {
            section->items[section->count++] = item;
            count++;
            settle->waiting--;
        } else {
            *keep = item;
            keep = &item->next;
        }
        item = next;
    }
    *keep = item;
    if (!item)
        settle->last = keep;
    HASH_CLEAR(hh, taken);
    return count;
}

static int item_order(const void *a, const void *b)
{
    return strcmp((*(struct settle_item *const *)a)->entry.request_id,
                  (*(struct settle_item *const *)b)->entry.request_id);
}

static void section_add(struct settle *settle, struct pipe_group *group, enum settle_kind kind, int *statement)
{
    struct section *section = &settle->sections[kind];
    struct db_args *args;

    if (!section->count)
        return;
    args = db_args_new(settle->arena);
    qsort(section->items, (size_t)section->count, sizeof(section->items[0]), item_order);
    for (int i = 0; i < section->count; i++)
        section->entries[i] = &section->items[i]->entry;
    if (kinds[kind].has_entries)
        journal_args(args, section->entries, section->count, publisher_source(settle->publisher));
    if (kinds[kind].args)
        kinds[kind].args(args, section);
    section->statement = (*statement)++;
    pipe_add(group, kinds[kind].sql, args);
}

static void outboxes_add(struct settle *settle, struct pipe_group *group, const struct sql *sql,
                         const int64_t *outboxes, int count)
{
    struct db_args *args;

    if (!count)
        return;
    args = db_args_new(settle->arena);
    publish_outbox_args(args, outboxes, count);
    pipe_add(group, sql, args);
}

/* --- its answer -------------------------------------------------------------------------------------- */

/* Back to the front of the queue: the same transaction is tried again. */
static void batch_again(struct settle *settle)
{
    for (int kind = SETTLE_KINDS - 1; kind >= 0; kind--) {
        struct section *section = &settle->sections[kind];

        for (int i = section->count - 1; i >= 0; i--) {
            section->items[i]->next = settle->first;
            if (!settle->first)
                settle->last = &section->items[i]->next;
            settle->first = section->items[i];
            settle->waiting++;
        }
        section->count = 0;
    }
    publish_give_back(settle->publisher, settle->acked, settle->acked_count);
}

static void item_tell(struct settle_item *item, bool won)
{
    struct work *work = item->work;

    if (item->done)
        item->done(item->context, item, won);
    work_close(work);
}

/* Which of them were written: those of the requests in the answer, each in the batch once. */
static void section_mark(struct section *section, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++)
        for (int i = 0; i < section->count; i++)
            if (!strcmp(section->entries[i]->request_id, db_get_text(result, row, 0)))
                section->entries[i]->seq = 1;
}

static void section_tell(struct settle *settle, enum settle_kind kind, PGresult **results)
{
    struct section *section = &settle->sections[kind];

    if (!section->count)
        return;
    settle->wins[kind]++;
    if (kinds[kind].has_entries) {
        journal_read(results[section->statement], section->entries, section->count);
        metric_add(METRIC_SETTLED, NULL, PQntuples(results[section->statement]));
        publish_entries(settle->publisher, section->entries, section->count);
    } else if (kinds[kind].tells) {
        section_mark(section, results[section->statement]);
    }
}

static bool is_won(int kind, const struct journal_entry *entry)
{
    return (!kinds[kind].has_entries && !kinds[kind].tells) || entry->seq > 0;
}

static void batch_tell(struct settle *settle)
{
    for (int kind = 0; kind < SETTLE_KINDS; kind++) {
        struct section *section = &settle->sections[kind];

        for (int i = 0; i < section->count; i++)
            item_tell(section->items[i], is_won(kind, section->entries[i]));
        section->count = 0;
    }
}

static struct settle_item *batch_item(const struct settle *settle)
{
    int kind = 0;

    while (!settle->sections[kind].count)
        kind++;
    return settle->sections[kind].items[0];
}

/* What PostgreSQL can't take for what it says, whoever asks: data, integrity, a limit, a function's own refusal. */
static bool is_content(const struct err *err)
{
    static const char *const classes[] = { "21", "22", "23", "44", "54", "P0" };

    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (!strncmp(err->sqlstate, classes[i], 2))
            return true;
    return false;
}

/* Anything else may be wrong with us or the server, and is tried again until somebody mends that; unless the same
 * statement was good enough for another item since this one failed. */
static bool is_its_own(const struct settle *settle, const struct settle_item *item, const struct err *err)
{
    return is_content(err) || (item->failed && settle->wins[item->kind] > item->wins);
}

/* One item that PostgreSQL refuses would stop all others: it is said loudly and left out. Its event is tried once more
 * and then buried; what has no event is done again when its lease ends. */
static void item_poisoned(struct settle *settle, struct settle_item *item, const struct err *err)
{
    log_err("settle.poisoned", err, log_id("request", item->entry.request_id), log_number("kind", item->kind));
    if (item->work->offset < 0)
        metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS(dead_word(DEAD_INTERNAL)), 1);
    work_fail(item->work, DEAD_INTERNAL, "PostgreSQL refused what came of it");
    snprintf(item->work->sqlstate, sizeof(item->work->sqlstate), "%s", err->sqlstate);
    settle->sections[item->kind].count = 0;
    item->done = NULL;
    item_tell(item, false);
}

/* Behind all others, so that they can show whether it is the only one. */
static void item_rotate(struct settle *settle, struct settle_item *item)
{
    settle->sections[item->kind].count = 0;
    item->failed = true;
    item->wins = settle->wins[item->kind];
    item->next = NULL;
    *settle->last = item;
    settle->last = &item->next;
    settle->waiting++;
    settle->suspects++;
}

static void alone_failed(struct settle *settle, const struct err *err)
{
    struct settle_item *item = batch_item(settle);

    publish_give_back(settle->publisher, settle->acked, settle->acked_count);
    settle->suspects--;
    if (is_its_own(settle, item, err))
        item_poisoned(settle, item, err);
    else
        item_rotate(settle, item);
    send_in(settle, is_content(err) ? SOON_MS : AGAIN_MS);
}

static void batch_failed(struct settle *settle, const struct err *err)
{
    bool may_come = err->code == ERR_UNAVAILABLE || err->code == ERR_STALE;

    if (settle->suspects && settle->count && !may_come) {
        alone_failed(settle, err);
        return;
    }
    if (!settle->suspects && !may_come)
        settle->suspects = settle->count;
    batch_again(settle);
    send_in(settle, err->code == ERR_STALE || settle->suspects ? SOON_MS : AGAIN_MS);
}

static void on_settled(void *context, PGresult **results, const struct err *err)
{
    struct settle *settle = context;

    settle->busy = false;
    if (err) {
        batch_failed(settle, err);
        return;
    }
    if (settle->suspects && settle->count)
        settle->suspects--;
    metric_observe(METRIC_SETTLE_DURATION, NULL, usec_monotonic() - settle->sent_at);
    publish_forgotten(settle->publisher, settle->acked, settle->acked_count);
    for (int kind = 0; kind < SETTLE_KINDS; kind++)
        section_tell(settle, (enum settle_kind)kind, results);
    settle->busy = true; /* what the told ones submit waits for the next batch, below */
    batch_tell(settle);
    settle->busy = false;
    if (settle->waiting)
        batch_send(settle);
    else
        send_in(settle, IDLE_MS);
}

static void batch_send(struct settle *settle)
{
    struct pipe_group *group;
    int statement = 0;

    if (settle->busy || !pipe_is_up(settle->pipe)) {
        send_in(settle, AGAIN_MS);
        return;
    }
    arena_clear(settle->arena);
    settle->count = batch_take(settle);
    settle->acked_count = publish_take_acked(settle->publisher, settle->acked, BATCH_OUTBOXES);
    settle->left_count = publish_take_left(settle->publisher, settle->left, BATCH_OUTBOXES);
    if (!settle->count && !settle->acked_count && !settle->left_count) {
        send_in(settle, IDLE_MS);
        return;
    }
    uv_timer_stop(settle->timer);
    group = pipe_group_new(settle->pipe);
    for (int kind = 0; kind < SETTLE_KINDS; kind++)
        section_add(settle, group, (enum settle_kind)kind, &statement);
    outboxes_add(settle, group, &SQL_publish_forget, settle->acked, settle->acked_count);
    outboxes_add(settle, group, &SQL_publish_hasten, settle->left, settle->left_count);
    settle->busy = true;
    settle->sent_at = usec_monotonic();
    pipe_send(group, on_settled, settle);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

struct settle *settle_new(uv_loop_t *loop, const struct config *config, struct pipe *pipe,
                          struct publisher *publisher, const char *worker)
{
    struct settle *settle = calloc(1, sizeof(*settle));

    if (!settle || !(settle->timer = malloc(sizeof(*settle->timer))))
        abort();
    settle->pipe = pipe;
    settle->publisher = publisher;
    for (int kind = 0; kind < SETTLE_KINDS; kind++) {
        settle->sections[kind].worker = worker;
        settle->sections[kind].source = publisher_source(publisher);
        settle->sections[kind].package_life = config->package_life;
    }
    settle->last = &settle->first;
    settle->arena = arena_new();
    uv_timer_init(loop, settle->timer);
    settle->timer->data = settle;
    send_in(settle, IDLE_MS);
    return settle;
}

static void timer_free(uv_handle_t *handle)
{
    free(handle);
}

void settle_free(struct settle *settle)
{
    struct settle_item *item, *next;

    if (!settle)
        return;
    for (item = settle->first; item; item = next) { /* what PostgreSQL never took: its event is read again */
        next = item->next;
        work_close(item->work);
    }
    uv_timer_stop(settle->timer);
    uv_close((uv_handle_t *)settle->timer, timer_free);
    arena_free(settle->arena);
    free(settle);
}

bool settle_is_idle(const struct settle *settle)
{
    usec_t oldest;

    return !settle->waiting && !settle->busy && !publisher_underway(settle->publisher, &oldest);
}
