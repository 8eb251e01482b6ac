#include "common/grammar.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_CHARS_MAX = 128, EXACT_DIGITS = 15 };

void grammar_space(struct grammar *grammar)
{
    while (grammar->at < grammar->length) {
        char c = grammar->text[grammar->at];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        grammar->at++;
    }
}

bool grammar_word(struct grammar *grammar, const char *word)
{
    size_t length = strlen(word);

    if (grammar->length - grammar->at < length || memcmp(grammar->text + grammar->at, word, length) != 0)
        return false;
    grammar->at += length;
    return true;
}

/* --- numbers ----------------------------------------------------------------------------------------- */

static bool take_digits(struct grammar *grammar)
{
    size_t start = grammar->at;

    while (isdigit((unsigned char)grammar_peek(grammar)))
        grammar->at++;
    return grammar->at > start;
}

static bool take_number(struct grammar *grammar)
{
    grammar_char(grammar, '-');
    if (!grammar_char(grammar, '0') && !take_digits(grammar))
        return false;
    if (grammar_char(grammar, '.') && !take_digits(grammar))
        return false;
    if (grammar_char(grammar, 'e') || grammar_char(grammar, 'E')) {
        if (!grammar_char(grammar, '+'))
            grammar_char(grammar, '-');
        if (!take_digits(grammar))
            return false;
    }
    return true;
}

static bool to_double(const char *number, size_t length, double *ret)
{
    char text[NUMBER_CHARS_MAX + 1];

    if (length > NUMBER_CHARS_MAX)
        return false;
    memcpy(text, number, length);
    text[length] = '\0';
    *ret = strtod(text, NULL);
    return isfinite(*ret);
}

/* Most are short integers, which need no rounding. */
static bool to_integer(const char *number, size_t length, double *ret)
{
    int64_t value = 0;

    if (length > EXACT_DIGITS)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (number[i] < '0' || number[i] > '9')
            return false;
        value = value * 10 + (number[i] - '0');
    }
    *ret = (double)value;
    return true;
}

bool grammar_number(struct grammar *grammar, double *ret)
{
    size_t start = grammar->at;

    if (!take_number(grammar))
        return false;
    if (to_integer(grammar->text + start, grammar->at - start, ret) ||
        to_double(grammar->text + start, grammar->at - start, ret))
        return true;
    grammar->at = start;
    return false;
}

/* --- strings ----------------------------------------------------------------------------------------- */

/* "uXXXX" after a backslash. */
static bool take_unit(struct grammar *grammar, unsigned *ret)
{
    char digits[5] = { 0 };

    if (!grammar_char(grammar, 'u') || grammar->length - grammar->at < 4)
        return false;
    memcpy(digits, grammar->text + grammar->at, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return false;
    grammar->at += 4;
    *ret = (unsigned)strtoul(digits, NULL, 16);
    return true;
}

/* No NUL, as PostgreSQL and C texts cannot hold it; a surrogate only before or after its other half. */
static bool take_unicode(struct grammar *grammar)
{
    unsigned unit, low;

    if (!take_unit(grammar, &unit) || unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return false;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    return grammar_char(grammar, '\\') && take_unit(grammar, &low) && low >= 0xdc00 && low <= 0xdfff;
}

/* What stands behind a backslash. */
static bool take_escape(struct grammar *grammar)
{
    size_t start = grammar->at - 1;
    char c = grammar_peek(grammar);

    if (c == 'u') {
        if (take_unicode(grammar))
            return true;
        grammar->at = start;
        return false;
    }
    if (!c || !strchr("\"\\/bfnrt", c))
        return false;
    grammar->at++;
    return true;
}

bool grammar_string(struct grammar *grammar)
{
    if (!grammar_char(grammar, '"'))
        return false;
    while (grammar->at < grammar->length) {
        unsigned char c = (unsigned char)grammar->text[grammar->at];

        if (c < 0x20)
            return false;
        grammar->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !take_escape(grammar))
            return false;
    }
    return false;
}
