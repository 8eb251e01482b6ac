#include "worker/execute/pack.h"

#include <string.h>

enum { NAME_MAX_BYTES = 200 };

static const struct pack_form *const forms[] = { &pack_json, &pack_csv, &pack_html };

const struct pack_form *pack_form(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(forms); i++)
        if (!strcmp(forms[i]->word, word))
            return forms[i];
    return NULL;
}

int pack_flush(struct buf *text, bool all, struct sink *out, struct err *err)
{
    int r = 0;

    if (text->overflow)
        return err_set(err, ERR_TOO_LARGE, "A value has more than %d MB when it is laid out.",
                       PACK_TEXT_MAX / 1024 / 1024);
    if (text->length < PACK_CHUNK_BYTES && !(all && text->length))
        return 0;
    r = sink_put(out, text->data, text->length, err);
    buf_clear(text);
    return r;
}

const char *pack_name(struct arena *arena, const char *name, const char *also, int number)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    char *own = arena_strndup(arena, name, strnlen(name, NAME_MAX_BYTES));

    for (char *at = own; *at; at++)
        if (!strchr(allowed, *at) && !strchr(also, *at))
            *at = '_';
    if (*own == '.')
        *own = '_';
    return *own && !strcmp(own, name) ? own : arena_printf(arena, "%s_%d", own, number);
}
