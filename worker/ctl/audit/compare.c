#include <stdio.h>
#include <string.h>

#include "worker/ctl/audit/rebuild.h"
#include "worker/ctl/audit/rebuild.sql.h"

enum { DETAIL_PAGE = 50, PAGE_MAX = 2 * REBUILD_PAGE };

/* Requests of both sides, in the order of their ids, and where the next page begins. */
struct page {
    const char *ids[PAGE_MAX];
    int count;
    char cursor[REBUILD_ID_BYTES];
    bool last;
};

/* Those that are at the same event on both sides, and those that have gone on since the moment of the original's. */
struct group {
    const char *ids[PAGE_MAX];
    int64_t seqs[PAGE_MAX]; /* the original's */
    int count;
};

/* --- pages ----------------------------------------------------------------------------------------------- */

static int side_read(struct rebuild *rebuild, struct db *db, const char *cursor, PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(rebuild->arena);

    db_text(args, cursor);
    db_int(args, REBUILD_PAGE);
    return db_run_planned(db, &SQL_rebuild_page, args, ret, err);
}

/* As far as both are known: a full page says nothing of what comes after it. */
static const char *horizon_of(const PGresult *one, const PGresult *other)
{
    const PGresult *sides[] = { one, other };
    const char *horizon = NULL;

    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        const char *end = PQntuples(sides[i]) == REBUILD_PAGE ? db_get_text(sides[i], REBUILD_PAGE - 1, 0) : NULL;

        if (end && (!horizon || strcmp(end, horizon) < 0))
            horizon = end;
    }
    return horizon;
}

static void page_add(struct page *page, const char *id, const char *horizon, struct arena *arena)
{
    if (!horizon || strcmp(id, horizon) <= 0)
        page->ids[page->count++] = arena_strdup(arena, id);
}

static void page_merge(struct page *page, const PGresult *one, const PGresult *other, struct arena *arena)
{
    const char *horizon = horizon_of(one, other);
    int i = 0, j = 0;

    page->count = 0;
    while (i < PQntuples(one) || j < PQntuples(other)) {
        const char *a = i < PQntuples(one) ? db_get_text(one, i, 0) : NULL;
        const char *b = j < PQntuples(other) ? db_get_text(other, j, 0) : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);

        page_add(page, order <= 0 ? a : b, horizon, arena);
        i += order <= 0;
        j += order >= 0;
    }
    page->last = !horizon;
    if (horizon)
        snprintf(page->cursor, REBUILD_ID_BYTES, "%s", horizon);
}

static int page_read(struct rebuild *rebuild, struct page *page, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *one = NULL, *other = NULL;
    int r = side_read(rebuild, rebuild->into, page->cursor, &one, err);

    if (r == 0)
        r = side_read(rebuild, rebuild->original, page->cursor, &other, err);
    if (r == 0)
        page_merge(page, one, other, rebuild->arena);
    return r;
}

/* --- where each request is ------------------------------------------------------------------------------- */

static int read_ids(struct rebuild *rebuild, struct db *db, const struct sql *sql, const struct page *page,
                    PGresult **ret, struct err *err)
{
    return db_run_planned(db, sql, rebuild_ids(rebuild, page->ids, page->count), ret, err);
}

/* -1: it is not there. */
static int64_t number_of(const PGresult *rows, const char *id)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), id))
            return PQnfields(rows) > 1 ? db_get_int(rows, row, 1) : 0;
    return -1;
}

static void tell_unread(struct rebuild *rebuild, const char *id, int64_t from, int64_t to)
{
    char *first = arena_printf(rebuild->arena, "%lld", (long long)from);
    char *last = arena_printf(rebuild->arena, "%lld", (long long)to);

    rebuild_tell(rebuild, "not_on_topic", (const char *const[]){ "request_id", id, "from", first, "to", last, NULL },
                 "%s: its events %s to %s are in PostgreSQL, and not on the topic", id, first, last);
}

static void group_add(struct group *group, const char *id, int64_t seq)
{
    group->ids[group->count] = id;
    group->seqs[group->count++] = seq;
}

struct places {
    PGresult *rebuilt, *original, *outbox, *older;
};

static void places_end(struct places *places)
{
    PQclear(places->rebuilt);
    PQclear(places->original);
    PQclear(places->outbox);
    PQclear(places->older);
}

static int places_read(struct rebuild *rebuild, const struct page *page, struct places *places, struct err *err)
{
    int r = read_ids(rebuild, rebuild->into, &SQL_rebuild_seqs, page, &places->rebuilt, err);

    if (r == 0)
        r = read_ids(rebuild, rebuild->into, &SQL_rebuild_older, page, &places->older, err);
    if (r == 0)
        r = read_ids(rebuild, rebuild->original, &SQL_rebuild_seqs, page, &places->original, err);
    if (r == 0)
        r = read_ids(rebuild, rebuild->original, &SQL_rebuild_outbox, page, &places->outbox, err);
    return r;
}

/* same: compared as they are, and so are those that one side has not at all. moved: that have gone on since. */
static void place_judge(struct rebuild *rebuild, const struct places *places, const char *id, struct group *same,
                        struct group *moved)
{
    int64_t rebuilt = number_of(places->rebuilt, id), original = number_of(places->original, id);
    int64_t waiting = number_of(places->outbox, id);

    if (number_of(places->older, id) >= 0) {
        rebuild->older++;
    } else if (original < 0 || rebuilt == original) {
        group_add(same, id, original);
    } else if (rebuilt > original) {
        group_add(moved, id, original);
    } else {
        rebuilt = rebuilt < 0 ? 0 : rebuilt;
        if (waiting < 0 || waiting > rebuilt + 1)
            tell_unread(rebuild, id, rebuilt + 1, waiting < 0 ? original : waiting - 1);
        else
            rebuild->unpublished++;
    }
}

/* --- rows ------------------------------------------------------------------------------------------------ */

static void tell_difference(struct rebuild *rebuild, const char *name, const PGresult *rows, int row)
{
    const char *id = db_get_text(rows, row, 0), *key = db_get_text(rows, row, 1), *column = db_get_text(rows, row, 2);
    const char *derived = db_get_text(rows, row, 3), *found = db_get_text(rows, row, 4);
    struct rebuild_table *table = rebuild_table(rebuild, name);
    const char *const members[] = { "request_id", id, "table", name, "row", key, "column", column,
                                    "derived", derived, "found", found, NULL };

    /* A member may be null, and the list ends with a name that is. */
    if (table)
        table->differences++;
    rebuild_tell(rebuild, "difference", members, "%s: %s%s%s, %s: the log says %s, PostgreSQL %s", id, name,
                 strcmp(key, id) ? " " : "", strcmp(key, id) ? key : "", column ? column : "the whole row",
                 derived ? derived : "nothing", found ? found : "nothing");
}

static int some_tell(struct rebuild *rebuild, const char *name, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *found = NULL, *rows = NULL;
    struct db_args *args = db_args_new(rebuild->arena);
    struct db_column *column;
    int r;

    db_text(args, name);
    column = db_array(args, DB_TEXT);
    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    r = db_run_planned(rebuild->original, &SQL_rebuild_found, args, &found, err);
    if (r < 0)
        return r;
    args = db_args_new(rebuild->arena);
    db_text(args, name);
    column = db_array(args, DB_TEXT);
    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    db_json(args, db_get_text(found, 0, 0));
    r = db_run_planned(rebuild->into, &SQL_rebuild_differences, args, &rows, err);
    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        tell_difference(rebuild, name, rows, row);
    return r;
}

/* The digests differ: where. */
static int table_tell(struct rebuild *rebuild, const char *name, const struct group *group, struct err *err)
{
    int r = 0;

    for (int first = 0; r == 0 && first < group->count; first += DETAIL_PAGE) {
        int rest = group->count - first;

        r = some_tell(rebuild, name, group->ids + first, rest < DETAIL_PAGE ? rest : DETAIL_PAGE, err);
    }
    return r;
}

static int digests_read(struct rebuild *rebuild, struct db *db, const struct group *group, bool derived, PGresult **ret,
                        struct err *err)
{
    struct db_args *args = rebuild_ids(rebuild, group->ids, group->count);

    db_bool(args, derived);
    return db_run_planned(db, &SQL_rebuild_digests, args, ret, err);
}

static const char *digest_of(const PGresult *rows, const char *name)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (!strcmp(db_get_text(rows, row, 0), name))
            return db_get_text(rows, row, 2);
    return "";
}

/* derived: what the events say rather than what was rebuilt. */
static int group_compare(struct rebuild *rebuild, const struct group *group, bool derived, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *one = NULL, *other = NULL;
    int r;

    if (!group->count)
        return 0;
    rebuild->compared += group->count;
    r = digests_read(rebuild, rebuild->into, group, derived, &one, err);
    if (r == 0)
        r = digests_read(rebuild, rebuild->original, group, false, &other, err);
    for (int i = 0; r == 0 && i < rebuild->table_count; i++) {
        const char *name = rebuild->tables[i].name;

        if (strcmp(digest_of(one, name), digest_of(other, name)) != 0)
            r = table_tell(rebuild, name, group, err);
    }
    return r;
}

/* As they were at the original's moment: by the events until then, which are gone again afterwards. */
static int moved_compare(struct rebuild *rebuild, const struct group *group, struct err *err)
{
    struct db_args *args;
    struct db_column *seqs;
    int r;

    if (!group->count)
        return 0;
    args = rebuild_ids(rebuild, group->ids, group->count);
    seqs = db_array(args, DB_INT);
    for (int i = 0; i < group->count; i++)
        db_add_int(seqs, group->seqs[i]);
    r = db_begin(rebuild->into, err);
    if (r == 0)
        r = db_do_planned(rebuild->into, &SQL_rebuild_rewind, args, err);
    if (r == 0)
        r = group_compare(rebuild, group, true, err);
    db_rollback(rebuild->into);
    return r;
}

static int page_compare(struct rebuild *rebuild, const struct page *page, struct err *err)
{
    _cleanup_(places_end) struct places places = { 0 };
    struct group *groups = arena_array(rebuild->arena, struct group, 2);
    int r = places_read(rebuild, page, &places, err);

    for (int i = 0; r == 0 && i < page->count; i++)
        place_judge(rebuild, &places, page->ids[i], &groups[0], &groups[1]);
    if (r == 0)
        r = group_compare(rebuild, &groups[0], false, err);
    return r == 0 ? moved_compare(rebuild, &groups[1], err) : r;
}

int rebuild_compare(struct rebuild *rebuild, struct err *err)
{
    struct page page = { .count = 0 };
    int r = 0;

    while (r == 0 && !page.last) {
        arena_clear(rebuild->arena);
        r = page_read(rebuild, &page, err);
        if (r == 0 && page.count)
            r = page_compare(rebuild, &page, err);
    }
    return r;
}
