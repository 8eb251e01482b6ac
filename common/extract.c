#include "common/extract.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/scan.h"

/* Lists within lists that are looked through for sub-fields: what lies deeper is not in the package. And what all the
 * values of a row that were cut may come to. */
enum { LISTS_MAX = 32, CUT_BYTES_MAX = 4 * ROWS_VALUE_MAX };

/* What is kept of a value: all of it, or of the objects in it these members. */
struct keep {
    const char *name;
    bool whole;
    const struct keep *members;
    int count;
};

struct column {
    int place; /* in the rows */
    const struct keep *keep;
    bool is_cut; /* in the row under way: `start` is where in `cuts` */
    size_t start;
};

struct extract {
    struct rows_reader *rows;
    bool as_it_is; /* the collection itself has a category of the rule */
    const char **names;
    struct column *columns;
    struct rows_value *values;
    int count;
    struct buf cuts;
};

/* --- what is kept ------------------------------------------------------------------------------------------ */

static bool texts_in(const struct dataset_texts *categories, const struct dataset_texts *targets)
{
    for (int i = 0; i < categories->count; i++)
        for (int j = 0; j < targets->count; j++)
            if (dataset_category_in(categories->texts[i], targets->texts[j]))
                return true;
    return false;
}

/* False: nothing of the field. */
static bool keep_of(const struct dataset_field *field, const struct dataset_texts *targets, struct arena *arena,
                    struct keep *ret)
{
    struct keep *members = arena_array(arena, struct keep, (size_t)field->field_count + 1);
    int count = 0;

    if (dataset_field_in(field, targets)) {
        *ret = (struct keep){ .name = field->name, .whole = true };
        return true;
    }
    for (int i = 0; i < field->field_count; i++)
        count += keep_of(&field->fields[i], targets, arena, &members[count]);
    *ret = (struct keep){ .name = field->name, .members = members, .count = count };
    return count > 0;
}

static bool column_keep(const struct dataset_collection *collection, const char *name,
                        const struct dataset_texts *targets, struct arena *arena, const struct keep **ret)
{
    struct keep *keep = arena_new_of(arena, struct keep);

    *ret = keep;
    for (int i = 0; i < collection->field_count; i++)
        if (!strcmp(collection->fields[i].name, name))
            return keep_of(&collection->fields[i], targets, arena, keep);
    return false;
}

static void columns_find(struct extract *extract, const struct dataset_collection *collection,
                         const struct dataset_texts *targets, struct arena *arena)
{
    int count;
    const char *const *names = rows_columns(extract->rows, &count);

    extract->names = arena_array(arena, const char *, (size_t)count + 1);
    extract->columns = arena_array(arena, struct column, (size_t)count + 1);
    extract->values = arena_array(arena, struct rows_value, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        struct column *column = &extract->columns[extract->count];

        if (!extract->as_it_is && !column_keep(collection, names[i], targets, arena, &column->keep))
            continue;
        column->place = i;
        extract->names[extract->count++] = arena_strdup(arena, names[i]);
    }
}

int extract_new(const struct dataset *dataset, const struct dataset_collection *collection,
                const struct dataset_texts *targets, struct rows_reader *rows, struct arena *arena,
                struct extract **ret, struct err *err)
{
    _cleanup_(extract_freep) struct extract *extract = calloc(1, sizeof(*extract));

    (void)dataset;
    (void)err;
    if (!extract)
        abort();
    extract->rows = rows;
    extract->cuts = BUF_INIT(CUT_BYTES_MAX);
    extract->as_it_is = texts_in(&collection->categories, targets);
    columns_find(extract, collection, targets, arena);
    *ret = extract->count ? TAKE(extract) : NULL;
    return 0;
}

void extract_free(struct extract *extract)
{
    if (!extract)
        return;
    buf_free(&extract->cuts);
    free(extract);
}

const char *const *extract_columns(const struct extract *extract, int *count)
{
    *count = extract->count;
    return extract->names;
}

/* --- cutting ----------------------------------------------------------------------------------------------- */

static bool cut(struct scan *scan, struct scan_token token, const struct keep *keep, int lists, struct buf *out);

static void back_to(struct buf *out, size_t length)
{
    out->length = length;
}

static bool is_container(struct scan_token token)
{
    return token.kind == SCAN_OBJECT || token.kind == SCAN_LIST;
}

static struct scan_token all_of(struct scan *scan, struct scan_token token)
{
    return is_container(token) ? scan_whole(scan, token) : token;
}

static bool cut_whole(struct scan *scan, struct scan_token token, struct buf *out)
{
    struct scan inside = *scan;

    token = all_of(scan, token);
    if (is_container(token) && scan_next(&inside).kind == SCAN_CLOSE)
        return false;
    buf_add(out, token.text, token.length);
    return true;
}

static const struct keep *keep_member(const struct keep *keep, struct scan_token key)
{
    for (int i = 0; i < keep->count; i++)
        if (scan_is(key, keep->members[i].name))
            return &keep->members[i];
    return NULL;
}

static bool cut_member(struct scan *scan, struct scan_token key, const struct keep *keep, bool first, int lists,
                       struct buf *out)
{
    const struct keep *member = keep_member(keep, key);
    struct scan_token value = scan_next(scan);
    size_t start = out->length;

    if (!member) {
        all_of(scan, value);
        return false;
    }
    if (!first)
        buf_addc(out, ',');
    buf_add(out, key.text, key.length);
    buf_addc(out, ':');
    if (cut(scan, value, member, lists, out))
        return true;
    back_to(out, start);
    return false;
}

static bool cut_object(struct scan *scan, const struct keep *keep, int lists, struct buf *out)
{
    size_t start = out->length;
    bool any = false;

    buf_addc(out, '{');
    for (;;) {
        struct scan_token key = scan_next(scan);

        if (key.kind != SCAN_KEY)
            break;
        any |= cut_member(scan, key, keep, !any, lists, out);
    }
    buf_addc(out, '}');
    if (!any)
        back_to(out, start);
    return any;
}

static bool cut_list(struct scan *scan, const struct keep *keep, int lists, struct buf *out)
{
    size_t start = out->length;
    bool any = false;

    buf_addc(out, '[');
    for (;;) {
        struct scan_token element = scan_next(scan);
        size_t before = out->length;

        if (element.kind == SCAN_CLOSE || element.kind == SCAN_END)
            break;
        if (any)
            buf_addc(out, ',');
        if (cut(scan, element, keep, lists + 1, out))
            any = true;
        else
            back_to(out, before);
    }
    buf_addc(out, ']');
    if (!any)
        back_to(out, start);
    return any;
}

/* Adds what is kept of one value; false, and nothing added, when that is nothing. */
static bool cut(struct scan *scan, struct scan_token token, const struct keep *keep, int lists, struct buf *out)
{
    if (keep->whole)
        return cut_whole(scan, token, out);
    if (token.kind == SCAN_OBJECT)
        return cut_object(scan, keep, lists, out);
    if (token.kind == SCAN_LIST && lists < LISTS_MAX)
        return cut_list(scan, keep, lists, out);
    token = all_of(scan, token);
    if (token.kind != SCAN_PLAIN || *token.text != 'n') /* that there is nothing may be known */
        return false;
    buf_add(out, token.text, token.length);
    return true;
}

/* --- rows -------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct rows_value *value)
{
    return value->length == 2 && (*value->json == '{' || *value->json == '[');
}

static struct rows_value column_value(struct extract *extract, struct column *column, const struct rows_value *value)
{
    struct scan scan;

    column->is_cut = false;
    if (!value->json)
        return (struct rows_value){ "null", 4 };
    if (extract->as_it_is || (column->keep->whole && !is_empty(value)))
        return *value;
    if (column->keep->whole)
        return (struct rows_value){ 0 };
    scan = scan_of(value->json, value->length);
    column->start = extract->cuts.length;
    column->is_cut = cut(&scan, scan_next(&scan), column->keep, 0, &extract->cuts);
    return (struct rows_value){ 0 };
}

/* Once all are cut: the buffer may have moved until then. */
static void cuts_place(struct extract *extract)
{
    size_t end = extract->cuts.length;

    for (int i = extract->count - 1; i >= 0; i--) {
        const struct column *column = &extract->columns[i];

        if (!column->is_cut)
            continue;
        extract->values[i] = (struct rows_value){ extract->cuts.data + column->start, end - column->start };
        end = column->start;
    }
}

int extract_next(struct extract *extract, const struct rows_value **ret, struct err *err)
{
    const struct rows_value *values;
    int r = rows_next(extract->rows, &values, err);

    if (r <= 0)
        return r;
    buf_clear(&extract->cuts);
    for (int i = 0; i < extract->count; i++)
        extract->values[i] = column_value(extract, &extract->columns[i], &values[extract->columns[i].place]);
    if (extract->cuts.overflow)
        return err_cause(err, ERR_INTERNAL, "extract: a row's objects have more than %d bytes", CUT_BYTES_MAX);
    cuts_place(extract);
    *ret = extract->values;
    return 1;
}
