/*
 * server - docket-api's HTTP side: takes calls, checks each in the contract's order, and runs its
 * handler.
 *
 * A call whose handler never waits is answered on the thread that has read it. Others go to a pool
 * of threads, each with a connection to PostgreSQL, by a bounded queue: when that is full the
 * answer is 503 at once.
 *
 * Threads:   by main() only. api_again() (api.h): any.
 */
#pragma once

#include "api/api.h"

struct server;

/* Listens, and answers what needs no database. `api` must outlive the server; its queues need not
 * be there yet. */
int server_start(struct api *api, struct server **ret, struct err *err) MUST_CHECK;
/* From now on calls that need the database are taken up; before, they are a 503. */
void server_open(struct server *server);
/* Takes no new calls, waits up to `wait` for those under way, ends its threads. Accepts NULL. */
void server_stop(struct server *server, usec_t wait);
/* Once nobody has a pending call any more. Accepts NULL. */
void server_free(struct server *server);
int server_port(const struct server *server);
