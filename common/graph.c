#include "common/graph.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* Of an error's text: what is more is counted or left out, so that struct err cuts no address in two. */
enum { UNREACHABLE_CHARS_MAX = 560, LIST_CHARS_MAX = 500 };

/* From `first` up to, not including, `end`: vertices are sorted, so that a dataset's stand together. */
struct range {
    int first, end;
};

/* A way that values may take: a reference's direction, or one of its two. */
struct link {
    int from, to;
    const struct dataset_field *source, *target;
};

struct seed {
    int vertex;
    const struct dataset_field *field; /* has an identity */
};

struct vertex {
    const struct dataset *dataset;
    const struct dataset_collection *collection;
    const char *connection_key, *address;
    struct range out, in, seeds; /* of the graph's `links`, `links_in` and `seeds` */
    const struct range *after, *erase_after; /* of vertices */
    int after_count, erase_after_count;
    bool is_exempt; /* has a custom_request_field */
};

struct graph {
    struct vertex *vertices; /* sorted by dataset, then collection; elsewhere they are their number here */
    int count;
    struct link *links;    /* sorted by where they come from */
    struct link *links_in; /* the same, sorted by where they lead */
    int link_count;
    struct seed *seeds; /* sorted by vertex */
    int seed_count;
};

/* The graph. */

static int vertices_compare(const void *a, const void *b)
{
    const struct vertex *one = a, *other = b;
    int order = strcmp(one->dataset->key, other->dataset->key);

    return order ? order : strcmp(one->collection->name, other->collection->name);
}

static void add_vertices(struct graph *graph, const struct graph_dataset *in, struct arena *arena)
{
    for (int i = 0; i < in->dataset->collection_count; i++) {
        const struct dataset_collection *collection = &in->dataset->collections[i];

        if (collection->skip_processing)
            continue;
        graph->vertices[graph->count++] = (struct vertex){
            .dataset = in->dataset,
            .collection = collection,
            .connection_key = in->connection_key,
            .address = arena_printf(arena, "%s:%s", in->dataset->key, collection->name),
        };
    }
}

static void make_vertices(struct graph *graph, const struct graph_dataset *datasets, int count, struct arena *arena)
{
    size_t most = 0;

    for (int i = 0; i < count; i++)
        most += (size_t)datasets[i].dataset->collection_count;
    graph->vertices = arena_array(arena, struct vertex, most);
    for (int i = 0; i < count; i++)
        add_vertices(graph, &datasets[i], arena);
    if (graph->count)
        qsort(graph->vertices, (size_t)graph->count, sizeof(*graph->vertices), vertices_compare);
}

/* -1: none */
static int find_vertex(const struct graph *graph, const char *dataset, const char *collection)
{
    const struct dataset wanted_dataset = { .key = dataset };
    const struct dataset_collection wanted_collection = { .name = collection };
    const struct vertex wanted = { .dataset = &wanted_dataset, .collection = &wanted_collection }, *found = NULL;

    if (graph->count)
        found = bsearch(&wanted, graph->vertices, (size_t)graph->count, sizeof(*found), vertices_compare);
    return found ? (int)(found - graph->vertices) : -1;
}

/* "dataset.collection", both of which may have dots of their own. Empty: there is none. */
static struct range find_dotted(const struct graph *graph, const char *text, struct arena *arena)
{
    for (const char *dot = strchr(text, '.'); dot; dot = strchr(dot + 1, '.')) {
        int found = find_vertex(graph, arena_strndup(arena, text, (size_t)(dot - text)), dot + 1);

        if (found >= 0)
            return (struct range){ found, found + 1 };
    }
    return (struct range){ 0 };
}

/* The first vertex of a dataset whose key is not below `key`. */
static int lower_bound(const struct graph *graph, const char *key)
{
    int first = 0, end = graph->count;

    while (first < end) {
        int middle = first + (end - first) / 2;

        if (strcmp(graph->vertices[middle].dataset->key, key) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct range find_dataset(const struct graph *graph, const char *key)
{
    struct range range = { .first = lower_bound(graph, key) };

    range.end = range.first;
    while (range.end < graph->count && !strcmp(graph->vertices[range.end].dataset->key, key))
        range.end++;
    return range;
}

static int ranges_compare(const void *a, const void *b)
{
    const struct range *one = a, *other = b;

    return one->first != other->first ? one->first - other->first : one->end - other->end;
}

/* Each once, so that a list that repeats itself costs nothing. */
static int ranges_unique(struct range *ranges, int count)
{
    int kept = 0;

    if (count)
        qsort(ranges, (size_t)count, sizeof(*ranges), ranges_compare);
    for (int i = 0; i < count; i++)
        if (!kept || ranges_compare(&ranges[kept - 1], &ranges[i]))
            ranges[kept++] = ranges[i];
    return kept;
}

static void make_orders(const struct graph *graph, struct vertex *vertex, struct arena *arena)
{
    const struct dataset_texts *own = &vertex->collection->after, *whole = &vertex->dataset->after,
                               *erase = &vertex->collection->erase_after;
    struct range *after = arena_array(arena, struct range, (size_t)(own->count + whole->count));
    struct range *erase_after = arena_array(arena, struct range, (size_t)erase->count);

    for (int i = 0; i < own->count; i++)
        after[vertex->after_count++] = find_dotted(graph, own->texts[i], arena);
    for (int i = 0; i < whole->count; i++)
        after[vertex->after_count++] = find_dataset(graph, whole->texts[i]);
    for (int i = 0; i < erase->count; i++)
        erase_after[vertex->erase_after_count++] = find_dotted(graph, erase->texts[i], arena);
    vertex->after = after;
    vertex->after_count = ranges_unique(after, vertex->after_count);
    vertex->erase_after = erase_after;
}

/* How many links a dataset's references may make, and how many seeds there are. */
static void count_most(const struct graph *graph, size_t *links, size_t *seeds)
{
    for (int i = 0; i < graph->count; i++) {
        const struct dataset_collection *collection = graph->vertices[i].collection;

        for (int j = 0; j < collection->all_count; j++) {
            *links += 2 * (size_t)collection->all[j]->reference_count;
            *seeds += collection->all[j]->identity != NULL;
        }
    }
}

static int add_links(struct graph *graph, int here, const struct dataset_field *field,
                     const struct dataset_reference *reference, struct err *err)
{
    int there = find_vertex(graph, reference->dataset, reference->collection);
    const struct dataset_field *other =
        there < 0 ? NULL : dataset_field(graph->vertices[there].collection, reference->path);

    if (!other)
        return err_set(err, ERR_BAD_REQUEST, "Referenced object %s:%s:%s from dataset %s does not exist",
                       reference->dataset, reference->collection, reference->path, graph->vertices[here].dataset->key);
    if (reference->direction != DATASET_FROM)
        graph->links[graph->link_count++] = (struct link){ here, there, field, other };
    if (reference->direction != DATASET_TO)
        graph->links[graph->link_count++] = (struct link){ there, here, other, field };
    return 0;
}

static int add_field(struct graph *graph, int here, const struct dataset_field *field, struct err *err)
{
    int r;

    graph->vertices[here].is_exempt |= field->custom_request_field != NULL;
    if (field->identity)
        graph->seeds[graph->seed_count++] = (struct seed){ here, field };
    for (int i = 0; i < field->reference_count; i++) {
        r = add_links(graph, here, field, &field->references[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_links(struct graph *graph, struct arena *arena, struct err *err)
{
    size_t links = 0, seeds = 0;
    int r;

    count_most(graph, &links, &seeds);
    graph->links = arena_array(arena, struct link, links);
    graph->seeds = arena_array(arena, struct seed, seeds);
    for (int i = 0; i < graph->count; i++) {
        const struct dataset_collection *collection = graph->vertices[i].collection;

        for (int j = 0; j < collection->all_count; j++) {
            r = add_field(graph, i, collection->all[j], err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int fields_compare(const struct link *one, const struct link *other)
{
    int order = strcmp(one->source->path, other->source->path);

    return order ? order : strcmp(one->target->path, other->target->path);
}

static int out_compare(const void *a, const void *b)
{
    const struct link *one = a, *other = b;
    int order = one->from != other->from ? one->from - other->from : one->to - other->to;

    return order ? order : fields_compare(one, other);
}

static int in_compare(const void *a, const void *b)
{
    const struct link *one = a, *other = b;
    int order = one->to != other->to ? one->to - other->to : one->from - other->from;

    return order ? order : fields_compare(one, other);
}

static void extend(struct range *range, int at)
{
    if (!range->end)
        range->first = at;
    range->end = at + 1;
}

/* Both ends of a reference may name it: once is enough. */
static void sort_links(struct graph *graph, struct arena *arena)
{
    int kept = 0;

    if (graph->link_count)
        qsort(graph->links, (size_t)graph->link_count, sizeof(*graph->links), out_compare);
    for (int i = 0; i < graph->link_count; i++)
        if (!kept || out_compare(&graph->links[kept - 1], &graph->links[i]))
            graph->links[kept++] = graph->links[i];
    graph->link_count = kept;
    graph->links_in = arena_memdup(arena, graph->links, (size_t)kept * sizeof(*graph->links));
    if (kept)
        qsort(graph->links_in, (size_t)kept, sizeof(*graph->links_in), in_compare);
}

static void index_vertices(struct graph *graph)
{
    for (int i = 0; i < graph->link_count; i++) {
        extend(&graph->vertices[graph->links[i].from].out, i);
        extend(&graph->vertices[graph->links_in[i].to].in, i);
    }
    for (int i = 0; i < graph->seed_count; i++) /* made vertex by vertex */
        extend(&graph->vertices[graph->seeds[i].vertex].seeds, i);
}

int graph_new(const struct graph_dataset *datasets, int count, struct arena *arena, const struct graph **ret,
              struct err *err)
{
    struct graph *graph = arena_new_of(arena, struct graph);
    int r;

    make_vertices(graph, datasets, count, arena);
    r = make_links(graph, arena, err);
    if (r < 0)
        return r;
    sort_links(graph, arena);
    index_vertices(graph);
    for (int i = 0; i < graph->count; i++)
        make_orders(graph, &graph->vertices[i], arena);
    *ret = graph;
    return 0;
}

/* A walk. */

/* How far what a vertex comes after is known to be done. */
struct wait {
    int range, at;
};

struct walking {
    const struct graph *graph;
    const struct dataset_texts *keys, *targets;
    struct arena *arena;
    struct wait *waits;   /* of each vertex */
    bool *reachable;      /* by edges from the keys, whatever the order */
    int *places;          /* in `sequence`; -1: not there */
    int *sequence, count; /* vertices, as they are reached */
    struct graph_node *nodes; /* in that order */
};

static bool is_given(const struct walking *walking, const struct seed *seed)
{
    for (int i = 0; i < walking->keys->count; i++)
        if (!strcmp(walking->keys->texts[i], seed->field->identity))
            return true;
    return false;
}

static bool is_seeded(const struct walking *walking, int vertex)
{
    struct range seeds = walking->graph->vertices[vertex].seeds;

    for (int i = seeds.first; i < seeds.end; i++)
        if (is_given(walking, &walking->graph->seeds[i]))
            return true;
    return false;
}

/* Marks all that is connected with what is on the stack, which is marked. */
static void spread(const struct walking *walking, bool backwards, bool *marked, int *stack, int height)
{
    const struct graph *graph = walking->graph;

    while (height) {
        const struct vertex *vertex = &graph->vertices[stack[--height]];
        struct range links = backwards ? vertex->in : vertex->out;

        for (int i = links.first; i < links.end; i++) {
            int next = backwards ? graph->links_in[i].from : graph->links[i].to;

            if (marked[next])
                continue;
            marked[next] = true;
            stack[height++] = next;
        }
    }
}

static void find_reachable(struct walking *walking)
{
    int *stack = arena_array(walking->arena, int, (size_t)walking->graph->count), height = 0;

    for (int i = 0; i < walking->graph->count; i++) {
        if (!is_seeded(walking, i))
            continue;
        walking->reachable[i] = true;
        stack[height++] = i;
    }
    spread(walking, false, walking->reachable, stack, height);
}

/* What this walk does not come to has nothing to wait for. */
static bool is_blocked(const struct walking *walking, int number)
{
    const struct vertex *vertex = &walking->graph->vertices[number];
    struct wait *wait = &walking->waits[number];

    for (; wait->range < vertex->after_count; wait->range++, wait->at = 0) {
        const struct range *range = &vertex->after[wait->range];

        for (; range->first + wait->at < range->end; wait->at++) {
            int other = range->first + wait->at;

            if (walking->reachable[other] && walking->places[other] < 0)
                return true;
        }
    }
    return false;
}

/* Vertices that an edge has come to. */
struct frontier {
    int *vertices, count;
};

static int ints_compare(const void *a, const void *b)
{
    int one = *(const int *)a, other = *(const int *)b;

    return (one > other) - (one < other);
}

static void reach(struct walking *walking, int vertex, bool *seen, struct frontier *next)
{
    struct range out = walking->graph->vertices[vertex].out;

    walking->places[vertex] = walking->count;
    walking->sequence[walking->count++] = vertex;
    for (int i = out.first; i < out.end; i++) {
        int to = walking->graph->links[i].to;

        if (seen[to])
            continue;
        seen[to] = true;
        next->vertices[next->count++] = to;
    }
}

static int refuse_order(const struct walking *walking, const struct frontier *frontier, struct err *err)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(LIST_CHARS_MAX);

    buf_adds(&buf, "");
    for (int i = 0; i < frontier->count && !buf.overflow; i++)
        buf_printf(&buf, "%s%s", i ? "," : "", walking->graph->vertices[frontier->vertices[i]].address);
    return err_set(err, ERR_BAD_REQUEST, "Node could not be reached given the specified ordering: [%s%s]", buf.data,
                   buf.overflow ? ",..." : "");
}

/* One step away from all that is reached; what must wait for others stays for the next round. */
static int walk_round(struct walking *walking, const struct frontier *frontier, bool *seen, struct frontier *next,
                      struct err *err)
{
    int before = walking->count;

    next->count = 0;
    for (int i = 0; i < frontier->count; i++) {
        int vertex = frontier->vertices[i];

        if (is_blocked(walking, vertex))
            next->vertices[next->count++] = vertex;
        else
            reach(walking, vertex, seen, next);
    }
    if (walking->count == before)
        return refuse_order(walking, frontier, err);
    if (next->count)
        qsort(next->vertices, (size_t)next->count, sizeof(*next->vertices), ints_compare);
    return 0;
}

static int walk_all(struct walking *walking, struct err *err)
{
    size_t count = (size_t)walking->graph->count;
    bool *seen = arena_array(walking->arena, bool, count);
    struct frontier frontier = { arena_array(walking->arena, int, count), 0 };
    struct frontier next = { arena_array(walking->arena, int, count), 0 };
    int r;

    for (int i = 0; i < walking->graph->count; i++) {
        seen[i] = is_seeded(walking, i);
        if (seen[i])
            frontier.vertices[frontier.count++] = i;
    }
    while (frontier.count) {
        struct frontier done = frontier;

        r = walk_round(walking, &done, seen, &next, err);
        if (r < 0)
            return r;
        frontier = next;
        next = done;
    }
    return 0;
}

/* What the walk has not come to. */

static bool is_targeted(const struct vertex *vertex, const struct dataset_texts *targets)
{
    const struct dataset_field whole = { .categories = vertex->collection->categories };

    if (dataset_field_in(&whole, targets))
        return true;
    for (int i = 0; i < vertex->collection->all_count; i++)
        if (dataset_field_in(vertex->collection->all[i], targets))
            return true;
    return false;
}

static int texts_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Room for the question which identities lead somewhere, asked of one collection after another. */
struct asking {
    bool *marked;
    int *stack;
    const char **keys;
};

/* The identity keys that lead to it, whether they are given or not. */
static struct dataset_texts keys_to(const struct walking *walking, int vertex, const struct asking *asking)
{
    const struct graph *graph = walking->graph;
    int found = 0, kept = 0;

    memset(asking->marked, 0, (size_t)graph->count * sizeof(*asking->marked));
    asking->marked[vertex] = true;
    asking->stack[0] = vertex;
    spread(walking, true, asking->marked, asking->stack, 1);
    for (int i = 0; i < graph->seed_count; i++)
        if (asking->marked[graph->seeds[i].vertex])
            asking->keys[found++] = graph->seeds[i].field->identity;
    if (found)
        qsort(asking->keys, (size_t)found, sizeof(*asking->keys), texts_compare);
    for (int i = 0; i < found; i++)
        if (!kept || strcmp(asking->keys[kept - 1], asking->keys[i]) != 0)
            asking->keys[kept++] = asking->keys[i];
    return (struct dataset_texts){ asking->keys, kept };
}

/* "email, phone_number" */
static const char *listed(const struct dataset_texts *texts, struct arena *arena)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(LIST_CHARS_MAX);

    buf_adds(&buf, "");
    for (int i = 0; i < texts->count; i++)
        buf_printf(&buf, "%s%s", i ? ", " : "", texts->texts[i]);
    return arena_printf(arena, "%s%s", buf.data, buf.overflow ? ", ..." : "");
}

static const char *skip_reason(const struct walking *walking, const char *address, const struct dataset_texts *keys)
{
    const struct dataset_texts *given = walking->keys;

    return arena_printf(walking->arena, "Skipping the \"%s\" collection, it is reachable by the \"%s\" %s but only the "
                        "\"%s\" %s provided", address, listed(keys, walking->arena),
                        keys->count == 1 ? "identity" : "identities", listed(given, walking->arena),
                        given->count == 1 ? "identity was" : "identities were");
}

/* False: it should have been reached. A reason is told where some other identity would have led there. */
static bool may_skip(const struct walking *walking, int number, const struct asking *asking, const char **reason)
{
    const struct vertex *vertex = &walking->graph->vertices[number];
    struct dataset_texts keys;

    *reason = NULL;
    if (vertex->is_exempt || !is_targeted(vertex, walking->targets))
        return true;
    keys = keys_to(walking, number, asking);
    if (!keys.count)
        return false;
    *reason = skip_reason(walking, vertex->address, &keys);
    return true;
}

struct unreachable {
    struct buf text;
    int left_out;
};

static void add_unreachable(struct unreachable *unreachable, const struct vertex *vertex)
{
    size_t length = strlen(vertex->address) + strlen("; Node  is not reachable");

    if (unreachable->text.length && unreachable->text.length + length > UNREACHABLE_CHARS_MAX)
        unreachable->left_out++;
    else
        buf_printf(&unreachable->text, "%sNode %s is not reachable", unreachable->text.length ? "; " : "",
                   vertex->address);
}

static int refuse_unreachable(const struct unreachable *unreachable, struct err *err)
{
    if (!unreachable->text.length)
        return 0;
    if (!unreachable->left_out)
        return err_set(err, ERR_BAD_REQUEST, "%s", unreachable->text.data);
    return err_set(err, ERR_BAD_REQUEST, "%s; and %d more", unreachable->text.data, unreachable->left_out);
}

static int judge_unreached(const struct walking *walking, struct graph_walk *walk, struct err *err)
{
    size_t count = (size_t)walking->graph->count;
    struct unreachable unreachable = { .text = BUF_INIT(16 * 1024) };
    struct graph_skip *skips = arena_array(walking->arena, struct graph_skip, count);
    const struct asking asking = {
        .marked = arena_array(walking->arena, bool, count),
        .stack = arena_array(walking->arena, int, count),
        .keys = arena_array(walking->arena, const char *, (size_t)walking->graph->seed_count),
    };
    const char *reason;
    int r;

    for (int i = 0; i < walking->graph->count; i++) {
        const struct vertex *vertex = &walking->graph->vertices[i];

        if (walking->places[i] >= 0)
            continue;
        if (may_skip(walking, i, &asking, &reason))
            skips[walk->skip_count++] = (struct graph_skip){ vertex->address, reason };
        else
            add_unreachable(&unreachable, vertex);
    }
    walk->skips = skips;
    r = refuse_unreachable(&unreachable, err);
    buf_free(&unreachable.text);
    return r;
}

/* The nodes. */

/* An edge is used once, from the end that was reached first: so no node needs one that comes after it. */
static void make_edges(const struct walking *walking, const struct vertex *vertex, struct graph_node *node)
{
    const struct graph *graph = walking->graph;
    int most = vertex->seeds.end - vertex->seeds.first + vertex->in.end - vertex->in.first;
    int place = (int)(node - walking->nodes);
    struct graph_edge *edges = arena_array(walking->arena, struct graph_edge, (size_t)most);

    for (int i = vertex->seeds.first; i < vertex->seeds.end; i++)
        if (is_given(walking, &graph->seeds[i]))
            edges[node->in_count++] = (struct graph_edge){ .key = graph->seeds[i].field->identity,
                                                           .target = graph->seeds[i].field };
    for (int i = vertex->in.first; i < vertex->in.end; i++) {
        const struct link *link = &graph->links_in[i];

        if (walking->places[link->from] >= 0 && walking->places[link->from] < place)
            edges[node->in_count++] = (struct graph_edge){ .from = &walking->nodes[walking->places[link->from]],
                                                           .source = link->source, .target = link->target };
    }
    node->in = edges;
}

/* A set of nodes under way, as the places that they have. */
struct needs {
    bool *marked;
    int *places, count;
};

static void add_need(const struct walking *walking, struct needs *needs, int place)
{
    if (place < 0 || needs->marked[place])
        return;
    if (!needs->places)
        needs->places = arena_array(walking->arena, int, (size_t)walking->count);
    needs->marked[place] = true;
    needs->places[needs->count++] = place;
}

static void add_ranges(const struct walking *walking, struct needs *needs, const struct range *ranges, int count)
{
    for (int i = 0; i < count; i++)
        for (int vertex = ranges[i].first; vertex < ranges[i].end; vertex++)
            add_need(walking, needs, walking->places[vertex]);
}

/* As nodes, in the order of the walk; the set is empty again. */
static const struct graph_node *const *take_needs(const struct walking *walking, struct needs *needs, int *ret)
{
    const struct graph_node **nodes = arena_array(walking->arena, const struct graph_node *, (size_t)needs->count);

    if (needs->count)
        qsort(needs->places, (size_t)needs->count, sizeof(*needs->places), ints_compare);
    for (int i = 0; i < needs->count; i++) {
        nodes[i] = &walking->nodes[needs->places[i]];
        needs->marked[needs->places[i]] = false;
    }
    *ret = needs->count;
    needs->count = 0;
    return nodes;
}

static void make_node(const struct walking *walking, int place, struct needs *needs)
{
    const struct vertex *vertex = &walking->graph->vertices[walking->sequence[place]];
    struct graph_node *node = &walking->nodes[place];

    node->address = vertex->address;
    node->dataset = vertex->dataset;
    node->collection = vertex->collection;
    node->connection_key = vertex->connection_key;
    make_edges(walking, vertex, node);
    for (int i = 0; i < node->in_count; i++)
        if (node->in[i].from)
            add_need(walking, needs, (int)(node->in[i].from - walking->nodes));
    add_ranges(walking, needs, vertex->after, vertex->after_count);
    node->needs = take_needs(walking, needs, &node->need_count);
    add_ranges(walking, needs, vertex->erase_after, vertex->erase_after_count);
    node->erase_needs = take_needs(walking, needs, &node->erase_need_count);
}

static void make_nodes(struct walking *walking, struct graph_walk *walk)
{
    struct needs needs = { .marked = arena_array(walking->arena, bool, (size_t)walking->count) };
    const struct graph_node **nodes =
        arena_array(walking->arena, const struct graph_node *, (size_t)walking->count);

    walking->nodes = arena_array(walking->arena, struct graph_node, (size_t)walking->count);
    for (int i = 0; i < walking->count; i++) {
        make_node(walking, i, &needs);
        nodes[i] = &walking->nodes[i];
    }
    walk->nodes = nodes;
    walk->count = walking->count;
}

/* True when all that must be erased before it is `ready`. */
static bool may_erase(const struct walking *walking, const struct graph_node *node, const bool *ready)
{
    for (int i = 0; i < node->erase_need_count; i++)
        if (!ready[node->erase_needs[i] - walking->nodes])
            return false;
    return true;
}

static int refuse_cycle(const struct walking *walking, const bool *ready, struct err *err)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(LIST_CHARS_MAX);

    buf_adds(&buf, "");
    for (int i = 0; i < walking->count && !buf.overflow; i++)
        if (!ready[i])
            buf_printf(&buf, "%s%s", buf.length ? "," : "", walking->nodes[i].address);
    return err_set(err, ERR_BAD_REQUEST,
                   "The values for the `erase_after` fields caused a cycle in the following collections [%s%s]",
                   buf.data, buf.overflow ? ",..." : "");
}

/* Collections that wait for each other would never be erased. */
static int check_erasure(const struct walking *walking, struct err *err)
{
    bool *ready = arena_array(walking->arena, bool, (size_t)walking->count);
    int left = walking->count, before;

    do {
        before = left;
        for (int i = 0; i < walking->count; i++) {
            if (ready[i] || !may_erase(walking, &walking->nodes[i], ready))
                continue;
            ready[i] = true;
            left--;
        }
    } while (left && left < before);
    return left ? refuse_cycle(walking, ready, err) : 0;
}

int graph_walk(const struct graph *graph, const struct dataset_texts *keys, const struct dataset_texts *targets,
               struct arena *arena, const struct graph_walk **ret, struct err *err)
{
    size_t count = (size_t)graph->count;
    struct graph_walk *walk = arena_new_of(arena, struct graph_walk);
    struct walking walking = {
        .graph = graph,
        .keys = keys,
        .targets = targets,
        .arena = arena,
        .waits = arena_array(arena, struct wait, count),
        .reachable = arena_array(arena, bool, count),
        .places = arena_array(arena, int, count),
        .sequence = arena_array(arena, int, count),
    };
    int r;

    for (int i = 0; i < graph->count; i++)
        walking.places[i] = -1;
    find_reachable(&walking);
    r = walk_all(&walking, err);
    if (r < 0)
        return r;
    r = judge_unreached(&walking, walk, err);
    if (r < 0)
        return r;
    make_nodes(&walking, walk);
    r = check_erasure(&walking, err);
    if (r < 0)
        return r;
    *ret = walk;
    return 0;
}

const struct graph_node *graph_node(const struct graph_walk *walk, const char *dataset, const char *collection)
{
    for (int i = 0; i < walk->count; i++)
        if (!strcmp(walk->nodes[i]->dataset->key, dataset) && !strcmp(walk->nodes[i]->collection->name, collection))
            return walk->nodes[i];
    return NULL;
}
