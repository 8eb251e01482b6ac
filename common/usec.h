/*
 * usec - time in microseconds since the Unix epoch, UTC. Read once a loop turn and passed down.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t usec_t;

#define USEC_PER_MS ((usec_t)1000)
#define USEC_PER_S ((usec_t)1000000)
#define USEC_NONE INT64_MIN /* "no time": SQL null, JSON null */

enum { USEC_TEXT_BYTES = 40 };

usec_t usec_now(void);       /* wall clock */
usec_t usec_monotonic(void); /* for durations only */

/* Each writes a NUL-terminated text into `text` and returns it. */
const char *usec_format_z(usec_t time, char text[USEC_TEXT_BYTES]);      /* 2024-08-01T14:38:32.499588Z: REST */
const char *usec_format_offset(usec_t time, char text[USEC_TEXT_BYTES]); /* 2024-08-01T14:38:32.499588+00:00: webhook bodies */
/* 2025-10-01T21:31:14.931000, and without the fraction when that is 0: contract webhooks-out.md 2 */
const char *usec_format_bare(usec_t time, char text[USEC_TEXT_BYTES]);

/* ISO 8601: date, or date and time with optional fraction and optional zone (none means UTC). */
bool usec_parse(const char *text, usec_t *ret);

/* "250ms", "5s", "5m", "2h", "1d". False when it is none of these or overflows. */
bool usec_parse_duration(const char *text, size_t length, usec_t *ret);
