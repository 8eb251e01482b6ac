#include "common/structured.h"

#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(json_object *, json_object_put)
DEFINE_CLEANUP(json_tokener *, json_tokener_free)

enum { DEPTH = 64 };

static void member_begin(struct buf *out, bool *first, const char *name)
{
    if (!*first)
        buf_addc(out, ',');
    *first = false;
    buf_json_string(out, name);
    buf_addc(out, ':');
}

/* Bytes as a JSON string: what is no UTF-8, or holds a NUL, is told by buf_json_string() as far as it goes. */
static void member_text(struct buf *out, bool *first, const char *name, const void *bytes, size_t length)
{
    char *text = calloc(1, bytes ? length + 1 : 1);

    if (!text)
        abort();
    if (bytes)
        memcpy(text, bytes, length); /* not strndup(), which may look for the end of a text that has none */
    member_begin(out, first, name);
    buf_json_string(out, text);
    free(text);
}

static void headers_add(struct buf *out, bool *first, const struct record *record)
{
    for (int i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];

        if (!strcmp(header->name, "content-type"))
            member_text(out, first, "datacontenttype", header->value, header->length);
        else if (!strncmp(header->name, "ce_", 3))
            member_text(out, first, header->name + 3, header->value, header->length);
    }
}

/* The value when it is JSON and nothing after it; NULL otherwise. */
static json_object *value_parse(const struct record *record)
{
    _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(DEPTH);
    json_object *value;

    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    value = json_tokener_parse_ex(tokener, record->value, (int)record->value_length);
    if (json_tokener_get_error(tokener) != json_tokener_success ||
        json_tokener_get_parse_end(tokener) != record->value_length) {
        json_object_put(value);
        return NULL;
    }
    return value;
}

static void value_add_base64(struct buf *out, bool *first, const struct record *record)
{
    size_t room = sodium_base64_ENCODED_LEN(record->value_length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room);

    if (!text)
        abort();
    sodium_bin2base64(text, room, record->value, record->value_length, sodium_base64_VARIANT_ORIGINAL);
    member_begin(out, first, "data_base64");
    buf_json_string(out, text);
    free(text);
}

static void value_add(struct buf *out, bool *first, const struct record *record)
{
    _cleanup_(json_object_putp) json_object *value = NULL;

    if (!record->value)
        return; /* a tombstone */
    value = record->value_length <= INT32_MAX ? value_parse(record) : NULL;
    if (!value) {
        value_add_base64(out, first, record);
        return;
    }
    member_begin(out, first, "data");
    if (memchr(record->value, '\n', record->value_length))
        buf_adds(out, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        buf_add(out, record->value, record->value_length);
}

void structured_add(struct buf *out, const struct record *record)
{
    bool first = true;

    buf_addc(out, '{');
    headers_add(out, &first, record);
    if (record->key)
        member_text(out, &first, "partitionkey", record->key, record->key_length);
    value_add(out, &first, record);
    buf_addc(out, '}');
}
