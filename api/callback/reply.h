/*
 * reply - what a pre-approval webhook answers, on its way from a call to the callbacks topic (rest.md 11,
 * lifecycle.md 5.1).
 *
 * reply_take() checks a call's body and token and queues it. The queue's one thread takes all that came since its
 * last turn: one query for what PostgreSQL knows, the judgement (verdict.h), one round trip for what is on its way
 * (marks.h), the judgement again, and publish_reply() for what stands. A call is answered once Kafka has its reply,
 * from the publisher's thread, so no thread waits for Kafka.
 *
 * Threads:   reply_take() from any; the rest by main(). Somebody must poll the publisher.
 * Ownership: a call that was taken is answered exactly once, by the queue.
 */
#pragma once

#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"
#include "common/httpd.h"
#include "common/publish.h"
#include "common/token.h"

struct reply_queue;

/* Starts the thread, with connections of its own that are made when they are needed: neither PostgreSQL, Redis nor
 * Kafka need be there. All arguments must outlive the queue. */
int reply_queue_new(const struct config *config, const struct token_key *tokens, struct publisher *publisher,
                    struct reply_queue **ret, struct err *err) MUST_CHECK;

/* Answers what was taken (within PUBLISH_REPLY_WAIT) and ends the thread. No call may be taken from here on, and the
 * publisher must still be polled. Accepts NULL. */
void reply_queue_free(struct reply_queue *queue);

/* POST .../privacy-request/{request_id}/pre-approve/{eligible,not-eligible} */
void reply_take(struct reply_queue *queue, struct http_call *call, const char *request_id, bool eligible);
