#include "common/kafka.h"

#include <stdio.h>

#include "common/config.h"
#include "tests/unit/test.h"

static rd_kafka_conf_t *conf_with(struct test *test, const char *properties)
{
    const struct config config = { .kafka_brokers = "one:9092,two:9092",
                                   .kafka_properties = properties };
    rd_kafka_conf_t *conf = NULL;

    if (kafka_conf(&config, &conf, &test->err) < 0)
        assert_null(conf);
    return conf;
}

static void assert_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256] = "";
    size_t size = sizeof(text);

    assert_int_equal(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(text, value);
}

static void brokers_and_the_program_s_name_are_set(void **state)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf = conf_with(*state, "");

    assert_property(conf, "bootstrap.servers", "one:9092,two:9092");
    assert_property(conf, "client.id", "test_common_kafka");
}

static void properties_are_parted_by_commas(void **state)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf =
        conf_with(*state, "client.id = mine, sasl.password=a=b,,socket.timeout.ms=1234,");

    assert_property(conf, "client.id", "mine");
    assert_property(conf, "sasl.password", "a=b");
    assert_property(conf, "socket.timeout.ms", "1234");
}

static void with_line_ends_a_value_may_hold_commas(void **state)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf =
        conf_with(*state, "sasl.password=a,b\r\n\nclient.id=mine\n");

    assert_property(conf, "sasl.password", "a,b");
    assert_property(conf, "client.id", "mine");
}

static void a_wrong_property_is_named_without_its_value(void **state)
{
    static const struct {
        const char *properties, *text;
    } rows[] = {
        { "client.id=x,secret", "DOCKET_KAFKA_PROPERTIES: entry 2 is not name=value" },
        { "no.such=secret", "DOCKET_KAFKA_PROPERTIES: librdkafka has no property 'no.such'" },
        { "socket.timeout.ms=secret",
          "DOCKET_KAFKA_PROPERTIES: the value of 'socket.timeout.ms' is not allowed" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_null(conf_with(test, rows[i].properties));
        assert_int_equal(test->err.code, ERR_BAD_REQUEST);
        assert_string_equal(test->err.text, rows[i].text);
    }
}

static void what_may_pass_is_tried_again_and_what_cannot_stops(void **state)
{
    struct test *test = *state;

    assert_int_equal(kafka_err(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, &test->err), -ERR_UNAVAILABLE);
    assert_string_equal(test->err.cause, "kafka: _ALL_BROKERS_DOWN");
    assert_int_equal(kafka_err(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, &test->err),
                     -ERR_UNAVAILABLE);
    assert_int_equal(kafka_err(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, &test->err), -ERR_INTERNAL);
    assert_string_equal(test->err.cause, "kafka: MSG_SIZE_TOO_LARGE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(brokers_and_the_program_s_name_are_set),
        TEST(properties_are_parted_by_commas),
        TEST(with_line_ends_a_value_may_hold_commas),
        TEST(a_wrong_property_is_named_without_its_value),
        TEST(what_may_pass_is_tried_again_and_what_cannot_stops),
    };

    return cmocka_run_group_tests_name("common/kafka", tests, NULL, NULL);
}
