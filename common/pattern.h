/*
 * pattern - regular expressions, as much of ECMA-262 as schemas/events uses: ASCII characters, `\` before one that means
 * more, classes such as [a-z0-9_] and [^/], each with ?, *, +, {n}, {n,} or {n,m}; ^ at the beginning, $ at the end.
 *
 * Threads:   any. Ownership: a pattern is its arena's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

struct pattern;

/* False for anything else: a group, an alternative, a shorthand ... */
bool pattern_compile(const char *text, struct arena *arena, const struct pattern **ret) MUST_CHECK;

/* `text` is UTF-8; a match may stand anywhere in it, unless ^ and $ say otherwise. */
bool pattern_matches(const struct pattern *pattern, const char *text, size_t length);
