#include "common/extract.h"

#include <stdio.h>

#include "common/schema.h"
#include "tests/unit/test.h"

/* --- rows of the test's own, in the place of what the database has ------------------------------------------ */

struct rows_reader {
    const char *const *columns;
    int count;
    const char *const *cells; /* row after row, ended by "end"; NULL: SQL null */
    struct rows_value values[8];
};

const char *const *rows_columns(const struct rows_reader *reader, int *count)
{
    *count = reader->count;
    return reader->columns;
}

int rows_next(struct rows_reader *reader, const struct rows_value **ret, struct err *err)
{
    (void)err;
    if (*reader->cells && !strcmp(*reader->cells, "end"))
        return 0;
    for (int i = 0; i < reader->count; i++, reader->cells++)
        reader->values[i] = (struct rows_value){ *reader->cells, *reader->cells ? strlen(*reader->cells) : 0 };
    *ret = reader->values;
    return 1;
}

/* --- the test's dataset --------------------------------------------------------------------------------------- */

static const char document[] =
    "{\"fides_key\":\"shop\",\"collections\":["
    "{\"name\":\"orders\",\"data_categories\":[\"user.behavior.purchase_history\"],\"fields\":["
    " {\"name\":\"id\"},{\"name\":\"items\"}]},"
    "{\"name\":\"people\",\"fields\":["
    " {\"name\":\"id\",\"data_categories\":[\"user.unique_id\"]},"
    " {\"name\":\"alias\",\"data_categories\":[\"user.names\"]},"
    " {\"name\":\"name\",\"data_categories\":[\"user.name.first\"]},"
    " {\"name\":\"tags\",\"data_categories\":[\"user.name\"]},"
    " {\"name\":\"profile\",\"fields\":["
    "  {\"name\":\"name\",\"data_categories\":[\"user.name\"]},"
    "  {\"name\":\"size\",\"data_categories\":[\"user.contact\"]},"
    "  {\"name\":\"kin\",\"fields\":[{\"name\":\"call\",\"data_categories\":[\"user.name\"]},"
    "                                {\"name\":\"age\"}]}]}]}]}";

static bool any_category(const char *category)
{
    (void)category;
    return true;
}

static const struct dataset *shop(struct test *test)
{
    static const struct schema_loc loc = { .name = "body" };
    _cleanup_(json_object_putp) json_object *object = json_tokener_parse(document);
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    assert_int_equal(dataset_read(object, &loc, any_category, test->arena, &dataset, &errors, &test->err), 0);
    return dataset;
}

static const char *const people[] = { "alias", "id", "name", "profile", "tags" };
static const char *const orders[] = { "id", "items" };

/* What is extracted: rows with "|" between values, "-" for one that is left out; NULL when nothing can be. */
static const char *extracted(struct test *test, const char *collection, const char *const *columns, int count,
                             const char *const *cells, const char *target)
{
    const struct dataset *dataset = shop(test);
    struct dataset_texts targets = { &target, 1 };
    struct rows_reader rows = { columns, count, cells };
    _cleanup_(extract_freep) struct extract *extract = NULL;
    const struct rows_value *values;
    const char *text = "";
    int width;

    assert_int_equal(extract_new(dataset, dataset_collection(dataset, collection), &targets, &rows, test->arena,
                                 &extract, &test->err), 0);
    if (!extract)
        return NULL;
    extract_columns(extract, &width);
    while (extract_next(extract, &values, &test->err) == 1) {
        text = arena_printf(test->arena, "%s%s", text, *text ? "\n" : "");
        for (int i = 0; i < width; i++)
            text = arena_printf(test->arena, "%s%s%.*s", text, i ? "|" : "", (int)(values[i].json ? values[i].length : 1),
                                values[i].json ? values[i].json : "-");
    }
    return text;
}

#define PEOPLE(target, ...) \
    extracted(test, "people", people, 5, (const char *const[]){ __VA_ARGS__, "end" }, target)

static void fields_of_a_category_pass_whole(void **state)
{
    struct test *test = *state;

    assert_string_equal(PEOPLE("user.unique_id", "\"a\"", "1", "\"Jane\"", "{}", "[]", "null", NULL, "null", "1", "1"),
                        "1\nnull");
    assert_string_equal(PEOPLE("user.name", "\"a\"", "1", "\"Jane\"", NULL, "[1, 2]"), "\"Jane\"|null|[1, 2]");
}

/* "user.name" is not "user.names", though that begins with it. */
static void categories_match_by_segments(void **state)
{
    struct test *test = *state;
    const struct dataset *dataset = shop(test);
    struct dataset_texts targets = { (const char *const[]){ "user.name" }, 1 };
    struct rows_reader rows = { people, 5, (const char *const[]){ "end" } };
    _cleanup_(extract_freep) struct extract *extract = NULL;
    const char *const *columns;
    int count;

    assert_int_equal(extract_new(dataset, dataset_collection(dataset, "people"), &targets, &rows, test->arena, &extract,
                                 &test->err), 0);
    columns = extract_columns(extract, &count);
    assert_int_equal(count, 3);
    assert_string_equal(columns[0], "name");
    assert_string_equal(columns[1], "profile");
    assert_string_equal(columns[2], "tags");
    assert_string_equal(PEOPLE("user.names", "\"a\"", "1", "\"Jane\"", NULL, "[]"), "\"a\"");
    assert_null(PEOPLE("user.contact.email", NULL, NULL, NULL, NULL, NULL));
}

static const char *profile(struct test *test, const char *json)
{
    return PEOPLE("user.name", NULL, NULL, "1", json, "2");
}

static void of_objects_only_the_sub_fields_pass(void **state)
{
    struct test *test = *state;

    assert_string_equal(profile(test, "{\"age\": 3, \"name\" : {\"any\": [1]}, \"size\": [1,{\"name\":2}]}"),
                        "1|{\"name\":{\"any\": [1]}}|2");
    assert_string_equal(profile(test, "{\"kin\":[{\"call\":\"A\",\"age\":1},{\"age\":2},{\"call\":null}],\"name\":\"J\"}"),
                        "1|{\"kin\":[{\"call\":\"A\"},{\"call\":null}],\"name\":\"J\"}|2");
    assert_string_equal(profile(test, "[{\"name\":\"a\"},[{\"name\":\"b\"}],3]"), "1|[{\"name\":\"a\"},[{\"name\":\"b\"}]]|2");
    assert_string_equal(profile(test, "{\"n\\u0061me\":1}"), "1|{\"n\\u0061me\":1}|2");
    assert_string_equal(profile(test, "{\"name\":12345678901234567890123.4500}"),
                        "1|{\"name\":12345678901234567890123.4500}|2");
    assert_string_equal(profile(test, "null"), "1|null|2");
}

static void what_is_left_empty_is_left_out_but_not_its_row(void **state)
{
    struct test *test = *state;

    assert_string_equal(profile(test, "{\"size\":1}"), "1|-|2");
    assert_string_equal(profile(test, "{\"name\":{},\"kin\":[{\"call\":[]}]}"), "1|-|2");
    assert_string_equal(profile(test, "\"no object\""), "1|-|2");
    assert_string_equal(PEOPLE("user.name", NULL, NULL, "{}", "{}", "[]"), "-|-|-");
}

static void lists_are_looked_through_to_a_depth(void **state)
{
    struct test *test = *state;
    char deep[200] = "";

    for (int i = 0; i < 33; i++)
        strcat(deep, "[");
    strcat(deep, "{\"name\":1}");
    for (int i = 0; i < 33; i++)
        strcat(deep, "]");
    assert_string_equal(profile(test, deep), "1|-|2");
    deep[strlen(deep) - 1] = '\0';
    assert_string_equal(profile(test, deep + 1), arena_printf(test->arena, "1|%s|2", deep + 1));
}

static void a_collection_of_a_category_passes_as_it_is(void **state)
{
    static const char *const cells[] = { "1", "[]", "2", NULL, "end" };
    struct test *test = *state;

    assert_string_equal(extracted(test, "orders", orders, 2, cells, "user.behavior"), "1|[]\n2|null");
    assert_null(extracted(test, "orders", orders, 2, cells, "user.behavior.purchase"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_of_a_category_pass_whole),
        TEST(categories_match_by_segments),
        TEST(of_objects_only_the_sub_fields_pass),
        TEST(what_is_left_empty_is_left_out_but_not_its_row),
        TEST(lists_are_looked_through_to_a_depth),
        TEST(a_collection_of_a_category_passes_as_it_is),
    };

    return cmocka_run_group_tests_name("common/extract", tests, NULL, NULL);
}
