#include "common/reader.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/test.h"
#include "worker/ctl/audit/log.h"

enum { PARTITIONS = 3, RECORDS = 1500 };

/* librdkafka's mock cluster, with a topic that is filled: `each` has RECORDS in partition 0, none in 1, one in 2. */
struct cluster {
    struct test *test; /* first: what tests expect */
    rd_kafka_t *client;
    rd_kafka_mock_cluster_t *mock;
    struct config config;
};

static void record_send(rd_kafka_t *client, int32_t partition, int number)
{
    char value[32], sequence[32];
    rd_kafka_resp_err_t error;

    snprintf(value, sizeof(value), "%d", number);
    snprintf(sequence, sizeof(sequence), "%020d", number + 1);
    do {
        error = rd_kafka_producev(client, RD_KAFKA_V_TOPIC("unit.each"), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_KEY("key", 3), RD_KAFKA_V_VALUE(value, strlen(value)),
                                  RD_KAFKA_V_HEADER("ce_sequence", sequence, -1),
                                  RD_KAFKA_V_HEADER("ce_type", "some.type", -1),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        rd_kafka_poll(client, 0);
    } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    assert_int_equal(error, 0);
}

static int cluster_setup(void **state)
{
    struct cluster *cluster = test_calloc(1, sizeof(*cluster));
    char problem[256];

    test_setup((void **)&cluster->test);
    cluster->client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), problem, sizeof(problem));
    cluster->mock = rd_kafka_mock_cluster_new(cluster->client, 1);
    rd_kafka_mock_topic_create(cluster->mock, "unit.each", PARTITIONS, 1);
    cluster->config = (struct config){ .kafka_brokers = rd_kafka_mock_cluster_bootstraps(cluster->mock),
                                       .kafka_properties = "",
                                       .topic_prefix = "unit" };
    rd_kafka_brokers_add(cluster->client, cluster->config.kafka_brokers);
    for (int i = 0; i < RECORDS; i++)
        record_send(cluster->client, 0, i);
    record_send(cluster->client, 2, 7);
    assert_int_equal(rd_kafka_flush(cluster->client, 20000), 0);
    *state = cluster;
    return 0;
}

static int cluster_teardown(void **state)
{
    struct cluster *cluster = *state;

    rd_kafka_mock_cluster_destroy(cluster->mock);
    rd_kafka_destroy(cluster->client);
    test_teardown((void **)&cluster->test);
    test_free(cluster);
    return 0;
}

#define CLUSTER_TEST(function) cmocka_unit_test_setup_teardown(function, cluster_setup, cluster_teardown)

static const struct record *next_of(struct cluster *cluster, struct reader_run *run)
{
    const struct record *record = NULL;

    if (reader_next(run, &record, &cluster->test->err) < 0)
        fail_msg("%s", cluster->test->err.cause);
    return record;
}

static void expect(const struct record *record, int32_t partition, int64_t offset, int number)
{
    char value[32];

    snprintf(value, sizeof(value), "%d", number);
    assert_non_null(record);
    assert_string_equal(record->topic, "unit.each");
    assert_int_equal(record->partition, partition);
    assert_int_equal(record->offset, offset);
    assert_int_equal(record->value_length, strlen(value));
    assert_memory_equal(record->value, value, strlen(value));
    assert_memory_equal(record->key, "key", 3);
}

static struct reader *reader_of(struct cluster *cluster)
{
    struct reader *reader = NULL;
    int partitions = 0;

    assert_int_equal(reader_new(&cluster->config, 20 * USEC_PER_S, &reader, &cluster->test->err), 0);
    assert_int_equal(reader_partitions(reader, "each", &partitions, &cluster->test->err), 0);
    assert_int_equal(partitions, PARTITIONS);
    return reader;
}

static void it_knows_how_far_a_topic_goes(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_bounds bounds;

    assert_int_equal(reader_bounds(reader, "each", 0, &bounds, &cluster->test->err), 0);
    assert_int_equal(bounds.low, 0);
    assert_int_equal(bounds.high, RECORDS);
    assert_int_equal(reader_bounds(reader, "each", 1, &bounds, &cluster->test->err), 0);
    assert_int_equal(bounds.high, 0);
}

static void a_window_is_what_lies_in_it_and_the_next_goes_on(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *run = reader_run_new(reader);
    int64_t at = 10;

    reader_run_add(run, "each", 0, 10, 10);
    assert_null(next_of(cluster, run)); /* an empty one */
    for (int64_t until = 11; until <= RECORDS; until += until < 40 ? 1 : 365) {
        reader_run_extend(run, until);
        for (; at < until; at++)
            expect(next_of(cluster, run), 0, at, (int)at);
        assert_null(next_of(cluster, run));
        assert_null(next_of(cluster, run));
        assert_int_equal(reader_run_position(run), until);
    }
}

static void a_run_that_is_read_ahead_has_nothing_until_it_is_asked(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *first = reader_run_new(reader), *other = reader_run_new(reader);

    reader_run_add(first, "each", 0, 3, 3);
    reader_run_add(other, "each", 2, 0, 0);
    assert_int_equal(reader_run_ahead(first, &cluster->test->err), 0);
    assert_int_equal(reader_run_ahead(other, &cluster->test->err), 0);
    assert_null(next_of(cluster, first));
    reader_run_extend(other, 1);
    expect(next_of(cluster, other), 2, 0, 7);
    reader_run_extend(first, 5);
    expect(next_of(cluster, first), 0, 3, 3);
    expect(next_of(cluster, first), 0, 4, 4);
    assert_null(next_of(cluster, first));
}

static void several_partitions_are_read_to_their_ends(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *run = reader_run_new(reader);
    int64_t at = 5;
    const struct record *record;
    int others = 0;

    reader_run_add(run, "each", 0, 5, RECORDS - 1);
    reader_run_add(run, "each", 1, 0, 0);
    reader_run_add(run, "each", 2, 0, 1);
    while ((record = next_of(cluster, run))) {
        if (record->partition == 0) {
            expect(record, 0, at, (int)at);
            at++;
        } else {
            expect(record, 2, 0, 7);
            others++;
        }
    }
    assert_int_equal(at, RECORDS - 1);
    assert_int_equal(others, 1);
}

static void a_run_may_end_before_what_it_was_to_read(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *run = reader_run_new(reader);

    reader_run_add(run, "each", 0, 0, RECORDS);
    expect(next_of(cluster, run), 0, 0, 0);
    reader_run_free(run);
    run = reader_run_new(reader); /* and another may begin there */
    reader_run_add(run, "each", 0, 3, RECORDS);
    expect(next_of(cluster, run), 0, 3, 3);
}

static void an_offset_that_is_not_there_is_gone(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *run = reader_run_new(reader);
    const struct record *record;

    reader_run_add(run, "each", 0, RECORDS + 10, RECORDS + 20);
    assert_int_equal(reader_next(run, &record, &cluster->test->err), -ERR_GONE);
}

static void a_log_is_the_whole_topic(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;
    int count = 0;

    assert_int_equal(log_open(&cluster->config, "each", NULL, &log, &cluster->test->err), 0);
    assert_int_equal(log_partitions(log), PARTITIONS);
    assert_int_equal(log_length(log), RECORDS + 1);
    while (log_next(log, &record, &cluster->test->err) == 0 && record)
        count++;
    assert_int_equal(count, RECORDS + 1);
}

static void a_log_may_be_one_partition(void **state)
{
    struct cluster *cluster = *state;
    const struct log_range range = { .since = USEC_NONE, .partition = 2 };
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;

    assert_int_equal(log_open(&cluster->config, "each", &range, &log, &cluster->test->err), 0);
    assert_int_equal(log_next(log, &record, &cluster->test->err), 0);
    expect(record, 2, 0, 7);
    assert_int_equal(log_next(log, &record, &cluster->test->err), 0);
    assert_null(record);
}

static void a_log_may_be_the_partition_of_a_key(void **state)
{
    struct cluster *cluster = *state;
    int seen = 0;

    for (int i = 0; i < PARTITIONS; i++) {
        _cleanup_(log_closep) struct log *log = NULL;
        char key[16];
        int number = 0;

        do
            snprintf(key, sizeof(key), "pri_%d", number++);
        while (log_partition_of(key, strlen(key), PARTITIONS) != i);
        const struct log_range range = { .since = USEC_NONE, .partition = LOG_ALL, .key = key };

        assert_int_equal(log_open(&cluster->config, "each", &range, &log, &cluster->test->err), 0);
        assert_int_equal(log_length(log), i == 0 ? RECORDS : i == 1 ? 0 : 1);
        seen += (int)log_length(log);
    }
    assert_int_equal(seen, RECORDS + 1);
}

static void a_record_says_what_its_headers_say(void **state)
{
    struct cluster *cluster = *state;
    _cleanup_(reader_freep) struct reader *reader = reader_of(cluster);
    struct reader_run *run = reader_run_new(reader);
    struct record_event event;

    reader_run_add(run, "each", 0, 41, 42);
    record_event(next_of(cluster, run), &event);
    assert_int_equal(event.sequence, 42);
    assert_string_equal(event.attributes[RECORD_TYPE], "some.type");
    assert_null(event.attributes[RECORD_ID]);
    assert_false(event.has_chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(it_knows_how_far_a_topic_goes),
        CLUSTER_TEST(a_window_is_what_lies_in_it_and_the_next_goes_on),
        CLUSTER_TEST(a_run_that_is_read_ahead_has_nothing_until_it_is_asked),
        CLUSTER_TEST(several_partitions_are_read_to_their_ends),
        CLUSTER_TEST(a_run_may_end_before_what_it_was_to_read),
        CLUSTER_TEST(an_offset_that_is_not_there_is_gone),
        CLUSTER_TEST(a_log_is_the_whole_topic),
        CLUSTER_TEST(a_log_may_be_one_partition),
        CLUSTER_TEST(a_log_may_be_the_partition_of_a_key),
        CLUSTER_TEST(a_record_says_what_its_headers_say),
    };

    return cmocka_run_group_tests_name("common/reader", tests, NULL, NULL);
}
