#include "worker/execute/keys.h"

#include <stdlib.h>

#include "tests/unit/test.h"

enum { BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, FLOAT4 = 700, FLOAT8 = 701, BPCHAR = 1042, DATE = 1082,
       TIMESTAMP = 1114, TIMESTAMPTZ = 1184, NUMERIC = 1700, UUID = 2950, INET = 869, JSON = 114, JSONS = 199,
       INT4S = 1007, CITEXT = 90001, MOOD = 90002 };

static struct source_column column_of(Oid base)
{
    static const struct {
        Oid base;
        const char *name;
        char category;
    } known[] = {
        { BOOL, "boolean", 'B' }, { INT8, "bigint", 'N' }, { INT2, "smallint", 'N' }, { INT4, "integer", 'N' },
        { TEXT, "text", 'S' }, { FLOAT4, "real", 'N' }, { FLOAT8, "double precision", 'N' },
        { BPCHAR, "bpchar", 'S' }, { DATE, "date", 'D' }, { TIMESTAMP, "timestamp without time zone", 'D' },
        { TIMESTAMPTZ, "timestamp with time zone", 'D' }, { NUMERIC, "numeric", 'N' }, { UUID, "uuid", 'U' },
        { INET, "inet", 'I' }, { CITEXT, "citext", 'S' }, { MOOD, "mood", 'E' }, { INT4S, "integer[]", 'A' },
        { JSON, "json", 'U' }, { JSONS, "json[]", 'A' },
    };
    struct source_column column = { .name = "k", .type = base, .base = base };

    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].base == base) {
            column.type_name = column.base_name = known[i].name;
            column.category = known[i].category;
        }
    if (column.category == 'A') {
        const struct source_column element = column_of(base == INT4S ? INT4 : JSON);

        column.element = element.base;
        column.element_name = element.base_name;
        column.element_category = element.category;
    }
    return column;
}

static const char *array_of(const struct keys *keys, struct arena *arena)
{
    _cleanup_(buf_free) struct buf array = BUF_INIT(KEYS_ARRAY_MAX);

    keys_array(keys, 0, keys_count(keys), &array);
    return arena_strdup(arena, array.data);
}

/* The array that JSON texts, one a line, lead to. */
static const char *found(Oid base, enum dataset_type declared, const char *path, const char *values,
                         struct test *test)
{
    _cleanup_(keys_freep) struct keys *keys = NULL;
    struct source_column *column = arena_new_of(test->arena, struct source_column);
    struct dataset_field *field = arena_new_of(test->arena, struct dataset_field);

    *column = column_of(base);
    *field = (struct dataset_field){ .name = "k", .path = "k", .column = "k", .type = declared };
    assert_int_equal(keys_new(field, column, 150000, &keys, &test->err), 0);
    for (const char *at = values; *at; at += strcspn(at, "\n"), at += *at == '\n')
        keys_add_json(keys, path, at, strcspn(at, "\n"));
    return array_of(keys, test->arena);
}

static void a_value_takes_the_form_of_its_column_or_is_dropped(void **state)
{
    static const struct {
        Oid type;
        const char *values, *array;
    } cases[] = {
        { INT4, "1\n\"2\"\n3.0\n+4\n\"05\"\n0\n-0\n\"-7\"", "{\"1\",\"2\",\"3\",\"4\",\"5\",\"0\",\"-7\"}" },
        { INT4, "2147483647\n2147483648\n-2147483648\n-2147483649", "{\"2147483647\",\"-2147483648\"}" },
        { INT4, "\"x\"\n\"\"\n\"1x\"\n1.5\ntrue\nnull\n\"null\"\n\".\"\n\"-\"\n1e3", "{}" },
        { INT2, "32767\n32768", "{\"32767\"}" },
        { INT8, "9223372036854775807\n9223372036854775808\n99999999999999999999", "{\"9223372036854775807\"}" },
        { NUMERIC, "1\n1.0\n\"001.50\"\n-0\n\".5\"\n1e+20\n\"NaN\"\n\"1.2.3\"",
          "{\"1\",\"1.5\",\"0\",\"0.5\",\"1e+20\"}" },
        { FLOAT8, "1\n1.0\n0.1\n1e400\n\"nan\"\n\"0x10\"", "{\"1\",\"0.10000000000000001\"}" },
        { FLOAT4, "1.5\n1e39\n1e-50\n0", "{\"1.5\",\"0\"}" },
        { BOOL, "true\n1\n\"True\"\nfalse\n0\n\"False\"\n2\n\"yes\"", "{\"true\",\"false\"}" },
        { TEXT, "\"a\"\n\"A\"\n\"\"\n1\ntrue\n0\nfalse\nnull",
          "{\"a\",\"A\",\"\",\"1\",\"true\",\"0\",\"false\"}" },
        { TEXT, "\"say \\\"hi\\\"\"\n\"back\\\\slash\"\n\"\\u00e9\"",
          "{\"say \\\"hi\\\"\",\"back\\\\slash\",\"\xc3\xa9\"}" },
        { TEXT, "\"nul \\u0000\"", "{}" },
        { BPCHAR, "\"ab\"\n\"ab  \"", "{\"ab\"}" },
        { CITEXT, "\"a\"\n\"A\"", "{\"a\",\"A\"}" },
        { UUID, "\"00010203-0405-0607-0809-0A0B0C0D0EFF\"\n\"000102030405060708090a0b0c0d0eff\"\n\"x\"\n"
                "\"00010203-0405-0607-0809-0a0b0c0d0efg\"\n\"000102030405-0607-0809-0a0b0c0d0eff-\"",
          "{\"000102030405060708090a0b0c0d0eff\"}" },
        { DATE, "\"2026-01-02\"\n\"2026-01-02T00:00:00\"\n\"2026-01-02T10:00:00\"\n\"2026-02-30\"\n\"today\"",
          "{\"2026-01-02\"}" },
        { TIMESTAMP, "\"2026-01-02T03:04:05.5\"\n\"2026-01-02T05:04:05.500+02:00\"\n\"infinity\"",
          "{\"2026-01-02T03:04:05.500000\"}" },
        { TIMESTAMPTZ, "\"2026-01-02T03:04:05+00:00\"\n\"0001-01-01T00:00:00+10:00\"",
          "{\"2026-01-02T03:04:05.000000Z\"}" },
        { MOOD, "\"happy\"", "{\"happy\"}" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(found(cases[i].type, DATASET_NONE, NULL, cases[i].values, test), cases[i].array);
}

static void a_declared_type_is_kept_to_first(void **state)
{
    struct test *test = *state;

    assert_string_equal(found(TEXT, DATASET_STRING, NULL, "5\n\"x\"", test), "{\"5\",\"x\"}");
    assert_string_equal(found(TEXT, DATASET_INTEGER, NULL, "\"05\"\n\"x\"", test), "{\"5\"}");
    assert_string_equal(found(TEXT, DATASET_FLOAT, NULL, "\"1.50\"\n\"x\"", test), "{\"1.5\"}");
    assert_string_equal(found(TEXT, DATASET_BOOLEAN, NULL, "\"True\"\n1\n\"x\"", test), "{\"true\"}");
    assert_string_equal(found(INT4, DATASET_INTEGER, NULL, "5000000000\n5", test), "{\"5\"}");
    assert_string_equal(found(TEXT, DATASET_OBJECT_ID, NULL, "\"0123456789abcdef01234567\"\n\"x\"", test),
                        "{\"0123456789abcdef01234567\"}");
    assert_string_equal(found(TEXT, DATASET_OBJECT, NULL, "\"x\"", test), "{}");
}

static void lists_are_opened_and_objects_followed(void **state)
{
    struct test *test = *state;

    assert_string_equal(found(INT4, DATASET_NONE, NULL, "[1,[2,null,[3]],1]\n[]\n{\"a\":9}", test),
                        "{\"1\",\"2\",\"3\"}");
    assert_string_equal(found(INT4, DATASET_NONE, "a.b",
                              "{\"a\":[{\"b\":1},{\"b\":[2]},{\"c\":3}]}\n4\n{\"a\":5}", test),
                        "{\"1\",\"2\"}");
    assert_string_equal(found(INT4, DATASET_NONE, NULL, "[1,\n{\"a\"\n[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1", test),
                        "{}");
}

static void many_keys_are_told_apart_and_given_in_parts(void **state)
{
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    const struct source_column column = column_of(INT4);
    _cleanup_(keys_freep) struct keys *keys = NULL;
    _cleanup_(buf_free) struct buf array = BUF_INIT(KEYS_ARRAY_MAX);
    struct test *test = *state;
    char text[16];

    assert_int_equal(keys_new(&field, &column, 150000, &keys, &test->err), 0);
    for (int i = 0; i < 60000; i++) {
        snprintf(text, sizeof(text), "%d", i % 30000);
        keys_add_json(keys, NULL, text, strlen(text));
    }
    assert_int_equal(keys_count(keys), 30000);
    assert_true(keys_can_split(keys));
    keys_array(keys, 29998, 100, &array);
    assert_string_equal(array.data, "{\"29998\",\"29999\"}");
    keys_array(keys, 0, 1, &array);
    assert_string_equal(array.data, "{\"0\"}");
    assert_false(keys_overflow(keys));
}

static void more_keys_than_memory_is_given_for_are_told(void **state)
{
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    const struct source_column column = column_of(TEXT);
    _cleanup_(keys_freep) struct keys *keys = NULL;
    char *text = test_calloc(1, KEYS_TEXT_MAX);
    struct test *test = *state;

    assert_int_equal(keys_new(&field, &column, 150000, &keys, &test->err), 0);
    for (int i = 0; i < 65; i++) {
        memset(text, '0' + i, KEYS_TEXT_MAX);
        text[0] = text[KEYS_TEXT_MAX - 1] = '"';
        keys_add_json(keys, NULL, text, KEYS_TEXT_MAX);
    }
    test_free(text);
    assert_true(keys_overflow(keys));
}

static void a_column_is_compared_in_its_own_type(void **state)
{
    static const struct {
        Oid type;
        int version;
        const char *condition;
    } cases[] = {
        { INT4, 150000, "x = any($2::integer[])" },
        { BPCHAR, 150000, "x = any($2::bpchar[])" },
        { CITEXT, 150000, "x = any($2::citext[])" },
        { MOOD, 150000, "x = any(array(select v::mood from unnest($2::text[]) v "
                        "where v = any(enum_range(null::mood)::text[])))" },
        { INET, 160000, "x = any(array(select v::inet from unnest($2::text[]) v where pg_input_is_valid(v, 'inet')))" },
        { INT4S, 150000, "x && $2::integer[]" },
    };
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct source_column column = column_of(cases[i].type);
        _cleanup_(keys_freep) struct keys *keys = NULL;

        assert_int_equal(keys_new(&field, &column, cases[i].version, &keys, &test->err), 0);
        assert_string_equal(keys_condition(keys, 2, "x", test->arena), cases[i].condition);
    }
}

static void of_an_array_the_elements_that_are_keys_are_read(void **state)
{
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    const struct dataset_field whole = { .name = "k", .path = "k", .column = "k", .return_all_elements = true };
    const struct source_column list = column_of(INT4S), number = column_of(INT4);
    _cleanup_(keys_freep) struct keys *some = NULL, *all = NULL, *one = NULL;
    struct test *test = *state;

    assert_int_equal(keys_new(&field, &list, 150000, &some, &test->err), 0);
    assert_int_equal(keys_new(&whole, &list, 150000, &all, &test->err), 0);
    assert_int_equal(keys_new(&field, &number, 150000, &one, &test->err), 0);
    assert_string_equal(keys_column(some, 1, "x", test->arena),
                        "case when x is not null then array(select e from unnest(x) with ordinality as u(e, i) "
                        "where e = any($1::integer[]) order by i) end");
    assert_null(keys_column(all, 1, "x", test->arena));
    assert_null(keys_column(one, 1, "x", test->arena));
    assert_false(keys_can_split(some)); /* a row may have two of them */
    assert_true(keys_can_split(one));
    keys_add_json(some, NULL, "[5, \"6\", \"no\"]", 14);
    assert_string_equal(array_of(some, test->arena), "{\"5\",\"6\"}");
}

static void what_rows_can_t_be_found_by_is_told(void **state)
{
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    const struct dataset_field within = { .name = "b", .path = "k.b", .column = "k", .parent = &field };
    const struct source_column inet = column_of(INET), list = column_of(JSONS), number = column_of(INT4);
    struct keys *keys = NULL;
    struct test *test = *state;

    assert_int_equal(keys_new(&field, &inet, 150000, &keys, &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "Field 'k' is of type inet: rows can't be found by it.");
    assert_int_equal(keys_new(&field, &list, 160000, &keys, &test->err), -ERR_REFUSED);
    assert_int_equal(keys_new(&within, &number, 160000, &keys, &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "Field 'k.b' is of type integer: rows can't be found by it.");
    assert_null(keys);
}

static void within_a_json_column_rows_are_found_by_text(void **state)
{
    const struct dataset_field field = { .name = "k", .path = "k", .column = "k" };
    const struct dataset_field within = { .name = "b", .path = "k.b", .column = "k", .parent = &field };
    const struct source_column json = column_of(3802);
    _cleanup_(keys_freep) struct keys *keys = NULL;
    struct test *test = *state;

    assert_int_equal(keys_new(&within, &json, 150000, &keys, &test->err), 0);
    keys_add_json(keys, NULL, "5", 1);
    assert_string_equal(keys_condition(keys, 1, "x->>'b'", test->arena), "x->>'b' = any($1::text[])");
    assert_string_equal(array_of(keys, test->arena), "{\"5\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_takes_the_form_of_its_column_or_is_dropped),
        TEST(a_declared_type_is_kept_to_first),
        TEST(lists_are_opened_and_objects_followed),
        TEST(many_keys_are_told_apart_and_given_in_parts),
        TEST(more_keys_than_memory_is_given_for_are_told),
        TEST(a_column_is_compared_in_its_own_type),
        TEST(of_an_array_the_elements_that_are_keys_are_read),
        TEST(what_rows_can_t_be_found_by_is_told),
        TEST(within_a_json_column_rows_are_found_by_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
