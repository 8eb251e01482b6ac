#include "worker/ctl/audit/story.h"

#include <stdio.h>
#include <string.h>

#include "common/event.h"

enum { NAME_BYTES = 64 };

static const char *const stories[EVENT_TYPES] = {
#define STORY(NAME, words) [EVENT_##NAME] = words,
#include "worker/ctl/audit/story.tbl.h"
#undef STORY
};

static void text_add(const char *text, size_t length, struct buf *out)
{
    for (size_t i = 0; i < length; i++)
        buf_addc(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
}

void story_text(const char *text, struct buf *out)
{
    text_add(text, strlen(text), out);
}

/* --- members of an event's data ------------------------------------------------------------------------ */

/* NULL: it is not there, or null, or an empty list. */
static json_object *member_of(json_object *data, const char *name, size_t length)
{
    char text[NAME_BYTES];
    json_object *member = NULL;

    snprintf(text, sizeof(text), "%.*s", (int)length, name);
    if (!data || !json_object_object_get_ex(data, text, &member))
        return NULL;
    if (json_object_is_type(member, json_type_array) && !json_object_array_length(member))
        return NULL;
    return member;
}

/* Of a list of objects, by what each is called. */
static void value_add(json_object *value, struct buf *out)
{
    json_object *key;

    if (json_object_is_type(value, json_type_object) && json_object_object_get_ex(value, "webhook_key", &key))
        value = key;
    story_text(json_object_get_string(value), out);
}

static void member_add(json_object *member, struct buf *out)
{
    size_t count = json_object_is_type(member, json_type_array) ? json_object_array_length(member) : 0;

    if (!count)
        value_add(member, out);
    for (size_t i = 0; i < count; i++) {
        buf_adds(out, i ? ", " : "");
        value_add(json_object_array_get_idx(member, i), out);
    }
}

/* --- words --------------------------------------------------------------------------------------------- */

/* names: "one|other}"; behind it. *found: one of them was there. */
static const char *names_add(const char *names, json_object *data, bool *found, struct buf *out)
{
    json_object *member = NULL;

    while (*names != '}') {
        size_t length = strcspn(names, "|}");

        if (!member)
            member = member_of(data, names, length);
        names += length + (names[length] == '|');
    }
    *found = member != NULL;
    if (member)
        member_add(member, out);
    return names + 1;
}

/* Up to `end`; behind it. *whole: all members were there. */
static const char *words_add(const char *words, char end, json_object *data, bool *whole, struct buf *out)
{
    *whole = true;
    while (*words != end) {
        bool found = true;

        if (*words == '{') {
            words = names_add(words + 1, data, &found, out);
            if (!found)
                buf_addc(out, '?');
        } else if (*words == '[') {
            struct buf part = BUF_INIT(out->max);

            words = words_add(words + 1, ']', data, &found, &part);
            if (found && part.length)
                buf_add(out, part.data, part.length);
            buf_free(&part);
            found = true;
        } else {
            buf_addc(out, *words++);
        }
        *whole &= found;
    }
    return words + (end != '\0');
}

/* "docket.request.this_or_that.v1": "this or that". */
static void name_add(const char *type, struct buf *out)
{
    const char *last = strrchr(type, '.'), *first = last;

    while (first && first > type && first[-1] != '.')
        first--;
    if (!first || first == last)
        story_text(type, out);
    else
        for (const char *at = first; at < last; at++)
            text_add(*at == '_' ? " " : at, 1, out);
}

void story_what(const char *type, json_object *data, struct buf *out)
{
    const char *words = stories[event_parse(type)];
    bool whole;

    if (words)
        words_add(words, '\0', data, &whole, out);
    else
        name_add(type ? type : "an event without a type", out);
}

void story_who(const char *source, json_object *data, struct buf *out)
{
    const char *program = source ? strrchr(source, '/') : NULL;
    bool whole;
    struct buf by = BUF_INIT(out->max);

    words_add("{by}[ {user_id}]", '\0', data, &whole, &by);
    if (whole)
        buf_printf(out, "%s, ", by.data);
    buf_free(&by);
    story_text(program ? program + 1 : source ? source : "?", out);
}

/* --- data ---------------------------------------------------------------------------------------------- */

json_object *story_data(const struct record *record)
{
    json_tokener *tokener = json_tokener_new();
    json_object *data = NULL;

    if (record->value && record->value_length <= INT32_MAX)
        data = json_tokener_parse_ex(tokener, record->value, (int)record->value_length);
    json_tokener_free(tokener);
    if (!data || json_object_is_type(data, json_type_object))
        return data;
    json_object_put(data);
    return NULL;
}

const char *story_status(json_object *data)
{
    json_object *status;

    if (!data || !json_object_object_get_ex(data, "status", &status) || !json_object_is_type(status, json_type_string))
        return NULL;
    return json_object_get_string(status);
}
