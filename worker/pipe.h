/*
 * pipe - PostgreSQL on the worker's loop, in libpq's pipeline mode. Statements are sent in groups; a group is one
 * transaction, and is answered as a whole.
 *
 * Threads:   the loop's. Connecting happens on libuv's thread pool.
 * Ownership: a group's parameters are copied by libpq when it is sent; results are valid during `done` only.
 * Errors:    ERR_UNAVAILABLE when the connection was lost before the answer (the transaction may have been
 *            committed), otherwise what db_err() says of the first statement that failed.
 */
#pragma once

#include <uv.h>

#include "common/db.h"
#include "common/err.h"
#include "common/sql.h"

struct pipe;
struct pipe_group;

/* results[i] belongs to the group's statement i; NULL results with `err`. */
typedef void pipe_done(void *context, PGresult **results, const struct err *err);

enum { PIPE_GROUP_MAX = 16 };

/* `statements` (NULL-terminated, static) are prepared on every new connection. Connects at once and for ever. */
struct pipe *pipe_new(uv_loop_t *loop, const char *url, const char *name, const struct sql *const *statements);
/* Closes; what is under way is answered with ERR_UNAVAILABLE. The loop must turn once more. */
void pipe_free(struct pipe *pipe);
bool pipe_is_up(const struct pipe *pipe);

struct pipe_group *pipe_group_new(struct pipe *pipe);
void pipe_add(struct pipe_group *group, const struct sql *sql, struct db_args *args);
/* Sends the group, or keeps it until there is a connection. It must not be touched afterwards. */
void pipe_send(struct pipe_group *group, pipe_done *done, void *context);
