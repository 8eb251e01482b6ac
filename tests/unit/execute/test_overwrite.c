#include "worker/execute/overwrite.c"

#include "tests/unit/test.h"

#include "worker/execute/affected.h"

static bool is_known(const char *category)
{
    (void)category;
    return true;
}

/* Documents are written with single quotes, which this parser takes. */
static const struct dataset *dataset_of(struct test *test, const char *fields)
{
    const char *text = arena_printf(
        test->arena, "{'fides_key':'shop','collections':[{'name':'customer','fields':[%s]}]}", fields);
    _cleanup_(json_object_putp) json_object *document = json_tokener_parse(text);
    const struct schema_loc loc = { .name = "body" };
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    assert_non_null(document);
    if (dataset_read(document, &loc, is_known, test->arena, &dataset, &errors, &test->err) < 0)
        fail_msg("%s", test->err.text);
    return dataset;
}

/* The collection of the fields, found by `entry`. */
static const struct graph_node *node_of(struct test *test, const char *fields, const char *entry)
{
    struct graph_node *node = arena_new_of(test->arena, struct graph_node);
    struct graph_edge *edge = arena_new_of(test->arena, struct graph_edge);

    node->address = "shop:customer";
    node->dataset = dataset_of(test, fields);
    node->collection = dataset_collection(node->dataset, "customer");
    edge->key = "email";
    edge->target = dataset_field(node->collection, entry);
    assert_non_null(edge->target);
    node->in = edge;
    node->in_count = 1;
    return node;
}

static const char *const name_texts[] = { "user.name" };
static const char *const contact_texts[] = { "user.contact" };
static const char *const all_texts[] = { "user" };
static const struct dataset_texts of_name = { name_texts, 1 }, of_contact = { contact_texts, 1 },
                                  of_all = { all_texts, 1 };

#define ERASURE(...) { .key = "rule", .action_type = "erasure", RULE(__VA_ARGS__) }
#define RULE(strategy_, configuration_, targets_)                                                  \
    .strategy = strategy_, .strategy_configuration = configuration_, .targets = targets_
#define REWRITE(text) "string_rewrite", "{\"rewrite_value\": \"" text "\"}"

static struct catalog_policy policy_of(const struct catalog_rule *rules, int count)
{
    return (struct catalog_policy){ .key = "policy", .rules = rules, .rule_count = count };
}

static struct overwrite *overwrite_of(struct test *test, const struct graph_node *node,
                                      const struct catalog_rule *rules, int count)
{
    static const struct seal_key key = { { 1 } };
    const struct catalog_policy policy = policy_of(rules, count);
    struct overwrite *overwrite = NULL;

    if (overwrite_new(node, &policy, &key, "pri_1", test->arena, &overwrite, &test->err) < 0)
        fail_msg("%s", test->err.text);
    return overwrite;
}

static const struct source_column integer_column = { .type = 23, .base = 23, .type_name = "integer", .category = 'N' };
static const struct source_column text_column = { .type = 25, .base = 25, .type_name = "text", .category = 'S' };
static const struct source_column varchar_column = { .type = 1043, .base = 1043, .type_name = "character varying",
                                                     .category = 'S', .length = 4 };
static const struct source_column bytea_column = { .type = 17, .base = 17, .type_name = "bytea", .category = 'U' };
static const struct source_column jsonb_column = { .type = 3802, .base = 3802, .type_name = "jsonb", .category = 'U' };
static const struct source_column texts_column = { .type = 1009, .base = 1009, .element = 25, .type_name = "text[]",
                                                   .category = 'A', .element_category = 'S' };
static const struct source_column chars_column = { .type = 1014, .base = 1014, .element = 1042,
                                                   .type_name = "character[]", .category = 'A',
                                                   .element_category = 'S' };

struct table {
    struct source_column columns[8];
    struct source_table table;
    const char *names[8];
    const char *primary[1];
};

static void table_add(struct table *table, const char *name, const struct source_column *column)
{
    int i = table->table.count++;

    table->columns[i] = *column;
    table->columns[i].name = table->names[i] = name;
    table->table.columns = table->columns;
}

static void table_key(struct table *table, const char *name)
{
    table->primary[0] = name;
    table->table.primary_key = table->primary;
    table->table.key_count = 1;
}

/* All of its columns were collected. */
static int bound(struct test *test, struct overwrite *overwrite, const struct table *table)
{
    return overwrite_bind(overwrite, &table->table, table->names, table->table.count, &test->err);
}

static void bind_well(struct test *test, struct overwrite *overwrite, const struct table *table)
{
    if (bound(test, overwrite, table) < 0)
        fail_msg("%s", test->err.text);
}

/* A row of JSON texts, NULL: null. */
#define ROW(...) row_of((const char *[]){ __VA_ARGS__ }, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))

static const struct rows_value *row_of(const char *const *texts, size_t count)
{
    static struct rows_value row[8];

    for (size_t i = 0; i < count; i++)
        row[i] = (struct rows_value){ texts[i], texts[i] ? strlen(texts[i]) : 0 };
    return row;
}

/* The customer of most tests: id, email, name. */
#define FIELDS                                                                                      \
    "{'name':'id'},{'name':'email','data_categories':['user.contact.email'],"                       \
    "'fides_meta':{'identity':'email'}},{'name':'name','data_categories':['user.name']}"

static struct table *customer_table(struct test *test, const struct source_column *name)
{
    struct table *table = arena_new_of(test->arena, struct table);

    table_add(table, "email", &text_column);
    table_add(table, "id", &integer_column);
    table_add(table, "name", name);
    table_key(table, "id");
    return table;
}

/* --- which fields ------------------------------------------------------------------------------------- */

/* "field strategy" of each, with commas. */
static const char *targets_text(struct test *test, const struct overwrite *overwrite)
{
    const char *text = "";

    for (int i = 0; i < overwrite->target_count; i++)
        text = arena_printf(test->arena, "%s%s%s %s", text, *text ? ", " : "", overwrite->targets[i].field->path,
                            overwrite->targets[i].strategy);
    return text;
}

static void assert_targets(struct test *test, const char *fields, const struct catalog_rule *rules, int count,
                           const char *expected)
{
    struct overwrite *overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, count);

    assert_string_equal(targets_text(test, overwrite), expected);
    assert_int_equal(overwrite_is_empty(overwrite), !*expected);
    overwrite_free(overwrite);
}

static void fields_are_those_of_the_rules_categories_by_segments(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_name) };
    static const struct catalog_rule other[] = { { .action_type = "access", .targets = of_all } };
    struct test *test = *state;

    assert_targets(test, FIELDS ",{'name':'n2','data_categories':['user.names']}"
                                ",{'name':'n3','data_categories':['system','user.name.first']}",
                   rules, 1, "n3 hmac, name hmac");
    assert_targets(test, FIELDS, other, 1, "");
}

static void later_rules_are_over_earlier_ones_and_a_field_s_own_strategy_over_both(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_all), ERASURE("hash", NULL, of_name) };
    static const struct catalog_rule keeping[] = { ERASURE("hmac", NULL, of_all), ERASURE("preserve", NULL, of_name) };
    struct test *test = *state;

    assert_targets(test, FIELDS, rules, 2, "email hmac, name hash");
    assert_targets(test, FIELDS, keeping, 2, "email hmac");
    assert_targets(test, FIELDS ",{'name':'born','data_categories':['user.name'],'fides_meta':"
                                "{'masking_strategy_override':{'strategy':'null_rewrite','configuration':{}}}}",
                   rules, 2, "born null_rewrite, email hmac, name hash");
}

static void what_is_read_only_is_left_with_all_that_is_in_it(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_all) };
    struct test *test = *state;

    assert_targets(test, FIELDS ",{'name':'n2','data_categories':['user.name'],'fides_meta':{'read_only':true}}"
                                ",{'name':'o','fides_meta':{'read_only':true},'fields':[{'name':'x',"
                                "'data_categories':['user.name']}]}",
                   rules, 1, "email hmac, name hmac");
}

static void a_strategy_that_does_not_exist_fails_any_collection(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("nullify", NULL, of_contact) };
    static const struct catalog_rule none[] = { ERASURE(NULL, NULL, of_contact) };
    static const struct seal_key key = { { 1 } };
    struct test *test = *state;
    const struct graph_node *node = node_of(test, "{'name':'id'}", "id");
    struct catalog_policy policy = policy_of(rules, 1);
    struct overwrite *overwrite = NULL;

    assert_int_equal(overwrite_new(node, &policy, &key, "pri_1", test->arena, &overwrite, &test->err),
                     -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text,
                        "Strategy 'nullify' does not exist. Valid strategies are [null_rewrite, string_rewrite, "
                        "random_string_rewrite, hash, hmac, aes_encrypt, preserve]");
    policy.rules = none;
    assert_int_equal(overwrite_new(node, &policy, &key, "pri_1", test->arena, &overwrite, &test->err),
                     -ERR_BAD_REQUEST);
}

/* --- whether they can be written ----------------------------------------------------------------------- */

/* The one further field `x` of the type, with what is declared of it. */
static void assert_refused(struct test *test, const char *strategy, const char *meta,
                           const struct source_column *column, const char *problem)
{
    const struct catalog_rule rules[] = { ERASURE(strategy, NULL, of_all) };
    const char *fields = arena_printf(test->arena, FIELDS ",{'name':'x','data_categories':['user.device']%s}", meta);
    struct overwrite *overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);

    if (column)
        table_add(table, "x", column);
    if (!problem) {
        bind_well(test, overwrite, table);
    } else {
        assert_int_equal(bound(test, overwrite, table), -ERR_REFUSED);
        assert_string_equal(test->err.text,
                            arena_printf(test->arena,
                                         "No values of shop:customer were erased, as fields of it can't be "
                                         "masked: x: %s", problem));
    }
    overwrite_free(overwrite);
}

static void a_field_that_can_t_be_masked_is_named(void **state)
{
    struct source_column generated = text_column, not_null = text_column;
    struct test *test = *state;

    generated.generated = true;
    not_null.not_null = true;
    assert_refused(test, "hmac", "", NULL, "there is no such column");
    assert_refused(test, "hmac", "", &generated, "the column is generated");
    assert_refused(test, "null_rewrite", "", &not_null, "null_rewrite, and the column may not be null");
    assert_refused(test, "hmac", "", &not_null, NULL);
    assert_refused(test, "null_rewrite", "", &integer_column, NULL);
    assert_refused(test, "hmac", "", &integer_column, "hmac masks text only, and the column is of type integer");
    assert_refused(test, "hmac", "", &jsonb_column, "hmac masks text only, and the column is of type jsonb");
    assert_refused(test, "hmac", ",'fides_meta':{'data_type':'string'}", &integer_column,
                   "hmac masks text only, and the column is of type integer");
    assert_refused(test, "hmac", ",'fides_meta':{'data_type':'integer'}", &text_column,
                   "hmac masks text only, and its data_type is another");
    assert_refused(test, "null_rewrite", ",'fides_meta':{'data_type':'integer'}", &integer_column, NULL);
    assert_refused(test, "hmac", ",'fides_meta':{'data_type':'string[]'}", &texts_column, NULL);
    assert_refused(test, "hmac", "", &texts_column, NULL);
    assert_refused(test, "hmac", "", &chars_column, "hmac masks text only, and the column is of type character[]");
    assert_refused(test, "null_rewrite", "", &chars_column, NULL);
}

static void all_fields_that_can_t_be_masked_are_named_as_far_as_there_is_room(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_all) };
    struct test *test = *state;
    const char *fields = FIELDS;
    struct overwrite *overwrite;
    struct table *table = customer_table(test, &text_column);

    for (int i = 0; i < 30; i++)
        fields = arena_printf(test->arena, "%s,{'name':'y%02d','data_categories':['user.device']}", fields, i);
    overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, 1);
    assert_int_equal(bound(test, overwrite, table), -ERR_REFUSED);
    assert_non_null(strstr(test->err.text, "y00: there is no such column; y01: there is no such column; "));
    assert_string_equal(test->err.text + strlen(test->err.text) - 4, " ...");
    overwrite_free(overwrite);
}

static void what_is_inside_a_column_needs_json(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_name) };
    static const char fields[] = "{'name':'email','fides_meta':{'identity':'email'}},{'name':'id'},"
                                 "{'name':'x','fields':[{'name':'first','data_categories':['user.name']}]}";
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);

    table_add(table, "x", &text_column);
    assert_int_equal(bound(test, overwrite, table), -ERR_REFUSED);
    assert_non_null(strstr(test->err.text, "x.first: it is in a column of type text, not json"));
    overwrite_free(overwrite);
}

static void what_is_inside_a_column_needs_a_key_of_its_row_s_own(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    struct table *table = customer_table(test, &texts_column);

    table->table.key_count = 0;
    bind_well(test, overwrite, table);
    assert_int_equal(overwrite_add(overwrite, ROW("\"a\"", "1", "[\"Ada\"]"), &test->err), 0);
    assert_int_equal(overwrite_add(overwrite, ROW("\"b\"", "2", "[\"Bob\"]"), &test->err), 0);
    assert_int_equal(overwrite_add(overwrite, ROW("\"a\"", "3", "[\"Ida\"]"), &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "No values of shop:customer were erased: it has arrays or JSON to mask, and "
                                        "several rows with the same key");
    overwrite_free(overwrite);
}

/* --- statements ---------------------------------------------------------------------------------------- */

static void assert_batch(struct overwrite *overwrite, const char *statement, const char *json)
{
    const char *got_json = NULL, *got = overwrite_statement(overwrite, &got_json);

    assert_string_equal(got, statement);
    assert_string_equal(got_json, json);
    overwrite_clear(overwrite);
    assert_null(overwrite_statement(overwrite, &got_json));
}

static void take(struct test *test, struct overwrite *overwrite, const struct rows_value *row)
{
    int r = overwrite_add(overwrite, row, &test->err);

    if (r < 0)
        fail_msg("%s", test->err.text);
    assert_int_equal(r, 0);
}

static void rows_are_found_by_the_table_s_primary_key(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("null_rewrite", NULL, of_contact),
                                                 ERASURE(REWRITE("MASKED"), of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 2);
    const struct table *table = customer_table(test, &text_column);

    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"ada@example.com\"", "1", "\"Ada\""));
    take(test, overwrite, ROW("\"ada@example.com\"", "0", NULL));
    assert_batch(overwrite,
                 "update \"customer\" as t set \"email\" = null, \"name\" = v.c1 from json_to_recordset($1::json) "
                 "as v(k0 text, c1 text) where t.\"id\" = v.k0::integer",
                 "[{\"k0\":1,\"c1\":\"MASKED\"},{\"k0\":0,\"c1\":\"MASKED\"}]");
    overwrite_free(overwrite);
}

static void a_declared_primary_key_is_over_the_table_s(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("null_rewrite", NULL, of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(
        test, node_of(test, FIELDS ",{'name':'code','fides_meta':{'primary_key':true}}", "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);

    table_add(table, "code", &bytea_column);
    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"ada@example.com\"", "1", "\"Ada\"", "\"AAE=\""));
    assert_batch(overwrite,
                 "update \"customer\" as t set \"name\" = null from json_to_recordset($1::json) as v(k0 text) "
                 "where t.\"code\" = decode(v.k0, 'base64')",
                 "[{\"k0\":\"AAE=\"}]");
    overwrite_free(overwrite);
}

static void without_a_primary_key_rows_are_found_by_what_led_to_them_once(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("null_rewrite", NULL, of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);

    table->table.key_count = 0;
    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"ada@example.com\"", "1", "\"Ada\""));
    take(test, overwrite, ROW("\"ada@example.com\"", "2", "\"Countess\"")); /* written with the one before */
    take(test, overwrite, ROW("\"\"", "3", NULL));                          /* empty is a value */
    assert_batch(overwrite,
                 "update \"customer\" as t set \"name\" = null from json_to_recordset($1::json) as v(k0 text) "
                 "where t.\"email\" = v.k0::text",
                 "[{\"k0\":\"ada@example.com\"},{\"k0\":\"\"}]");
    take(test, overwrite, ROW("\"ada@example.com\"", "4", NULL)); /* by a batch before, too */
    assert_int_equal(overwrite->rows, 0);
    overwrite_free(overwrite);
}

static void a_row_without_its_primary_key_is_found_by_all_that_it_has(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("null_rewrite", NULL, of_name) };
    static const char fields[] = "{'name':'email','fides_meta':{'identity':'email'}},"
                                 "{'name':'id','fides_meta':{'primary_key':true}},"
                                 "{'name':'name','data_categories':['user.name']}";
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, 1);
    const struct table *table = customer_table(test, &text_column);

    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"ada@example.com\"", "1", "\"Ada\""));
    /* Found otherwise, so the batch is run before. */
    assert_int_equal(overwrite_add(overwrite, ROW("\"ada@example.com\"", NULL, "\"Ada\""), &test->err), 1);
    overwrite_clear(overwrite);
    take(test, overwrite, ROW("\"ada@example.com\"", NULL, "\"Ada\""));
    assert_batch(overwrite,
                 "update \"customer\" as t set \"name\" = null from json_to_recordset($1::json) as v(k1 text) "
                 "where t.\"email\" = v.k1::text",
                 "[{\"k1\":\"ada@example.com\"}]");
    assert_int_equal(overwrite_add(overwrite, ROW(NULL, NULL, "\"Ada\""), &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text,
                        "No values of shop:customer were erased: a row has no key that it can be found by");
    overwrite_free(overwrite);
}

static void a_batch_has_so_many_rows_or_bytes(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("null_rewrite", NULL, of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);
    char *large = arena_alloc(test->arena, OVERWRITE_BYTES + 3);

    bind_well(test, overwrite, table);
    for (int i = 0; i < OVERWRITE_ROWS; i++)
        take(test, overwrite, ROW("\"a\"", arena_printf(test->arena, "%d", i), NULL));
    assert_int_equal(overwrite_add(overwrite, ROW("\"a\"", "1001", NULL), &test->err), 1);
    overwrite_free(overwrite);

    overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    table->table.key_count = 0;
    bind_well(test, overwrite, table);
    memset(large, 'x', OVERWRITE_BYTES + 2);
    large[0] = large[OVERWRITE_BYTES + 1] = '"';
    take(test, overwrite, ROW(large, "1", NULL));
    assert_int_equal(overwrite_add(overwrite, ROW("\"b\"", "2", NULL), &test->err), 1);
    overwrite_free(overwrite);
}

/* --- values -------------------------------------------------------------------------------------------- */

static void a_text_is_cut_to_what_the_dataset_and_the_column_have_room_for(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE(REWRITE("1234567"), of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(
        test, node_of(test, FIELDS ",{'name':'a','data_categories':['user.name'],'fides_meta':{'length':3}}"
                                   ",{'name':'b','data_categories':['user.name'],'fides_meta':{'length':5}}", "email"),
        rules, 1);
    struct table *table = customer_table(test, &text_column);
    const char *json;

    table_add(table, "a", &varchar_column);
    table_add(table, "b", &varchar_column);
    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"e\"", "1", "\"Ada\"", "\"Ada\"", "\"Ada\""));
    assert_non_null(overwrite_statement(overwrite, &json));
    assert_string_equal(json, "[{\"k0\":1,\"c0\":\"123\",\"c1\":\"1234\",\"c2\":\"1234567\"}]");
    overwrite_free(overwrite);
}

static void a_value_is_masked_in_its_text_form(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hash", NULL, of_name) };
    static const struct seal_key key = { { 1 } };
    static const struct {
        const char *json, *text;
    } values[] = { { "\"Ada\"", "Ada" }, { "\"a\\\"\\u00e9\\n\"", "a\"\u00e9\n" }, { "\"\"", "" }, { NULL, NULL } };
    struct test *test = *state;
    const struct table *table = customer_table(test, &text_column);
    const struct mask *mask = NULL;

    assert_int_equal(mask_new("hash", NULL, &key, "pri_1", test->arena, &mask, &test->err), 0);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
        const char *masked = mask_value(mask, values[i].text, "", 0, test->arena), *json;

        bind_well(test, overwrite, table);
        take(test, overwrite, ROW("\"e\"", "1", values[i].json));
        assert_non_null(overwrite_statement(overwrite, &json));
        assert_string_equal(json, masked ? arena_printf(test->arena, "[{\"k0\":1,\"c0\":\"%s\"}]", masked)
                                         : "[{\"k0\":1,\"c0\":null}]");
        overwrite_free(overwrite);
    }
}

static void random_texts_differ_by_row_and_column_and_are_the_same_again(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("random_string_rewrite", NULL, of_all) };
    struct test *test = *state;
    const struct table *table = customer_table(test, &text_column);
    const char *first[2], *json;

    for (int i = 0; i < 2; i++) {
        struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
        _cleanup_(json_object_putp) json_object *list = NULL;
        json_object *one, *other;

        bind_well(test, overwrite, table);
        take(test, overwrite, ROW("\"e\"", "1", "\"e\""));
        take(test, overwrite, ROW("\"e\"", "2", "\"e\""));
        assert_non_null(overwrite_statement(overwrite, &json));
        first[i] = arena_strdup(test->arena, json);
        list = json_tokener_parse(json);
        one = json_object_array_get_idx(list, 0);
        other = json_object_array_get_idx(list, 1);
        assert_string_not_equal(schema_text(one, "c0"), schema_text(one, "c1"));
        assert_string_not_equal(schema_text(one, "c0"), schema_text(other, "c0"));
        overwrite_free(overwrite);
    }
    assert_string_equal(first[0], first[1]);
}

/* The further column `x` of a row, as it is in the statement's parameter. */
static void assert_written(struct test *test, const char *strategy, const char *configuration, const char *field,
                           const struct source_column *column, const char *value, const char *expected)
{
    const struct catalog_rule rules[] = { ERASURE(strategy, configuration, of_name) };
    const char *fields = arena_printf(
        test->arena, "{'name':'email','fides_meta':{'identity':'email'}},{'name':'id'},%s", field);
    struct overwrite *overwrite = overwrite_of(test, node_of(test, fields, "email"), rules, 1);
    struct table *table = customer_table(test, &text_column);
    const char *json;

    table_add(table, "x", column);
    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"e\"", "1", NULL, value));
    assert_non_null(overwrite_statement(overwrite, &json));
    assert_string_equal(
        json, expected ? arena_printf(test->arena, "[{\"k0\":1,\"c0\":%s}]", expected) : "[{\"k0\":1}]");
    overwrite_free(overwrite);
}

static void elements_of_an_array_are_masked_one_by_one(void **state)
{
    static const char field[] = "{'name':'x','data_categories':['user.name']}";
    struct test *test = *state;

    assert_written(test, REWRITE("M"), field, &texts_column, "[\"a\", null, \"b\\\"\"]",
                   "{\"a\":\"M\",\"b\\\"\":\"M\"}");
    assert_written(test, REWRITE("M"), field, &texts_column, "[]", "{}");
    assert_written(test, REWRITE("M"), field, &texts_column, NULL, NULL);
}

static void an_array_is_written_as_it_stands(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE(REWRITE("M"), of_name) };
    struct test *test = *state;
    struct overwrite *overwrite = overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    const struct table *table = customer_table(test, &texts_column);

    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"e\"", "1", "[\"Ada\"]"));
    assert_batch(overwrite,
                 "update \"customer\" as t set \"name\" = case when v.c0 is null then t.\"name\" else coalesce((select "
                 "array_agg(case when v.c0 ? x.e::text then v.c0 ->> x.e::text else x.e::text end order by x.i) from "
                 "unnest(t.\"name\") with ordinality as x(e, i))::text[], t.\"name\") end from "
                 "json_to_recordset($1::json) as v(k0 text, c0 jsonb) where t.\"id\" = v.k0::integer",
                 "[{\"k0\":1,\"c0\":{\"Ada\":\"M\"}}]");
    overwrite_free(overwrite);
}

static void an_array_of_arrays_is_refused(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE(REWRITE("M"), of_name) };
    struct test *test = *state;
    struct overwrite *overwrite =
        overwrite_of(test, node_of(test, FIELDS, "email"), rules, 1);
    const struct table *table = customer_table(test, &texts_column);

    bind_well(test, overwrite, table);
    assert_int_equal(overwrite_add(overwrite, ROW("\"e\"", "1", "[[\"a\"]]"), &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "No values of shop:customer were erased: name is an array of arrays");
    overwrite_free(overwrite);
}

#define MEMBERS                                                                                     \
    "{'name':'x','fields':[{'name':'first','data_categories':['user.name']},"                       \
    "{'name':'homes','fields':[{'name':'who','data_categories':['user.name']},{'name':'no'}]},"     \
    "{'name':'size'}]}"

static void members_of_json_are_masked_where_they_are(void **state)
{
    struct test *test = *state;

    assert_written(test, REWRITE("M"), MEMBERS, &jsonb_column, "{\"first\": \"Ada\", \"size\": 3}",
                   "[{\"path\":[\"first\"],\"value\":\"M\"}]");
    assert_written(test, REWRITE("M"), MEMBERS, &jsonb_column,
                   "{\"homes\": [{\"who\": \"a\"}, {\"no\": 1}, {\"who\": [\"b\", 2]}], \"first\": null}",
                   "[{\"path\":[\"first\"],\"value\":\"M\"},{\"path\":[\"homes\",\"0\",\"who\"],\"value\":\"M\"},"
                   "{\"path\":[\"homes\",\"2\",\"who\",\"0\"],\"value\":\"M\"},"
                   "{\"path\":[\"homes\",\"2\",\"who\",\"1\"],\"value\":\"M\"}]");
    assert_written(test, "null_rewrite", NULL, MEMBERS, &jsonb_column, "{\"first\": {\"a\": 1}, \"homes\": 7}",
                   "[{\"path\":[\"first\"],\"value\":null}]");
    assert_written(test, "hmac", NULL, MEMBERS, &jsonb_column, "{\"first\": null}", "[]");
    assert_written(test, "hmac", NULL, MEMBERS, &jsonb_column, "12", "[]");
    assert_written(test, "hmac", NULL, MEMBERS, &jsonb_column, "null", "[]");
    assert_written(test, "hmac", NULL, MEMBERS, &jsonb_column, NULL, NULL);
}

static void a_json_value_has_so_many_members_that_can_be_masked(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE(REWRITE("M"), of_name) };
    struct test *test = *state;
    _cleanup_(buf_free) struct buf json = BUF_INIT(OVERWRITE_BYTES);
    struct overwrite *overwrite = overwrite_of(
        test, node_of(test, "{'name':'email','fides_meta':{'identity':'email'}},{'name':'id'}," MEMBERS, "email"),
        rules, 1);
    struct table *table = customer_table(test, &text_column);

    buf_adds(&json, "{\"first\":[\"0\"");
    for (int i = 1; i < OVERWRITE_MEMBERS_MAX; i++)
        buf_printf(&json, ",\"%d\"", i);
    table_add(table, "x", &jsonb_column);
    bind_well(test, overwrite, table);
    take(test, overwrite, ROW("\"e\"", "1", NULL, arena_printf(test->arena, "%s]}", json.data)));
    assert_int_equal(overwrite_add(overwrite, ROW("\"e\"", "2", NULL,
                                                  arena_printf(test->arena, "%s,\"\"]}", json.data)), &test->err),
                     -ERR_REFUSED);
    assert_string_equal(test->err.text,
                        "No values of shop:customer were erased: x.first has more than 1000 values in a row");
    overwrite_free(overwrite);
}

/* --- what the log tells --------------------------------------------------------------------------------- */

static void the_log_has_the_fields_that_the_rules_speak_of(void **state)
{
    static const struct catalog_rule rules[] = { ERASURE("hmac", NULL, of_name),
                                                 { .action_type = "access", .targets = of_contact } };
    struct test *test = *state;
    const struct graph_node *node =
        node_of(test, FIELDS ",{'name':'o','fields':[{'name':'n',"
                             "'data_categories':['user.name.first','user.device']}]}", "email");
    const struct catalog_policy policy = policy_of(rules, 2);

    assert_string_equal(
        affected_fields(node->dataset, node->collection, &policy, "erasure", test->arena),
        "[{\"path\":\"shop:customer:name\",\"field_name\":\"name\",\"data_categories\":[\"user.name\"]},"
        "{\"path\":\"shop:customer:o.n\",\"field_name\":\"o.n\",\"data_categories\":[\"user.name.first\"]}]");
    assert_null(affected_fields(node->dataset, node->collection, &policy, "consent", test->arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_those_of_the_rules_categories_by_segments),
        TEST(later_rules_are_over_earlier_ones_and_a_field_s_own_strategy_over_both),
        TEST(what_is_read_only_is_left_with_all_that_is_in_it),
        TEST(a_strategy_that_does_not_exist_fails_any_collection),
        TEST(a_field_that_can_t_be_masked_is_named),
        TEST(all_fields_that_can_t_be_masked_are_named_as_far_as_there_is_room),
        TEST(what_is_inside_a_column_needs_json),
        TEST(what_is_inside_a_column_needs_a_key_of_its_row_s_own),
        TEST(rows_are_found_by_the_table_s_primary_key),
        TEST(a_declared_primary_key_is_over_the_table_s),
        TEST(without_a_primary_key_rows_are_found_by_what_led_to_them_once),
        TEST(a_row_without_its_primary_key_is_found_by_all_that_it_has),
        TEST(a_batch_has_so_many_rows_or_bytes),
        TEST(a_text_is_cut_to_what_the_dataset_and_the_column_have_room_for),
        TEST(a_value_is_masked_in_its_text_form),
        TEST(random_texts_differ_by_row_and_column_and_are_the_same_again),
        TEST(elements_of_an_array_are_masked_one_by_one),
        TEST(an_array_is_written_as_it_stands),
        TEST(an_array_of_arrays_is_refused),
        TEST(members_of_json_are_masked_where_they_are),
        TEST(a_json_value_has_so_many_members_that_can_be_masked),
        TEST(the_log_has_the_fields_that_the_rules_speak_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
