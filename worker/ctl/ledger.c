/*
 * ledger - whether every call that is owed is delivered, waits or was given up, and every request that waits has somebody
 * who moves it on. Owed is what the log says (request_event); the other side is what the tables have.
 *
 * What may only be under way is looked at once more, after it was asked which events the workers are not done with: an
 * event that they have done with in between has moved its request on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/config.h"
#include "common/db.h"
#include "common/unread.h"
#include "worker/ctl/ledger.sql.h"
#include "worker/ctl/jsonline.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

enum { PAGE = 500, ID_BYTES = 64, UNREAD_MOST = 2000000 };
#define UNREAD_PATIENCE (30 * USEC_PER_S)

/* Where a call can be. What was passed over is given up too, with its reason. */
enum sum { OWED, DELIVERED, WAITING, HELD, GIVEN_UP, WRONG, SUMS };
static const char *const sum_words[SUMS] = { "owed", "delivered", "waiting", "held", "given_up", "wrong" };
static const struct {
    const char *state;
    enum sum sum;
} states[] = {
    { "delivered", DELIVERED }, { "waiting", WAITING },  { "held", HELD },
    { "given_up", GIVEN_UP },   { "skipped", GIVEN_UP },
};

/* doubtful: it may be that somebody is at it, which only the topics tell. */
static const struct problem {
    const char *word, *says;
    bool doubtful;
} problems[] = {
    { "missing", "the log owes it, and it has no row", false },
    { "not_owed", "it has a row, and nothing in the log owes it", false },
    { "contradicted", "its row says otherwise than the log", false },
    { "no_webhook", "it waits, and its webhook is no more", false },
    { "no_time", "it waits, at no time and for no event", true },
    { "unread", "nobody is about to read what sets it going", true },
    { "no_call", "it runs, and no call or task of it is due, under way or held", true },
    { "held", "a call is held that nothing holds", true },
    { "no_timer", "it is paused without an end", true },
    { "no_asker", "nobody is asked for what it waits for", true },
    { "no_reply", "a pre-approval webhook was not called and has not replied", true },
    { "not_approved", "every pre-approval webhook has said eligible", true },
};

struct reason {
    const char *word;
    int64_t count;
    UT_hash_handle hh;
};

struct endpoint {
    const char *id, *key; /* key NULL: it was deleted */
    int64_t sums[SUMS];
    struct reason *reasons; /* why calls were given up */
    UT_hash_handle hh;
};

/* A request that is to be looked at once more. */
struct doubt {
    char request_id[ID_BYTES];
    int64_t seq;
};

struct ledger {
    const struct config *config;
    struct db *db;
    struct arena *arena, *page; /* of all; of a page */
    bool json;
    struct endpoint *endpoints, all;
    struct doubt *doubts;
    int64_t doubt_count, doubt_capacity;
    int64_t requests, older, calls_wrong, nobody;
};

/* --- findings ---------------------------------------------------------------------------------------- */

static const struct problem *problem_of(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(problems); i++)
        if (!strcmp(problems[i].word, word))
            return &problems[i];
    return &problems[0]; /* the functions know no other */
}

static void doubt_add(struct ledger *ledger, const char *request_id, int64_t seq)
{
    struct doubt *last = ledger->doubt_count ? &ledger->doubts[ledger->doubt_count - 1] : NULL;

    if (last && !strcmp(last->request_id, request_id))
        return;
    if (ledger->doubt_count == ledger->doubt_capacity) {
        ledger->doubt_capacity = ledger->doubt_capacity ? 2 * ledger->doubt_capacity : 64;
        ledger->doubts = realloc(ledger->doubts, sizeof(*ledger->doubts) * (size_t)ledger->doubt_capacity);
        if (!ledger->doubts)
            abort();
    }
    last = &ledger->doubts[ledger->doubt_count++];
    snprintf(last->request_id, sizeof(last->request_id), "%s", request_id);
    last->seq = seq;
}

static struct endpoint *endpoint_of(struct ledger *ledger, const char *id)
{
    struct endpoint *endpoint;

    HASH_FIND_STR(ledger->endpoints, id, endpoint);
    if (endpoint)
        return endpoint;
    endpoint = arena_new_of(ledger->arena, struct endpoint);
    endpoint->id = arena_strdup(ledger->arena, id);
    HASH_ADD_KEYPTR(hh, ledger->endpoints, endpoint->id, strlen(id), endpoint);
    return endpoint;
}

/* A row of SQL_ledger_wrong. */
static void tell_call(struct ledger *ledger, const PGresult *rows, int row, const struct problem *problem)
{
    static const char *const names[] = { "request_id", "delivery_id", "webhook_id", "problem", "logged", "state" };
    struct jsonline line;

    ledger->calls_wrong++;
    endpoint_of(ledger, db_get_text(rows, row, 7))->sums[WRONG]++;
    if (!ledger->json) {
        const char *logged = db_get_text(rows, row, 4), *state = db_get_text(rows, row, 5);

        printf("%s: call %s to webhook %s: %s (log: %s, table: %s)\n", db_get_text(rows, row, 0),
               db_get_text(rows, row, 1), db_get_text(rows, row, 2), problem->says, logged ? logged : "nothing",
               state ? state : "nothing");
        return;
    }
    line = jsonline_begin("call");
    for (size_t i = 0; i < COUNT_OF(names); i++)
        jsonline_text(&line, names[i], db_get_text(rows, row, (int)i));
    jsonline_end(&line);
}

/* A row of SQL_ledger_nobody. */
static void tell_nobody(struct ledger *ledger, const PGresult *rows, int row, const struct problem *problem)
{
    struct jsonline line;

    ledger->nobody++;
    if (!ledger->json) {
        printf("%s (%s) waits on nobody: %s\n", db_get_text(rows, row, 0), db_get_text(rows, row, 1), problem->says);
        return;
    }
    line = jsonline_begin("nobody");
    jsonline_text(&line, "request_id", db_get_text(rows, row, 0));
    jsonline_text(&line, "status", db_get_text(rows, row, 1));
    jsonline_text(&line, "problem", problem->word);
    jsonline_end(&line);
}

/* --- counting ---------------------------------------------------------------------------------------- */

static void reason_add(struct ledger *ledger, struct endpoint *endpoint, const char *word, int64_t count)
{
    struct reason *reason;

    word = word ? word : "unknown";
    HASH_FIND_STR(endpoint->reasons, word, reason);
    if (!reason) {
        reason = arena_new_of(ledger->arena, struct reason);
        reason->word = arena_strdup(ledger->arena, word);
        HASH_ADD_KEYPTR(hh, endpoint->reasons, reason->word, strlen(word), reason);
    }
    reason->count += count;
}

/* A row of SQL_ledger_counts. */
static void count_add(struct ledger *ledger, const PGresult *rows, int row)
{
    struct endpoint *endpoint = endpoint_of(ledger, db_get_text(rows, row, 0));
    const char *state = db_get_text(rows, row, 1);
    int64_t found = db_get_int(rows, row, 4);

    endpoint->sums[OWED] += db_get_int(rows, row, 3);
    for (size_t i = 0; state && i < COUNT_OF(states); i++)
        if (!strcmp(states[i].state, state)) {
            endpoint->sums[states[i].sum] += found;
            if (states[i].sum == GIVEN_UP)
                reason_add(ledger, endpoint, db_get_text(rows, row, 2), found);
        }
}

static struct db_args *args_of(struct ledger *ledger, const char *const *ids, int count)
{
    struct db_args *args = db_args_new(ledger->page);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(column, ids[i]);
    return args;
}

/* unread NULL: not known yet. */
static struct db_args *unread_args(struct ledger *ledger, const char *const *ids, int count,
                                   const struct unread *unread)
{
    struct db_args *args = args_of(ledger, ids, count);
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = 0; unread && i < count; i++)
        if (unread_has(unread, ids[i]))
            db_add_text(column, ids[i]);
    return args;
}

/* --- a page ------------------------------------------------------------------------------------------ */

/* The calls that are wrong, once it is known that there are some. */
static int wrong_read(struct ledger *ledger, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(ledger->db, &SQL_ledger_wrong, unread_args(ledger, ids, count, NULL), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++) {
        const struct problem *problem = problem_of(db_get_text(rows, row, 3));

        if (problem->doubtful)
            doubt_add(ledger, db_get_text(rows, row, 0), db_get_int(rows, row, 6));
        else
            tell_call(ledger, rows, row, problem);
    }
    return r;
}

static int counts_read(struct ledger *ledger, const char *const *ids, int count, bool *wrong, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(ledger->db, &SQL_ledger_counts, args_of(ledger, ids, count), &rows, err);

    *wrong = false;
    for (int row = 0; r == 0 && row < PQntuples(rows); row++) {
        count_add(ledger, rows, row);
        *wrong |= db_get_int(rows, row, 5) > 0;
    }
    return r;
}

static int older_read(struct ledger *ledger, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(ledger->db, &SQL_ledger_older, args_of(ledger, ids, count), &rows, err);

    if (r == 0)
        ledger->older += db_get_int(rows, 0, 0);
    return r;
}

static int nobody_read(struct ledger *ledger, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run_planned(ledger->db, &SQL_ledger_nobody, unread_args(ledger, ids, count, NULL), &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        doubt_add(ledger, db_get_text(rows, row, 0), db_get_int(rows, row, 3));
    return r;
}

static int page_read(struct ledger *ledger, const char *const *ids, int count, struct err *err)
{
    bool wrong = false;
    int r = counts_read(ledger, ids, count, &wrong, err);

    if (r == 0 && wrong)
        r = wrong_read(ledger, ids, count, err);
    if (r == 0)
        r = nobody_read(ledger, ids, count, err);
    if (r == 0)
        r = older_read(ledger, ids, count, err);
    ledger->requests += count;
    return r;
}

/* *count 0: there are no more. `cursor` moves on. */
static int page_next(struct ledger *ledger, char cursor[ID_BYTES], int *count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(ledger->page);
    const char *ids[PAGE];
    int r;

    db_text(args, cursor);
    db_int(args, PAGE);
    r = db_run_planned(ledger->db, &SQL_ledger_page, args, &rows, err);
    if (r < 0)
        return r;
    *count = PQntuples(rows);
    for (int row = 0; row < *count; row++)
        ids[row] = db_get_text(rows, row, 0);
    if (*count)
        snprintf(cursor, ID_BYTES, "%s", ids[*count - 1]);
    return *count ? page_read(ledger, ids, *count, err) : 0;
}

static int pages_read(struct ledger *ledger, struct err *err)
{
    char cursor[ID_BYTES] = "";
    int count = 1, r = 0;

    while (r == 0 && count) {
        arena_clear(ledger->page);
        r = page_next(ledger, cursor, &count, err);
    }
    return r;
}

/* --- once more --------------------------------------------------------------------------------------- */

/* As it was: nothing has happened to the request since. */
static bool still_doubted(const struct doubt *doubts, int count, const char *request_id, int64_t seq)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(doubts[i].request_id, request_id))
            return doubts[i].seq == seq;
    return false;
}

static int doubts_page(struct ledger *ledger, const struct doubt *doubts, int count, const struct unread *unread,
                       struct err *err)
{
    _cleanup_(db_result_freep) PGresult *calls = NULL, *requests = NULL;
    const char *ids[PAGE];
    int r;

    for (int i = 0; i < count; i++)
        ids[i] = doubts[i].request_id;
    r = db_run_planned(ledger->db, &SQL_ledger_wrong, unread_args(ledger, ids, count, unread), &calls, err);
    if (r == 0)
        r = db_run_planned(ledger->db, &SQL_ledger_nobody, unread_args(ledger, ids, count, unread), &requests, err);
    for (int row = 0; r == 0 && row < PQntuples(calls); row++) {
        const struct problem *problem = problem_of(db_get_text(calls, row, 3));

        if (problem->doubtful &&
            still_doubted(doubts, count, db_get_text(calls, row, 0), db_get_int(calls, row, 6)))
            tell_call(ledger, calls, row, problem);
    }
    for (int row = 0; r == 0 && row < PQntuples(requests); row++)
        if (still_doubted(doubts, count, db_get_text(requests, row, 0), db_get_int(requests, row, 3)))
            tell_nobody(ledger, requests, row, problem_of(db_get_text(requests, row, 2)));
    return r;
}

static int doubts_read(struct ledger *ledger, struct err *err)
{
    _cleanup_(unread_freep) struct unread *unread = NULL;
    int r = ledger->doubt_count
                ? unread_read(ledger->config, UNREAD_PATIENCE, UNREAD_MOST, &unread, err)
                : 0;

    if (r == -ERR_REFUSED) { /* which is no finding */
        const struct err why = *err;

        return err_cause(err, ERR_UNAVAILABLE, "%s: who waits on nobody can't be told", why.text);
    }
    for (int64_t first = 0; r == 0 && first < ledger->doubt_count; first += PAGE) {
        int64_t rest = ledger->doubt_count - first;

        arena_clear(ledger->page);
        r = doubts_page(ledger, ledger->doubts + first, (int)(rest < PAGE ? rest : PAGE), unread, err);
    }
    return r;
}

/* --- the sums ---------------------------------------------------------------------------------------- */

static int endpoints_name(struct ledger *ledger, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(ledger->db, &SQL_ledger_endpoints, NULL, &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++) {
        struct endpoint *endpoint;

        HASH_FIND_STR(ledger->endpoints, db_get_text(rows, row, 0), endpoint);
        if (endpoint)
            endpoint->key = db_dup_text(rows, row, 1, ledger->arena);
    }
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct endpoint *one = a, *other = b;

    return strcmp(one->key ? one->key : one->id, other->key ? other->key : other->id);
}

static void sums_print(const struct endpoint *endpoint, const char *name)
{
    printf("%-32s", name);
    for (int i = 0; i < SUMS; i++)
        printf(" %10lld", (long long)endpoint->sums[i]);
    for (const struct reason *reason = endpoint->reasons; reason; reason = reason->hh.next)
        printf("%s%s %lld", reason == endpoint->reasons ? "   " : ", ", reason->word, (long long)reason->count);
    printf("\n");
}

static void sums_line(const struct endpoint *endpoint, const char *kind)
{
    struct jsonline line = jsonline_begin(kind);

    if (endpoint->id) {
        jsonline_text(&line, "connection_id", endpoint->id);
        jsonline_text(&line, "endpoint", endpoint->key);
    }
    for (int i = 0; i < SUMS; i++)
        jsonline_number(&line, sum_words[i], endpoint->sums[i]);
    jsonline_open(&line, "reasons");
    for (const struct reason *reason = endpoint->reasons; reason; reason = reason->hh.next)
        jsonline_number(&line, reason->word, reason->count);
    jsonline_close(&line);
    jsonline_end(&line);
}

static void all_add(struct ledger *ledger, const struct endpoint *endpoint)
{
    for (int i = 0; i < SUMS; i++)
        ledger->all.sums[i] += endpoint->sums[i];
    for (const struct reason *reason = endpoint->reasons; reason; reason = reason->hh.next)
        reason_add(ledger, &ledger->all, reason->word, reason->count);
}

static void summary_tell(struct ledger *ledger)
{
    struct jsonline line;

    if (!ledger->json) {
        printf("%lld requests: %lld calls do not balance, %lld requests wait on nobody\n",
               (long long)ledger->requests, (long long)ledger->calls_wrong, (long long)ledger->nobody);
        if (ledger->older)
            printf("%lld of them were made by a release that did not tell all, and their calls are not counted\n",
                   (long long)ledger->older);
        return;
    }
    line = jsonline_begin("summary");
    jsonline_number(&line, "requests", ledger->requests);
    jsonline_number(&line, "imbalance", ledger->calls_wrong);
    jsonline_number(&line, "nobody", ledger->nobody);
    jsonline_number(&line, "older", ledger->older);
    jsonline_end(&line);
}

static void sums_tell(struct ledger *ledger)
{
    HASH_SORT(ledger->endpoints, by_name);
    if (!ledger->json) {
        printf("%-32s", "endpoint");
        for (int i = 0; i < SUMS; i++)
            printf(" %10s", sum_words[i]);
        printf("   given up because of\n");
    }
    for (const struct endpoint *endpoint = ledger->endpoints; endpoint; endpoint = endpoint->hh.next) {
        all_add(ledger, endpoint);
        if (ledger->json)
            sums_line(endpoint, "endpoint");
        else
            sums_print(endpoint, endpoint->key ? endpoint->key : endpoint->id);
    }
    if (ledger->json)
        sums_line(&ledger->all, "all");
    else
        sums_print(&ledger->all, "all");
    summary_tell(ledger);
}

/* --- the verb ---------------------------------------------------------------------------------------- */

static void ledger_end(struct ledger *ledger)
{
    for (struct endpoint *endpoint = ledger->endpoints; endpoint; endpoint = endpoint->hh.next)
        HASH_CLEAR(hh, endpoint->reasons);
    HASH_CLEAR(hh, ledger->all.reasons);
    HASH_CLEAR(hh, ledger->endpoints);
    free(ledger->doubts);
    db_free(ledger->db);
    arena_free(ledger->page);
    arena_free(ledger->arena);
}

static int ledger_run(struct ledger *ledger, struct err *err)
{
    int r = pages_read(ledger, err);

    if (r == 0)
        r = doubts_read(ledger, err);
    if (r == 0)
        r = endpoints_name(ledger, err);
    if (r < 0)
        return r;
    sums_tell(ledger);
    if (ledger->calls_wrong || ledger->nobody)
        return err_set(err, ERR_REFUSED, "the ledger does not balance");
    return 0;
}

int ledger_verb(const struct config *config, char **args, struct err *err)
{
    static const struct option_row rows[] = { { "--json", OPTION_FLAG, offsetof(struct ledger, json) }, { 0 } };
    struct ledger ledger = { .config = config };
    struct option_texts words;
    int r = option_read(args, rows, &ledger, &words, err);

    if (r < 0)
        return r;
    if (words.count)
        return verb_usage("ledger [--json]", err);
    ledger.db = db_new(config->postgres_url, "docketctl");
    ledger.arena = arena_new();
    ledger.page = arena_new();
    r = ledger_run(&ledger, err);
    ledger_end(&ledger);
    return r;
}
