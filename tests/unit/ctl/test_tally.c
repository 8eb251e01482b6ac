#include "worker/ctl/audit/tally.c"

#include <stdio.h>

#include "tests/unit/test.h"

#define NOON ((usec_t)1767355200 * USEC_PER_S) /* 2026-01-02 12:00 */
#define HOUR (3600 * USEC_PER_S)
#define DAY (24 * HOUR)

static const struct tally_period always = { .since = USEC_NONE, .until = NOON + 1000 * DAY };

static void add_event(struct tally *tally, const char *id, int sequence, const char *type, usec_t time,
                      const char *value)
{
    char number[32], when[USEC_TEXT_BYTES], whole[128];
    struct record record = { .value = value, .value_length = strlen(value), .header_count = 4 };

    snprintf(number, sizeof(number), "%020d", sequence);
    snprintf(whole, sizeof(whole), "docket.request.%s.v1", type);
    usec_format_z(time, when);
    record.headers[0] = (struct record_header){ "ce_subject", id, strlen(id) };
    record.headers[1] = (struct record_header){ "ce_type", whole, strlen(whole) };
    record.headers[2] = (struct record_header){ "ce_time", when, strlen(when) };
    record.headers[3] = (struct record_header){ "ce_sequence", number, 20 };
    tally_add(tally, &record);
}

static void create(struct tally *tally, const char *id, usec_t time)
{
    add_event(tally, id, 1, "created", time,
              "{\"status\":\"pending\",\"policy_key\":\"p\",\"action_type\":\"access\","
              "\"due_date\":\"2026-01-04T12:00:00.000000Z\"}");
}

static const struct tally_row *row_find(const struct tally *tally, enum tally_table table, const char *key)
{
    for (const struct tally_row *row = tally_first(tally, table); row; row = tally_next(row))
        if (!strcmp(row->key, key))
            return row;
    fail_msg("there is no row '%s'", key);
    return NULL;
}

static int64_t policy_count(const struct tally *tally, enum tally_course course)
{
    return row_find(tally, TALLY_POLICIES, "p")->counts[course];
}

static void a_life_is_counted_once_whatever_is_repeated(void **state)
{
    _cleanup_(tally_freep) struct tally *tally = tally_new(&always, 0, 1);

    (void)state;
    for (int i = 0; i < 3; i++) {
        create(tally, "pri_1", NOON);
        add_event(tally, "pri_1", 2, "approved", NOON + HOUR, "{\"status\":\"approved\",\"by\":\"webhooks\"}");
        create(tally, "pri_1", NOON);
        add_event(tally, "pri_1", 3, "started", NOON + HOUR, "{\"status\":\"in_processing\"}");
        add_event(tally, "pri_1", 4, "completed", NOON + 3 * HOUR, "{\"status\":\"complete\"}");
    }
    tally_close(tally);
    assert_int_equal(tally_sums(tally)->events, 15);
    assert_int_equal(tally_sums(tally)->repeats, 11);
    assert_int_equal(policy_count(tally, COURSE_RECEIVED), 1);
    assert_int_equal(policy_count(tally, COURSE_APPROVED), 1);
    assert_int_equal(policy_count(tally, COURSE_COMPLETED), 1);
    assert_int_equal(policy_count(tally, COURSE_OPEN), 0);
    assert_int_equal(row_find(tally, TALLY_STATUSES, "complete")->counts[0], 1);
    assert_int_equal(row_find(tally, TALLY_DECIDERS, "webhooks")->counts[0], 1);
    assert_int_equal(spread_at(row_find(tally, TALLY_TIMES, "decided\n")->spread, 1000), HOUR);
    assert_int_equal(spread_at(row_find(tally, TALLY_TIMES, "done\naccess")->spread, 1000), 2 * HOUR);
    assert_int_equal(spread_at(row_find(tally, TALLY_TIMES, "over\naccess")->spread, 1000), 3 * HOUR);
    assert_int_equal(tally_bytes(tally), 0);
}

/* What was received before counts for what came of it; what comes after the end does not count at all. */
static void a_period_has_what_happened_in_it(void **state)
{
    const struct tally_period day = { .since = NOON, .until = NOON + DAY };
    _cleanup_(tally_freep) struct tally *tally = tally_new(&day, 0, 1);

    (void)state;
    create(tally, "pri_before", NOON - DAY);
    add_event(tally, "pri_before", 2, "denied", NOON, "{\"status\":\"denied\",\"by\":\"user\"}");
    create(tally, "pri_last", NOON + DAY - 1);
    add_event(tally, "pri_last", 2, "canceled", NOON + DAY, "{\"status\":\"canceled\",\"by\":\"client\"}");
    create(tally, "pri_after", NOON + DAY);
    tally_close(tally);
    assert_int_equal(policy_count(tally, COURSE_RECEIVED), 1);
    assert_int_equal(policy_count(tally, COURSE_DENIED), 1);
    assert_int_equal(policy_count(tally, COURSE_CANCELED), 0);
    assert_int_equal(policy_count(tally, COURSE_OPEN), 1);
    assert_int_equal(row_find(tally, TALLY_STATUSES, "denied")->counts[0], 0);
    assert_int_equal(row_find(tally, TALLY_STATUSES, "denied")->counts[1], 1);
    assert_int_equal(row_find(tally, TALLY_STATUSES, "pending")->counts[0], 1);
    assert_int_equal(spread_at(row_find(tally, TALLY_TIMES, "over\n")->spread, 1000), DAY);
}

static void what_is_due_and_not_over_is_overdue(void **state)
{
    const struct tally_period month = { .since = USEC_NONE, .until = NOON + 30 * DAY };
    _cleanup_(tally_freep) struct tally *tally = tally_new(&month, 0, 1);

    (void)state;
    create(tally, "pri_open", NOON);
    create(tally, "pri_late", NOON);
    add_event(tally, "pri_late", 2, "completed", NOON + 3 * DAY, "{\"status\":\"complete\"}");
    create(tally, "pri_in_time", NOON);
    add_event(tally, "pri_in_time", 2, "completed", NOON + 2 * DAY, "{\"status\":\"complete\"}");
    create(tally, "pri_error", NOON);
    add_event(tally, "pri_error", 2, "failed", NOON, "{\"status\":\"error\",\"step\":\"access\"}");
    create(tally, "pri_deleted", NOON);
    add_event(tally, "pri_deleted", 2, "deleted", NOON, "{}");
    add_event(tally, "pri_no_date", 1, "created", NOON, "{\"status\":\"pending\",\"policy_key\":\"p\",\"due_date\":null}");
    tally_close(tally);
    assert_int_equal(tally_sums(tally)->overdue, 2);
    assert_int_equal(tally_sums(tally)->late, 1);
    assert_int_equal(tally_sums(tally)->deleted, 1);
    assert_int_equal(tally_sums(tally)->overdue_count, 2);
    assert_string_equal(tally_sums(tally)->overdue_list[0].request_id, "pri_error");
    assert_int_equal(tally_sums(tally)->overdue_list[0].status, PR_ERROR);
    assert_string_equal(tally_sums(tally)->overdue_list[1].request_id, "pri_open");
    assert_int_equal(row_find(tally, TALLY_STATUSES, "deleted")->counts[1], 1);
    assert_int_equal(row_find(tally, TALLY_FAILURES, "access")->counts[0], 1);
    assert_int_equal(policy_count(tally, COURSE_OPEN), 3);
}

static void call(struct tally *tally, int sequence, const char *type, const char *rest)
{
    char value[512];

    snprintf(value, sizeof(value), "{\"webhook_key\":\"crm\",\"duration_ms\":%d%s}", sequence * 10, rest);
    add_event(tally, "pri_1", sequence, type, NOON, value);
}

static void calls_are_counted_by_webhook_and_by_what_came_of_them(void **state)
{
    _cleanup_(tally_freep) struct tally *tally = tally_new(&always, 0, 1);
    const struct tally_row *row;

    (void)state;
    create(tally, "pri_1", NOON);
    call(tally, 2, "webhook_failed", ",\"attempt\":1,\"outcome\":\"timeout\"");
    call(tally, 3, "webhook_sent", ",\"attempt\":2,\"outcome\":\"succeeded\",\"disclosed\":{\"connection_key\":\"crm_c\"}");
    call(tally, 4, "webhook_reminded", ",\"attempt\":3,\"outcome\":\"succeeded\"");
    call(tally, 5, "webhook_given_up", ",\"attempt\":1,\"outcome\":\"http_4xx\",\"kind\":\"post\"");
    call(tally, 6, "webhook_skipped", ",\"kind\":\"post\"");
    tally_close(tally);
    row = row_find(tally, TALLY_CALLS, "pre_approval\ncrm");
    assert_int_equal(row->counts[CALLS_ATTEMPTS], 3);
    assert_int_equal(row->counts[CALLS_TAKEN], 2);
    assert_int_equal(row->counts[CALLS_AGAIN], 1);
    assert_int_equal(row->counts[CALLS_REMINDED], 1);
    assert_string_equal(row->endpoint, "crm_c");
    assert_int_equal(spread_at(row->spread, 1000), 40 * USEC_PER_MS);
    row = row_find(tally, TALLY_CALLS, "post\ncrm");
    assert_int_equal(row->counts[CALLS_GIVEN_UP], 1);
    assert_int_equal(row->counts[CALLS_SKIPPED], 1);
    assert_null(row->endpoint);
    assert_int_equal(row_find(tally, TALLY_OUTCOMES, "pre_approval\ncrm\nsucceeded")->counts[0], 2);
    assert_int_equal(row_find(tally, TALLY_OUTCOMES, "pre_approval\ncrm\ntimeout")->counts[0], 1);
}

static void what_is_no_event_of_a_request_is_passed_over(void **state)
{
    _cleanup_(tally_freep) struct tally *tally = tally_new(&always, 0, 1);
    const struct record nothing = { 0 };

    (void)state;
    tally_add(tally, &nothing);
    add_event(tally, "pri_1", 0, "created", NOON, "{}");
    add_event(tally, "pri_1", 1, "created", NOON, "no JSON");
    add_event(tally, "pri_1", 1, "created", NOON, "[]");
    add_event(tally, "pri_1", 7, "of_tomorrow", NOON, "{\"status\":\"of_tomorrow\"}");
    tally_close(tally);
    assert_int_equal(tally_sums(tally)->strangers, 4);
    assert_int_equal(tally_sums(tally)->beginless, 1);
    assert_int_equal(row_find(tally, TALLY_POLICIES, UNKNOWN)->counts[COURSE_OPEN], 1);
}

/* The same requests, in slices and in one. */
static void slices_together_are_the_whole(void **state)
{
    _cleanup_(tally_freep) struct tally *all = tally_new(&always, 0, 1), *sum = tally_new(&always, 0, 1);
    char id[32];

    (void)state;
    for (int slice = -1; slice < 3; slice++) {
        struct tally *tally = slice < 0 ? all : tally_new(&always, slice, 3);

        for (int i = 0; i < 300; i++) {
            snprintf(id, sizeof(id), "pri_%d", i);
            create(tally, id, NOON + i);
            if (i % 3)
                add_event(tally, id, 2, "denied", NOON + i + HOUR, "{\"status\":\"denied\",\"by\":\"user\"}");
        }
        tally_close(tally);
        if (slice < 0)
            continue;
        assert_true(policy_count(tally, COURSE_RECEIVED) > 50);
        tally_merge(sum, tally);
        tally_free(tally);
    }
    assert_int_equal(policy_count(sum, COURSE_RECEIVED), 300);
    assert_int_equal(policy_count(sum, COURSE_DENIED), policy_count(all, COURSE_DENIED));
    assert_int_equal(tally_sums(sum)->events, tally_sums(all)->events);
    assert_int_equal(tally_sums(sum)->overdue, 100);
    for (int i = 0; i < TALLY_OVERDUE_MAX; i++)
        assert_string_equal(tally_sums(sum)->overdue_list[i].request_id, tally_sums(all)->overdue_list[i].request_id);
    assert_int_equal(spread_count(row_find(sum, TALLY_TIMES, "over\n")->spread), 200);
}

static void a_table_ends_where_nobody_would_read_on(void **state)
{
    _cleanup_(tally_freep) struct tally *tally = tally_new(&always, 0, 1);
    char id[32], value[128];
    int rows = 0;

    (void)state;
    for (int i = 0; i < TALLY_ROWS_MAX + 10; i++) {
        snprintf(id, sizeof(id), "pri_%d", i);
        snprintf(value, sizeof(value), "{\"status\":\"pending\",\"policy_key\":\"p%d\",\"action_type\":\"access\"}", i);
        add_event(tally, id, 1, "created", NOON, value);
    }
    tally_close(tally);
    for (const struct tally_row *row = tally_first(tally, TALLY_POLICIES); row; row = tally_next(row))
        rows++;
    assert_int_equal(rows, TALLY_ROWS_MAX + 1);
    assert_int_equal(row_find(tally, TALLY_POLICIES, OTHERS)->counts[COURSE_RECEIVED], 10);
    assert_int_equal(tally_sums(tally)->folded, 10);
}

static void the_longest_overdue_are_listed_first(void **state)
{
    struct tally_sums sums = { 0 };
    char id[32];

    (void)state;
    for (int i = 0; i < 3 * TALLY_OVERDUE_MAX; i++) {
        const struct tally_overdue one = { id, "p", PR_PENDING, (i * 7919) % 1000 };

        snprintf(id, sizeof(id), "pri_%d", i);
        overdue_put(&sums, &one);
    }
    assert_int_equal(sums.overdue_count, TALLY_OVERDUE_MAX);
    for (int i = 1; i < TALLY_OVERDUE_MAX; i++)
        assert_true(sums.overdue_list[i - 1].due <= sums.overdue_list[i].due);
    assert_true(sums.overdue_list[TALLY_OVERDUE_MAX - 1].due < 400);
    for (int i = 0; i < sums.overdue_count; i++)
        overdue_free(&sums.overdue_list[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_counted_once_whatever_is_repeated),
        cmocka_unit_test(a_period_has_what_happened_in_it),
        cmocka_unit_test(what_is_due_and_not_over_is_overdue),
        cmocka_unit_test(calls_are_counted_by_webhook_and_by_what_came_of_them),
        cmocka_unit_test(what_is_no_event_of_a_request_is_passed_over),
        cmocka_unit_test(slices_together_are_the_whole),
        cmocka_unit_test(a_table_ends_where_nobody_would_read_on),
        cmocka_unit_test(the_longest_overdue_are_listed_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
