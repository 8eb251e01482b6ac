/*
 * api - what every handler of docket-api has in its hands: a checked call, and ways to answer it.
 *
 * A call is parsed, authenticated, held against its route's scope and schema (in the contract's order, rest.md
 * 1.1), and only then handed to its handler, on a thread of the handler pool with a connection of its own.
 *
 * Ownership: everything in a call lives until its answer; nothing of it may be used afterwards.
 */
#pragma once

#include <json-c/json.h>
#include <stdatomic.h>

#include "common/arena.h"
#include "common/catalog.h"
#include "common/config.h"
#include "common/db.h"
#include "common/err.h"
#include "common/httpd.h"
#include "common/publish.h"
#include "common/schema.h"
#include "common/seal.h"
#include "common/token.h"

struct create_queue; /* api/create.h */
struct current;      /* api/current.h */
struct event_streams; /* api/event_stream.h */
struct reply_queue;  /* api/callback/reply.h */
struct resume_queue; /* api/callback/resume.h */
struct ready;        /* common/ready.h */
struct sign_ring;    /* common/sign.h */

/* The program's parts, built once by main() and read-only afterwards, but for the count. */
struct api {
    const struct config *config;
    struct seal_ring *ring;
    struct token_key *tokens;
    struct publisher *publisher;
    struct create_queue *creates;
    struct reply_queue *replies;
    struct resume_queue *resumes;
    struct ready *ready;
    struct current *current;
    struct event_streams *events;
    struct sign_ring *signs; /* of checkpoints; NULL: none are made */
    atomic_int tries; /* of connections, under way */
};

enum { API_PARAMS_MAX = 4, API_PENDING = 1 };

struct api_route;

struct api_call {
    struct api *api;
    struct http_call *http;
    struct arena *arena;
    struct db *db;                   /* this thread's connection; NULL on `prompt` routes */
    const struct catalog *catalog;   /* as it stood when the call was taken up; may be a version behind. NULL on
                                      * routes with neither a scope nor `optimistic` */
    const struct api_route *route;
    const char *params[API_PARAMS_MAX]; /* the {parts} of the path, in order */
    json_object *body;               /* checked; NULL when the route has no schema or the body is optional and absent */
    struct schema_errors errors;     /* with ERR_INVALID: becomes {"detail": [...]}; else err->text does */
    usec_t now;
    /* Who calls; empty on routes without a scope. */
    const char *client_id;
    const char *user_id;             /* NULL for clients, root client included */
    bool is_root;
    const char **scopes;             /* granted to this token, NULL-terminated */
};

/* 0: answered. API_PENDING: somebody else will answer. Negative: not answered, `err` is the answer. */
typedef int api_handler(struct api_call *call, struct err *err);

/*
 * One row a route. `path` is below /api/v1 unless it starts with "/health"; {x} matches one segment (and its value
 * is percent-decoded); a trailing slash is accepted. `scope` is "" for routes that anyone may call, never NULL.
 * `schema` NULL: the body is ignored. ends with a NULL method.
 */
struct api_route {
    const char *method, *path, *scope;
    const struct schema *schema;
    bool body_optional;
    bool optimistic; /* the catalog in hand will do: the handler's statement names its version, and calls
                      * api_again() when that moved. Others get one that was current when they began. */
    bool prompt;     /* the handler never waits, for nothing: it runs on the thread that has read the call */
    api_handler *handler;
};

/* Runs a pending call anew from authentication on, with a fresh catalog. Nothing was answered or written yet. */
void api_again(struct api_call *call);

/* Each resource exports its table; route.c knows them all. */
extern const struct api_route health_routes[];
extern const struct api_route oauth_routes[];       /* clients, scopes, roles, token, login, logout */
extern const struct api_route connection_routes[];
extern const struct api_route connection_oauth_routes[];
extern const struct api_route connection_type_routes[];
extern const struct api_route dataset_routes[];
extern const struct api_route dataset_link_routes[]; /* what ties datasets to connections */
extern const struct api_route traversal_routes[];    /* how datasets would be reached */
extern const struct api_route preview_routes[];
extern const struct api_route policy_routes[];      /* policies, rules, targets */
extern const struct api_route webhook_routes[];     /* pre-approval webhooks */
extern const struct api_route policy_webhook_routes[];
extern const struct api_route manual_webhook_routes[]; /* what people are asked for */
extern const struct api_route manual_input_routes[];   /* what they fill in, and that the run goes on */
extern const struct api_route storage_routes[];
extern const struct api_route setting_routes[];     /* /config */
extern const struct api_route change_routes[];      /* docket's own: who changed the configuration */
extern const struct api_route request_routes[];     /* create, list, search, log */
extern const struct api_route review_routes[];      /* approve, deny, cancel */
extern const struct api_route retry_routes[];
extern const struct api_route removal_routes[];     /* soft deletion */
extern const struct api_route result_routes[];      /* packages, and what goes into them */
extern const struct api_route delivery_routes[];    /* docket's own: calls owed to webhooks */
extern const struct api_route endpoint_routes[];    /* docket's own: who is called */
extern const struct api_route checkpoint_key_routes[]; /* docket's own: the public keys of checkpoints */
extern const struct api_route event_routes[];       /* what happens, as it happens */
extern const struct api_route callback_routes[];    /* eligible, not-eligible, resume; also docket-callback's */

/* What docket-api has no answer to in this version, though the contract does: 501, after the scope's check. */
extern const struct api_route unavailable_routes[];

/* Answers; the object is released. A pending call that has a catalog or a body is answered by these, or by
 * api_again(), as they let go of both. */
int api_answer(struct api_call *call, int status, json_object *body);
int api_answer_null(struct api_call *call, int status); /* "null" with 200, nothing with 204 */
void api_answer_err(struct api_call *call, const struct err *err);
/* Another form than JSON; `text` is copied. */
int api_answer_text(struct api_call *call, int status, const char *content_type, const char *text, size_t length);

/* Piece by piece (common/stream.h); negative: nothing was answered. The source must not need the call's catalog. */
int api_answer_stream(struct api_call *call, int status, const char *content_type, const struct stream_source *source,
                      struct err *err) MUST_CHECK;

/* As it comes (common/feed.h). */
void api_answer_feed(struct api_call *call, int status, const char *content_type, struct feed *feed);

/* Adds to call->errors and returns -ERR_INVALID (err is filled too). `path` is e.g. "query" and `name` "page". */
int api_invalid(struct api_call *call, struct err *err, const char *where, const char *name, const char *type,
                const char *msg, ...) PRINTF_LIKE(6, 7);

/* page >= 1 (1), size 1..100 (50): rest.md 1.2. ERR_INVALID otherwise. */
struct api_page {
    long long page, size;
};
int api_page(struct api_call *call, struct api_page *ret, struct err *err) MUST_CHECK;
/* With another size where none is asked for, and another bound. */
int api_page_of(struct api_call *call, int size, int size_max, struct api_page *ret, struct err *err) MUST_CHECK;
long long api_page_offset(const struct api_page *page);
int api_answer_page(struct api_call *call, const struct api_page *page, json_object *items, long long total);

/* The path's parameter `index` as a key; ERR_INVALID in the contract's words when it is none. */
int api_key_param(struct api_call *call, int index, const char **ret, struct err *err) MUST_CHECK;

/* Query parameters; absent: `fallback`, ill-formed: ERR_INVALID. */
int api_query_bool(struct api_call *call, const char *name, bool fallback, bool *ret, struct err *err) MUST_CHECK;

/* A bulk result under way: {"succeeded":[...],"failed":[{"message","data"}]}. */
json_object *api_bulk(void);
void api_bulk_succeeded(json_object *bulk, json_object *item);                       /* takes item */
void api_bulk_failed(json_object *bulk, const char *message, json_object *data);     /* takes data */

/* JSON values from database columns and C. */
json_object *api_json_text(const char *text);       /* NULL: JSON null */
json_object *api_json_time(usec_t time);            /* ISO 8601 with Z; USEC_NONE: null */
json_object *api_json_parse(const char *json);      /* text of our own database; NULL: null */
