#include "api/csv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/request.h"

/* Rows read at once; columns of one kind that callers' own names may add; the whole download. */
enum { BATCH_ROWS = 500, NAMES_MAX = 256, CSV_BYTES_MAX = 512 * 1024 * 1024 };

/* --- cells --------------------------------------------------------------------------------------------- */

static bool is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text) && !schema_is_phone(text);
}

void csv_cell(struct buf *out, bool first, const char *text)
{
    bool quoted = text && strpbrk(text, ",\"\r\n");

    if (!first)
        buf_addc(out, ',');
    if (quoted)
        buf_addc(out, '"');
    if (text && is_formula(text))
        buf_addc(out, '\'');
    for (; text && *text; text++) {
        if (*text == '"')
            buf_addc(out, '"');
        buf_addc(out, *text);
    }
    if (quoted)
        buf_addc(out, '"');
}

static void cell_time(struct buf *out, usec_t time)
{
    char text[USEC_TEXT_BYTES];

    csv_cell(out, false, time == USEC_NONE ? NULL : usec_format_z(time, text));
}

/* access+erasure: the actions of a policy's rules, each once. */
static const char *request_type(const struct catalog_policy *policy, struct arena *arena)
{
    const char *type = "";

    for (int i = 0; policy && i < policy->rule_count; i++) {
        const char *action = policy->rules[i].action_type;

        if (!strstr(type, action))
            type = arena_printf(arena, "%s%s%s", type, *type ? "+" : "", action);
    }
    return type;
}

/* A value as one cell: of an identity or custom field {"label","value"} its value. */
static const char *value_text(json_object *value)
{
    if (json_object_is_type(value, json_type_object))
        value = schema_get(value, "value");
    if (!value || json_object_is_type(value, json_type_string))
        return json_object_get_string(value);
    return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* --- the table ----------------------------------------------------------------------------------------- */

/* The columns that the rows bring with them, in the order of their first appearance. */
struct names {
    const char *names[NAMES_MAX];
    int count;
};

/* A row on its way: the columns that all have as text, the rest as it was opened, until all columns are known. */
struct csv_row {
    const char *fixed;
    const char *identity, *custom_fields; /* JSON */
};

struct table {
    struct api_call *call;
    struct csv_row *rows;
    int count;
    struct names identities, custom_fields;
};

static void names_add(struct names *names, struct arena *arena, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (!strcmp(names->names[i], name))
            return;
    if (names->count < NAMES_MAX)
        names->names[names->count++] = arena_strdup(arena, name);
}

static void table_note_names(struct table *table, const struct csv_row *row)
{
    _cleanup_(json_object_putp) json_object *identity = api_json_parse(row->identity);
    _cleanup_(json_object_putp) json_object *fields = api_json_parse(row->custom_fields);
    struct arena *arena = table->call->arena;

    if (identity) {
        json_object_object_foreach(identity, name, value)
        {
            if (value)
                names_add(&table->identities, arena, name);
        }
    }
    if (fields) {
        json_object_object_foreach(fields, name, field)
        {
            (void)name;
            names_add(&table->custom_fields, arena, schema_text(field, "label"));
        }
    }
}

static const char *fixed_cells(const struct table *table, const struct request_view *view, const char *reason)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(1024 * 1024);
    struct arena *arena = table->call->arena;

    csv_cell(&out, true, lifecycle_word(view->status));
    csv_cell(&out, false, request_type(view->policy, arena));
    cell_time(&out, view->created_at);
    cell_time(&out, view->due_date);
    csv_cell(&out, false, view->reviewed_by);
    csv_cell(&out, false, view->id);
    cell_time(&out, view->reviewed_at);
    csv_cell(&out, false, view->status == PR_DENIED ? reason : NULL);
    cell_time(&out, view->updated_at);
    cell_time(&out, view->finalized_at);
    return arena_strndup(arena, out.data, out.length);
}

static int table_read(struct table *table, const char *const *ids, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = request_rows(table->call, ids, count, &rows, err);

    if (r < 0)
        return r;
    for (int row = 0; row < PQntuples(rows); row++) {
        struct request_view view = request_view_read(table->call, rows, row);
        struct request_secrets secrets = request_open(table->call, rows, row,
                                                      REQUEST_IDENTITY | REQUEST_CUSTOM_FIELDS | REQUEST_REASON);
        struct csv_row *to = &table->rows[table->count++];

        *to = (struct csv_row){ fixed_cells(table, &view, secrets.reason), secrets.identity,
                                secrets.custom_fields };
        table_note_names(table, to);
    }
    return 0;
}

static int table_read_all(struct table *table, const struct search_found *found, struct err *err)
{
    int r = 0;

    table->rows = arena_array(table->call->arena, struct csv_row, (size_t)found->count);
    for (int first = 0; r == 0 && first < found->count; first += BATCH_ROWS) {
        int left = found->count - first;

        r = table_read(table, found->ids + first, left < BATCH_ROWS ? left : BATCH_ROWS, err);
    }
    return r;
}

static void print_head(const struct table *table, struct buf *out)
{
    static const char *const fixed[] = {
        "Status", "Request Type", "Time Received", "Deadline", "Reviewed By", "Request ID",
        "Time Approved/Denied", "Denial Reason", "Last Updated", "Completed On",
    };

    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        csv_cell(out, i == 0, fixed[i]);
    for (int i = 0; i < table->identities.count; i++)
        csv_cell(out, false, table->identities.names[i]);
    for (int i = 0; i < table->custom_fields.count; i++)
        csv_cell(out, false, arena_printf(table->call->arena, "Custom Field %s", table->custom_fields.names[i]));
    buf_adds(out, "\r\n");
}

static json_object *field_labelled(json_object *fields, const char *label)
{
    if (!fields)
        return NULL;
    json_object_object_foreach(fields, name, field)
    {
        (void)name;
        if (!strcmp(schema_text(field, "label"), label))
            return field;
    }
    return NULL;
}

static void print_row(const struct table *table, const struct csv_row *row, struct buf *out)
{
    _cleanup_(json_object_putp) json_object *identity = api_json_parse(row->identity);
    _cleanup_(json_object_putp) json_object *fields = api_json_parse(row->custom_fields);

    buf_adds(out, row->fixed);
    for (int i = 0; i < table->identities.count; i++)
        csv_cell(out, false, value_text(identity ? schema_get(identity, table->identities.names[i]) : NULL));
    for (int i = 0; i < table->custom_fields.count; i++)
        csv_cell(out, false, value_text(field_labelled(fields, table->custom_fields.names[i])));
    buf_adds(out, "\r\n");
}

static int table_answer(const struct table *table, struct err *err)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(CSV_BYTES_MAX);
    time_t seconds = (time_t)(table->call->now / USEC_PER_S);
    char header[96];
    struct tm day;

    print_head(table, &out);
    for (int i = 0; i < table->count; i++)
        print_row(table, &table->rows[i], &out);
    if (out.overflow)
        return err_set(err, ERR_BAD_REQUEST, "The download would be too large. Please narrow your date range and try "
                                             "again.");
    strftime(header, sizeof(header), "attachment; filename=privacy_requests_download_%Y-%m-%d.csv",
             gmtime_r(&seconds, &day));
    http_set_header(table->call->http, "Content-Disposition", header);
    return api_answer_text(table->call, 200, "text/csv; charset=utf-8", out.data, out.length);
}

int csv_answer(struct api_call *call, const struct search *search, struct err *err)
{
    struct table table = { .call = call };
    struct search_found found;
    int r = search_ids(call, search, 0, CSV_ROWS_MAX, &found, err);

    if (r < 0)
        return r;
    if (found.total > CSV_ROWS_MAX)
        return err_set(err, ERR_BAD_REQUEST,
                       "Requested privacy request report would contain %lld rows. A maximum of %d rows is permitted. "
                       "Please narrow your date range and try again.",
                       found.total, CSV_ROWS_MAX);
    r = table_read_all(&table, &found, err);
    if (r < 0)
        return r;
    return table_answer(&table, err);
}
