/*
 * grammar - RFC 8259's tokens and nothing else, held against text from outside: no NaN, no control characters, no NUL
 * and no lone surrogate in a string, no number that is infinite as a double. Whether the text is UTF-8 is to be asked
 * before, of the whole (schema_is_utf8).
 *
 * Threads:   any, each its own. Ownership: reads in place.
 * Errors:    false, with `at` where it failed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct grammar {
    const char *text;
    size_t length, at;
    int depth; /* the caller's own */
};

/* The character there, or 0 at the end: no valid text has a NUL. */
static inline char grammar_peek(const struct grammar *grammar)
{
    return grammar->at < grammar->length ? grammar->text[grammar->at] : '\0';
}

/* Goes past it when it is there. */
static inline bool grammar_char(struct grammar *grammar, char c)
{
    if (grammar_peek(grammar) != c || !c)
        return false;
    grammar->at++;
    return true;
}

void grammar_space(struct grammar *grammar);
bool grammar_word(struct grammar *grammar, const char *word);
bool grammar_number(struct grammar *grammar, double *ret);
bool grammar_string(struct grammar *grammar); /* with its quotes */
