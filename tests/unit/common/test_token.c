#include "common/token.h"

#include "tests/unit/test.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define HOUR (3600 * USEC_PER_S)

/* Contract: webhooks-out.md 6. */
#define VECTOR \
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAECAwQFBgcICQoL." \
    "VsfMGbtwvcPDgxjaU_XxJpZ6ZtgM3kXqAvCblstGw_TY2BQkae41YONMzT251e5ISZrolHvEr7BNNV0razlCUo0gDVBC" \
    "AWGLf1t4L89cPAkp5_AkdF7f1LSKd-qMeaRt1aAqqvA.o6S0stqxvb8MV-1vvUUt5Q"
#define VECTOR_PLAIN \
    "{\"webhook_id\": \"pre_0b1a\", \"scopes\": [\"privacy-request:review\"], \"iat\": \"2026-01-02T03:04:05.678901\"}"

static usec_t vector_time(void)
{
    usec_t time = 0;

    assert_true(usec_parse("2026-01-02T03:04:05.678901", &time));
    return time;
}

static struct token_key *key_of(const char *text)
{
    struct token_key *key = NULL;
    struct err err = { 0 };

    assert_int_equal(token_key_new(text, &key, &err), 0);
    return key;
}

static int open_reply(struct test *test, const char *token, const char *scope, usec_t now,
                      struct token_reply *ret)
{
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);

    return token_reply_open(key, token, scope, "pri_1", now, HOUR, test->arena, ret, &test->err);
}

static char *sealed(struct test *test, const char *json)
{
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    char *token = NULL;

    assert_int_equal(token_seal(key, json, test->arena, &token, &test->err), 0);
    return token;
}

static void the_contract_s_test_vector_opens(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    struct token_reply reply = { 0 };
    char *json = NULL;

    assert_int_equal(token_open(key, VECTOR, test->arena, &json, &test->err), 0);
    assert_string_equal(json, VECTOR_PLAIN);
    assert_int_equal(open_reply(test, VECTOR, TOKEN_SCOPE_REVIEW, vector_time(), &reply), 0);
    assert_string_equal(reply.webhook_id, "pre_0b1a");
    assert_string_equal(reply.scope, TOKEN_SCOPE_REVIEW);
    assert_null(reply.request_id); /* not bound: as tokens from before a move */
    assert_true(reply.issued_at == vector_time());
}

static void a_reply_token_made_here_has_the_contract_s_form_and_opens(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    const struct token_reply made = { "pre_0b1a", "pri_1", TOKEN_SCOPE_REVIEW, vector_time() };
    struct token_reply reply = { 0 };
    char *token = NULL, *json = NULL;

    assert_int_equal(token_reply_make(key, &made, test->arena, &token, &test->err), 0);
    assert_memory_equal(token, "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..", 41);
    assert_int_equal(token_open(key, token, test->arena, &json, &test->err), 0);
    assert_string_equal(
        json, "{\"webhook_id\": \"pre_0b1a\", \"scopes\": [\"privacy-request:review\"], "
              "\"iat\": \"2026-01-02T03:04:05.678901\", \"privacy_request_id\": \"pri_1\"}");
    assert_int_equal(open_reply(test, token, TOKEN_SCOPE_REVIEW, vector_time(), &reply), 0);
    assert_string_equal(reply.request_id, "pri_1");
}

static void a_reply_token_is_refused_in_the_contract_s_order_and_words(void **state)
{
#define TIME ",\"iat\":\"2026-01-02T03:04:05\""
    static const char forbidden[] = "Not Authorized for this action";
    static const struct {
        const char *json, *text;
    } rows[] = {
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"]" TIME "}",
          "Webhook token expired" },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:resume\"]" TIME "}", forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[]" TIME "}", forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":\"privacy-request:review\"" TIME "}", forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[1,\"privacy-request:review\"]" TIME "}",
          forbidden },
        { "{\"webhook_id\":\"pre_1\"" TIME "}", forbidden },
        { "{\"webhook_id\":1,\"scopes\":[\"privacy-request:review\"]" TIME "}", forbidden },
        { "{\"webhook_id\":null,\"scopes\":[\"privacy-request:review\"]" TIME "}", forbidden },
        { "{\"scopes\":[\"privacy-request:review\"]" TIME "}", forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"]}", forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"],\"iat\":\"today\"}",
          forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"],\"iat\":1767323045}",
          forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"],\"privacy_request_id\":\"pri_2\"" TIME
          "}",
          forbidden },
        { "{\"webhook_id\":\"pre_1\",\"scopes\":[\"privacy-request:review\"],\"privacy_request_id\":null" TIME
          "}",
          forbidden },
        { "[]", forbidden },
        { "null", forbidden },
        { "no json", forbidden },
        { "{\"client-id\":\"c\",\"scopes\":[\"privacy-request:review\"],\"roles\":[]" TIME "}",
          forbidden },
    };
#undef TIME
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct token_reply reply = { 0 };
        usec_t late = vector_time() + HOUR;

        assert_int_equal(
            open_reply(test, sealed(test, rows[i].json), TOKEN_SCOPE_REVIEW, late, &reply),
            -ERR_FORBIDDEN);
        assert_string_equal(test->err.text, rows[i].text);
        assert_null(reply.webhook_id); /* untouched on failure */
    }
}

static void a_reply_token_stands_to_the_last_microsecond_of_its_life(void **state)
{
    struct test *test = *state;
    struct token_reply reply = { 0 };

    assert_int_equal(open_reply(test, VECTOR, TOKEN_SCOPE_REVIEW, vector_time() + HOUR, &reply), 0);
    assert_int_equal(open_reply(test, VECTOR, TOKEN_SCOPE_REVIEW, vector_time() + HOUR + 1, &reply),
                     -ERR_FORBIDDEN);
    assert_string_equal(test->err.text, "Webhook token expired");
}

static void whatever_does_not_open_is_forbidden(void **state)
{
#define HEAD "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0"
    static const char *const rows[] = {
        "",
        ".",
        "....",
        "no token",
        HEAD,
        HEAD "....",
        HEAD "..AAECAwQFBgcICQoL..o6S0stqxvb8MV-1vvUUt5Q",
        HEAD "..AAEC.VsfM.o6S0stqxvb8MV-1vvUUt5Q",                 /* a short nonce */
        HEAD "..AAECAwQFBgcICQoL.VsfM.o6S0",                       /* a short tag */
        HEAD "..AAECAwQFBgcICQoL.V.o6S0stqxvb8MV-1vvUUt5Q",        /* no whole byte */
        HEAD ".AAAA.AAECAwQFBgcICQoL.VsfM.o6S0stqxvb8MV-1vvUUt5Q", /* a wrapped key */
        HEAD "..AAECAwQFBgcICQoL.VsfM.o6S0stqxvb8MV-1vvUUt5Q.x",
        HEAD "..AAECAwQFBgcICQoL.VsfM=.o6S0stqxvb8MV-1vvUUt5Q",
        "eyJhbGciOiJub25lIn0..AAECAwQFBgcICQoL.VsfM.o6S0stqxvb8MV-1vvUUt5Q", /* alg none */
        "eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wsYBfq4C3M6goz71I7dTgUkuIa5lyQ",
    };
#undef HEAD
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    char *json = NULL;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(token_open(key, rows[i], test->arena, &json, &test->err), -ERR_FORBIDDEN);
        assert_string_equal(test->err.text, "Not Authorized for this action");
        assert_null(json);
    }
}

static void every_changed_or_cut_character_is_noticed(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    char *json = NULL;

    /* The last character but one of a base64 part has bits that count for nothing: exchange it
     * far enough. */
    for (size_t i = 0; VECTOR[i]; i++) {
        char *changed = arena_strdup(test->arena, VECTOR),
             *cut = arena_strndup(test->arena, VECTOR, i);

        changed[i] = changed[i] == '.' ? 'A' : changed[i] < 'a' ? 'z' : 'A';
        assert_int_equal(token_open(key, changed, test->arena, &json, &test->err), -ERR_FORBIDDEN);
        assert_int_equal(token_open(key, cut, test->arena, &json, &test->err), -ERR_FORBIDDEN);
    }
}

static void another_key_does_not_open(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of("fedcba9876543210fedcba9876543210");
    char *json = NULL;

    assert_int_equal(token_open(key, VECTOR, test->arena, &json, &test->err), -ERR_FORBIDDEN);
}

static void a_token_longer_than_16_kib_is_neither_made_nor_looked_at(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    char *claims = arena_alloc(test->arena, 16 * 1024), *token = NULL, *json = NULL;

    memset(claims, 'x', 16 * 1024 - 1);
    assert_int_equal(token_seal(key, claims, test->arena, &token, &test->err), -ERR_INTERNAL);
    token = arena_printf(test->arena, "%s%s", VECTOR, claims);
    assert_int_equal(token_open(key, token, test->arena, &json, &test->err), -ERR_FORBIDDEN);

    claims[12225] = '\0'; /* the most that 16 KiB hold */
    token = sealed(test, claims);
    assert_in_range(strlen(token), 16 * 1024 - 4, 16 * 1024);
    assert_int_equal(token_open(key, token, test->arena, &json, &test->err), 0);
    assert_string_equal(json, claims);
}

static void an_access_token_has_the_contract_s_parts_and_opens(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    const struct token_access made = { "c1", (const char *[]){ "policy:read", "client:read", NULL },
                                       (const char *[]){ "owner", NULL }, vector_time(),
                                       vector_time() + HOUR };
    struct token_access access = { 0 };
    char *token = NULL, *json = NULL;

    assert_int_equal(token_access_make(key, &made, test->arena, &token, &test->err), 0);
    assert_int_equal(token_open(key, token, test->arena, &json, &test->err), 0);
    assert_string_equal(
        json,
        "{\"client-id\": \"c1\", \"scopes\": [\"policy:read\", \"client:read\"], \"roles\": [\"owner\"], "
        "\"systems\": [], \"connections\": [], \"monitors\": [], "
        "\"iat\": \"2026-01-02T03:04:05.678901+00:00\", \"exp\": 1767326645}");
    assert_int_equal(
        token_access_open(key, token, vector_time(), HOUR, test->arena, &access, &test->err), 0);
    assert_string_equal(access.client_id, "c1");
    assert_string_equal(access.scopes[1], "client:read");
    assert_null(access.scopes[2]);
    assert_string_equal(access.roles[0], "owner");
    assert_null(access.roles[1]);
    assert_true(access.expires_at == 1767326645 * USEC_PER_S); /* whole seconds, as `exp` is */

    access = (struct token_access){ 0 };
    assert_int_equal(token_access_open(key, token, 1767326645 * USEC_PER_S, HOUR, test->arena,
                                       &access, &test->err),
                     -ERR_FORBIDDEN);
    assert_string_equal(test->err.text, "Not Authorized for this action");
    assert_null(access.client_id);
}

static void an_access_token_without_exp_stands_from_iat_for_a_life(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    const char *token = sealed(test, "{\"client-id\":\"c1\",\"scopes\":[],\"roles\":[],"
                                     "\"iat\":\"2026-01-02T03:04:05.678901+00:00\"}");
    struct token_access access = { 0 };

    assert_int_equal(token_access_open(key, token, vector_time() + HOUR - 1, HOUR, test->arena,
                                       &access, &test->err),
                     0);
    assert_int_equal(
        token_access_open(key, token, vector_time() + HOUR, HOUR, test->arena, &access, &test->err),
        -ERR_FORBIDDEN);
}

static void a_token_of_the_one_kind_is_none_of_the_other(void **state)
{
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);
    struct token_access access = { 0 };

    assert_int_equal(
        token_access_open(key, VECTOR, vector_time(), HOUR, test->arena, &access, &test->err),
        -ERR_FORBIDDEN);
}

static void an_exp_that_is_no_time_is_forbidden(void **state)
{
    static const char *const rows[] = { "\"1767326645\"",      "true", "{}", "-1", "1e300",
                                        "99999999999999999999" };
    struct test *test = *state;
    _cleanup_(token_key_freep) struct token_key *key = key_of(KEY);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *json = arena_printf(test->arena,
                                        "{\"client-id\":\"c1\",\"scopes\":[],\"roles\":[],"
                                        "\"iat\":\"2026-01-02T03:04:05\",\"exp\":%s}",
                                        rows[i]);
        struct token_access access = { 0 };

        assert_int_equal(token_access_open(key, sealed(test, json), vector_time(), HOUR,
                                           test->arena, &access, &test->err),
                         -ERR_FORBIDDEN);
    }
}

static void the_key_must_have_32_bytes(void **state)
{
    struct test *test = *state;
    struct token_key *key = NULL;

    assert_int_equal(token_key_new("0123456789abcdef", &key, &test->err), -ERR_INTERNAL);
    assert_string_equal(test->err.cause, "DOCKET_APP_ENCRYPTION_KEY must be 32 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_contract_s_test_vector_opens),
        TEST(a_reply_token_made_here_has_the_contract_s_form_and_opens),
        TEST(a_reply_token_is_refused_in_the_contract_s_order_and_words),
        TEST(a_reply_token_stands_to_the_last_microsecond_of_its_life),
        TEST(whatever_does_not_open_is_forbidden),
        TEST(every_changed_or_cut_character_is_noticed),
        TEST(another_key_does_not_open),
        TEST(a_token_longer_than_16_kib_is_neither_made_nor_looked_at),
        TEST(an_access_token_has_the_contract_s_parts_and_opens),
        TEST(an_access_token_without_exp_stands_from_iat_for_a_life),
        TEST(a_token_of_the_one_kind_is_none_of_the_other),
        TEST(an_exp_that_is_no_time_is_forbidden),
        TEST(the_key_must_have_32_bytes),
    };

    return cmocka_run_group_tests_name("common/token", tests, NULL, NULL);
}
