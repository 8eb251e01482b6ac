#include "api/connection_try.h"

#include <string.h>

#include "api/connection.h"
#include "api/connection_try.sql.h"
#include "api/source.h"
#include "common/log.h"

/* What is tried. */
struct subject {
    const char *id, *type;
    bool has_fields;      /* of manual webhooks: what people are asked for is defined */
    json_object *secrets; /* to be put */
};

static void subject_free(struct subject *subject)
{
    json_object_put(subject->secrets);
}

enum outcome { SKIPPED, SUCCEEDED, FAILED };

static const char *const outcomes[] = { "skipped", "succeeded", "failed" };

struct verdict {
    enum outcome outcome;
    const char *reason; /* the arena's; NULL: none */
};

static int read_subject(struct api_call *call, const char *key, struct subject *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_connection_try_subject, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(key, err);
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->type = db_dup_text(rows, 0, 1, call->arena);
    ret->secrets = connection_unseal(call, "secrets", ret->id, rows, 0, 2);
    ret->has_fields = db_get_bool(rows, 0, 3);
    return 0;
}

/* --- by type ------------------------------------------------------------------------------------------- */

/* To its receiver, a call is a privacy request. */
static struct verdict try_https(struct api_call *call, const struct subject *subject)
{
    (void)call;
    (void)subject;
    return (struct verdict){ SKIPPED, NULL };
}

static struct verdict try_manual(struct api_call *call, const struct subject *subject)
{
    (void)call;
    return (struct verdict){ subject->has_fields ? SUCCEEDED : FAILED, NULL };
}

/* Half of the threads at the most wait for databases, so that those that hang do not keep everyone from docket-api. */
static bool tries_begin(struct api *api)
{
    int max = (int)api->config->api_threads / 2;

    if (api->tries++ < (max ? max : 1))
        return true;
    api->tries--;
    return false;
}

static struct verdict try_postgres(struct api_call *call, const struct subject *subject)
{
    struct err err = { 0 };
    int r;

    if (!tries_begin(call->api))
        return (struct verdict){ SKIPPED, "Not tested: too many tests of connections are under way." };
    r = source_try(subject->secrets, call->api->config->source_connect_timeout, &err);
    call->api->tries--;
    if (r == 0)
        return (struct verdict){ SUCCEEDED, NULL };
    log_err("connection.try_failed", &err, log_id("connection", subject->id));
    return (struct verdict){ FAILED, arena_strdup(call->arena, err.text) };
}

static const struct {
    const char *type;
    struct verdict (*try)(struct api_call *call, const struct subject *subject);
} tries[] = {
    { "https", try_https },
    { "manual_webhook", try_manual },
    { "postgres", try_postgres },
};

static struct verdict try_subject(struct api_call *call, const struct subject *subject)
{
    for (size_t i = 0; i < COUNT_OF(tries); i++)
        if (!strcmp(tries[i].type, subject->type))
            return tries[i].try(call, subject);
    return (struct verdict){ SKIPPED, NULL };
}

/* ------------------------------------------------------------------------------------------------------- */

static int note(struct api_call *call, const struct subject *subject, enum outcome outcome, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, subject->id);
    db_bool(args, outcome == SUCCEEDED);
    return db_do(call->db, &SQL_connection_try_note, args, err);
}

int connection_try(struct api_call *call, const char *key, const char *what, json_object **ret, struct err *err)
{
    _cleanup_(subject_free) struct subject subject = { 0 };
    struct verdict verdict;
    int r = read_subject(call, key, &subject, err);

    if (r < 0)
        return r;
    verdict = try_subject(call, &subject);
    if (verdict.outcome != SKIPPED)
        r = note(call, &subject, verdict.outcome, err);
    if (r < 0)
        return r;
    *ret = connection_test_status(call, what, key, outcomes[verdict.outcome]);
    json_object_object_add(*ret, "failure_reason", api_json_text(verdict.reason));
    return 0;
}
