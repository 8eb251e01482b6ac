#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "worker/guard.h"

static bool allows(const char *allowed, const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct guard *guard;
    struct err err;
    bool answer;

    assert_int_equal(guard_new(allowed, &guard, &err), 0);
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        answer = guard_allows(guard, (const struct sockaddr *)&v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        answer = guard_allows(guard, (const struct sockaddr *)&v6);
    }
    guard_free(guard);
    return answer;
}

static void addresses_inside_are_refused_in_every_spelling(void **state)
{
    static const char *const inside[] = {
        "127.0.0.1",        "127.255.255.254", "0.0.0.0",           "10.1.2.3",       "172.16.0.1",
        "172.31.255.255",   "192.168.0.1",     "169.254.169.254",   "100.64.0.1",     "100.127.255.255",
        "224.0.0.1",        "255.255.255.255", "192.0.2.1",         "198.18.0.1",     "::1",
        "::",               "fe80::1",         "fd00::1",           "fc00::1",        "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",   "64:ff9b::a00:1", "2002:7f00:1::",
        "2002:c0a8:101::",  "::7f00:1",        "2001:db8::1",       "64:ff9b:1::1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(inside); i++)
        if (allows("", inside[i]))
            fail_msg("%s is allowed", inside[i]);
}

static void addresses_outside_are_allowed(void **state)
{
    static const char *const outside[] = { "1.1.1.1",         "93.184.216.34",   "172.32.0.1",     "100.128.0.1",
                                           "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8", "2002:808:808::" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(outside); i++)
        if (!allows("", outside[i]))
            fail_msg("%s is refused", outside[i]);
}

static void networks_can_be_allowed(void **state)
{
    (void)state;
    assert_true(allows("127.0.0.0/8,::1/128", "127.0.0.1"));
    assert_true(allows("127.0.0.0/8,::1/128", "::1"));
    assert_true(allows("10.20.0.0/16", "10.20.30.40"));
    assert_false(allows("10.20.0.0/16", "10.21.0.1"));
    assert_true(allows("10.20.0.0/16", "::ffff:10.20.0.1"));
    assert_true(allows("fd00:1::/32", "fd00:1::5"));
    assert_false(allows("fd00:1::/32", "fd00:2::5"));
    assert_true(allows("192.168.1.7", "192.168.1.7"));
}

static void what_is_no_network_is_named(void **state)
{
    static const char *const bad[] = { "10.0.0.0/33", "localhost", "10.0.0.0/", "10.0.0.0/8x", "::/129", ",", "1.2.3" };
    struct guard *guard;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(guard_new(bad[i], &guard, &err), -ERR_BAD_REQUEST);
        assert_non_null(strstr(err.text, "DOCKET_WEBHOOK_ALLOWED_NETWORKS"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_inside_are_refused_in_every_spelling),
        cmocka_unit_test(addresses_outside_are_allowed),
        cmocka_unit_test(networks_can_be_allowed),
        cmocka_unit_test(what_is_no_network_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
