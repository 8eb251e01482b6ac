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

int err_set(struct err *err, enum err_code code, const char *text, ...)
{
    va_list args;

    err->code = code;
    err->cause[0] = '\0';
    va_start(args, text);
    vsnprintf(err->text, sizeof(err->text), text, args);
    va_end(args);
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
