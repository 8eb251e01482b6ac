#include "api/policy.h"

#include <string.h>

#include "api/policy.sql.h"
#include "api/resource.h"

#define MODEL "Policy"

enum { TIMEFRAME_DAYS_MAX = 36500 };

/* Two that are supported and some that only parse (lifecycle.md 11). */
static const char *const drp_actions[] = { "access",      "deletion",          "sale:opt_out",
                                           "sale:opt_in", "access:categories", "access:specific",
                                           NULL };

static void check_element(json_object *element, const struct schema_loc *loc,
                          struct schema_errors *errors)
{
    if (schema_get(element, "action_type") && schema_get(element, "rules"))
        schema_error(errors, loc, "value_error",
                     "Value error, Provide either 'action_type' or 'rules', not both.");
}

static const struct schema_field element_fields[] = {
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "drp_action", .nullable = true, .schema = { SCHEMA_STRING, .words = drp_actions } },
    { "execution_timeframe", .nullable = true,
      .schema = { SCHEMA_INT, .min = 0, .max = TIMEFRAME_DAYS_MAX } },
    { "action_type", .nullable = true, .schema = { SCHEMA_STRING, .words = rule_actions } },
    { "rules", .nullable = true,
      .schema = { SCHEMA_LIST, .item = &rule_element_schema, .max = 50 } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields,
                                              .check = check_element };
static const struct schema list_schema = { SCHEMA_LIST, .item = &element_schema, .max = 50 };

/* --- reading ---------------------------------------------------------------------------------- */

/* Returns 0 with ret->id NULL when there is none. */
static int find_policy(struct api_call *call, const char *key, struct policy *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_policy_by_key, args, &rows, err);
    if (r < 0)
        return r;
    *ret = (struct policy){ PQntuples(rows) ? db_dup_text(rows, 0, 0, call->arena) : NULL, key };
    return 0;
}

int policy_of_path(struct api_call *call, struct policy *ret, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = find_policy(call, key, ret, err);
    if (r < 0)
        return r;
    return ret->id ? 0 : err_set(err, ERR_NOT_FOUND, "No Policy found for key %s.", key);
}

static int read_object(struct api_call *call, const char *id, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, id);
    r = db_run(call->db, &SQL_policy_object, args, &rows, err);
    if (r == 0)
        *ret = api_json_parse(db_get_text(rows, 0, 0));
    return r;
}

static int policy_list(struct api_call *call, struct err *err)
{
    return resource_answer_page(call, &SQL_policy_page, NULL, err);
}

static int policy_get(struct api_call *call, struct err *err)
{
    json_object *object;
    struct policy policy;
    int r = policy_of_path(call, &policy, err);

    if (r == 0)
        r = read_object(call, policy.id, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

/* --- writing ---------------------------------------------------------------------------------- */

static int check_drp_action(const char *action, struct err *err)
{
    if (!action || !strcmp(action, "access") || !strcmp(action, "deletion"))
        return 0;
    return err_set(err, ERR_BAD_REQUEST, "%s action is not supported at this time.", action);
}

static int check_action_type(const char *action, struct err *err)
{
    if (!action || strcmp(action, "update") != 0)
        return 0;
    return err_set(err, ERR_BAD_REQUEST,
                   "Unsupported action_type 'update'. Must be one of: access, consent, erasure");
}

static int check_clash(struct api_call *call, const struct policy *policy, json_object *element,
                       struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, policy->id);
    db_text(args, schema_text(element, "name"));
    db_text(args, schema_text(element, "drp_action"));
    r = db_run(call->db, &SQL_policy_clash, args, &rows, err);
    if (r < 0)
        return r;
    if (db_get_text(rows, 0, 0))
        return resource_name_taken(schema_text(element, "name"), MODEL, err);
    if (db_get_text(rows, 0, 1))
        return err_set(err, ERR_BAD_REQUEST, "DRP action %s already exists in " MODEL " %s.",
                       schema_text(element, "drp_action"), db_get_text(rows, 0, 1));
    return 0;
}

/* Whether the element may be saved, and what stands under its key now. */
static int check_policy(struct api_call *call, json_object *element, struct policy *ret,
                        struct err *err)
{
    struct resource_key key = resource_key(call, element);
    int r;

    if (!key.key)
        return resource_no_key(MODEL, err);
    r = check_drp_action(schema_text(element, "drp_action"), err);
    if (r == 0)
        r = find_policy(call, key.key, ret, err);
    if (r < 0)
        return r;
    if (ret->id && !key.given)
        return resource_key_taken(key.key, MODEL, err);
    if (!ret->id)
        r = check_action_type(schema_text(element, "action_type"), err);
    return r < 0 ? r : check_clash(call, ret, element, err);
}

/* What an element does not say is none: it replaces. */
static int write_policy(struct api_call *call, struct policy *policy, json_object *element,
                        struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, policy->id ? policy->id : policy->key);
    db_text(args, schema_text(element, "name"));
    db_text(args, schema_text(element, "drp_action"));
    if (schema_get(element, "execution_timeframe"))
        db_int(args, schema_int(element, "execution_timeframe", 0));
    else
        db_null(args);
    r = db_run(call->db, policy->id ? &SQL_policy_update : &SQL_policy_insert, args, &rows, err);
    if (r == 0)
        policy->id = db_dup_text(rows, 0, 0, call->arena);
    return r;
}

/* `action_type` stands for a rule with default targets. */
static int add_rule_of_action(struct api_call *call, const struct policy *policy,
                              json_object *element, struct err *err)
{
    _cleanup_(json_object_putp) json_object *rule_element = json_object_new_object();
    const char *action = schema_text(element, "action_type"), *name = schema_text(element, "name");
    struct rule rule;
    int r;

    json_object_object_add(rule_element, "name",
                           api_json_text(arena_printf(call->arena, "%s Rule", name)));
    json_object_object_add(rule_element, "key",
                           api_json_text(arena_printf(call->arena, "%s_rule", policy->key)));
    json_object_object_add(rule_element, "action_type", api_json_text(action));
    if (!strcmp(action, "erasure"))
        json_object_object_add(rule_element, "masking_strategy",
                               api_json_parse("{\"strategy\": \"hmac\", \"configuration\": {}}"));
    r = rule_save(call, policy, rule_element, &rule, err);
    return r < 0 ? r : rule_add_default_targets(call, &rule, err);
}

static int add_rules(struct api_call *call, const struct policy *policy, json_object *element,
                     struct err *err)
{
    json_object *rules = schema_get(element, "rules");
    struct rule ignored;
    int r = 0;

    if (schema_get(element, "action_type"))
        return add_rule_of_action(call, policy, element, err);
    for (size_t i = 0; r == 0 && rules && i < json_object_array_length(rules); i++)
        r = rule_save(call, policy, json_object_array_get_idx(rules, i), &ignored, err);
    return r;
}

static int save_policy(struct api_call *call, void *context, json_object *element,
                       json_object **ret, struct err *err)
{
    struct policy policy;
    bool is_new;
    int r = check_policy(call, element, &policy, err);

    (void)context;
    if (r < 0)
        return r;
    is_new = !policy.id;
    r = write_policy(call, &policy, element, err);
    if (r == 0 && is_new)
        r = add_rules(call, &policy, element, err);
    return r < 0 ? r : read_object(call, policy.id, ret, err);
}

static int save_all(struct api_call *call, json_object **ret, struct err *err)
{
    return resource_bulk(call, &list_schema, NULL, save_policy, NULL, ret, err);
}

static int policy_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, save_all, err);
}

/* --- deleting --------------------------------------------------------------------------------- */

static int is_in_use(struct api_call *call, const char *id, bool *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, id);
    r = db_run(call->db, &SQL_policy_in_use, args, &rows, err);
    if (r == 0)
        *ret = db_get_bool(rows, 0, 0);
    return r;
}

static int delete_policy(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct policy policy;
    bool used;
    int r = policy_of_path(call, &policy, err);

    (void)ret;
    if (r == 0)
        r = is_in_use(call, policy.id, &used, err);
    if (r < 0)
        return r;
    if (used)
        return err_set(err, ERR_CONFLICT,
                       "Cannot delete policy %s: it is referenced by one or more privacy requests.",
                       policy.key);
    db_text(args, policy.id);
    return db_do(call->db, &SQL_policy_delete, args, err);
}

static int policy_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_policy, err);
}

#define POLICY "/dsr/policy/{key}"
#define RULE POLICY "/rule/{rule}"
#define TARGET RULE "/target/{target}"
#define WRITE_RULE "rule:create_or_update"

const struct api_route policy_routes[] = {
    { "GET", "/dsr/policy", "policy:read", .handler = policy_list },
    { "PATCH", "/dsr/policy", "policy:create_or_update", &list_schema, .handler = policy_patch },
    { "GET", POLICY, "policy:read", .handler = policy_get },
    { "DELETE", POLICY, "policy:delete", .handler = policy_delete },
    { "GET", POLICY "/rule", "rule:read", .handler = rule_list },
    { "PATCH", POLICY "/rule", WRITE_RULE, &rule_list_schema, .handler = rule_patch },
    { "GET", RULE, "rule:read", .handler = rule_get },
    { "DELETE", RULE, "rule:delete", .handler = rule_delete },
    { "GET", RULE "/target", "rule:read", .handler = target_list },
    { "PATCH", RULE "/target", WRITE_RULE, &target_list_schema, .handler = target_patch },
    { "GET", TARGET, "rule:read", .handler = target_get },
    { "DELETE", TARGET, "rule:delete", .handler = target_delete },
    { 0 },
};
