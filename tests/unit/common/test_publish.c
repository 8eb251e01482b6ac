#include "tests/unit/test.h"

#include "common/publish.h"

/* librdkafka's mock cluster stands in for Kafka. */
static const struct config config = { .kafka_brokers = "mock",
                                      .kafka_properties = "test.mock.num.brokers=1",
                                      .topic_prefix = "unit",
                                      .cluster = "here" };

static struct publisher *publisher_make(void)
{
    struct publisher *publisher;
    struct err err;

    assert_int_equal(publisher_new(&config, "docket-unit", &publisher, &err), 0);
    return publisher;
}

static struct journal_entry entry(const char *request_id, int64_t seq, bool behind, int64_t outbox)
{
    return (struct journal_entry){ .request_id = request_id,
                                   .type = EVENT_CREATED,
                                   .time = USEC_PER_S,
                                   .payload = "{}",
                                   .seq = seq,
                                   .behind = behind,
                                   .outbox = outbox };
}

static int send_one(struct publisher *publisher, struct journal_entry one)
{
    struct journal_entry *entries[] = { &one };

    return publish_entries(publisher, entries, 1);
}

/* Polls until an outbox row may go, and tells which; 0 when none may within ten seconds. */
static int64_t wait_acked(struct publisher *publisher)
{
    usec_t until = usec_monotonic() + 10 * USEC_PER_S;
    int64_t outbox;

    while (usec_monotonic() < until) {
        publisher_poll(publisher, 10 * USEC_PER_MS);
        if (publish_take_acked(publisher, &outbox, 1))
            return outbox;
    }
    return 0;
}

static int64_t take_left(struct publisher *publisher)
{
    int64_t outbox;

    return publish_take_left(publisher, &outbox, 1) ? outbox : 0;
}

static void a_row_may_go_once_all_of_its_events_are_acknowledged(void **state)
{
    struct publisher *publisher = publisher_make();
    struct journal_entry a = entry("pri_a", 1, false, 7), b = entry("pri_b", 4, false, 7), lost = entry("pri_c", 0, false, 0);
    struct journal_entry *entries[] = { &a, &b, &lost };
    int64_t outbox = 7;
    usec_t oldest;

    (void)state;
    assert_int_equal(publish_entries(publisher, entries, 3), 0);
    assert_int_equal(publisher_underway(publisher, &oldest), 2);
    assert_int_equal(wait_acked(publisher), 7);
    assert_int_equal(publisher_underway(publisher, &oldest), 0);
    publish_forgotten(publisher, &outbox, 1);
    publisher_free(publisher, USEC_PER_S);
}

static void an_event_whose_predecessor_is_elsewhere_is_left_to_the_relay(void **state)
{
    struct publisher *publisher = publisher_make();

    (void)state;
    assert_int_equal(send_one(publisher, entry("pri_a", 5, true, 3)), 1);
    assert_int_equal(take_left(publisher), 3);
    assert_int_equal(take_left(publisher), 0);
    publisher_free(publisher, USEC_PER_S);
}

static void an_event_follows_its_predecessor_that_was_sent_from_here(void **state)
{
    struct publisher *publisher = publisher_make();
    int64_t outbox = 1;

    (void)state;
    assert_int_equal(send_one(publisher, entry("pri_a", 1, false, 1)), 0);
    assert_int_equal(send_one(publisher, entry("pri_a", 2, true, 2)), 0);
    assert_int_equal(send_one(publisher, entry("pri_a", 4, true, 3)), 1); /* 3 is somebody else's */
    assert_int_equal(wait_acked(publisher), 1);
    publish_forgotten(publisher, &outbox, 1);
    assert_int_equal(send_one(publisher, entry("pri_a", 3, true, 4)), 0); /* 2's row stands: it was sent */
    publisher_free(publisher, USEC_PER_S);
}

static void what_could_not_be_deleted_is_told_again(void **state)
{
    struct publisher *publisher = publisher_make();
    int64_t outbox;

    (void)state;
    send_one(publisher, entry("pri_a", 1, false, 9));
    outbox = wait_acked(publisher);
    publish_give_back(publisher, &outbox, 1);
    assert_int_equal(wait_acked(publisher), 9);
    publisher_free(publisher, USEC_PER_S);
}

static void the_relay_sends_nothing_that_is_on_its_way_from_here(void **state)
{
    struct publisher *publisher = publisher_make();
    struct publish_record record = { .aggregate = "lifecycle",
                                     .request_id = "pri_a",
                                     .seq = 1,
                                     .type = "docket.request.created.v1",
                                     .source = "/docket/here/other",
                                     .time = USEC_PER_S,
                                     .payload = "{}",
                                     .payload_length = 2 };
    usec_t oldest;

    (void)state;
    send_one(publisher, entry("pri_a", 1, false, 5));
    publish_outbox(publisher, 5, &record, 1);
    assert_int_equal(publisher_underway(publisher, &oldest), 1);
    assert_int_equal(wait_acked(publisher), 5);

    record.request_id = "pri_b"; /* another program's, which it did not live to send */
    publish_outbox(publisher, 6, &record, 1);
    assert_int_equal(wait_acked(publisher), 6);
    publisher_free(publisher, USEC_PER_S);
}

static void what_the_relay_must_hold_back_keeps_its_row(void **state)
{
    struct publisher *publisher = publisher_make();
    struct publish_record records[2] = { { .request_id = "pri_a", .seq = 1 }, { .request_id = "pri_b", .seq = 2, .behind = true } };
    int64_t outbox;
    usec_t oldest, until;

    (void)state;
    for (int i = 0; i < 2; i++) {
        records[i].aggregate = "lifecycle";
        records[i].type = "docket.request.created.v1";
        records[i].source = "/docket/here/other";
        records[i].payload = "{}";
        records[i].payload_length = 2;
    }
    publish_outbox(publisher, 8, records, 2);
    assert_int_equal(publisher_underway(publisher, &oldest), 1);
    for (until = usec_monotonic() + 10 * USEC_PER_S; publisher_underway(publisher, &oldest) && usec_monotonic() < until;)
        publisher_poll(publisher, 10 * USEC_PER_MS);
    assert_int_equal(publisher_underway(publisher, &oldest), 0);
    assert_int_equal(publish_take_acked(publisher, &outbox, 1), 0);
    assert_int_equal(take_left(publisher), 8); /* and is soon tried again */
    publisher_free(publisher, USEC_PER_S);
}

struct told {
    int count;
    bool failed;
};

static void on_done(void *opaque, const struct err *err)
{
    struct told *told = opaque;

    told->count++;
    told->failed = err != NULL;
}

static void a_reply_is_told_once_kafka_has_it(void **state)
{
    struct publisher *publisher = publisher_make();
    struct publish_reply reply = { .request_id = "pri_a", .webhook_id = "pre_a", .eligible = true, .received_at = 1 };
    struct told told = { 0 };
    usec_t until = usec_monotonic() + 10 * USEC_PER_S;
    struct err err;

    (void)state;
    assert_int_equal(publish_reply(publisher, &reply, on_done, &told, &err), 0);
    while (!told.count && usec_monotonic() < until)
        publisher_poll(publisher, 10 * USEC_PER_MS);
    assert_int_equal(told.count, 1);
    assert_false(told.failed);
    publisher_free(publisher, USEC_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_may_go_once_all_of_its_events_are_acknowledged),
        cmocka_unit_test(an_event_whose_predecessor_is_elsewhere_is_left_to_the_relay),
        cmocka_unit_test(an_event_follows_its_predecessor_that_was_sent_from_here),
        cmocka_unit_test(what_could_not_be_deleted_is_told_again),
        cmocka_unit_test(the_relay_sends_nothing_that_is_on_its_way_from_here),
        cmocka_unit_test(what_the_relay_must_hold_back_keeps_its_row),
        cmocka_unit_test(a_reply_is_told_once_kafka_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
