#include "worker/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_NETWORKS_MAX = 128 };

/* Addresses are compared as IPv6; an IPv4 one is its mapped form. */
struct network {
    uint8_t prefix[16];
    int bits;
};

struct guard {
    struct network allowed[GUARD_NETWORKS_MAX];
    int allowed_count;
};

static const char *const refused[] = {
    /* IPv4 */
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    /* IPv6 */
    "::/128", "::1/128", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20",
    "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
};

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };
static const uint8_t nat64_prefix[12] = { 0x00, 0x64, 0xff, 0x9b };

static bool network_parse(const char *text, size_t length, struct network *ret)
{
    char address[INET6_ADDRSTRLEN + 1], *slash;
    long bits;

    if (length >= sizeof(address) + 4)
        return false;
    slash = memchr(text, '/', length);
    if ((size_t)(slash ? slash - text : (long)length) >= sizeof(address))
        return false;
    snprintf(address, sizeof(address), "%.*s", (int)(slash ? slash - text : (long)length), text);
    memcpy(ret->prefix, mapped_prefix, sizeof(mapped_prefix));
    if (inet_pton(AF_INET, address, ret->prefix + 12) == 1)
        ret->bits = 128;
    else if (inet_pton(AF_INET6, address, ret->prefix) == 1)
        ret->bits = -128;
    else
        return false;
    if (slash) {
        char *end;

        bits = strtol(slash + 1, &end, 10);
        if (end == slash + 1 || end != text + length || bits < 0 || bits > (ret->bits > 0 ? 32 : 128))
            return false;
        ret->bits = (int)(ret->bits > 0 ? 96 + bits : bits);
    }
    ret->bits = abs(ret->bits);
    return true;
}

static bool network_has(const struct network *network, const uint8_t address[16])
{
    int bytes = network->bits / 8, rest = network->bits % 8;

    if (memcmp(network->prefix, address, (size_t)bytes))
        return false;
    return !rest || (network->prefix[bytes] ^ address[bytes]) >> (8 - rest) == 0;
}

int guard_new(const char *allowed, struct guard **ret, struct err *err)
{
    struct guard *guard = calloc(1, sizeof(*guard));

    if (!guard)
        abort();
    while (*allowed) {
        size_t length = strcspn(allowed, ",");

        if (guard->allowed_count == GUARD_NETWORKS_MAX ||
            !network_parse(allowed, length, &guard->allowed[guard->allowed_count++])) {
            guard_free(guard);
            return err_set(err, ERR_BAD_REQUEST,
                           "DOCKET_WEBHOOK_ALLOWED_NETWORKS: '%.*s' is not a network like 10.0.0.0/8 or fd00::/8 "
                           "(at most %d of them)", (int)length, allowed, GUARD_NETWORKS_MAX);
        }
        allowed += length + (allowed[length] == ',');
    }
    *ret = guard;
    return 0;
}

void guard_free(struct guard *guard)
{
    free(guard);
}

/* The IPv4 address inside an IPv6 one (NAT64, 6to4), in mapped form. */
static bool embedded_v4(const uint8_t address[16], uint8_t ret[16])
{
    memcpy(ret, mapped_prefix, sizeof(mapped_prefix));
    if (!memcmp(address, nat64_prefix, sizeof(nat64_prefix)))
        memcpy(ret + 12, address + 12, 4);
    else if (address[0] == 0x20 && address[1] == 0x02)
        memcpy(ret + 12, address + 2, 4);
    else
        return false;
    return true;
}

static bool is_refused(const uint8_t address[16])
{
    bool mapped = !memcmp(address, mapped_prefix, sizeof(mapped_prefix));
    uint8_t inner[16];

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct network network = { 0 };

        network_parse(refused[i], strlen(refused[i]), &network);
        /* "::/96" would hold no mapped address anyway, but each family is asked only about its own. */
        if ((strchr(refused[i], ':') == NULL) == mapped && network_has(&network, address))
            return true;
    }
    return embedded_v4(address, inner) && is_refused(inner);
}

static bool is_allowed(const struct guard *guard, const uint8_t address[16])
{
    for (int i = 0; i < guard->allowed_count; i++)
        if (network_has(&guard->allowed[i], address))
            return true;
    return false;
}

bool guard_allows(const struct guard *guard, const struct sockaddr *address)
{
    uint8_t bytes[16];

    if (address->sa_family == AF_INET) {
        memcpy(bytes, mapped_prefix, sizeof(mapped_prefix));
        memcpy(bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else {
        return false;
    }
    return is_allowed(guard, bytes) || !is_refused(bytes);
}
