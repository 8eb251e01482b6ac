#include <string.h>

#include "api/category.h"
#include "api/policy.h"
#include "api/resource.h"
#include "api/rule.sql.h"

#define MODEL "Rule"

enum { STRATEGY_CHARS_MAX = 255 };

const char *const rule_actions[] = { "access", "consent", "erasure", "update", NULL };

/* Which strategies there are, and what they want, is known to who runs the rule. */
static const struct schema_field masking_fields[] = {
    { "strategy", .required = true,
      .schema = { SCHEMA_STRING, .min = 1, .max = STRATEGY_CHARS_MAX } },
    { "configuration", .nullable = true, .schema = { SCHEMA_OBJECT } },
    { 0 },
};

static const struct schema_field element_fields[] = {
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "action_type", .required = true, .schema = { SCHEMA_STRING, .words = rule_actions } },
    { "storage_destination_key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "masking_strategy", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = masking_fields } },
    { 0 },
};
const struct schema rule_element_schema = { SCHEMA_OBJECT, .fields = element_fields };
const struct schema rule_list_schema = { SCHEMA_LIST, .item = &rule_element_schema, .max = 50 };

/* --- reading ---------------------------------------------------------------------------------- */

/* Whatever policy's it is. Returns 0 with ret->id NULL when there is none. */
static int find_rule(struct api_call *call, const char *key, struct rule *ret,
                     const char **policy_id, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_rule_by_key, args, &rows, err);
    if (r < 0)
        return r;
    *ret = (struct rule){ .key = key };
    if (!PQntuples(rows))
        return 0;
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->action_type = db_dup_text(rows, 0, 2, call->arena);
    *policy_id = db_dup_text(rows, 0, 3, call->arena);
    return 0;
}

int rule_of_path(struct api_call *call, const struct policy *policy, bool reads, struct rule *ret,
                 struct err *err)
{
    const char *key, *owner = NULL;
    int r = api_key_param(call, 1, &key, err);

    if (r == 0)
        r = find_rule(call, key, ret, &owner, err);
    if (r < 0 || (owner && !strcmp(owner, policy->id)))
        return r;
    if (reads)
        return err_set(err, ERR_NOT_FOUND, "No Rule found for key %s attached to policy %s", key,
                       policy->key);
    return err_set(err, ERR_NOT_FOUND, "No Rule found for key %s on Policy %s.", key, policy->key);
}

static int read_object(struct api_call *call, const char *id, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, id);
    r = db_run(call->db, &SQL_rule_object, args, &rows, err);
    if (r == 0)
        *ret = api_json_parse(db_get_text(rows, 0, 0));
    return r;
}

int rule_list(struct api_call *call, struct err *err)
{
    struct policy policy;
    int r = policy_of_path(call, &policy, err);

    return r < 0 ? r : resource_answer_page(call, &SQL_rule_page, policy.id, err);
}

int rule_get(struct api_call *call, struct err *err)
{
    json_object *object;
    struct policy policy;
    struct rule rule;
    int r = policy_of_path(call, &policy, err);

    if (r == 0)
        r = rule_of_path(call, &policy, true, &rule, err);
    if (r == 0)
        r = read_object(call, rule.id, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

/* --- checking --------------------------------------------------------------------------------- */

/* Of an access rule; null: the active default at the time of a run. */
static int find_storage(struct api_call *call, json_object *element, const char **ret,
                        struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    const char *key = schema_text(element, "storage_destination_key");
    struct db_args *args = db_args_new(call->arena);
    int r;

    *ret = NULL;
    if (!key || strcmp(schema_text(element, "action_type"), "access") != 0)
        return 0;
    db_text(args, key);
    r = db_run(call->db, &SQL_rule_storage, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return err_set(err, ERR_BAD_REQUEST, "A StorageConfig with key %s does not exist", key);
    *ret = db_dup_text(rows, 0, 0, call->arena);
    return 0;
}

static int check_consent(struct api_call *call, const struct policy *policy, const char *key,
                         struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, policy->id);
    db_text(args, key);
    r = db_run(call->db, &SQL_rule_consent, args, &rows, err);
    if (r < 0 || !PQntuples(rows))
        return r;
    return err_set(err, ERR_BAD_REQUEST,
                   "Policies can only have one consent rule attached.  Existing rule %s found.",
                   db_get_text(rows, 0, 0));
}

/* What an action wants of its rule. */
static int check_action(struct api_call *call, const struct policy *policy, const struct rule *rule,
                        json_object *element, struct err *err)
{
    const char *action = schema_text(element, "action_type");

    if (!strcmp(action, "update"))
        return err_set(err, ERR_BAD_REQUEST, "update Rules are not supported at this time.");
    if (!strcmp(action, "consent"))
        return check_consent(call, policy, rule->key, err);
    if (strcmp(action, "erasure") != 0)
        return 0;
    if (!schema_get(element, "masking_strategy"))
        return err_set(err, ERR_BAD_REQUEST, "Erasure Rules must have masking strategies.");
    if (schema_get(element, "storage_destination_key"))
        return err_set(err, ERR_BAD_REQUEST, "Erasure Rules cannot have storage destinations.");
    /* A rule that becomes one of erasure brings the targets that it has. */
    return rule_check_conflict(call, policy->id, rule->id, NULL, NULL, err);
}

int rule_check_conflict(struct api_call *call, const char *policy_id, const char *rule_id,
                        const char *category, const char *but, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, policy_id);
    db_text(args, rule_id);
    db_text(args, category);
    db_text(args, but);
    r = db_run(call->db, &SQL_rule_conflict, args, &rows, err);
    if (r < 0 || !PQntuples(rows))
        return r;
    return err_set(
        err, ERR_BAD_REQUEST,
        "Policy rules are invalid, action conflict in erasure rules detected for categories %s and %s",
        db_get_text(rows, 0, 0), db_get_text(rows, 0, 1));
}

/* Whether the element may be saved, and what stands under its key now. */
static int check_rule(struct api_call *call, const struct policy *policy, json_object *element,
                      struct rule *ret, struct err *err)
{
    struct resource_key key = resource_key(call, element);
    const char *owner = NULL;
    int r;

    if (!key.key)
        return resource_no_key(MODEL, err);
    r = find_rule(call, key.key, ret, &owner, err);
    if (r < 0)
        return r;
    if (ret->id && !key.given)
        return resource_key_taken(key.key, MODEL, err);
    if (ret->id && strcmp(owner, policy->id) != 0)
        return err_set(err, ERR_BAD_REQUEST, "Rule with identifier %s belongs to another policy.",
                       key.key);
    return check_action(call, policy, ret, element, err);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* {"strategy", "configuration"}: as it is stored and as webhooks' bodies show it. */
static const char *masking_json(struct api_call *call, json_object *element)
{
    _cleanup_(json_object_putp) json_object *stored = NULL;
    json_object *masking = schema_get(element, "masking_strategy"), *configuration;

    if (!masking)
        return NULL;
    stored = json_object_new_object();
    configuration = schema_get(masking, "configuration");
    json_object_object_add(stored, "strategy", json_object_get(schema_get(masking, "strategy")));
    json_object_object_add(stored, "configuration",
                           configuration ? json_object_get(configuration)
                                         : json_object_new_object());
    return arena_strdup(call->arena,
                        json_object_to_json_string_ext(stored, JSON_C_TO_STRING_PLAIN));
}

static int write_rule(struct api_call *call, const struct policy *policy, const char *storage_id,
                      json_object *element, struct rule *rule, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, policy->id);
    db_text(args, rule->key);
    db_text(args, schema_text(element, "name"));
    db_text(args, schema_text(element, "action_type"));
    db_text(args, storage_id);
    db_json(args, masking_json(call, element));
    r = db_run(call->db, rule->id ? &SQL_rule_update : &SQL_rule_insert, args, &rows, err);
    if (r < 0)
        return r;
    rule->id = db_dup_text(rows, 0, 0, call->arena);
    rule->action_type = arena_strdup(call->arena, schema_text(element, "action_type"));
    return 0;
}

int rule_save(struct api_call *call, const struct policy *policy, json_object *element,
              struct rule *ret, struct err *err)
{
    const char *storage_id;
    int r = find_storage(call, element, &storage_id, err);

    if (r == 0)
        r = check_rule(call, policy, element, ret, err);
    return r < 0 ? r : write_rule(call, policy, storage_id, element, ret, err);
}

int rule_add_default_targets(struct api_call *call, const struct rule *rule, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *keys, *names, *wanted;

    if (!strcmp(rule->action_type, "consent"))
        return 0; /* consent is about no data */
    db_text(args, rule->id);
    keys = db_array(args, DB_TEXT);
    names = db_array(args, DB_TEXT);
    wanted = db_array(args, DB_TEXT);
    for (const char *const *category = categories; *category; category++) {
        const char *name;

        if (!category_is_default_target(*category))
            continue;
        name = arena_printf(call->arena, "%s-%s", rule->id, *category);
        db_add_text(keys, schema_derive_key(call->arena, name));
        db_add_text(names, name);
        db_add_text(wanted, *category);
    }
    return db_do(call->db, &SQL_rule_add_targets, args, err);
}

static int save_rule(struct api_call *call, void *context, json_object *element, json_object **ret,
                     struct err *err)
{
    struct rule rule;
    int r = rule_save(call, context, element, &rule, err);

    return r < 0 ? r : read_object(call, rule.id, ret, err);
}

static int save_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct policy policy;
    int r = policy_of_path(call, &policy, err);

    return r < 0 ? r : resource_bulk(call, &rule_list_schema, NULL, save_rule, &policy, ret, err);
}

int rule_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, save_all, err);
}

/* --- deleting --------------------------------------------------------------------------------- */

static int delete_rule(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct policy policy;
    struct rule rule;
    int r = policy_of_path(call, &policy, err);

    (void)ret;
    if (r == 0)
        r = rule_of_path(call, &policy, false, &rule, err);
    if (r < 0)
        return r;
    db_text(args, rule.id);
    return db_do(call->db, &SQL_rule_delete, args, err);
}

int rule_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_rule, err);
}
