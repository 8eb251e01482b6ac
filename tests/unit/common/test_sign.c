#include "common/sign.h"

#include "tests/unit/test.h"

/* RFC 8032, 7.1, TEST 2: its secret key (a seed), public key and signature of one byte, 0x72. */
#define SEED "TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs="
#define PUBLIC "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
#define SIGNATURE "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA=="
#define OTHER "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static struct sign_ring *ring_of(struct test *test, const char *keys)
{
    struct sign_ring *ring = NULL;

    assert_int_equal(sign_ring_new(keys, &ring, &test->err), 0);
    return ring;
}

static void it_signs_as_the_standard_s_example_does(void **state)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = ring_of(*state, "a:" SEED ",b:" OTHER);
    char text[SIGN_TEXT_BYTES], public_text[SIGN_PUBLIC_TEXT_BYTES];
    uint8_t signature[SIGN_BYTES];

    assert_string_equal(sign_make(ring, "\x72", 1, signature), "a");
    assert_string_equal(sign_public_text(sign_ring_public(ring, 0), public_text), PUBLIC);
    assert_string_equal(sign_text(signature, text), SIGNATURE);
    assert_true(sign_check(sign_ring_public(ring, 0), "\x72", 1, signature));
}

static void another_byte_key_or_signature_is_noticed(void **state)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = ring_of(*state, "a:" SEED ",b:" OTHER);
    uint8_t signature[SIGN_BYTES];

    sign_make(ring, "whole", 5, signature);
    assert_true(sign_check(sign_ring_public(ring, 0), "whole", 5, signature));
    assert_false(sign_check(sign_ring_public(ring, 0), "Whole", 5, signature));
    assert_false(sign_check(sign_ring_public(ring, 0), "whole", 4, signature));
    assert_false(sign_check(sign_ring_public(ring, 1), "whole", 5, signature));
    for (int i = 0; i < SIGN_BYTES; i++) {
        signature[i] ^= 1;
        assert_false(sign_check(sign_ring_public(ring, 0), "whole", 5, signature));
        signature[i] ^= 1;
    }
}

static void the_ring_tells_its_keys_in_their_order(void **state)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = ring_of(*state, "a:" SEED ",b:" OTHER);

    assert_string_equal(sign_ring_id(ring, 0), "a");
    assert_string_equal(sign_ring_id(ring, 1), "b");
    assert_null(sign_ring_id(ring, 2));
    assert_null(sign_ring_public(ring, 2));
}

static void no_keys_are_no_ring(void **state)
{
    assert_null(ring_of(*state, NULL));
    assert_null(ring_of(*state, ""));
}

static void a_ring_that_is_none_is_told_by_its_place(void **state)
{
    static const struct {
        const char *keys, *cause;
    } wrong[] = {
        { "a", "DOCKET_CHECKPOINT_KEYS: key 1 is not id:base64" },
        { "a:" SEED ",", "key 2 is not id:base64" },
        { "a:" SEED ",a:" OTHER, "key 2 has the id of another" },
        { "a:AAAA", "key 1 is not base64 of 32 bytes" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct sign_ring *ring = NULL;

        assert_int_equal(sign_ring_new(wrong[i].keys, &ring, &test->err), -ERR_INTERNAL);
        assert_null(ring);
        assert_non_null(strstr(test->err.cause, wrong[i].cause));
        assert_null(strstr(test->err.cause, SEED));
    }
}

static void public_keys_and_signatures_are_read_back_as_they_are_written(void **state)
{
    _cleanup_(sign_ring_freep) struct sign_ring *ring = ring_of(*state, "a:" SEED);
    char text[SIGN_TEXT_BYTES];
    uint8_t made[SIGN_BYTES], read[SIGN_BYTES];
    struct sign_public public;

    assert_true(sign_public_parse("audit-2026:" PUBLIC, &public));
    assert_string_equal(public.id, "audit-2026");
    assert_memory_equal(public.key, sign_ring_public(ring, 0), SIGN_PUBLIC_BYTES);
    assert_false(sign_public_parse(PUBLIC, &public));
    assert_false(sign_public_parse("a:" PUBLIC ",b:" PUBLIC, &public));
    assert_false(sign_public_parse("", &public));
    sign_make(ring, "x", 1, made);
    assert_true(sign_parse(sign_text(made, text), read));
    assert_memory_equal(made, read, SIGN_BYTES);
    text[3] = '!';
    assert_false(sign_parse(text, read));
    assert_false(sign_parse("", read));
    assert_false(sign_parse(PUBLIC, read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_signs_as_the_standard_s_example_does),
        TEST(another_byte_key_or_signature_is_noticed),
        TEST(the_ring_tells_its_keys_in_their_order),
        TEST(no_keys_are_no_ring),
        TEST(a_ring_that_is_none_is_told_by_its_place),
        TEST(public_keys_and_signatures_are_read_back_as_they_are_written),
    };

    return cmocka_run_group_tests_name("common/sign", tests, NULL, NULL);
}
