#include "common/seal.h"

#include "tests/unit/test.h"

#define KEY_A "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "b:IAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define HASH_KEY "QAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){ text, strlen(text) };
}

static struct seal_ring *ring_of(const char *keys)
{
    struct seal_ring *ring = NULL;
    struct err err = { 0 };

    assert_int_equal(seal_ring_new(keys, HASH_KEY, &ring, &err), 0);
    return ring;
}

static void what_is_sealed_opens_in_its_place_only(void **state)
{
    struct test *test = *state;
    struct bytes sealed, plain = { 0 };
    struct seal_key key, other;

    seal_key_new(&key);
    seal_key_new(&other);
    sealed = seal_close(&key, "identity", "pri_1", bytes_of("ada@example.com"), test->arena);
    assert_int_equal(sealed.length, strlen("ada@example.com") + SEAL_OVERHEAD_BYTES);

    assert_int_equal(
        seal_open(&other, "identity", "pri_1", sealed, test->arena, &plain, &test->err),
        -ERR_INTERNAL);
    assert_int_equal(seal_open(&key, "identity", "pri_2", sealed, test->arena, &plain, &test->err),
                     -ERR_INTERNAL);
    assert_int_equal(seal_open(&key, "reason", "pri_1", sealed, test->arena, &plain, &test->err),
                     -ERR_INTERNAL);
    assert_string_equal(test->err.cause, "seal: reason does not open");
    assert_null(plain.data); /* untouched on failure */

    assert_int_equal(seal_open(&key, "identity", "pri_1", sealed, test->arena, &plain, &test->err),
                     0);
    assert_int_equal(plain.length, strlen("ada@example.com"));
    assert_string_equal(plain.data, "ada@example.com"); /* it ends in NUL */
}

static void every_changed_or_missing_byte_is_noticed(void **state)
{
    struct test *test = *state;
    struct bytes sealed, plain = { 0 };
    struct seal_key key;

    seal_key_new(&key);
    sealed = seal_close(&key, "identity", "pri_1", bytes_of("x"), test->arena);
    for (size_t i = 0; i < sealed.length; i++) {
        uint8_t *changed = arena_memdup(test->arena, sealed.data, sealed.length);

        changed[i] ^= 1;
        assert_int_equal(seal_open(&key, "identity", "pri_1",
                                   (struct bytes){ changed, sealed.length }, test->arena, &plain,
                                   &test->err),
                         -ERR_INTERNAL);
        assert_int_equal(seal_open(&key, "identity", "pri_1", (struct bytes){ sealed.data, i },
                                   test->arena, &plain, &test->err),
                         -ERR_INTERNAL);
    }
}

static void the_same_text_is_sealed_differently_each_time(void **state)
{
    struct test *test = *state;
    struct seal_key key;
    struct bytes one, two;

    seal_key_new(&key);
    one = seal_close(&key, "identity", "pri_1", bytes_of("x"), test->arena);
    two = seal_close(&key, "identity", "pri_1", bytes_of("x"), test->arena);
    assert_memory_not_equal(one.data, two.data, one.length);
}

static void nothing_stays_nothing_and_empty_stays_empty(void **state)
{
    struct test *test = *state;
    struct bytes sealed, plain = bytes_of("before");
    struct seal_key key;

    seal_key_new(&key);
    sealed = seal_close(&key, "reason", "pri_1", (struct bytes){ 0 }, test->arena);
    assert_null(sealed.data);
    assert_int_equal(seal_open(&key, "reason", "pri_1", sealed, test->arena, &plain, &test->err),
                     0);
    assert_null(plain.data);

    sealed = seal_close(&key, "reason", "pri_1", bytes_of(""), test->arena);
    assert_int_equal(seal_open(&key, "reason", "pri_1", sealed, test->arena, &plain, &test->err),
                     0);
    assert_non_null(plain.data);
    assert_int_equal(plain.length, 0);
}

static void a_request_key_comes_back_from_its_wrapped_form(void **state)
{
    struct test *test = *state;
    _cleanup_(seal_ring_freep) struct seal_ring *ring = ring_of(KEY_A);
    struct seal_key key, back = { 0 };
    struct bytes wrapped;
    const char *key_id;

    seal_key_new(&key);
    wrapped = seal_key_wrap(ring, &key, "pri_1", test->arena, &key_id);
    assert_string_equal(key_id, "a");
    assert_int_equal(seal_key_unwrap(ring, key_id, wrapped, "pri_2", &back, &test->err),
                     -ERR_INTERNAL);
    assert_int_equal(seal_key_unwrap(ring, "z", wrapped, "pri_1", &back, &test->err),
                     -ERR_INTERNAL);
    assert_string_equal(test->err.cause, "seal: no master key 'z'");
    assert_int_equal(seal_key_unwrap(ring, key_id, (struct bytes){ wrapped.data, 71 }, "pri_1",
                                     &back, &test->err),
                     -ERR_INTERNAL);
    assert_int_equal(seal_key_unwrap(ring, key_id, wrapped, "pri_1", &back, &test->err), 0);
    assert_memory_equal(&key, &back, sizeof(key));
}

static void the_first_key_of_the_ring_seals_and_all_open(void **state)
{
    struct test *test = *state;
    _cleanup_(seal_ring_freep) struct seal_ring *before = ring_of(KEY_A);
    _cleanup_(seal_ring_freep) struct seal_ring *turned = ring_of(KEY_B "," KEY_A);
    _cleanup_(seal_ring_freep) struct seal_ring *without = ring_of(KEY_B);
    struct bytes sealed, plain = { 0 };

    sealed = seal_ring_close(before, "secrets", "con_1", bytes_of("{}"), test->arena);
    assert_memory_equal(sealed.data, "\1a", 2);
    assert_int_equal(
        seal_ring_open(without, "secrets", "con_1", sealed, test->arena, &plain, &test->err),
        -ERR_INTERNAL);
    assert_string_equal(test->err.cause, "seal: no master key for secrets");
    assert_int_equal(
        seal_ring_open(turned, "secrets", "con_1", sealed, test->arena, &plain, &test->err), 0);
    assert_string_equal(plain.data, "{}");

    sealed = seal_ring_close(turned, "secrets", "con_1", bytes_of("{}"), test->arena);
    assert_memory_equal(sealed.data, "\1b", 2);
}

static void a_cut_ring_value_is_an_error_and_no_crash(void **state)
{
    struct test *test = *state;
    _cleanup_(seal_ring_freep) struct seal_ring *ring = ring_of(KEY_A);
    struct bytes sealed = seal_ring_close(ring, "secrets", "con_1", bytes_of("{}"), test->arena),
                 plain = { 0 };

    for (size_t i = 0; i < sealed.length; i++) {
        struct bytes cut = { arena_memdup(test->arena, sealed.data, i), i };

        assert_int_equal(
            seal_ring_open(ring, "secrets", "con_1", cut, test->arena, &plain, &test->err),
            -ERR_INTERNAL);
    }
}

static void a_hash_tells_fields_and_values_apart(void **state)
{
    _cleanup_(seal_ring_freep) struct seal_ring *ring = ring_of(KEY_A);
    uint8_t one[SEAL_HASH_BYTES], again[SEAL_HASH_BYTES], other[SEAL_HASH_BYTES];

    (void)state;
    seal_hash(ring, "email", "ada@example.com", one);
    seal_hash(ring, "email", "ada@example.com", again);
    assert_memory_equal(one, again, sizeof(one));
    seal_hash(ring, "emaila", "da@example.com", other);
    assert_memory_not_equal(one, other, sizeof(one));
}

static void a_wrong_setting_is_told_by_its_place_never_by_its_value(void **state)
{
    static const struct {
        const char *keys, *hash_key, *cause;
    } rows[] = {
        { "", HASH_KEY,
          "DOCKET_SEALING_KEYS: key 1 is not id:base64 with an id of 1 to 32 letters, digits, '_', '.' or '-'" },
        { KEY_A ",", HASH_KEY,
          "DOCKET_SEALING_KEYS: key 2 is not id:base64 with an id of 1 to 32 letters, digits, '_', '.' or '-'" },
        { "a:secret", HASH_KEY, "DOCKET_SEALING_KEYS: key 1 is not base64 of 32 bytes" },
        { "a:" HASH_KEY "AAAA", HASH_KEY, "DOCKET_SEALING_KEYS: key 1 is not base64 of 32 bytes" },
        { KEY_A "," KEY_A, HASH_KEY, "DOCKET_SEALING_KEYS: key 2 has the id of another" },
        { KEY_A, "secret", "DOCKET_IDENTITY_HASH_KEY is not base64 of 32 bytes" },
    };
    struct test *test = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct seal_ring *ring = NULL;

        assert_int_equal(seal_ring_new(rows[i].keys, rows[i].hash_key, &ring, &test->err),
                         -ERR_INTERNAL);
        assert_string_equal(test->err.cause, rows[i].cause);
        assert_null(ring);
    }
}

static void the_ring_tells_its_keys_and_a_value_which_sealed_it(void **state)
{
    struct test *test = *state;
    _cleanup_(seal_ring_freep) struct seal_ring *ring = NULL;
    char id[SEAL_KEY_ID_MAX + 1];
    struct bytes sealed;

    assert_int_equal(seal_ring_new(KEY_A "," KEY_B, NULL, &ring, &test->err), 0);
    assert_string_equal(seal_ring_id(ring, 0), "a");
    assert_string_equal(seal_ring_id(ring, 1), "b");
    assert_null(seal_ring_id(ring, 2));
    sealed = seal_ring_close(ring, "secrets", "con_1", (struct bytes){ "{}", 2 }, test->arena);
    seal_ring_id_of(sealed, id);
    assert_string_equal(id, "a");
    for (size_t length = 0; length < 2; length++) {
        seal_ring_id_of((struct bytes){ sealed.data, length }, id);
        assert_string_equal(id, "");
    }
    seal_ring_id_of((struct bytes){ "\xff key id that is too long to be one of ours", 46 }, id);
    assert_string_equal(id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sealed_opens_in_its_place_only),
        TEST(every_changed_or_missing_byte_is_noticed),
        TEST(the_same_text_is_sealed_differently_each_time),
        TEST(nothing_stays_nothing_and_empty_stays_empty),
        TEST(a_request_key_comes_back_from_its_wrapped_form),
        TEST(the_first_key_of_the_ring_seals_and_all_open),
        TEST(a_cut_ring_value_is_an_error_and_no_crash),
        TEST(the_ring_tells_its_keys_and_a_value_which_sealed_it),
        TEST(a_hash_tells_fields_and_values_apart),
        TEST(a_wrong_setting_is_told_by_its_place_never_by_its_value),
    };

    return cmocka_run_group_tests_name("common/seal", tests, NULL, NULL);
}
