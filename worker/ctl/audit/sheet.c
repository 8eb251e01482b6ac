#include "worker/ctl/audit/sheet.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"

enum { TEXT_BYTES_MAX = 64 * 1024 };

/* --- making it ----------------------------------------------------------------------------------------- */

struct sheet *sheet_new(struct arena *arena, const char *title, const char *topic)
{
    struct sheet *sheet = arena_new_of(arena, struct sheet);

    *sheet = (struct sheet){ .arena = arena, .title = title, .topic = topic, .since = USEC_NONE };
    sheet->figures_end = &sheet->figures;
    sheet->tables_end = &sheet->tables;
    return sheet;
}

void sheet_figure(struct sheet *sheet, const char *key, const char *title, int64_t count)
{
    struct sheet_figure *figure = arena_new_of(sheet->arena, struct sheet_figure);

    *figure = (struct sheet_figure){ key, title, count, NULL };
    *sheet->figures_end = figure;
    sheet->figures_end = &figure->next;
}

void sheet_note(struct sheet *sheet, const char *note)
{
    if (sheet->note_count < (int)COUNT_OF(sheet->notes))
        sheet->notes[sheet->note_count++] = note;
}

struct sheet_table *sheet_table(struct sheet *sheet, const char *key, const char *title, const char *note,
                                const struct sheet_column *columns, int column_count, int rows)
{
    struct sheet_table *table = arena_new_of(sheet->arena, struct sheet_table);

    *table = (struct sheet_table){ .key = key, .title = title, .note = note, .columns = columns,
                                   .column_count = column_count };
    table->cells = arena_array(sheet->arena, struct sheet_cell, (size_t)rows * (size_t)column_count + 1);
    *sheet->tables_end = table;
    sheet->tables_end = &table->next;
    return table;
}

struct sheet_cell *sheet_row(struct sheet_table *table)
{
    return table->cells + table->row_count++ * table->column_count;
}

static const struct sheet_cell *cell_of(const struct sheet_table *table, int row, int column)
{
    return &table->cells[row * table->column_count + column];
}

/* --- values for people --------------------------------------------------------------------------------- */

/* In the two largest units that it has. */
const char *sheet_duration(usec_t duration, struct arena *arena)
{
    static const struct {
        const char *name;
        usec_t length;
    } units[] = { { "d", 86400 * USEC_PER_S }, { "h", 3600 * USEC_PER_S }, { "min", 60 * USEC_PER_S },
                  { "s", USEC_PER_S }, { "ms", USEC_PER_MS } };

    if (duration == USEC_NONE)
        return "";
    for (size_t i = 0; i + 1 < COUNT_OF(units); i++) {
        usec_t whole = duration / units[i].length, rest = duration % units[i].length / units[i + 1].length;

        if (whole && rest)
            return arena_printf(arena, "%" PRId64 " %s %" PRId64 " %s", whole, units[i].name, rest, units[i + 1].name);
        if (whole)
            return arena_printf(arena, "%" PRId64 " %s", whole, units[i].name);
    }
    return arena_printf(arena, "%" PRId64 " ms", duration / USEC_PER_MS);
}

static const char *time_shown(usec_t time, struct arena *arena)
{
    char text[USEC_TEXT_BYTES];

    if (time == USEC_NONE)
        return "";
    usec_format_z(time, text);
    text[strcspn(text, ".Z")] = '\0';
    text[strcspn(text, "T")] = ' ';
    return arena_strdup(arena, text);
}

const char *sheet_shown(const struct sheet_column *column, const struct sheet_cell *cell, struct arena *arena)
{
    switch (column->kind) {
    case SHEET_COUNT:
        return arena_printf(arena, "%" PRId64, cell->number);
    case SHEET_DURATION:
        return sheet_duration(cell->number, arena);
    case SHEET_TIME:
        return time_shown(cell->number, arena);
    default:
        return cell->text ? cell->text : "";
    }
}

/* --- for a terminal ------------------------------------------------------------------------------------ */

static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void pad(FILE *out, const char *text, size_t width, bool left)
{
    size_t length = characters(text), missing = width > length ? width - length : 0;

    if (left)
        fprintf(out, "%s%*s", text, (int)missing, "");
    else
        fprintf(out, "%*s%s", (int)missing, "", text);
}

static size_t column_width(const struct sheet_table *table, int column, struct arena *arena)
{
    size_t width = characters(table->columns[column].title);

    for (int row = 0; row < table->row_count; row++) {
        size_t length = characters(sheet_shown(&table->columns[column], cell_of(table, row, column), arena));

        width = length > width ? length : width;
    }
    return width;
}

static void line_print(const struct sheet_table *table, int row, const size_t *widths, struct arena *arena, FILE *out)
{
    for (int i = 0; i < table->column_count; i++) {
        const struct sheet_column *column = &table->columns[i];

        fputs("  ", out);
        pad(out, row < 0 ? column->title : sheet_shown(column, cell_of(table, row, i), arena), widths[i],
            column->kind == SHEET_TEXT);
    }
    fputc('\n', out);
}

static void table_print(const struct sheet_table *table, struct arena *arena, FILE *out)
{
    size_t *widths = arena_array(arena, size_t, (size_t)table->column_count);

    fprintf(out, "\n%s\n", table->title);
    if (table->note)
        fprintf(out, "%s\n", table->note);
    if (!table->row_count) {
        fputs("  none\n", out);
        return;
    }
    for (int i = 0; i < table->column_count; i++)
        widths[i] = column_width(table, i, arena);
    for (int row = -1; row < table->row_count; row++)
        line_print(table, row, widths, arena, out);
}

void sheet_print(const struct sheet *sheet, FILE *out)
{
    struct arena *arena = sheet->arena;

    fprintf(out, "%s\n%s, %s to %s\n\n", sheet->title, sheet->topic,
            sheet->since == USEC_NONE ? "the beginning" : time_shown(sheet->since, arena),
            time_shown(sheet->until, arena));
    for (const struct sheet_figure *figure = sheet->figures; figure; figure = figure->next)
        fprintf(out, "%12" PRId64 "  %s\n", figure->count, figure->title);
    for (const struct sheet_table *table = sheet->tables; table; table = table->next)
        table_print(table, arena, out);
    if (sheet->note_count)
        fputc('\n', out);
    for (int i = 0; i < sheet->note_count; i++)
        fprintf(out, "%s\n", sheet->notes[i]);
}

/* --- CSV ----------------------------------------------------------------------------------------------- */

static void csv_text(const char *text, FILE *out)
{
    bool formula = *text && strchr("=+-@\t\r", *text);

    fputc('"', out);
    if (formula)
        fputc('\'', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void csv_value(const struct sheet_column *column, const struct sheet_cell *cell, FILE *out)
{
    char text[USEC_TEXT_BYTES];

    if (column->kind == SHEET_TEXT)
        csv_text(cell->text ? cell->text : "", out);
    else if (column->kind == SHEET_COUNT)
        fprintf(out, "%" PRId64, cell->number);
    else if (cell->number == USEC_NONE)
        return;
    else if (column->kind == SHEET_TIME)
        fputs(usec_format_z(cell->number, text), out);
    else
        fprintf(out, "%.6f", (double)cell->number / (double)USEC_PER_S);
}

/* How many texts a row begins with. */
static int name_count(const struct sheet_table *table)
{
    int count = 0;

    while (count < table->column_count && table->columns[count].kind == SHEET_TEXT)
        count++;
    return count;
}

static const char *row_name(const struct sheet_table *table, int row, int count, struct arena *arena)
{
    const char *name = "";

    for (int i = 0; i < count; i++) {
        const char *text = cell_of(table, row, i)->text;

        name = arena_printf(arena, "%s%s%s", name, i ? " / " : "", text ? text : "");
    }
    return name;
}

static void table_csv(const struct sheet_table *table, struct arena *arena, FILE *out)
{
    int names = name_count(table);

    for (int row = 0; row < table->row_count; row++) {
        const char *name = row_name(table, row, names, arena);

        for (int i = names; i < table->column_count; i++) {
            fprintf(out, "%s,", table->key);
            csv_text(name, out);
            fprintf(out, ",%s,", table->columns[i].key);
            csv_value(&table->columns[i], cell_of(table, row, i), out);
            fputs("\r\n", out);
        }
    }
}

void sheet_csv(const struct sheet *sheet, FILE *out)
{
    fputs("table,name,measure,value\r\n", out);
    for (const struct sheet_figure *figure = sheet->figures; figure; figure = figure->next)
        fprintf(out, "figures,\"all\",%s,%" PRId64 "\r\n", figure->key, figure->count);
    for (const struct sheet_table *table = sheet->tables; table; table = table->next)
        table_csv(table, sheet->arena, out);
}

/* --- JSON ---------------------------------------------------------------------------------------------- */

static void json_text(const char *text, FILE *out)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(TEXT_BYTES_MAX);

    buf_json_string(&json, text);
    fputs(json.data, out);
}

static void json_time(usec_t time, FILE *out)
{
    char text[USEC_TEXT_BYTES];

    json_text(time == USEC_NONE ? NULL : usec_format_z(time, text), out);
}

static void json_value(const struct sheet_column *column, const struct sheet_cell *cell, FILE *out)
{
    if (column->kind == SHEET_TEXT)
        json_text(cell->text, out);
    else if (column->kind == SHEET_COUNT)
        fprintf(out, "%" PRId64, cell->number);
    else if (column->kind == SHEET_TIME)
        json_time(cell->number, out);
    else if (cell->number == USEC_NONE)
        fputs("null", out);
    else
        fprintf(out, "%.6f", (double)cell->number / (double)USEC_PER_S);
}

static void table_json(const struct sheet_table *table, FILE *out)
{
    fprintf(out, "\"%s\":[", table->key);
    for (int row = 0; row < table->row_count; row++) {
        fputs(row ? ",\n{" : "\n{", out);
        for (int i = 0; i < table->column_count; i++) {
            fprintf(out, "%s\"%s\":", i ? "," : "", table->columns[i].key);
            json_value(&table->columns[i], cell_of(table, row, i), out);
        }
        fputc('}', out);
    }
    fputc(']', out);
}

void sheet_json(const struct sheet *sheet, FILE *out)
{
    fputs("{\"title\":", out);
    json_text(sheet->title, out);
    fputs(",\"topic\":", out);
    json_text(sheet->topic, out);
    fputs(",\"since\":", out);
    json_time(sheet->since, out);
    fputs(",\"until\":", out);
    json_time(sheet->until, out);
    fputs(",\"made_at\":", out);
    json_time(sheet->made_at, out);
    fputs(",\n\"notes\":[", out);
    for (int i = 0; i < sheet->note_count; i++) {
        fputs(i ? "," : "", out);
        json_text(sheet->notes[i], out);
    }
    fputs("],\n\"figures\":{", out);
    for (const struct sheet_figure *figure = sheet->figures; figure; figure = figure->next)
        fprintf(out, "%s\"%s\":%" PRId64, figure == sheet->figures ? "" : ",", figure->key, figure->count);
    fputs("},\n\"tables\":{", out);
    for (const struct sheet_table *table = sheet->tables; table; table = table->next) {
        fputs(table == sheet->tables ? "" : ",\n", out);
        table_json(table, out);
    }
    fputs("}}\n", out);
}
