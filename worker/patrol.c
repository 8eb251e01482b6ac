#include "worker/patrol.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/unread.h"
#include "worker/patrol.sql.h"

enum {
    PAGE = 500,       /* requests of each walk at once */
    KNOWN_MAX = 500,  /* whose findings are looked at again */
    UNREAD_MOST = 50000, /* a fleet that is further behind than that is not asked */
    WORD_BYTES = 64,
};
#define UNREAD_PATIENCE (10 * USEC_PER_S)

struct patrol {
    uv_work_t work;
    uv_loop_t *loop;
    const struct config *config;
    struct db *db;
    struct arena *arena;
    usec_t next_at;
    bool busy, ended, failing;
    atomic_bool stopping;
    int64_t imbalance, nobody; /* as the round found them */
};

/* How far the two walks are. */
struct place {
    char status[WORD_BYTES], open_id[WORD_BYTES], any_id[WORD_BYTES];
};

/* Requests of a statement. */
struct ids {
    const char *ids[2 * PAGE];
    int count;
};

static void ids_take(struct ids *ids, const PGresult *rows, int column, struct arena *arena)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *id = db_get_text(rows, row, column);
        bool known = false;

        for (int i = 0; !known && i < ids->count; i++)
            known = !strcmp(ids->ids[i], id);
        if (!known)
            ids->ids[ids->count++] = arena_strdup(arena, id);
    }
}

static struct db_args *ids_args(struct arena *arena, const struct ids *ids)
{
    struct db_args *args = db_args_new(arena);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < ids->count; i++)
        db_add_text(column, ids->ids[i]);
    return args;
}

/* Said when it is known, once. */
static void tell(const PGresult *rows)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (db_get_bool(rows, row, 3))
            log_error("ledger.finding", log_id("request", db_get_text(rows, row, 0)),
                      log_id("delivery", db_get_text(rows, row, 1)), log_word("problem", db_get_text(rows, row, 2)));
}

/* --- the walks --------------------------------------------------------------------------------------- */

/* *mine: this worker is the one that looks now. */
static int place_claim(struct patrol *patrol, struct place *place, bool *mine, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(patrol->arena);
    int r;

    db_int(args, patrol->config->ledger_interval);
    r = db_run_planned(patrol->db, &SQL_patrol_claim, args, &rows, err);
    if (r < 0)
        return r;
    *mine = PQntuples(rows);
    if (!*mine)
        return 0;
    snprintf(place->status, WORD_BYTES, "%s", db_get_text(rows, 0, 0));
    snprintf(place->open_id, WORD_BYTES, "%s", db_get_text(rows, 0, 1));
    snprintf(place->any_id, WORD_BYTES, "%s", db_get_text(rows, 0, 2));
    return 0;
}

static int open_take(struct patrol *patrol, struct place *place, struct ids *ids, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(patrol->arena);
    int count, r;

    db_text(args, place->status);
    db_text(args, place->open_id);
    db_int(args, PAGE);
    r = db_run_planned(patrol->db, &SQL_patrol_open, args, &rows, err);
    if (r < 0)
        return r;
    count = PQntuples(rows);
    ids_take(ids, rows, 1, patrol->arena);
    snprintf(place->status, WORD_BYTES, "%s", count == PAGE ? db_get_text(rows, count - 1, 0) : "");
    snprintf(place->open_id, WORD_BYTES, "%s", count == PAGE ? db_get_text(rows, count - 1, 1) : "");
    return 0;
}

static int any_take(struct patrol *patrol, struct place *place, struct ids *ids, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(patrol->arena);
    int count, r;

    db_text(args, place->any_id);
    db_int(args, PAGE);
    r = db_run_planned(patrol->db, &SQL_patrol_any, args, &rows, err);
    if (r < 0)
        return r;
    count = PQntuples(rows);
    ids_take(ids, rows, 0, patrol->arena);
    snprintf(place->any_id, WORD_BYTES, "%s", count == PAGE ? db_get_text(rows, count - 1, 0) : "");
    return 0;
}

static int place_move(struct patrol *patrol, const struct place *place, struct err *err)
{
    struct db_args *args = db_args_new(patrol->arena);

    db_text(args, place->status);
    db_text(args, place->open_id);
    db_text(args, place->any_id);
    return db_do_planned(patrol->db, &SQL_patrol_move, args, err);
}

static int page_look(struct patrol *patrol, struct place *place, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *found = NULL;
    struct ids ids = { .count = 0 };
    int r = open_take(patrol, place, &ids, err);

    if (r == 0)
        r = any_take(patrol, place, &ids, err);
    if (r == 0)
        r = db_run_planned(patrol->db, &SQL_patrol_find, ids_args(patrol->arena, &ids), &found, err);
    if (r == 0)
        tell(found);
    return r == 0 ? place_move(patrol, place, err) : r;
}

/* --- what was found before --------------------------------------------------------------------------- */

static int known_mend(struct patrol *patrol, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(patrol->arena);
    struct ids ids = { .count = 0 };
    int r;

    db_int(args, KNOWN_MAX);
    r = db_run_planned(patrol->db, &SQL_patrol_known, args, &rows, err);
    if (r < 0 || !PQntuples(rows))
        return r;
    ids_take(&ids, rows, 0, patrol->arena);
    return db_do_planned(patrol->db, &SQL_patrol_mend, ids_args(patrol->arena, &ids), err);
}

static int doubts_confirm(struct patrol *patrol, const struct ids *ids, const struct unread *unread, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *confirmed = NULL;
    struct db_args *args = ids_args(patrol->arena, ids);
    struct db_column *column = db_array(args, DB_TEXT);
    int r;

    for (int i = 0; i < ids->count; i++)
        if (unread_has(unread, ids->ids[i]))
            db_add_text(column, ids->ids[i]);
    r = db_run_planned(patrol->db, &SQL_patrol_confirm, args, &confirmed, err);
    if (r == 0)
        tell(confirmed);
    return r;
}

/* While Kafka is away, or the workers are far behind, nobody is blamed. */
static int doubts_look(struct patrol *patrol, struct err *err)
{
    _cleanup_(unread_freep) struct unread *unread = NULL;
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(patrol->arena);
    struct ids ids = { .count = 0 };
    struct err away;
    int r;

    db_int(args, patrol->config->ledger_interval);
    db_int(args, KNOWN_MAX);
    r = db_run_planned(patrol->db, &SQL_patrol_doubts, args, &rows, err);
    if (r < 0 || !PQntuples(rows))
        return r;
    ids_take(&ids, rows, 0, patrol->arena);
    if (unread_read(patrol->config, UNREAD_PATIENCE, UNREAD_MOST, &unread, &away) < 0) {
        log_debug("patrol.unread_unknown", log_word("cause", *away.cause ? away.cause : away.text));
        return 0;
    }
    return doubts_confirm(patrol, &ids, unread, err);
}

/* --- rounds ------------------------------------------------------------------------------------------ */

static int counts_read(struct patrol *patrol, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(patrol->db, &SQL_patrol_counts, NULL, &rows, err);

    if (r < 0)
        return r;
    patrol->imbalance = db_get_int(rows, 0, 0);
    patrol->nobody = db_get_int(rows, 0, 1);
    return 0;
}

static int round_look(struct patrol *patrol, struct err *err)
{
    struct place place;
    bool mine = false;
    int r = place_claim(patrol, &place, &mine, err);

    if (r == 0 && mine && !patrol->stopping)
        r = page_look(patrol, &place, err);
    if (r == 0 && mine && !patrol->stopping)
        r = known_mend(patrol, err);
    if (r == 0 && mine && !patrol->stopping)
        r = doubts_look(patrol, err);
    return r == 0 ? counts_read(patrol, err) : r;
}

static void round_run(uv_work_t *work)
{
    struct patrol *patrol = work->data;
    struct err err = { 0 };
    int r;

    arena_clear(patrol->arena);
    r = round_look(patrol, &err);
    if (r < 0 && !patrol->failing) /* told once, until it works again */
        log_err("patrol.failed", &err);
    patrol->failing = r < 0;
}

static void patrol_release(struct patrol *patrol)
{
    db_free(patrol->db);
    arena_free(patrol->arena);
    free(patrol);
}

static void round_over(uv_work_t *work, int status)
{
    struct patrol *patrol = work->data;

    (void)status;
    patrol->busy = false;
    patrol->next_at = usec_monotonic() + patrol->config->ledger_interval;
    metric_set(METRIC_LEDGER_IMBALANCE, NULL, (double)patrol->imbalance);
    metric_set(METRIC_WAITING_ON_NOBODY, NULL, (double)patrol->nobody);
    if (patrol->ended)
        patrol_release(patrol);
}

void patrol_turn(struct patrol *patrol)
{
    if (patrol->busy || usec_monotonic() < patrol->next_at)
        return;
    patrol->busy = true;
    patrol->work.data = patrol;
    uv_queue_work(patrol->loop, &patrol->work, round_run, round_over);
}

struct patrol *patrol_new(uv_loop_t *loop, const struct config *config)
{
    struct patrol *patrol = calloc(1, sizeof(*patrol));

    if (!patrol)
        abort();
    patrol->loop = loop;
    patrol->config = config;
    patrol->db = db_new(config->postgres_url, "docket-worker patrol");
    patrol->arena = arena_new();
    return patrol;
}

void patrol_free(struct patrol *patrol)
{
    if (!patrol)
        return;
    patrol->stopping = true;
    patrol->ended = true;
    if (!patrol->busy)
        patrol_release(patrol);
}
