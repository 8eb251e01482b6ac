#include "api/selection.h"

#include <stdlib.h>
#include <string.h>

#include "api/search.h"

enum { FILTER_MAX = 10000, ID_CHARS = 256 };

/* --- what a caller may send ---------------------------------------------------------------------------- */

static const struct schema id_schema = { .type = SCHEMA_STRING, .max = ID_CHARS };
static const struct schema ids_schema = { .type = SCHEMA_LIST, .item = &id_schema };

static const struct schema_field selection_fields[] = {
    { "request_ids", .nullable = true, .schema = { .type = SCHEMA_LIST, .item = &id_schema } },
    { "filters", .nullable = true, .schema = { .type = SCHEMA_ANY } }, /* search_schema, see check_object() */
    { "exclude_ids", .nullable = true, .schema = { .type = SCHEMA_LIST, .item = &id_schema } },
    { 0 },
};
static const struct schema object_schema = { .type = SCHEMA_OBJECT, .fields = selection_fields };

/* What makes a selection none, NULL when it is one. */
static const char *selection_problem(json_object *ids, json_object *filters, json_object *exclude)
{
    if (!ids && !filters)
        return "Value error, Either 'request_ids' or 'filters' must be provided";
    if (ids && filters)
        return "Value error, Provide either 'request_ids' or 'filters', not both";
    if (exclude && !filters)
        return "Value error, 'exclude_ids' can only be used with 'filters'";
    if (ids && !json_object_array_length(ids))
        return "Value error, 'request_ids' must not be empty";
    return NULL;
}

static void check_object(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    const struct schema_loc inner = { .parent = loc, .name = "filters" };
    json_object *filters;
    const char *problem;

    if (!schema_check(&object_schema, value, loc, errors))
        return;
    filters = schema_get(value, "filters");
    problem = selection_problem(schema_get(value, "request_ids"), filters, schema_get(value, "exclude_ids"));
    if (problem)
        schema_error(errors, loc, "value_error", "%s", problem);
    else if (filters)
        schema_check(&search_schema, filters, &inner, errors);
}

void selection_check(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (!json_object_is_type(value, json_type_array)) {
        check_object(value, loc, errors);
        return;
    }
    if (schema_check(&ids_schema, value, loc, errors) && !json_object_array_length(value))
        schema_error(errors, loc, "value_error", "%s", selection_problem(value, NULL, NULL));
}

const struct schema selection_schema = { .type = SCHEMA_ANY, .check = selection_check };

/* --- which requests ------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct selection ids_read(struct arena *arena, json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    struct selection ids = { arena_array(arena, const char *, count + 1), (int)count };

    for (size_t i = 0; i < count; i++)
        ids.ids[i] = json_object_get_string(json_object_array_get_idx(list, i));
    return ids;
}

static bool ids_have(const struct selection *sorted, const char *id)
{
    return sorted->count && bsearch(&id, sorted->ids, (size_t)sorted->count, sizeof(id), by_text);
}

/* Each id once, where it came first. */
static void ids_unique(struct arena *arena, struct selection *ids)
{
    const char **sorted = arena_memdup(arena, ids->ids, (size_t)ids->count * sizeof(*sorted));
    bool *seen = arena_array(arena, bool, (size_t)ids->count);
    int kept = 0;

    qsort(sorted, (size_t)ids->count, sizeof(*sorted), by_text);
    for (int i = 0; i < ids->count; i++) {
        const char **place = bsearch(&ids->ids[i], sorted, (size_t)ids->count, sizeof(*sorted), by_text);

        while (place > sorted && !strcmp(place[-1], *place))
            place--;
        if (!seen[place - sorted])
            ids->ids[kept++] = ids->ids[i];
        seen[place - sorted] = true;
    }
    ids->count = kept;
}

static int ids_by_filter(struct api_call *call, struct selection *ret, struct err *err)
{
    struct selection exclude = ids_read(call->arena, schema_get(call->body, "exclude_ids"));
    const struct search *search;
    struct search_found found;
    int r = search_parse(call, schema_get(call->body, "filters"), &search, err);

    if (r < 0)
        return r;
    r = search_ids(call, search, 0, FILTER_MAX, &found, err);
    if (r < 0)
        return r;
    if (found.total > FILTER_MAX)
        return err_set(err, ERR_BAD_REQUEST,
                       "The filters match %lld privacy requests. A maximum of %d is permitted. Please narrow them and "
                       "try again.",
                       found.total, FILTER_MAX);
    qsort(exclude.ids, (size_t)exclude.count, sizeof(*exclude.ids), by_text);
    *ret = (struct selection){ arena_array(call->arena, const char *, (size_t)found.count + 1), 0 };
    for (int i = 0; i < found.count; i++)
        if (!ids_have(&exclude, found.ids[i]))
            ret->ids[ret->count++] = found.ids[i];
    return 0;
}

int selection_read(struct api_call *call, struct selection *ret, struct err *err)
{
    bool is_list = json_object_is_type(call->body, json_type_array);

    if (!is_list && schema_get(call->body, "filters"))
        return ids_by_filter(call, ret, err);
    *ret = ids_read(call->arena, is_list ? call->body : schema_get(call->body, "request_ids"));
    ids_unique(call->arena, ret);
    return 0;
}
