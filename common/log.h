/*
 * log - one line of JSON an event on standard error: a word, and typed fields.
 *
 *   log_info("webhook.sent", log_id("request", id), log_ms("took_ms", took));
 *
 * There is no field type for identities, payloads or free text from outside, so they cannot be logged.
 * Threads: any; a line is written in one piece.
 */
#pragma once

#include <stdint.h>

#include "common/err.h"
#include "common/usec.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_type { LOG_END, LOG_ID, LOG_WORD, LOG_NUMBER, LOG_MS };

struct log_field {
    enum log_type type;
    const char *name;
    const char *text;
    int64_t number;
};

/* An id of our own making or a key of the configuration; cut at 128 characters. */
static inline struct log_field log_id(const char *name, const char *id)
{
    return (struct log_field){ LOG_ID, name, id, 0 };
}

/* A word from a fixed vocabulary or our own text: an outcome, a state, a cause. */
static inline struct log_field log_word(const char *name, const char *word)
{
    return (struct log_field){ LOG_WORD, name, word, 0 };
}

static inline struct log_field log_number(const char *name, int64_t number)
{
    return (struct log_field){ LOG_NUMBER, name, 0, number };
}

/* A duration in microseconds, shown in milliseconds with three decimals. */
static inline struct log_field log_ms(const char *name, usec_t duration)
{
    return (struct log_field){ LOG_MS, name, 0, duration };
}

/* `program` is shown in every line; lines below `level` are dropped. */
void log_setup(const char *program, enum log_level level);

void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ) { LOG_END } })
#define log_debug(event, ...) log_write(LOG_DEBUG, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...) log_write(LOG_INFO, event, LOG_FIELDS(__VA_ARGS__))
#define log_warn(event, ...) log_write(LOG_WARN, event, LOG_FIELDS(__VA_ARGS__))
#define log_error(event, ...) log_write(LOG_ERROR, event, LOG_FIELDS(__VA_ARGS__))

/* The error of `err` with its code's word and its cause. Its text may hold a caller's value, so it stays out. */
#define log_err(event, err, ...)                                                                   \
    log_write(LOG_ERROR, event,                                                                    \
              LOG_FIELDS(log_word("code", err_word((err)->code)), log_word("cause", (err)->cause)  \
                             __VA_OPT__(, ) __VA_ARGS__))
