/* A dataset's document. What is taken is sorted, has no name twice, and finds each of its fields by its path; whatever
 * graph it makes is walked so that nothing comes before what it needs, and has a query for each collection. */

#include "common/graph.h"
#include "common/query.h"
#include "common/schema.h"

#include "tests/fuzz/fuzz.h"

static const struct schema_loc body = { .name = "body" };

static bool is_known(const char *category)
{
    return *category == 'u' || *category == 's';
}

static void check_collection(const struct dataset *dataset, int at)
{
    const struct dataset_collection *collection = &dataset->collections[at];

    CHECK(dataset_collection(dataset, collection->name) == collection);
    CHECK(!at || strcmp(dataset->collections[at - 1].name, collection->name) < 0);
    for (int i = 0; i < collection->all_count; i++) {
        const struct dataset_field *field = collection->all[i];

        CHECK(dataset_field(collection, field->path) == field);
        CHECK(!i || strcmp(collection->all[i - 1]->path, field->path) < 0);
        CHECK(field->length >= 0 && strlen(field->path) <= DATASET_PATH_CHARS_MAX * 4);
        CHECK(!field->field_count || field->type == DATASET_NONE || field->type == DATASET_OBJECT);
        CHECK(field->parent ? field->column == field->parent->column : field->column == field->name);
    }
}

static int place_of(const struct graph_walk *walk, const struct graph_node *node)
{
    int place = 0;

    while (walk->nodes[place] != node)
        place++;
    return place;
}

static const char *condition(void *context, int n, const struct dataset_field *field, const char *expression)
{
    (void)n;
    (void)field;
    CHECK(*expression);
    return context;
}

static const char *column(void *context, int n, const struct dataset_field *field, const char *expression)
{
    (void)n;
    (void)expression;
    return field->is_array ? context : NULL;
}

static void check_walk(const struct graph_walk *walk, struct arena *arena)
{
    const struct query_words words = { condition, column, (char[]){ "$1" } };

    for (int i = 0; i < walk->count; i++) {
        const struct graph_node *node = walk->nodes[i];

        CHECK(node->in_count > 0);
        for (int j = 0; j < node->need_count; j++)
            CHECK(place_of(walk, node->needs[j]) < i);
        CHECK(strlen(query_select(walk, node, &words, 1, arena)) > 0);
        CHECK(strlen(query_preview(walk, node, arena)) > 0);
    }
}

static void check_dataset(const struct dataset *dataset, struct arena *arena)
{
    const struct graph_dataset in = { dataset, "connection" };
    const struct dataset_texts keys = { (const char *const[]){ "email" }, 1 };
    const struct dataset_texts targets = { (const char *const[]){ "user" }, 1 };
    const struct graph_walk *walk;
    const struct graph *graph;
    struct err err;

    for (int i = 0; i < dataset->collection_count; i++)
        check_collection(dataset, i);
    if (graph_new(&in, 1, arena, &graph, &err) < 0 || graph_walk(graph, &keys, &targets, arena, &walk, &err) < 0)
        CHECK(err.code == ERR_BAD_REQUEST && *err.text);
    else
        check_walk(walk, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct schema_errors errors = { 0 };
    const struct dataset *dataset;
    json_object *document = NULL;
    struct err err;

    if (schema_parse((const char *)data, size, &document, &errors) < 0) {
        schema_errors_free(&errors);
        return 0;
    }
    if (dataset_read(document, &body, is_known, arena, &dataset, &errors, &err) == 0) {
        CHECK(!errors.list);
        check_dataset(dataset, arena);
    } else {
        CHECK(err.code == ERR_BAD_REQUEST && !strncmp(err.text, "Dataset '", 9));
        CHECK(errors.list && json_object_array_length(errors.list) <= SCHEMA_ERRORS_MAX);
    }
    json_object_put(document);
    schema_errors_free(&errors);
    return 0;
}
