/*
 * mask - what is written over a value: the strategies of dsr.md 6.1. Pure, but for what is random: that is drawn from
 * the request's key, the place and the value, so that the same value masked again, after a crash, gives the same; who
 * does not have the key can't tell it from chance, and once the key is destroyed nobody can.
 *
 * Threads: any. Ownership: the arena's.
 */
#pragma once

#include <stdbool.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/seal.h"

/* Of a configuration: characters of a text, and of a random one. */
enum { MASK_TEXT_CHARS_MAX = 10000, MASK_RANDOM_CHARS_MAX = 10000 };

struct mask; /* a strategy, configured, with its secrets */

/* "null_rewrite", "string_rewrite" ...: exists, and `configuration` (a JSON object; NULL: empty) fits it.
 * ERR_BAD_REQUEST in the contract's words. */
int mask_check(const char *strategy, const char *configuration, struct err *err) MUST_CHECK;
bool mask_needs_secrets(const char *strategy); /* false for one that does not exist */
/* True for those that write text: null_rewrite and preserve work on any column. */
bool mask_is_text(const char *strategy);

/* Secrets are derived from the request's key and the strategy's name (dsr.md 6.1: one set a request and strategy).
 * ERR_BAD_REQUEST as mask_check(). */
int mask_new(const char *strategy, const char *configuration, const struct seal_key *key, const char *request_id,
             struct arena *arena, const struct mask **ret, struct err *err) MUST_CHECK;
bool mask_keeps(const struct mask *mask); /* preserve: the column is not touched */
bool mask_nulls(const struct mask *mask); /* null_rewrite: whatever stood there */
/* `value` NULL: SQL null. `place` tells values of random strategies apart: address, column and key of the row.
 * `length` 0: not cut. Returns NULL for SQL null. */
const char *mask_value(const struct mask *mask, const char *value, const char *place, int length,
                       struct arena *arena);
