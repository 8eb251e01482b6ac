#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/schema.h"
#include "worker/execute/markup.h"
#include "worker/execute/pack.h"
#include "worker/execute/zip.h"

/*
 * A zip file of pages for the person: clickme.html, a page a dataset, pages of PAGE_ROWS rows a collection. Without
 * scripts and without anything from elsewhere; readable on a phone and on paper. Pages that tell numbers come after
 * what they count, since nothing is held.
 */
enum { PAGE_ROWS = 1000, TABLE_COLUMNS = 6 /* more than these are a card a row */, PATH_BYTES = 640 };

#define BY_HAND "manual" /* where what was filled in by hand stands, beside the datasets */

struct note { /* of a page that is written, for the one that leads to it */
    const char *name, *folder;
    int64_t rows;
    int pages;
    struct note *first, **last; /* a dataset's collections */
    struct note *next;
};

struct html {
    const struct pack_about *about;
    struct zip *zip;
    struct buf text;
    struct note datasets, *dataset, *collection; /* the head of all; those under way, NULL before the first */
    const struct pack_section *section;
    const char **names; /* of the section's columns, as they are shown */
    const struct dataset_field **fields; /* of the columns; NULL: not described */
    int64_t rows;                        /* of the collection under way */
    int number;                          /* of datasets and collections, for their folders */
};

static const char css[] =
#include "worker/execute/pack_html.css.h" /* of worker/execute/pack_html.css */
    ;

static const char back_svg[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" fill=\"none\" "
    "stroke=\"#1f5f99\" stroke-width=\"2\" stroke-linecap=\"round\" stroke-linejoin=\"round\">"
    "<path d=\"M9.5 3 4.5 8l5 5\"/></svg>\n";

/* --- pages ------------------------------------------------------------------------------------ */

static int flush(struct html *html, bool all, struct err *err)
{
    return pack_flush(&html->text, all, zip_sink(html->zip), err);
}

static int file_put(struct html *html, const char *name, const char *text, struct err *err)
{
    int r = zip_begin(html->zip, name, err);

    return r < 0 ? r : sink_put(zip_sink(html->zip), text, strlen(text), err);
}

/* `root`: the way from the page to the folder `data`. */
static int page_begin(struct html *html, const char *path, const char *title, const char *root, struct err *err)
{
    int r = zip_begin(html->zip, path, err);

    buf_adds(&html->text, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                          "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    markup_text(&html->text, title);
    buf_printf(&html->text, "</title>\n<link rel=\"stylesheet\" href=\"%smain.css\">\n</head>\n<body>\n<main>\n", root);
    return r;
}

static int page_end(struct html *html, struct err *err)
{
    buf_adds(&html->text, "<footer>Request ");
    markup_text(&html->text, html->about->request_id);
    buf_adds(&html->text, "</footer>\n</main>\n</body>\n</html>\n");
    return flush(html, true, err);
}

static void add_back(struct buf *text, const char *root, const char *href, const char *to)
{
    buf_printf(text, "<nav class=\"back\"><a href=\"%s\"><img src=\"%sback.svg\" alt=\"\">", href, root);
    markup_text(text, to);
    buf_adds(text, "</a></nav>\n");
}

static void add_heading(struct buf *text, const char *kind, const char *title)
{
    buf_printf(text, "<p class=\"kind\">%s</p>\n<h1>", kind);
    markup_text(text, title);
    buf_adds(text, "</h1>\n");
}

static void add_count(struct buf *text, int64_t count, const char *one)
{
    buf_printf(text, "%lld %s%s", (long long)count, one, count == 1 ? "" : "s");
}

/* --- what may be shown of names --------------------------------------------------------------- */

static const struct dataset_field *field_find(const struct dataset_field *fields, int count, const char *name,
                                              int *place)
{
    for (int i = 0; i < count; i++) {
        if (!strcmp(fields[i].name, name)) {
            *place = i + 1;
            return &fields[i];
        }
    }
    return NULL;
}

static const char *dataset_shown(const struct html *html, const struct pack_section *section)
{
    if (!section->dataset)
        return BY_HAND;
    if (section->dataset->redact)
        return arena_printf(html->about->arena, "dataset_%d", section->dataset_place);
    return section->dataset->key;
}

static const char *collection_shown(const struct html *html, const struct pack_section *section)
{
    const struct dataset_collection *collection = section->collection;

    if (!collection)
        return section->address;
    if (collection->redact)
        return arena_printf(html->about->arena, "collection_%d",
                            (int)(collection - section->dataset->collections) + 1);
    return collection->name;
}

static void columns_show(struct html *html, const struct pack_section *section)
{
    struct arena *arena = html->about->arena;

    html->names = arena_array(arena, const char *, (size_t)section->count + 1);
    html->fields = arena_array(arena, const struct dataset_field *, (size_t)section->count + 1);
    for (int i = 0; i < section->count; i++) {
        const struct dataset_collection *collection = section->collection;
        int place = 0;

        if (collection)
            html->fields[i] =
                field_find(collection->fields, collection->field_count, section->columns[i], &place);
        html->names[i] = html->fields[i] && html->fields[i]->redact ? arena_printf(arena, "field_%d", place)
                                                                   : section->columns[i];
    }
}

/* --- a collection's pages --------------------------------------------------------------------------------------- */

static bool is_table(const struct html *html)
{
    return html->section->count <= TABLE_COLUMNS;
}

static const char *page_file(char path[PATH_BYTES], int page)
{
    if (page == 1)
        snprintf(path, PATH_BYTES, "index.html");
    else
        snprintf(path, PATH_BYTES, "page-%d.html", page);
    return path;
}

static void add_head(struct html *html)
{
    if (!is_table(html)) {
        buf_adds(&html->text, "<ul class=\"cards\">\n");
        return;
    }
    buf_adds(&html->text, "<table>\n<thead><tr><th scope=\"col\" class=\"number\">#</th>");
    for (int i = 0; i < html->section->count; i++) {
        buf_adds(&html->text, "<th scope=\"col\">");
        markup_text(&html->text, html->names[i]);
        buf_adds(&html->text, "</th>");
    }
    buf_adds(&html->text, "</tr></thead>\n<tbody>\n");
}

static int rows_begin(struct html *html, struct err *err)
{
    char path[PATH_BYTES], file[PATH_BYTES];
    int page = ++html->collection->pages;
    int r;

    snprintf(path, sizeof(path), "data/%s/%s/%s", html->dataset->folder, html->collection->folder,
             page_file(file, page));
    r = page_begin(html, path, html->collection->name, "../../", err);
    add_back(&html->text, "../../", "../index.html", html->dataset->name);
    add_heading(&html->text, "Collection", html->collection->name);
    if (page > 1)
        buf_printf(&html->text, "<p class=\"part\">Page %d, from record %lld</p>\n", page, (long long)html->rows + 1);
    add_head(html);
    return r;
}

static int rows_end(struct html *html, bool more, struct err *err)
{
    char file[PATH_BYTES];
    int page = html->collection->pages;

    buf_adds(&html->text, is_table(html) ? "</tbody>\n</table>\n" : "</ul>\n");
    buf_adds(&html->text, "<nav class=\"pages\">");
    if (page > 1)
        buf_printf(&html->text, "<a rel=\"prev\" href=\"%s\">Page %d</a>", page_file(file, page - 1), page - 1);
    buf_adds(&html->text, "<span>");
    if (more || page > 1)
        buf_printf(&html->text, "Records %lld to %lld", (long long)(page - 1) * PAGE_ROWS + 1, (long long)html->rows);
    else
        add_count(&html->text, html->rows, "record");
    buf_adds(&html->text, "</span>");
    if (more)
        buf_printf(&html->text, "<a rel=\"next\" href=\"%s\">Page %d</a>", page_file(file, page + 1), page + 1);
    buf_adds(&html->text, "</nav>\n");
    return page_end(html, err);
}

static void add_cell(struct html *html, int column, const struct rows_value *value)
{
    buf_adds(&html->text, "<td data-label=\"");
    markup_text(&html->text, html->names[column]);
    buf_adds(&html->text, "\">");
    if (value->json)
        markup_json(&html->text, value->json, value->length, html->fields[column]);
    buf_adds(&html->text, "</td>");
}

static void add_pair(struct html *html, int column, const struct rows_value *value)
{
    if (!value->json)
        return;
    buf_adds(&html->text, "<dt>");
    markup_text(&html->text, html->names[column]);
    buf_adds(&html->text, "</dt><dd>");
    markup_json(&html->text, value->json, value->length, html->fields[column]);
    buf_adds(&html->text, "</dd>");
}

static int html_row(void *handle, const struct rows_value *values, struct err *err)
{
    struct html *html = handle;
    int r = 0;

    if (html->rows && html->rows % PAGE_ROWS == 0) {
        r = rows_end(html, true, err);
        if (r == 0)
            r = rows_begin(html, err);
    }
    if (r < 0)
        return r;
    html->rows++;
    if (is_table(html))
        buf_printf(&html->text, "<tr><th scope=\"row\" class=\"number\">%lld</th>", (long long)html->rows);
    else
        buf_printf(&html->text, "<li><p class=\"number\">Record %lld</p><dl>", (long long)html->rows);
    for (int i = 0; i < html->section->count; i++)
        (is_table(html) ? add_cell : add_pair)(html, i, &values[i]);
    buf_adds(&html->text, is_table(html) ? "</tr>\n" : "</dl></li>\n");
    return flush(html, false, err);
}

/* --- the pages above -------------------------------------------------------------------------- */

static bool folder_is_taken(const struct note *above, const struct note *note)
{
    for (const struct note *other = above->first; other != note; other = other->next)
        if (!strcmp(other->folder, note->folder))
            return true;
    return false;
}

/* No two share a folder, whatever datasets and collections are called. */
static struct note *note_new(struct html *html, struct note *above, const char *name)
{
    struct note *note = arena_new_of(html->about->arena, struct note);

    note->name = name;
    note->folder = pack_name(html->about->arena, name, "", ++html->number);
    note->last = &note->first;
    *above->last = note;
    above->last = &note->next;
    while (folder_is_taken(above, note))
        note->folder = arena_printf(html->about->arena, "%s_%d", note->folder, html->number);
    return note;
}

static void add_entries(struct buf *text, const struct note *above, const char *way)
{
    buf_adds(text, "<ul class=\"entries\">\n");
    for (const struct note *note = above->first; note; note = note->next) {
        buf_printf(text, "<li><a href=\"%s%s/index.html\">", way, note->folder);
        markup_text(text, note->name);
        buf_adds(text, "</a><span>");
        add_count(text, note->rows, "record");
        if (note->pages > 1)
            buf_printf(text, ", %d pages", note->pages);
        buf_adds(text, "</span></li>\n");
    }
    buf_adds(text, "</ul>\n");
}

static int collection_end(struct html *html, struct err *err)
{
    html->collection->rows = html->rows;
    html->dataset->rows += html->rows;
    html->datasets.rows += html->rows;
    return rows_end(html, false, err);
}

static int dataset_end(struct html *html, struct err *err)
{
    char path[PATH_BYTES];
    int r;

    snprintf(path, sizeof(path), "data/%s/index.html", html->dataset->folder);
    r = page_begin(html, path, html->dataset->name, "../", err);
    if (r < 0)
        return r;
    add_back(&html->text, "../", "../../clickme.html", "Your data");
    add_heading(&html->text, "Dataset", html->dataset->name);
    add_entries(&html->text, html->dataset, "");
    return page_end(html, err);
}

/* What is under way, of which the next section may be a part. */
static int section_end(struct html *html, const struct pack_section *next, struct err *err)
{
    int r = html->collection ? collection_end(html, err) : 0;

    if (r == 0 && html->dataset && (!next || next->dataset != html->section->dataset)) {
        r = dataset_end(html, err);
        html->dataset = NULL;
    }
    return r;
}

static int html_section(void *handle, const struct pack_section *section, struct err *err)
{
    struct html *html = handle;
    int r = section_end(html, section, err);

    if (r < 0)
        return r;
    if (!html->dataset)
        html->dataset = note_new(html, &html->datasets, dataset_shown(html, section));
    html->collection = note_new(html, html->dataset, collection_shown(html, section));
    html->section = section;
    html->rows = 0;
    columns_show(html, section);
    return rows_begin(html, err);
}

/* --- the first page --------------------------------------------------------------------------- */

static void add_fact(struct buf *text, const char *label, const char *value)
{
    buf_adds(text, "<dt>");
    markup_text(text, label);
    buf_adds(text, "</dt><dd>");
    markup_text(text, value);
    buf_adds(text, "</dd>\n");
}

/* "phone_number": "Phone number". */
static const char *label_of(struct arena *arena, const char *key)
{
    char *label = arena_strdup(arena, key);

    *label = (char)toupper((unsigned char)*label);
    for (char *at = label; *at; at++)
        if (*at == '_')
            *at = ' ';
    return label;
}

static void add_identities(struct html *html)
{
    _cleanup_(json_object_putp) json_object *identity =
        html->about->identity ? json_tokener_parse(html->about->identity) : NULL;

    if (!json_object_is_type(identity, json_type_object))
        return;
    json_object_object_foreach(identity, key, value)
    {
        const char *label = label_of(html->about->arena, key);

        if (json_object_is_type(value, json_type_object)) {
            const char *own = schema_text(value, "label");

            label = own ? own : label;
            value = schema_get(value, "value");
        }
        if (value)
            add_fact(&html->text, label, json_object_get_string(value));
    }
}

static void add_title(struct html *html)
{
    char requested[64];
    time_t seconds = (time_t)(html->about->requested_at / USEC_PER_S);
    struct tm utc;

    strftime(requested, sizeof(requested), "%m/%d/%Y %H:%M UTC", gmtime_r(&seconds, &utc));
    add_heading(&html->text, "Privacy request", "Your data");
    buf_adds(&html->text, "<dl class=\"facts\">\n");
    add_fact(&html->text, "Request", html->about->request_id);
    add_fact(&html->text, "Type", label_of(html->about->arena, html->about->action));
    add_identities(html);
    add_fact(&html->text, "Requested", requested);
    buf_adds(&html->text, "</dl>\n");
}

static int front_put(struct html *html, struct err *err)
{
    int r = page_begin(html, "clickme.html", "Your data", "data/", err);

    if (r < 0)
        return r;
    add_title(html);
    if (html->datasets.first) {
        buf_adds(&html->text, "<h2>What is stored about you</h2>\n<p class=\"part\">");
        add_count(&html->text, html->datasets.rows, "record");
        buf_adds(&html->text, "</p>\n");
        for (const struct note *note = html->datasets.first; note; note = note->next) {
            buf_printf(&html->text, "<h3><a href=\"data/%s/index.html\">", note->folder);
            markup_text(&html->text, note->name);
            buf_adds(&html->text, "</a></h3>\n");
            add_entries(&html->text, note, arena_printf(html->about->arena, "data/%s/", note->folder));
        }
    } else {
        buf_adds(&html->text, "<p>Nothing is stored about you in what this request covers.</p>\n");
    }
    return page_end(html, err);
}

/* --- the form --------------------------------------------------------------------------------- */

static void html_free(void *handle)
{
    struct html *html = handle;

    zip_free(html->zip);
    buf_free(&html->text);
    free(html);
}

static int html_begin(const struct pack_about *about, struct sink *out, void **handle, struct err *err)
{
    struct html *html = calloc(1, sizeof(*html));
    int r;

    if (!html)
        abort();
    html->about = about;
    html->text = BUF_INIT(PACK_TEXT_MAX);
    html->datasets.last = &html->datasets.first;
    r = zip_new(out, about->requested_at, &html->zip, err);
    if (r < 0)
        html_free(html);
    else
        *handle = html;
    return r;
}

static int html_finish(void *handle, struct err *err)
{
    struct html *html = handle;
    int r = section_end(html, NULL, err);

    if (r == 0)
        r = front_put(html, err);
    if (r == 0)
        r = file_put(html, "data/main.css", css, err);
    if (r == 0)
        r = file_put(html, "data/back.svg", back_svg, err);
    return r < 0 ? r : zip_finish(html->zip, err);
}

const struct pack_form pack_html = {
    .word = "html",
    .suffix = "zip",
    .encrypts = false,
    .begin = html_begin,
    .section = html_section,
    .row = html_row,
    .finish = html_finish,
    .free = html_free,
};
