#include "common/metric.c"

#include "tests/unit/test.h"

static const char *printed(struct test *test)
{
    struct buf out = BUF_INIT(16 * 1024 * 1024);
    const char *text;

    metric_print(&out);
    text = arena_strdup(test->arena, out.data ? out.data : "");
    buf_free(&out);
    return text;
}

static void assert_has(struct test *test, const char *line)
{
    const char *text = printed(test);

    if (!strstr(text, line))
        fail_msg("no '%s' in:\n%s", line, text);
}

static void counters_add_up_by_their_labels(void **state)
{
    metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS("bad_header"), 2);
    metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS("bad_header"), 3);
    metric_add(METRIC_DEAD_LETTERS, METRIC_LABELS("bad_data"), 1);
    assert_has(*state, "# TYPE docket_dead_letters_total counter\n");
    assert_has(*state, "docket_dead_letters_total{reason=\"bad_header\"} 5\n");
    assert_has(*state, "docket_dead_letters_total{reason=\"bad_data\"} 1\n");
}

static void a_metric_without_labels_has_no_braces(void **state)
{
    metric_set(METRIC_INFLIGHT, NULL, 7);
    assert_has(*state, "\ndocket_webhook_inflight 7\n");
    metric_set(METRIC_INFLIGHT, no_labels, 2.5);
    assert_has(*state, "\ndocket_webhook_inflight 2.5\n");
}

static void label_values_are_escaped(void **state)
{
    metric_set(METRIC_BREAKER, METRIC_LABELS("a\"b\\c\nd"), 1);
    assert_has(*state, "docket_breaker_state{endpoint=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void buckets_of_a_histogram_are_cumulative(void **state)
{
    metric_observe(METRIC_SETTLE_DURATION, NULL, 500); /* on a bound: within */
    metric_observe(METRIC_SETTLE_DURATION, NULL, 501);
    metric_observe(METRIC_SETTLE_DURATION, NULL, 2 * 86400 * USEC_PER_S);
    assert_has(*state, "docket_settle_duration_seconds_bucket{le=\"0.0005\"} 1\n");
    assert_has(*state, "docket_settle_duration_seconds_bucket{le=\"0.001\"} 2\n");
    assert_has(*state, "docket_settle_duration_seconds_bucket{le=\"86400\"} 2\n");
    assert_has(*state, "docket_settle_duration_seconds_bucket{le=\"+Inf\"} 3\n");
    assert_has(*state, "docket_settle_duration_seconds_sum 172800.001001\n");
    assert_has(*state, "docket_settle_duration_seconds_count 3\n");
}

static void what_was_never_used_is_not_printed(void **state)
{
    assert_null(strstr(printed(*state), "docket_outbox_oldest_seconds"));
}

static void label_sets_past_the_bound_are_counted_together(void **state)
{
    char endpoint[32];

    for (int i = 0; i < SETS_MAX + 10; i++) {
        snprintf(endpoint, sizeof(endpoint), "e%d", i);
        metric_add(METRIC_EVENTS_IN, METRIC_LABELS(endpoint), 1);
    }
    assert_has(*state, "docket_events_consumed_total{topic=\"other\"} 10\n");
}

static void every_row_has_labels_that_fit_and_a_word_of_its_kind(void **state)
{
    (void)state;
    for (int i = 0; i < METRICS; i++) {
        size_t length = strlen(families[i].word);
        bool total = length > 6 && !strcmp(families[i].word + length - 6, "_total");

        assert_true(label_count(&families[i]) <= LABELS_MAX);
        assert_int_equal(total, families[i].type == COUNTER);
    }
}

static void *add_many(void *labels)
{
    for (int i = 0; i < 10000; i++)
        metric_add(METRIC_EVENTS_OUT, labels, 1);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    const char *const labels[] = { "lifecycle", NULL };
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, (void *)(uintptr_t)labels), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_has(*state, "docket_events_published_total{topic=\"lifecycle\"} 40000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counters_add_up_by_their_labels),
        TEST(a_metric_without_labels_has_no_braces),
        TEST(label_values_are_escaped),
        TEST(buckets_of_a_histogram_are_cumulative),
        TEST(what_was_never_used_is_not_printed),
        TEST(label_sets_past_the_bound_are_counted_together),
        cmocka_unit_test(every_row_has_labels_that_fit_and_a_word_of_its_kind),
        TEST(threads_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
