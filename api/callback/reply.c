#include "api/callback/reply.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/callback/arrival.h"
#include "api/callback/marks.h"
#include "api/callback/reply.sql.h"
#include "api/callback/verdict.h"
#include "common/db.h"
#include "common/log.h"
#include "common/metric.h"
#include "common/redis.h"
#include "common/schema.h"

enum { BATCH_MAX = 512 };

/* How long a turn waits for each of them, and how long one that did not answer is left alone. */
#define POSTGRES_PATIENCE (1 * USEC_PER_S)
#define REDIS_PATIENCE (USEC_PER_S / 2)
#define AWAY_FOR (1 * USEC_PER_S)

/* One call on its way. Lives in the call's arena, and dies with its answer. */
struct reply {
    struct reply_queue *queue;
    struct http_call *http;
    const char *traceparent;
    usec_t received_at;
    struct verdict_case of;
    struct mark_call mark;
    struct err err; /* why it is refused, while its mark is taken back */
    struct reply *next;
};

struct reply_list {
    struct reply *first, **last;
};

/* A dependency that does not answer is not asked again at once. */
struct peer {
    const char *name;
    usec_t back_at; /* monotonic */
    bool away;
};

struct reply_queue {
    const struct config *config;
    const struct token_key *tokens;
    struct publisher *publisher;
    pthread_t thread;
    /* Under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct reply_list taken, failed; /* to be judged; given up by Kafka */
    int underway;                    /* with the publisher */
    bool stopping;
    /* The thread's: */
    struct arena *arena; /* of a turn */
    struct db *db;
    struct redis *redis;
    struct peer postgres_peer, redis_peer;
};

/* --- lists ------------------------------------------------------------------------------------------- */

static void list_init(struct reply_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct reply_list *list, struct reply *reply)
{
    reply->next = NULL;
    *list->last = reply;
    list->last = &reply->next;
}

static int list_take(struct reply_list *list, struct reply **ret, int max)
{
    int count = 0;

    while (list->first && count < max) {
        ret[count++] = list->first;
        list->first = list->first->next;
    }
    if (!list->first)
        list->last = &list->first;
    return count;
}

/* --- peers ------------------------------------------------------------------------------------------- */

static bool peer_may_be_asked(const struct peer *peer)
{
    return !peer->away || usec_monotonic() >= peer->back_at;
}

/* What asking it came to; told in the log when that changes. Returns whether it answered. */
static bool peer_answered(struct peer *peer, int r, const struct err *err)
{
    if (r < 0) {
        if (!peer->away)
            log_warn("reply.without", log_word("dependency", peer->name), log_word("cause", err->cause));
        peer->back_at = usec_monotonic() + AWAY_FOR;
    } else if (peer->away) {
        log_info("reply.with_again", log_word("dependency", peer->name));
    }
    peer->away = r < 0;
    return r == 0;
}

/* --- answers ----------------------------------------------------------------------------------------- */

static void count_answer(const struct reply *reply, const char *answer)
{
    metric_add(METRIC_REPLIES,
               METRIC_LABELS(reply->of.verdict == VERDICT_ELIGIBLE ? "eligible" : "not_eligible", answer), 1);
}

static void answer_done(struct reply *reply, const char *answer)
{
    count_answer(reply, answer);
    http_answer_json(reply->http, 200, "null");
}

static void answer_err(struct reply *reply, const struct err *err)
{
    count_answer(reply, err_word(err->code));
    http_answer_err(reply->http, err);
}

/* Those whose mark may be taken back, before they are answered: whoever sends again at once is judged anew. */
static void refuse(struct reply_queue *queue, struct reply *const *replies, int count)
{
    struct mark_call **marks = arena_array(queue->arena, struct mark_call *, (size_t)count);
    struct err err;

    for (int i = 0; i < count; i++)
        marks[i] = &replies[i]->mark;
    if (peer_may_be_asked(&queue->redis_peer))
        peer_answered(&queue->redis_peer, marks_take_back(queue->redis, queue->config->topic_prefix, marks, count,
                                                          queue->arena, &err), &err);
    for (int i = 0; i < count; i++)
        answer_err(replies[i], &replies[i]->err);
}

/* --- what is known ----------------------------------------------------------------------------------- */

static void facts_read(const PGresult *result, int row, struct verdict_case *ret)
{
    ret->looked_up = true;
    ret->webhook_exists = db_get_bool(result, row, 0);
    ret->request_exists = db_get_bool(result, row, 1);
    ret->deleted = db_get_bool(result, row, 2);
    ret->status = lifecycle_parse(db_get_text(result, row, 3));
    ret->called = db_get_bool(result, row, 4);
    if (!db_is_null(result, row, 5))
        ret->recorded = db_get_bool(result, row, 5) ? VERDICT_ELIGIBLE : VERDICT_NOT_ELIGIBLE;
}

/* Without PostgreSQL nothing is filled in. */
static void look_up(struct reply_queue *queue, struct reply *const *replies, int count)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct db_column *requests, *webhooks;
    struct db_args *args;
    struct err err;

    if (!count || !peer_may_be_asked(&queue->postgres_peer))
        return;
    args = db_args_new(queue->arena);
    requests = db_array(args, DB_TEXT);
    webhooks = db_array(args, DB_TEXT);
    for (int i = 0; i < count; i++) {
        db_add_text(requests, replies[i]->of.request_id);
        db_add_text(webhooks, replies[i]->of.webhook_id);
    }
    if (!peer_answered(&queue->postgres_peer, db_run(queue->db, &SQL_reply_facts, args, &result, &err), &err))
        return;
    for (int i = 0; i < count && i < PQntuples(result); i++)
        facts_read(result, i, &replies[i]->of);
}

static void marks_apply(struct reply *reply)
{
    for (int i = 0; i < reply->mark.count; i++) {
        const struct mark *mark = &reply->mark.marks[i];

        if (!strcmp(mark->webhook_id, reply->of.webhook_id))
            reply->of.coming = mark->verdict;
        else if (mark->verdict == VERDICT_NOT_ELIGIBLE)
            reply->of.objection = true;
    }
}

/* Marks those that would be sent, and learns what is on its way; without Redis nothing is. */
static void make_marks(struct reply_queue *queue, struct reply *const *replies, int count)
{
    struct mark_call **marks = arena_array(queue->arena, struct mark_call *, (size_t)count);
    struct err err;

    if (!count || !peer_may_be_asked(&queue->redis_peer))
        return;
    for (int i = 0; i < count; i++) {
        const struct verdict_case *of = &replies[i]->of;

        marks[i] = &replies[i]->mark;
        *marks[i] = (struct mark_call){ .request_id = of->request_id,
                                        .webhook_id = of->webhook_id,
                                        .verdict = verdict_is_awaited(of) ? of->verdict : VERDICT_NONE };
    }
    if (!peer_answered(&queue->redis_peer, marks_make(queue->redis, queue->config->topic_prefix, marks, count,
                                                      queue->arena, &err), &err))
        return;
    for (int i = 0; i < count; i++)
        marks_apply(replies[i]);
}

static void add_objections(const struct reply *reply, int place, struct db_column *requests,
                           struct db_column *webhooks, struct db_column *places)
{
    for (int i = 0; i < reply->mark.count; i++) {
        const struct mark *mark = &reply->mark.marks[i];

        if (mark->verdict != VERDICT_NOT_ELIGIBLE || !strcmp(mark->webhook_id, reply->of.webhook_id))
            continue;
        db_add_text(requests, reply->of.request_id);
        db_add_text(webhooks, mark->webhook_id);
        db_add_int(places, place);
    }
}

/*
 * An objection on its way counts unless it is plain that it will come to nothing: its webhook was deleted, or has
 * said eligible before. Otherwise a mark that never became a reply on record would keep others out until it is
 * forgotten.
 */
static void weigh(struct reply_queue *queue, struct reply *const *replies, int count)
{
    _cleanup_(db_result_freep) PGresult *result = NULL;
    struct db_args *args = db_args_new(queue->arena);
    struct db_column *requests = db_array(args, DB_TEXT), *webhooks = db_array(args, DB_TEXT),
                     *places = db_array(args, DB_INT);
    struct err err;

    for (int i = 0; i < count; i++)
        add_objections(replies[i], i, requests, webhooks, places);
    if (!peer_answered(&queue->postgres_peer, db_run(queue->db, &SQL_reply_objections, args, &result, &err), &err))
        return;
    for (int i = 0; i < count; i++)
        replies[i]->of.objection = false;
    for (int i = 0; i < PQntuples(result); i++)
        replies[db_get_int(result, i, 0)]->of.objection = true;
}

/* Those that meet an objection, which are few; while PostgreSQL is away every objection counts. */
static void weigh_objections(struct reply_queue *queue, struct reply *const *replies, int count)
{
    struct reply *met[BATCH_MAX];
    int met_count = 0;

    for (int i = 0; i < count; i++)
        if (replies[i]->of.objection && replies[i]->of.looked_up)
            met[met_count++] = replies[i];
    if (met_count && peer_may_be_asked(&queue->postgres_peer))
        weigh(queue, met, met_count);
}

/* --- a turn ------------------------------------------------------------------------------------------ */

/* Answers those that need no more than what is on record; returns how many of `replies` are left. */
static int sift(struct reply **replies, int count)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        struct reply *reply = replies[i];
        enum ruling ruling;
        struct err err;
        int r = verdict_admit(&reply->of, &err);

        if (r == 0 && !verdict_is_settled(&reply->of)) {
            replies[left++] = reply;
            continue;
        }
        if (r == 0)
            r = verdict_judge(&reply->of, &ruling, &err);
        if (r == 0)
            answer_done(reply, "known");
        else
            answer_err(reply, &err);
    }
    return left;
}

/* Judges those that are left; returns how many of them stand, moved to the front, the refused ones in `refused`. */
static int judge(struct reply **replies, int count, struct reply **refused, int *refused_count)
{
    int standing = 0;

    *refused_count = 0;
    for (int i = 0; i < count; i++) {
        enum ruling ruling;

        if (verdict_judge(&replies[i]->of, &ruling, &replies[i]->err) < 0)
            refused[(*refused_count)++] = replies[i];
        else
            replies[standing++] = replies[i];
    }
    return standing;
}

/* On the publisher's thread. */
static void published(void *opaque, const struct err *err)
{
    struct reply *reply = opaque;
    struct reply_queue *queue = reply->queue;

    if (err)
        reply->err = *err;
    else
        answer_done(reply, "sent");
    pthread_mutex_lock(&queue->lock);
    if (err)
        list_add(&queue->failed, reply);
    queue->underway--;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static void send_all(struct reply_queue *queue, struct reply *const *replies, int count)
{
    pthread_mutex_lock(&queue->lock);
    queue->underway += count;
    pthread_mutex_unlock(&queue->lock);
    for (int i = 0; i < count; i++) {
        const struct verdict_case *of = &replies[i]->of;
        struct publish_reply event = { .request_id = of->request_id,
                                       .webhook_id = of->webhook_id,
                                       .eligible = of->verdict == VERDICT_ELIGIBLE,
                                       .received_at = replies[i]->received_at,
                                       .traceparent = replies[i]->traceparent };
        struct err err;

        if (publish_reply(queue->publisher, &event, published, replies[i], &err) < 0)
            published(replies[i], &err);
    }
}

static void turn(struct reply_queue *queue, struct reply **replies, int count)
{
    struct reply *refused[BATCH_MAX];
    int refused_count;

    look_up(queue, replies, count);
    count = sift(replies, count);
    make_marks(queue, replies, count);
    weigh_objections(queue, replies, count);
    count = judge(replies, count, refused, &refused_count);
    send_all(queue, replies, count);
    if (refused_count)
        refuse(queue, refused, refused_count);
}

/* --- the thread -------------------------------------------------------------------------------------- */

/* Waits for something to do and takes it. False at the end: nothing is left and nothing will come. */
static bool queue_wait(struct reply_queue *queue, struct reply **taken, int *taken_count, struct reply **failed,
                       int *failed_count)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->taken.first && !queue->failed.first && !(queue->stopping && !queue->underway))
        pthread_cond_wait(&queue->changed, &queue->lock);
    *taken_count = list_take(&queue->taken, taken, BATCH_MAX);
    *failed_count = list_take(&queue->failed, failed, BATCH_MAX);
    pthread_mutex_unlock(&queue->lock);
    return *taken_count || *failed_count;
}

static void *queue_run(void *opaque)
{
    struct reply_queue *queue = opaque;
    struct reply *taken[BATCH_MAX], *failed[BATCH_MAX];
    int taken_count, failed_count;

    while (queue_wait(queue, taken, &taken_count, failed, &failed_count)) {
        if (failed_count)
            refuse(queue, failed, failed_count);
        if (taken_count)
            turn(queue, taken, taken_count);
        arena_clear(queue->arena);
    }
    return NULL;
}

static void queue_close(struct reply_queue *queue)
{
    redis_free(queue->redis);
    db_free(queue->db);
    arena_free(queue->arena);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

int reply_queue_new(const struct config *config, const struct token_key *tokens, struct publisher *publisher,
                    struct reply_queue **ret, struct err *err)
{
    struct reply_queue *queue = calloc(1, sizeof(*queue));
    int r;

    if (!queue)
        abort();
    queue->config = config;
    queue->tokens = tokens;
    queue->publisher = publisher;
    queue->postgres_peer.name = "postgresql";
    queue->redis_peer.name = "redis";
    list_init(&queue->taken);
    list_init(&queue->failed);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
    queue->arena = arena_new();
    queue->db = db_new(config->postgres_url, "docket replies");
    db_set_patience(queue->db, POSTGRES_PATIENCE);
    r = redis_new(config->redis_url, REDIS_PATIENCE, &queue->redis, err);
    if (r == 0 && pthread_create(&queue->thread, NULL, queue_run, queue))
        r = err_cause(err, ERR_INTERNAL, "no thread for replies");
    if (r < 0) {
        queue_close(queue);
        return r;
    }
    *ret = queue;
    return 0;
}

void reply_queue_free(struct reply_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    queue_close(queue);
}

/* --- taking one -------------------------------------------------------------------------------------- */

/* Nothing is asked of a reply's body but that it is an object. */
static int body_check(json_object *body, struct schema_errors *errors, struct err *err)
{
    static const struct schema any_object = { .type = SCHEMA_OBJECT };
    static const struct schema_loc loc = { .name = "body" };

    if (!body || schema_check(&any_object, body, &loc, errors))
        return 0;
    return err_set(err, ERR_INVALID, "Input should be an object");
}

static int token_check(struct reply *reply, struct err *err)
{
    const struct reply_queue *queue = reply->queue;
    struct token_reply token;
    int r = arrival_token(reply->http, queue->tokens, queue->config, TOKEN_SCOPE_REVIEW, reply->of.request_id, &token,
                          err);

    if (r < 0)
        return r;
    reply->of.webhook_id = token.webhook_id;
    reply->of.bound = token.request_id != NULL;
    return 0;
}

static int ids_check(const struct reply *reply, struct err *err)
{
    if (!arrival_is_id(reply->of.webhook_id))
        return err_set(err, ERR_NOT_FOUND, "No Pre-Approval Webhook found with that id.");
    if (!arrival_is_id(reply->of.request_id))
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with that id.");
    return 0;
}

/* In the contract's order: JSON, token, shape (rest.md 1.1). */
static int reply_check(struct reply *reply, struct schema_errors *errors, struct err *err)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    int r = arrival_body(reply->http, &body, errors, err);

    if (r == 0)
        r = token_check(reply, err);
    if (r == 0)
        r = body_check(body, errors, err);
    return r == 0 ? ids_check(reply, err) : r;
}

void reply_take(struct reply_queue *queue, struct http_call *call, const char *request_id, bool eligible)
{
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    struct reply *reply = arena_new_of(call->arena, struct reply);
    struct err err;

    reply->queue = queue;
    reply->http = call;
    reply->received_at = usec_now();
    reply->traceparent = http_header(call, "traceparent");
    reply->of.request_id = request_id;
    reply->of.verdict = eligible ? VERDICT_ELIGIBLE : VERDICT_NOT_ELIGIBLE;
    if (reply_check(reply, &errors, &err) < 0) {
        if (!errors.list)
            count_answer(reply, err_word(err.code));
        arrival_refuse(call, &errors, &err);
        return;
    }
    pthread_mutex_lock(&queue->lock);
    list_add(&queue->taken, reply);
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}
