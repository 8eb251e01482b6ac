#include "api/traversal.h"

#include <string.h>

#include "api/dataset.h"

struct graph_dataset *traversal_datasets(struct api_call *call, const char *but, int *ret_count)
{
    const struct catalog *catalog = call->catalog;
    struct graph_dataset *datasets = arena_array(call->arena, struct graph_dataset, (size_t)catalog->dataset_count + 1);
    int count = 0;

    for (int i = 0; i < catalog->dataset_count; i++) {
        const struct catalog_dataset *each = &catalog->datasets[i];

        if (!each->connection->disabled && (!but || strcmp(each->dataset->key, but) != 0))
            datasets[count++] = (struct graph_dataset){ each->dataset, each->connection->key };
    }
    *ret_count = count;
    return datasets;
}

/* --- walking ------------------------------------------------------------------------------------------- */

/* Identity keys, each once. */
struct keys {
    const char **each;
    int count;
};

static void keys_add(struct keys *keys, const char *key)
{
    for (int i = 0; i < keys->count; i++)
        if (!strcmp(keys->each[i], key))
            return;
    keys->each[keys->count++] = key;
}

static void keys_of_collection(struct keys *keys, const struct dataset_collection *collection)
{
    for (int i = 0; i < collection->all_count; i++)
        if (collection->all[i]->identity)
            keys_add(keys, collection->all[i]->identity);
}

static int field_count(const struct graph_dataset *datasets, int count)
{
    int fields = 0;

    for (int i = 0; i < count; i++)
        for (int j = 0; j < datasets[i].dataset->collection_count; j++)
            fields += datasets[i].dataset->collections[j].all_count;
    return fields;
}

static struct keys keys_of(struct arena *arena, const struct graph_dataset *datasets, int count)
{
    struct keys keys = { arena_array(arena, const char *, (size_t)field_count(datasets, count) + 1), 0 };

    for (int i = 0; i < count; i++)
        for (int j = 0; j < datasets[i].dataset->collection_count; j++)
            keys_of_collection(&keys, &datasets[i].dataset->collections[j]);
    return keys;
}

int traversal_walk(struct api_call *call, const struct graph_dataset *datasets, int count,
                   const struct graph_walk **ret, struct err *err)
{
    static const char *const all[] = { "user", "system" }; /* the roots of the taxonomy */
    const struct dataset_texts targets = { all, COUNT_OF(all) };
    const struct keys keys = keys_of(call->arena, datasets, count);
    const struct dataset_texts texts = { keys.each, keys.count };
    const struct graph *graph;
    int r = graph_new(datasets, count, call->arena, &graph, err);

    return r < 0 ? r : graph_walk(graph, &texts, &targets, call->arena, ret, err);
}

/* --- PUT /connection/{key}/validate_dataset ------------------------------------------------------------ */

static bool has_request_field(const struct dataset_collection *collection)
{
    for (int i = 0; i < collection->all_count; i++)
        if (collection->all[i]->custom_request_field)
            return true;
    return false;
}

/* What is left out of every request without harm is told all the same: it may be a reference that was forgotten. */
static json_object *warnings_of(struct api_call *call, const struct dataset *dataset, const struct graph_walk *walk)
{
    json_object *warnings = json_object_new_array();

    for (int i = 0; walk && i < dataset->collection_count; i++) {
        const struct dataset_collection *collection = &dataset->collections[i];

        if (!collection->skip_processing && !has_request_field(collection) &&
            !graph_node(walk, dataset->key, collection->name))
            json_object_array_add(
                warnings, api_json_text(arena_printf(call->arena, "Node %s:%s is not reachable: it is never read.",
                                                     dataset->key, collection->name)));
    }
    return warnings;
}

static json_object *details_object(const char *problem)
{
    json_object *details = json_object_new_object();

    json_object_object_add(details, "is_traversable", json_object_new_boolean(!problem));
    json_object_object_add(details, "msg", api_json_text(problem));
    return details;
}

static int dataset_validate(struct api_call *call, struct err *err)
{
    const struct graph_walk *walk = NULL;
    struct dataset_connection connection;
    struct graph_dataset *datasets;
    const struct dataset *dataset;
    json_object *body;
    struct err problem;
    int count, w, r = dataset_connection(call, &connection, err);

    if (r == 0)
        r = dataset_check(call, call->body, NULL, &dataset, err);
    if (r < 0)
        return r;
    datasets = traversal_datasets(call, dataset->key, &count);
    datasets[count] = (struct graph_dataset){ dataset, connection.key };
    w = traversal_walk(call, datasets, count + 1, &walk, &problem);
    body = json_object_new_object();
    json_object_object_add(body, "dataset", dataset_normal(call->body));
    json_object_object_add(body, "traversal_details", details_object(w < 0 ? problem.text : NULL));
    json_object_object_add(body, "warnings", warnings_of(call, dataset, walk));
    return api_answer(call, 200, body);
}

const struct api_route traversal_routes[] = {
    { "PUT", "/connection/{key}/validate_dataset", "dataset:read", &dataset_document_schema,
      .handler = dataset_validate },
    { 0 },
};
