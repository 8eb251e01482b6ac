/* What a webhook answered, read; and what it derived, laid over an identity. */

#include "worker/answer.h"

#include "common/identity.h"
#include "tests/fuzz/fuzz.h"

#define BEGINNING "Webhook 'key' returned an invalid response format: "

static const char *const identity =
    "{\"phone_number\":null,\"email\":\"ada@example.com\",\"ga_client_id\":null,\"ljt_readerID\":null,"
    "\"fides_user_device_id\":null,\"external_id\":null,\"loyalty\":{\"label\":\"L\",\"value\":[1,\"a\"]}}";

static int count_names(const char *names)
{
    int count = 1;

    for (; *names; names++)
        count += *names == ',';
    return count;
}

/* No value is null, and each has its name among the names. */
static void check_derived(const struct answer *answer)
{
    _cleanup_(json_object_putp) json_object *derived = json_tokener_parse(answer->derived);

    CHECK(json_object_is_type(derived, json_type_object));
    CHECK(json_object_object_length(derived) == count_names(answer->derived_names));
    json_object_object_foreach(derived, name, value) {
        (void)name;
        CHECK(value);
    }
}

/* What webhooks are sent has the six default keys, and none is empty text. */
static void check_overlay(const char *derived, struct arena *arena)
{
    const char *text = identity_overlay(identity, &derived, 1, arena);
    _cleanup_(json_object_putp) json_object *body = json_tokener_parse(text);

    CHECK(json_object_is_type(body, json_type_object));
    for (int i = 0; i < IDENTITY_DEFAULTS; i++) {
        const char *value = schema_text(body, identity_defaults[i]);

        CHECK(schema_has(body, identity_defaults[i]) && (!value || *value));
    }
}

static void check_read(const char *body, size_t length, bool cut)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct answer answer = { 0 };
    struct err err = { 0 };

    if (answer_read(body, length, cut, "key", arena, &answer, &err) < 0) {
        CHECK(err.code == ERR_BAD_REQUEST && !strncmp(err.text, BEGINNING, strlen(BEGINNING)));
        CHECK(err.text[strlen(BEGINNING)] && !answer.halt && !answer.derived);
        return;
    }
    CHECK(!cut && !answer.derived == !answer.derived_names);
    if (!answer.derived)
        return;
    check_derived(&answer);
    check_overlay(answer.derived, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_read((const char *)data, size, false);
    check_read((const char *)data, size, true);
    return 0;
}
