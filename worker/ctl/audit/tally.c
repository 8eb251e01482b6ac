#include "worker/ctl/audit/tally.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/event.h"
#include "common/schema.h"

enum { PARTS_MAX = 3, PART_BYTES_MAX = 600, KEY_BYTES_MAX = PARTS_MAX * (PART_BYTES_MAX + 1) };

#define OTHERS "(others)"
#define UNKNOWN "(unknown)"

struct row {
    struct tally_row row; /* first: what is given is a pointer to it */
    struct spread *spread;
    char *endpoint;
    UT_hash_handle hh;
    char key[];
};

/* What later events of a request need of it. */
struct request {
    UT_hash_handle hh;
    int64_t seq;
    usec_t created, decided, due; /* USEC_NONE: not yet, or not told */
    struct row *policy, *action;
    enum pr_status status;
    bool deleted, is_of_period;
    char id[];
};

struct tally {
    struct tally_period period;
    uint32_t slice, slices;
    struct row *tables[TALLY_TABLES];
    struct request *requests;
    int64_t bytes;
    struct tally_sums sums;
    json_tokener *tokener;
};

/* --- rows ---------------------------------------------------------------------------------------------- */

/* As far as it is text, and no line of its own. */
static size_t part_put(char *to, const char *part)
{
    size_t length = strnlen(part, PART_BYTES_MAX);

    while (length && part[length] && ((unsigned char)part[length] & 0xc0) == 0x80)
        length--;
    for (size_t i = 0; i < length; i++)
        to[i] = part[i] == '\n' ? ' ' : part[i];
    return length;
}

static void key_make(char key[KEY_BYTES_MAX], const char *const *parts, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++) {
        if (i)
            key[length++] = '\n';
        length += part_put(key + length, parts[i] ? parts[i] : UNKNOWN);
    }
    key[length] = '\0';
}

static struct row *row_new(struct tally *tally, enum tally_table table, const char *key)
{
    size_t length = strlen(key);
    struct row *row = calloc(1, sizeof(*row) + length + 1);

    if (!row)
        abort();
    memcpy(row->key, key, length + 1);
    row->row.key = row->key;
    if (table == TALLY_TIMES || table == TALLY_CALLS)
        row->row.spread = row->spread = spread_new();
    HASH_ADD_KEYPTR(hh, tally->tables[table], row->key, length, row);
    return row;
}

/* A table never outgrows what a person could read. */
static struct row *row_of_key(struct tally *tally, enum tally_table table, const char *key)
{
    struct row *row;

    HASH_FIND_STR(tally->tables[table], key, row);
    if (row)
        return row;
    if (HASH_COUNT(tally->tables[table]) < TALLY_ROWS_MAX)
        return row_new(tally, table, key);
    tally->sums.folded++;
    HASH_FIND_STR(tally->tables[table], OTHERS, row);
    return row ? row : row_new(tally, table, OTHERS);
}

/* A part that is NULL is unknown. */
static struct row *row_of(struct tally *tally, enum tally_table table, const char *const *parts, int count)
{
    char key[KEY_BYTES_MAX];

    key_make(key, parts, count);
    return row_of_key(tally, table, key);
}

static int by_key(const struct row *a, const struct row *b)
{
    return strcmp(a->key, b->key);
}

static void rows_sort(struct tally *tally)
{
    for (int i = 0; i < TALLY_TABLES; i++)
        HASH_SRT(hh, tally->tables[i], by_key);
}

const struct tally_row *tally_first(const struct tally *tally, enum tally_table table)
{
    return tally->tables[table] ? &tally->tables[table]->row : NULL;
}

const struct tally_row *tally_next(const struct tally_row *row)
{
    const struct row *next = ((const struct row *)(const void *)row)->hh.next;

    return next ? &next->row : NULL;
}

const struct tally_sums *tally_sums(const struct tally *tally)
{
    return &tally->sums;
}

/* --- requests ------------------------------------------------------------------------------------------ */

/* FNV-1a: every run slices alike. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261u;

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static struct request *request_of(struct tally *tally, const char *id)
{
    size_t length = strlen(id);
    struct request *request;

    HASH_FIND(hh, tally->requests, id, length, request);
    if (request)
        return request;
    request = calloc(1, sizeof(*request) + length + 1);
    if (!request)
        abort();
    memcpy(request->id, id, length + 1);
    request->created = request->decided = request->due = USEC_NONE;
    HASH_ADD_KEYPTR(hh, tally->requests, request->id, length, request);
    tally->bytes += (int64_t)(sizeof(*request) + length + 1 + 3 * sizeof(void *));
    return request;
}

static void requests_free(struct tally *tally)
{
    struct request *request, *next;

    HASH_ITER(hh, tally->requests, request, next)
    {
        HASH_DEL(tally->requests, request);
        free(request);
    }
    tally->bytes = 0;
}

/* --- one event ----------------------------------------------------------------------------------------- */

/* What is at hand of it. */
struct happening {
    struct tally *tally;
    struct request *request;
    enum event_type type;
    usec_t time;
    bool in_period;
    json_object *data;
};

static const char *text_of(const struct happening *it, const char *name)
{
    json_object *value = json_object_object_get(it->data, name);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int64_t number_of(const struct happening *it, const char *name)
{
    json_object *value = json_object_object_get(it->data, name);

    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

static void course_count(struct request *request, enum tally_course course)
{
    request->policy->row.counts[course]++;
    request->action->row.counts[course]++;
}

static void took(const struct happening *it, const char *what, usec_t since)
{
    const char *const all[] = { what, "" }, *const parts[] = { what, it->request->action->key };

    if (since == USEC_NONE || !it->in_period)
        return;
    spread_add(row_of(it->tally, TALLY_TIMES, all, 2)->spread, it->time - since);
    spread_add(row_of(it->tally, TALLY_TIMES, parts, 2)->spread, it->time - since);
}

static void by_count(const struct happening *it, int which)
{
    const char *by = text_of(it, "by");

    if (it->in_period)
        row_of(it->tally, TALLY_DECIDERS, &by, 1)->row.counts[which]++;
}

static void on_created(const struct happening *it)
{
    struct request *request = it->request;
    const char *due = text_of(it, "due_date");

    request->created = it->time;
    request->is_of_period = it->in_period;
    if (due && !usec_parse(due, &request->due))
        request->due = USEC_NONE;
    if (it->in_period)
        course_count(request, COURSE_RECEIVED);
}

static void on_approved(const struct happening *it)
{
    by_count(it, 0);
    if (it->request->decided == USEC_NONE)
        took(it, "decided", it->request->created);
    it->request->decided = it->request->decided == USEC_NONE ? it->time : it->request->decided;
    if (it->in_period)
        course_count(it->request, COURSE_APPROVED);
}

static void on_denied(const struct happening *it)
{
    by_count(it, 1);
    took(it, "decided", it->request->created);
    took(it, "over", it->request->created);
    if (it->in_period)
        course_count(it->request, COURSE_DENIED);
}

static void on_canceled(const struct happening *it)
{
    by_count(it, 2);
    took(it, "over", it->request->created);
    if (it->in_period)
        course_count(it->request, COURSE_CANCELED);
}

static void on_completed(const struct happening *it)
{
    took(it, "done", it->request->decided);
    took(it, "over", it->request->created);
    if (!it->in_period)
        return;
    course_count(it->request, COURSE_COMPLETED);
    it->tally->sums.late += it->request->due != USEC_NONE && it->time > it->request->due;
}

/* One that was not resumed in time failed as well. */
static void on_failed(const struct happening *it)
{
    const char *step = it->type == EVENT_EXPIRED ? "paused" : text_of(it, "step");

    if (!it->in_period)
        return;
    course_count(it->request, COURSE_FAILED);
    row_of(it->tally, TALLY_FAILURES, &step, 1)->row.counts[0]++;
}

static void on_retried(const struct happening *it)
{
    if (it->in_period)
        course_count(it->request, COURSE_RETRIED);
}

static void on_deleted(const struct happening *it)
{
    it->request->deleted = true;
    it->tally->sums.deleted += it->in_period;
}

static void on_task(const struct happening *it)
{
    const char *action = text_of(it, "action");
    int which = it->type == EVENT_TASK_COMPLETED ? 0
                : it->type == EVENT_TASK_SKIPPED ? 1
                : it->type == EVENT_TASK_RETRIED ? 2 : 3;

    if (it->in_period)
        row_of(it->tally, TALLY_TASKS, &action, 1)->row.counts[which]++;
}

static void endpoint_keep(struct row *row, const struct happening *it)
{
    json_object *disclosed = json_object_object_get(it->data, "disclosed"), *key = NULL;

    if (json_object_is_type(disclosed, json_type_object))
        key = json_object_object_get(disclosed, "connection_key");
    if (!json_object_is_type(key, json_type_string) ||
        (row->endpoint && !strcmp(row->endpoint, json_object_get_string(key))))
        return;
    free(row->endpoint);
    row->endpoint = strdup(json_object_get_string(key));
    if (!row->endpoint)
        abort();
    row->row.endpoint = row->endpoint;
}

static void on_call(const struct happening *it)
{
    const char *kind = text_of(it, "kind"), *outcome = text_of(it, "outcome");
    const char *const parts[] = { kind ? kind : "pre_approval", text_of(it, "webhook_key"), outcome };
    int64_t *counts;
    struct row *row;

    if (!it->in_period)
        return;
    row = row_of(it->tally, TALLY_CALLS, parts, 2);
    counts = row->row.counts;
    if (it->type == EVENT_WEBHOOK_SKIPPED) {
        counts[CALLS_SKIPPED]++;
        return;
    }
    endpoint_keep(row, it);
    spread_add(row->spread, number_of(it, "duration_ms") * USEC_PER_MS);
    counts[CALLS_ATTEMPTS]++;
    counts[CALLS_TAKEN] += outcome && !strcmp(outcome, "succeeded");
    counts[CALLS_AGAIN] += number_of(it, "attempt") > 1 && it->type != EVENT_WEBHOOK_REMINDED;
    counts[CALLS_GIVEN_UP] += it->type == EVENT_WEBHOOK_GIVEN_UP;
    counts[CALLS_REMINDED] += it->type == EVENT_WEBHOOK_REMINDED;
    row_of(it->tally, TALLY_OUTCOMES, parts, 3)->row.counts[0]++;
}

static void (*const handlers[EVENT_TYPES])(const struct happening *it) = {
    [EVENT_CREATED] = on_created,
    [EVENT_APPROVED] = on_approved,
    [EVENT_DENIED] = on_denied,
    [EVENT_CANCELED] = on_canceled,
    [EVENT_COMPLETED] = on_completed,
    [EVENT_FAILED] = on_failed,
    [EVENT_EXPIRED] = on_failed,
    [EVENT_RETRIED] = on_retried,
    [EVENT_DELETED] = on_deleted,
    [EVENT_TASK_COMPLETED] = on_task,
    [EVENT_TASK_SKIPPED] = on_task,
    [EVENT_TASK_RETRIED] = on_task,
    [EVENT_TASK_FAILED] = on_task,
    [EVENT_WEBHOOK_SENT] = on_call,
    [EVENT_WEBHOOK_FAILED] = on_call,
    [EVENT_WEBHOOK_GIVEN_UP] = on_call,
    [EVENT_WEBHOOK_ANSWERED] = on_call,
    [EVENT_WEBHOOK_REMINDED] = on_call,
    [EVENT_ENDPOINT_PAUSED] = on_call,
    [EVENT_WEBHOOK_SKIPPED] = on_call,
};

/* Who comes without its first event has neither policy nor time of creation. */
static void request_begin(const struct happening *it)
{
    bool is_first = it->type == EVENT_CREATED;
    const char *policy = is_first ? text_of(it, "policy_key") : NULL;
    const char *action = is_first ? text_of(it, "action_type") : NULL;

    action = is_first && !action ? "none" : action;
    it->tally->sums.beginless += !is_first;
    it->request->policy = row_of(it->tally, TALLY_POLICIES, &policy, 1);
    it->request->action = row_of(it->tally, TALLY_ACTIONS, &action, 1);
}

static void happen(struct happening *it, int64_t sequence)
{
    struct request *request = it->request;
    enum pr_status status;

    if (sequence <= request->seq) {
        it->tally->sums.repeats++;
        return;
    }
    if (!request->seq)
        request_begin(it);
    request->seq = sequence;
    status = lifecycle_parse(text_of(it, "status"));
    if (status != PR_NONE)
        request->status = status;
    if (handlers[it->type])
        handlers[it->type](it);
}

static json_object *data_of(struct tally *tally, const struct record *record)
{
    json_object *data = NULL;

    json_tokener_reset(tally->tokener);
    if (record->value && record->value_length <= INT32_MAX)
        data = json_tokener_parse_ex(tally->tokener, record->value, (int)record->value_length);
    if (json_object_is_type(data, json_type_object))
        return data;
    json_object_put(data);
    return NULL;
}

void tally_add(struct tally *tally, const struct record *record)
{
    _cleanup_(json_object_putp) json_object *data = NULL;
    struct happening it = { .tally = tally };
    struct record_event event;
    const char *id;

    record_event(record, &event);
    id = event.attributes[RECORD_SUBJECT];
    it.type = event_parse(event.attributes[RECORD_TYPE] ? event.attributes[RECORD_TYPE] : "");
    if (hash_of(id ? id : "") % tally->slices != tally->slice)
        return;
    tally->sums.events++;
    data = it.data = data_of(tally, record);
    if (!id || !data || !event.sequence || !event.attributes[RECORD_TIME] ||
        !usec_parse(event.attributes[RECORD_TIME], &it.time)) {
        tally->sums.strangers++;
        return;
    }
    if (it.time >= tally->period.until)
        return;
    it.in_period = tally->period.since == USEC_NONE || it.time >= tally->period.since;
    it.request = request_of(tally, id);
    happen(&it, event.sequence);
}

/* --- how they stand ------------------------------------------------------------------------------------ */

static bool is_due_before(const struct tally_overdue *a, const struct tally_overdue *b)
{
    return a->due < b->due || (a->due == b->due && strcmp(a->request_id, b->request_id) < 0);
}

static void overdue_free(const struct tally_overdue *one)
{
    free((void *)(uintptr_t)one->request_id);
    free((void *)(uintptr_t)one->policy_key);
}

static const char *copied(const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        abort();
    return copy;
}

/* Into the list, in its order; the one that is due last falls out of a full one. */
static void overdue_put(struct tally_sums *sums, const struct tally_overdue *one)
{
    struct tally_overdue *list = sums->overdue_list;
    int at = sums->overdue_count;

    if (at == TALLY_OVERDUE_MAX && !is_due_before(one, &list[at - 1]))
        return;
    if (at == TALLY_OVERDUE_MAX)
        overdue_free(&list[--at]);
    else
        sums->overdue_count++;
    for (; at && is_due_before(one, &list[at - 1]); at--)
        list[at] = list[at - 1];
    list[at] = *one;
    list[at].request_id = copied(one->request_id);
    list[at].policy_key = copied(one->policy_key);
}

static void request_stand(struct tally *tally, struct request *request)
{
    const char *word = request->deleted ? "deleted" : lifecycle_word(request->status);
    struct row *row = row_of(tally, TALLY_STATUSES, &word, 1);
    const struct tally_overdue overdue = { request->id, request->policy->key, request->status, request->due };

    row->row.counts[0] += request->is_of_period;
    row->row.counts[1]++;
    if (request->deleted || lifecycle_is_terminal(request->status))
        return;
    course_count(request, COURSE_OPEN);
    if (request->due == USEC_NONE || request->due >= tally->period.until)
        return;
    tally->sums.overdue++;
    overdue_put(&tally->sums, &overdue);
}

void tally_close(struct tally *tally)
{
    struct request *request, *next;

    HASH_ITER(hh, tally->requests, request, next)
    {
        request_stand(tally, request);
    }
    requests_free(tally);
    rows_sort(tally);
}

/* --- together ------------------------------------------------------------------------------------------ */

static void row_merge(struct row *to, const struct row *from)
{
    for (int i = 0; i < TALLY_COUNTS; i++)
        to->row.counts[i] += from->row.counts[i];
    if (from->spread)
        spread_merge(to->spread, from->spread);
    if (from->endpoint && !to->endpoint)
        to->row.endpoint = to->endpoint = (char *)(uintptr_t)copied(from->endpoint);
}

static void sums_merge(struct tally_sums *to, const struct tally_sums *from)
{
    to->events += from->events;
    to->repeats += from->repeats;
    to->strangers += from->strangers;
    to->beginless += from->beginless;
    to->folded += from->folded;
    to->late += from->late;
    to->overdue += from->overdue;
    to->deleted += from->deleted;
    for (int i = 0; i < from->overdue_count; i++)
        overdue_put(to, &from->overdue_list[i]);
}

void tally_merge(struct tally *to, const struct tally *from)
{
    for (int table = 0; table < TALLY_TABLES; table++)
        for (const struct row *row = from->tables[table]; row; row = row->hh.next)
            row_merge(row_of_key(to, (enum tally_table)table, row->key), row);
    sums_merge(&to->sums, &from->sums);
    rows_sort(to);
}

/* --- birth and end ------------------------------------------------------------------------------------- */

struct tally *tally_new(const struct tally_period *period, int slice, int slices)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (!tally)
        abort();
    tally->period = *period;
    tally->slice = (uint32_t)slice;
    tally->slices = (uint32_t)slices;
    tally->tokener = json_tokener_new();
    if (!tally->tokener)
        abort();
    json_tokener_set_flags(tally->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return tally;
}

int64_t tally_bytes(const struct tally *tally)
{
    return tally->bytes;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    requests_free(tally);
    for (int table = 0; table < TALLY_TABLES; table++) {
        struct row *row, *next;

        HASH_ITER(hh, tally->tables[table], row, next)
        {
            HASH_DEL(tally->tables[table], row);
            spread_free(row->spread);
            free(row->endpoint);
            free(row);
        }
    }
    for (int i = 0; i < tally->sums.overdue_count; i++)
        overdue_free(&tally->sums.overdue_list[i]);
    json_tokener_free(tally->tokener);
    free(tally);
}
