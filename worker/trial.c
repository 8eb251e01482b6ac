#include "worker/trial.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/payload.h"
#include "worker/trial.sql.h"

enum { TICK_MS = 200, FORGET_S = 3600 };

const struct sql *const trial_statements[] = { &SQL_trial_claim, &SQL_trial_settle, &SQL_trial_forget, NULL };

/* One under way, until it is on record. */
struct trial {
    struct trials *trials;
    struct arena *arena;
    const struct catalog *catalog; /* a reference: it holds the connection */
    const struct catalog_connection *connection;
    const char *id, *bearer; /* bearer NULL: none */
    bool bearer_was_cached;
    usec_t started_at;
    /* What came of it: */
    usec_t duration;
    int status;
    const char *address, *outcome;
    struct bytes answer; /* sealed */
    struct trial *next;
};

struct trials {
    uv_timer_t *timer;
    struct trial_parts parts;
    struct arena *arena; /* a tick's */
    struct trial *first;
    int count;
    bool claiming, stopping;
    usec_t forgot_at;
};

/* --- the end ----------------------------------------------------------------------------------------- */

static void trial_free(struct trial *trial)
{
    struct trial **at = &trial->trials->first;

    while (*at != trial)
        at = &(*at)->next;
    *at = trial->next;
    trial->trials->count--;
    catalog_unref(trial->catalog);
    arena_free(trial->arena);
}

static void settle(struct trial *trial);

/* Lost with the connection: said again. When the program ends meanwhile, the lease does too. */
static void on_settled(void *context, PGresult **results, const struct err *err)
{
    struct trial *trial = context;

    (void)results;
    if (err && err->code == ERR_UNAVAILABLE && !trial->trials->stopping) {
        settle(trial);
        return;
    }
    if (err)
        log_err("trial.not_settled", err, log_id("trial", trial->id));
    trial_free(trial);
}

static void settle(struct trial *trial)
{
    struct db_args *args = db_args_new(trial->arena);
    struct pipe_group *group = pipe_group_new(trial->trials->parts.pipe);

    db_text(args, trial->id);
    db_time(args, trial->started_at);
    db_int(args, trial->duration);
    db_text(args, trial->address);
    if (trial->status)
        db_int(args, trial->status);
    else
        db_null(args);
    db_text(args, trial->outcome);
    db_bytes(args, trial->answer.data, trial->answer.length);
    pipe_add(group, &SQL_trial_settle, args);
    pipe_send(group, on_settled, trial);
}

static void trial_over(struct trial *trial, const char *outcome)
{
    trial->outcome = arena_strdup(trial->arena, outcome);
    log_info("trial.made", log_id("trial", trial->id), log_id("endpoint", trial->connection->key),
             log_word("outcome", trial->outcome), log_ms("took_ms", trial->duration));
    settle(trial);
}

/* --- the call ---------------------------------------------------------------------------------------- */

static void keep_answer(struct trial *trial, const struct http_answer *answer)
{
    struct bytes plain = { answer->body, answer->body_length };

    if (answer->location_host[0]) {
        plain.data = arena_printf(trial->arena, "redirect to %s", answer->location_host);
        plain.length = strlen(plain.data);
    }
    if (plain.length > TRIAL_ANSWER_BYTES)
        plain.length = TRIAL_ANSWER_BYTES;
    if (plain.length)
        trial->answer = seal_ring_close(trial->trials->parts.ring, "trial", trial->id, plain, trial->arena);
}

static void on_answer(void *context, const struct http_answer *answer)
{
    struct trial *trial = context;

    trial->duration = answer->duration;
    trial->status = answer->status;
    trial->address = answer->address[0] ? arena_strdup(trial->arena, answer->address) : NULL;
    keep_answer(trial, answer);
    if (answer->status == 401 && trial->bearer_was_cached)
        oauth_refused(trial->trials->parts.oauth, trial->connection, trial->bearer);
    trial_over(trial, answer->outcome);
}

static void trial_send(struct trial *trial)
{
    const struct catalog_connection *connection = trial->connection;
    struct http_request request = { .url = connection->url,
                                    .tls = { connection->ca_certificate, connection->client_certificate,
                                             connection->client_key },
                                    .answer_bytes = TRIAL_ANSWER_BYTES };
    char time[USEC_TEXT_BYTES];
    struct err err;

    trial->started_at = usec_now();
    request.body = arena_printf(trial->arena, "{\"type\":\"docket.test\",\"timestamp\":\"%s\"}",
                                usec_format_z(trial->started_at, time));
    request.body_length = strlen(request.body);
    if (payload_trial_headers(connection, trial->bearer, trial->id, request.body, request.body_length,
                              trial->started_at, trial->arena, &request.headers, &err) < 0) {
        log_err("trial.not_sendable", &err, log_id("trial", trial->id));
        trial_over(trial, "not_sendable");
        return;
    }
    http_post(trial->trials->parts.http, &request, on_answer, trial);
}

static void on_token(void *context, const char *token, bool was_cached, const char *outcome)
{
    struct trial *trial = context;

    trial->duration = usec_now() - trial->started_at;
    if (!token) {
        trial_over(trial, outcome);
        return;
    }
    trial->bearer = arena_strdup(trial->arena, token);
    trial->bearer_was_cached = was_cached;
    trial_send(trial);
}

static void trial_start(struct trials *trials, const char *id, const struct catalog_connection *connection)
{
    struct arena *arena = arena_new();
    struct trial *trial = arena_new_of(arena, struct trial);

    *trial = (struct trial){ .trials = trials,
                             .arena = arena,
                             .catalog = catalog_ref(intake_catalog(trials->parts.intake)),
                             .connection = connection,
                             .id = arena_strdup(arena, id),
                             .started_at = usec_now(),
                             .next = trials->first };
    trials->first = trial;
    trials->count++;
    if (connection->disabled)
        trial_over(trial, "connection_disabled");
    else if (!connection->url)
        trial_over(trial, "not_sendable"); /* why it can't be read, the catalog's log says */
    else if (connection->oauth)
        oauth_token(trials->parts.oauth, connection, on_token, trial);
    else
        trial_send(trial);
}

/* --- by the clock ------------------------------------------------------------------------------------ */

static int64_t version_in_hand(const struct trials *trials)
{
    const struct catalog *catalog = intake_catalog(trials->parts.intake);

    return catalog ? catalog->version : -1;
}

/* The configuration was of the claim's version when that was sent, and moves forwards only. A connection that is gone
 * by now took its trials along. */
static void on_claimed(void *context, PGresult **results, const struct err *err)
{
    struct trials *trials = context;
    const struct catalog *catalog;
    const struct catalog_connection *connection;

    trials->claiming = false;
    if (err)
        return;
    if (db_get_bool(results[0], 0, 1) && db_get_int(results[0], 0, 0) != version_in_hand(trials))
        intake_refresh(trials->parts.intake);
    catalog = intake_catalog(trials->parts.intake);
    for (int row = 0; row < PQntuples(results[0]) && !db_is_null(results[0], row, 2); row++) {
        connection = catalog_connection_by_id(catalog, db_get_text(results[0], row, 3));
        if (connection)
            trial_start(trials, db_get_text(results[0], row, 2), connection);
    }
}

static void claim(struct trials *trials)
{
    struct db_args *args = db_args_new(trials->arena);
    struct pipe_group *group;

    if (trials->claiming || trials->count >= TRIALS_MAX)
        return;
    db_int(args, version_in_hand(trials));
    db_int(args, TRIALS_MAX - trials->count);
    /* Outlives the longest call, and the one for its token. */
    db_int(args, 2 * trials->parts.config->webhook_timeout + 15 * USEC_PER_S);
    group = pipe_group_new(trials->parts.pipe);
    pipe_add(group, &SQL_trial_claim, args);
    trials->claiming = true;
    pipe_send(group, on_claimed, trials);
}

static void on_forgotten(void *context, PGresult **results, const struct err *err)
{
    (void)context;
    (void)results;
    (void)err; /* the next hour does what this one did not */
}

static void forget(struct trials *trials)
{
    usec_t now = usec_monotonic();
    struct pipe_group *group;

    if (trials->forgot_at && now - trials->forgot_at < FORGET_S * USEC_PER_S)
        return;
    trials->forgot_at = now;
    group = pipe_group_new(trials->parts.pipe);
    pipe_add(group, &SQL_trial_forget, NULL);
    pipe_send(group, on_forgotten, trials);
}

static void on_tick(uv_timer_t *timer)
{
    struct trials *trials = timer->data;

    if (trials->stopping || !pipe_is_up(trials->parts.pipe) || intake_is_careful(trials->parts.intake))
        return;
    arena_clear(trials->arena); /* groups copied theirs when they were sent */
    claim(trials);
    forget(trials);
}

struct trials *trials_new(uv_loop_t *loop, const struct trial_parts *parts)
{
    struct trials *trials = calloc(1, sizeof(*trials));

    if (!trials || !(trials->timer = malloc(sizeof(*trials->timer))))
        abort();
    trials->parts = *parts;
    trials->arena = arena_new();
    uv_timer_init(loop, trials->timer);
    trials->timer->data = trials;
    uv_timer_start(trials->timer, on_tick, TICK_MS, TICK_MS);
    return trials;
}

void trials_stop(struct trials *trials)
{
    trials->stopping = true;
}

int trials_underway(const struct trials *trials)
{
    return trials->count + trials->claiming;
}

static void timer_free(uv_handle_t *handle)
{
    free(handle);
}

void trials_free(struct trials *trials)
{
    if (!trials)
        return;
    while (trials->first)
        trial_free(trials->first);
    uv_timer_stop(trials->timer);
    uv_close((uv_handle_t *)trials->timer, timer_free);
    arena_free(trials->arena);
    free(trials);
}
