/*
 * scope - what a client may do: the registry of scopes, and the roles, which are sets of them
 * (rest.md 2.1).
 *
 * Threads: any; tables are constant.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum scope {
#define SCOPE(name, word) SCOPE_##name,
#include "api/scope.tbl.h"
#undef SCOPE
    SCOPES
};

enum role {
#define ROLE(name, word) ROLE_##name,
#include "api/role.tbl.h"
#undef ROLE
    ROLES
};

enum { SCOPE_SET_WORDS = (SCOPES + 63) / 64 };

struct scope_set {
    uint64_t bits[SCOPE_SET_WORDS];
};

const char *scope_word(enum scope scope);
int scope_parse(const char *word); /* -1: there is none */
const char *role_word(enum role role);
int role_parse(const char *word); /* -1: there is none */
struct scope_set role_scopes(enum role role);

void scope_set_add(struct scope_set *set, enum scope scope);
bool scope_set_has(const struct scope_set *set, enum scope scope);
bool scope_set_covers(const struct scope_set *set, const struct scope_set *subset);
struct scope_set scope_set_union(struct scope_set a, struct scope_set b);
/* Of words, NULL-terminated; those that are no scopes (or roles) are left out. */
struct scope_set scope_set_of(const char *const *scopes);
struct scope_set scope_set_of_roles(const char *const *roles);
