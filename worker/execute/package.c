#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/extract.h"
#include "common/log.h"
#include "common/schema.h"
#include "common/store.h"
#include "worker/execute/job.h"
#include "worker/execute/pack.h"

/*
 * A package: what of the rows that were collected an access rule lets out, and what people filled in, in the form that
 * the rule's storage has, sealed. Nothing is held but what is under way: a chunk of rows, a page, a part of a file.
 */

enum { LOOK_ROWS = 256 }; /* after so many it is looked whether the job still stands */

#define TASK_PREFIX "package:"
#define FAILED "Access package upload failed for privacy request: %s"
#define DONE "Access package upload successful for privacy request."

/* From the form to the storage. */
struct way {
    struct sink sink;
    struct store_writer *store;
};

struct package {
    struct job *job;
    const struct catalog_rule *rule;
    const struct catalog_storage *storage;
    const struct pack_form *form;
    void *handle; /* the form's */
    struct way way;
    int64_t rows;
};

static int way_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    return store_put(((struct way *)sink)->store, bytes, length, err);
}

static void package_close(struct package *package)
{
    if (package->handle)
        package->form->free(package->handle);
    store_writer_free(package->way.store);
}

static int package_row(struct package *package, const struct rows_value *values, struct err *err)
{
    if (package->rows++ % LOOK_ROWS == 0 && atomic_load(&package->job->canceled))
        return err_set(err, ERR_UNAVAILABLE, "The worker stops.");
    return package->form->row(package->handle, values, err);
}

/* --- rows that were collected ----------------------------------------------------------------- */

static int dataset_place(const struct catalog *catalog, const char *key)
{
    for (int i = 0; i < catalog->dataset_count; i++)
        if (!strcmp(catalog->datasets[i].dataset->key, key))
            return i;
    return -1;
}

static int collection_pack(struct package *package, struct extract *extract, struct pack_section *section,
                           struct err *err)
{
    const struct rows_value *values;
    bool begun = false;

    for (;;) {
        int r = extract_next(extract, &values, err);

        if (r <= 0)
            return r;
        if (!begun)
            r = package->form->section(package->handle, section, err);
        begun = true;
        if (r >= 0)
            r = package_row(package, values, err);
        if (r < 0)
            return r;
    }
}

static int rows_pack(struct package *package, const struct task *task, struct pack_section *section, struct err *err)
{
    struct job *job = package->job;
    const struct rows_place place = { job->request_id, task->id, task->attempt, job->key };
    _cleanup_(rows_reader_freep) struct rows_reader *rows = NULL;
    _cleanup_(extract_freep) struct extract *extract = NULL;
    int r = rows_read(job->db, &place, &rows, err);

    if (r == 0)
        r = extract_new(section->dataset, section->collection, &package->rule->targets, rows, job->arena, &extract,
                        err);
    if (r < 0 || !extract)
        return r;
    section->columns = extract_columns(extract, &section->count);
    return collection_pack(package, extract, section, err);
}

/* Nothing of a collection that the configuration no longer has: by what category should it pass? */
static int task_pack(struct package *package, const struct task *task, struct err *err)
{
    struct arena *arena = package->job->arena;
    const struct catalog *catalog = package->job->catalog;
    int place = dataset_place(catalog, task->dataset);
    const struct catalog_dataset *dataset = place < 0 ? NULL : &catalog->datasets[place];
    struct pack_section *section = arena_new_of(arena, struct pack_section);

    if (!dataset || !dataset->connection->does_access || !task->attempt)
        return 0;
    section->address = arena_printf(arena, "%s:%s", task->dataset, task->collection);
    section->dataset = dataset->dataset;
    section->dataset_place = place + 1;
    section->collection = dataset_collection(dataset->dataset, task->collection);
    return section->collection ? rows_pack(package, task, section, err) : 0;
}

static int tasks_compare(const void *a, const void *b)
{
    const struct task *one = *(const struct task *const *)a, *other = *(const struct task *const *)b;

    return strcmp(one->id, other->id); /* "access:<address>" */
}

static int tasks_pack(struct package *package, struct err *err)
{
    struct job *job = package->job;
    const struct task **tasks = arena_array(job->arena, const struct task *, (size_t)job->task_count + 1);
    int count = 0, r = 0;

    for (int i = 0; i < job->task_count; i++)
        if (job->tasks[i].action == TASK_ACCESS && job->tasks[i].state == TASK_COMPLETE)
            tasks[count++] = &job->tasks[i];
    qsort(tasks, (size_t)count, sizeof(*tasks), tasks_compare);
    for (int i = 0; r == 0 && i < count; i++)
        r = task_pack(package, tasks[i], err);
    return r;
}

/* --- what people filled in -------------------------------------------------------------------- */

/* Its labels and texts as columns and one row; what was left empty is left out. */
static void input_read(json_object *input, struct arena *arena, struct pack_section *section,
                       struct rows_value **values)
{
    int count = json_object_object_length(input);
    const char **labels = arena_array(arena, const char *, (size_t)count + 1);

    *values = arena_array(arena, struct rows_value, (size_t)count + 1);
    json_object_object_foreach(input, label, value)
    {
        struct rows_value *own = &(*values)[section->count];

        if (!value)
            continue;
        own->json = arena_strdup(arena, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                                                  JSON_C_TO_STRING_NOSLASHESCAPE));
        own->length = strlen(own->json);
        labels[section->count++] = arena_strdup(arena, label);
    }
    section->columns = labels;
}

static int input_pack(struct package *package, const struct job_input *input, struct err *err)
{
    struct arena *arena = package->job->arena;
    struct pack_section *section = arena_new_of(arena, struct pack_section);
    _cleanup_(json_object_putp) json_object *object = NULL;
    struct rows_value *values;
    struct bytes plain;
    int r = seal_open(&package->job->key, "input", arena_printf(arena, "%s.access", input->webhook_id), input->sealed,
                      arena, &plain, err);

    if (r < 0 || !plain.data)
        return r;
    object = json_tokener_parse(plain.data);
    if (!json_object_is_type(object, json_type_object))
        return err_cause(err, ERR_INTERNAL, "package: what was filled in is no object");
    section->address = input->connection_key;
    input_read(object, arena, section, &values);
    r = package->form->section(package->handle, section, err);
    return r < 0 ? r : package_row(package, values, err);
}

static int inputs_pack(struct package *package, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < package->job->input_count; i++)
        r = input_pack(package, &package->job->inputs[i], err);
    return r;
}

/* --- the whole -------------------------------------------------------------------------------- */

static const char *location_of(const struct package *package)
{
    return arena_printf(package->job->arena, "%s/%s.%s", package->job->request_id, package->rule->key,
                        package->form->suffix);
}

static int package_open(struct package *package, struct err *err)
{
    struct job *job = package->job;
    const struct store_target target = { .key = package->storage->key,
                                         .type = package->storage->type,
                                         .details = package->storage->details,
                                         .secrets = package->storage->secrets,
                                         .directory = job->config->storage_directory };
    struct pack_about *about = arena_new_of(job->arena, struct pack_about);
    int r = store_write(&target, location_of(package), &job->key, job->request_id, &package->way.store, err);

    *about = (struct pack_about){ .request_id = job->request_id,
                                  .action = package->rule->action_type,
                                  .identity = job->identity,
                                  .requested_at = job->requested_at,
                                  .encryption_key = package->form->encrypts ? job->encryption_key : NULL,
                                  .arena = job->arena };
    package->way.sink.put = way_put;
    return r < 0 ? r : package->form->begin(about, &package->way.sink, &package->handle, err);
}

static int package_make(struct package *package, int64_t *bytes, struct err *err)
{
    int r = package_open(package, err);

    if (r == 0)
        r = tasks_pack(package, err);
    if (r == 0)
        r = inputs_pack(package, err);
    if (r == 0)
        r = package->form->finish(package->handle, err);
    return r < 0 ? r : store_finish(package->way.store, bytes, err);
}

static int package_find(struct package *package, struct err *err)
{
    const struct catalog_policy *policy = package->job->policy;
    const char *key = package->job->task.id + strlen(TASK_PREFIX);

    for (int i = 0; policy && i < policy->rule_count; i++)
        if (!strcmp(policy->rules[i].key, key))
            package->rule = &policy->rules[i];
    if (!package->rule)
        return err_set(err, ERR_NOT_FOUND, "The policy has no rule %s any more.", key);
    package->storage = package->rule->storage ? package->rule->storage : package->job->catalog->active_storage;
    package->form = pack_form(package->storage->format);
    if (!package->form)
        return err_set(err, ERR_REFUSED, "The storage '%s' has an unknown format.", package->storage->key);
    return 0;
}

static const char *storage_json(const struct package *package)
{
    return arena_printf(package->job->arena, "{\"type\":\"%s\",\"details\":%s}", package->storage->type,
                        package->storage->details ? package->storage->details : "{}");
}

static void outcome_failed(struct job *job, const struct err *err, struct job_outcome *outcome)
{
    log_err("package.failed", err, log_id("request", job->request_id), log_id("task", job->task.id));
    outcome->result = err_fate(err->code) == ERR_FATE_RETRY ? JOB_RETRY : JOB_FAILED;
    outcome->message = arena_printf(job->arena, FAILED, err->text);
}

static void outcome_done(const struct package *package, int64_t bytes, struct job_outcome *outcome)
{
    *outcome = (struct job_outcome){ .result = JOB_COMPLETE,
                                     .message = DONE,
                                     .row_count = package->rows,
                                     .storage_key = package->storage->key,
                                     .storage = storage_json(package),
                                     .format = package->form->word,
                                     .location = location_of(package),
                                     .bytes = bytes,
                                     .encrypted = package->form->encrypts && package->job->encryption_key };
}

void package_run(struct job *job, struct job_outcome *outcome)
{
    _cleanup_(package_close) struct package package = { .job = job };
    struct err err = { 0 };
    int64_t bytes = 0;
    int r = package_find(&package, &err);

    if (r == 0)
        r = package_make(&package, &bytes, &err);
    if (r < 0)
        outcome_failed(job, &err, outcome);
    else
        outcome_done(&package, bytes, outcome);
}
