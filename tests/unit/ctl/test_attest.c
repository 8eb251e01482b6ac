#include "worker/ctl/audit/attest.h"

#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>

#include "common/chain.h"
#include "tests/unit/test.h"

enum { EVENTS = 4, HEADS_MAX = 64 };

DEFINE_CLEANUP(json_object *, json_object_put)

/* --- events and checkpoints as docket makes them ------------------------------------------------------- */

static void header_put(struct record *record, enum record_attribute attribute, const char *text)
{
    record->headers[record->header_count++] =
        (struct record_header){ record_attribute_name(attribute), text, strlen(text) };
}

/* Event `seq` of a request; `chain` goes on from the one before. */
static struct request_event *event_make(struct test *test, const char *id, int seq, uint8_t chain[DIGEST_BYTES])
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    struct request_event *made = arena_new_of(test->arena, struct request_event);
    struct record *record = &made->record;
    char *hex = arena_alloc(test->arena, DIGEST_HEX_BYTES);

    record->key = id;
    record->key_length = strlen(id);
    record->value = arena_printf(test->arena, "{\"request_id\":\"%s\",\"text\":\"\\u00e4 \\\"%d\\\"\"}", id, seq);
    record->value_length = strlen(record->value);
    record->offset = seq;
    header_put(record, RECORD_ID, arena_printf(test->arena, "%s.%d", id, seq));
    header_put(record, RECORD_TYPE, "docket.request.created.v1");
    header_put(record, RECORD_SEQUENCE, arena_printf(test->arena, "%020d", seq));
    record_event(record, &made->event);
    chain_next(digest, seq > 1 ? chain : NULL, &made->event, record->value, record->value_length, chain);
    header_put(record, RECORD_CHAIN, digest_hex(chain, hex));
    record_event(record, &made->event);
    return made;
}

struct made {
    const struct request_event *events[HEADS_MAX][EVENTS];
    struct sign_ring *ring;
    struct checkpoint_builder *builder;
    struct digest *digest;
    struct attest attest;
};

static const char *id_of(struct test *test, int number)
{
    return arena_printf(test->arena, "pri_%02d", number);
}

/* A signed checkpoint over the events of `count` requests. */
static void checkpoint_make(struct test *test, struct made *made, int count)
{
    _cleanup_(buf_free) struct buf value = BUF_INIT(CHECKPOINT_BYTES);
    struct checkpoint checkpoint = { .number = 1, .made_at = 1767323045 * USEC_PER_S };
    uint8_t signature[SIGN_BYTES];
    char *text = arena_alloc(test->arena, SIGN_TEXT_BYTES);

    checkpoint_builder_clear(made->builder);
    checkpoint_window_begin(made->builder, "lifecycle", 0, 0);
    for (int i = 0; i < count; i++) {
        uint8_t chain[DIGEST_BYTES];

        for (int seq = 1; seq <= EVENTS; seq++) {
            made->events[i][seq - 1] = event_make(test, id_of(test, i), seq, chain);
            assert_true(checkpoint_add(made->builder, &made->events[i][seq - 1]->record));
        }
    }
    checkpoint_window_end(made->builder, count * EVENTS);
    snprintf(checkpoint.key_id, sizeof(checkpoint.key_id), "%s", sign_ring_id(made->ring, 0));
    memcpy(checkpoint.public_key, sign_ring_public(made->ring, 0), SIGN_PUBLIC_BYTES);
    checkpoint_built(made->builder, &checkpoint);
    checkpoint_write(&checkpoint, &value);
    sign_make(made->ring, value.data, value.length, signature);
    made->attest = (struct attest){ .found = true,
                                    .value = arena_memdup(test->arena, value.data, value.length),
                                    .value_length = value.length,
                                    .signature = sign_text(signature, text) };
    assert_int_equal(checkpoint_read(made->attest.value, value.length, made->digest, test->arena,
                                     &made->attest.checkpoint, &test->err),
                     0);
}

static struct request request_make(struct test *test, struct made *made, int number)
{
    struct request request;

    request_settle(id_of(test, number), made->events[number], EVENTS, made->digest, &request);
    return request;
}

static struct made *made_new(struct test *test)
{
    struct made *made = arena_new_of(test->arena, struct made);

    assert_int_equal(sign_ring_new("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &made->ring, &test->err), 0);
    made->builder = checkpoint_builder_new();
    made->digest = digest_new();
    return made;
}

static void made_free(struct made *made)
{
    sign_ring_free(made->ring);
    checkpoint_builder_free(made->builder);
    digest_free(made->digest);
}
DEFINE_CLEANUP(struct made *, made_free)

/* --- proofs -------------------------------------------------------------------------------------------- */

static json_object *member(json_object *object, const char *name)
{
    json_object *found;

    assert_true(json_object_object_get_ex(object, name, &found));
    return found;
}

static json_object *proof_of(struct test *test, struct made *made, const struct request *request)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(16 * 1024 * 1024);
    json_object *proof;

    attest_proof(&made->attest, request, test->arena, &out);
    proof = json_tokener_parse(out.data);
    assert_non_null(proof);
    return proof;
}

/* As an outsider does it: by what stands in the proof alone. */
static void expect_included(struct made *made, json_object *proof)
{
    json_object *path = member(proof, "path"), *head = member(proof, "head");
    struct merkle_hash hashes[MERKLE_PATH_MAX], leaf;
    uint8_t chain[DIGEST_BYTES];
    int length = (int)json_object_array_length(path);

    for (int i = 0; i < length; i++)
        assert_int_equal(
            digest_parse(json_object_get_string(json_object_array_get_idx(path, (size_t)i)), 64, hashes[i].bytes), 0);
    assert_int_equal(digest_parse(json_object_get_string(member(head, "chain")), 64, chain), 0);
    leaf = merkle_leaf(made->digest, json_object_get_string(member(proof, "request_id")),
                       json_object_get_int64(member(head, "sequence")), chain);
    assert_true(merkle_check(made->digest, &leaf, (size_t)json_object_get_int64(member(proof, "index")),
                             (size_t)json_object_get_int64(member(proof, "count")), hashes, length,
                             &made->attest.checkpoint.root));
}

static void a_proof_s_path_leads_to_the_root_from_every_place(void **state)
{
    struct test *test = *state;
    _cleanup_(made_freep) struct made *made = made_new(test);

    for (int count = 1; count <= HEADS_MAX; count += count < 9 ? 1 : 5) {
        checkpoint_make(test, made, count);
        for (int i = 0; i < count; i++) {
            struct request request = request_make(test, made, i);
            _cleanup_(json_object_putp) json_object *proof = NULL;

            made->attest.index = i;
            assert_true(attest_holds(&made->attest, &request));
            proof = proof_of(test, made, &request);
            expect_included(made, proof);
        }
    }
}

static void a_proof_holds_events_and_checkpoint_byte_by_byte(void **state)
{
    struct test *test = *state;
    _cleanup_(made_freep) struct made *made = made_new(test);
    _cleanup_(json_object_putp) json_object *proof = NULL;
    struct request request;
    json_object *event, *checkpoint;
    uint8_t value[CHECKPOINT_BYTES / 64];
    const char *text;
    size_t length;

    checkpoint_make(test, made, 3);
    request = request_make(test, made, 1);
    made->attest.index = 1;
    proof = proof_of(test, made, &request);
    assert_int_equal(json_object_array_length(member(proof, "events")), EVENTS);
    event = json_object_array_get_idx(member(proof, "events"), 2);
    assert_string_equal(json_object_get_string(member(event, "value")), request.events[2]->record.value);
    assert_string_equal(json_object_get_string(member(member(event, "headers"), "ce_id")), "pri_01.3");
    checkpoint = member(proof, "checkpoint");
    text = json_object_get_string(member(checkpoint, "value"));
    assert_int_equal(sodium_base642bin(value, sizeof(value), text, strlen(text), NULL, &length, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_int_equal(length, made->attest.value_length);
    assert_memory_equal(value, made->attest.value, length);
    assert_string_equal(json_object_get_string(member(checkpoint, "key_id")), "k1");
}

static void a_chain_that_is_not_the_head_s_does_not_hold(void **state)
{
    struct test *test = *state;
    _cleanup_(made_freep) struct made *made = made_new(test);
    struct request request;

    checkpoint_make(test, made, 3);
    request = request_make(test, made, 0);
    made->attest.index = 1;
    assert_false(attest_holds(&made->attest, &request));
    made->attest.index = 0;
    assert_true(attest_holds(&made->attest, &request));
    request.whole--;
    assert_false(attest_holds(&made->attest, &request));
}

/* --- a request's events -------------------------------------------------------------------------------- */

static void events_are_put_in_order_and_repeats_left_out(void **state)
{
    struct test *test = *state;
    _cleanup_(made_freep) struct made *made = made_new(test);
    const struct request_event *given[EVENTS + 2];
    struct request request;

    checkpoint_make(test, made, 1);
    for (int i = 0; i < EVENTS; i++)
        given[i] = made->events[0][EVENTS - 1 - i];
    given[EVENTS] = made->events[0][1];
    given[EVENTS + 1] = made->events[0][0];
    request_settle("pri_00", given, EVENTS + 2, made->digest, &request);
    assert_int_equal(request.count, EVENTS);
    assert_int_equal(request.whole, EVENTS);
    assert_int_equal(request.repeats, 2);
    for (int i = 0; i < EVENTS; i++)
        assert_int_equal(request.events[i]->event.sequence, i + 1);
}

static void a_chain_is_whole_up_to_what_breaks_it(void **state)
{
    struct test *test = *state;
    _cleanup_(made_freep) struct made *made = made_new(test);
    const struct request_event *given[EVENTS + 1];
    struct request_event changed;
    struct request request;

    checkpoint_make(test, made, 1);
    changed = *made->events[0][2];
    changed.record.value = arena_printf(test->arena, "%s ", (const char *)changed.record.value);
    changed.record.value_length++;
    for (int i = 0; i < EVENTS; i++)
        given[i] = i == 2 ? &changed : made->events[0][i];
    request_settle("pri_00", given, EVENTS, made->digest, &request);
    assert_int_equal(request.whole, 2); /* one was changed */
    given[2] = made->events[0][3];
    request_settle("pri_00", given, EVENTS - 1, made->digest, &request);
    assert_int_equal(request.whole, 2); /* one is missing */
    for (int i = 0; i < EVENTS; i++)
        given[i] = made->events[0][i];
    given[EVENTS] = &changed;
    request_settle("pri_00", given, EVENTS + 1, made->digest, &request);
    assert_int_equal(request.whole, 2); /* one is there twice, and not the same */
    assert_int_equal(request.count, EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_proof_s_path_leads_to_the_root_from_every_place),
        TEST(a_proof_holds_events_and_checkpoint_byte_by_byte),
        TEST(a_chain_that_is_not_the_head_s_does_not_hold),
        TEST(events_are_put_in_order_and_repeats_left_out),
        TEST(a_chain_is_whole_up_to_what_breaks_it),
    };

    return cmocka_run_group_tests_name("ctl/attest", tests, NULL, NULL);
}
