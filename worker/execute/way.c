#include "worker/execute/way.h"

#include <json-c/json.h>

#include "common/schema.h"

/* The names of the person's identities; their values are for who reads. */
static struct dataset_texts identity_keys(const struct job *job)
{
    _cleanup_(json_object_putp) json_object *identity = json_tokener_parse(job->identity ? job->identity : "{}");
    struct dataset_texts keys = { 0 };
    const char **texts;

    if (!json_object_is_type(identity, json_type_object))
        return keys;
    texts = arena_array(job->arena, const char *, (size_t)json_object_object_length(identity) + 1);
    json_object_object_foreach(identity, name, value)
        if (value)
            texts[keys.count++] = arena_strdup(job->arena, name);
    keys.texts = texts;
    return keys;
}

int way_find(const struct job *job, const struct graph_walk **walk, const struct graph_node **node, struct err *err)
{
    const struct dataset_texts keys = identity_keys(job), no_targets = { 0 };
    int r;

    if (!job->catalog->graph)
        return err_set(err, ERR_REFUSED, "%s", job->catalog->graph_problem);
    r = graph_walk(job->catalog->graph, &keys, &no_targets, job->arena, walk, err);
    if (r < 0)
        return r;
    *node = graph_node(*walk, job->task.dataset, job->task.collection);
    if (*node)
        return 0;
    return err_set(err, ERR_REFUSED, "Collection %s:%s is no longer reached.", job->task.dataset, job->task.collection);
}
