/*
 * policy - what is done with a kind of request: policies, their rules, the rules' targets (rest.md
 * 4). policy.c has the policies and the route table, rule.c the rules, target.c the targets.
 *
 * Threads: as the call. Ownership: texts are the call's arena's.
 */
#pragma once

#include "api/api.h"

/* A policy that stands, or was just written. */
struct policy {
    const char *id, *key;
};

/* A rule of it. */
struct rule {
    const char *id, *key, *action_type;
};

/* The policy of the path's first parameter; 404 when there is none. */
int policy_of_path(struct api_call *call, struct policy *ret, struct err *err) MUST_CHECK;

/* The rule of the path's second parameter, of that very policy. How its absence is told differs
 * between reading and writing. */
int rule_of_path(struct api_call *call, const struct policy *policy, bool reads, struct rule *ret,
                 struct err *err) MUST_CHECK;

extern const char *const rule_actions[]; /* access, consent, erasure, update; ends with NULL */
extern const struct schema rule_element_schema;

/* Creates or changes a rule of `policy` as a body's element says. ERR_BAD_REQUEST fails the
 * element. */
int rule_save(struct api_call *call, const struct policy *policy, json_object *element,
              struct rule *ret, struct err *err) MUST_CHECK;
/* That no category of an erasure rule lies within one of another: ERR_BAD_REQUEST. `rule_id` (NULL:
 * none) is taken for an erasure rule, and `category` (NULL: none) for a target besides, but for the
 * target `but` (NULL: none). */
int rule_check_conflict(struct api_call *call, const char *policy_id, const char *rule_id,
                        const char *category, const char *but, struct err *err) MUST_CHECK;
/* What an access or erasure rule that was just made aims at by default. */
int rule_add_default_targets(struct api_call *call, const struct rule *rule,
                             struct err *err) MUST_CHECK;

/* Handlers of rule.c and target.c, and the bodies they take. */
extern const struct schema rule_list_schema, target_list_schema;
api_handler rule_list, rule_get, rule_patch, rule_delete;
api_handler target_list, target_get, target_patch, target_delete;
