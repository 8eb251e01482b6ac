#include <string.h>

#include "api/category.h"
#include "api/policy.h"
#include "api/resource.h"
#include "api/target.sql.h"

#define MODEL "RuleTarget"

enum { CATEGORY_CHARS_MAX = 512 };

static const struct schema_field element_fields[] = {
    { "data_category", .required = true, .schema = { SCHEMA_STRING, .max = CATEGORY_CHARS_MAX } },
    { "name", .nullable = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields };
const struct schema target_list_schema = { SCHEMA_LIST, .item = &element_schema, .max = 50 };

/* The rule that a call is about. */
struct place {
    struct policy policy;
    struct rule rule;
};

struct target {
    const char *id, *rule_id; /* NULL: there is none */
    const char *key, *object_json;
};

static int find_place(struct api_call *call, bool reads, struct place *ret, struct err *err)
{
    int r = policy_of_path(call, &ret->policy, err);

    return r < 0 ? r : rule_of_path(call, &ret->policy, reads, &ret->rule, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Whatever rule's it is. */
static int find_target(struct api_call *call, const char *key, struct target *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_target_by_key, args, &rows, err);
    if (r < 0)
        return r;
    *ret = (struct target){ .key = key };
    if (!PQntuples(rows))
        return 0;
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->rule_id = db_dup_text(rows, 0, 1, call->arena);
    ret->object_json = db_dup_text(rows, 0, 2, call->arena);
    return 0;
}

/* The target of the path's third parameter, of that very rule. */
static int target_of_path(struct api_call *call, const struct place *place, bool reads,
                          struct target *ret, struct err *err)
{
    const char *key;
    int r = api_key_param(call, 2, &key, err);

    if (r == 0)
        r = find_target(call, key, ret, err);
    if (r < 0 || (ret->id && !strcmp(ret->rule_id, place->rule.id)))
        return r;
    if (reads)
        return err_set(err, ERR_NOT_FOUND, "No Rule Target found for key %s attached to rule %s.",
                       key, place->rule.key);
    return err_set(err, ERR_NOT_FOUND, "No RuleTarget found for key %s at Rule %s on Policy %s.",
                   key, place->rule.key, place->policy.key);
}

int target_list(struct api_call *call, struct err *err)
{
    struct place place;
    int r = find_place(call, true, &place, err);

    return r < 0 ? r : resource_answer_page(call, &SQL_target_page, place.rule.id, err);
}

int target_get(struct api_call *call, struct err *err)
{
    struct place place;
    struct target target;
    int r = find_place(call, true, &place, err);

    if (r == 0)
        r = target_of_path(call, &place, true, &target, err);
    return r < 0 ? r : api_answer(call, 200, api_json_parse(target.object_json));
}

/* --- checking --------------------------------------------------------------------------------- */

/* Unknown categories refuse the whole call. */
static int check_categories(struct api_call *call, struct err *err)
{
    _cleanup_(buf_free) struct buf unknown = BUF_INIT(512);
    size_t count = json_object_array_length(call->body);

    for (size_t i = 0; i < count; i++) {
        const char *category =
            schema_text(json_object_array_get_idx(call->body, i), "data_category");

        if (!category_exists(category))
            buf_printf(&unknown, "%s'%s'", unknown.length ? ", " : "", category);
    }
    if (!unknown.length && !unknown.overflow)
        return 0;
    return err_set(err, ERR_INVALID, "Invalid data categories: [%s]",
                   unknown.length ? unknown.data : "...");
}

static int check_category(struct api_call *call, const struct place *place, const char *category,
                          const struct target *target, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, place->rule.id);
    db_text(args, category);
    db_text(args, target->id);
    r = db_run(call->db, &SQL_target_category, args, &rows, err);
    if (r < 0)
        return r;
    if (db_get_bool(rows, 0, 0))
        return err_set(err, ERR_BAD_REQUEST,
                       "DataCategory %s is already specified on Rule with ID %s", category,
                       place->rule.id);
    if (strcmp(place->rule.action_type, "erasure") != 0)
        return 0;
    return rule_check_conflict(call, place->policy.id, NULL, category, target->id, err);
}

/* Whether the element may be saved, and what stands under its key now. `name` is as given or by
 * default. */
static int check_target(struct api_call *call, const struct place *place, json_object *element,
                        const char *name, struct target *ret, struct err *err)
{
    const char *category = schema_text(element, "data_category"),
               *given = schema_text(element, "key");
    const char *key = given ? given : schema_derive_key(call->arena, name);
    int r;

    if (!*key)
        return resource_no_key(MODEL, err);
    r = find_target(call, key, ret, err);
    if (r < 0)
        return r;
    if (given && ret->id && strcmp(ret->rule_id, place->rule.id) != 0)
        return err_set(err, ERR_BAD_REQUEST,
                       "RuleTarget with identifier %s belongs to another rule.", key);
    r = check_category(call, place, category, given ? ret : &(struct target){ 0 }, err);
    if (r == 0 && !given && ret->id)
        return resource_key_taken(key, MODEL, err);
    return r;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_target(struct api_call *call, const struct place *place,
                        const struct target *target, const char *name, const char *category,
                        struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, place->rule.id);
    db_text(args, target->key);
    db_text(args, name);
    db_text(args, category);
    return db_do(call->db, target->id ? &SQL_target_update : &SQL_target_insert, args, err);
}

static int save_target(struct api_call *call, void *context, json_object *element,
                       json_object **ret, struct err *err)
{
    const struct place *place = context;
    const char *category = schema_text(element, "data_category"),
               *name = schema_text(element, "name");
    struct target target;
    int r;

    if (!name)
        name = arena_printf(call->arena, "%s-%s", place->rule.id, category);
    r = check_target(call, place, element, name, &target, err);
    if (r == 0)
        r = write_target(call, place, &target, name, category, err);
    if (r == 0)
        r = find_target(call, target.key, &target, err);
    if (r == 0)
        *ret = api_json_parse(target.object_json);
    return r;
}

static int save_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct place place;
    int r = find_place(call, false, &place, err);

    if (r == 0)
        r = check_categories(call, err);
    return r < 0 ? r
                 : resource_bulk(call, &target_list_schema, NULL, save_target, &place, ret, err);
}

int target_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, save_all, err);
}

/* --- deleting --------------------------------------------------------------------------------- */

static int delete_target(struct api_call *call, json_object **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct place place;
    struct target target;
    int r = find_place(call, false, &place, err);

    (void)ret;
    if (r == 0)
        r = target_of_path(call, &place, false, &target, err);
    if (r < 0)
        return r;
    db_text(args, target.id);
    return db_do(call->db, &SQL_target_delete, args, err);
}

int target_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_target, err);
}
