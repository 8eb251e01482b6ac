#include "worker/ctl/audit/story.h"

#include <stdio.h>

#include "common/event.h"
#include "tests/unit/test.h"

DEFINE_CLEANUP(json_object *, json_object_put)

static const char *what(struct test *test, const char *type, json_object *data)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    story_what(type, data, &out);
    return arena_strdup(test->arena, out.data);
}

static const char *what_of(struct test *test, const char *type, const char *json)
{
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse(json);

    return what(test, type, data);
}

static const char *who_of(struct test *test, const char *source, const char *json)
{
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse(json);
    _cleanup_(buf_free) struct buf out = BUF_INIT(4096);

    story_who(source, data, &out);
    return arena_strdup(test->arena, out.data);
}

/* With what its schema has as examples. */
static void every_event_of_a_request_has_words_for_all_that_it_may_say(void **state)
{
    static const char *const types[] = {
#define EVENT(name, type) type,
#include "common/event.tbl.h"
#undef EVENT
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const char *path = arena_printf(test->arena, SOURCE_DIR "/schemas/events/%s.json", types[i]);
        _cleanup_(json_object_putp) json_object *schema = json_object_from_file(path);
        json_object *examples;

        assert_non_null(schema);
        assert_true(json_object_object_get_ex(schema, "examples", &examples));
        for (size_t j = 0; j < json_object_array_length(examples); j++) {
            const char *words = what(test, types[i], json_object_array_get_idx(examples, j));

            if (!*words || strpbrk(words, "?{}[]"))
                fail_msg("%s: %s", types[i], words);
        }
    }
}

static void words_say_what_the_data_says(void **state)
{
    struct test *test = *state;

    assert_string_equal(what_of(test, "docket.request.webhook_failed.v1",
                                "{\"webhook_key\":\"crm\",\"attempt\":2,\"outcome\":\"http_5xx\",\"status_code\":503,"
                                "\"next_attempt_at\":\"2026-01-02T03:04:05.678901Z\"}"),
                        "a call to webhook crm failed, attempt 2: http_5xx 503; the next is due at "
                        "2026-01-02T03:04:05.678901Z");
    assert_string_equal(what_of(test, "docket.request.pre_approval_requested.v1",
                                "{\"webhooks\":[{\"webhook_key\":\"one\"},{\"webhook_key\":\"two\"}]}"),
                        "all pre-approval webhooks are to be asked: one, two");
}

static void a_part_without_its_member_is_left_out_and_the_second_name_stands_in(void **state)
{
    struct test *test = *state;

    assert_string_equal(what_of(test, "docket.request.pre_approval_requested.v1", "{\"webhooks\":[]}"),
                        "all pre-approval webhooks are to be asked");
    assert_string_equal(what_of(test, "docket.request.created.v1", "{\"policy_key\":\"p\",\"source\":null}"),
                        "it was created under the policy p");
    assert_string_equal(what_of(test, "docket.request.webhook_skipped.v1",
                                "{\"webhook_key\":null,\"webhook_id\":\"pol_1\",\"reason\":\"webhook_deleted\"}"),
                        "webhook pol_1 was passed over: webhook_deleted");
    assert_string_equal(what_of(test, "docket.request.created.v1", "{}"), "it was created under the policy ?");
}

static void types_of_later_versions_are_told_by_their_names(void **state)
{
    struct test *test = *state;

    assert_string_equal(what(test, "docket.request.thing_done.v2", NULL), "thing done");
    assert_string_equal(what(test, "thing", NULL), "thing");
    assert_string_equal(what(test, NULL, NULL), "an event without a type");
}

static void who_did_it_stands_before_the_program_that_recorded_it(void **state)
{
    struct test *test = *state;

    assert_string_equal(who_of(test, "/docket/local/docket-api", "{\"by\":\"user\",\"user_id\":\"fid_1\"}"),
                        "user fid_1, docket-api");
    assert_string_equal(who_of(test, "/docket/local/docket-worker", "{\"by\":\"webhooks\",\"user_id\":null}"),
                        "webhooks, docket-worker");
    assert_string_equal(who_of(test, "/docket/local/docket-worker", "{}"), "docket-worker");
    assert_string_equal(who_of(test, NULL, "{}"), "?");
}

static void a_terminal_is_told_nothing_by_what_stands_in_a_record(void **state)
{
    struct test *test = *state;

    assert_string_equal(what_of(test, "docket.request.webhook_owed.v1", "{\"webhook_key\":\"a\\u001b[2Jb\\n\"}"),
                        "webhook a?[2Jb? is to be called");
    assert_string_equal(what(test, "docket.request.\033.v1", NULL), "?");
    assert_string_equal(who_of(test, "x/\033[2J", "{\"by\":\"a\\nb\"}"), "a?b, ?[2J");
}

static void data_that_is_no_object_says_nothing(void **state)
{
    const struct record list = { .value = "[1]", .value_length = 3 }, cut = { .value = "{\"a\":", .value_length = 5 };
    const struct record none = { 0 };

    (void)state;
    assert_null(story_data(&list));
    assert_null(story_data(&cut));
    assert_null(story_data(&none));
    assert_null(story_status(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_event_of_a_request_has_words_for_all_that_it_may_say),
        TEST(words_say_what_the_data_says),
        TEST(a_part_without_its_member_is_left_out_and_the_second_name_stands_in),
        TEST(types_of_later_versions_are_told_by_their_names),
        TEST(who_did_it_stands_before_the_program_that_recorded_it),
        TEST(a_terminal_is_told_nothing_by_what_stands_in_a_record),
        TEST(data_that_is_no_object_says_nothing),
    };

    return cmocka_run_group_tests_name("ctl/story", tests, NULL, NULL);
}
