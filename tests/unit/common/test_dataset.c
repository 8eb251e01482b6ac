#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/dataset.h"

static bool is_known(const char *category)
{
    return !strncmp(category, "user", 4) || !strcmp(category, "system.operations");
}

/* Documents are written with single quotes, which this parser takes. */
static int read_text(struct test *test, const char *document, const struct dataset **ret, struct schema_errors *errors)
{
    const struct schema_loc body = { .name = "body" }, loc = { .parent = &body, .index = 0 };
    _cleanup_(json_object_putp) json_object *parsed = json_tokener_parse(document);

    assert_non_null(parsed);
    return dataset_read(parsed, &loc, is_known, test->arena, ret, errors, &test->err);
}

static const struct dataset *good(struct test *test, const char *document)
{
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    if (read_text(test, document, &dataset, &errors) < 0)
        fail_msg("%s", test->err.text);
    assert_null(errors.list);
    return dataset;
}

/* The first error's place and words, and the line that tells it. */
static void bad(struct test *test, const char *document, const char *loc, const char *msg, const char *line)
{
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;
    json_object *first;

    assert_int_equal(read_text(test, document, &dataset, &errors), -ERR_BAD_REQUEST);
    assert_null(dataset); /* untouched on failure */
    first = json_object_array_get_idx(errors.list, 0);
    assert_string_equal(json_object_to_json_string_ext(schema_get(first, "loc"), JSON_C_TO_STRING_PLAIN), loc);
    assert_string_equal(schema_text(first, "msg"), msg);
    if (line)
        assert_string_equal(test->err.text, line);
    schema_errors_free(&errors);
}

static const char *with_collections(struct test *test, const char *collections)
{
    return arena_printf(test->arena, "{'fides_key':'shop','collections':[%s]}", collections);
}

static const char *with_fields(struct test *test, const char *fields)
{
    return with_collections(test, arena_printf(test->arena, "{'name':'customer','fields':[%s]}", fields));
}

/* One field "id" with this fides_meta. */
static const char *with_meta(struct test *test, const char *meta)
{
    return with_fields(test, arena_printf(test->arena, "{'name':'id','fides_meta':{%s}}", meta));
}

static const struct dataset_field *meta_of(struct test *test, const char *meta)
{
    return dataset_field(dataset_collection(good(test, with_meta(test, meta)), "customer"), "id");
}

static void bad_meta(struct test *test, const char *meta, const char *loc, const char *msg)
{
    bad(test, with_meta(test, meta),
        arena_printf(test->arena, "[\"body\",0,\"collections\",0,\"fields\",0,\"fides_meta\",%s]", loc), msg, NULL);
}

static void a_dataset_says_where_it_is_and_what_comes_before(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset =
        good(test, "{'fides_key':'shop_<instance>.a-1','name':'Shop','description':'d','tags':['a'],'meta':{'x':1},"
                   "'organization_fides_key':'default_organization','unheard_of':[1],'data_categories':['user'],"
                   "'fides_meta':{'after':['crm','erp'],'redact':'name','resource_id':'r','other':true,"
                   "'namespace':{'connection_type':'postgres','database_name':'d','schema':'s'}},'collections':[]}");

    assert_string_equal(dataset->key, "shop_<instance>.a-1");
    assert_string_equal(dataset->name, "Shop");
    assert_string_equal(dataset->schema, "s");
    assert_string_equal(dataset->database, "d");
    assert_int_equal(dataset->after.count, 2);
    assert_string_equal(dataset->after.texts[1], "erp");
    assert_true(dataset->redact);
    assert_int_equal(dataset->collection_count, 0);
    assert_null(dataset_collection(dataset, "customer"));
}

static void what_is_not_said_is_nothing(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test, "{'fides_key':'shop','name':null,'fides_meta':null,"
                                               "'collections':[{'name':'c','fields':[{'name':'f'}]}]}");
    const struct dataset_field *field = &dataset->collections[0].fields[0];

    assert_null(dataset->name);
    assert_null(dataset->schema);
    assert_null(dataset->database);
    assert_int_equal(dataset->after.count, 0);
    assert_false(dataset->redact);
    assert_false(dataset->collections[0].skip_processing);
    assert_int_equal(field->type, DATASET_NONE);
    assert_null(field->parent);
    assert_null(field->identity);
    assert_null(field->strategy);
    assert_int_equal(field->length, 0);
    assert_int_equal(field->reference_count, 0);
}

static void collections_and_fields_are_sorted_by_name(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test, with_collections(test,
        "{'name':'orders','fields':[]},"
        "{'name':'customer','data_categories':['user.contact'],"
        " 'fides_meta':{'after':['shop.orders'],'erase_after':['crm.lead','shop.orders'],'skip_processing':true,"
        "               'redact':'name','masking_strategy_override':{'strategy':'delete'},'partitioning':[{}]},"
        " 'fields':[{'name':'zip'},{'name':'address','fields':[{'name':'street'},{'name':'city'}]},{'name':'id'}]}"));
    const struct dataset_collection *customer = dataset_collection(dataset, "customer");
    static const char *const paths[] = { "address", "address.city", "address.street", "id", "zip" };

    assert_ptr_equal(customer, &dataset->collections[0]);
    assert_string_equal(dataset->collections[1].name, "orders");
    assert_true(customer->skip_processing && customer->redact);
    assert_string_equal(customer->categories.texts[0], "user.contact");
    assert_string_equal(customer->after.texts[0], "shop.orders");
    assert_string_equal(customer->erase_after.texts[1], "shop.orders");
    assert_int_equal(customer->field_count, 3);
    assert_string_equal(customer->fields[0].name, "address");
    assert_string_equal(customer->fields[0].fields[1].name, "street");
    assert_int_equal(customer->all_count, COUNT_OF(paths));
    for (int i = 0; i < customer->all_count; i++)
        assert_string_equal(customer->all[i]->path, paths[i]);
}

static void a_sub_field_knows_its_parent_and_its_column(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test, with_fields(test,
        "{'name':'a','fides_meta':{'data_type':'object[]'},"
        " 'fields':[{'name':'b','fields':[{'name':'c','data_categories':['user.name']}]}]}"));
    const struct dataset_collection *customer = dataset_collection(dataset, "customer");
    const struct dataset_field *deep = dataset_field(customer, "a.b.c");

    assert_string_equal(deep->name, "c");
    assert_string_equal(deep->column, "a");
    assert_ptr_equal(deep->parent, dataset_field(customer, "a.b"));
    assert_ptr_equal(deep->parent->parent, dataset_field(customer, "a"));
    assert_true(dataset_field(customer, "a")->is_array);
    assert_null(dataset_field(customer, "a.c"));
    assert_null(dataset_field(customer, "c"));
}

static void a_field_s_meta_is_read(void **state)
{
    struct test *test = *state;
    const struct dataset_field *field =
        meta_of(test, "'identity':'email','primary_key':true,'data_type':'string[]','length':40,"
                      "'return_all_elements':true,'read_only':true,'custom_request_field':'tenant','redact':'name',"
                      "'masking_strategy_override':{'strategy':'string_rewrite',"
                      "'configuration':{'rewrite_value':'x'}}");

    assert_string_equal(field->identity, "email");
    assert_true(field->primary_key && field->is_array && field->return_all_elements && field->read_only &&
                field->redact);
    assert_int_equal(field->type, DATASET_STRING);
    assert_int_equal(field->length, 40);
    assert_string_equal(field->custom_request_field, "tenant");
    assert_string_equal(field->strategy, "string_rewrite");
    assert_string_equal(field->strategy_configuration, "{\"rewrite_value\":\"x\"}");
}

static void every_type_is_known_with_and_without_brackets(void **state)
{
    static const char *const words[] = { [DATASET_STRING] = "string",   [DATASET_INTEGER] = "integer",
                                         [DATASET_FLOAT] = "float",     [DATASET_BOOLEAN] = "boolean",
                                         [DATASET_OBJECT_ID] = "object_id", [DATASET_OBJECT] = "object" };
    struct test *test = *state;

    for (int type = DATASET_STRING; type <= DATASET_OBJECT; type++) {
        const char *meta = arena_printf(test->arena, "'data_type':'%s'", words[type]);
        const char *array = arena_printf(test->arena, "'data_type':'%s[]'", words[type]);

        assert_int_equal(meta_of(test, meta)->type, type);
        assert_false(meta_of(test, meta)->is_array);
        assert_int_equal(meta_of(test, array)->type, type);
        assert_true(meta_of(test, array)->is_array);
    }
}

static void references_say_where_they_lead(void **state)
{
    struct test *test = *state;
    const struct dataset_field *field =
        meta_of(test, "'references':[{'dataset':'crm','field':'lead.person.id','direction':'to'},"
                      "{'dataset':'crm','field':'lead.id','direction':'from'},"
                      "{'dataset':'shop','field':'orders.customer_id'},"
                      "{'dataset':'crm','field':'lead.id','direction':null}]");

    assert_int_equal(field->reference_count, 4);
    assert_string_equal(field->references[0].dataset, "crm");
    assert_string_equal(field->references[0].collection, "lead");
    assert_string_equal(field->references[0].path, "person.id");
    assert_int_equal(field->references[0].direction, DATASET_TO);
    assert_int_equal(field->references[1].direction, DATASET_FROM);
    assert_int_equal(field->references[2].direction, DATASET_BOTH);
    assert_int_equal(field->references[3].direction, DATASET_BOTH);
}

static void the_old_name_of_meta_counts_on_every_level(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test,
        "{'fides_key':'shop','fidesops_meta':{'after':['crm']},'collections':[{'name':'c','fides_meta':null,"
        "'fidesops_meta':{'skip_processing':true},'fields':[{'name':'f','fidesops_meta':{'identity':'email'}},"
        "{'name':'g','fidesops_meta':{'identity':'email'},'fides_meta':{'identity':'phone_number'}}]}]}");

    assert_int_equal(dataset->after.count, 1);
    assert_true(dataset->collections[0].skip_processing);
    assert_string_equal(dataset->collections[0].fields[0].identity, "email");
    assert_string_equal(dataset->collections[0].fields[1].identity, "phone_number");
    bad(test, with_fields(test, "{'name':'f','fidesops_meta':{'data_type':'text'}}"),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"fidesops_meta\",\"data_type\"]",
        "Value error, The data type text is not supported.",
        "Dataset 'shop', collection 'customer', field 'f': fidesops_meta.data_type: The data type text is not "
        "supported.");
}

static void the_key_is_required_and_has_its_pattern(void **state)
{
    struct test *test = *state;

    bad(test, "{'collections':[]}", "[\"body\",0,\"fides_key\"]", "Field required",
        "Dataset '?': fides_key: Field required");
    bad(test, "{'fides_key':'a b','collections':[]}", "[\"body\",0,\"fides_key\"]",
        "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. "
        "Value provided: a b",
        "Dataset 'a b': fides_key: FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. "
        "Value provided: a b");
    bad(test, "{'fides_key':'','collections':[]}", "[\"body\",0,\"fides_key\"]",
        "String should have at least 1 character", NULL);
    bad(test, "{'fides_key':7,'collections':[]}", "[\"body\",0,\"fides_key\"]", "Input should be a valid string", NULL);
}

static void what_is_required_is_missed(void **state)
{
    struct test *test = *state;

    bad(test, "[]", "[\"body\",0]", "Input should be a valid dictionary or object to extract fields from",
        "Dataset '?': Input should be a valid dictionary or object to extract fields from");
    bad(test, "{'fides_key':'shop'}", "[\"body\",0,\"collections\"]", "Field required",
        "Dataset 'shop': collections: Field required");
    bad(test, with_collections(test, "{'fields':[]}"), "[\"body\",0,\"collections\",0,\"name\"]", "Field required",
        "Dataset 'shop', collection '?': name: Field required");
    bad(test, with_collections(test, "{'name':'c'}"), "[\"body\",0,\"collections\",0,\"fields\"]", "Field required",
        "Dataset 'shop', collection 'c': fields: Field required");
    bad(test, with_collections(test, "7"), "[\"body\",0,\"collections\",0]",
        "Input should be a valid dictionary or object to extract fields from",
        "Dataset 'shop', collection '?': Input should be a valid dictionary or object to extract fields from");
    bad(test, with_fields(test, "{'name':'a','fields':[{'name':'b','fields':[{}]}]}"),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"fields\",0,\"fields\",0,\"name\"]", "Field required",
        "Dataset 'shop', collection 'customer', field 'a.b.?': name: Field required");
    bad(test, "{'fides_key':'shop','collections':[],'fides_meta':{'namespace':{'database_name':'d'}}}",
        "[\"body\",0,\"fides_meta\",\"namespace\",\"schema\"]", "Field required",
        "Dataset 'shop': fides_meta.namespace.schema: Field required");
}

static void words_outside_a_list_of_words_are_refused(void **state)
{
    struct test *test = *state;

    bad(test, "{'fides_key':'s','collections':[],'fides_meta':{'namespace':{'connection_type':'bigquery',"
              "'schema':'x'}}}",
        "[\"body\",0,\"fides_meta\",\"namespace\",\"connection_type\"]", "Input should be 'postgres'", NULL);
    bad_meta(test, "'redact':'value'", "\"redact\"", "Input should be 'name'");
    bad_meta(test, "'references':[{'dataset':'d','field':'a.b','direction':'up'}]", "\"references\",0,\"direction\"",
             "Input should be 'from' or 'to'");
    bad_meta(test, "'data_type':'String'", "\"data_type\"", "Value error, The data type String is not supported.");
    bad_meta(test, "'data_type':'string[][]'", "\"data_type\"",
             "Value error, The data type string[][] is not supported.");
    bad_meta(test, "'data_type':'[]'", "\"data_type\"", "Value error, The data type [] is not supported.");
    bad_meta(test, "'data_type':'str'", "\"data_type\"", "Value error, The data type str is not supported.");
}

static void names_are_unique_in_their_list(void **state)
{
    struct test *test = *state;

    bad(test, with_collections(test, "{'name':'c','fields':[]},{'name':'b','fields':[]},{'name':'c','fields':[]}"),
        "[\"body\",0,\"collections\",2,\"name\"]", "Value error, The name 'c' is used more than once.",
        "Dataset 'shop', collection 'c': name: The name 'c' is used more than once.");
    bad(test, with_fields(test, "{'name':'f'},{'name':'f'}"), "[\"body\",0,\"collections\",0,\"fields\",1,\"name\"]",
        "Value error, The name 'f' is used more than once.", NULL);
    bad(test, with_fields(test, "{'name':'f','fields':[{'name':'g'},{'name':'g'}]}"),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"fields\",1,\"name\"]",
        "Value error, The name 'g' is used more than once.", NULL);
    bad(test, with_fields(test, "{'name':'a.b'},{'name':'a','fields':[{'name':'b'}]}"),
        "[\"body\",0,\"collections\",0,\"fields\"]", "Value error, The path 'a.b' is used more than once.", NULL);
    good(test, with_fields(test, "{'name':'f','fields':[{'name':'f'}]},{'name':'g','fields':[{'name':'f'}]}"));
}

static void categories_are_held_against_the_taxonomy(void **state)
{
    struct test *test = *state;
    const struct schema_loc loc = { .name = "body" };
    _cleanup_(json_object_putp) json_object *document =
        json_tokener_parse(with_fields(test, "{'name':'f','data_categories':['company.secret']}"));
    const struct dataset *dataset = NULL;

    good(test, with_fields(test, "{'name':'f','data_categories':['user.name','system.operations']}"));
    good(test, with_fields(test, "{'name':'f','data_categories':null}"));
    bad(test, with_fields(test, "{'name':'f','data_categories':['user','company.secret']}"),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"data_categories\",1]",
        "Value error, The data category company.secret is not supported.",
        "Dataset 'shop', collection 'customer', field 'f': data_categories.1: The data category company.secret is not "
        "supported.");
    bad(test, with_collections(test, "{'name':'c','data_categories':['x'],'fields':[]}"),
        "[\"body\",0,\"collections\",0,\"data_categories\",0]", "Value error, The data category x is not supported.",
        NULL);
    bad(test, "{'fides_key':'s','data_categories':['x'],'collections':[]}", "[\"body\",0,\"data_categories\",0]",
        "Value error, The data category x is not supported.", NULL);
    assert_int_equal(dataset_read(document, &loc, NULL, test->arena, &dataset, NULL, &test->err), 0);
}

static void orders_and_references_name_a_collection(void **state)
{
    static const char form[] = "Value error, FidesCollection must be specified in the form 'FidesKey.FidesKey'";
    static const char reference[] = "Value error, References must be in the form 'collection.column'.";
    struct test *test = *state;

    bad(test, with_collections(test, "{'name':'c','fields':[],'fides_meta':{'after':['a.b','c']}}"),
        "[\"body\",0,\"collections\",0,\"fides_meta\",\"after\",1]", form, NULL);
    bad(test, with_collections(test, "{'name':'c','fields':[],'fides_meta':{'erase_after':['.c']}}"),
        "[\"body\",0,\"collections\",0,\"fides_meta\",\"erase_after\",0]", form, NULL);
    bad_meta(test, "'references':[{'dataset':'d','field':'orders'}]", "\"references\",0,\"field\"", reference);
    bad_meta(test, "'references':[{'dataset':'d','field':'.id'}]", "\"references\",0,\"field\"", reference);
    bad_meta(test, "'references':[{'dataset':'d','field':'orders.'}]", "\"references\",0,\"field\"", reference);
    bad_meta(test, "'references':[{'dataset':'d'}]", "\"references\",0,\"field\"", "Field required");
}

static void a_collection_does_not_refer_to_itself(void **state)
{
    struct test *test = *state;

    bad_meta(test, "'references':[{'dataset':'shop','field':'customer.parent'}]", "\"references\",0,\"field\"",
             "Value error, collection self-reference not allowed");
    assert_string_equal(test->err.text, "Dataset 'shop', collection 'customer', field 'id': "
                                        "fides_meta.references.0.field: collection self-reference not allowed");
    meta_of(test, "'references':[{'dataset':'crm','field':'customer.parent'}]");
}

static void only_objects_have_sub_fields(void **state)
{
    struct test *test = *state;

    good(test, with_fields(test, "{'name':'f','fields':[{'name':'g'}],'fides_meta':{'data_type':'object'}}"));
    good(test, with_fields(test, "{'name':'f','fields':[{'name':'g'}],'fides_meta':{'data_type':'object[]'}}"));
    good(test, with_fields(test, "{'name':'f','fields':[],'fides_meta':{'data_type':'string'}}"));
    bad(test, with_fields(test, "{'name':'f','fields':[{'name':'g'}],'fides_meta':{'data_type':'string[]'}}"),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"fields\"]",
        "Value error, The data type 'string' on field 'f' is not compatible with specified sub-fields. "
        "Convert to an 'object' field.", NULL);
}

static void a_length_is_positive(void **state)
{
    struct test *test = *state;

    assert_int_equal(meta_of(test, "'length':1")->length, 1);
    bad_meta(test, "'length':0", "\"length\"",
             "Value error, Illegal length (0). Only positive non-zero values are allowed.");
    bad_meta(test, "'length':-4", "\"length\"",
             "Value error, Illegal length (-4). Only positive non-zero values are allowed.");
    bad_meta(test, "'length':3000000000", "\"length\"", "Input should be less than or equal to 2147483647");
    bad_meta(test, "'length':'x'", "\"length\"",
             "Input should be a valid integer, unable to parse string as an integer");
}

static void only_arrays_return_all_elements(void **state)
{
    struct test *test = *state;

    assert_false(meta_of(test, "'return_all_elements':false")->return_all_elements);
    bad_meta(test, "'return_all_elements':true,'data_type':'string'", "\"return_all_elements\"",
             "Value error, The 'return_all_elements' attribute can only be specified on array fields.");
}

static void an_override_is_a_strategy_without_secrets(void **state)
{
    struct test *test = *state;

    assert_string_equal(meta_of(test, "'masking_strategy_override':{'strategy':'null_rewrite'}")->strategy,
                        "null_rewrite");
    bad_meta(test, "'masking_strategy_override':{'strategy':'hmac'}", "\"masking_strategy_override\"",
             "Value error, Masking strategy 'hmac' with required secrets not allowed as an override.");
    assert_string_equal(test->err.text,
                        "Dataset 'shop', collection 'customer', field 'id': fides_meta.masking_strategy_override: "
                        "Masking strategy 'hmac' with required secrets not allowed as an override.");
    bad_meta(test, "'masking_strategy_override':{}", "\"masking_strategy_override\",\"strategy\"", "Field required");
}

static void an_override_that_does_not_exist_is_refused_as_such(void **state)
{
    struct test *test = *state;
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    assert_int_equal(read_text(test, with_meta(test, "'masking_strategy_override':{'strategy':'nullify'}"), &dataset,
                               &errors),
                     -ERR_BAD_REQUEST);
    assert_non_null(strstr(test->err.text, "Strategy 'nullify' does not exist. Valid strategies are ["));
    schema_errors_free(&errors);
}

static void every_error_is_told_and_the_first_in_a_line(void **state)
{
    struct test *test = *state;
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    assert_int_equal(read_text(test, with_collections(test,
        "{'name':'a','fields':[{'name':'f','data_categories':['x'],'fides_meta':{'length':0}}]},"
        "{'name':'b','fields':[{'name':'f','fides_meta':{'data_type':'text'}}]}"), &dataset, &errors),
        -ERR_BAD_REQUEST);
    assert_int_equal(json_object_array_length(errors.list), 3);
    assert_string_equal(test->err.text, "Dataset 'shop', collection 'a', field 'f': data_categories.0: "
                                        "The data category x is not supported.");
    /* A second document's errors join those of the first; its line is its own. */
    assert_int_equal(read_text(test, "{'fides_key':'crm'}", &dataset, &errors), -ERR_BAD_REQUEST);
    assert_int_equal(json_object_array_length(errors.list), 4);
    assert_string_equal(test->err.text, "Dataset 'crm': collections: Field required");
    schema_errors_free(&errors);
}

static void a_full_list_of_errors_takes_no_more(void **state)
{
    struct test *test = *state;
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    for (int i = 0; i <= SCHEMA_ERRORS_MAX; i++)
        assert_int_equal(read_text(test, "{'fides_key':'crm'}", &dataset, &errors), -ERR_BAD_REQUEST);
    assert_int_equal(json_object_array_length(errors.list), SCHEMA_ERRORS_MAX);
    assert_string_equal(test->err.text, "Dataset 'crm': collections: Field required");
    schema_errors_free(&errors);
}

/* `count` times `part`, a format for the number, with commas. */
static const char *repeat(struct test *test, int count, const char *lead, const char *trail)
{
    _cleanup_(buf_free) struct buf buf = BUF_INIT(4 * 1024 * 1024);

    buf_adds(&buf, "");
    for (int i = 0; i < count; i++)
        buf_printf(&buf, "%s%s%d%s", i ? "," : "", lead, i, trail);
    assert_false(buf.overflow);
    return arena_strdup(test->arena, buf.data);
}

static void collections_are_bounded(void **state)
{
    struct test *test = *state;

    good(test, with_collections(test, repeat(test, DATASET_COLLECTIONS_MAX, "{'fields':[],'name':'", "'}")));
    bad(test, with_collections(test, repeat(test, DATASET_COLLECTIONS_MAX + 1, "{'fields':[],'name':'", "'}")),
        "[\"body\",0,\"collections\"]", "List should have at most 1000 items after validation, not 1001",
        "Dataset 'shop': collections: List should have at most 1000 items after validation, not 1001");
}

static void fields_are_bounded_over_the_whole_dataset(void **state)
{
    struct test *test = *state;
    const char *half = repeat(test, DATASET_FIELDS_MAX / 2, "{'name':'", "'}");
    const char *more = arena_printf(test->arena, "{'name':'a','fields':[%s]},{'name':'b','fields':[%s%s]}", half, half,
                                    ",{'name':'x'}");

    good(test, arena_printf(test->arena, "{'fides_key':'shop','collections':[{'name':'a','fields':[%s]},"
                            "{'name':'b','fields':[%s]}]}", half, half));
    bad(test, with_collections(test, more), "[\"body\",0,\"collections\",1,\"fields\"]",
        "Value error, A dataset should have at most 10000 fields.",
        "Dataset 'shop', collection 'b': fields: A dataset should have at most 10000 fields.");
    bad(test, with_fields(test, repeat(test, DATASET_FIELDS_MAX + 1, "{'name':'", "'}")),
        "[\"body\",0,\"collections\",0,\"fields\"]",
        "List should have at most 10000 items after validation, not 10001", NULL);
}

static const char *nested(struct test *test, int depth)
{
    const char *field = "{'name':'f'}";

    for (int i = 1; i < depth; i++)
        field = arena_printf(test->arena, "{'name':'f','fields':[%s]}", field);
    return with_fields(test, field);
}

static void fields_are_bounded_in_depth(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test, nested(test, DATASET_FIELD_DEPTH_MAX));

    assert_non_null(dataset_field(dataset_collection(dataset, "customer"), "f.f.f.f.f.f.f.f"));
    bad(test, nested(test, DATASET_FIELD_DEPTH_MAX + 1),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"fields\",0,\"fields\",0,\"fields\",0,\"fields\",0,\"fields\",0,"
        "\"fields\",0,\"fields\",0,\"fields\"]",
        "Value error, Fields should be at most 8 levels deep.",
        "Dataset 'shop', collection 'customer', field 'f.f.f.f.f.f.f.f': fields: Fields should be at most 8 levels "
        "deep.");
}

static void names_and_lists_are_bounded(void **state)
{
    struct test *test = *state;
    char name[DATASET_NAME_CHARS_MAX + 2];

    memset(name, 'x', sizeof(name) - 1);
    name[DATASET_NAME_CHARS_MAX + 1] = '\0';
    good(test, with_fields(test, arena_printf(test->arena, "{'name':'%s'}", name + 1)));
    bad(test, with_fields(test, arena_printf(test->arena, "{'name':'%s'}", name)),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"name\"]", "String should have at most 255 characters", NULL);
    good(test, with_fields(test, arena_printf(test->arena, "{'name':'f','data_categories':[%s]}",
                                              repeat(test, DATASET_LIST_MAX, "'user.", "'"))));
    bad(test, with_fields(test, arena_printf(test->arena, "{'name':'f','data_categories':[%s]}",
                                             repeat(test, DATASET_LIST_MAX + 1, "'user.", "'"))),
        "[\"body\",0,\"collections\",0,\"fields\",0,\"data_categories\"]",
        "List should have at most 1000 items after validation, not 1001", NULL);
}

static void categories_match_by_segment(void **state)
{
    static const struct {
        const char *category, *target;
        bool in;
    } cases[] = {
        { "user.name", "user.name", true },   { "user.name.first", "user.name", true },
        { "user.names", "user.name", false }, { "user.name_x", "user.name", false },
        { "user", "user.name", false },       { "user.name", "user", true },
        { "system.operations", "system", true }, { "system", "user", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(dataset_category_in(cases[i].category, cases[i].target), cases[i].in);
}

static void a_field_is_in_when_any_category_is_in_any_target(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = good(test, with_fields(test,
        "{'name':'f','data_categories':['system.operations','user.name.first']},{'name':'g'}"));
    static const char *const name[] = { "user.contact", "user.name" }, *const contact[] = { "user.contact" };
    const struct dataset_field *fields = dataset->collections[0].fields;

    assert_true(dataset_field_in(&fields[0], &(struct dataset_texts){ name, 2 }));
    assert_false(dataset_field_in(&fields[0], &(struct dataset_texts){ contact, 1 }));
    assert_false(dataset_field_in(&fields[0], &(struct dataset_texts){ NULL, 0 }));
    assert_false(dataset_field_in(&fields[1], &(struct dataset_texts){ name, 2 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_dataset_says_where_it_is_and_what_comes_before),
        TEST(what_is_not_said_is_nothing),
        TEST(collections_and_fields_are_sorted_by_name),
        TEST(a_sub_field_knows_its_parent_and_its_column),
        TEST(a_field_s_meta_is_read),
        TEST(every_type_is_known_with_and_without_brackets),
        TEST(references_say_where_they_lead),
        TEST(the_old_name_of_meta_counts_on_every_level),
        TEST(the_key_is_required_and_has_its_pattern),
        TEST(what_is_required_is_missed),
        TEST(words_outside_a_list_of_words_are_refused),
        TEST(names_are_unique_in_their_list),
        TEST(categories_are_held_against_the_taxonomy),
        TEST(orders_and_references_name_a_collection),
        TEST(a_collection_does_not_refer_to_itself),
        TEST(only_objects_have_sub_fields),
        TEST(a_length_is_positive),
        TEST(only_arrays_return_all_elements),
        TEST(an_override_is_a_strategy_without_secrets),
        TEST(an_override_that_does_not_exist_is_refused_as_such),
        TEST(every_error_is_told_and_the_first_in_a_line),
        TEST(a_full_list_of_errors_takes_no_more),
        TEST(collections_are_bounded),
        TEST(fields_are_bounded_over_the_whole_dataset),
        TEST(fields_are_bounded_in_depth),
        TEST(names_and_lists_are_bounded),
        TEST(categories_match_by_segment),
        TEST(a_field_is_in_when_any_category_is_in_any_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
