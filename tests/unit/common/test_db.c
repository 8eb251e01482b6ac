#include "common/db.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test.h"

/* What a server would send back for `args`' parameter i: the same bytes, as a result of one row
 * and column. */
static PGresult *echo(const struct db_wire *wire, int i)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc column = { .name = (char *)"x", .format = 1, .typid = wire->types[i] };

    assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
    assert_int_equal(
        PQsetvalue(result, 0, 0, (char *)wire->values[i], wire->values[i] ? wire->lengths[i] : -1),
        1);
    return result;
}

static void assert_wire(const struct db_wire *wire, int i, Oid type, const char *bytes, int length)
{
    assert_int_equal(wire->types[i], type);
    assert_int_equal(wire->formats[i], 1);
    if (!bytes) {
        assert_null(wire->values[i]);
        return;
    }
    assert_int_equal(wire->lengths[i], length);
    assert_memory_equal(wire->values[i], bytes, (size_t)length);
}

static void values_travel_in_postgresql_s_binary_form(void **state)
{
    struct test *test = *state;
    struct db_args *args = db_args_new(test->arena);
    const struct db_wire *wire;

    db_text(args, "text");
    db_json(args, "{}");
    db_bytes(args, "\0\1", 2);
    db_int(args, -2);
    db_bool(args, true);
    db_time(args, (usec_t)946684800 * USEC_PER_S + 1); /* a microsecond into 2000 */
    wire = db_args_wire(args);
    assert_int_equal(wire->count, 6);
    assert_wire(wire, 0, DB_TEXT, "text", 4);
    assert_wire(wire, 1, 3802, "\1{}", 3);
    assert_wire(wire, 2, DB_BYTES, "\0\1", 2);
    assert_wire(wire, 3, DB_INT, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
    assert_wire(wire, 4, DB_BOOL, "\1", 1);
    assert_wire(wire, 5, DB_TIME, "\0\0\0\0\0\0\0\1", 8);
}

static void absent_values_are_null_of_their_type(void **state)
{
    struct test *test = *state;
    struct db_args *args = db_args_new(test->arena);
    const struct db_wire *wire;

    db_text(args, NULL);
    db_json(args, NULL);
    db_bytes(args, NULL, 0);
    db_time(args, USEC_NONE);
    db_null(args);
    wire = db_args_wire(args);
    assert_wire(wire, 0, DB_TEXT, NULL, 0);
    assert_wire(wire, 1, 3802, NULL, 0);
    assert_wire(wire, 2, DB_BYTES, NULL, 0);
    assert_wire(wire, 3, DB_TIME, NULL, 0);
    assert_wire(wire, 4, 0, NULL, 0);
}

static void values_are_copies(void **state)
{
    struct test *test = *state;
    struct db_args *args = db_args_new(test->arena);
    char text[] = "text";

    db_text(args, text);
    text[0] = 'n';
    assert_wire(db_args_wire(args), 0, DB_TEXT, "text", 4);
}

static void an_array_has_its_header_and_each_element_its_length(void **state)
{
    static const char texts[] = "\0\0\0\1"   /* dimensions */
                                "\0\0\0\1"   /* has a null */
                                "\0\0\0\x19" /* of text */
                                "\0\0\0\3"   /* elements */
                                "\0\0\0\1"   /* from 1 on */
                                "\0\0\0\2ab"
                                "\xff\xff\xff\xff"
                                "\0\0\0\0";
    static const char flags[] = "\0\0\0\1\0\0\0\0\0\0\0\x10\0\0\0\1\0\0\0\1\0\0\0\1\1";
    static const char none[] = "\0\0\0\0\0\0\0\0\0\0\0\x14";
    struct test *test = *state;
    struct db_args *args = db_args_new(test->arena);
    struct db_column *column = db_array(args, DB_TEXT);
    const struct db_wire *wire;

    db_add_text(column, "ab");
    db_add_text(column, NULL);
    db_add_text(column, "");
    db_add_bool(db_array(args, DB_BOOL), true);
    db_array(args, DB_INT);
    wire = db_args_wire(args);
    assert_wire(wire, 0, 1009, texts, sizeof(texts) - 1);
    assert_wire(wire, 1, 1000, flags, sizeof(flags) - 1);
    assert_wire(wire, 2, 1016, none, sizeof(none) - 1);
    assert_ptr_equal(db_args_wire(args)->values[0], wire->values[0]); /* asking twice is harmless */
}

static void what_was_sent_is_read_back(void **state)
{
    struct test *test = *state;
    struct db_args *args = db_args_new(test->arena);
    struct db_column *texts = db_array(args, DB_TEXT), *ints = db_array(args, DB_INT);
    _cleanup_(db_result_freep) PGresult *text_result = NULL;
    _cleanup_(db_result_freep) PGresult *int_result = NULL;
    _cleanup_(db_result_freep) PGresult *time_result = NULL;
    _cleanup_(db_result_freep) PGresult *null_result = NULL;
    const struct db_wire *wire;
    const int64_t *numbers;
    const char **strings;
    size_t length;
    int count;

    db_add_text(texts, "ab");
    db_add_text(texts, NULL);
    db_add_int(ints, INT64_MIN);
    db_add_int(ints, 7);
    db_time(args, 1722523112499588);
    db_time(args, USEC_NONE);
    wire = db_args_wire(args);

    text_result = echo(wire, 0);
    strings = db_get_texts(text_result, 0, 0, test->arena, &count);
    assert_int_equal(count, 2);
    assert_string_equal(strings[0], "ab");
    assert_null(strings[1]);

    int_result = echo(wire, 1);
    numbers = db_get_ints(int_result, 0, 0, test->arena, &count);
    assert_int_equal(count, 2);
    assert_true(numbers[0] == INT64_MIN && numbers[1] == 7);

    time_result = echo(wire, 2);
    assert_true(db_get_time(time_result, 0, 0) == 1722523112499588);
    null_result = echo(wire, 3);
    assert_true(db_is_null(null_result, 0, 0));
    assert_true(db_get_time(null_result, 0, 0) == USEC_NONE);
    assert_int_equal(db_get_int(null_result, 0, 0), 0);
    assert_false(db_get_bool(null_result, 0, 0));
    assert_null(db_get_text(null_result, 0, 0));
    assert_null(db_get_bytes(null_result, 0, 0, &length));
}

static void a_server_that_is_away_is_unavailable_and_asked_again_next_time(void **state)
{
    static const struct sql query = { "test_query", "select 1" };
    struct test *test = *state;
    _cleanup_(db_freep) struct db *db = db_new("postgresql://127.0.0.1:1/none", "test");

    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_do(db, &query, NULL, &test->err), -ERR_UNAVAILABLE);
        assert_string_equal(test->err.cause, "postgresql: no connection");
        assert_int_equal(db_begin(db, &test->err), -ERR_UNAVAILABLE);
        db_rollback(db); /* no transaction: nothing happens */
    }
}

/* A server that takes connections and says nothing. Returns its port. */
static int silent_server(int *ret_socket)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);

    *ret_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_socket, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(*ret_socket, 4), 0);
    assert_int_equal(getsockname(*ret_socket, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

static void a_server_that_hangs_is_waited_for_no_longer_than_patience(void **state)
{
    static const struct sql query = { "test_query", "select 1" };
    struct test *test = *state;
    int listening, port = silent_server(&listening);
    _cleanup_(db_freep) struct db *db =
        db_new(arena_printf(test->arena, "postgresql://127.0.0.1:%d/none", port), "test");
    usec_t began = usec_monotonic();

    db_set_patience(db, 50 * USEC_PER_MS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(db_do(db, &query, NULL, &test->err), -ERR_UNAVAILABLE);
    assert_in_range(usec_monotonic() - began, 100 * USEC_PER_MS, 2 * USEC_PER_S);
    close(listening);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_travel_in_postgresql_s_binary_form),
        TEST(absent_values_are_null_of_their_type),
        TEST(values_are_copies),
        TEST(an_array_has_its_header_and_each_element_its_length),
        TEST(what_was_sent_is_read_back),
        TEST(a_server_that_is_away_is_unavailable_and_asked_again_next_time),
        TEST(a_server_that_hangs_is_waited_for_no_longer_than_patience),
    };

    return cmocka_run_group_tests_name("common/db", tests, NULL, NULL);
}
