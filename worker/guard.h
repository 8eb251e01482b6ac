/*
 * guard - which addresses may be called. The very address that a socket is about to be connected to is asked about,
 * so that no name can point inside. Refused unless allowed: loopback, private, link-local, unique-local, CGNAT,
 * multicast, unspecified, documentation and other special ranges, also when mapped into IPv6 (IPv4-mapped, NAT64,
 * 6to4). Sources: IANA special-purpose address registries.
 *
 * Pure, read-only after guard_new(). Ownership: guard_free().
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "common/err.h"

struct guard;

/* `allowed`: networks in CIDR form with commas, "" for none. */
int guard_new(const char *allowed, struct guard **ret, struct err *err) MUST_CHECK;
void guard_free(struct guard *guard);
bool guard_allows(const struct guard *guard, const struct sockaddr *address);
