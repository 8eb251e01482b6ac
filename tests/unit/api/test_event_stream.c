#include "api/event_stream.h"

#include "common/record.h"
#include "tests/unit/test.h"

static struct record record_of(const char *type, const char *value)
{
    struct record record = {
        .key = "pri_1", .key_length = 5, .value = value, .value_length = strlen(value), .header_count = 2,
    };

    record.headers[0] = (struct record_header){ "ce_id", "pri_1.1", 7 };
    record.headers[1] = (struct record_header){ "ce_type", type, strlen(type) };
    return record;
}

static const char *written(struct test *test, const struct record *record)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(10000);

    event_stream_write(&text, "ID", record);
    return arena_strdup(test->arena, text.data);
}

static void an_event_is_its_id_its_type_and_one_line_of_json(void **state)
{
    const struct record record = record_of("docket.request.denied.v1", "{\"request_id\":\"pri_1\"}");

    assert_string_equal(written(*state, &record),
                        "id: ID\nevent: docket.request.denied.v1\n"
                        "data: {\"id\":\"pri_1.1\",\"type\":\"docket.request.denied.v1\",\"partitionkey\":\"pri_1\","
                        "\"data\":{\"request_id\":\"pri_1\"}}\n\n");
}

/* A record that somebody else has put on the topic must not become lines of its own. */
static void nothing_of_a_record_ends_a_line(void **state)
{
    static const char *const types[] = { "docket\ndata: x", "docket\rid: x", "", "a b", "docket: x" };
    static const char *const values[] = { "{\n\"a\":1}", "{\r\"a\":1}", "[1,\r\n2]", "no JSON\n\ndata: x" };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const struct record record = record_of(types[i], "{}");
        const char *text = written(test, &record);

        assert_null(strstr(text, "event:"));
        assert_null(strchr(text, '\r'));
        assert_ptr_equal(strstr(text, "\n\n"), text + strlen(text) - 2);
    }
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        const struct record record = record_of("docket.x.v1", values[i]);
        const char *text = written(test, &record);
        int lines = 0;

        for (const char *at = text; *at; at++)
            lines += *at == '\n';
        assert_int_equal(lines, 4);
        assert_null(strchr(text, '\r'));
    }
}

static bool has(const struct event_wish *wish, const char *type, const char *key)
{
    return event_wish_has(wish, type, key, key ? strlen(key) : 0);
}

static void a_wish_is_a_type_or_its_beginning_and_a_request(void **state)
{
    const struct event_wish all = { 0 };
    const struct event_wish types = { .types = { "docket.request.denied.v1", "docket.request.webhook_" }, .type_count = 2 };
    const struct event_wish request = { .request_id = "pri_1" };
    const struct event_wish both = { .types = { "docket.request.denied.v1" }, .type_count = 1, .request_id = "pri_1" };

    (void)state;
    assert_true(has(&all, "", NULL));
    assert_true(has(&types, "docket.request.denied.v1", "pri_1"));
    assert_true(has(&types, "docket.request.webhook_sent.v1", NULL));
    assert_false(has(&types, "docket.request.approved.v1", "pri_1"));
    assert_false(has(&types, "docket.request", "pri_1"));
    assert_true(has(&request, "x", "pri_1"));
    assert_false(has(&request, "x", "pri_11"));
    assert_false(has(&request, "x", "pri_"));
    assert_false(has(&request, "x", NULL));
    assert_true(has(&both, "docket.request.denied.v1", "pri_1"));
    assert_false(has(&both, "docket.request.denied.v1", "pri_2"));
    assert_false(has(&both, "docket.request.x", "pri_1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_its_id_its_type_and_one_line_of_json),
        TEST(nothing_of_a_record_ends_a_line),
        TEST(a_wish_is_a_type_or_its_beginning_and_a_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
