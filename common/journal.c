#include "common/journal.h"

#include <stdlib.h>
#include <string.h>

#include "common/journal.sql.h"

static int by_request(const void *a, const void *b)
{
    return strcmp((*(struct journal_entry *const *)a)->request_id,
                  (*(struct journal_entry *const *)b)->request_id);
}

void journal_sort(struct journal_entry **entries, int count)
{
    qsort(entries, (size_t)count, sizeof(*entries), by_request);
}

void journal_args(struct db_args *args, struct journal_entry *const *entries, int count, const char *source)
{
    struct db_column *ids = db_array(args, DB_TEXT), *expected = db_array(args, DB_INT);
    struct db_column *statuses = db_array(args, DB_TEXT), *actors = db_array(args, DB_TEXT);
    struct db_column *types = db_array(args, DB_TEXT), *times = db_array(args, DB_TIME);
    struct db_column *causes = db_array(args, DB_TEXT), *traces = db_array(args, DB_TEXT);
    struct db_column *payloads = db_array(args, DB_BYTES);

    for (int i = 0; i < count; i++) {
        const struct journal_entry *entry = entries[i];

        db_add_text(ids, entry->request_id);
        if (entry->expected == JOURNAL_ANY)
            db_add_null(expected);
        else
            db_add_int(expected, entry->expected);
        db_add_text(statuses, entry->status == PR_NONE ? NULL : lifecycle_word(entry->status));
        db_add_text(actors, entry->actor);
        db_add_text(types, event_word(entry->type));
        db_add_time(times, entry->time);
        db_add_text(causes, entry->cause);
        db_add_text(traces, entry->traceparent);
        db_add_bytes(payloads, entry->payload, strlen(entry->payload));
    }
    db_text(args, source);
}

void journal_read(const PGresult *result, struct journal_entry *const *entries, int count)
{
    for (int row = 0; row < PQntuples(result); row++) {
        struct journal_entry wanted = { .request_id = db_get_text(result, row, 0) }, *key = &wanted;
        struct journal_entry *const *found =
            bsearch(&key, entries, (size_t)count, sizeof(*entries), by_request);
        size_t length;
        const void *chain = db_get_bytes(result, row, 2, &length);

        if (!found || length != EVENT_CHAIN_BYTES)
            continue;
        (*found)->seq = db_get_int(result, row, 1);
        memcpy((*found)->chain, chain, length);
        (*found)->behind = db_get_bool(result, row, 3);
        (*found)->outbox = db_get_int(result, row, 4);
    }
}

int journal_append(struct db *db, struct journal_entry *const *entries, int count, const char *source,
                   struct arena *arena, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct db_args *args = db_args_new(arena);
    int r;

    journal_args(args, entries, count, source);
    r = db_run(db, &SQL_journal_append, args, &result, err);
    if (r < 0)
        return r;
    journal_read(result, entries, count);
    return 0;
}
