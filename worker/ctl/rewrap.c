/*
 * rewrap - what older master keys seal is sealed anew by the ring's first, while the programs run: they open by any key
 * of the ring. Ended in the middle, it is begun again. It tells what each key seals yet, so that one can be dropped.
 */
#include <stdio.h>
#include <string.h>

#include "common/actor.h"
#include "common/config.h"
#include "common/db.h"
#include "common/seal.h"
#include "worker/ctl/rewrap.sql.h"
#include "worker/ctl/verb.h"

enum { PAGE = 500, IDS_MAX = 256, ID_BYTES = 64, SOURCE_BYTES = 160 };

/* Where the ring itself seals. */
static const struct place {
    const char *name, *what; /* what: the sealed value's place (common/seal.h) */
    const struct sql *read, *write;
} places[] = {
    { "secrets of connections", "secrets", &SQL_rewrap_secrets, &SQL_rewrap_secrets_write },
    { "OAuth2 configurations", "oauth", &SQL_rewrap_oauth, &SQL_rewrap_oauth_write },
    { "secrets of storages", "storage", &SQL_rewrap_storages, &SQL_rewrap_storages_write },
    { "answers of test calls", "trial", &SQL_rewrap_trials, &SQL_rewrap_trials_write },
};

/* What a master key seals by now: request keys, then a number a place. */
struct tally {
    char id[SEAL_KEY_ID_MAX + 1];
    bool in_ring;
    int64_t counts[1 + COUNT_OF(places)];
};

struct rewrap {
    struct db *db;
    const char *source; /* of the events that it leads to */
    const struct seal_ring *ring;
    struct arena *arena; /* of a page */
    struct tally tallies[IDS_MAX];
    int tally_count;
    int64_t moved, lost; /* lost: its master key is not in the ring */
};

static struct tally *tally_of(struct rewrap *rewrap, const char *id)
{
    for (int i = 0; i < rewrap->tally_count; i++)
        if (!strcmp(rewrap->tallies[i].id, id))
            return &rewrap->tallies[i];
    if (rewrap->tally_count == IDS_MAX)
        return &rewrap->tallies[IDS_MAX - 1];
    snprintf(rewrap->tallies[rewrap->tally_count].id, SEAL_KEY_ID_MAX + 1, "%s", id);
    return &rewrap->tallies[rewrap->tally_count++];
}

/* --- request keys ------------------------------------------------------------------------------------ */

/* One more of the page's keys, when it can be opened. */
static void key_rewrap(struct rewrap *rewrap, const PGresult *rows, int row, struct db_column *ids,
                       struct db_column *wrapped)
{
    const char *id = db_get_text(rows, row, 0), *key_id;
    struct bytes old, fresh;
    struct seal_key key;
    struct err err;

    old.data = db_get_bytes(rows, row, 2, &old.length);
    if (seal_key_unwrap(rewrap->ring, db_get_text(rows, row, 1), old, id, &key, &err) < 0) {
        rewrap->lost++;
        return;
    }
    fresh = seal_key_wrap(rewrap->ring, &key, id, rewrap->arena, &key_id);
    db_add_text(ids, id);
    db_add_bytes(wrapped, fresh.data, fresh.length);
    rewrap->moved++;
}

static int page_write(struct rewrap *rewrap, const PGresult *rows, struct err *err)
{
    struct db_args *args = db_args_new(rewrap->arena);
    struct db_column *ids, *wrapped;

    db_text(args, seal_ring_id(rewrap->ring, 0));
    ids = db_array(args, DB_TEXT);
    wrapped = db_array(args, DB_BYTES);
    for (int row = 0; row < PQntuples(rows); row++)
        key_rewrap(rewrap, rows, row, ids, wrapped);
    return db_do_planned(rewrap->db, &SQL_rewrap_write, args, err);
}

/* One transaction. `cursor` moves on; *count is 0 at the end. */
static int page_rewrap(struct rewrap *rewrap, char cursor[ID_BYTES], int *count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(rewrap->arena);
    int r;

    db_text(args, cursor);
    db_text(args, seal_ring_id(rewrap->ring, 0));
    db_int(args, PAGE);
    r = db_run_planned(rewrap->db, &SQL_rewrap_page, args, &rows, err);
    if (r < 0)
        return r;
    *count = PQntuples(rows);
    if (*count)
        snprintf(cursor, ID_BYTES, "%s", db_get_text(rows, *count - 1, 0));
    return *count ? page_write(rewrap, rows, err) : 0;
}

static int transact_end(struct rewrap *rewrap, int r, struct err *err)
{
    arena_clear(rewrap->arena);
    if (r == 0)
        return db_commit(rewrap->db, err);
    db_rollback(rewrap->db);
    return r;
}

static int keys_rewrap(struct rewrap *rewrap, struct err *err)
{
    char cursor[ID_BYTES] = "";
    int count = 1, r = 0;

    while (r == 0 && count) {
        r = db_begin(rewrap->db, err);
        if (r == 0)
            r = transact_end(rewrap, page_rewrap(rewrap, cursor, &count, err), err);
    }
    return r;
}

/* --- what the ring itself seals ---------------------------------------------------------------------- */

static void value_rewrap(struct rewrap *rewrap, const struct place *place, const PGresult *rows, int row,
                         struct db_column *ids, struct db_column *values)
{
    const char *id = db_get_text(rows, row, 0), *first = seal_ring_id(rewrap->ring, 0);
    char sealed_by[SEAL_KEY_ID_MAX + 1];
    struct bytes sealed, plain;
    struct err err;

    sealed.data = db_get_bytes(rows, row, 1, &sealed.length);
    seal_ring_id_of(sealed, sealed_by);
    if (!strcmp(sealed_by, first)) {
        tally_of(rewrap, first)->counts[1 + (place - places)]++;
    } else if (seal_ring_open(rewrap->ring, place->what, id, sealed, rewrap->arena, &plain, &err) < 0) {
        tally_of(rewrap, sealed_by)->counts[1 + (place - places)]++;
        rewrap->lost++;
    } else {
        sealed = seal_ring_close(rewrap->ring, place->what, id, plain, rewrap->arena);
        db_add_text(ids, id);
        db_add_bytes(values, sealed.data, sealed.length);
        tally_of(rewrap, first)->counts[1 + (place - places)]++;
        rewrap->moved++;
    }
}

static int place_rewrap_within(struct rewrap *rewrap, const struct place *place, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(rewrap->arena);
    struct db_column *ids = db_array(args, DB_TEXT), *values = db_array(args, DB_BYTES);
    int64_t before = rewrap->moved;
    int r = db_run_planned(rewrap->db, place->read, db_args_new(rewrap->arena), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        value_rewrap(rewrap, place, rows, row, ids, values);
    if (r < 0 || rewrap->moved == before) {
        (void)db_args_wire(args); /* gives the columns' memory to the arena */
        return r;
    }
    return db_do_planned(rewrap->db, place->write, args, err);
}

/* The bytes change, so it is told, with the reason. */
static int place_rewrap(struct rewrap *rewrap, const struct place *place, struct err *err)
{
    const struct actor actor = { .by = "system", .reason = "rewrapped", .source = rewrap->source };
    int r = db_begin(rewrap->db, err);

    if (r < 0)
        return r;
    r = actor_set(rewrap->db, &actor, rewrap->arena, err);
    if (r == 0)
        r = place_rewrap_within(rewrap, place, err);
    return transact_end(rewrap, r, err);
}

/* --- what each key seals ----------------------------------------------------------------------------- */

static int keys_count(struct rewrap *rewrap, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(rewrap->db, &SQL_rewrap_counts, db_args_new(rewrap->arena), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        tally_of(rewrap, db_get_text(rows, row, 0))->counts[0] = db_get_int(rows, row, 1);
    return r;
}

static bool tally_is_empty(const struct tally *tally)
{
    for (size_t i = 0; i < COUNT_OF(tally->counts); i++)
        if (tally->counts[i])
            return false;
    return true;
}

static void tally_print(const struct rewrap *rewrap, const struct tally *tally)
{
    printf("%s: %lld keys of requests", tally->id, (long long)tally->counts[0]);
    for (size_t i = 0; i < COUNT_OF(places); i++)
        printf(", %lld %s", (long long)tally->counts[1 + i], places[i].name);
    if (!tally->in_ring)
        printf(" (not in the ring: they can't be opened)");
    else if (tally != rewrap->tallies && tally_is_empty(tally))
        printf(" (may be dropped)");
    printf("\n");
}

/* --- the verb ---------------------------------------------------------------------------------------- */

static int rewrap_run(struct rewrap *rewrap, struct err *err)
{
    int r;

    for (int i = 0; seal_ring_id(rewrap->ring, i) && i < IDS_MAX; i++)
        tally_of(rewrap, seal_ring_id(rewrap->ring, i))->in_ring = true;
    r = keys_rewrap(rewrap, err);
    for (size_t i = 0; r == 0 && i < COUNT_OF(places); i++)
        r = place_rewrap(rewrap, &places[i], err);
    return r == 0 ? keys_count(rewrap, err) : r;
}

static int rewrap_with(const struct config *config, struct err *err)
{
    _cleanup_(db_freep) struct db *db = db_new(config->postgres_url, "docketctl");
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    _cleanup_(seal_ring_freep) struct seal_ring *ring = NULL;
    char source[SOURCE_BYTES];
    struct rewrap rewrap = { .db = db, .source = source, .arena = arena };
    int r;

    if (!config->sealing_keys)
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_SEALING_KEYS is required: the ring, with the old keys in it");
    snprintf(source, sizeof(source), "/docket/%s/docketctl", config->cluster);
    r = seal_ring_new(config->sealing_keys, NULL, &ring, err);
    rewrap.ring = ring;
    if (r == 0)
        r = rewrap_run(&rewrap, err);
    if (r < 0)
        return r;
    printf("%lld sealed anew\n", (long long)rewrap.moved);
    for (int i = 0; i < rewrap.tally_count; i++)
        tally_print(&rewrap, &rewrap.tallies[i]);
    if (!rewrap.lost)
        return 0;
    return err_set(err, ERR_REFUSED, "%lld could not be opened", (long long)rewrap.lost);
}

int rewrap_verb(const struct config *config, struct err *err)
{
    _cleanup_(config_freep) struct config *own = NULL;
    int r = config ? 0 : config_load(CONFIG_CTL, NULL, &own, err);

    if (r == 0)
        r = config_require((config ? config : own)->postgres_url, "DOCKET_POSTGRES_URL", err);
    return r < 0 ? r : rewrap_with(config ? config : own, err);
}
