#include <stdlib.h>

#include "common/scan.h"
#include "worker/execute/cipher.h"
#include "worker/execute/pack.h"

/* One object, address -> list of rows, laid out as json.dumps(indent=2) does. */

struct json {
    struct cipher *cipher; /* NULL: not encrypted */
    struct sink *out;
    struct buf text;
    const struct pack_section *section; /* NULL before the first */
    bool any_row;                       /* of the section under way */
};

static void json_free(void *handle)
{
    struct json *json = handle;

    cipher_free(json->cipher);
    buf_free(&json->text);
    free(json);
}

static int json_begin(const struct pack_about *about, struct sink *out, void **handle, struct err *err)
{
    struct json *json = calloc(1, sizeof(*json));
    int r = 0;

    if (!json)
        abort();
    json->text = BUF_INIT(PACK_TEXT_MAX);
    if (about->encryption_key)
        r = cipher_new(about->encryption_key, NULL, out, &json->cipher, err);
    if (r < 0) {
        json_free(json);
        return r;
    }
    json->out = json->cipher ? cipher_sink(json->cipher) : out;
    buf_addc(&json->text, '{');
    *handle = json;
    return 0;
}

static void section_end(struct json *json)
{
    if (json->section)
        buf_adds(&json->text, "\n  ]");
}

static int json_section(void *handle, const struct pack_section *section, struct err *err)
{
    struct json *json = handle;

    section_end(json);
    buf_adds(&json->text, json->section ? ",\n  " : "\n  ");
    buf_json_string(&json->text, section->address);
    buf_adds(&json->text, ": [");
    json->section = section;
    json->any_row = false;
    return pack_flush(&json->text, false, json->out, err);
}

static void add_value(struct buf *text, const struct rows_value *value)
{
    if (*value->json == '{' || *value->json == '[')
        scan_indent(value->json, value->length, 3, text);
    else
        buf_add(text, value->json, value->length);
}

static int json_row(void *handle, const struct rows_value *values, struct err *err)
{
    struct json *json = handle;
    bool any = false;

    buf_adds(&json->text, json->any_row ? ",\n    {" : "\n    {");
    for (int i = 0; i < json->section->count; i++) {
        if (!values[i].json)
            continue;
        buf_adds(&json->text, any ? ",\n      " : "\n      ");
        buf_json_string(&json->text, json->section->columns[i]);
        buf_adds(&json->text, ": ");
        add_value(&json->text, &values[i]);
        any = true;
    }
    buf_adds(&json->text, any ? "\n    }" : "}");
    json->any_row = true;
    return pack_flush(&json->text, false, json->out, err);
}

static int json_finish(void *handle, struct err *err)
{
    struct json *json = handle;
    int r;

    section_end(json);
    buf_adds(&json->text, json->section ? "\n}" : "}");
    r = pack_flush(&json->text, true, json->out, err);
    if (r == 0 && json->cipher)
        r = cipher_finish(json->cipher, err);
    return r;
}

const struct pack_form pack_json = {
    .word = "json",
    .suffix = "json",
    .encrypts = true,
    .begin = json_begin,
    .section = json_section,
    .row = json_row,
    .finish = json_finish,
    .free = json_free,
};
