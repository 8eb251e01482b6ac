#include "common/mask.c"

#include "tests/unit/test.h"

#define VALUE "customer-1@example.com"

static const uint8_t aes_key[SECRET_BYTES] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
static const uint8_t seed[SECRET_BYTES] = { 1 };
static const struct mask_secrets given = { "salt-0123456789", "key-0123456789", aes_key, "kh", "sh", seed };
static const struct seal_key key = { { 7 } };

static const struct mask *mask_given(struct test *test, const char *strategy, const char *configuration)
{
    const struct mask *mask = NULL;

    assert_int_equal(mask_new_with(strategy, configuration, &given, test->arena, &mask, &test->err), 0);
    return mask;
}

static const struct mask *mask_derived(struct test *test, const char *strategy, const char *request_id)
{
    const char *configuration = !strcmp(strategy, "string_rewrite") ? "{\"rewrite_value\": \"x\"}" : NULL;
    const struct mask *mask = NULL;

    assert_int_equal(mask_new(strategy, configuration, &key, request_id, test->arena, &mask, &test->err), 0);
    return mask;
}

/* The contract's vectors, dsr.md 6.1. */
static void each_strategy_gives_the_contract_s_result(void **state)
{
    static const struct {
        const char *strategy, *configuration, *result, *of_null;
    } vectors[] = {
        { "null_rewrite", NULL, NULL, NULL },
        { "null_rewrite", "{}", NULL, NULL },
        { "string_rewrite", "{\"rewrite_value\": \"MASKED\"}", "MASKED", "MASKED" },
        { "string_rewrite", "{\"rewrite_value\": \"\"}", "", "" },
        { "hash", NULL, "dc2ff5a53112c86b15523d130f3564ae3ab942f0e53e145694c8cb1bde532b91", NULL },
        { "hash", "{\"algorithm\": \"SHA-256\"}", "dc2ff5a53112c86b15523d130f3564ae3ab942f0e53e145694c8cb1bde532b91",
          NULL },
        { "hash", "{\"algorithm\": \"SHA-512\"}",
          "84a1edd73adbc3e428f041fe457a9c07e930e556e6f0cb57084471df654b54f7"
          "d6b77efaeb019a0e6b3714a882260f1b5266d242b420d2fb050395ebe37c08eb",
          NULL },
        { "hmac", "{\"algorithm\": null}", "857a73471f02c6d270f3dc2ba4258663a1a16f97db08576bbd91fb17c5117f4f", NULL },
        /* python3: hmac.new(b"key-0123456789", b"customer-1@example.comsalt-0123456789", "sha512").hexdigest() */
        { "hmac", "{\"algorithm\": \"SHA-512\"}", "e76e19445f5f004af8bfb2f1bb14cb63c513840ee6d8ff05d16661c198fbe5d5"
          "6a55e65c070bfa656279ff4d09d8cdcba70ea1e4ce96f9bcc2412cf8ff6296c1",
          NULL },
        { "aes_encrypt", "{\"mode\": \"GCM\"}", "hhQvZ8k3vRjFaPq99zbDX2YEtrL1gL0TMKDZBdkULLAr1mGAEvg=", NULL },
        { "aes_encrypt", "{}", "hhQvZ8k3vRjFaPq99zbDX2YEtrL1gL0TMKDZBdkULLAr1mGAEvg=", NULL },
        { "preserve", NULL, VALUE, NULL },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const struct mask *mask = mask_given(test, vectors[i].strategy, vectors[i].configuration);
        const char *result = mask_value(mask, VALUE, "place", 0, test->arena);
        const char *of_null = mask_value(mask, NULL, "place", 0, test->arena);

        if (vectors[i].result)
            assert_string_equal(result, vectors[i].result);
        else
            assert_null(result);
        if (vectors[i].of_null)
            assert_string_equal(of_null, vectors[i].of_null);
        else
            assert_null(of_null);
    }
}

static void the_strategies_say_what_they_are(void **state)
{
    static const struct {
        const char *name;
        bool needs_secrets, is_text, keeps, nulls;
    } rows[] = {
        { "null_rewrite", false, false, false, true },
        { "string_rewrite", false, true, false, false },
        { "random_string_rewrite", false, true, false, false },
        { "hash", true, true, false, false },
        { "hmac", true, true, false, false },
        { "aes_encrypt", true, true, false, false },
        { "preserve", false, false, true, false },
    };
    struct test *test = *state;

    assert_int_equal(COUNT_OF(rows), COUNT_OF(strategies));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct mask *mask = mask_derived(test, rows[i].name, "pri_1");

        assert_int_equal(mask_needs_secrets(rows[i].name), rows[i].needs_secrets);
        assert_int_equal(mask_is_text(rows[i].name), rows[i].is_text);
        assert_int_equal(mask_keeps(mask), rows[i].keeps);
        assert_int_equal(mask_nulls(mask), rows[i].nulls);
    }
    assert_false(mask_needs_secrets("nullify"));
    assert_false(mask_is_text("nullify"));
}

static void a_random_text_is_the_same_for_the_same_place_and_value_only(void **state)
{
    struct test *test = *state;
    const struct mask *mask = mask_given(test, "random_string_rewrite", NULL);
    const char *text = mask_value(mask, VALUE, "shop:customer:name:1", 0, test->arena);

    assert_int_equal(strlen(text), 30);
    assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789"), 30);
    assert_string_equal(text, mask_value(mask, VALUE, "shop:customer:name:1", 0, test->arena));
    assert_string_not_equal(text, mask_value(mask, VALUE, "shop:customer:name:2", 0, test->arena));
    assert_string_not_equal(text, mask_value(mask, "other", "shop:customer:name:1", 0, test->arena));
    assert_string_not_equal(mask_value(mask, NULL, "shop:customer:name:1", 0, test->arena),
                            mask_value(mask, "", "shop:customer:name:1", 0, test->arena));
    mask = mask_derived(test, "random_string_rewrite", "pri_1");
    assert_string_not_equal(text, mask_value(mask, VALUE, "shop:customer:name:1", 0, test->arena));
}

static void a_random_text_has_the_length_asked_for_and_every_letter(void **state)
{
    struct test *test = *state;
    const char *text =
        mask_value(mask_given(test, "random_string_rewrite", "{\"length\": 10000}"), NULL, "p", 0, test->arena);
    int counts[256] = { 0 };

    assert_int_equal(strlen(text), MASK_RANDOM_CHARS_MAX);
    for (const char *at = text; *at; at++)
        counts[(unsigned char)*at]++;
    for (const char *at = "abcdefghijklmnopqrstuvwxyz0123456789"; *at; at++)
        assert_in_range(counts[(unsigned char)*at], 200, 360); /* 278 each, and five standard deviations */
    text = mask_value(mask_given(test, "random_string_rewrite", "{\"length\": 1}"), NULL, "p", 0, test->arena);
    assert_int_equal(strlen(text), 1);
}

static void a_suffix_comes_before_the_cut(void **state)
{
    static const char configuration[] =
        "{\"rewrite_value\": \"masked\", \"format_preservation\": {\"suffix\": \"@example.com\"}}";
    struct test *test = *state;
    const struct mask *mask = mask_given(test, "string_rewrite", configuration);

    assert_string_equal(mask_value(mask, "x", "p", 0, test->arena), "masked@example.com");
    assert_string_equal(mask_value(mask, "x", "p", 18, test->arena), "masked@example.com");
    assert_string_equal(mask_value(mask, "x", "p", 10, test->arena), "masked@exa");
    assert_string_equal(mask_value(mask, "x", "p", 3, test->arena), "mas");
    mask = mask_given(test, "hash", "{\"format_preservation\": {\"suffix\": \"@h\"}}");
    assert_null(mask_value(mask, NULL, "p", 3, test->arena)); /* null stays null */
    assert_string_equal(mask_value(mask, VALUE, "p", 65, test->arena),
                        "dc2ff5a53112c86b15523d130f3564ae3ab942f0e53e145694c8cb1bde532b91@");
    mask = mask_given(test, "preserve", "{\"format_preservation\": {\"suffix\": \"@h\"}}");
    assert_string_equal(mask_value(mask, VALUE, "p", 3, test->arena), VALUE);
}

static void a_cut_counts_characters(void **state)
{
    struct test *test = *state;
    const struct mask *mask = mask_given(test, "string_rewrite", "{\"rewrite_value\": \"é€😀z\"}");

    assert_string_equal(mask_value(mask, "x", "p", 1, test->arena), "é");
    assert_string_equal(mask_value(mask, "x", "p", 2, test->arena), "é€");
    assert_string_equal(mask_value(mask, "x", "p", 3, test->arena), "é€😀");
    assert_string_equal(mask_value(mask, "x", "p", 4, test->arena), "é€😀z");
    assert_string_equal(mask_value(mask, "x", "p", 5, test->arena), "é€😀z");
}

static void secrets_are_a_request_s_and_a_strategy_s(void **state)
{
    static const struct seal_key other = { { 8 } };
    struct test *test = *state;
    struct mask_secrets one = secrets_derive("hmac", &key, "pri_1", test->arena);
    struct mask_secrets same = secrets_derive("hmac", &key, "pri_1", test->arena);
    struct mask_secrets another[] = { secrets_derive("hash", &key, "pri_1", test->arena),
                                      secrets_derive("hmac", &key, "pri_2", test->arena),
                                      secrets_derive("hmac", &other, "pri_1", test->arena) };

    assert_int_equal(strlen(one.salt), 44); /* url-safe base64 of 32 bytes */
    assert_int_equal(strspn(one.salt, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_="), 44);
    assert_string_not_equal(one.salt, one.key);
    assert_string_not_equal(one.key_hmac, one.salt_hmac);
    assert_string_equal(one.salt, same.salt);
    assert_memory_equal(one.aes_key, same.aes_key, SECRET_BYTES);
    for (size_t i = 0; i < COUNT_OF(another); i++) {
        assert_string_not_equal(one.salt, another[i].salt);
        assert_string_not_equal(one.key, another[i].key);
        assert_memory_not_equal(one.aes_key, another[i].aes_key, SECRET_BYTES);
        assert_memory_not_equal(one.seed, another[i].seed, SECRET_BYTES);
    }
}

/* What was written over values with these secrets stands in customers' databases: a second try must give the same. */
static void what_is_derived_never_changes(void **state)
{
    struct test *test = *state;

    assert_string_equal(mask_value(mask_derived(test, "hmac", "pri_1"), VALUE, "p", 0, test->arena),
                        "09ac4d83aebcd1cf17bd96e26c3d0591920d6d4959be048217e4279ce88741ca");
    assert_string_equal(mask_value(mask_derived(test, "random_string_rewrite", "pri_1"), VALUE, "p", 0, test->arena),
                        "nzeuuj9x6k04kr3gu134rj4bn3xtlu");
}

static void a_strategy_that_does_not_exist_is_refused_in_the_contract_s_words(void **state)
{
    struct test *test = *state;
    const struct mask *mask = NULL;

    assert_int_equal(mask_check("nullify", NULL, &test->err), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text,
                        "Strategy 'nullify' does not exist. Valid strategies are [null_rewrite, string_rewrite, "
                        "random_string_rewrite, hash, hmac, aes_encrypt, preserve]");
    assert_int_equal(mask_new("nullify", NULL, &key, "pri_1", test->arena, &mask, &test->err), -ERR_BAD_REQUEST);
    assert_null(mask); /* untouched on failure */
}

static void a_configuration_that_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *strategy, *configuration, *text;
    } rows[] = {
        { "string_rewrite", NULL, "configuration.rewrite_value: Field required" },
        { "string_rewrite", "{\"rewrite_value\": null}",
          "configuration.rewrite_value: Input should be a valid string" },
        { "string_rewrite", "{\"rewrite_value\": 7}", "configuration.rewrite_value: Input should be a valid string" },
        { "random_string_rewrite", "{\"length\": 0}",
          "configuration.length: Input should be greater than or equal to 1" },
        { "random_string_rewrite", "{\"length\": 10001}",
          "configuration.length: Input should be less than or equal to 10000" },
        { "hash", "{\"algorithm\": \"MD5\"}", "configuration.algorithm: Input should be 'SHA-256' or 'SHA-512'" },
        { "hmac", "{\"algorithm\": \"SHA-1\"}", "configuration.algorithm: Input should be 'SHA-256' or 'SHA-512'" },
        { "aes_encrypt", "{\"mode\": \"CBC\"}", "configuration.mode: Input should be 'GCM'" },
        { "hmac", "{\"format_preservation\": {}}", "configuration.format_preservation.suffix: Field required" },
        { "hash", "[]", "configuration: Input should be a valid dictionary or object to extract fields from" },
        { "hash", "{", "configuration: JSON decode error" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *text = arena_printf(test->arena, "Masking strategy '%s': %s", rows[i].strategy, rows[i].text);

        assert_int_equal(mask_check(rows[i].strategy, rows[i].configuration, &test->err), -ERR_BAD_REQUEST);
        assert_string_equal(test->err.text, text);
    }
}

static void a_text_of_a_configuration_has_a_bound(void **state)
{
    struct test *test = *state;
    char *text = arena_alloc(test->arena, MASK_TEXT_CHARS_MAX + 2);

    memset(text, 'x', MASK_TEXT_CHARS_MAX);
    assert_int_equal(mask_check("string_rewrite", arena_printf(test->arena, "{\"rewrite_value\": \"%s\"}", text),
                                &test->err), 0);
    text[MASK_TEXT_CHARS_MAX] = 'x';
    assert_int_equal(mask_check("string_rewrite", arena_printf(test->arena, "{\"rewrite_value\": \"%s\"}", text),
                                &test->err), -ERR_BAD_REQUEST);
    assert_int_equal(mask_check("hash", arena_printf(test->arena, "{\"format_preservation\": {\"suffix\": \"%s\"}}",
                                                     text), &test->err), -ERR_BAD_REQUEST);
}

static void members_that_a_strategy_does_not_know_are_ignored(void **state)
{
    struct test *test = *state;

    assert_int_equal(mask_check("null_rewrite", "{\"rewrite_value\": 1}", &test->err), 0);
    assert_int_equal(mask_check("hash", "{\"algorithm\": \"SHA-512\", \"rounds\": 3}", &test->err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_strategy_gives_the_contract_s_result),
        TEST(the_strategies_say_what_they_are),
        TEST(a_random_text_is_the_same_for_the_same_place_and_value_only),
        TEST(a_random_text_has_the_length_asked_for_and_every_letter),
        TEST(a_suffix_comes_before_the_cut),
        TEST(a_cut_counts_characters),
        TEST(secrets_are_a_request_s_and_a_strategy_s),
        TEST(what_is_derived_never_changes),
        TEST(a_strategy_that_does_not_exist_is_refused_in_the_contract_s_words),
        TEST(a_configuration_that_does_not_fit_is_named),
        TEST(a_text_of_a_configuration_has_a_bound),
        TEST(members_that_a_strategy_does_not_know_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
