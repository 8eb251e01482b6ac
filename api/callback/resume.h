/*
 * resume - what a pre-execution webhook that halted a request replies, so that the request goes on (rest.md 11,
 * lifecycle.md 6).
 *
 * resume_take() checks a call's body and token and queues it. The queue's one thread takes all that came since its last
 * turn: one query for what is known, the judgement (halt.h), and one transaction for what stands: the identity that was
 * derived, sealed, and the events. A derived identity must be on record before its sender is answered, so this needs
 * PostgreSQL: 503 while it is away. Kafka may be away.
 *
 * Threads:   resume_take() from any; the rest by main().
 * Ownership: a call that was taken is answered exactly once, by the queue.
 */
#pragma once

#include "common/config.h"
#include "common/err.h"
#include "common/httpd.h"
#include "common/publish.h"
#include "common/seal.h"
#include "common/token.h"

struct resume_queue;

/* All of these must outlive the queue. */
struct resume_parts {
    const struct config *config;
    const struct token_key *tokens;
    const struct seal_ring *ring;
    struct publisher *publisher;
};

/* Starts the thread, with a connection of its own that is made when it is needed. */
int resume_queue_new(const struct resume_parts *parts, struct resume_queue **ret, struct err *err) MUST_CHECK;

/* Answers what was taken and ends the thread. No call may be taken from here on. Accepts NULL. */
void resume_queue_free(struct resume_queue *queue);

/* POST .../privacy-request/{request_id}/resume */
void resume_take(struct resume_queue *queue, struct http_call *call, const char *request_id);
