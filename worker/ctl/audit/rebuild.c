#include "worker/ctl/audit/rebuild.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/migrate.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/rebuild.sql.h"
#include "worker/ctl/jsonline.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit rebuild --into URL [--compare] [--json]"

/* An event is published after it happened, by a clock that may be another's. */
#define CLOCKS_APART (10 * 60 * USEC_PER_S)

enum { TEXT_BYTES = 2048 };

static const struct option_row rows[] = {
    { "--into", OPTION_TEXT, offsetof(struct rebuild_options, into) },
    { "--compare", OPTION_FLAG, offsetof(struct rebuild_options, compare) },
    { "--json", OPTION_FLAG, offsetof(struct rebuild_options, json) },
    { 0 },
};

/* --- telling ------------------------------------------------------------------------------------------- */

/* What rows hold goes to a terminal. */
static void print_safely(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
    putchar('\n');
}

void rebuild_tell(struct rebuild *rebuild, const char *kind, const char *const *members, const char *format, ...)
{
    char text[TEXT_BYTES];
    struct jsonline line;
    va_list args;

    rebuild->findings++;
    if (!rebuild->options.json) {
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        print_safely(text);
        return;
    }
    line = jsonline_begin(kind);
    for (; members[0]; members += 2)
        jsonline_text(&line, members[0], members[1]);
    jsonline_end(&line);
}

static void tables_tell(const struct rebuild *rebuild)
{
    bool compared = rebuild->original;

    if (!rebuild->options.json)
        printf("%-20s %12s %8s%s\n", "table", "rows", "columns", compared ? " differences" : "");
    for (int i = 0; i < rebuild->table_count; i++) {
        const struct rebuild_table *table = &rebuild->tables[i];
        struct jsonline line;

        if (!rebuild->options.json) {
            printf("%-20s %12lld %8lld", table->name, (long long)table->rows, (long long)table->columns);
            if (compared)
                printf(" %11lld", (long long)table->differences);
            printf("\n");
            continue;
        }
        line = jsonline_begin("table");
        jsonline_text(&line, "table", table->name);
        jsonline_number(&line, "rows", table->rows);
        jsonline_number(&line, "columns", table->columns);
        if (compared)
            jsonline_number(&line, "differences", table->differences);
        jsonline_end(&line);
    }
}

static void summary_tell(const struct rebuild *rebuild)
{
    struct jsonline line;

    if (rebuild->options.json) {
        line = jsonline_begin("summary");
        jsonline_number(&line, "events", rebuild->events);
        jsonline_number(&line, "repeats", rebuild->repeats);
        jsonline_number(&line, "requests", rebuild->requests);
        jsonline_number(&line, "compared", rebuild->compared);
        jsonline_number(&line, "older", rebuild->older);
        jsonline_number(&line, "unpublished", rebuild->unpublished);
        jsonline_number(&line, "findings", rebuild->findings);
        jsonline_end(&line);
        return;
    }
    printf("%lld events of %lld requests, and %lld repeats\n", (long long)rebuild->events, (long long)rebuild->requests,
           (long long)rebuild->repeats);
    if (!rebuild->original)
        return;
    printf("%lld requests compared", (long long)rebuild->compared);
    if (rebuild->older)
        printf(", %lld of a release before 0.4.0 left out", (long long)rebuild->older);
    if (rebuild->unpublished)
        printf(", %lld left out whose last events are not published yet", (long long)rebuild->unpublished);
    printf(": %lld findings\n", (long long)rebuild->findings);
}

/* --- the two databases --------------------------------------------------------------------------------- */

struct rebuild_table *rebuild_table(struct rebuild *rebuild, const char *name)
{
    for (int i = 0; i < rebuild->table_count; i++)
        if (!strcmp(rebuild->tables[i].name, name))
            return &rebuild->tables[i];
    return NULL;
}

struct db_args *rebuild_ids(struct rebuild *rebuild, const char *const *ids, int count)
{
    struct db_args *args = db_args_new(rebuild->arena);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    return args;
}

static int tables_read(struct rebuild *rebuild, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *found = NULL;
    int r = db_run(rebuild->into, &SQL_rebuild_columns, NULL, &found, err);

    for (int row = 0; r == 0 && row < PQntuples(found) && row < REBUILD_TABLES_MAX; row++) {
        struct rebuild_table *table = &rebuild->tables[rebuild->table_count++];

        snprintf(table->name, sizeof(table->name), "%s", db_get_text(found, row, 0));
        table->columns = db_get_int(found, row, 1);
    }
    return r;
}

/* Nothing but what this makes may be there. */
static int into_open(struct rebuild *rebuild, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *empty = NULL;
    int applied, r;

    rebuild->into = db_new(rebuild->options.into, "docketctl rebuild");
    r = db_run(rebuild->into, &SQL_rebuild_is_empty, NULL, &empty, err);
    if (r < 0)
        return r;
    if (!db_get_bool(empty, 0, 0))
        return err_set(err, ERR_BAD_REQUEST, "the database of --into is not empty: it must have no table");
    r = db_do(rebuild->into, &SQL_rebuild_session, NULL, err);
    if (r == 0)
        r = migrate_run(rebuild->into, &applied, err);
    return r == 0 ? tables_read(rebuild, err) : r;
}

static int original_open(struct rebuild *rebuild, struct err *err)
{
    struct migrate_state state;
    int r;

    if (!rebuild->options.compare)
        return 0;
    if (!rebuild->config->postgres_url || !*rebuild->config->postgres_url)
        return err_set(err, ERR_BAD_REQUEST, "--compare needs DOCKET_POSTGRES_URL, the database that docket runs on");
    rebuild->original = db_new(rebuild->config->postgres_url, "docketctl rebuild");
    r = migrate_state(rebuild->original, &state, err);
    if (r == 0 && !state.current)
        return err_set(err, ERR_UNAVAILABLE, "the database that docket runs on has an older schema: docketctl migrate");
    return r;
}

/* --- deriving ------------------------------------------------------------------------------------------ */

static int gaps_tell(struct rebuild *rebuild, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *gaps = NULL;
    int r = db_run_planned(rebuild->into, &SQL_rebuild_gaps, rebuild_ids(rebuild, ids, count), &gaps, err);

    for (int row = 0; r == 0 && row < PQntuples(gaps); row++) {
        const char *id = db_get_text(gaps, row, 0);
        char *from = arena_printf(rebuild->arena, "%lld", (long long)db_get_int(gaps, row, 1));
        char *to = arena_printf(rebuild->arena, "%lld", (long long)db_get_int(gaps, row, 2));

        rebuild_tell(rebuild, "gap", (const char *const[]){ "request_id", id, "from", from, "to", to, NULL },
                     "%s: events %s to %s are missing on the topic", id, from, to);
    }
    return r;
}

static int page_derive(struct rebuild *rebuild, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *made = NULL;
    int r = gaps_tell(rebuild, ids, count, err);

    if (r == 0)
        r = db_run_planned(rebuild->into, &SQL_rebuild_rows, rebuild_ids(rebuild, ids, count), &made, err);
    for (int row = 0; r == 0 && row < PQntuples(made); row++) {
        struct rebuild_table *table = rebuild_table(rebuild, db_get_text(made, row, 0));

        if (table)
            table->rows += db_get_int(made, row, 1);
    }
    rebuild->requests += count;
    return r;
}

/* *count 0: there are no more. */
static int page_next(struct rebuild *rebuild, char cursor[REBUILD_ID_BYTES], int *count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *page = NULL;
    struct db_args *args = db_args_new(rebuild->arena);
    const char *ids[REBUILD_PAGE];
    int r;

    db_text(args, cursor);
    db_int(args, REBUILD_PAGE);
    r = db_run_planned(rebuild->into, &SQL_rebuild_page, args, &page, err);
    if (r < 0)
        return r;
    *count = PQntuples(page);
    for (int row = 0; row < *count; row++)
        ids[row] = db_get_text(page, row, 0);
    if (*count)
        snprintf(cursor, REBUILD_ID_BYTES, "%s", ids[*count - 1]);
    return *count ? page_derive(rebuild, ids, *count, err) : 0;
}

int rebuild_derive(struct rebuild *rebuild, struct err *err)
{
    char cursor[REBUILD_ID_BYTES] = "";
    int count = 1, r = db_do(rebuild->into, &SQL_rebuild_analyze, NULL, err);

    while (r == 0 && count) {
        arena_clear(rebuild->arena);
        r = page_next(rebuild, cursor, &count, err);
    }
    return r;
}

/* --- the verb ------------------------------------------------------------------------------------------ */

/* The original as it is at one moment; whatever it has by then, and not in its outbox, is on the topic, and is read before
 * it is compared. */
static int original_hold(struct rebuild *rebuild, struct err *err)
{
    int r = db_begin(rebuild->original, err);

    if (r == 0)
        r = db_do(rebuild->original, &SQL_rebuild_snapshot, NULL, err);
    if (r == 0)
        r = migrate_state(rebuild->original, &(struct migrate_state){ 0 }, err); /* the first statement takes it */
    return r == 0 ? rebuild_fill(rebuild, rebuild->opened_at - CLOCKS_APART, err) : r;
}

static int rebuild_run(struct rebuild *rebuild, struct err *err)
{
    int r = original_open(rebuild, err);

    if (r == 0)
        r = into_open(rebuild, err);
    rebuild->opened_at = usec_now();
    if (r == 0)
        r = rebuild_fill(rebuild, USEC_NONE, err);
    if (r == 0 && rebuild->original)
        r = original_hold(rebuild, err);
    if (r == 0)
        r = rebuild_derive(rebuild, err);
    if (r == 0 && rebuild->original)
        r = rebuild_compare(rebuild, err);
    if (r < 0)
        return r;
    tables_tell(rebuild);
    summary_tell(rebuild);
    return rebuild->findings ? err_set(err, ERR_REFUSED, "%lld findings", (long long)rebuild->findings) : 0;
}

static void rebuild_end(struct rebuild *rebuild)
{
    if (rebuild->original)
        db_rollback(rebuild->original);
    db_free(rebuild->original);
    db_free(rebuild->into);
    arena_free(rebuild->arena);
}

int audit_rebuild(const struct config *config, char **args, struct err *err)
{
    struct rebuild rebuild = { .config = config };
    struct option_texts words;
    int r = option_read(args, rows, &rebuild.options, &words, err);

    if (r < 0)
        return r;
    if (words.count || !rebuild.options.into)
        return verb_usage(USAGE, err);
    rebuild.arena = arena_new();
    r = rebuild_run(&rebuild, err);
    rebuild_end(&rebuild);
    return r;
}
