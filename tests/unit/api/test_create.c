#include "api/create.c"

#include "tests/unit/test.h"

static const char *first_error(struct test *test, const char *element)
{
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    _cleanup_(json_object_putp) json_object *body = json_object_new_array();
    const struct schema_loc loc = { .name = "body" };
    json_object *first;

    json_object_array_add(body, json_tokener_parse(element));
    if (schema_check(&create_schema, body, &loc, &errors))
        return NULL;
    first = json_object_array_get_idx(errors.list, 0);
    return arena_printf(test->arena, "%s %s", json_object_to_json_string_ext(schema_get(first, "loc"), 0),
                        schema_text(first, "msg"));
}

#define WITH(more) "{\"policy_key\":\"p\",\"identity\":{\"email\":\"a@example.com\"}" more "}"

static void elements_are_held_against_the_table(void **state)
{
    static const char *const cases[][2] = {
        { WITH(""), NULL },
        { WITH(",\"what\":1"), NULL },
        { WITH(",\"external_id\":null,\"source\":\"Request Manager\",\"location\":\"us_ca\""), NULL },
        { WITH(",\"requested_at\":\"2026-01-02T03:04:05Z\",\"encryption_key\":\"0123456789abcdef\""), NULL },
        { WITH(",\"custom_privacy_request_fields\":{\"a\":{\"label\":\"A\",\"value\":[1,\"b\"]}}"), NULL },
        { WITH(",\"encryption_key\":\"short\""),
          "[\"body\",0,\"encryption_key\"] Value error, Encryption key must be 16 bytes long" },
        { WITH(",\"custom_privacy_request_fields\":{\"a\":{\"label\":\"A\"}}"),
          "[\"body\",0,\"custom_privacy_request_fields\",\"a\",\"value\"] Field required" },
        { WITH(",\"requested_at\":\"soon\""), "[\"body\",0,\"requested_at\"] " },
        { "{\"policy_key\":\"a b\",\"identity\":{}}", "[\"body\",0,\"policy_key\"] " },
        { "{\"policy_key\":\"p\"}", "[\"body\",0,\"identity\"] Field required" },
        { "{\"policy_key\":\"p\",\"identity\":{\"email\":\"no\"}}", "[\"body\",0,\"identity\",\"email\"] " },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *error = first_error(test, cases[i][0]);

        assert_int_equal(!error, !cases[i][1]);
        if (error)
            assert_int_equal(strncmp(error, cases[i][1], strlen(cases[i][1])), 0);
    }
}

static void custom_fields_are_kept_without_what_came_along(void **state)
{
    _cleanup_(json_object_putp) json_object *fields =
        json_tokener_parse("{\"a\":{\"value\":\"x/y\",\"more\":1,\"label\":\"A\"}}");
    _cleanup_(json_object_putp) json_object *none = json_object_new_object();
    struct test *test = *state;

    assert_string_equal(custom_fields_text(fields, test->arena), "{\"a\":{\"label\":\"A\",\"value\":\"x/y\"}}");
    assert_null(custom_fields_text(none, test->arena));
    assert_null(custom_fields_text(NULL, test->arena));
}

static void a_due_date_stays_within_four_digits(void **state)
{
    (void)state;
    assert_int_equal(due_date(0, 0), USEC_NONE);
    assert_int_equal(due_date(10, 45), 10 + 45 * USEC_PER_DAY);
    assert_int_equal(due_date(0, INT32_MAX), LAST_MOMENT);
    assert_int_equal(due_date(LAST_MOMENT - 5, 1), LAST_MOMENT);
    assert_int_equal(due_date(LAST_MOMENT - USEC_PER_DAY, 1), LAST_MOMENT);
    assert_int_equal(due_date(-62135596800 * USEC_PER_S, INT32_MAX), LAST_MOMENT); /* from the year 1 */
}

/* A queue of units with these rows and versions, without a thread. */
static struct create_queue *queue_of(struct test *test, const int *rows, const int64_t *versions, int count)
{
    struct create_queue *queue = arena_new_of(test->arena, struct create_queue);

    queue->last = &queue->first;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    for (int i = 0; i < count; i++) {
        struct unit *unit = arena_new_of(test->arena, struct unit);

        unit->count = rows[i];
        unit->version = versions[i];
        assert_true(queue_push(queue, unit));
    }
    return queue;
}

static int units(const struct unit *unit)
{
    int count = 0;

    for (; unit; unit = unit->next)
        count++;
    return count;
}

static void a_batch_is_of_one_catalog_and_not_too_large(void **state)
{
    static const int rows[] = { 50, 200, 7, 1, 1, 1, 1 };
    static const int64_t versions[] = { 1, 1, 1, 2, 2, 1, 1 };
    static const int expected[] = { 2, 1, 2, 2 };
    struct test *test = *state;
    struct create_queue *queue = queue_of(test, rows, versions, COUNT_OF(rows));

    assert_int_equal(queue->rows, 261);
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_int_equal(units(queue_take(queue)), expected[i]);
    assert_int_equal(queue->rows, 0);
    assert_null(queue->first);
    assert_ptr_equal(queue->last, &queue->first);
}

static void an_ending_queue_is_emptied_and_takes_no_more(void **state)
{
    static const int rows[] = { 1, 1 };
    static const int64_t versions[] = { 1, 1 };
    struct test *test = *state;
    struct create_queue *queue = queue_of(test, rows, versions, COUNT_OF(rows));
    struct unit late = { .count = 1, .version = 1 };

    queue->ending = true;
    assert_false(queue_push(queue, &late));
    assert_int_equal(units(queue_take(queue)), 2);
    assert_null(queue_take(queue));
}

static void a_full_queue_takes_no_more(void **state)
{
    static const int rows[] = { QUEUE_MAX };
    static const int64_t versions[] = { 1 };
    struct test *test = *state;
    struct create_queue *queue = queue_of(test, rows, versions, COUNT_OF(rows));
    struct unit more = { .count = 1, .version = 1 };

    assert_false(queue_push(queue, &more));
    assert_int_equal(units(queue_take(queue)), 1);
    assert_true(queue_push(queue, &more));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(elements_are_held_against_the_table),
        TEST(custom_fields_are_kept_without_what_came_along),
        TEST(a_due_date_stays_within_four_digits),
        TEST(a_batch_is_of_one_catalog_and_not_too_large),
        TEST(an_ending_queue_is_emptied_and_takes_no_more),
        TEST(a_full_queue_takes_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
