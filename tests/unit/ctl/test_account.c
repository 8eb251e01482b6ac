#include "worker/ctl/audit/account.h"

#include <sodium.h>
#include <stdio.h>

#include "common/event.h"
#include "common/schema.h"
#include "tests/unit/test.h"

#define ID "pri_1"
#define SOURCE "/docket/here/docket-worker"
#define TOPIC "docket.lifecycle"
#define WEBHOOK "\"webhook_id\":\"pre_1\",\"webhook_key\":\"ask\""
#define DISCLOSED \
    "\"disclosed\":{\"connection_key\":\"crm\",\"host\":\"crm.example.com\",\"policy_key\":\"delete_data\"," \
    "\"identity\":[\"email\"],\"parts\":[\"*\"]}"

enum { EVENTS_MAX = 8 };

/* A request's events as they stand on the topic. */
struct said {
    const char *type, *value;
};

struct written {
    char id[32], time[USEC_TEXT_BYTES], sequence[24], chain[2 * EVENT_CHAIN_BYTES + 1];
    uint8_t head[EVENT_CHAIN_BYTES];
    struct record record;
};

static const struct said history[] = {
    { "docket.request.created.v1", "{\"request_id\":\"pri_1\",\"status\":\"pending\",\"policy_key\":\"delete_data\","
                                   "\"action_type\":\"erasure\"}" },
    { "docket.request.webhook_failed.v1", "{" WEBHOOK ",\"attempt\":1,\"outcome\":\"connection_refused\"}" },
    { "docket.request.webhook_failed.v1",
      "{" WEBHOOK ",\"attempt\":2,\"outcome\":\"http_5xx\",\"status_code\":503," DISCLOSED "}" },
    { "docket.request.webhook_sent.v1",
      "{" WEBHOOK ",\"kind\":\"pre\",\"attempt\":3,\"outcome\":\"succeeded\",\"status_code\":200}" }, /* an older docket's */
    { "docket.request.completed.v1", "{\"status\":\"complete\"}" },
    { "docket.request.disclosed.v1", "{\"what\":\"package\",\"rule_keys\":[\"all\"],\"to\":\"link\"}" },
};

static void write_one(struct written *written, const struct written *before, int64_t seq, const struct said *said)
{
    usec_t time = (usec_t)1700000000 * USEC_PER_S + seq;

    snprintf(written->id, sizeof(written->id), "%s.%lld", ID, (long long)seq);
    snprintf(written->sequence, sizeof(written->sequence), "%020lld", (long long)seq);
    usec_format_z(time, written->time);
    event_chain(before ? before->head : NULL, ID, seq, said->type, time, SOURCE, NULL, NULL, said->value,
                strlen(said->value), written->head);
    sodium_bin2hex(written->chain, sizeof(written->chain), written->head, sizeof(written->head));
    written->record = (struct record){ .topic = TOPIC, .key = ID, .key_length = strlen(ID), .value = said->value,
                                       .value_length = strlen(said->value), .header_count = 6 };
    written->record.headers[0] = (struct record_header){ "ce_id", written->id, strlen(written->id) };
    written->record.headers[1] = (struct record_header){ "ce_type", said->type, strlen(said->type) };
    written->record.headers[2] = (struct record_header){ "ce_time", written->time, strlen(written->time) };
    written->record.headers[3] = (struct record_header){ "ce_source", SOURCE, strlen(SOURCE) };
    written->record.headers[4] = (struct record_header){ "ce_sequence", written->sequence, strlen(written->sequence) };
    written->record.headers[5] = (struct record_header){ "ce_chain", written->chain, strlen(written->chain) };
}

static void write_all(struct written written[EVENTS_MAX])
{
    for (size_t i = 0; i < COUNT_OF(history); i++)
        write_one(&written[i], i ? &written[i - 1] : NULL, (int64_t)i + 1, &history[i]);
}

/* Takes those of `places`, which ends with -1, in that order. */
static struct account *account_of(const struct written *written, const int *places)
{
    struct account *account = account_new(ID);

    for (; *places >= 0; places++)
        account_take(account, &written[*places].record);
    return account;
}

static const int all[] = { 0, 1, 2, 3, 4, 5, -1 };

static void repeats_and_disorder_make_no_difference(void **state)
{
    static const int shuffled[] = { 3, 5, 0, 1, 3, 2, 4, 0, 5, 5, -1 };
    struct written written[EVENTS_MAX];
    _cleanup_(account_freep) struct account *first = NULL, *second = NULL;
    _cleanup_(json_object_putp) json_object *one = NULL, *other = NULL;

    (void)state;
    write_all(written);
    first = account_of(written, all);
    second = account_of(written, shuffled);
    assert_null(account_problem(first));
    assert_null(account_problem(second));
    assert_int_equal(account_count(second), COUNT_OF(history));
    one = account_statement(first, TOPIC, 0);
    other = account_statement(second, TOPIC, 0);
    assert_string_equal(json_object_to_json_string(one), json_object_to_json_string(other));
}

static void an_account_says_to_whom_what_and_why(void **state)
{
    struct written written[EVENTS_MAX];
    _cleanup_(account_freep) struct account *account = NULL;
    _cleanup_(json_object_putp) json_object *statement = NULL;
    json_object *list;

    (void)state;
    write_all(written);
    account = account_of(written, all);
    assert_null(account_problem(account));
    statement = account_statement(account, TOPIC, 0);
    list = schema_get(statement, "disclosures");
    assert_int_equal(json_object_array_length(list), 2);
    assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(list, 0), JSON_C_TO_STRING_PLAIN),
                        "{\"event\":3,\"time\":\"2023-11-14T22:13:20.000003Z\",\"what\":\"call\",\"to\":{"
                        "\"connection_key\":\"crm\",\"host\":\"crm.example.com\"},\"identity\":[\"email\"],"
                        "\"parts\":[\"*\"],\"why\":{\"webhook_key\":\"ask\",\"webhook_id\":\"pre_1\","
                        "\"kind\":\"pre_approval\",\"policy_key\":\"delete_data\",\"action_type\":\"erasure\"},"
                        "\"attempt\":2,\"outcome\":\"http_5xx\",\"status_code\":503}");
    assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(list, 1), JSON_C_TO_STRING_PLAIN),
                        "{\"event\":6,\"time\":\"2023-11-14T22:13:20.000006Z\",\"what\":\"package\",\"to\":{"
                        "\"kind\":\"link\"},\"rule_keys\":[\"all\"],\"why\":{\"policy_key\":\"delete_data\","
                        "\"action_type\":\"erasure\"}}");
    assert_int_equal(schema_int(statement, "nothing_disclosed", -1), 1);
    assert_int_equal(schema_int(statement, "untold", -1), 1);
    assert_int_equal(schema_int(statement, "event_count", -1), COUNT_OF(history));
    assert_string_equal(schema_text(statement, "status"), "complete");
    assert_string_equal(schema_text(statement, "chain"), written[COUNT_OF(history) - 1].chain);
}

static void assert_problem(const struct written *written, const int *places, const char *expected)
{
    _cleanup_(account_freep) struct account *account = account_of(written, places);
    const char *problem = account_problem(account);

    assert_non_null(problem);
    assert_string_equal(problem, expected);
}

static void what_is_missing_or_changed_is_found(void **state)
{
    static const int none[] = { -1 }, no_first[] = { 1, 2, -1 }, hole[] = { 0, 1, 3, -1 };
    struct written written[EVENTS_MAX], changed[EVENTS_MAX];
    char other[] = "{\"status\":\"complete?\"}";

    (void)state;
    write_all(written);
    assert_problem(written, none, "there is no event of it");
    assert_problem(written, no_first, "event 1 is missing");
    assert_problem(written, hole, "event 3 is missing");
    write_all(changed);
    changed[4].record.value = other;
    changed[4].record.value_length = strlen(other);
    assert_problem(changed, all, "event 5 is not what its chain says");
    write_all(changed);
    changed[2].record.headers[1].value = "docket.request.webhook_sent.v1";
    changed[2].record.headers[1].length = strlen("docket.request.webhook_sent.v1");
    assert_problem(changed, all, "event 3 is not what its chain says");
}

static void a_second_event_of_the_same_number_is_found(void **state)
{
    const struct said said = { "docket.request.denied.v1", "{\"status\":\"denied\"}" };
    struct written written[EVENTS_MAX];
    _cleanup_(account_freep) struct account *account = NULL;

    (void)state;
    write_all(written);
    account = account_of(written, all);
    write_one(&written[6], &written[1], 3, &said); /* as good a successor of the second as the first one */
    account_take(account, &written[6].record);
    assert_non_null(account_problem(account));
}

/* Another request's events, put under this one's key as they are. */
static void what_another_request_says_is_not_taken_for_this_one_s(void **state)
{
    struct written written[EVENTS_MAX];
    _cleanup_(account_freep) struct account *account = account_new("pri_2");

    (void)state;
    write_all(written);
    account_take(account, &written[0].record); /* passed over, by its key */
    assert_int_equal(account_count(account), 0);
    written[0].record.key = "pri_2";
    account_take(account, &written[0].record);
    assert_int_equal(account_count(account), 1);
    assert_string_equal(account_problem(account), "event 1 is not what its chain says");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_and_disorder_make_no_difference),
        cmocka_unit_test(an_account_says_to_whom_what_and_why),
        cmocka_unit_test(what_is_missing_or_changed_is_found),
        cmocka_unit_test(a_second_event_of_the_same_number_is_found),
        cmocka_unit_test(what_another_request_says_is_not_taken_for_this_one_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
