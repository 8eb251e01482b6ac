#include "common/unread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/arena.h"
#include "common/kafka.h"
#include "common/reader.h"

enum { NAME_BYTES = 256 };

DEFINE_CLEANUP(rd_kafka_topic_partition_list_t *, rd_kafka_topic_partition_list_destroy)

struct id {
    const char *text;
    UT_hash_handle hh;
};

struct unread {
    struct arena *arena;
    struct id *ids;
};

static const char *const topics[] = { "lifecycle", "callbacks" };

void unread_free(struct unread *unread)
{
    if (!unread)
        return;
    HASH_CLEAR(hh, unread->ids);
    arena_free(unread->arena);
    free(unread);
}

bool unread_has(const struct unread *unread, const char *request_id)
{
    struct id *id;

    HASH_FIND_STR(unread->ids, request_id, id);
    return id;
}

static void unread_add(struct unread *unread, const struct record *record)
{
    const char *text = arena_strndup(unread->arena, record->key ? record->key : "", record->key_length);
    struct id *id;

    if (unread_has(unread, text))
        return;
    id = arena_new_of(unread->arena, struct id);
    id->text = text;
    HASH_ADD_KEYPTR(hh, unread->ids, id->text, strlen(id->text), id);
}

/* --- how far the workers are ------------------------------------------------------------------------- */

/* A client that knows the group's name and does not join it. */
static int group_open(const struct config *config, rd_kafka_t **ret, struct err *err)
{
    char group[NAME_BYTES], problem[256];
    rd_kafka_conf_t *conf;
    int r = kafka_conf(config, &conf, err);

    if (r < 0)
        return r;
    snprintf(group, sizeof(group), "%s.worker", config->topic_prefix);
    rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
    *ret = rd_kafka_new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
    if (*ret)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
}

static int committed(const struct config *config, rd_kafka_topic_partition_list_t *list, usec_t patience,
                     struct err *err)
{
    _cleanup_(rd_kafka_destroyp) rd_kafka_t *group = NULL;
    rd_kafka_resp_err_t error;
    int r = group_open(config, &group, err);

    if (r < 0)
        return r;
    error = rd_kafka_committed(group, list, (int)(patience / USEC_PER_MS));
    for (int i = 0; !error && i < list->cnt; i++)
        error = list->elems[i].err;
    return error ? kafka_err(error, err) : 0;
}

/* --- reading ----------------------------------------------------------------------------------------- */

static int partitions_list(struct reader *reader, const char *prefix, rd_kafka_topic_partition_list_t *list,
                           struct err *err)
{
    char name[NAME_BYTES];
    int r = 0;

    for (size_t i = 0; r == 0 && i < COUNT_OF(topics); i++) {
        int count = 0;

        snprintf(name, sizeof(name), "%s.%s", prefix, topics[i]);
        r = reader_partitions(reader, topics[i], &count, err);
        for (int partition = 0; r == 0 && partition < count; partition++)
            rd_kafka_topic_partition_list_add(list, name, partition);
    }
    return r;
}

/* What is not committed of each. Nothing was, of one that nobody has read yet: then all of it. */
static int run_fill(struct reader *reader, struct reader_run *run, const rd_kafka_topic_partition_list_t *list,
                    const char *prefix, int64_t *count, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *of = &list->elems[i];
        const char *name = of->topic + strlen(prefix) + 1;
        struct reader_bounds bounds;
        int64_t from;

        r = reader_bounds(reader, name, of->partition, &bounds, err);
        if (r < 0)
            return r;
        from = of->offset > bounds.low ? of->offset : bounds.low;
        reader_run_add(run, name, of->partition, from, bounds.high);
        *count += from < bounds.high ? bounds.high - from : 0;
    }
    return r;
}

static int run_read(struct reader_run *run, struct unread *unread, struct err *err)
{
    const struct record *record = NULL;
    int r;

    while ((r = reader_next(run, &record, err)) == 0 && record)
        unread_add(unread, record);
    return r;
}

static int unread_fill(struct unread *unread, const struct config *config, usec_t patience, int64_t most,
                       struct err *err)
{
    _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(32);
    _cleanup_(reader_freep) struct reader *reader = NULL;
    struct reader_run *run;
    int64_t count = 0;
    int r = reader_new(config, patience, &reader, err);

    if (r == 0)
        r = partitions_list(reader, config->topic_prefix, list, err);
    if (r == 0)
        r = committed(config, list, patience, err);
    if (r < 0)
        return r;
    run = reader_run_new(reader);
    r = run_fill(reader, run, list, config->topic_prefix, &count, err);
    if (r == 0 && count > most)
        return err_set(err, ERR_REFUSED, "%lld events and replies are not read yet", (long long)count);
    return r == 0 ? run_read(run, unread, err) : r;
}

int unread_read(const struct config *config, usec_t patience, int64_t most, struct unread **ret, struct err *err)
{
    _cleanup_(unread_freep) struct unread *unread = calloc(1, sizeof(*unread));
    int r;

    if (!unread)
        abort();
    unread->arena = arena_new();
    r = unread_fill(unread, config, patience, most, err);
    if (r < 0)
        return r;
    *ret = TAKE(unread);
    return 0;
}
