/*
 * preview - the queries that would be made of datasets, without making them (rest.md 13).
 */
#include <string.h>

#include "api/dataset.h"
#include "api/traversal.h"
#include "common/query.h"

static const struct schema key_schema = { SCHEMA_KEY };
static const struct schema keys_schema = { SCHEMA_LIST, .item = &key_schema, .max = DATASETS_MAX };

/* Those that the body names, in their order; all of them when it names none. */
static int choose(struct api_call *call, struct graph_dataset *datasets, int *count, struct err *err)
{
    struct graph_dataset *chosen = arena_array(call->arena, struct graph_dataset, (size_t)*count + 1);
    size_t named = call->body ? json_object_array_length(call->body) : 0;
    int kept = 0;

    if (!call->body)
        return 0;
    for (size_t i = 0; i < named; i++) {
        const char *key = json_object_get_string(json_object_array_get_idx(call->body, i));
        int at = 0;

        while (at < *count && (!datasets[at].dataset || strcmp(datasets[at].dataset->key, key) != 0))
            at++;
        if (at == *count)
            return err_set(err, ERR_NOT_FOUND, "No dataset with id '%s'", key);
        chosen[kept++] = datasets[at];
        datasets[at].dataset = NULL; /* named once */
    }
    memcpy(datasets, chosen, (size_t)kept * sizeof(*chosen));
    *count = kept;
    return 0;
}

static json_object *query_object(struct api_call *call, const struct graph_walk *walk, const struct graph_node *node)
{
    json_object *query = json_object_new_object(), *address = json_object_new_object();

    json_object_object_add(address, "dataset", api_json_text(node->dataset->key));
    json_object_object_add(address, "collection", api_json_text(node->collection->name));
    json_object_object_add(query, "collectionAddress", address);
    json_object_object_add(query, "query", api_json_text(query_preview(walk, node, call->arena)));
    return query;
}

static int preview_put(struct api_call *call, struct err *err)
{
    struct graph_dataset *datasets;
    const struct graph_walk *walk;
    json_object *queries;
    struct err problem;
    int count, r;

    datasets = traversal_datasets(call, NULL, &count);
    r = choose(call, datasets, &count, err);
    if (r < 0)
        return r;
    if (traversal_walk(call, datasets, count, &walk, &problem) < 0)
        return err_set(err, ERR_BAD_REQUEST, "Dry run failed: %s", problem.text);
    queries = json_object_new_array();
    for (int i = 0; i < walk->count; i++)
        json_object_array_add(queries, query_object(call, walk, walk->nodes[i]));
    return api_answer(call, 200, queries);
}

const struct api_route preview_routes[] = {
    { "PUT", "/privacy-request/preview", "privacy-request:read", &keys_schema, .body_optional = true,
      .handler = preview_put },
    { 0 },
};
