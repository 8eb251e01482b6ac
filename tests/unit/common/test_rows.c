#include <endian.h>
#include <stdlib.h>

#include "common/db.h"
#include "tests/unit/test.h"

/* The table, as far as these need it: the sealed chunks of one attempt, by their number. */
enum { KEPT_MAX = 64 };
static struct kept {
    void *sealed;
    size_t length;
    int64_t rows;
} kept[KEPT_MAX];
static int kept_count;

static int64_t wire_int(const struct db_wire *wire, int i)
{
    uint64_t value;

    memcpy(&value, wire->values[i], sizeof(value));
    return (int64_t)be64toh(value);
}

static int kept_insert(struct db *db, const struct sql *sql, struct db_args *args, struct err *err)
{
    const struct db_wire *wire = db_args_wire(args);
    struct kept *chunk = &kept[kept_count];

    (void)db;
    (void)sql;
    if (kept_count == KEPT_MAX)
        return err_cause(err, ERR_UNAVAILABLE, "full");
    assert_int_equal(wire_int(wire, 3), kept_count++);
    chunk->rows = wire_int(wire, 4);
    chunk->length = (size_t)wire->lengths[5];
    chunk->sealed = malloc(chunk->length);
    memcpy(chunk->sealed, wire->values[5], chunk->length);
    return 0;
}

static int kept_select(struct db *db, const struct sql *sql, struct db_args *args, PGresult **ret, struct err *err)
{
    int64_t number = wire_int(db_args_wire(args), 3);
    PGresAttDesc column = { .name = (char *)"sealed", .format = 1, .typid = 17 };
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    (void)db;
    (void)sql;
    (void)err;
    assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
    if (number < kept_count)
        assert_int_equal(PQsetvalue(result, 0, 0, kept[number].sealed, (int)kept[number].length), 1);
    *ret = result;
    return 0;
}

#define db_do kept_insert
#define db_run kept_select
#include "common/rows.c"

static const struct rows_place place = { "pri_1", "access:shop:customer", "att_1", { { 7 } } };
static const char *const columns[] = { "id", "say \"name\"" };

static int kept_clear(void **state)
{
    while (kept_count)
        free(kept[--kept_count].sealed);
    return test_teardown(state);
}

static struct rows_writer *writer_new(struct test *test)
{
    struct rows_writer *writer = NULL;

    assert_int_equal(rows_write(NULL, &place, columns, 2, &writer, &test->err), 0);
    return writer;
}

static void write_row(struct rows_writer *writer, const char *id, const char *name, struct test *test)
{
    rows_value(writer, id, id ? strlen(id) : 0);
    rows_value(writer, name, name ? strlen(name) : 0);
    assert_int_equal(rows_end_row(writer, &test->err), 0);
}

static void finish(struct rows_writer *writer, int64_t expected, struct test *test)
{
    int64_t count = -1;

    assert_int_equal(rows_finish(writer, &count, &test->err), 0);
    assert_int_equal(count, expected);
}

static void assert_value(const struct rows_value *value, const char *text)
{
    assert_int_equal(value->json != NULL, text != NULL);
    if (!text)
        return;
    assert_int_equal(value->length, strlen(text));
    assert_memory_equal(value->json, text, value->length);
}

static void rows_come_back_as_they_were_written(void **state)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    _cleanup_(rows_writer_freep) struct rows_writer *writer = NULL;
    const struct rows_value *row = NULL;
    struct test *test = *state;
    int count = 0;

    writer = writer_new(test);
    write_row(writer, "1", "\"Jane\"", test);
    write_row(writer, "2", NULL, test);
    finish(writer, 2, test);
    assert_int_equal(kept_count, 1); /* few rows are one statement */

    assert_int_equal(rows_read(NULL, &place, &reader, &test->err), 0);
    assert_string_equal(rows_columns(reader, &count)[1], "say \"name\"");
    assert_int_equal(count, 2);
    assert_int_equal(rows_column(reader, "say \"name\""), 1);
    assert_int_equal(rows_column(reader, "name"), -1);
    assert_int_equal(rows_next(reader, &row, &test->err), 1);
    assert_value(&row[0], "1");
    assert_value(&row[1], "\"Jane\"");
    assert_int_equal(rows_next(reader, &row, &test->err), 1);
    assert_value(&row[1], NULL);
    assert_int_equal(rows_next(reader, &row, &test->err), 0);
    assert_int_equal(rows_next(reader, &row, &test->err), 0);
}

static void no_rows_are_kept_as_that(void **state)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    _cleanup_(rows_writer_freep) struct rows_writer *writer = NULL;
    const struct rows_value *row = NULL;
    struct test *test = *state;

    writer = writer_new(test);
    finish(writer, 0, test);
    assert_int_equal(rows_read(NULL, &place, &reader, &test->err), 0);
    assert_int_equal(rows_next(reader, &row, &test->err), 0);
}

static void fill(int rows, struct test *test)
{
    _cleanup_(rows_writer_freep) struct rows_writer *writer = writer_new(test);
    char id[32], name[200];

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < rows; i++) {
        snprintf(id, sizeof(id), "%d", i);
        write_row(writer, id, name, test);
    }
    finish(writer, rows, test);
}

static void many_rows_are_chunks_and_each_knows_its_number_of_them(void **state)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    const struct rows_value *row = NULL;
    struct test *test = *state;
    int64_t sum = 0;
    char id[32];

    fill(10000, test);
    assert_int_equal(kept_count, 10000 * 204 / ROWS_CHUNK_BYTES + 1);
    for (int i = 0; i < kept_count; i++)
        sum += kept[i].rows;
    assert_int_equal(sum, 10000);
    assert_int_equal(rows_read(NULL, &place, &reader, &test->err), 0);
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof(id), "%d", i);
        assert_int_equal(rows_next(reader, &row, &test->err), 1);
        assert_value(&row[0], id);
    }
    assert_int_equal(rows_next(reader, &row, &test->err), 0);
}

static void rows_that_lost_their_end_are_an_error(void **state)
{
    _cleanup_(rows_reader_freep) struct rows_reader *reader = NULL;
    const struct rows_value *row = NULL;
    struct test *test = *state;
    int r;

    fill(10000, test);
    free(kept[--kept_count].sealed);
    assert_int_equal(rows_read(NULL, &place, &reader, &test->err), 0);
    while ((r = rows_next(reader, &row, &test->err)) == 1)
        ;
    assert_int_equal(r, -ERR_INTERNAL);
}

static void an_attempt_that_wrote_nothing_can_t_be_read(void **state)
{
    struct rows_reader *reader = NULL;
    struct test *test = *state;

    assert_int_equal(rows_read(NULL, &place, &reader, &test->err), -ERR_INTERNAL);
    assert_null(reader);
}

static void a_value_larger_than_the_limit_is_refused_by_its_column(void **state)
{
    _cleanup_(rows_writer_freep) struct rows_writer *writer = NULL;
    struct test *test = *state;

    writer = writer_new(test);
    rows_value(writer, "1", 1);
    rows_value(writer, "", (size_t)ROWS_VALUE_MAX + 1); /* refused unseen */
    assert_int_equal(rows_end_row(writer, &test->err), -ERR_TOO_LARGE);
    assert_string_equal(test->err.text, "Column 'say \"name\"' has a value of more than 64 MB.");
}

static void a_row_larger_than_the_limit_is_refused(void **state)
{
    static const char *const three[] = { "a", "b", "c" };
    _cleanup_(rows_writer_freep) struct rows_writer *writer = NULL;
    struct test *test = *state;
    char *value = test_calloc(1, ROWS_VALUE_MAX);

    assert_int_equal(rows_write(NULL, &place, three, 3, &writer, &test->err), 0);
    for (int i = 0; i < 3; i++)
        rows_value(writer, value, ROWS_VALUE_MAX);
    test_free(value);
    assert_int_equal(rows_end_row(writer, &test->err), -ERR_TOO_LARGE);
    assert_string_equal(test->err.text, "A row has more than 128 MB.");
}

static void a_row_has_as_many_values_as_columns(void **state)
{
    _cleanup_(rows_writer_freep) struct rows_writer *writer = NULL;
    struct test *test = *state;

    writer = writer_new(test);
    rows_value(writer, "1", 1);
    assert_int_equal(rows_end_row(writer, &test->err), -ERR_INTERNAL);
}

#define ROWS_TEST(function) cmocka_unit_test_setup_teardown(function, test_setup, kept_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROWS_TEST(rows_come_back_as_they_were_written),
        ROWS_TEST(no_rows_are_kept_as_that),
        ROWS_TEST(many_rows_are_chunks_and_each_knows_its_number_of_them),
        ROWS_TEST(rows_that_lost_their_end_are_an_error),
        ROWS_TEST(an_attempt_that_wrote_nothing_can_t_be_read),
        ROWS_TEST(a_value_larger_than_the_limit_is_refused_by_its_column),
        ROWS_TEST(a_row_larger_than_the_limit_is_refused),
        ROWS_TEST(a_row_has_as_many_values_as_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
