#include <stdlib.h>
#include <string.h>

#include "common/scan.h"
#include "common/schema.h"
#include "worker/execute/cipher.h"
#include "worker/execute/pack.h"
#include "worker/execute/zip.h"

/*
 * A zip file with a member a collection (RFC 4180). Null is an empty cell, an object or list its JSON. A text that a
 * spreadsheet would take for a formula begins with an apostrophe, as in the API's own CSV; telephone numbers and
 * numbers don't.
 */

struct csv {
    struct zip *zip;
    struct cipher *cipher;      /* of the member under way; NULL: not encrypted */
    const char *encryption_key; /* NULL: none */
    struct sink *out;           /* of the member under way */
    struct arena *arena;
    struct buf text, cell;
    const struct pack_section *section;
    int members;
};

static void csv_free(void *handle)
{
    struct csv *csv = handle;

    cipher_free(csv->cipher);
    zip_free(csv->zip);
    buf_free(&csv->text);
    buf_free(&csv->cell);
    free(csv);
}

static int csv_begin(const struct pack_about *about, struct sink *out, void **handle, struct err *err)
{
    struct csv *csv = calloc(1, sizeof(*csv));
    int r;

    if (!csv)
        abort();
    csv->text = csv->cell = BUF_INIT(PACK_TEXT_MAX);
    csv->encryption_key = about->encryption_key;
    csv->arena = about->arena;
    r = zip_new(out, about->requested_at, &csv->zip, err);
    if (r < 0)
        csv_free(csv);
    else
        *handle = csv;
    return r;
}

static bool is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text) && !schema_is_phone(text);
}

static void add_text(struct buf *out, const char *text, bool guarded)
{
    bool quoted = strpbrk(text, ",\"\r\n");

    if (quoted)
        buf_addc(out, '"');
    if (guarded && is_formula(text))
        buf_addc(out, '\'');
    for (const char *quote; quoted && (quote = strchr(text, '"')); text = quote + 1) {
        buf_add(out, text, (size_t)(quote - text));
        buf_adds(out, "\"\"");
    }
    buf_adds(out, text);
    if (quoted)
        buf_addc(out, '"');
}

static void add_value(struct csv *csv, const struct rows_value *value)
{
    bool is_string = *value->json == '"';

    if (value->length == 4 && !memcmp(value->json, "null", 4))
        return;
    buf_clear(&csv->cell);
    if (is_string)
        scan_text((struct scan_token){ SCAN_STRING, value->json, value->length }, &csv->cell);
    else
        buf_add(&csv->cell, value->json, value->length);
    csv->text.overflow |= csv->cell.overflow;
    if (csv->cell.length)
        add_text(&csv->text, csv->cell.data, is_string);
}

static int member_end(struct csv *csv, struct err *err)
{
    int r = pack_flush(&csv->text, true, csv->out, err);

    if (r == 0 && csv->cipher)
        r = cipher_finish(csv->cipher, err);
    cipher_free(TAKE(csv->cipher));
    return r;
}

static int member_begin(struct csv *csv, const struct pack_section *section, struct err *err)
{
    int r = zip_begin(csv->zip, arena_printf(csv->arena, "%s.csv", pack_name(csv->arena, section->address, ":",
                                                                            ++csv->members)), err);

    if (r == 0 && csv->encryption_key)
        r = cipher_new(csv->encryption_key, NULL, zip_sink(csv->zip), &csv->cipher, err);
    csv->out = csv->cipher ? cipher_sink(csv->cipher) : zip_sink(csv->zip);
    return r;
}

static int csv_section(void *handle, const struct pack_section *section, struct err *err)
{
    struct csv *csv = handle;
    int r = csv->section ? member_end(csv, err) : 0;

    if (r == 0)
        r = member_begin(csv, section, err);
    csv->section = section;
    for (int i = 0; i < section->count; i++) {
        if (i)
            buf_addc(&csv->text, ',');
        add_text(&csv->text, section->columns[i], true);
    }
    buf_adds(&csv->text, "\r\n");
    return r;
}

static int csv_row(void *handle, const struct rows_value *values, struct err *err)
{
    struct csv *csv = handle;

    for (int i = 0; i < csv->section->count; i++) {
        if (i)
            buf_addc(&csv->text, ',');
        if (values[i].json)
            add_value(csv, &values[i]);
    }
    buf_adds(&csv->text, "\r\n");
    return pack_flush(&csv->text, false, csv->out, err);
}

static int csv_finish(void *handle, struct err *err)
{
    struct csv *csv = handle;
    int r = csv->section ? member_end(csv, err) : 0;

    return r < 0 ? r : zip_finish(csv->zip, err);
}

const struct pack_form pack_csv = {
    .word = "csv",
    .suffix = "zip",
    .encrypts = true,
    .begin = csv_begin,
    .section = csv_section,
    .row = csv_row,
    .finish = csv_finish,
    .free = csv_free,
};
