#include "worker/ctl/audit/page.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "worker/ctl/audit/sheet.h"

/* A count that is the largest of its column has a bar as long as this, in parts of a hundred. */
enum { BAR_LONGEST = 100 };

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>";

static const char style[] =
    "</title>\n<style>\n"
    ":root { --ink: #1b2430; --faint: #5c6773; --line: #d9dee4; --bar: #7ba7d6; --card: #f5f7f9; }\n"
    "* { box-sizing: border-box; }\n"
    "body { font: 15px/1.45 system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; color: var(--ink);\n"
    "  max-width: 70rem; margin: 0 auto; padding: 2rem 1.5rem 3rem; background: #fff; }\n"
    "h1 { font-size: 1.7rem; margin: 0 0 .2rem; }\n"
    "h2 { font-size: 1.12rem; margin: 2.2rem 0 .3rem; }\n"
    "p.about, p.note, footer { color: var(--faint); margin: .1rem 0 .6rem; }\n"
    "p.note { font-size: .9rem; max-width: 46rem; }\n"
    "dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .7rem;\n"
    "  margin: 1.4rem 0; }\n"
    "dl div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; }\n"
    "dt { color: var(--faint); font-size: .85rem; }\n"
    "dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }\n"
    ".wide { overflow-x: auto; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { padding: .32rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;\n"
    "  font-variant-numeric: tabular-nums; }\n"
    "th { color: var(--faint); font-weight: 600; font-size: .85rem; border-bottom: 2px solid var(--line); }\n"
    "td { white-space: nowrap; }\n"
    "th.text, td.text { text-align: left; white-space: normal; overflow-wrap: break-word; min-width: 4.5rem; }\n"
    "td.none { color: var(--faint); }\n"
    "td.bar { background: linear-gradient(var(--bar), var(--bar)) no-repeat right .6rem bottom .1rem;\n"
    "  background-size: calc(var(--part) * .8) .25rem; padding-bottom: .5rem; }\n"
    "footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .8rem; font-size: .85rem; }\n"
    "footer p { margin: .2rem 0; }\n"
    "@page { size: A4; margin: 15mm; }\n"
    "@media print {\n"
    "  body { font-size: 10pt; padding: 0; max-width: none; }\n"
    "  h2, p.note { break-after: avoid; }\n"
    "  th, td { padding: .2rem .4rem; }\n"
    "  tr, dl div { break-inside: avoid; }\n"
    "  thead { display: table-header-group; }\n"
    "  .wide { overflow: visible; }\n"
    "  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }\n"
    "}\n"
    "</style>\n</head>\n<body>\n";

static void text(const char *plain, FILE *out)
{
    for (; *plain; plain++) {
        switch (*plain) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*plain, out);
        }
    }
}

static void element(const char *name, const char *plain, FILE *out)
{
    fprintf(out, "<%s>", name);
    text(plain, out);
    fprintf(out, "</%.*s>", (int)strcspn(name, " "), name);
}

static const char *moment(usec_t time, struct arena *arena)
{
    static const struct sheet_column column = { .kind = SHEET_TIME };
    const struct sheet_cell cell = { .number = time };

    return time == USEC_NONE ? "the beginning" : arena_printf(arena, "%s UTC", sheet_shown(&column, &cell, arena));
}

static void heading(const struct sheet *sheet, FILE *out)
{
    element("h1", sheet->title, out);
    fputs("\n<p class=\"about\">", out);
    text(arena_printf(sheet->arena, "From %s to %s, by the events of %s.", moment(sheet->since, sheet->arena),
                      moment(sheet->until, sheet->arena), sheet->topic),
         out);
    fputs("</p>\n<dl>\n", out);
    for (const struct sheet_figure *figure = sheet->figures; figure; figure = figure->next) {
        fputs("<div>", out);
        element("dt", figure->title, out);
        fprintf(out, "<dd>%" PRId64 "</dd></div>\n", figure->count);
    }
    fputs("</dl>\n", out);
}

static const struct sheet_cell *cell_at(const struct sheet_table *table, int row, int column)
{
    return &table->cells[row * table->column_count + column];
}

static int64_t largest(const struct sheet_table *table, int column)
{
    int64_t most = 0;

    for (int row = 0; row < table->row_count; row++)
        if (cell_at(table, row, column)->number > most)
            most = cell_at(table, row, column)->number;
    return most;
}

/* Of counts, how much of the largest in the column it is. */
static void cell(const struct sheet_table *table, int row, int column, struct arena *arena, FILE *out)
{
    const struct sheet_column *of = &table->columns[column];
    const struct sheet_cell *at = cell_at(table, row, column);
    int64_t most = of->kind == SHEET_COUNT ? largest(table, column) : 0;

    if (of->kind == SHEET_TEXT)
        fputs("<td class=\"text\">", out);
    else if (of->kind == SHEET_COUNT && !at->number)
        fputs("<td class=\"none\">", out);
    else if (most && table->row_count > 1)
        fprintf(out, "<td class=\"bar\" style=\"--part: %d%%\">", (int)(at->number * BAR_LONGEST / most));
    else
        fputs("<td>", out);
    text(sheet_shown(of, at, arena), out);
    fputs("</td>", out);
}

static void rows(const struct sheet_table *table, struct arena *arena, FILE *out)
{
    fputs("<div class=\"wide\"><table>\n<thead><tr>", out);
    for (int i = 0; i < table->column_count; i++)
        element(table->columns[i].kind == SHEET_TEXT ? "th class=\"text\"" : "th", table->columns[i].title, out);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int row = 0; row < table->row_count; row++) {
        fputs("<tr>", out);
        for (int i = 0; i < table->column_count; i++)
            cell(table, row, i, arena, out);
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table></div>\n", out);
}

static void section(const struct sheet_table *table, struct arena *arena, FILE *out)
{
    fprintf(out, "<section id=\"%s\">\n", table->key);
    element("h2", table->title, out);
    fputc('\n', out);
    if (table->note)
        element("p class=\"note\"", table->note, out);
    if (table->row_count)
        rows(table, arena, out);
    else
        element("p class=\"about\"", "None.", out);
    fputs("</section>\n", out);
}

void page_write(const struct sheet *sheet, FILE *out)
{
    fputs(head, out);
    text(sheet->title, out);
    fputs(style, out);
    heading(sheet, out);
    for (const struct sheet_table *table = sheet->tables; table; table = table->next)
        section(table, sheet->arena, out);
    fputs("<footer>\n", out);
    for (int i = 0; i < sheet->note_count; i++) {
        element("p", sheet->notes[i], out);
        fputc('\n', out);
    }
    element("p", arena_printf(sheet->arena, "Made %s by docketctl audit report.", moment(sheet->made_at, sheet->arena)),
            out);
    fputs("\n</footer>\n</body>\n</html>\n", out);
}
