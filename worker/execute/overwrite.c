#include "worker/execute/overwrite.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mask.h"
#include "common/query.h"
#include "worker/execute/seen.h"

enum { KEYS_MAX = 64, STATEMENT_BYTES_MAX = 16 * 1024 * 1024, PROBLEMS_BYTES_MAX = 400, JSON_DEPTH_MAX = 1000 };
/* Of pg_type: the same in every database. */
enum { OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_JSON = 114, OID_BPCHAR = 1042, OID_UUID = 2950,
       OID_JSONB = 3802 };

/* A field to be masked. */
struct target {
    const struct dataset_field *field;
    const struct mask *mask;
    const char *strategy;
};

enum shape {
    SHAPE_NULL,     /* the column becomes null */
    SHAPE_TEXT,     /* ... a text */
    SHAPE_ELEMENTS, /* the array's elements become others: an object of old and new */
    SHAPE_MEMBERS   /* the JSON's members become others: a list of {"path","value"} */
};

/* A column to be written, with the one field that it is, or those that are in it. */
struct written {
    const char *name;
    const struct source_column *column;
    const struct target *targets;
    int count;
    enum shape shape;
    int place;  /* in a row; -1: not collected */
    int length; /* characters that a text is cut to; 0: none */
};

/* A column by which rows are found. */
struct key {
    const char *name;
    const struct source_column *column;
    int place;
    bool is_primary;
};

struct overwrite {
    const struct graph_node *node;
    struct arena *arena;
    struct target *targets; /* sorted by column */
    int target_count;
    struct written *columns;
    int column_count;
    struct key keys[KEYS_MAX];
    int key_count;
    uint64_t primary; /* of keys, as bits; 0: the primary key can't be used */
    bool primary_is_sure; /* it is the table's own: no two rows have the same */
    struct seen seen;   /* keys that rows were written by, where several may have the same */
    /* The batch. */
    struct arena *scratch;
    struct buf json;
    int rows;
    uint64_t use; /* by which keys its rows are found */
    const char *row_key;
    const char *statement; /* of `use` */
    uint64_t statement_use;
};

/* --- which fields ------------------------------------------------------------------------------------ */

static bool is_read_only(const struct dataset_field *field)
{
    for (; field; field = field->parent)
        if (field->read_only)
            return true;
    return false;
}

/* Its own strategy over the rule's. */
static int target_take(struct overwrite *overwrite, const struct dataset_field *field, const struct catalog_rule *rule,
                       const struct mask *mask, const struct seal_key *key, const char *request_id,
                       struct target *ret, struct err *err)
{
    int r = 0;

    if (field->strategy)
        r = mask_new(field->strategy, field->strategy_configuration, key, request_id, overwrite->arena, &mask, err);
    if (r == 0)
        *ret = (struct target){ field, mask, field->strategy ? field->strategy : rule->strategy };
    return r;
}

/* Later rules over earlier ones. `found` has a place for each field of the collection. */
static int rule_take(struct overwrite *overwrite, const struct catalog_rule *rule, const struct seal_key *key,
                     const char *request_id, struct target *found, struct err *err)
{
    const struct dataset_collection *collection = overwrite->node->collection;
    const struct mask *mask = NULL;
    int r;

    if (strcmp(rule->action_type, "erasure") != 0)
        return 0;
    r = mask_new(rule->strategy ? rule->strategy : "", rule->strategy_configuration, key, request_id,
                 overwrite->arena, &mask, err);
    for (int i = 0; r == 0 && i < collection->all_count; i++) {
        const struct dataset_field *field = collection->all[i];

        if (!is_read_only(field) && dataset_field_in(field, &rule->targets))
            r = target_take(overwrite, field, rule, mask, key, request_id, &found[i], err);
    }
    return r;
}

/* A column as a whole before what is in it. */
static int by_column(const void *a, const void *b)
{
    const struct dataset_field *one = ((const struct target *)a)->field, *other = ((const struct target *)b)->field;
    int order = strcmp(one->column, other->column);

    return order ? order : strcmp(one->path, other->path);
}

int overwrite_new(const struct graph_node *node, const struct catalog_policy *policy, const struct seal_key *key,
                  const char *request_id, struct arena *arena, struct overwrite **ret, struct err *err)
{
    struct overwrite *overwrite = arena_new_of(arena, struct overwrite);
    size_t count = (size_t)node->collection->all_count;
    struct target *found = arena_array(arena, struct target, count);
    int r = 0;

    overwrite->node = node;
    overwrite->arena = arena;
    for (int i = 0; r == 0 && i < policy->rule_count; i++)
        r = rule_take(overwrite, &policy->rules[i], key, request_id, found, err);
    if (r < 0)
        return r;
    overwrite->targets = arena_array(arena, struct target, count);
    for (size_t i = 0; i < count; i++)
        if (found[i].mask && !mask_keeps(found[i].mask))
            overwrite->targets[overwrite->target_count++] = found[i];
    if (overwrite->target_count)
        qsort(overwrite->targets, (size_t)overwrite->target_count, sizeof(*overwrite->targets), by_column);
    overwrite->json = BUF_INIT(OVERWRITE_ROW_BYTES_MAX);
    overwrite->scratch = arena_new();
    *ret = overwrite;
    return 0;
}

void overwrite_free(struct overwrite *overwrite)
{
    if (!overwrite)
        return;
    buf_free(&overwrite->json);
    arena_free(overwrite->scratch);
    seen_free(&overwrite->seen);
}

bool overwrite_is_empty(const struct overwrite *overwrite)
{
    return !overwrite->target_count;
}

/* --- whether they can be written --------------------------------------------------------------------- */

static int column_place(const char *const *columns, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(columns[i], name))
            return i;
    return -1;
}

static bool is_json(const struct source_column *column)
{
    return column->base == OID_JSON || column->base == OID_JSONB;
}

/* Blanks at the end of a char(n) come and go between types, so that its elements would not be found again. */
static bool is_texts(const struct source_column *column)
{
    return column->element_category == 'S' && column->element != OID_BPCHAR;
}

/* An array by whose elements the rows were found: the others are not the person's, and were not collected. */
static bool is_partial(const struct graph_node *node, const struct dataset_field *field)
{
    for (int i = 0; i < node->in_count; i++)
        if (!strcmp(node->in[i].target->path, field->path))
            return !field->return_all_elements;
    return false;
}

static enum shape shape_of(const struct graph_node *node, const struct written *written)
{
    const struct target *target = written->targets;
    bool is_array = written->column->element_category;

    if (target->field->parent)
        return SHAPE_MEMBERS;
    if (mask_nulls(target->mask) && !(is_array && is_partial(node, target->field)))
        return SHAPE_NULL;
    return is_array ? SHAPE_ELEMENTS : SHAPE_TEXT;
}

/* Its elements read in one form only, so that those which were collected are found again. */
static bool has_plain_elements(const struct source_column *column)
{
    static const Oid plain[] = { OID_INT2, OID_INT4, OID_INT8, OID_UUID };

    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (plain[i] == column->element)
            return true;
    return is_texts(column);
}

/* Why a text can't be written over the field; NULL: it can. A declared type is the dataset's word on it, and there is
 * none for text in JSON but that. */
static const char *text_problem(const struct written *written, const struct target *target, struct arena *arena)
{
    const struct source_column *column = written->column;

    if (mask_nulls(target->mask))
        return written->shape != SHAPE_ELEMENTS || has_plain_elements(column) ? NULL
            : arena_printf(arena, "only some of its elements are the person's, and those of type %s can't be told apart",
                           column->element_name);
    if (target->field->type != DATASET_NONE && target->field->type != DATASET_STRING)
        return arena_printf(arena, "%s masks text only, and its data_type is another", target->strategy);
    if (written->shape == SHAPE_MEMBERS)
        return NULL;
    if (written->shape == SHAPE_ELEMENTS ? is_texts(column) : column->category == 'S')
        return NULL;
    return arena_printf(arena, "%s masks text only, and the column is of type %s", target->strategy,
                        column->type_name);
}

static const char *shape_problem(const struct written *written, struct arena *arena)
{
    const struct source_column *column = written->column;

    if (written->shape == SHAPE_NULL && column->not_null)
        return "null_rewrite, and the column may not be null";
    if (written->shape == SHAPE_MEMBERS && !is_json(column))
        return arena_printf(arena, "it is in a column of type %s, not json", column->type_name);
    if (written->shape != SHAPE_NULL && written->place < 0)
        return "its values were not collected";
    return NULL;
}

/* NULL: `target` can be written. */
static const char *target_problem(const struct written *written, const struct target *target, struct arena *arena)
{
    const char *problem;

    if (!written->column)
        return "there is no such column";
    if (written->column->generated)
        return "the column is generated";
    problem = text_problem(written, target, arena);
    return problem ? problem : shape_problem(written, arena);
}

/* All that can't be, as far as the text has room. */
static int problems_check(const struct overwrite *overwrite, struct err *err)
{
    _cleanup_(buf_free) struct buf problems = BUF_INIT(PROBLEMS_BYTES_MAX);

    for (int i = 0; i < overwrite->column_count; i++)
        for (int j = 0; j < overwrite->columns[i].count; j++) {
            const struct target *target = &overwrite->columns[i].targets[j];
            const char *problem = target_problem(&overwrite->columns[i], target, overwrite->arena);

            if (problem)
                buf_printf(&problems, "%s%s: %s", problems.length ? "; " : "", target->field->path, problem);
        }
    if (!problems.length && !problems.overflow)
        return 0;
    return err_set(err, ERR_REFUSED, "No values of %s were erased, as fields of it can't be masked: %s%s",
                   overwrite->node->address, problems.data ? problems.data : "", problems.overflow ? " ..." : "");
}

static int shorter(int a, int b)
{
    return !a || (b && b < a) ? b : a;
}

static void column_add(struct overwrite *overwrite, const struct source_table *table, const struct target *targets,
                       int count, const char *const *columns, int column_count)
{
    struct written *written = &overwrite->columns[overwrite->column_count++];

    written->name = targets->field->column;
    written->column = source_column(table, written->name);
    written->targets = targets;
    written->count = count;
    written->place = column_place(columns, column_count, written->name);
    if (!written->column)
        return;
    written->shape = shape_of(overwrite->node, written);
    if (written->shape != SHAPE_MEMBERS)
        written->length = shorter(targets->field->length, written->column->length);
}

/* Of a column that is masked as a whole, nothing else of it is. The whole stands before its parts. */
static void columns_add(struct overwrite *overwrite, const struct source_table *table, const char *const *columns,
                        int count)
{
    int end;

    overwrite->columns = arena_array(overwrite->arena, struct written, (size_t)overwrite->target_count);
    for (int i = 0; i < overwrite->target_count; i = end) {
        const struct target *first = &overwrite->targets[i];

        for (end = i + 1; end < overwrite->target_count; end++)
            if (strcmp(overwrite->targets[end].field->column, first->field->column) != 0)
                break;
        column_add(overwrite, table, first, first->field->parent ? end - i : 1, columns, count);
    }
}

/* --- by what rows are found -------------------------------------------------------------------------- */

/* NULL: values of it can't be compared, or were not collected. */
static struct key *key_add(struct overwrite *overwrite, const struct source_table *table, const char *name,
                           const char *const *columns, int count)
{
    const struct source_column *column = source_column(table, name);
    int place = column_place(columns, count, name);

    if (!column || place < 0 || overwrite->key_count == KEYS_MAX || is_json(column) || column->category == 'A' ||
        column->category == 'C')
        return NULL;
    for (int i = 0; i < overwrite->key_count; i++)
        if (!strcmp(overwrite->keys[i].name, name))
            return &overwrite->keys[i];
    overwrite->keys[overwrite->key_count] = (struct key){ .name = name, .column = column, .place = place };
    return &overwrite->keys[overwrite->key_count++];
}

/* The primary key, all of it or none: the dataset's word, else the table's. */
static void primary_add(struct overwrite *overwrite, const struct source_table *table, const char *const *names,
                        int name_count, const char *const *columns, int count)
{
    bool whole = name_count > 0;

    for (int i = 0; i < name_count; i++) {
        struct key *key = key_add(overwrite, table, names[i], columns, count);

        if (key)
            key->is_primary = true;
        whole = whole && key;
    }
    for (int i = 0; whole && i < overwrite->key_count; i++)
        overwrite->primary |= UINT64_C(1) << i;
}

static int declared_keys(const struct overwrite *overwrite, const char **names)
{
    const struct dataset_collection *collection = overwrite->node->collection;
    int count = 0;

    for (int i = 0; i < collection->field_count; i++)
        if (collection->fields[i].primary_key)
            names[count++] = collection->fields[i].name;
    return count;
}

/* Whether no two rows of the table have the same primary key: all of the table's own is in it. */
static bool is_sure(const struct overwrite *overwrite, const struct source_table *table)
{
    int found = 0;

    for (int i = 0; i < table->key_count; i++)
        for (int j = 0; j < overwrite->key_count; j++)
            found += overwrite->keys[j].is_primary && !strcmp(overwrite->keys[j].name, table->primary_key[i]);
    return overwrite->primary && table->key_count && found == table->key_count;
}

static void keys_add(struct overwrite *overwrite, const struct source_table *table, const char *const *columns,
                     int count)
{
    const struct graph_node *node = overwrite->node;
    const char **names = arena_array(overwrite->arena, const char *, (size_t)node->collection->field_count + 1);
    int name_count = declared_keys(overwrite, names);

    if (name_count)
        primary_add(overwrite, table, names, name_count, columns, count);
    else
        primary_add(overwrite, table, table->primary_key, table->key_count, columns, count);
    overwrite->primary_is_sure = is_sure(overwrite, table);
    for (int i = 0; i < node->in_count; i++)
        if (!node->in[i].target->parent)
            (void)key_add(overwrite, table, node->in[i].target->name, columns, count);
}

int overwrite_bind(struct overwrite *overwrite, const struct source_table *table, const char *const *columns, int count,
                   struct err *err)
{
    keys_add(overwrite, table, columns, count);
    columns_add(overwrite, table, columns, count);
    return problems_check(overwrite, err);
}

/* --- the statement ----------------------------------------------------------------------------------- */

static void add_name(struct buf *sql, const char *name, struct arena *arena)
{
    buf_adds(sql, query_identifier(name, arena));
}

/* As the arrays' elements and the JSON's members are now: what is not among the old ones stays. */
static void add_elements(struct buf *sql, const char *name, int n, const char *type)
{
    buf_printf(sql,
               "case when v.c%d is null then t.%s else coalesce((select array_agg(case when v.c%d ? x.e::text "
               "then v.c%d ->> x.e::text else x.e::text end order by x.i) "
               "from unnest(t.%s) with ordinality as x(e, i))::%s, t.%s) end",
               n, name, n, n, name, type, name);
}

static void add_members(struct buf *sql, const char *name, int n, const char *type)
{
    buf_printf(sql,
               "case when v.c%d is null or jsonb_typeof(t.%s::jsonb) not in ('object', 'array') then t.%s else "
               "(with recursive p(i, doc) as (select 0, t.%s::jsonb union all "
               "select p.i + 1, jsonb_set(p.doc, array(select jsonb_array_elements_text(v.c%d -> p.i -> 'path')), "
               "v.c%d -> p.i -> 'value', false) from p where p.i < jsonb_array_length(v.c%d)) "
               "select p.doc from p order by p.i desc limit 1)::%s end",
               n, name, name, name, n, n, n, type);
}

static void add_set(struct buf *sql, const struct written *written, int n, struct arena *arena)
{
    const char *name = query_identifier(written->name, arena);

    buf_printf(sql, "%s = ", name);
    switch (written->shape) {
    case SHAPE_NULL:
        buf_adds(sql, "null");
        break;
    case SHAPE_TEXT:
        buf_printf(sql, "v.c%d", n);
        break;
    case SHAPE_ELEMENTS:
        add_elements(sql, name, n, written->column->type_name);
        break;
    case SHAPE_MEMBERS:
        add_members(sql, name, n, written->column->type_name);
        break;
    }
}

/* The parameter's members: keys as text, whatever their type, and what is written. */
static void add_record(struct buf *sql, const struct overwrite *overwrite, uint64_t use)
{
    const char *comma = "";

    for (int i = 0; i < overwrite->key_count; i++)
        if (use >> i & 1) {
            buf_printf(sql, "%sk%d text", comma, i);
            comma = ", ";
        }
    for (int i = 0; i < overwrite->column_count; i++) {
        enum shape shape = overwrite->columns[i].shape;

        if (shape != SHAPE_NULL)
            buf_printf(sql, "%sc%d %s", comma, i, shape == SHAPE_TEXT ? "text" : "jsonb");
    }
}

static void add_where(struct buf *sql, const struct overwrite *overwrite, uint64_t use, struct arena *arena)
{
    const char *and = "";

    for (int i = 0; i < overwrite->key_count; i++) {
        const struct key *key = &overwrite->keys[i];

        if (!(use >> i & 1))
            continue;
        buf_printf(sql, "%st.", and);
        add_name(sql, key->name, arena);
        if (key->column->base == OID_BYTEA) /* base64 in rows */
            buf_printf(sql, " = decode(v.k%d, 'base64')", i);
        else
            buf_printf(sql, " = v.k%d::%s", i, key->column->type_name);
        and = " and ";
    }
}

static const char *statement_new(const struct overwrite *overwrite, uint64_t use)
{
    _cleanup_(buf_free) struct buf sql = BUF_INIT(STATEMENT_BYTES_MAX);
    struct arena *arena = overwrite->arena;

    buf_printf(&sql, "update %s as t set ", query_table(overwrite->node, arena));
    for (int i = 0; i < overwrite->column_count; i++) {
        buf_adds(&sql, i ? ", " : "");
        add_set(&sql, &overwrite->columns[i], i, arena);
    }
    buf_adds(&sql, " from json_to_recordset($1::json) as v(");
    add_record(&sql, overwrite, use);
    buf_adds(&sql, ") where ");
    add_where(&sql, overwrite, use, arena);
    return sql.overflow ? NULL : arena_strdup(arena, sql.data);
}

/* --- values ------------------------------------------------------------------------------------------ */

/* NULL: "null", or not to be read. */
static json_object *value_parse(const struct rows_value *value)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    json_object *object;

    if (!tokener)
        abort();
    object = json_tokener_parse_ex(tokener, value->json, (int)value->length);
    if (!object && json_tokener_get_error(tokener) == json_tokener_continue)
        object = json_tokener_parse_ex(tokener, "", -1); /* the NUL ends a number */
    json_tokener_free(tokener);
    return object;
}

/* The text form of a JSON value; NULL: null. */
static const char *json_text(json_object *value)
{
    if (json_object_is_type(value, json_type_string))
        return json_object_get_string(value);
    return value ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                 : NULL;
}

static const char *value_text(const struct rows_value *value, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *object = NULL;

    if (!value->json)
        return NULL;
    if (value->length < 2 || value->json[0] != '"')
        return arena_strndup(arena, value->json, value->length);
    if (!memchr(value->json, '\\', value->length))
        return arena_strndup(arena, value->json + 1, value->length - 2);
    object = value_parse(value);
    return arena_strdup(arena, json_text(object));
}

/* What tells the row from others, for random ones. */
static const char *row_key(const struct overwrite *overwrite, const struct rows_value *row)
{
    _cleanup_(buf_free) struct buf key = BUF_INIT(OVERWRITE_ROW_BYTES_MAX);

    for (int i = 0; i < overwrite->key_count; i++) {
        const struct rows_value *value = &row[overwrite->keys[i].place];

        buf_addc(&key, '\n'); /* in no JSON text of a value */
        buf_add(&key, value->json, value->length);
    }
    return arena_strdup(overwrite->scratch, key.data);
}

static const char *mask_field(const struct overwrite *overwrite, const struct target *target, const char *text,
                              int length)
{
    const char *place =
        arena_printf(overwrite->scratch, "%s:%s%s", overwrite->node->address, target->field->path, overwrite->row_key);

    return mask_value(target->mask, text, place, length, overwrite->scratch);
}

static int unreadable(const struct overwrite *overwrite, const struct written *written, struct err *err)
{
    return err_set(err, ERR_REFUSED, "No values of %s were erased: a value of %s is no JSON that can be read",
                   overwrite->node->address, written->name);
}

static int elements_add(struct overwrite *overwrite, const struct written *written, const struct rows_value *row,
                        struct err *err)
{
    _cleanup_(json_object_putp) json_object *list = value_parse(&row[written->place]);
    const struct target *target = written->targets;
    const char *comma = "";

    if (!json_object_is_type(list, json_type_array))
        return unreadable(overwrite, written, err);
    buf_addc(&overwrite->json, '{');
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *element = json_object_array_get_idx(list, i);

        if (json_object_is_type(element, json_type_array))
            return err_set(err, ERR_REFUSED, "No values of %s were erased: %s is an array of arrays",
                           overwrite->node->address, target->field->path);
        if (!element)
            continue;
        buf_adds(&overwrite->json, comma);
        buf_json_string(&overwrite->json, json_text(element));
        buf_addc(&overwrite->json, ':');
        buf_json_string(&overwrite->json, mask_field(overwrite, target, json_text(element), written->length));
        comma = ",";
    }
    buf_addc(&overwrite->json, '}');
    return 0;
}

/* --- members of JSON --------------------------------------------------------------------------------- */

/* On the way to a field's values: `chain` has the names below the column. */
struct descent {
    struct overwrite *overwrite;
    const struct target *target;
    const char *chain[DATASET_FIELD_DEPTH_MAX];
    int depth;
    int *count; /* of all the column's */
};

static int descend(const struct descent *descent, json_object *value, int level, const char *path, struct err *err);

static int member_add(const struct descent *descent, json_object *value, const char *path, struct err *err)
{
    struct overwrite *overwrite = descent->overwrite;
    const struct target *target = descent->target;
    const char *text = mask_field(overwrite, target, json_text(value), target->field->length);

    if (!text && !value)
        return 0; /* null it is */
    if (++*descent->count > OVERWRITE_MEMBERS_MAX)
        return err_set(err, ERR_REFUSED, "No values of %s were erased: %s has more than %d values in a row",
                       overwrite->node->address, target->field->path, OVERWRITE_MEMBERS_MAX);
    buf_printf(&overwrite->json, "%s{\"path\":[%s],\"value\":", *descent->count > 1 ? "," : "", path);
    buf_json_string(&overwrite->json, text);
    buf_addc(&overwrite->json, '}');
    return 0;
}

static int descend_list(const struct descent *descent, json_object *list, int level, const char *path,
                        struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++)
        r = descend(descent, json_object_array_get_idx(list, i), level,
                    arena_printf(descent->overwrite->scratch, "%s%s\"%zu\"", path, *path ? "," : "", i), err);
    return r;
}

static int descend_object(const struct descent *descent, json_object *object, int level, const char *path,
                          struct err *err)
{
    _cleanup_(buf_free) struct buf name = BUF_INIT(OVERWRITE_ROW_BYTES_MAX);
    struct arena *scratch = descent->overwrite->scratch;
    json_object *value;

    if (!json_object_object_get_ex(object, descent->chain[level], &value))
        return 0;
    buf_json_string(&name, descent->chain[level]);
    return descend(descent, value, level + 1, arena_printf(scratch, "%s%s%s", path, *path ? "," : "", name.data),
                   err);
}

/* `path` is what led to `value`. Where the field is not, there is nothing to mask. */
static int descend(const struct descent *descent, json_object *value, int level, const char *path, struct err *err)
{
    if (json_object_is_type(value, json_type_array))
        return descend_list(descent, value, level, path, err);
    if (level == descent->depth)
        return member_add(descent, value, path, err);
    return json_object_is_type(value, json_type_object) ? descend_object(descent, value, level, path, err) : 0;
}

static int target_add(struct overwrite *overwrite, const struct target *target, json_object *document, int *count,
                      struct err *err)
{
    struct descent descent = { .overwrite = overwrite, .target = target, .count = count };
    int level;

    for (const struct dataset_field *field = target->field; field->parent; field = field->parent)
        descent.depth++;
    level = descent.depth;
    for (const struct dataset_field *field = target->field; field->parent; field = field->parent)
        descent.chain[--level] = field->name;
    return descend(&descent, document, 0, "", err);
}

static int members_add(struct overwrite *overwrite, const struct written *written, const struct rows_value *row,
                       struct err *err)
{
    const struct rows_value *value = &row[written->place];
    _cleanup_(json_object_putp) json_object *document = value_parse(value);
    int count = 0, r = 0;

    if (!document && strncmp(value->json, "null", value->length) != 0)
        return unreadable(overwrite, written, err);
    buf_addc(&overwrite->json, '[');
    for (int i = 0; r == 0 && i < written->count; i++)
        r = target_add(overwrite, &written->targets[i], document, &count, err);
    buf_addc(&overwrite->json, ']');
    return r;
}

/* --- rows -------------------------------------------------------------------------------------------- */

/* By which keys the row is found: the primary key, if it has that whole; else by all that it has. */
static uint64_t row_use(const struct overwrite *overwrite, const struct rows_value *row)
{
    uint64_t use = 0;

    for (int i = 0; i < overwrite->key_count; i++)
        if (row[overwrite->keys[i].place].json)
            use |= UINT64_C(1) << i;
    return overwrite->primary && (use & overwrite->primary) == overwrite->primary ? overwrite->primary : use;
}

static struct seen_hash row_hash(const struct overwrite *overwrite, const struct rows_value *row, uint64_t use)
{
    crypto_generichash_state state;
    struct seen_hash hash;

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const uint8_t *)&use, sizeof(use));
    for (int i = 0; i < overwrite->key_count; i++) {
        const struct rows_value *value = &row[overwrite->keys[i].place];

        if (!(use >> i & 1))
            continue;
        crypto_generichash_update(&state, (const uint8_t *)value->json, value->length);
        crypto_generichash_update(&state, (const uint8_t *)"\n", 1);
    }
    crypto_generichash_final(&state, (uint8_t *)&hash, sizeof(hash));
    return hash;
}

/* Of arrays and JSON, what one row had is written: it says nothing of another row with the same key. */
static bool has_parts(const struct overwrite *overwrite)
{
    for (int i = 0; i < overwrite->column_count; i++)
        if (overwrite->columns[i].shape == SHAPE_ELEMENTS || overwrite->columns[i].shape == SHAPE_MEMBERS)
            return true;
    return false;
}

/* 1: rows that are found by the same values are all written over at once, and counted once. */
static int is_written(struct overwrite *overwrite, const struct rows_value *row, uint64_t use, struct err *err)
{
    if (overwrite->primary_is_sure && use == overwrite->primary)
        return 0;
    if (seen_add(&overwrite->seen, row_hash(overwrite, row, use)))
        return 0;
    if (!has_parts(overwrite))
        return 1;
    return err_set(err, ERR_REFUSED,
                   "No values of %s were erased: it has arrays or JSON to mask, and several rows with the same key",
                   overwrite->node->address);
}

static void keys_put(struct overwrite *overwrite, const struct rows_value *row, uint64_t use)
{
    const char *comma = "";

    for (int i = 0; i < overwrite->key_count; i++) {
        const struct rows_value *value = &row[overwrite->keys[i].place];

        if (!(use >> i & 1))
            continue;
        buf_printf(&overwrite->json, "%s\"k%d\":", comma, i);
        buf_add(&overwrite->json, value->json, value->length);
        comma = ",";
    }
}

static int column_put(struct overwrite *overwrite, const struct written *written, const struct rows_value *row,
                      struct err *err)
{
    const char *text;

    if (written->shape == SHAPE_ELEMENTS)
        return elements_add(overwrite, written, row, err);
    if (written->shape == SHAPE_MEMBERS)
        return members_add(overwrite, written, row, err);
    text = mask_field(overwrite, written->targets, value_text(&row[written->place], overwrite->scratch),
                      written->length);
    buf_json_string(&overwrite->json, text);
    return 0;
}

static int row_put(struct overwrite *overwrite, const struct rows_value *row, uint64_t use, struct err *err)
{
    int r = 0;

    overwrite->row_key = row_key(overwrite, row);
    buf_adds(&overwrite->json, overwrite->rows ? ",{" : "[{");
    keys_put(overwrite, row, use);
    for (int i = 0; r == 0 && i < overwrite->column_count; i++) {
        const struct written *written = &overwrite->columns[i];

        if (written->shape == SHAPE_NULL || (written->shape != SHAPE_TEXT && !row[written->place].json))
            continue;
        buf_printf(&overwrite->json, ",\"c%d\":", i);
        r = column_put(overwrite, written, row, err);
    }
    buf_addc(&overwrite->json, '}');
    overwrite->rows++;
    if (r == 0 && overwrite->json.overflow)
        return err_set(err, ERR_REFUSED, "No values of %s were erased: a row has more than %d bytes to write",
                       overwrite->node->address, OVERWRITE_ROW_BYTES_MAX);
    return r;
}

int overwrite_add(struct overwrite *overwrite, const struct rows_value *row, struct err *err)
{
    uint64_t use = row_use(overwrite, row);
    int r;

    if (!use)
        return err_set(err, ERR_REFUSED, "No values of %s were erased: a row has no key that it can be found by",
                       overwrite->node->address);
    if (overwrite->rows && (use != overwrite->use || overwrite->rows == OVERWRITE_ROWS ||
                            overwrite->json.length >= OVERWRITE_BYTES))
        return 1;
    r = is_written(overwrite, row, use, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (!overwrite->statement || use != overwrite->statement_use)
        overwrite->statement = statement_new(overwrite, use);
    if (!overwrite->statement)
        return err_set(err, ERR_REFUSED, "No values of %s were erased: it has too many columns",
                       overwrite->node->address);
    overwrite->statement_use = overwrite->use = use;
    return row_put(overwrite, row, use, err);
}

const char *overwrite_statement(struct overwrite *overwrite, const char **ret_json)
{
    if (!overwrite->rows)
        return NULL;
    buf_addc(&overwrite->json, ']');
    *ret_json = overwrite->json.data;
    return overwrite->statement;
}

void overwrite_clear(struct overwrite *overwrite)
{
    buf_clear(&overwrite->json);
    arena_clear(overwrite->scratch);
    overwrite->rows = 0;
}
