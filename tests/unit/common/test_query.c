#include "tests/unit/test.h"

#include <stdio.h>

#include "common/query.h"
#include "common/schema.h"

static const struct dataset *read_document(struct test *test, const char *document)
{
    _cleanup_(json_object_putp) json_object *parsed = json_tokener_parse(document);
    const struct dataset *dataset = NULL;

    assert_non_null(parsed);
    if (dataset_read(parsed, NULL, NULL, test->arena, &dataset, NULL, &test->err) < 0)
        fail_msg("%s", test->err.text);
    return dataset;
}

static const struct graph_walk *walk_of(struct test *test, const char *document)
{
    const struct dataset_texts keys = { (const char *const[]){ "email", "phone_number" }, 2 };
    const struct dataset_texts targets = { (const char *const[]){ "user" }, 1 };
    const struct graph_dataset in = { read_document(test, document), "connection" };
    const struct graph_walk *walk = NULL;
    const struct graph *graph = NULL;

    if (graph_new(&in, 1, test->arena, &graph, &test->err) < 0 ||
        graph_walk(graph, &keys, &targets, test->arena, &walk, &test->err) < 0)
        fail_msg("%s", test->err.text);
    return walk;
}

/* A dataset "d" with one collection "a". */
static const struct graph_walk *walk_fields(struct test *test, const char *fields)
{
    return walk_of(test, arena_printf(test->arena, "{'fides_key':'d','collections':[{'name':'a','fields':[%s]}]}",
                                      fields));
}

/* "customer" is found by its email; "orders" by the customer's id or the same email. */
static const char shop[] =
    "{'fides_key':'d','collections':["
    "{'name':'customer','fields':[{'name':'email','data_categories':['user'],'fides_meta':{'identity':'email'}},"
    " {'name':'id'},{'name':'notes'},{'name':'created','data_categories':['system.operations']}]},"
    "{'name':'orders','fields':[{'name':'total'},{'name':'id','fides_meta':{'primary_key':true}},"
    " {'name':'customer_id','fides_meta':{'references':[{'dataset':'d','field':'customer.id','direction':'from'}]}},"
    " {'name':'buyer','fides_meta':{'identity':'email'}},"
    " {'name':'item_id','fides_meta':{'references':[{'dataset':'d','field':'item.id','direction':'from'}]}}]},"
    "{'name':'item','fields':[{'name':'id'}]}]}";

static const char *any_of(void *context, int n, const struct dataset_field *field, const char *expression)
{
    struct test *test = context;

    return arena_printf(test->arena, "%s = any($%d::%s[])", expression, n,
                        field->type == DATASET_INTEGER ? "bigint" : "text");
}

/* One column that is not read as it is. */
static const char *read_as(void *context, int n, const struct dataset_field *field, const char *expression)
{
    struct test *test = context;

    return field->is_array ? arena_printf(test->arena, "filter(%s, $%d)", expression, n) : NULL;
}

static const char *select_of(struct test *test, const struct graph_walk *walk, const char *collection, int64_t limit)
{
    const struct query_words words = { any_of, read_as, test };

    return query_select(walk, graph_node(walk, "d", collection), &words, limit, test->arena);
}

static void columns_are(struct test *test, const struct graph_walk *walk, const char *collection, const char *told)
{
    const struct dataset_field *const *columns;
    int count = query_columns(walk, graph_node(walk, "d", collection), test->arena, &columns);
    const char *text = "";

    for (int i = 0; i < count; i++)
        text = arena_printf(test->arena, "%s%s%s", text, i ? " " : "", columns[i]->name);
    assert_string_equal(text, told);
}

static void columns_that_serve_something_are_read(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test, shop);

    columns_are(test, walk, "customer", "created email id"); /* a category of system counts like any other */
    columns_are(test, walk, "orders", "buyer customer_id id item_id"); /* item_id: a reference that no edge uses */
}

static void without_any_all_are_read(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_fields(test, "{'name':'y'},{'name':'x'}");
    struct graph_node node = { 0 };
    const struct dataset_field *const *columns;

    /* Nothing leads to such a collection: a node of our own. */
    node.dataset = read_document(test, "{'fides_key':'d','collections':[{'name':'a','fields':[{'name':'y'},"
                                       "{'name':'x'}]}]}");
    node.collection = node.dataset->collections;
    assert_int_equal(query_columns(walk, &node, test->arena, &columns), 2);
    assert_string_equal(columns[0]->name, "x");
    assert_string_equal(query_select(walk, &node, &(struct query_words){ any_of, read_as, test }, 0, test->arena),
                        "SELECT \"x\", \"y\" FROM \"a\" WHERE (false)");
    assert_string_equal(query_preview(walk, &node, test->arena), "SELECT \"x\", \"y\" FROM \"a\" WHERE (false)");
}

static void a_sub_field_brings_its_column_once(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk =
        walk_fields(test, "{'name':'id','fides_meta':{'identity':'email'}},{'name':'other','fields':[{'name':'x'}]},"
                          "{'name':'address','fields':[{'name':'city','data_categories':['user']},"
                          "{'name':'more','fields':[{'name':'zip','fides_meta':{'primary_key':true}}]}]}");

    columns_are(test, walk, "a", "address id");
}

static void rows_are_found_by_any_of_their_keys(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test, shop);

    assert_string_equal(select_of(test, walk, "customer", 0),
                        "SELECT \"created\", \"email\", \"id\" FROM \"customer\" WHERE (\"email\" = any($1::text[]))");
    assert_string_equal(select_of(test, walk, "orders", 500),
                        "SELECT \"buyer\", \"customer_id\", \"id\", \"item_id\" FROM \"orders\" WHERE "
                        "(\"buyer\" = any($1::text[]) OR \"customer_id\" = any($2::text[])) LIMIT 500");
}

static void a_column_that_many_edges_lead_to_is_one_condition(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test,
        "{'fides_key':'d','collections':[{'name':'a','fields':[{'name':'email','fides_meta':{'identity':'email'}},"
        "{'name':'id'}]},{'name':'b','fields':[{'name':'x','fides_meta':{'data_type':'integer','references':"
        "[{'dataset':'d','field':'a.id'},{'dataset':'d','field':'a.email'}]}}]}]}");

    assert_string_equal(select_of(test, walk, "b", 0), "SELECT \"x\" FROM \"b\" WHERE (\"x\" = any($1::bigint[]))");
}

static void a_namespace_names_the_schema(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test,
        "{'fides_key':'d','fides_meta':{'namespace':{'schema':'sales'}},'collections':[{'name':'a','fields':"
        "[{'name':'email','fides_meta':{'identity':'email'}}]}]}");

    assert_string_equal(query_table(graph_node(walk, "d", "a"), test->arena), "\"sales\".\"a\"");
    assert_string_equal(select_of(test, walk, "a", 0),
                        "SELECT \"email\" FROM \"sales\".\"a\" WHERE (\"email\" = any($1::text[]))");
}

static void names_are_quoted_whatever_they_are(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test,
        "{'fides_key':'d','fides_meta':{'namespace':{'schema':'S\\\"1'}},'collections':[{'name':'user','fields':"
        "[{'name':'order','fides_meta':{'identity':'email'}},{'name':'a\\\"; drop table x; --',"
        "'fides_meta':{'primary_key':true}},{'name':'Mixed Case','data_categories':['user']}]}]}");

    assert_string_equal(query_identifier("a\"b\"", test->arena), "\"a\"\"b\"\"\"");
    assert_string_equal(query_identifier("", test->arena), "\"\"");
    assert_string_equal(select_of(test, walk, "user", 0),
                        "SELECT \"Mixed Case\", \"a\"\"; drop table x; --\", \"order\" FROM \"S\"\"1\".\"user\" "
                        "WHERE (\"order\" = any($1::text[]))");
}

static void a_target_within_a_column_is_compared_as_text(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk =
        walk_fields(test, "{'name':'person','fields':[{'name':'mail','fides_meta':{'identity':'email'}},"
                          "{'name':'o\\u0027s','fields':[{'name':'x','fides_meta':{'identity':'phone_number'}}]}]}");

    assert_string_equal(select_of(test, walk, "a", 0),
                        "SELECT \"person\" FROM \"a\" WHERE (\"person\"->>'mail' = any($1::text[]) OR "
                        "\"person\"->'o''s'->>'x' = any($2::text[]))");
}

static void an_entry_column_may_be_read_otherwise_than_it_is(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk =
        walk_fields(test, "{'name':'also','data_categories':['user'],'fides_meta':{'data_type':'string[]'}},"
                          "{'name':'mails','fides_meta':{'identity':'email','data_type':'string[]'}},"
                          "{'name':'a_first','fides_meta':{'identity':'phone_number'}}");

    assert_string_equal(select_of(test, walk, "a", 0),
                        "SELECT \"a_first\", \"also\", filter(\"mails\", $2) AS \"mails\" FROM \"a\" WHERE "
                        "(\"a_first\" = any($1::text[]) OR \"mails\" = any($2::text[]))");
}

static void people_see_the_contract_s_form(void **state)
{
    struct test *test = *state;
    const struct graph_walk *walk = walk_of(test, shop);

    assert_string_equal(query_preview(walk, graph_node(walk, "d", "customer"), test->arena),
                        "SELECT \"created\", \"email\", \"id\" FROM \"customer\" WHERE (\"email\" = :email)");
    assert_string_equal(query_preview(walk, graph_node(walk, "d", "orders"), test->arena),
                        "SELECT \"buyer\", \"customer_id\", \"id\", \"item_id\" FROM \"orders\" WHERE "
                        "(\"buyer\" = :buyer OR \"customer_id\" IN (:customer_id...))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_that_serve_something_are_read),
        TEST(without_any_all_are_read),
        TEST(a_sub_field_brings_its_column_once),
        TEST(rows_are_found_by_any_of_their_keys),
        TEST(a_column_that_many_edges_lead_to_is_one_condition),
        TEST(a_namespace_names_the_schema),
        TEST(names_are_quoted_whatever_they_are),
        TEST(a_target_within_a_column_is_compared_as_text),
        TEST(an_entry_column_may_be_read_otherwise_than_it_is),
        TEST(people_see_the_contract_s_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
