/*
 * policy_webhook - the steps before and after a run (rest.md 5): two ordered lists a policy, each
 * step on a connection of type https. Every write moves the policy's `webhooks_revision`.
 */
#include <string.h>

#include "api/connection.h"
#include "api/hook.h"
#include "api/policy.h"
#include "api/policy_webhook.sql.h"
#include "api/resource.h"

static const char *const directions[] = { "one_way", "two_way", NULL };

static const struct schema_field element_fields[] = {
    { "direction", .required = true, .schema = { SCHEMA_STRING, .words = directions } },
    { "connection_config_key", .required = true, .schema = { SCHEMA_KEY } },
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields };
static const struct schema list_schema = { SCHEMA_LIST, .item = &element_schema, .max = 50 };

static const struct schema_field patch_fields[] = {
    { "direction", .nullable = true, .schema = { SCHEMA_STRING, .words = directions } },
    { "name", .nullable = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "connection_config_key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "order", .nullable = true, .schema = { SCHEMA_INT } },
    { 0 },
};
static const struct schema patch_schema = { SCHEMA_OBJECT, .forbid_extra = true,
                                            .fields = patch_fields };

/* --- rows ------------------------------------------------------------------------------------- */

/* Which of the policy's two lists: the path says it, however it spells it. */
static bool is_pre(const struct api_call *call)
{
    return strstr(call->route->path, "/webhook/pre");
}

static const char *side_word(const struct api_call *call)
{
    return is_pre(call) ? "pre" : "post";
}

static int insert_one(struct api_call *call, struct hook *hook, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, hook->owner);
    db_text(args, side_word(call));
    db_int(args, hook->place);
    db_text(args, hook->key);
    db_text(args, hook->name);
    db_text(args, hook->direction);
    db_text(args, hook->connection_id);
    return hook_run_insert(call, &SQL_policy_webhook_insert, args, hook, err);
}

static int update_one(struct api_call *call, struct hook *hook, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, hook->id);
    db_int(args, hook->place);
    db_text(args, hook->name);
    db_text(args, hook->direction);
    db_text(args, hook->connection_id);
    return db_do(call->db, &SQL_policy_webhook_update, args, err);
}

static json_object *object_of(struct api_call *call, const PGresult *rows, int row)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "direction", api_json_text(db_get_text(rows, row, 3)));
    json_object_object_add(object, "key", api_json_text(db_get_text(rows, row, 1)));
    json_object_object_add(object, "name", api_json_text(db_get_text(rows, row, 2)));
    json_object_object_add(object, "connection_config", connection_object(call, rows, row, 5));
    json_object_object_add(object, "order", json_object_new_int64(db_get_int(rows, row, 4)));
    return object;
}

/* --- the two lists ---------------------------------------------------------------------------- */

#define STEP(model_name) \
    { \
        .model = model_name, .what = "A policy webhook", .is_step = true, \
        .objects = &SQL_policy_webhook_objects, .object = object_of, \
        .remove = &SQL_policy_webhook_delete, .insert = insert_one, .update = update_one \
    }

static const struct hook_kind pre = STEP("PolicyPreWebhook"), post = STEP("PolicyPostWebhook");

static const struct hook_kind *kind_of(const struct api_call *call)
{
    return is_pre(call) ? &pre : &post;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The policy's own, and who has a key or a name of the list's. */
static int read_near(struct api_call *call, const char *policy_id, const struct hook_list *list,
                     struct hooks *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct db_column *keys, *names;
    int r;

    db_text(args, policy_id);
    db_text(args, side_word(call));
    keys = db_array(args, DB_TEXT);
    names = db_array(args, DB_TEXT);
    for (int i = 0; i < list->count; i++) {
        db_add_text(keys, list->each[i].hook.key);
        db_add_text(names, list->each[i].hook.name);
    }
    r = db_run(call->db, &SQL_policy_webhook_near, args, &rows, err);
    if (r == 0)
        *ret = hooks_of(call, rows);
    return r;
}

/* The one of the path. `name` (NULL: none) is what it is to be called. */
static int read_one(struct api_call *call, const char *name, struct policy *policy,
                    struct hooks *hooks, const struct hook **ret, struct err *err)
{
    struct hook_wanted wanted = { .hook = { .name = name } };
    const struct hook_list list = { .each = &wanted, .count = name ? 1 : 0 };
    const char *key;
    int r = policy_of_path(call, policy, err);

    if (r == 0)
        r = api_key_param(call, 1, &key, err);
    if (r == 0)
        r = read_near(call, policy->id, &list, hooks, err);
    if (r < 0)
        return r;
    *ret = hook_by_key(hooks, policy->id, key);
    return *ret ? 0
                : err_set(err, ERR_NOT_FOUND, "No %s Webhook found for key '%s' on Policy '%s'.",
                          is_pre(call) ? "Pre-Execution" : "Post-Execution", key, policy->key);
}

static int step_list(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct policy policy;
    struct api_page page;
    long long total;
    int count, r = policy_of_path(call, &policy, err);

    if (r == 0)
        r = api_page(call, &page, err);
    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    db_text(args, policy.id);
    db_text(args, side_word(call));
    r = db_run(call->db, &SQL_policy_webhook_page, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    return api_answer_page(call, &page, hook_objects(call, kind_of(call), rows, count), total);
}

static int step_get(struct api_call *call, struct err *err)
{
    const struct hook *stored;
    struct policy policy;
    struct hooks hooks;
    json_object *object;
    int r = read_one(call, NULL, &policy, &hooks, &stored, err);

    if (r == 0)
        r = hook_show(call, kind_of(call), stored->id, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* What runs and requests that wait are told of a write. */
static int note_change(struct api_call *call, const struct policy *policy,
                       const struct hook_list *list, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    int r;

    if (!list->added && !list->changed && !list->deleted)
        return 0;
    db_text(args, policy->id);
    r = db_do(call->db, &SQL_policy_webhook_moved, args, err);
    return r < 0 ? r : resource_sweep(call, "policy_webhooks_changed", err);
}

/* --- the whole list --------------------------------------------------------------------------- */

static int write_list(struct api_call *call, const struct policy *policy, struct hook_list *list,
                      struct err *err)
{
    const struct hook_kind *kind = kind_of(call);
    struct hooks stored;
    int r = read_near(call, policy->id, list, &stored, err);

    if (r == 0)
        r = hook_list_plan(call, kind, &stored, list, err);
    if (r == 0)
        r = hook_list_write(call, kind, &stored, list, err);
    return r < 0 ? r : note_change(call, policy, list, err);
}

static int replace_all(struct api_call *call, json_object **ret, struct err *err)
{
    const struct hook_kind *kind = kind_of(call);
    struct policy policy;
    struct hook_list list;
    int r = policy_of_path(call, &policy, err);

    if (r == 0)
        r = hook_list_read(call, kind, policy.id, &list, err);
    if (r == 0)
        r = write_list(call, &policy, &list, err);
    return r < 0 ? r : hook_list_show(call, kind, &list, ret, err);
}

static int step_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_all, err);
}

/* --- the order -------------------------------------------------------------------------------- */

/* A policy's own, in their order. */
struct steps {
    const struct hook **each;
    int count;
};

static struct steps steps_of(struct api_call *call, const struct hooks *hooks, const char *owner)
{
    struct steps steps = { arena_array(call->arena, const struct hook *, (size_t)hooks->count), 0 };

    for (int i = 0; i < hooks->count; i++)
        if (!strcmp(hooks->each[i].owner, owner))
            steps.each[steps.count++] = &hooks->each[i];
    return steps;
}

static int steps_find(const struct steps *steps, const struct hook *hook)
{
    int at = 0;

    while (at < steps->count - 1 && steps->each[at] != hook)
        at++;
    return at;
}

/* The others close up behind it, and make room before it. */
static void steps_move(struct steps *steps, int from, int to)
{
    const struct hook *moved = steps->each[from];
    int way = from < to ? 1 : -1;

    for (int at = from; at != to; at += way)
        steps->each[at] = steps->each[at + way];
    steps->each[to] = moved;
}

static int steps_write(struct api_call *call, const struct steps *steps, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < steps->count; i++)
        db_add_text(ids, steps->each[i]->id);
    return db_do(call->db, &SQL_policy_webhook_places, args, err);
}

static json_object *steps_object(const struct steps *steps)
{
    json_object *list = json_object_new_array();

    for (int i = 0; i < steps->count; i++) {
        json_object *step = json_object_new_object();

        json_object_object_add(step, "key", api_json_text(steps->each[i]->key));
        json_object_object_add(step, "order", json_object_new_int(i));
        json_object_array_add(list, step);
    }
    return list;
}

/* --- one -------------------------------------------------------------------------------------- */

/* Takes it to the place that the body names; `new_order` stays empty when that is its own. */
static int reorder(struct api_call *call, struct steps *steps, const struct hook *hook,
                   struct hook_list *list, json_object **new_order, struct err *err)
{
    int from = steps_find(steps, hook);
    long long to = schema_int(call->body, "order", from);

    if (to < 0 || to >= steps->count)
        return err_set(err, ERR_BAD_REQUEST,
                       "Cannot set order to %lld: there are only %d %s(s) defined on this Policy.",
                       to, steps->count, kind_of(call)->model);
    if (to == from) {
        *new_order = json_object_new_array();
        return 0;
    }
    list->changed = true;
    steps_move(steps, from, (int)to);
    *new_order = steps_object(steps);
    return steps_write(call, steps, err);
}

static int write_change(struct api_call *call, const struct policy *policy,
                        const struct hooks *stored, struct hook_wanted *wanted,
                        json_object **new_order, struct err *err)
{
    const struct hook_kind *kind = kind_of(call);
    struct steps steps = steps_of(call, stored, policy->id);
    struct hook_list list = { 0 };
    int r = hook_plan_change(call, kind, stored, wanted, err);

    if (r == 0)
        r = hook_write_one(call, kind, wanted, &list, err);
    if (r == 0)
        r = reorder(call, &steps, wanted->stored, &list, new_order, err);
    return r < 0 ? r : note_change(call, policy, &list, err);
}

static int change_one(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *new_order = NULL;
    json_object *object = NULL;
    struct policy policy;
    struct hook_wanted wanted;
    struct hooks stored;
    int r = read_one(call, schema_text(call->body, "name"), &policy, &stored, &wanted.stored, err);

    if (r == 0)
        r = write_change(call, &policy, &stored, &wanted, &new_order, err);
    if (r == 0)
        r = hook_show(call, kind_of(call), wanted.stored->id, &object, err);
    if (r < 0)
        return r;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "resource", object);
    json_object_object_add(*ret, "new_order", TAKE(new_order));
    return 0;
}

static int step_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, change_one, err);
}

/* The gap closes; the last one leaves none. */
static int delete_step(struct api_call *call, const struct policy *policy, struct steps *steps,
                       const struct hook *hook, struct err *err)
{
    const struct hook_list list = { .deleted = true };
    int r = hook_delete(call, kind_of(call), hook->id, err);

    steps_move(steps, steps_find(steps, hook), steps->count - 1);
    steps->count--;
    if (r == 0)
        r = steps_write(call, steps, err);
    return r < 0 ? r : note_change(call, policy, &list, err);
}

static int delete_named(struct api_call *call, json_object **ret, struct err *err)
{
    const struct hook *stored;
    struct policy policy;
    struct hooks hooks;
    struct steps steps;
    bool is_last;
    int r = read_one(call, NULL, &policy, &hooks, &stored, err);

    if (r < 0)
        return r;
    steps = steps_of(call, &hooks, policy.id);
    is_last = steps.each[steps.count - 1] == stored;
    r = delete_step(call, &policy, &steps, stored, err);
    if (r < 0)
        return r;
    *ret = json_object_new_object();
    json_object_object_add(*ret, "new_order",
                           is_last ? json_object_new_array() : steps_object(&steps));
    return 0;
}

static int step_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, delete_named, err);
}

/* The path of the contract, and those that documents and habit write for it. */
#define STEPS(path) \
    { "GET", path, "webhook:read", .handler = step_list }, \
        { "PUT", path, "webhook:create_or_update", &list_schema, .handler = step_put }, \
        { "GET", path "/{webhook_key}", "webhook:read", .handler = step_get }, \
        { "PATCH", path "/{webhook_key}", "webhook:create_or_update", &patch_schema, \
          .handler = step_patch }, \
    { \
        "DELETE", path "/{webhook_key}", "webhook:delete", .handler = step_delete \
    }
#define SIDES(policy) \
    STEPS(policy "/webhook/pre_execution"), STEPS(policy "/webhook/pre-execution"), \
        STEPS(policy "/webhook/post_execution"), STEPS(policy "/webhook/post-execution")

const struct api_route policy_webhook_routes[] = {
    SIDES("/dsr/policy/{policy_key}"),
    SIDES("/policy/{policy_key}"),
    { 0 },
};
