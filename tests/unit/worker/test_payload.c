#include "worker/payload.h"

#include <sodium.h>

#include "tests/unit/test.h"

/* Published with the Standard Webhooks scheme's description of how to verify by hand. */
static void a_signature_is_the_published_one(void **state)
{
    const struct catalog_connection connection = { .signing_secret = "whsec_plJ3nmyCDGBKInavdOK15jsl" };
    static const char body[] = "{\"event_type\":\"ping\",\"data\":{\"success\":true}}";
    struct test *test = *state;

    assert_string_equal(payload_signature(&connection, "msg_loFOjxBNrRLzqYUf", "1731705121", body, strlen(body), 0,
                                          test->arena),
                        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signature_is_the_published_one),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
