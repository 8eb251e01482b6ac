#include "tests/unit/common/records.h"

#include <json-c/json.h>
#include <stdio.h>

#include "common/jsonschema.h"
#include "common/arrival.c"

struct bench {
    struct test test;
    struct arrival_reader *reader;
};

static int bench_setup(void **state)
{
    struct bench *bench = test_calloc(1, sizeof(*bench));

    bench->test.arena = arena_new();
    assert_int_equal(arrival_reader_new(&bench->reader, &bench->test.err), 0);
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;

    arrival_reader_free(bench->reader);
    arena_free(bench->test.arena);
    test_free(bench);
    return 0;
}

#define BENCH_TEST(function) cmocka_unit_test_setup_teardown(function, bench_setup, bench_teardown)

static void assert_read(struct bench *bench, enum arrival_topic topic, const struct sample *sample,
                        struct arrival_event *event)
{
    struct arrival_refusal refusal;

    if (!arrival_read(bench->reader, topic, &sample->record, bench->test.arena, event, &refusal))
        fail_msg("refused as %s: %s", dead_word(refusal.reason), refusal.detail);
}

static void assert_refused(struct bench *bench, enum arrival_topic topic, const struct sample *sample,
                           enum dead_reason reason, const char *detail)
{
    struct arrival_refusal refusal = { DEAD_NONE, "" };
    struct arrival_event event;

    if (arrival_read(bench->reader, topic, &sample->record, bench->test.arena, &event, &refusal))
        fail_msg("taken, though %s", detail);
    assert_string_equal(refusal.detail, detail);
    assert_string_equal(dead_word(refusal.reason), dead_word(reason));
}

static void a_right_record_is_read(void **state)
{
    struct arrival_event event;
    struct sample sample;

    sample_lifecycle(&sample);
    assert_read(*state, ARRIVAL_LIFECYCLE, &sample, &event);
    assert_int_equal(event.type, EVENT_COMPLETED);
    assert_string_equal(event.request_id, REQUEST_ID);
    assert_string_equal(event.id, REQUEST_ID ".3");
    assert_string_equal(event.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_int_equal(event.seq, 3);

    sample_reply(&sample);
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    assert_int_equal(event.type, EVENT_REPLY_ELIGIBLE);
    assert_string_equal(event.webhook_id, "pre_1");
    assert_string_equal(event.id, REQUEST_ID ".pre_1.eligible");
    assert_null(event.traceparent);
}

static void what_is_not_known_is_let_pass(void **state)
{
    struct arrival_event event;
    struct sample sample;

    sample_reply(&sample);
    sample_add(&sample, "x-other", "1");
    sample_add(&sample, "x-other", "2");
    sample_add(&sample, "ce_extension", NULL);
    sample_add(&sample, "ce_traceparent", "not a\ntrace");
    sample_set(&sample, "content-type", "Application/JSON ; charset=utf-8");
    sample_set(&sample, "ce_specversion", "1.7");
    sample_value(&sample, "{\"more\":{\"deep\":[1]},\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":\"pre_\\u0031\","
                          "\"eligible\":true,\"received_at\":\"2026-01-02T03:04:05.678901Z\",\"other\":null}");
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    assert_string_equal(event.webhook_id, "pre_1");
    assert_null(event.traceparent);
}

static void a_bad_key_is_refused(void **state)
{
    static const struct {
        const char *key, *detail;
    } keys[] = {
        { NULL, "key is missing" },
        { "", "key is missing" },
        { "\xff\xfe", "key is no UTF-8" },
        { "pri_1", "key is no id of a request" },
        { REQUEST_ID "0", "key is no id of a request" },
        { "pri_1F0C4A52-6f5e-4a0e-9d5b-0a5c2f1f7b3e", "key is no id of a request" },
        { "prx_1f0c4a52-6f5e-4a0e-9d5b-0a5c2f1f7b3e", "key is no id of a request" },
        { "pri_1f0c4a52-6f5e-4a0e-9d5b00a5c2f1f7b3e", "key is no id of a request" },
    };
    struct sample sample;

    sample_reply(&sample);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        sample_key(&sample, keys[i].key);
        assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_BAD_KEY, keys[i].detail);
    }
    sample_key(&sample, REQUEST_ID);
    sample.record.key_length = 20000; /* not looked at, as it is no id's length */
    sample.record.key = test_calloc(1, 20000);
    assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_BAD_KEY, "key is no id of a request");
    test_free((void *)(uintptr_t)sample.record.key);
}

/* What one header becomes, and what is said about that. */
static const struct {
    enum arrival_topic topic;
    const char *header, *value, *detail;
    enum dead_reason reason; /* NONE: BAD_HEADER */
} headers[] = {
    { ARRIVAL_LIFECYCLE, "content-type", NULL, "content-type is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_specversion", NULL, "ce_specversion is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_id", NULL, "ce_id is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_source", NULL, "ce_source is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_type", NULL, "ce_type is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_subject", NULL, "ce_subject is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_time", NULL, "ce_time is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", NULL, "ce_sequence is missing", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_chain", NULL, "ce_chain is missing", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "content-type", NULL, "content-type is missing", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_subject", "", "ce_subject is missing", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_time", NULL, "ce_time is missing", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_source", "", "ce_source is missing", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "content-type", "text/plain", "content-type is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "content-type", "application/jsonx", "content-type is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "content-type", "application/cloudevents-batch+json", "content-type is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "content-type", "application/cloudevents+json", "content-type is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_specversion", "0.3", "ce_specversion is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_specversion", "2.0", "ce_specversion is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_specversion", "1.", "ce_specversion is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_specversion", "1.0 ", "ce_specversion is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_time", "yesterday", "ce_time is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_time", "2026-01-02", "ce_time is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_time", "2026-01-02T03:04:05", "ce_time is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_time", "2026-13-02T03:04:05Z", "ce_time is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_id", "a\nb", "ce_id is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_source", "\xff", "ce_source is not of its form", DEAD_NONE },
    { ARRIVAL_CALLBACKS, "ce_subject", "pri_2", "ce_subject is another than the key", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "three", "ce_sequence is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "-3", "ce_sequence is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "000000000000000000003", "ce_sequence is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "3", "ce_sequence is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "00000000000000000004", "ce_id is not that of the key and ce_sequence", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_sequence", "99999999999999999999", "ce_sequence is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_id", REQUEST_ID ".4", "ce_id is not that of the key and ce_sequence", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_id", "other.3", "ce_id is not that of the key and ce_sequence", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_chain", "abc", "ce_chain is not of its form", DEAD_NONE },
    { ARRIVAL_LIFECYCLE, "ce_type", "docket.request.exploded.v1", "ce_type is not known", DEAD_UNKNOWN_TYPE },
    { ARRIVAL_LIFECYCLE, "ce_type", "docket.request.completed.vx", "ce_type is not known", DEAD_UNKNOWN_TYPE },
    { ARRIVAL_LIFECYCLE, "ce_type", "unknown", "ce_type is not known", DEAD_UNKNOWN_TYPE },
    { ARRIVAL_LIFECYCLE, "ce_type", "docket.request.completed.v2", "ce_type is of another version", DEAD_UNKNOWN_VERSION },
    { ARRIVAL_CALLBACKS, "ce_type", "docket.reply.eligible.v10", "ce_type is of another version", DEAD_UNKNOWN_VERSION },
    { ARRIVAL_LIFECYCLE, "ce_type", "docket.reply.eligible.v1", "ce_type belongs on another topic", DEAD_WRONG_TOPIC },
    { ARRIVAL_LIFECYCLE, "ce_type", "docket.checkpoint.v1", "ce_type belongs on another topic", DEAD_WRONG_TOPIC },
    { ARRIVAL_LIFECYCLE, "ce_type", "structured", "ce_type is not known", DEAD_UNKNOWN_TYPE },
    { ARRIVAL_CALLBACKS, "ce_type", "docket.request.completed.v1", "ce_type belongs on another topic", DEAD_WRONG_TOPIC },
};

static void sample_of(struct sample *sample, enum arrival_topic topic)
{
    if (topic == ARRIVAL_LIFECYCLE)
        sample_lifecycle(sample);
    else
        sample_reply(sample);
}

static void a_bad_header_is_refused(void **state)
{
    struct sample sample;

    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        sample_of(&sample, headers[i].topic);
        sample_set(&sample, headers[i].header, headers[i].value);
        assert_refused(*state, headers[i].topic, &sample,
                       headers[i].reason == DEAD_NONE ? DEAD_BAD_HEADER : headers[i].reason, headers[i].detail);
    }
    sample_reply(&sample);
    sample.record.header_count = 0;
    assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_BAD_HEADER, "content-type is missing");
}

static void each_header_that_is_known_must_be_there_once(void **state)
{
    char detail[64];
    struct sample sample;

    sample_lifecycle(&sample);
    for (int i = sample.record.header_count - 1; i >= 0; i--) {
        sample_lifecycle(&sample);
        snprintf(detail, sizeof(detail), "%s is there twice, or holds a NUL", sample.headers[i].name);
        sample_add(&sample, sample.headers[i].name, sample.headers[i].value);
        assert_refused(*state, ARRIVAL_LIFECYCLE, &sample, DEAD_BAD_HEADER, detail);
    }
    sample_lifecycle(&sample);
    sample_set(&sample, "ce_source", NULL);
    sample_add(&sample, "ce_source", NULL); /* there, without a value */
    assert_refused(*state, ARRIVAL_LIFECYCLE, &sample, DEAD_BAD_HEADER, "ce_source is missing");
    sample_lifecycle(&sample);
    sample.headers[0] = (struct record_header){ "content-type", "application/json\0", 17 };
    assert_refused(*state, ARRIVAL_LIFECYCLE, &sample, DEAD_BAD_HEADER, "content-type is there twice, or holds a NUL");
}

static void a_header_too_long_is_refused(void **state)
{
    char text[ATTRIBUTE_BYTES + 2] = "/";
    struct sample sample;
    struct arrival_event event;

    memset(text, '/', ATTRIBUTE_BYTES);
    sample_reply(&sample);
    sample_set(&sample, "ce_source", text);
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    text[ATTRIBUTE_BYTES] = '/';
    sample_set(&sample, "ce_source", text);
    assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_BAD_HEADER, "ce_source is not of its form");
}

static void a_bad_value_is_refused(void **state)
{
    static const struct {
        const char *value, *detail;
        enum dead_reason reason;
    } values[] = {
        { NULL, "value is missing", DEAD_NO_VALUE },
        { "", "is no JSON at byte 0", DEAD_BAD_JSON },
        { "{\"request_id\":", "is no JSON at byte 14", DEAD_BAD_JSON },
        { "\xff", "is not UTF-8", DEAD_BAD_JSON },
        { "[]", "data is not of its type", DEAD_BAD_DATA },
        { "{}", "request_id is missing", DEAD_BAD_DATA },
        { "{\"request_id\":\"" REQUEST_ID "\"}", "webhook_id is missing", DEAD_BAD_DATA },
        { "{\"request_id\":\"pri_2\",\"webhook_id\":\"pre_1\",\"eligible\":true,\"received_at\":\"2026-01-02T03:04:05.678901Z\"}",
          "request_id is another than the key", DEAD_BAD_DATA },
        { "{\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":7,\"eligible\":true,\"received_at\":\"2026-01-02T03:04:05.678901Z\"}",
          "webhook_id is not of its type", DEAD_BAD_DATA },
        { "{\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":\"\",\"eligible\":true,\"received_at\":\"2026-01-02T03:04:05.678901Z\"}",
          "webhook_id is too short", DEAD_BAD_DATA },
        { "{\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":\"pre_1\",\"eligible\":false,\"received_at\":\"2026-01-02T03:04:05.678901Z\"}",
          "eligible is none of its words", DEAD_BAD_DATA },
        { "{\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":\"pre_1\",\"eligible\":true,\"received_at\":\"now\"}",
          "received_at is not of its pattern", DEAD_BAD_DATA },
    };
    struct sample sample;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        sample_reply(&sample);
        sample_value(&sample, values[i].value);
        assert_refused(*state, ARRIVAL_CALLBACKS, &sample, values[i].reason, values[i].detail);
    }
}

static void a_value_too_deep_or_too_long_is_refused(void **state)
{
    char deep[67] = "", *text = test_calloc(1, CALLBACKS_BYTES + 2);
    struct sample sample;
    struct arrival_event event;

    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    sample_reply(&sample);
    sample_value(&sample, deep);
    assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_BAD_JSON, "is too deep at byte 33");
    memset(text, ' ', CALLBACKS_BYTES);
    memcpy(text, REPLY_DATA, strlen(REPLY_DATA));
    sample_value(&sample, text);
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    text[CALLBACKS_BYTES] = ' ';
    sample_value(&sample, text);
    assert_refused(*state, ARRIVAL_CALLBACKS, &sample, DEAD_TOO_LARGE, "value has 65537 bytes, 65536 are allowed");
    test_free(text);
}

static void structured_mode_is_read_as_well(void **state)
{
    static const char *const values[] = {
        STRUCTURED("", ",\"data\":" REPLY_DATA),
        STRUCTURED(",\"subject\":\"" REQUEST_ID "\",\"time\":\"2026-01-02T03:04:05Z\",\"datacontenttype\":\"application/json\"",
                   ",\"data\" : " REPLY_DATA " "),
        STRUCTURED(",\"extension\":\"x\",\"traceparent\":\"00-0\"", ",\"data\":" REPLY_DATA),
        "{\"data\":" REPLY_DATA ",\"type\":\"docket.reply.\\u0065ligible.v1\",\"source\":\"/crm\",\"id\":\"x-1\",\"specversion\":\"1.0\"}",
    };
    struct arrival_event event;
    struct sample sample;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        sample_structured(&sample, values[i]);
        assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
        assert_int_equal(event.type, EVENT_REPLY_ELIGIBLE);
        assert_string_equal(event.id, "x-1");
        assert_string_equal(event.webhook_id, "pre_1");
    }
    sample_add(&sample, "ce_type", "docket.request.created.v1"); /* a copy, of something else */
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    assert_refused(*state, ARRIVAL_LIFECYCLE, &sample, DEAD_BAD_HEADER, "ce_specversion is missing");
}

static void its_data_may_be_in_base64(void **state)
{
    char base64[512], value[1024];
    struct arrival_event event;
    struct sample sample;

    sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)REPLY_DATA, strlen(REPLY_DATA),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(value, sizeof(value), STRUCTURED("", ",\"data_base64\":\"%s\""), base64);
    sample_structured(&sample, value);
    assert_read(*state, ARRIVAL_CALLBACKS, &sample, &event);
    assert_string_equal(event.webhook_id, "pre_1");
}

static void structured_mode_that_is_wrong_is_refused(void **state)
{
    static const struct {
        const char *value, *detail;
        enum dead_reason reason;
    } values[] = {
        { "{", "is no JSON at byte 1", DEAD_BAD_JSON },
        { "{\"specversion\":\"1.0\",\"source\":\"/\",\"type\":\"x\",\"data\":{}}", "id is missing", DEAD_BAD_HEADER },
        { STRUCTURED("", ""), "data is missing", DEAD_BAD_HEADER },
        { STRUCTURED(",\"data_base64\":\"e30=\"", ",\"data\":{}"), "data is there twice", DEAD_BAD_HEADER },
        { STRUCTURED("", ",\"data_base64\":\"!\""), "data_base64 is not of its form", DEAD_BAD_HEADER },
        { STRUCTURED("", ",\"data_base64\":\"e30=\""), "request_id is missing", DEAD_BAD_DATA },
        { STRUCTURED(",\"subject\":7", ",\"data\":{}"), "subject is not of its type", DEAD_BAD_HEADER },
        { STRUCTURED(",\"subject\":\"pri_2\"", ",\"data\":{}"), "subject is another than the key", DEAD_BAD_HEADER },
        { STRUCTURED(",\"time\":\"noon\"", ",\"data\":{}"), "time is not of its form", DEAD_BAD_HEADER },
        { STRUCTURED(",\"datacontenttype\":\"text/xml\"", ",\"data\":{}"), "datacontenttype is not of its form", DEAD_BAD_HEADER },
        { STRUCTURED(",\"id\":\"y\"", ",\"data\":{}"), "id is there twice", DEAD_BAD_HEADER },
        { STRUCTURED("", ",\"data\":{}"), "request_id is missing", DEAD_BAD_DATA },
        { STRUCTURED("", ",\"data\":\"{}\""), "data is not of its type", DEAD_BAD_DATA },
        { "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/\",\"type\":\"x\",\"data\":{}}", "specversion is not of its form",
          DEAD_BAD_HEADER },
        { "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"x\",\"data\":{}}", "type is not known",
          DEAD_UNKNOWN_TYPE },
    };
    struct sample sample;

    for (size_t i = 0; i < COUNT_OF(values); i++) {
        sample_structured(&sample, values[i].value);
        assert_refused(*state, ARRIVAL_CALLBACKS, &sample, values[i].reason, values[i].detail);
    }
}

/* Held exactly, so that a schema which uses a keyword that is not known here shows, and one that is misread too. */
static void every_schema_takes_its_examples_and_nothing_beside(void **state)
{
    struct bench *bench = *state;
    char why[JSONSCHEMA_WHY_BYTES];

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        json_object *document = json_tokener_parse(texts[i].text), *examples, *properties;
        const struct jsonschema *schema;

        if (jsonschema_compile(texts[i].text, false, bench->test.arena, &schema, &bench->test.err) < 0)
            fail_msg("%s: %s", texts[i].name, bench->test.err.text);
        assert_true(json_object_object_get_ex(document, "examples", &examples));
        assert_true(json_object_object_get_ex(document, "properties", &properties));
        assert_true(json_object_array_length(examples) > 0);
        for (size_t n = 0; n < json_object_array_length(examples); n++) {
            json_object *example = json_object_array_get_idx(examples, n);
            const char *text = json_object_to_json_string(example);

            if (jsonschema_check(schema, text, strlen(text), NULL, why) != JSONSCHEMA_FITS)
                fail_msg("%s refuses its example %zu: %s", texts[i].name, n, why);
            json_object_object_foreach(example, name, value) {
                json_object *changed = NULL;

                (void)value;
                assert_int_equal(json_object_deep_copy(example, &changed, NULL), 0);
                json_object_object_add(changed, name, json_object_new_array());
                text = json_object_to_json_string(changed);
                if (strcmp(texts[i].name, "structured") != 0 && json_object_object_get_ex(properties, name, NULL) &&
                    !json_object_is_type(value, json_type_array) &&
                    jsonschema_check(schema, text, strlen(text), NULL, why) != JSONSCHEMA_MISFIT)
                    fail_msg("%s takes a list for %s", texts[i].name, name);
                json_object_put(changed);
            }
        }
        json_object_put(document);
    }
    assert_int_equal(COUNT_OF(texts), EVENT_TYPES - 1 + 1); /* a type each, and that of structured mode */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_right_record_is_read),
        BENCH_TEST(what_is_not_known_is_let_pass),
        BENCH_TEST(a_bad_key_is_refused),
        BENCH_TEST(a_bad_header_is_refused),
        BENCH_TEST(each_header_that_is_known_must_be_there_once),
        BENCH_TEST(a_header_too_long_is_refused),
        BENCH_TEST(a_bad_value_is_refused),
        BENCH_TEST(a_value_too_deep_or_too_long_is_refused),
        BENCH_TEST(structured_mode_is_read_as_well),
        BENCH_TEST(its_data_may_be_in_base64),
        BENCH_TEST(structured_mode_that_is_wrong_is_refused),
        BENCH_TEST(every_schema_takes_its_examples_and_nothing_beside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
