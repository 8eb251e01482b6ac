#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *word;
    int http_status;
    enum err_fate fate;
} err_table[ERR_CODES] = {
    [ERR_NONE] = { "none", 200, ERR_FATE_GIVE_UP },
#define ERR(name, word, http, fate) [ERR_##name] = { word, http, ERR_FATE_##fate },
#include "common/err.tbl.h"
#undef ERR
};

/* A text that was cut ends with a whole character: it is to be valid UTF-8 in an answer. */
static void cut_at_character(char *text, size_t length)
{
    size_t start = length;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
        text[start - 1] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *text, ...)
{
    va_list args;
    int length;

    err->code = code;
    err->cause[0] = '\0';
    err->sqlstate[0] = '\0';
    va_start(args, text);
    length = vsnprintf(err->text, sizeof(err->text), text, args);
    va_end(args);
    if (length >= (int)sizeof(err->text))
        cut_at_character(err->text, sizeof(err->text) - 1);
    return -(int)code;
}

int err_cause(struct err *err, enum err_code code, const char *cause, ...)
{
    va_list args;

    err_set(err, code, "%s", code == ERR_UNAVAILABLE ? "Service Unavailable" : "Internal Server Error");
    va_start(args, cause);
    vsnprintf(err->cause, sizeof(err->cause), cause, args);
    va_end(args);
    return -(int)code;
}

const char *err_word(enum err_code code)
{
    return err_table[code].word;
}

int err_http_status(enum err_code code)
{
    return err_table[code].http_status;
}

enum err_fate err_fate(enum err_code code)
{
    return err_table[code].fate;
}
