#include "api/redelivery.c"

#include "tests/unit/test.h"

/* Deliveries of these requests, in their order, each request being at `seq` 10. */
static struct batch *batch_of(struct arena *arena, const char *const *request_ids)
{
    struct batch *batch = arena_new_of(arena, struct batch);

    for (; *request_ids; request_ids++)
        batch->entries[batch->count++] = (struct journal_entry){ .request_id = *request_ids, .expected = 10 };
    return batch;
}

static void no_round_has_a_request_twice(void **state)
{
    static const char *const ids[] = { "a", "a", "a", "b", "c", "c", NULL };
    static const struct {
        const char *id;
        int64_t expected;
    } sent[] = { { "a", 10 }, { "b", 10 }, { "c", 10 }, { "a", 11 }, { "c", 11 }, { "a", 12 } };
    static const int counts[] = { 3, 2, 1 };
    struct test *test = *state;
    struct batch *batch = batch_of(test->arena, ids);
    int first = 0;

    for (size_t round = 0; round < COUNT_OF(counts); round++) {
        assert_int_equal(batch_round(batch), counts[round]);
        assert_int_equal(batch->rounds[round].first, first);
        assert_int_equal(batch->rounds[round].count, counts[round]);
        first += counts[round];
    }
    assert_int_equal(batch_round(batch), 0);
    assert_int_equal(batch->round_count, COUNT_OF(counts));
    for (size_t i = 0; i < COUNT_OF(sent); i++) {
        assert_string_equal(batch->sent[i]->request_id, sent[i].id);
        assert_int_equal(batch->sent[i]->expected, sent[i].expected);
    }
}

static void as_many_rounds_as_deliveries_fit(void **state)
{
    const char *ids[REDELIVERY_MAX + 1] = { 0 };
    struct test *test = *state;
    struct batch *batch;
    int rounds = 0;

    for (int i = 0; i < REDELIVERY_MAX; i++)
        ids[i] = "a";
    batch = batch_of(test->arena, ids);
    while (batch_round(batch))
        rounds++;
    assert_int_equal(rounds, REDELIVERY_MAX);
    assert_int_equal(batch->sent[REDELIVERY_MAX - 1]->expected, 10 + REDELIVERY_MAX - 1);
}

static void nothing_is_no_round(void **state)
{
    static const char *const ids[] = { NULL };
    struct test *test = *state;

    assert_int_equal(batch_round(batch_of(test->arena, ids)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_round_has_a_request_twice),
        TEST(as_many_rounds_as_deliveries_fit),
        TEST(nothing_is_no_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
