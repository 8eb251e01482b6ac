#include "common/query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* Every column and every condition of the largest collection, its names quoted at their longest, fits. */
enum { QUERY_BYTES_MAX = 64 * 1024 * 1024 };

/* Fields of a node, some of them maybe twice. */
struct fields {
    const struct dataset_field **fields;
    int count;
};

static int edges_count(const struct graph_walk *walk, const struct graph_node *node)
{
    int count = node->in_count;

    for (int i = 0; i < walk->count; i++)
        for (int j = 0; j < walk->nodes[i]->in_count; j++)
            count += walk->nodes[i]->in[j].from == node;
    return count;
}

/* Both ends: what its rows are found by, and what is looked for elsewhere. */
static struct fields edges_fields(const struct graph_walk *walk, const struct graph_node *node, struct arena *arena)
{
    size_t count = (size_t)edges_count(walk, node);
    struct fields ends = { arena_array(arena, const struct dataset_field *, count), 0 };

    for (int i = 0; i < node->in_count; i++)
        ends.fields[ends.count++] = node->in[i].target;
    for (int i = 0; i < walk->count; i++)
        for (int j = 0; j < walk->nodes[i]->in_count; j++)
            if (walk->nodes[i]->in[j].from == node)
                ends.fields[ends.count++] = walk->nodes[i]->in[j].source;
    return ends;
}

static bool fields_have(const struct fields *fields, const struct dataset_field *field)
{
    for (int i = 0; i < fields->count; i++)
        if (fields->fields[i] == field)
            return true;
    return false;
}

/* It, or a field below it. */
static bool is_wanted(const struct dataset_field *field, const struct fields *ends)
{
    if (field->primary_key || field->identity || field->reference_count || field->categories.count ||
        fields_have(ends, field))
        return true;
    for (int i = 0; i < field->field_count; i++)
        if (is_wanted(&field->fields[i], ends))
            return true;
    return false;
}

int query_columns(const struct graph_walk *walk, const struct graph_node *node, struct arena *arena,
                  const struct dataset_field *const **ret)
{
    const struct dataset_collection *collection = node->collection;
    const struct dataset_field **columns =
        arena_array(arena, const struct dataset_field *, (size_t)collection->field_count);
    struct fields ends = edges_fields(walk, node, arena);
    int count = 0;

    for (int i = 0; i < collection->field_count; i++)
        if (is_wanted(&collection->fields[i], &ends))
            columns[count++] = &collection->fields[i];
    for (int i = 0; !count && i < collection->field_count; i++)
        columns[i] = &collection->fields[i];
    *ret = columns;
    return count ? count : collection->field_count;
}

/* SQL doubles the quote that a name or a text stands in. */
static const char *quoted(const char *text, char quote, struct arena *arena)
{
    char *copy = arena_alloc(arena, strlen(text) * 2 + 3), *at = copy;

    *at++ = quote;
    for (; *text; text++) {
        if (*text == quote)
            *at++ = quote;
        *at++ = *text;
    }
    *at = quote;
    return copy;
}

const char *query_identifier(const char *name, struct arena *arena)
{
    return quoted(name, '"', arena);
}

const char *query_table(const struct graph_node *node, struct arena *arena)
{
    const char *table = query_identifier(node->collection->name, arena);

    if (!node->dataset->schema)
        return table;
    return arena_printf(arena, "%s.%s", query_identifier(node->dataset->schema, arena), table);
}

/* A column, or what is within one: "address"->'home'->>'city'. */
static const char *expression(const struct dataset_field *field, const char *arrow, struct arena *arena)
{
    if (!field->parent)
        return query_identifier(field->name, arena);
    return arena_printf(arena, "%s%s%s", expression(field->parent, "->", arena), arrow,
                        quoted(field->name, '\'', arena));
}

static int fields_compare(const void *a, const void *b)
{
    return strcmp((*(const struct dataset_field *const *)a)->path, (*(const struct dataset_field *const *)b)->path);
}

/* What the rows are found by, each once, in the order of the paths. */
static struct fields targets_of(const struct graph_node *node, struct arena *arena)
{
    struct fields targets = { arena_array(arena, const struct dataset_field *, (size_t)node->in_count), 0 };

    for (int i = 0; i < node->in_count; i++)
        if (!fields_have(&targets, node->in[i].target))
            targets.fields[targets.count++] = node->in[i].target;
    if (targets.count)
        qsort(targets.fields, (size_t)targets.count, sizeof(*targets.fields), fields_compare);
    return targets;
}

/* As it is read, unless that is as it is. */
static const char *column_read(const struct dataset_field *field, const struct fields *targets,
                               const struct query_words *words, struct arena *arena)
{
    const char *name = query_identifier(field->name, arena), *read = NULL;

    for (int i = 0; words && !read && i < targets->count; i++)
        if (targets->fields[i] == field)
            read = words->column(words->context, i + 1, field, name);
    return read ? arena_printf(arena, "%s AS %s", read, name) : name;
}

/* words NULL: all columns as they are. */
static void add_columns(struct buf *sql, const struct graph_walk *walk, const struct graph_node *node,
                        const struct fields *targets, const struct query_words *words, struct arena *arena)
{
    const struct dataset_field *const *columns;
    int count = query_columns(walk, node, arena, &columns);

    buf_adds(sql, "SELECT ");
    for (int i = 0; i < count; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", column_read(columns[i], targets, words, arena));
    buf_printf(sql, " FROM %s WHERE (", query_table(node, arena));
}

const char *query_select(const struct graph_walk *walk, const struct graph_node *node, const struct query_words *words,
                         int64_t limit, struct arena *arena)
{
    _cleanup_(buf_free) struct buf sql = BUF_INIT(QUERY_BYTES_MAX);
    struct fields targets = targets_of(node, arena);

    add_columns(&sql, walk, node, &targets, words, arena);
    for (int i = 0; i < targets.count; i++)
        buf_printf(&sql, "%s%s", i ? " OR " : "",
                   words->condition(words->context, i + 1, targets.fields[i],
                                    expression(targets.fields[i], "->>", arena)));
    buf_adds(&sql, targets.count ? ")" : "false)"); /* never the whole table */
    if (limit)
        buf_printf(&sql, " LIMIT %" PRId64, limit);
    return arena_strdup(arena, sql.data);
}

/* Of a reference there may be any number of values; identities have one. */
static bool is_one_value(const struct graph_node *node, const struct dataset_field *target)
{
    int edges = 0;

    for (int i = 0; i < node->in_count; i++) {
        if (node->in[i].target != target)
            continue;
        if (node->in[i].from)
            return false;
        edges++;
    }
    return edges == 1;
}

const char *query_preview(const struct graph_walk *walk, const struct graph_node *node, struct arena *arena)
{
    _cleanup_(buf_free) struct buf sql = BUF_INIT(QUERY_BYTES_MAX);
    struct fields targets = targets_of(node, arena);

    add_columns(&sql, walk, node, &targets, NULL, arena);
    for (int i = 0; i < targets.count; i++)
        buf_printf(&sql, is_one_value(node, targets.fields[i]) ? "%s%s = :%s" : "%s%s IN (:%s...)", i ? " OR " : "",
                   expression(targets.fields[i], "->>", arena), targets.fields[i]->path);
    buf_adds(&sql, targets.count ? ")" : "false)");
    return arena_strdup(arena, sql.data);
}
