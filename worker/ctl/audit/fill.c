#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "worker/ctl/audit/log.h"
#include "worker/ctl/audit/rebuild.h"
#include "worker/ctl/audit/rebuild.sql.h"

/* In one statement; a record of a broker's default size or so fits many times. */
enum { BATCH_EVENTS = 2000, BATCH_BYTES = 8 * 1024 * 1024 };

/* Events on their way from the topic into request_event. */
struct batch {
    struct rebuild *rebuild;
    struct row {
        const char *request_id, *type, *source, *cause, *traceparent;
        int64_t seq;
        usec_t time;
        const void *payload, *chain;
        size_t length;
    } rows[BATCH_EVENTS];
    int count;
    size_t bytes;
    bool again; /* what is there already is expected */
};

/* --- a record ------------------------------------------------------------------------------------------ */

static void tell_record(struct batch *batch, const struct record *record, const char *why)
{
    struct arena *arena = batch->rebuild->arena;
    char *partition = arena_printf(arena, "%d", (int)record->partition);
    char *offset = arena_printf(arena, "%lld", (long long)record->offset);

    if (batch->again)
        return; /* it was told when it was first read */
    rebuild_tell(batch->rebuild, "record",
                 (const char *const[]){ "partition", partition, "offset", offset, "problem", why, NULL },
                 "partition %s, offset %s: %s", partition, offset, why);
}

/* Whether it is an event that can stand in the table; else why not. */
static const char *row_read(const struct record *record, struct arena *arena, struct row *row)
{
    struct record_event event;
    const char *time;

    record_event(record, &event);
    time = event.attributes[RECORD_TIME];
    if (!record->key || !record->key_length || record->key_length >= REBUILD_ID_BYTES)
        return "it has no key that is a request's";
    if (!record->value)
        return "it has no value";
    if (!event.sequence || !event.has_chain || !event.attributes[RECORD_TYPE] || !event.attributes[RECORD_SOURCE] ||
        !time || !usec_parse(time, &row->time))
        return "headers of an event are missing";
    row->request_id = arena_strndup(arena, record->key, record->key_length);
    row->type = arena_strdup(arena, event.attributes[RECORD_TYPE]);
    row->source = arena_strdup(arena, event.attributes[RECORD_SOURCE]);
    row->cause = arena_strdup(arena, event.attributes[RECORD_CAUSE]);
    row->traceparent = arena_strdup(arena, event.attributes[RECORD_TRACEPARENT]);
    row->seq = event.sequence;
    row->payload = arena_memdup(arena, record->value, record->value_length);
    row->length = record->value_length;
    row->chain = arena_memdup(arena, event.chain, RECORD_CHAIN_BYTES);
    return NULL;
}

/* --- a batch ------------------------------------------------------------------------------------------- */

static struct db_args *batch_args(const struct batch *batch)
{
    struct db_args *args = db_args_new(batch->rebuild->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *seqs = db_array(args, DB_INT), *types = db_array(args, DB_TEXT),
                     *times = db_array(args, DB_TIME), *sources = db_array(args, DB_TEXT),
                     *causes = db_array(args, DB_TEXT), *traces = db_array(args, DB_TEXT),
                     *payloads = db_array(args, DB_BYTES), *chains = db_array(args, DB_BYTES);

    for (int i = 0; i < batch->count; i++) {
        const struct row *row = &batch->rows[i];

        db_add_text(ids, row->request_id);
        db_add_int(seqs, row->seq);
        db_add_text(types, row->type);
        db_add_time(times, row->time);
        db_add_text(sources, row->source);
        db_add_text(causes, row->cause);
        db_add_text(traces, row->traceparent);
        db_add_bytes(payloads, row->payload, row->length);
        db_add_bytes(chains, row->chain, RECORD_CHAIN_BYTES);
    }
    return args;
}

/* Some were there. A repeat has the same bytes; what has not is another event in its place. */
static int others_tell(const struct batch *batch, struct err *err)
{
    struct rebuild *rebuild = batch->rebuild;
    _cleanup_(db_result_freep) PGresult *others = NULL;
    int r = db_run_planned(rebuild->into, &SQL_rebuild_others, batch_args(batch), &others, err);

    for (int row = 0; r == 0 && row < PQntuples(others); row++) {
        const char *id = db_get_text(others, row, 0);
        char *seq = arena_printf(rebuild->arena, "%lld", (long long)db_get_int(others, row, 1));

        rebuild_tell(rebuild, "other", (const char *const[]){ "request_id", id, "sequence", seq, NULL },
                     "%s: its event %s is there twice, with another content", id, seq);
    }
    return r;
}

static int batch_write(struct batch *batch, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct rebuild *rebuild = batch->rebuild;
    int64_t written = 0;
    int r = batch->count ? db_run_planned(rebuild->into, &SQL_rebuild_fill, batch_args(batch), &result, err) : 0;

    if (r == 0 && result)
        written = atoll(PQcmdTuples(result));
    rebuild->events += written;
    if (!batch->again)
        rebuild->repeats += batch->count - written;
    if (r == 0 && written < batch->count)
        r = others_tell(batch, err);
    batch->count = 0;
    batch->bytes = 0;
    arena_clear(rebuild->arena);
    return r;
}

static int batch_add(struct batch *batch, const struct record *record, struct err *err)
{
    const char *why = row_read(record, batch->rebuild->arena, &batch->rows[batch->count]);

    if (why) {
        tell_record(batch, record, why);
        return 0;
    }
    batch->count++;
    batch->bytes += record->value_length;
    return batch->count < BATCH_EVENTS && batch->bytes < BATCH_BYTES ? 0 : batch_write(batch, err);
}

static int log_read(struct batch *batch, struct log *log, struct err *err)
{
    const struct record *record = NULL;
    int r;

    while ((r = log_next(log, &record, err)) == 0 && record)
        if ((r = batch_add(batch, record, err)) < 0)
            break;
    return r == 0 ? batch_write(batch, err) : r;
}

int rebuild_fill(struct rebuild *rebuild, usec_t since, struct err *err)
{
    const struct log_range range = { .since = since, .partition = LOG_ALL };
    _cleanup_(log_closep) struct log *log = NULL;
    struct batch *batch;
    int r = log_open(rebuild->config, "lifecycle", &range, &log, err);

    if (r < 0)
        return r;
    batch = calloc(1, sizeof(*batch));
    if (!batch)
        abort();
    batch->rebuild = rebuild;
    batch->again = since != USEC_NONE;
    r = log_read(batch, log, err);
    free(batch);
    return r;
}
