#include "worker/request.h"

#include <string.h>

#include "worker/request.sql.h"

static const char *const delivery_words[] = {
    [DELIVERY_WAITING] = "waiting",
    [DELIVERY_HELD] = "held",
    [DELIVERY_DELIVERED] = "delivered",
    [DELIVERY_GIVEN_UP] = "given_up",
    [DELIVERY_SKIPPED] = "skipped",
};

const struct sql *const request_statements[] = { &SQL_request_catalog_version, &SQL_request_rows,
                                                 &SQL_request_deliveries, &SQL_request_replies,
                                                 &SQL_request_tasks, &SQL_request_inputs, NULL };

const char *delivery_word(enum delivery_state state)
{
    return delivery_words[state];
}

static enum delivery_state delivery_parse(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(delivery_words); i++)
        if (!strcmp(delivery_words[i], word))
            return (enum delivery_state)i;
    return DELIVERY_GIVEN_UP; /* the table's check allows no other word */
}

static void add_ids(struct pipe_group *group, const struct sql *sql, const char *const *ids, int count,
                    struct arena *arena)
{
    struct db_args *args = db_args_new(arena);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    pipe_add(group, sql, args);
}

void request_fetch(struct pipe_group *group, const char *const *ids, int count, const char *const *reply_ids,
                   int reply_count, struct arena *arena)
{
    pipe_add(group, &SQL_request_catalog_version, NULL);
    add_ids(group, &SQL_request_rows, ids, count, arena);
    add_ids(group, &SQL_request_deliveries, ids, count, arena);
    add_ids(group, &SQL_request_replies, reply_ids, reply_count, arena);
    add_ids(group, &SQL_request_tasks, ids, count, arena);
    add_ids(group, &SQL_request_inputs, ids, count, arena);
}

int64_t request_fetch_version(PGresult *const *results)
{
    return db_get_int(results[0], 0, 0);
}

/* The first row of `id` in a result that is sorted by its first column (bytewise); -1 when there is none. */
static int first_row(const PGresult *result, const char *id)
{
    int low = 0, high = PQntuples(result);

    while (low < high) {
        int middle = (low + high) / 2;

        if (strcmp(PQgetvalue(result, middle, 0), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PQntuples(result) && !strcmp(PQgetvalue(result, low, 0), id) ? low : -1;
}

static int count_rows(const PGresult *result, int first, const char *id)
{
    int row = first;

    while (row >= 0 && row < PQntuples(result) && !strcmp(PQgetvalue(result, row, 0), id))
        row++;
    return row - first;
}

static void read_texts(struct request *request, const PGresult *result, int row)
{
    const char **const texts[] = { &request->policy_id,    &request->external_id,  &request->source,
                                   &request->location,     &request->property_id,  &request->submitted_by,
                                   &request->reviewed_by,  &request->custom_approved_by,
                                   &request->finalized_by };

    for (int i = 0; i < (int)COUNT_OF(texts); i++)
        *texts[i] = db_dup_text(result, row, 5 + i, request->arena);
}

static void read_times(struct request *request, const PGresult *result, int row)
{
    usec_t *const times[] = { &request->requested_at,       &request->started_processing_at,
                              &request->finished_processing_at, &request->reviewed_at,
                              &request->custom_approved_at, &request->identity_verified_at,
                              &request->canceled_at,        &request->paused_at,
                              &request->finalized_at,       &request->due_date };

    for (int i = 0; i < (int)COUNT_OF(times); i++)
        *times[i] = db_get_time(result, row, 14 + i);
}

static struct bytes dup_bytes(const PGresult *result, int row, int column, struct arena *arena)
{
    struct bytes bytes;

    bytes.data = db_get_bytes(result, row, column, &bytes.length);
    if (bytes.data)
        bytes.data = arena_memdup(arena, bytes.data, bytes.length);
    return bytes;
}

static void read_deliveries(struct request *request, const PGresult *result)
{
    int first = first_row(result, request->id), count = first < 0 ? 0 : count_rows(result, first, request->id);

    request->deliveries = arena_array(request->arena, struct delivery, (size_t)count + 1);
    request->delivery_count = count;
    for (int i = 0; i < count; i++)
        request->deliveries[i] = (struct delivery){
            .id = db_dup_text(result, first + i, 1, request->arena),
            .webhook_id = db_dup_text(result, first + i, 2, request->arena),
            .kind = webhook_kind_parse(db_get_text(result, first + i, 3)),
            .state = delivery_parse(db_get_text(result, first + i, 4)),
            .attempts = (int)db_get_int(result, first + i, 5),
            .due_at = db_get_time(result, first + i, 6),
            .created_at = db_get_time(result, first + i, 7),
            .settled_at = db_get_time(result, first + i, 8),
            .base = (int)db_get_int(result, first + i, 9),
            .run = (int)db_get_int(result, first + i, 10),
            .passed = db_get_bool(result, first + i, 11),
            .halted = db_get_bool(result, first + i, 12),
            .resumed = db_get_bool(result, first + i, 13),
            .redelivery = db_get_bool(result, first + i, 14),
            .problem = db_dup_text(result, first + i, 15, request->arena),
            .sealed_derived = dup_bytes(result, first + i, 16, request->arena),
            .sealed_resumed = dup_bytes(result, first + i, 17, request->arena),
        };
}

static void read_replies(struct request *request, const PGresult *result)
{
    int first = first_row(result, request->id), count = first < 0 ? 0 : count_rows(result, first, request->id);

    request->replies = arena_array(request->arena, struct reply, (size_t)count + 1);
    request->reply_count = count;
    for (int i = 0; i < count; i++)
        request->replies[i] = (struct reply){
            .webhook_id = db_dup_text(result, first + i, 1, request->arena),
            .eligible = db_get_bool(result, first + i, 2),
        };
}

static void read_tasks(struct request *request, const PGresult *result)
{
    int first = first_row(result, request->id), count = first < 0 ? 0 : count_rows(result, first, request->id);
    struct arena *arena = request->arena;

    request->tasks = arena_array(arena, struct task, (size_t)count + 1);
    request->task_count = count;
    for (int i = 0; i < count; i++) {
        struct task *task = &request->tasks[i];
        int row = first + i;

        task->id = db_dup_text(result, row, 1, arena);
        task->action = task_action_parse(db_get_text(result, row, 2));
        task->place = (int)db_get_int(result, row, 3);
        task->connection_key = db_dup_text(result, row, 4, arena);
        task->dataset = db_dup_text(result, row, 5, arena);
        task->collection = db_dup_text(result, row, 6, arena);
        task->needs = (const char *const *)db_get_texts(result, row, 7, arena, &task->need_count);
        task->state = task_state_parse(db_get_text(result, row, 8));
        task->run = (int)db_get_int(result, row, 9);
        task->tries = (int)db_get_int(result, row, 10);
        task->due_at = db_get_time(result, row, 11);
        task->worker = db_dup_text(result, row, 12, arena);
        task->attempt = db_dup_text(result, row, 13, arena);
        task->message = db_dup_text(result, row, 14, arena);
        task->row_count = db_get_int(result, row, 15);
        task->erase_xid = db_dup_text(result, row, 16, arena);
        task->erase_count = db_get_int(result, row, 17);
    }
}

static void read_inputs(struct request *request, const PGresult *result)
{
    int first = first_row(result, request->id), count = first < 0 ? 0 : count_rows(result, first, request->id);
    struct arena *arena = request->arena;

    request->inputs = arena_array(arena, struct input, (size_t)count + 1);
    request->input_count = count;
    for (int i = 0; i < count; i++) {
        struct input *input = &request->inputs[i];

        input->webhook_id = db_dup_text(result, first + i, 1, arena);
        input->action = db_dup_text(result, first + i, 2, arena);
        input->labels = (const char *const *)db_get_texts(result, first + i, 3, arena, &input->label_count);
        input->sealed = dup_bytes(result, first + i, 4, arena);
    }
}

struct request *request_read(PGresult *const *results, const char *id, struct arena *arena)
{
    const PGresult *rows = results[1];
    int row = first_row(rows, id);
    struct request *request;

    if (row < 0)
        return NULL;
    request = arena_new_of(arena, struct request);
    request->arena = arena;
    request->id = db_dup_text(rows, row, 0, arena);
    request->seq = db_get_int(rows, row, 1);
    request->status_seq = db_get_int(rows, row, 2);
    request->status = lifecycle_parse(db_get_text(rows, row, 3));
    request->deleted = db_get_bool(rows, row, 4);
    read_texts(request, rows, row);
    read_times(request, rows, row);
    request->key_id = db_dup_text(rows, row, 24, arena);
    request->wrapped_key = dup_bytes(rows, row, 25, arena);
    request->sealed_identity = dup_bytes(rows, row, 26, arena);
    request->sealed_custom_fields = dup_bytes(rows, row, 27, arena);
    request->sealed_reason = dup_bytes(rows, row, 28, arena);
    request->run = (int)db_get_int(rows, row, 29);
    request->webhooks_revision = db_get_int(rows, row, 30);
    request->paused_webhook_id = db_dup_text(rows, row, 31, arena);
    read_deliveries(request, results[2]);
    request->input_awaited = db_dup_text(rows, row, 32, arena);
    request->sealed_encryption_key = dup_bytes(rows, row, 33, arena);
    read_replies(request, results[3]);
    read_tasks(request, results[4]);
    read_inputs(request, results[5]);
    return request;
}

const struct delivery *request_delivery(const struct request *request, const char *id)
{
    for (int i = 0; i < request->delivery_count; i++)
        if (!strcmp(request->deliveries[i].id, id))
            return &request->deliveries[i];
    return NULL;
}

void request_put_delivery(struct request *request, const struct delivery *delivery)
{
    size_t count = (size_t)request->delivery_count;
    struct delivery *deliveries = arena_array(request->arena, struct delivery, count + 1);
    size_t place = 0;

    memcpy(deliveries, request->deliveries, count * sizeof(*deliveries));
    while (place < count && strcmp(deliveries[place].id, delivery->id) != 0)
        place++;
    deliveries[place] = *delivery;
    request->deliveries = deliveries;
    request->delivery_count += place == count;
}

const struct delivery *request_delivery_of(const struct request *request, const char *webhook_id)
{
    for (int i = 0; i < request->delivery_count; i++)
        if (!strcmp(request->deliveries[i].webhook_id, webhook_id))
            return &request->deliveries[i];
    return NULL;
}

const struct reply *request_reply_of(const struct request *request, const char *webhook_id)
{
    for (int i = 0; i < request->reply_count; i++)
        if (!strcmp(request->replies[i].webhook_id, webhook_id))
            return &request->replies[i];
    return NULL;
}

const struct task *request_task(const struct request *request, const char *id)
{
    for (int i = 0; i < request->task_count; i++)
        if (!strcmp(request->tasks[i].id, id))
            return &request->tasks[i];
    return NULL;
}

void request_put_task(struct request *request, const struct task *task)
{
    size_t count = (size_t)request->task_count, place = 0;
    struct task *tasks = arena_array(request->arena, struct task, count + 1);

    memcpy(tasks, request->tasks, count * sizeof(*tasks));
    while (place < count && strcmp(tasks[place].id, task->id) != 0)
        place++;
    tasks[place] = *task;
    request->tasks = tasks;
    request->task_count += place == count;
}

const struct input *request_input(const struct request *request, const char *webhook_id, const char *action)
{
    for (int i = 0; i < request->input_count; i++)
        if (!strcmp(request->inputs[i].webhook_id, webhook_id) && !strcmp(request->inputs[i].action, action))
            return &request->inputs[i];
    return NULL;
}
