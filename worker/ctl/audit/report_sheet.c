#include "worker/ctl/audit/report_sheet.h"

#include <inttypes.h>
#include <string.h>

enum { PARTS_MAX = 3 };

/* --- figures ------------------------------------------------------------------------------------------- */

static int64_t sum(const struct tally *tally, enum tally_table table, int which)
{
    int64_t count = 0;

    for (const struct tally_row *row = tally_first(tally, table); row; row = tally_next(row))
        count += row->counts[which];
    return count;
}

static void figures(struct sheet *sheet, const struct tally *tally)
{
    static const struct {
        const char *key, *title;
        enum tally_course course;
    } courses[] = {
        { "received", "requests received", COURSE_RECEIVED }, { "approved", "approved", COURSE_APPROVED },
        { "denied", "denied", COURSE_DENIED },                { "canceled", "canceled", COURSE_CANCELED },
        { "completed", "completed", COURSE_COMPLETED },       { "failed", "failures of a run", COURSE_FAILED },
        { "open", "open at the end", COURSE_OPEN },
    };
    const struct tally_sums *sums = tally_sums(tally);

    for (size_t i = 0; i < COUNT_OF(courses); i++)
        sheet_figure(sheet, courses[i].key, courses[i].title, sum(tally, TALLY_POLICIES, courses[i].course));
    sheet_figure(sheet, "overdue", "of these overdue", sums->overdue);
    sheet_figure(sheet, "late", "completed late", sums->late);
    sheet_figure(sheet, "deleted", "deleted", sums->deleted);
}

/* --- tables that are a tally's ------------------------------------------------------------------------- */

/* Part `number` of a row's key; "" when it has fewer, as the row of all others does. */
static const char *part_of(const struct tally_row *row, int number, struct arena *arena)
{
    const char *at = row->key;

    for (; at && number; number--) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at ? arena_strndup(arena, at, strcspn(at, "\n")) : "";
}

static int rows_of(const struct tally *tally, enum tally_table table)
{
    int count = 0;

    for (const struct tally_row *row = tally_first(tally, table); row; row = tally_next(row))
        count++;
    return count;
}

static void cells_fill(struct sheet_cell *cells, const struct tally_row *row, int parts, const int *counts,
                       int count_count, struct arena *arena)
{
    for (int i = 0; i < parts; i++)
        cells[i].text = part_of(row, i, arena);
    for (int i = 0; i < count_count; i++)
        cells[parts + i].number = row->counts[counts[i]];
}

struct layout {
    enum tally_table table;
    const char *key, *title, *note;
    int parts;             /* columns that are parts of the key */
    int count_count;       /* and those after them, which are counts */
    const int counts[TALLY_COUNTS];
    const struct sheet_column columns[PARTS_MAX + TALLY_COUNTS];
};

static void table_lay(struct sheet *sheet, const struct tally *tally, const struct layout *layout)
{
    struct sheet_table *table = sheet_table(sheet, layout->key, layout->title, layout->note, layout->columns,
                                            layout->parts + layout->count_count, rows_of(tally, layout->table));

    for (const struct tally_row *row = tally_first(tally, layout->table); row; row = tally_next(row))
        cells_fill(sheet_row(table), row, layout->parts, layout->counts, layout->count_count, sheet->arena);
}

#define COURSES                                                                                                \
    { "received", "received", SHEET_COUNT }, { "approved", "approved", SHEET_COUNT },                          \
        { "denied", "denied", SHEET_COUNT }, { "canceled", "canceled", SHEET_COUNT },                          \
        { "completed", "completed", SHEET_COUNT }, { "failed", "failures", SHEET_COUNT },                      \
        { "retried", "retries", SHEET_COUNT }, { "open", "open at the end", SHEET_COUNT }
#define COURSE_ORDER                                                                                           \
    { COURSE_RECEIVED, COURSE_APPROVED,  COURSE_DENIED,  COURSE_CANCELED,                                      \
      COURSE_COMPLETED, COURSE_FAILED, COURSE_RETRIED, COURSE_OPEN }

static const struct layout statuses = {
    TALLY_STATUSES, "statuses", "How they stand",
    "At the end of the period: the requests received in it, and all there are.",
    1, 2, { 0, 1 },
    { { "status", "status", SHEET_TEXT }, { "received", "received in the period", SHEET_COUNT },
      { "all", "all", SHEET_COUNT } },
};
static const struct layout actions = {
    TALLY_ACTIONS, "actions", "By what is asked for", "What happened in the period, whenever the request was received.",
    1, 8, COURSE_ORDER, { { "action", "action", SHEET_TEXT }, COURSES },
};
static const struct layout policies = {
    TALLY_POLICIES, "policies", "By policy", NULL,
    1, 8, COURSE_ORDER, { { "policy", "policy", SHEET_TEXT }, COURSES },
};
static const struct layout deciders = {
    TALLY_DECIDERS, "deciders", "Who decided",
    "webhooks: all of them said eligible. system: no approval was asked for.",
    1, 3, { 0, 1, 2 },
    { { "by", "by", SHEET_TEXT }, { "approved", "approved", SHEET_COUNT }, { "denied", "denied", SHEET_COUNT },
      { "canceled", "canceled", SHEET_COUNT } },
};
static const struct layout failures = {
    TALLY_FAILURES, "failures", "Where runs failed",
    "Each time; the same request may fail more than once. paused: it was not resumed in time.",
    1, 1, { 0 },
    { { "step", "step", SHEET_TEXT }, { "failures", "failures", SHEET_COUNT } },
};
static const struct layout tasks = {
    TALLY_TASKS, "tasks", "Parts of runs", "Collections read (access) and erased (erasure), packages made.",
    1, 4, { 0, 1, 2, 3 },
    { { "action", "part", SHEET_TEXT }, { "completed", "done", SHEET_COUNT }, { "skipped", "skipped", SHEET_COUNT },
      { "retried", "tried again", SHEET_COUNT }, { "failed", "failed", SHEET_COUNT } },
};
static const struct layout outcomes = {
    TALLY_OUTCOMES, "outcomes", "What came of the calls", NULL,
    3, 1, { 0 },
    { { "kind", "when", SHEET_TEXT }, { "webhook", "webhook", SHEET_TEXT }, { "outcome", "outcome", SHEET_TEXT },
      { "attempts", "attempts", SHEET_COUNT } },
};

/* --- durations ----------------------------------------------------------------------------------------- */

/* Per mille of a spread, and the columns that show it. */
static const int time_marks[] = { 500, 900, 990, 1000 }, call_marks[] = { 500, 990, 1000 };

#define MARK_50 { "p50", "half within", SHEET_DURATION }
#define MARK_90 { "p90", "90 % within", SHEET_DURATION }
#define MARK_99 { "p99", "99 % within", SHEET_DURATION }
#define MARK_MAX { "max", "longest", SHEET_DURATION }

static void spread_fill(struct sheet_cell *cells, const struct spread *spread, const int *marks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cells[i].number = spread_at(spread, marks[i]);
}

static const char *time_name(const char *key)
{
    static const char *const names[][2] = { { "decided", "received to decided" },
                                            { "done", "approved to completed" },
                                            { "over", "received to over" } };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!strcmp(key, names[i][0]))
            return names[i][1];
    return key;
}

static void times(struct sheet *sheet, const struct tally *tally)
{
    static const struct sheet_column columns[] = {
        { "from_to", "from, to", SHEET_TEXT }, { "action", "action", SHEET_TEXT },
        { "requests", "requests", SHEET_COUNT }, MARK_50, MARK_90, MARK_99, MARK_MAX,
    };
    struct sheet_table *table = sheet_table(
        sheet, "times", "How long it took",
        "Of requests that were decided, completed or over in the period. Decided: approved or denied. Over: complete, "
        "denied or canceled. Times are up to 3.2 % too long, but for the longest.",
        columns, COUNT_OF(columns), rows_of(tally, TALLY_TIMES));

    for (const struct tally_row *row = tally_first(tally, TALLY_TIMES); row; row = tally_next(row)) {
        struct sheet_cell *cells = sheet_row(table);
        const char *action = part_of(row, 1, sheet->arena);

        cells[0].text = time_name(part_of(row, 0, sheet->arena));
        cells[1].text = *action ? action : "all";
        cells[2].number = spread_count(row->spread);
        spread_fill(cells + 3, row->spread, time_marks, COUNT_OF(time_marks));
    }
}

static void calls(struct sheet *sheet, const struct tally *tally)
{
    static const int counts[] = { CALLS_ATTEMPTS, CALLS_TAKEN,    CALLS_AGAIN,
                                  CALLS_GIVEN_UP, CALLS_REMINDED, CALLS_SKIPPED };
    static const struct sheet_column columns[] = {
        { "endpoint", "endpoint", SHEET_TEXT }, { "kind", "when", SHEET_TEXT }, { "webhook", "webhook", SHEET_TEXT },
        { "attempts", "attempts", SHEET_COUNT }, { "succeeded", "succeeded", SHEET_COUNT },
        { "retries", "retries", SHEET_COUNT }, { "given_up", "given up", SHEET_COUNT },
        { "reminders", "reminders", SHEET_COUNT }, { "skipped", "skipped", SHEET_COUNT }, MARK_50, MARK_99, MARK_MAX,
    };
    struct sheet_table *table =
        sheet_table(sheet, "calls", "Calls to webhooks",
                    "Every attempt that was made. retries: attempts after the first of their call. The endpoint is the "
                    "connection that was called last, where an event tells it.",
                    columns, COUNT_OF(columns), rows_of(tally, TALLY_CALLS));

    for (const struct tally_row *row = tally_first(tally, TALLY_CALLS); row; row = tally_next(row)) {
        struct sheet_cell *cells = sheet_row(table);

        cells[0].text = row->endpoint ? row->endpoint : "";
        cells_fill(cells + 1, row, 2, counts, COUNT_OF(counts), sheet->arena);
        spread_fill(cells + 3 + COUNT_OF(counts), row->spread, call_marks, COUNT_OF(call_marks));
    }
}

static void overdue(struct sheet *sheet, const struct tally *tally, const struct tally_period *period)
{
    static const struct sheet_column columns[] = {
        { "request", "request", SHEET_TEXT }, { "policy", "policy", SHEET_TEXT }, { "status", "status", SHEET_TEXT },
        { "due", "was due", SHEET_TIME }, { "for", "overdue for", SHEET_DURATION },
    };
    const struct tally_sums *sums = tally_sums(tally);
    struct sheet_table *table =
        sheet_table(sheet, "overdue", "Overdue and still open",
                    arena_printf(sheet->arena, "%" PRId64 " at the end of the period; the %d that are due longest are "
                                 "listed at the most.", sums->overdue, TALLY_OVERDUE_MAX),
                    columns, COUNT_OF(columns), sums->overdue_count);

    for (int i = 0; i < sums->overdue_count; i++) {
        const struct tally_overdue *one = &sums->overdue_list[i];
        struct sheet_cell *cells = sheet_row(table);

        cells[0].text = one->request_id;
        cells[1].text = one->policy_key;
        cells[2].text = lifecycle_word(one->status);
        cells[3].number = one->due;
        cells[4].number = period->until - one->due;
    }
}

/* --- all of it ----------------------------------------------------------------------------------------- */

static void notes(struct sheet *sheet, const struct tally *tally)
{
    const struct tally_sums *sums = tally_sums(tally);
    struct arena *arena = sheet->arena;

    sheet_note(sheet, arena_printf(arena, "%" PRId64 " records were read, %" PRId64
                                   " of them repeats, which count once.", sums->events, sums->repeats));
    if (sums->beginless)
        sheet_note(sheet, arena_printf(arena, "Of %" PRId64 " requests the first event is not on the topic: they have "
                                       "no policy here, and are in no time.", sums->beginless));
    if (sums->strangers)
        sheet_note(sheet, arena_printf(arena, "%" PRId64 " records are no events of requests and were passed over.",
                                       sums->strangers));
    if (sums->folded)
        sheet_note(sheet, arena_printf(arena, "Tables end after %d rows; what is more is counted under (others).",
                                       TALLY_ROWS_MAX));
    sheet_note(sheet, "Whether the log is whole is told by docketctl audit verify.");
}

struct sheet *report_sheet(const struct tally *tally, const struct tally_period *period, const char *topic, usec_t now,
                           struct arena *arena)
{
    struct sheet *sheet = sheet_new(arena, "Privacy requests", topic);

    sheet->since = period->since;
    sheet->until = period->until;
    sheet->made_at = now;
    figures(sheet, tally);
    table_lay(sheet, tally, &statuses);
    table_lay(sheet, tally, &actions);
    table_lay(sheet, tally, &policies);
    times(sheet, tally);
    overdue(sheet, tally, period);
    table_lay(sheet, tally, &deciders);
    table_lay(sheet, tally, &failures);
    table_lay(sheet, tally, &tasks);
    calls(sheet, tally);
    table_lay(sheet, tally, &outcomes);
    notes(sheet, tally);
    return sheet;
}
