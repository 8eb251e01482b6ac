#include "worker/ctl/audit/log.h"

#include <stdlib.h>
#include <string.h>

struct log {
    struct reader *reader;
    struct reader_run *run;
    int partitions;
    int64_t length;
};

static int partition_add(struct log *log, const char *name, int32_t partition, usec_t since, struct err *err)
{
    struct reader_bounds bounds;
    int64_t from;
    int r = reader_bounds(log->reader, name, partition, &bounds, err);

    from = r == 0 ? bounds.low : 0;
    if (r == 0 && since != USEC_NONE)
        r = reader_offset_at(log->reader, name, partition, since, bounds.high, &from, err);
    if (r < 0)
        return r;
    reader_run_add(log->run, name, partition, from, bounds.high);
    log->length += from < bounds.high ? bounds.high - from : 0;
    return 0;
}

static bool is_in_range(const struct log *log, const struct log_range *range, int32_t partition)
{
    if (range->key && partition != log_partition_of(range->key, strlen(range->key), log->partitions))
        return false;
    return range->partition == LOG_ALL || range->partition == partition;
}

static int partitions_add(struct log *log, const char *name, const struct log_range *range, struct err *err)
{
    int r = reader_partitions(log->reader, name, &log->partitions, err);

    if (r < 0)
        return r;
    if (!log->partitions || range->partition >= log->partitions)
        return err_set(err, ERR_NOT_FOUND, "there is no topic %s, or not that partition of it", name);
    for (int32_t i = 0; r == 0 && i < log->partitions; i++)
        if (is_in_range(log, range, i))
            r = partition_add(log, name, i, range->since, err);
    return r;
}

int log_open(const struct config *config, const char *name, const struct log_range *range, struct log **ret,
             struct err *err)
{
    static const struct log_range whole = { .since = USEC_NONE, .partition = LOG_ALL };
    _cleanup_(log_closep) struct log *log = calloc(1, sizeof(*log));
    int r;

    if (!log)
        abort();
    r = reader_new(config, LOG_PATIENCE, &log->reader, err);
    if (r < 0)
        return r;
    log->run = reader_run_new(log->reader);
    r = partitions_add(log, name, range ? range : &whole, err);
    if (r < 0)
        return r;
    *ret = TAKE(log);
    return 0;
}

void log_close(struct log *log)
{
    if (!log)
        return;
    reader_free(log->reader);
    free(log);
}

int log_next(struct log *log, const struct record **ret, struct err *err)
{
    return reader_next(log->run, ret, err);
}

int64_t log_length(const struct log *log)
{
    return log->length;
}

int log_partitions(const struct log *log)
{
    return log->partitions;
}

int32_t log_partition_of(const void *key, size_t length, int partitions)
{
    return rd_kafka_msg_partitioner_consistent(NULL, key, length, partitions, NULL, NULL);
}
