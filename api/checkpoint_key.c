#include "api/api.h"
#include "common/sign.h"

/* Whoever wants to check a checkpoint may: the keys are public, and say nothing else. */
static int checkpoint_keys(struct api_call *call, struct err *err)
{
    const struct sign_ring *ring = call->api->signs;
    json_object *body = json_object_new_object(), *keys = json_object_new_array();
    char text[SIGN_PUBLIC_TEXT_BYTES];

    (void)err;
    for (int i = 0; ring && sign_ring_id(ring, i); i++) {
        json_object *key = json_object_new_object();

        json_object_object_add(key, "id", json_object_new_string(sign_ring_id(ring, i)));
        json_object_object_add(key, "algorithm", json_object_new_string("Ed25519"));
        json_object_object_add(key, "public_key",
                               json_object_new_string(sign_public_text(sign_ring_public(ring, i), text)));
        json_object_object_add(key, "signs", json_object_new_boolean(i == 0));
        json_object_array_add(keys, key);
    }
    json_object_object_add(body, "keys", keys);
    return api_answer(call, 200, body);
}

const struct api_route checkpoint_key_routes[] = {
    { "GET", "/docket/checkpoint-keys", "", .prompt = true, .handler = checkpoint_keys },
    { 0 },
};
