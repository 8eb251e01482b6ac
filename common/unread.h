/*
 * unread - the requests with events or replies that docket's workers are not done with: those between what their group
 * has committed and the ends of both topics. Whoever looks for requests that nobody moves on must not blame these.
 *
 * Joins no group and commits nothing.
 *
 * Threads:   one caller at a time.
 * Errors:    as in common/reader.h; ERR_REFUSED: there are more than `most`, and none is told.
 */
#pragma once

#include <stdbool.h>

#include "common/config.h"
#include "common/err.h"

struct unread;

int unread_read(const struct config *config, usec_t patience, int64_t most, struct unread **ret,
                struct err *err) MUST_CHECK;
void unread_free(struct unread *unread); /* accepts NULL */
DEFINE_CLEANUP(struct unread *, unread_free)

bool unread_has(const struct unread *unread, const char *request_id);
