#include "api/route.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENTS_MAX = 16 };

const struct route_table route_tables[] = {
    { health_routes, .top = true },
    { oauth_routes },
    { connection_routes },
    { connection_oauth_routes },
    { connection_type_routes },
    { dataset_routes },
    { dataset_link_routes },
    { traversal_routes },
    { preview_routes },
    { policy_routes },
    { webhook_routes },
    { policy_webhook_routes },
    { manual_webhook_routes },
    { manual_input_routes },
    { storage_routes },
    { setting_routes },
    { change_routes },
    { request_routes },
    { review_routes },
    { retry_routes },
    { removal_routes },
    { result_routes },
    { delivery_routes },
    { endpoint_routes },
    { checkpoint_key_routes },
    { event_routes },
    { callback_routes },
    { callback_routes, .top = true }, /* as the reply-to headers have them */
    { unavailable_routes },
    { NULL },
};

/* Documents have shown both. */
static const char *const prefixes[] = { "/api/v1", "/v1" };

struct leaf {
    const struct api_route *route;
    struct leaf *next;
};

/* One segment. Children that match one word come before the one that matches any. */
struct node {
    const char *word; /* not terminated; NULL: any */
    size_t length;
    struct node *children, *next;
    struct leaf *leaves; /* the path ends here */
};

struct tree {
    struct node below_prefix, top;
    struct arena *arena;
};

struct segments {
    const char *starts[SEGMENTS_MAX];
    size_t lengths[SEGMENTS_MAX];
    int count;
};

/* False when there are too many, or one is empty. A trailing slash is none. */
static bool segments_of(const char *path, struct segments *ret)
{
    ret->count = 0;
    path += *path == '/';
    while (*path) {
        size_t length = strcspn(path, "/");

        if (!length || ret->count == SEGMENTS_MAX)
            return false;
        ret->starts[ret->count] = path;
        ret->lengths[ret->count++] = length;
        path += length + (path[length] == '/');
    }
    return true;
}

/* --- building --------------------------------------------------------------------------------- */

static bool node_is(const struct node *node, const char *word, size_t length)
{
    return node->word ? node->length == length && !memcmp(node->word, word, length) : *word == '{';
}

static struct node *node_child(struct arena *arena, struct node *parent, const char *word,
                               size_t length)
{
    struct node **at = &parent->children, *child;

    for (; *at; at = &(*at)->next)
        if (node_is(*at, word, length))
            return *at;
    child = arena_new_of(arena, struct node);
    if (*word == '{') {
        *at = child;
        return child;
    }
    child->word = word;
    child->length = length;
    child->next = parent->children;
    parent->children = child;
    return child;
}

static void tree_add(struct tree *tree, const struct api_route *route, bool top)
{
    struct node *node = top ? &tree->top : &tree->below_prefix;
    struct leaf *leaf = arena_new_of(tree->arena, struct leaf);
    struct segments segments;

    if (!segments_of(route->path, &segments))
        abort(); /* a table that no test has seen */
    for (int i = 0; i < segments.count; i++)
        node = node_child(tree->arena, node, segments.starts[i], segments.lengths[i]);
    leaf->route = route;
    leaf->next = node->leaves;
    node->leaves = leaf;
}

static struct tree tree;

static void tree_build(void)
{
    tree.arena = arena_new();
    for (const struct route_table *table = route_tables; table->routes; table++)
        for (const struct api_route *route = table->routes; route->method; route++)
            tree_add(&tree, route, table->top);
}

/* --- finding ---------------------------------------------------------------------------------- */

struct search {
    const char *method;
    struct segments path;
    int params[API_PARAMS_MAX]; /* which segments stand for {parts} */
    int param_count;
    struct route_match *match;
};

static void allow(struct route_match *match, const char *method)
{
    size_t length = strlen(match->allowed);

    if (strstr(match->allowed, method) || length + strlen(method) + 3 > sizeof(match->allowed))
        return;
    if (length)
        strcat(match->allowed, ", ");
    strcat(match->allowed, method);
}

static bool leaf_take(struct search *search, const struct node *node)
{
    for (const struct leaf *leaf = node->leaves; leaf; leaf = leaf->next) {
        allow(search->match, leaf->route->method);
        if (!strcmp(leaf->route->method, search->method))
            search->match->route = leaf->route;
    }
    return search->match->route;
}

/* A word's branch that leads nowhere gives way to the one for any word: /privacy-request/bulk/...
 * may be an id's. */
static bool node_find(struct search *search, const struct node *node, int depth)
{
    if (depth == search->path.count)
        return leaf_take(search, node);
    for (const struct node *child = node->children; child; child = child->next) {
        const char *start = search->path.starts[depth];
        size_t length = search->path.lengths[depth];

        if (child->word && (child->length != length || memcmp(child->word, start, length)))
            continue;
        if (!child->word && search->param_count == API_PARAMS_MAX)
            continue;
        if (!child->word)
            search->params[search->param_count++] = depth;
        if (node_find(search, child, depth + 1))
            return true;
        search->param_count -= !child->word;
    }
    return false;
}

static bool tree_find(struct search *search, const struct node *root, const char *path,
                      struct arena *arena)
{
    if (!segments_of(path, &search->path) || !node_find(search, root, 0))
        return false;
    for (int i = 0; i < search->param_count; i++)
        search->match->params[i] = arena_strndup(arena, search->path.starts[search->params[i]],
                                                 search->path.lengths[search->params[i]]);
    return true;
}

void route_find(const char *method, const char *path, struct arena *arena, struct route_match *ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct search search = { .method = strcmp(method, "HEAD") ? method : "GET", .match = ret };

    pthread_once(&once, tree_build);
    *ret = (struct route_match){ 0 };
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        size_t length = strlen(prefixes[i]);

        if (!strncmp(path, prefixes[i], length) && path[length] == '/' &&
            tree_find(&search, &tree.below_prefix, path + length, arena))
            return;
    }
    tree_find(&search, &tree.top, path, arena);
}
