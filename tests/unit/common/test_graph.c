#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/graph.h"

/* Documents, in the single quotes that their parser takes; fields are of the policy unless they say otherwise. */
#define DATASET(key, meta, collections) \
    "{'fides_key':'" key "','fides_meta':{" meta "},'collections':[" collections "]}"
#define COLLECTION(name, meta, fields) "{'name':'" name "','fides_meta':{" meta "},'fields':[" fields "]}"
#define PLAIN(name, fields) COLLECTION(name, "", fields)
#define FIELD(name, meta) "{'name':'" name "','data_categories':['user.name'],'fides_meta':{" meta "}}"
#define BARE(name, meta) "{'name':'" name "','fides_meta':{" meta "}}"
#define ID FIELD("id", "")
#define EMAIL FIELD("email", "'identity':'email'")
#define PHONE FIELD("phone", "'identity':'phone_number'")
#define TO(dataset, field, direction) "'references':[{'dataset':'" dataset "','field':'" field "'" direction "}]"
#define REF(name, field) FIELD(name, TO("d", field, ""))
#define REF_TO(name, field) FIELD(name, TO("d", field, ",'direction':'to'"))
#define REF_FROM(name, field) FIELD(name, TO("d", field, ",'direction':'from'"))

enum { KEYS_MAX = 4 };
static const struct dataset_texts of_users = { (const char *const[]){ "user" }, 1 };
static const struct dataset_texts email = { (const char *const[]){ "email" }, 1 };
static const struct dataset_texts nobody = { NULL, 0 };

static const struct dataset *read_document(struct test *test, const char *document)
{
    _cleanup_(json_object_putp) json_object *parsed = json_tokener_parse(document);
    const struct dataset *dataset = NULL;

    assert_non_null(parsed);
    if (dataset_read(parsed, NULL, NULL, test->arena, &dataset, NULL, &test->err) < 0)
        fail_msg("%s", test->err.text);
    return dataset;
}

static int graph_of(struct test *test, const struct graph **ret, const char *one, const char *other)
{
    struct graph_dataset datasets[2] = { { read_document(test, one), "first" } };

    if (other)
        datasets[1] = (struct graph_dataset){ read_document(test, other), "second" };
    return graph_new(datasets, other ? 2 : 1, test->arena, ret, &test->err);
}

static int walk_keys(struct test *test, const char *one, const char *other, const struct dataset_texts *keys,
                     const struct graph_walk **ret)
{
    const struct graph *graph;

    if (graph_of(test, &graph, one, other) < 0)
        fail_msg("%s", test->err.text);
    return graph_walk(graph, keys, &of_users, test->arena, ret, &test->err);
}

static const struct graph_walk *walk(struct test *test, const char *one, const char *other)
{
    const struct graph_walk *walk = NULL;

    if (walk_keys(test, one, other, &email, &walk) < 0)
        fail_msg("%s", test->err.text);
    return walk;
}

static void refused(struct test *test, const char *one, const char *other, const char *text)
{
    const struct graph_walk *walk = NULL;

    assert_int_equal(walk_keys(test, one, other, &email, &walk), -ERR_BAD_REQUEST);
    assert_null(walk); /* untouched on failure */
    assert_string_equal(test->err.text, text);
}

/* "d:a[email>email] d:b[d:a.id>a_id]" */
static const char *tell_walk(struct test *test, const struct graph_walk *walk)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(1024 * 1024);

    buf_adds(&buf, "");
    for (int i = 0; i < walk->count; i++) {
        const struct graph_node *node = walk->nodes[i];

        buf_printf(&buf, "%s%s[", i ? " " : "", node->address);
        for (int j = 0; j < node->in_count; j++) {
            const struct graph_edge *edge = &node->in[j];

            buf_adds(&buf, j ? "," : "");
            if (edge->from)
                buf_printf(&buf, "%s.%s>%s", edge->from->address, edge->source->path, edge->target->path);
            else
                buf_printf(&buf, "%s>%s", edge->key, edge->target->path);
        }
        buf_adds(&buf, "]");
    }
    return arena_strdup(test->arena, buf.data);
}

static const char *tell_needs(struct test *test, const struct graph_node *const *needs, int count)
{
    const char *text = "";

    for (int i = 0; i < count; i++)
        text = arena_printf(test->arena, "%s%s%s", text, i ? " " : "", needs[i]->address);
    return text;
}

static void walks_as(struct test *test, const char *one, const char *other, const char *told)
{
    assert_string_equal(tell_walk(test, walk(test, one, other)), told);
}

static void needs_are(struct test *test, const struct graph_walk *walk, const char *collection, const char *needs)
{
    const struct graph_node *node = graph_node(walk, "d", collection);

    assert_string_equal(tell_needs(test, node->needs, node->need_count), needs);
}

static void an_identity_leads_to_its_collection(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test, DATASET("d", "", PLAIN("a", EMAIL)), NULL);
    const struct graph_node *node = graph_node(found, "d", "a");

    assert_string_equal(tell_walk(test, found), "d:a[email>email]");
    assert_ptr_equal(node, found->nodes[0]);
    assert_string_equal(node->connection_key, "first");
    assert_string_equal(node->dataset->key, "d");
    assert_string_equal(node->collection->name, "a");
    assert_int_equal(node->need_count, 0);
    assert_int_equal(found->skip_count, 0);
    assert_null(graph_node(found, "d", "b"));
    assert_null(graph_node(found, "e", "a"));
}

static void no_dataset_is_a_graph_too(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = NULL;
    const struct graph *graph = NULL;

    assert_int_equal(graph_new(NULL, 0, test->arena, &graph, &test->err), 0);
    assert_int_equal(graph_walk(graph, &email, &of_users, test->arena, &found, &test->err), 0);
    assert_int_equal(found->count, 0);
    assert_int_equal(found->skip_count, 0);
}

static void a_reference_is_followed_either_way(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", PLAIN("b", REF("a_id", "a.id")) "," PLAIN("a", EMAIL "," ID)), NULL,
             "d:a[email>email] d:b[d:a.id>a_id]");
    walks_as(test, DATASET("d", "", PLAIN("a", REF("id", "b.a_id") "," EMAIL) "," PLAIN("b", FIELD("a_id", ""))), NULL,
             "d:a[email>email] d:b[d:a.id>a_id]");
}

static void a_reference_with_a_direction_is_followed_that_way(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", PLAIN("a", EMAIL "," REF_TO("id", "b.a_id")) "," PLAIN("b", FIELD("a_id", ""))),
             NULL, "d:a[email>email] d:b[d:a.id>a_id]");
    walks_as(test, DATASET("d", "", PLAIN("a", EMAIL "," ID) "," PLAIN("b", REF_FROM("a_id", "a.id"))), NULL,
             "d:a[email>email] d:b[d:a.id>a_id]");
    refused(test, DATASET("d", "", PLAIN("a", EMAIL "," REF_FROM("id", "b.a_id")) "," PLAIN("b", FIELD("a_id", ""))),
            NULL, "Node d:b is not reachable");
    refused(test, DATASET("d", "", PLAIN("a", EMAIL "," ID) "," PLAIN("b", REF_TO("a_id", "a.id"))), NULL,
            "Node d:b is not reachable");
}

static void collections_of_other_datasets_are_reached(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found =
        walk(test, DATASET("e", "", PLAIN("b", FIELD("a_id", TO("d", "a.id", "")))),
             DATASET("d", "", PLAIN("a", EMAIL "," ID)));

    assert_string_equal(tell_walk(test, found), "d:a[email>email] e:b[d:a.id>a_id]");
    assert_string_equal(found->nodes[0]->connection_key, "second");
    assert_string_equal(found->nodes[1]->connection_key, "first");
}

static void the_order_is_by_distance_then_by_name(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", PLAIN("z", EMAIL "," ID) "," PLAIN("a", REF("z_id", "y.id")) ","
                   PLAIN("y", ID "," FIELD("z_id", TO("d", "z.id", ""))) "," PLAIN("c", REF("z_id", "z.id"))),
             DATASET("c", "", PLAIN("x", EMAIL)),
             "c:x[email>email] d:z[email>email] d:c[d:z.id>z_id] d:y[d:z.id>z_id] d:a[d:y.id>z_id]");
}

static void all_edges_between_two_collections_count(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found =
        walk(test, DATASET("d", "", PLAIN("a", EMAIL "," ID) ","
                   PLAIN("b", REF("a_email", "a.email") "," REF("a_id", "a.id") "," EMAIL)), NULL);

    assert_string_equal(tell_walk(test, found),
                        "d:a[email>email] d:b[email>email,d:a.email>a_email,d:a.id>a_id]");
    needs_are(test, found, "b", "d:a");
}

static void a_reference_named_from_both_ends_is_one_edge(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", PLAIN("a", EMAIL "," REF("id", "b.a_id")) "," PLAIN("b", REF("a_id", "a.id"))),
             NULL, "d:a[email>email] d:b[d:a.id>a_id]");
}

static void a_circle_is_walked_once(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test,
        DATASET("d", "", PLAIN("a", EMAIL "," REF_TO("id", "b.a_id")) ","
                PLAIN("b", FIELD("a_id", "") "," REF_TO("id", "c.b_id")) ","
                PLAIN("c", FIELD("b_id", "") "," REF_TO("id", "a.id"))), NULL);

    assert_string_equal(tell_walk(test, found), "d:a[email>email] d:b[d:a.id>a_id] d:c[d:b.id>b_id]");
}

static void a_collection_has_edges_from_all_that_were_reached_before(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test,
        DATASET("d", "", PLAIN("a", EMAIL "," ID) "," PLAIN("b", EMAIL "," REF("a_id", "a.id")) ","
                PLAIN("c", REF("a_id", "a.id") "," REF("b_id", "b.a_id"))), NULL);

    assert_string_equal(tell_walk(test, found), "d:a[email>email] d:b[email>email,d:a.id>a_id] "
                                                "d:c[d:a.id>a_id,d:b.a_id>b_id]");
    needs_are(test, found, "c", "d:a d:b");
}

static void sub_fields_have_edges_and_identities(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", PLAIN("a", "{'name':'x','fields':[" EMAIL "," ID "]}") ","
                   PLAIN("b", REF("a_id", "a.x.id"))), NULL,
             "d:a[email>x.email] d:b[d:a.x.id>a_id]");
}

static void what_is_not_processed_is_not_in_the_graph(void **state)
{
    struct test *test = *state;
    const struct graph *graph = NULL;

    walks_as(test, DATASET("d", "", PLAIN("a", EMAIL) ","
                   COLLECTION("b", "'skip_processing':true", EMAIL "," REF("x", "gone.id"))), NULL,
             "d:a[email>email]");
    assert_int_equal(graph_of(test, &graph, DATASET("d", "", PLAIN("a", EMAIL "," REF("b_id", "b.id")) ","
                              COLLECTION("b", "'skip_processing':true", ID)), NULL), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text, "Referenced object d:b:id from dataset d does not exist");
}

static void a_reference_to_nowhere_is_told(void **state)
{
    struct test *test = *state;
    const struct graph *graph = NULL;

    assert_int_equal(graph_of(test, &graph, DATASET("d", "", PLAIN("a", FIELD("b_id", TO("crm", "lead.x.id", "")))),
                              NULL), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text, "Referenced object crm:lead:x.id from dataset d does not exist");
    assert_int_equal(graph_of(test, &graph, DATASET("d", "", PLAIN("a", EMAIL "," REF("b_id", "b.nothing")) ","
                              PLAIN("b", ID)), NULL), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text, "Referenced object d:b:nothing from dataset d does not exist");
    assert_null(graph);
}

static void what_no_rule_is_about_may_stay_unreached(void **state)
{
    const struct dataset_texts names = { (const char *const[]){ "user.nam", "user.contact" }, 2 };
    struct test *test = *state;
    const struct graph_walk *found = walk(test, DATASET("d", "", PLAIN("a", EMAIL) "," PLAIN("b", BARE("id", ""))),
                                          NULL);
    const struct graph *graph;

    assert_int_equal(found->count, 1);
    assert_int_equal(found->skip_count, 1);
    assert_string_equal(found->skips[0].address, "d:b");
    assert_null(found->skips[0].reason);
    /* By segments: user.name is not in user.nam. */
    assert_int_equal(graph_of(test, &graph, DATASET("d", "", PLAIN("b", ID)), NULL), 0);
    assert_int_equal(graph_walk(graph, &email, &names, test->arena, &found, &test->err), 0);
    assert_int_equal(graph_walk(graph, &email, &nobody, test->arena, &found, &test->err), 0);
}

static void the_collection_s_own_categories_count(void **state)
{
    struct test *test = *state;

    refused(test, DATASET("d", "", "{'name':'b','data_categories':['user.name'],'fields':[" BARE("id", "") "]}"), NULL,
            "Node d:b is not reachable");
}

static void a_custom_request_field_may_stay_unreached(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found =
        walk(test, DATASET("d", "", PLAIN("a", ID "," BARE("t", "'custom_request_field':'tenant'"))), NULL);

    assert_int_equal(found->count, 0);
    assert_string_equal(found->skips[0].address, "d:a");
    assert_null(found->skips[0].reason);
}

static void what_another_identity_reaches_is_skipped_and_told(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test, DATASET("d", "", PLAIN("a", EMAIL) "," PLAIN("b", PHONE "," ID) ","
                                                PLAIN("c", REF("b_id", "b.id"))), NULL);

    assert_string_equal(tell_walk(test, found), "d:a[email>email]");
    assert_int_equal(found->skip_count, 2);
    assert_string_equal(found->skips[0].address, "d:b");
    assert_string_equal(found->skips[0].reason,
                        "Skipping the \"d:b\" collection, it is reachable by the \"phone_number\" identity but only "
                        "the \"email\" identity was provided");
    assert_string_equal(found->skips[1].address, "d:c");
    assert_string_equal(found->skips[1].reason,
                        "Skipping the \"d:c\" collection, it is reachable by the \"phone_number\" identity but only "
                        "the \"email\" identity was provided");
}

static void several_identities_are_told_in_the_plural(void **state)
{
    const struct dataset_texts two = { (const char *const[]){ "email", "customer_id" }, 2 };
    static const char document[] = DATASET("d", "", PLAIN("a", EMAIL) "," PLAIN("b", PHONE ","
        FIELD("x", "'identity':'loyalty_id'") "," FIELD("y", "'identity':'phone_number'")));
    struct test *test = *state;
    const struct graph_walk *found = NULL;

    assert_int_equal(walk_keys(test, document, NULL, &two, &found), 0);
    assert_string_equal(found->skips[0].reason,
                        "Skipping the \"d:b\" collection, it is reachable by the \"loyalty_id, phone_number\" "
                        "identities but only the \"email, customer_id\" identities were provided");
    assert_int_equal(walk_keys(test, document, NULL, &nobody, &found), 0);
    assert_int_equal(found->count, 0);
    assert_string_equal(found->skips[0].reason,
                        "Skipping the \"d:a\" collection, it is reachable by the \"email\" identity but only the \"\" "
                        "identities were provided");
}

static void a_long_list_of_identities_is_cut_between_them(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    struct test *test = *state;
    const struct graph_walk *found = NULL;

    buf_adds(&buf, "{'fides_key':'d','collections':[{'name':'a','fields':[");
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%s{'name':'f%d','data_categories':['user'],'fides_meta':{'identity':'key_%02d'}}",
                   i ? "," : "", i, i);
    buf_adds(&buf, "]}]}");
    assert_int_equal(walk_keys(test, buf.data, NULL, &email, &found), 0);
    assert_non_null(strstr(found->skips[0].reason, "by the \"key_00, key_01, "));
    assert_non_null(strstr(found->skips[0].reason, ", key_61, ...\" identities but only the \"email\" identity was"));
}

static void what_nothing_reaches_is_an_error(void **state)
{
    struct test *test = *state;

    refused(test, DATASET("d", "", PLAIN("a", EMAIL) "," PLAIN("b", ID)), NULL, "Node d:b is not reachable");
    refused(test, DATASET("d", "", PLAIN("a", EMAIL) "," PLAIN("c", ID) "," PLAIN("b", ID)),
            DATASET("a", "", PLAIN("z", ID)),
            "Node a:z is not reachable; Node d:b is not reachable; Node d:c is not reachable");
}

static void unreachable_collections_that_do_not_fit_are_counted(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    struct test *test = *state;
    const struct graph_walk *found = NULL;

    buf_adds(&buf, "{'fides_key':'d','collections':[");
    for (int i = 0; i < 100; i++)
        buf_printf(&buf, "%s{'name':'c%02d','fields':[" ID "]}", i ? "," : "", i);
    buf_adds(&buf, "]}");
    assert_int_equal(walk_keys(test, buf.data, NULL, &email, &found), -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "Node d:c18 is not reachable; and 81 more"));
    assert_null(strstr(test->err.text, "c19"));
}

static void a_collection_waits_for_what_it_is_after(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test,
        DATASET("d", "", COLLECTION("a", "'after':['d.c','d.c']", EMAIL "," ID) "," PLAIN("b", EMAIL "," ID) ","
                PLAIN("c", REF("b_id", "b.id"))), NULL);

    assert_string_equal(tell_walk(test, found), "d:b[email>email] d:c[d:b.id>b_id] d:a[email>email]");
    needs_are(test, found, "a", "d:c");
    needs_are(test, found, "b", "");
}

static void an_order_turns_an_edge_around(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", COLLECTION("a", "'after':['d.b']", EMAIL "," ID) ","
                   PLAIN("b", EMAIL "," REF("a_id", "a.id"))), NULL,
             "d:b[email>email] d:a[email>email,d:b.a_id>id]");
}

static void a_dataset_waits_for_what_it_is_after(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test,
        DATASET("d", "'after':['e']", PLAIN("a", EMAIL) "," PLAIN("b", EMAIL)),
        DATASET("e", "", PLAIN("x", EMAIL "," ID) "," PLAIN("y", FIELD("x_id", TO("e", "x.id", "")))));

    assert_string_equal(tell_walk(test, found), "e:x[email>email] e:y[e:x.id>x_id] d:a[email>email] d:b[email>email]");
    needs_are(test, found, "b", "e:x e:y");
}

static void dots_in_a_dataset_s_key_do_not_confuse_an_order(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "", COLLECTION("a", "'after':['e.f.g.x']", EMAIL)),
             DATASET("e.f.g", "", PLAIN("x", EMAIL)), "e.f.g:x[email>email] d:a[email>email]");
}

static void what_is_not_reached_is_not_waited_for(void **state)
{
    struct test *test = *state;

    walks_as(test, DATASET("d", "'after':['e','unheard_of']",
                           COLLECTION("a", "'after':['e.x','gone.y','d.none']", EMAIL)),
             DATASET("e", "", PLAIN("x", PHONE)), "d:a[email>email]");
}

static void an_order_that_can_not_be_kept_is_told(void **state)
{
    struct test *test = *state;

    refused(test, DATASET("d", "", COLLECTION("a", "'after':['d.b']", EMAIL) "," COLLECTION("b", "'after':['d.a']",
                  EMAIL) "," PLAIN("c", EMAIL)), NULL,
            "Node could not be reached given the specified ordering: [d:a,d:b]");
    refused(test, DATASET("d", "", COLLECTION("a", "'after':['d.a']", EMAIL)), NULL,
            "Node could not be reached given the specified ordering: [d:a]");
    refused(test, DATASET("d", "", COLLECTION("a", "'after':['d.b']", EMAIL "," ID) "," PLAIN("b", REF("x", "a.id"))),
            NULL, "Node could not be reached given the specified ordering: [d:a]");
    refused(test, DATASET("d", "'after':['d']", PLAIN("a", EMAIL)), NULL,
            "Node could not be reached given the specified ordering: [d:a]");
}

static void a_long_order_that_can_not_be_kept_is_cut_between_addresses(void **state)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    struct test *test = *state;
    const struct graph_walk *found = NULL;

    buf_adds(&buf, "{'fides_key':'d','fides_meta':{'after':['d']},'collections':[");
    for (int i = 0; i < 200; i++)
        buf_printf(&buf, "%s{'name':'c%03d','fields':[" EMAIL "]}", i ? "," : "", i);
    buf_adds(&buf, "]}");
    assert_int_equal(walk_keys(test, buf.data, NULL, &email, &found), -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "ordering: [d:c000,d:c001"));
    assert_string_equal(test->err.text + strlen(test->err.text) - strlen(",d:c070,...]"), ",d:c070,...]");
}

static void erasure_has_an_order_of_its_own(void **state)
{
    struct test *test = *state;
    const struct graph_walk *found = walk(test,
        DATASET("d", "", COLLECTION("a", "'erase_after':['d.c','d.b','d.unheard_of','d.p']", EMAIL "," ID) ","
                PLAIN("b", REF("x", "a.id")) "," PLAIN("c", REF("x", "a.id")) "," PLAIN("p", PHONE)), NULL);
    const struct graph_node *node = graph_node(found, "d", "a");

    assert_string_equal(tell_needs(test, node->erase_needs, node->erase_need_count), "d:b d:c");
    assert_int_equal(node->need_count, 0);
    assert_int_equal(graph_node(found, "d", "b")->erase_need_count, 0);
}

static void erasures_that_wait_for_each_other_are_told(void **state)
{
    struct test *test = *state;

    refused(test, DATASET("d", "", COLLECTION("a", "'erase_after':['d.b']", EMAIL) ","
                  COLLECTION("b", "'erase_after':['d.a']", EMAIL) "," PLAIN("c", EMAIL)), NULL,
            "The values for the `erase_after` fields caused a cycle in the following collections [d:a,d:b]");
    refused(test, DATASET("d", "", COLLECTION("a", "'erase_after':['d.a']", EMAIL)), NULL,
            "The values for the `erase_after` fields caused a cycle in the following collections [d:a]");
}

/* Graphs of chance, the same each time. */

enum { RANDOM_GRAPHS = 400, RANDOM_COLLECTIONS = 12, RANDOM_FIELDS = 4 };

static unsigned chance(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static void random_field(struct buf *buf, unsigned *seed, unsigned collections, unsigned here, int field)
{
    static const char *const directions[] = { "", ",'direction':'to'", ",'direction':'from'" };
    unsigned there = chance(seed, collections);

    buf_printf(buf, "%s{'name':'f%d'%s,'fides_meta':{", field ? "," : "", field,
               chance(seed, 3) ? ",'data_categories':['user.name']" : "");
    if (!chance(seed, 10))
        buf_printf(buf, "'identity':'%s',", chance(seed, 3) ? "email" : "phone_number");
    if (chance(seed, 2) && there != here)
        buf_printf(buf, "'references':[{'dataset':'d','field':'c%u.f%u'%s}],", there, chance(seed, RANDOM_FIELDS),
                   directions[chance(seed, 3)]);
    buf_adds(buf, "'primary_key':false}}");
}

static const char *random_document(struct test *test, unsigned *seed)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    unsigned collections = 1 + chance(seed, RANDOM_COLLECTIONS);

    buf_adds(&buf, "{'fides_key':'d','collections':[");
    for (unsigned i = 0; i < collections; i++) {
        buf_printf(&buf, "%s{'name':'c%u','fides_meta':{", i ? "," : "", i);
        if (!chance(seed, 6))
            buf_printf(&buf, "'after':['d.c%u'],", chance(seed, collections));
        if (!chance(seed, 6))
            buf_printf(&buf, "'erase_after':['d.c%u'],", chance(seed, collections));
        buf_adds(&buf, "'skip_processing':false},'fields':[");
        for (int field = 0; field < RANDOM_FIELDS; field++)
            random_field(&buf, seed, collections, i, field);
        buf_adds(&buf, "]}");
    }
    buf_adds(&buf, "]}");
    assert_false(buf.overflow);
    return arena_strdup(test->arena, buf.data);
}

static int place_of(const struct graph_walk *walk, const struct graph_node *node)
{
    for (int i = 0; i < walk->count; i++)
        if (walk->nodes[i] == node)
            return i;
    fail_msg("%s is not in the walk", node->address);
    return -1;
}

static bool needs_node(const struct graph_node *node, const struct graph_node *other)
{
    for (int i = 0; i < node->need_count; i++)
        if (node->needs[i] == other)
            return true;
    return false;
}

static bool refers(const struct dataset_field *field, const struct graph_node *other, const char *path,
                   enum dataset_direction against)
{
    for (int i = 0; i < field->reference_count; i++)
        if (!strcmp(field->references[i].collection, other->collection->name) &&
            !strcmp(field->references[i].path, path) && field->references[i].direction != against)
            return true;
    return false;
}

static void check_edge(const struct graph_node *node, const struct graph_edge *edge)
{
    assert_ptr_equal(dataset_field(node->collection, edge->target->path), edge->target);
    if (!edge->from) {
        assert_string_equal(edge->key, "email");
        assert_string_equal(edge->target->identity, "email");
        return;
    }
    assert_true(needs_node(node, edge->from));
    assert_ptr_equal(dataset_field(edge->from->collection, edge->source->path), edge->source);
    assert_true(refers(edge->source, node, edge->target->path, DATASET_FROM) ||
                refers(edge->target, edge->from, edge->source->path, DATASET_TO));
}

/* Every need stands before its node, every node has an edge, each edge is a reference that may be used that way, and
 * no collection is both reached and skipped. */
static void check_walk(const struct graph_walk *walk)
{
    for (int i = 0; i < walk->count; i++) {
        const struct graph_node *node = walk->nodes[i];

        assert_true(node->in_count > 0);
        assert_int_equal(place_of(walk, node), i);
        for (int j = 0; j < node->need_count; j++)
            assert_true(place_of(walk, node->needs[j]) < i);
        for (int j = 0; j < node->in_count; j++)
            check_edge(node, &node->in[j]);
        for (int j = 0; j < node->collection->after.count; j++) {
            const struct graph_node *before = graph_node(walk, "d", node->collection->after.texts[j] + 2);

            assert_true(!before || needs_node(node, before));
        }
        for (int j = 0; j < walk->skip_count; j++)
            assert_string_not_equal(walk->skips[j].address, node->address);
    }
}

static void all_is_reached_that_an_edge_leads_to(const struct graph_walk *walk, const struct dataset *dataset)
{
    for (int i = 0; i < dataset->collection_count; i++) {
        const struct dataset_collection *collection = &dataset->collections[i];

        if (graph_node(walk, "d", collection->name))
            continue;
        for (int j = 0; j < collection->all_count; j++) {
            const struct dataset_field *field = collection->all[j];

            assert_true(!field->identity || strcmp(field->identity, "email") != 0);
            for (int k = 0; k < field->reference_count; k++)
                assert_true(field->references[k].direction == DATASET_TO ||
                            !graph_node(walk, "d", field->references[k].collection));
        }
    }
}

static void walks_of_chance_keep_their_promises(void **state)
{
    struct test *test = *state;
    unsigned seed = 7;
    int walked = 0, refused = 0, skipped = 0;

    for (int i = 0; i < RANDOM_GRAPHS; i++) {
        const struct dataset *dataset = read_document(test, random_document(test, &seed));
        const struct graph_dataset in = { dataset, "connection" };
        const struct graph_walk *found = NULL, *again = NULL;
        const struct graph *graph = NULL;

        assert_int_equal(graph_new(&in, 1, test->arena, &graph, &test->err), 0);
        if (graph_walk(graph, &email, &of_users, test->arena, &found, &test->err) < 0) {
            assert_null(found);
            refused++;
            continue;
        }
        walked += found->count;
        skipped += found->skip_count;
        assert_int_equal(found->count + found->skip_count, dataset->collection_count);
        check_walk(found);
        all_is_reached_that_an_edge_leads_to(found, dataset);
        assert_int_equal(graph_walk(graph, &email, &of_users, test->arena, &again, &test->err), 0);
        assert_string_equal(tell_walk(test, found), tell_walk(test, again));
        arena_clear(test->arena);
    }
    assert_true(walked > 100 && skipped > 20 && refused > 20); /* chance has met all three */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_identity_leads_to_its_collection),
        TEST(no_dataset_is_a_graph_too),
        TEST(a_reference_is_followed_either_way),
        TEST(a_reference_with_a_direction_is_followed_that_way),
        TEST(collections_of_other_datasets_are_reached),
        TEST(the_order_is_by_distance_then_by_name),
        TEST(all_edges_between_two_collections_count),
        TEST(a_reference_named_from_both_ends_is_one_edge),
        TEST(a_circle_is_walked_once),
        TEST(a_collection_has_edges_from_all_that_were_reached_before),
        TEST(sub_fields_have_edges_and_identities),
        TEST(what_is_not_processed_is_not_in_the_graph),
        TEST(a_reference_to_nowhere_is_told),
        TEST(what_no_rule_is_about_may_stay_unreached),
        TEST(the_collection_s_own_categories_count),
        TEST(a_custom_request_field_may_stay_unreached),
        TEST(what_another_identity_reaches_is_skipped_and_told),
        TEST(several_identities_are_told_in_the_plural),
        TEST(a_long_list_of_identities_is_cut_between_them),
        TEST(what_nothing_reaches_is_an_error),
        TEST(unreachable_collections_that_do_not_fit_are_counted),
        TEST(a_collection_waits_for_what_it_is_after),
        TEST(an_order_turns_an_edge_around),
        TEST(a_dataset_waits_for_what_it_is_after),
        TEST(dots_in_a_dataset_s_key_do_not_confuse_an_order),
        TEST(what_is_not_reached_is_not_waited_for),
        TEST(an_order_that_can_not_be_kept_is_told),
        TEST(a_long_order_that_can_not_be_kept_is_cut_between_addresses),
        TEST(erasure_has_an_order_of_its_own),
        TEST(erasures_that_wait_for_each_other_are_told),
        TEST(walks_of_chance_keep_their_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
