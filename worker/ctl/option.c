#include "worker/ctl/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/usec.h"

static bool take_text(const char *value, void *field)
{
    *(const char **)field = value;
    return true;
}

static bool take_texts(const char *value, void *field)
{
    struct option_texts *texts = field;

    if (texts->count == OPTION_TEXTS_MAX)
        return false;
    texts->texts[texts->count++] = value;
    return true;
}

static bool take_time(const char *value, void *field)
{
    usec_t ago;

    if (usec_parse(value, field))
        return true;
    if (!usec_parse_duration(value, strlen(value), &ago))
        return false;
    *(usec_t *)field = usec_now() - ago;
    return true;
}

static bool take_bytes(const char *value, void *field)
{
    static const char units[] = "KMG";
    const char *unit;
    int64_t number;
    char *end;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (errno || !isdigit((unsigned char)value[0]))
        return false;
    unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (*end && (!unit || end[1]))
        return false;
    for (ptrdiff_t i = 0; unit && i <= unit - units; i++)
        if (__builtin_mul_overflow(number, 1024, &number))
            return false;
    *(int64_t *)field = number;
    return true;
}

static const struct {
    const char *takes;
    bool (*take)(const char *value, void *field);
} kinds[] = {
    [OPTION_TEXT] = { "a value", take_text },
    [OPTION_TEXTS] = { "a value, at most 64 times", take_texts },
    [OPTION_TIME] = { "a time as 2026-01-31T12:00:00Z, or how long ago as 2h", take_time },
    [OPTION_BYTES] = { "a number of bytes, with K, M or G for more", take_bytes },
};

/* The row of "--name" or "--name=value"; *value is what stands after the "=", else NULL. */
static const struct option_row *row_find(const struct option_row *rows, const char *word, const char **value)
{
    size_t length = strcspn(word, "=");

    *value = word[length] ? word + length + 1 : NULL;
    for (; rows->name; rows++)
        if (strlen(rows->name) == length && !memcmp(rows->name, word, length))
            return rows;
    return NULL;
}

/* *args is the option; it is moved to its last word. */
static int option_take(char ***args, const struct option_row *rows, void *into, struct err *err)
{
    const char *word = **args, *value;
    const struct option_row *row = row_find(rows, word, &value);
    void *field;

    if (!row)
        return err_set(err, ERR_BAD_REQUEST, "there is no option %.100s", word);
    field = (char *)into + row->offset;
    if (row->kind == OPTION_FLAG && !value) {
        *(bool *)field = true;
        return 0;
    }
    if (row->kind == OPTION_FLAG)
        return err_set(err, ERR_BAD_REQUEST, "%s takes no value", row->name);
    if (!value && (*args)[1])
        value = *++*args;
    if (!value || !kinds[row->kind].take(value, field))
        return err_set(err, ERR_BAD_REQUEST, "%s takes %s", row->name, kinds[row->kind].takes);
    return 0;
}

int option_read(char **args, const struct option_row *rows, void *into, struct option_texts *words, struct err *err)
{
    bool only_words = false;
    int r = 0;

    words->count = 0;
    for (; r == 0 && *args; args++) {
        if (!only_words && !strcmp(*args, "--"))
            only_words = true;
        else if (!only_words && !strncmp(*args, "--", 2))
            r = option_take(&args, rows, into, err);
        else if (!take_texts(*args, words))
            r = err_set(err, ERR_BAD_REQUEST, "more than %d words", OPTION_TEXTS_MAX);
    }
    return r;
}
