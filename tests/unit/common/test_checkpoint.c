#include "common/checkpoint.h"

#include <stdio.h>

#include "common/event.h"
#include "tests/unit/test.h"

/* An event as it lies on the topic. Its chain is made up: a checkpoint looks at no more than that it is one. */
struct event {
    struct record record;
    char id[CHAIN_ID_MAX + 1], sequence[32], chain[DIGEST_HEX_BYTES];
};

static const struct record *event_of(struct event *event, const char *id, int64_t seq, uint8_t fill)
{
    uint8_t chain[DIGEST_BYTES];

    memset(chain, fill, sizeof(chain));
    snprintf(event->id, sizeof(event->id), "%s", id);
    snprintf(event->sequence, sizeof(event->sequence), "%020lld", (long long)seq);
    digest_hex(chain, event->chain);
    event->record = (struct record){ .key = event->id,
                                     .key_length = strlen(event->id),
                                     .value = "{}",
                                     .value_length = 2,
                                     .header_count = 2,
                                     .headers = { { "ce_sequence", event->sequence, 20 },
                                                  { "ce_chain", event->chain, 64 } } };
    return &event->record;
}

static void built_of_three(struct checkpoint_builder *builder, struct checkpoint *ret)
{
    struct event event;

    *ret = (struct checkpoint){ .number = 2,
                                .has_previous = true,
                                .previous = { 0xab },
                                .made_at = 1767323045123456,
                                .key_id = "a",
                                .public_key = { 1, 2, 3 } };
    checkpoint_window_begin(builder, "lifecycle", 1, 7);
    assert_true(checkpoint_add(builder, event_of(&event, "pri_b", 1, 1)));
    assert_true(checkpoint_add(builder, event_of(&event, "pri_a", 4, 2)));
    assert_true(checkpoint_add(builder, event_of(&event, "pri_b", 2, 3)));
    assert_true(checkpoint_add(builder, event_of(&event, "pri_b", 1, 1))); /* a repeat */
    checkpoint_window_end(builder, 11);
    checkpoint_window_begin(builder, "lifecycle", 2, 5);
    checkpoint_window_end(builder, 5); /* nothing moved */
    checkpoint_built(builder, ret);
}

static void it_holds_how_far_each_chain_had_come(void **state)
{
    _cleanup_(checkpoint_builder_freep) struct checkpoint_builder *builder = checkpoint_builder_new();
    struct checkpoint checkpoint;

    (void)state;
    built_of_three(builder, &checkpoint);
    assert_int_equal(checkpoint.window_count, 1);
    assert_int_equal(checkpoint.windows[0].partition, 1);
    assert_int_equal(checkpoint.windows[0].from, 7);
    assert_int_equal(checkpoint.windows[0].to, 11);
    assert_int_equal(checkpoint.windows[0].records, 4);
    assert_int_equal(checkpoint.head_count, 2);
    assert_string_equal(checkpoint.heads[0].id, "pri_a");
    assert_int_equal(checkpoint.heads[0].seq, 4);
    assert_string_equal(checkpoint.heads[1].id, "pri_b");
    assert_int_equal(checkpoint.heads[1].seq, 2);
    assert_int_equal(checkpoint.heads[1].chain[5], 3);
}

static void the_digest_is_over_the_marks_in_their_order(void **state)
{
    _cleanup_(checkpoint_builder_freep) struct checkpoint_builder *builder = checkpoint_builder_new();
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct record foreign = { .value = "anything", .value_length = 8 };
    uint8_t marks[2][DIGEST_BYTES], expected[DIGEST_BYTES];
    struct checkpoint checkpoint = { 0 };
    struct event event;

    (void)state;
    checkpoint_window_begin(builder, "lifecycle", 0, 0);
    assert_true(checkpoint_add(builder, event_of(&event, "pri_a", 1, 9)));
    assert_true(checkpoint_add(builder, &foreign)); /* counts with what it holds, and has no head */
    checkpoint_window_end(builder, 2);
    checkpoint_built(builder, &checkpoint);
    memset(marks[0], 9, DIGEST_BYTES);
    digest_of(digest, "anything", 8, marks[1]);
    digest_of(digest, marks, sizeof(marks), expected);
    assert_memory_equal(checkpoint.windows[0].digest, expected, DIGEST_BYTES);
    assert_int_equal(checkpoint.windows[0].records, 2);
    assert_int_equal(checkpoint.head_count, 1);
}

static void it_takes_no_more_than_its_bounds(void **state)
{
    _cleanup_(checkpoint_builder_freep) struct checkpoint_builder *builder = checkpoint_builder_new();
    struct checkpoint checkpoint = { 0 };
    struct event event;
    char id[16];

    (void)state;
    checkpoint_window_begin(builder, "lifecycle", 0, 0);
    for (int i = 0; i < CHECKPOINT_HEADS_MAX; i++) {
        snprintf(id, sizeof(id), "pri_%d", i);
        assert_true(checkpoint_add(builder, event_of(&event, id, 1, 1)));
    }
    assert_false(checkpoint_add(builder, event_of(&event, "pri_more", 1, 1)));
    for (int i = CHECKPOINT_HEADS_MAX; i < CHECKPOINT_RECORDS_MAX; i++)
        assert_true(checkpoint_add(builder, event_of(&event, "pri_7", i, 1)));
    assert_false(checkpoint_add(builder, event_of(&event, "pri_7", 1, 1)));
    checkpoint_window_end(builder, CHECKPOINT_RECORDS_MAX);
    checkpoint_built(builder, &checkpoint);
    assert_int_equal(checkpoint.head_count, CHECKPOINT_HEADS_MAX);
    assert_int_equal(checkpoint.windows[0].records, CHECKPOINT_RECORDS_MAX);
    checkpoint_builder_clear(builder); /* and then it is as new */
    checkpoint_built(builder, &checkpoint);
    assert_null(checkpoint.windows);
    assert_int_equal(checkpoint.head_count, 0);
}

static const char *written(struct test *test)
{
    _cleanup_(checkpoint_builder_freep) struct checkpoint_builder *builder = checkpoint_builder_new();
    _cleanup_(buf_free) struct buf out = BUF_INIT(CHECKPOINT_BYTES);
    struct checkpoint checkpoint;

    built_of_three(builder, &checkpoint);
    checkpoint_write(&checkpoint, &out);
    assert_false(out.overflow);
    return arena_strndup(test->arena, out.data, out.length);
}

static int read_text(struct test *test, const char *text, struct checkpoint *ret)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();

    return checkpoint_read(text, strlen(text), digest, test->arena, ret, &test->err);
}

static void what_is_written_is_read_back(void **state)
{
    struct test *test = *state;
    struct checkpoint checkpoint = { 0 };

    assert_int_equal(read_text(test, written(test), &checkpoint), 0);
    assert_int_equal(checkpoint.number, 2);
    assert_true(checkpoint.has_previous);
    assert_int_equal(checkpoint.previous[0], 0xab);
    assert_true(checkpoint.made_at == 1767323045123456);
    assert_string_equal(checkpoint.key_id, "a");
    assert_int_equal(checkpoint.public_key[2], 3);
    assert_int_equal(checkpoint.window_count, 1);
    assert_string_equal(checkpoint.windows[0].topic, "lifecycle");
    assert_int_equal(checkpoint.windows[0].to, 11);
    assert_int_equal(checkpoint.head_count, 2);
    assert_string_equal(checkpoint.heads[1].id, "pri_b");
    assert_int_equal(checkpoint.heads[1].seq, 2);
}

/* `text` with the first `what` in it replaced. */
static const char *with(struct test *test, const char *text, const char *what, const char *other)
{
    const char *at = strstr(text, what);

    assert_non_null(at);
    return arena_printf(test->arena, "%.*s%s%s", (int)(at - text), text, other, at + strlen(what));
}

static void what_is_wrong_in_it_is_named(void **state)
{
    static const char *const wrong[][3] = {
        { "{\"number\"", "[\"number\"", "object" },
        { "\"number\":2", "\"number\":2.5", "number" },
        { "\"number\":2", "\"number\":99999999999999999999", "number" },
        { "\"number\":2,", "", "number" },
        { "\"number\":2,", "\"number\":2,\"number\":3,", "number" },
        { "\"previous\":\"ab", "\"previous\":\"xb", "previous" },
        { "\"made_at\":\"2026", "\"made_at\":\"x026", "made_at" },
        { "\"key_id\":\"a\"", "\"key_id\":\"\"", "key_id" },
        { "\"public_key\":\"AQ", "\"public_key\":\"", "public_key" },
        { "\"topic\":\"lifecycle\"", "\"topic\":\"callbacks\"", "windows" },
        { "\"from\":7", "\"from\":11", "windows" },
        { "\"to\":11", "\"to\":10", "windows" },
        { "\"records\":4", "\"records\":5", "windows" },
        { "\"digest\":\"", "\"digest\":\"0", "digest" },
        { "\"id\":\"pri_a\"", "\"id\":\"pri_c\"", "heads" }, /* out of order */
        { "\"id\":\"pri_a\"", "\"id\":\"pri_b\"", "heads" }, /* twice */
        { "\"sequence\":4", "\"sequence\":0", "heads" },
        { "\"sequence\":4", "\"sequence\":5", "root" },
        { "\"root\":\"", "\"root\":\"0", "root" },
        { "}]}", "}]", "end" },
        { "}]}", "}]}{}", "end" },
    };
    struct test *test = *state;
    const char *right = written(test);

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct checkpoint checkpoint;
        const char *text = with(test, right, wrong[i][0], wrong[i][1]);

        if (read_text(test, text, &checkpoint) != -ERR_INVALID)
            fail_msg("%s is taken", text);
        if (!strstr(test->err.text, wrong[i][2]))
            fail_msg("'%s' does not name %s", test->err.text, wrong[i][2]);
    }
}

static void every_cut_is_refused_and_none_is_read_past(void **state)
{
    struct test *test = *state;
    const char *right = written(test);
    size_t length = strlen(right);

    for (size_t i = 0; i < length; i++) {
        struct checkpoint checkpoint;
        char *cut = test_malloc(i + 1); /* the sanitizer sees its end */

        memcpy(cut, right, i);
        cut[i] = '\0';
        assert_int_equal(read_text(test, cut, &checkpoint), -ERR_INVALID);
        test_free(cut);
    }
}

static void a_member_that_is_not_known_is_skipped(void **state)
{
    struct test *test = *state;
    struct checkpoint checkpoint;
    const char *text = with(test, written(test), "{\"number\"", "{\"more\":[{\"number\":1}],\"number\"");

    assert_int_equal(read_text(test, text, &checkpoint), 0);
    assert_int_equal(checkpoint.number, 2);
}

/* The chain of an event from its headers is the one that is computed from its parts. */
static void a_chain_is_taken_from_the_headers(void **state)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    uint8_t first[DIGEST_BYTES], second[DIGEST_BYTES], expected[DIGEST_BYTES];
    struct record_event event = { .attributes = { [RECORD_ID] = "pri_1.1",
                                                  [RECORD_TYPE] = "docket.request.created.v1",
                                                  [RECORD_TIME] = "2026-01-02T03:04:05.123456Z",
                                                  [RECORD_SOURCE] = "/docket/here/docket-api" } };
    char large[4096];

    (void)state;
    chain_next(digest, NULL, &event, "{}", 2, first);
    event_chain(NULL, "pri_1", 1, "docket.request.created.v1", 1767323045123456, "/docket/here/docket-api", NULL, NULL,
                "{}", 2, expected);
    assert_memory_equal(first, expected, DIGEST_BYTES);
    memset(large, 'x', sizeof(large));
    event.attributes[RECORD_ID] = "pri_1.2";
    event.attributes[RECORD_CAUSE] = "pri_1.1";
    event.attributes[RECORD_TRACEPARENT] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    chain_next(digest, first, &event, large, sizeof(large), second);
    event_chain(first, "pri_1", 2, "docket.request.created.v1", 1767323045123456, "/docket/here/docket-api", "pri_1.1",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", large, sizeof(large), expected);
    assert_memory_equal(second, expected, DIGEST_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_holds_how_far_each_chain_had_come),
        TEST(the_digest_is_over_the_marks_in_their_order),
        TEST(it_takes_no_more_than_its_bounds),
        TEST(what_is_written_is_read_back),
        TEST(what_is_wrong_in_it_is_named),
        TEST(every_cut_is_refused_and_none_is_read_past),
        TEST(a_member_that_is_not_known_is_skipped),
        TEST(a_chain_is_taken_from_the_headers),
    };

    return cmocka_run_group_tests_name("common/checkpoint", tests, NULL, NULL);
}
