/*
 * webhook - the pre-approval webhooks (rest.md 6): global, each on a connection of type https.
 */
#include "api/connection.h"
#include "api/hook.h"
#include "api/resource.h"
#include "api/webhook.sql.h"

#define MODEL "PreApprovalWebhook"

static const struct schema_field element_fields[] = {
    { "connection_config_key", .required = true, .schema = { SCHEMA_KEY } },
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields };
static const struct schema list_schema = { SCHEMA_LIST, .item = &element_schema, .max = 50 };

static const struct schema_field patch_fields[] = {
    { "connection_config_key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "name", .nullable = true, .schema = { SCHEMA_STRING, .min = 1, .max = RESOURCE_NAME_MAX } },
    { 0 },
};
static const struct schema patch_schema = { SCHEMA_OBJECT, .forbid_extra = true,
                                            .fields = patch_fields };

/* --- rows ------------------------------------------------------------------------------------- */

static int insert_one(struct api_call *call, struct hook *hook, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, hook->key);
    db_text(args, hook->name);
    db_text(args, hook->connection_id);
    return hook_run_insert(call, &SQL_webhook_insert, args, hook, err);
}

static int update_one(struct api_call *call, struct hook *hook, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, hook->id);
    db_text(args, hook->name);
    db_text(args, hook->connection_id);
    return db_do(call->db, &SQL_webhook_update, args, err);
}

static json_object *object_of(struct api_call *call, const PGresult *rows, int row)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "key", api_json_text(db_get_text(rows, row, 1)));
    json_object_object_add(object, "name", api_json_text(db_get_text(rows, row, 2)));
    json_object_object_add(object, "connection_config", connection_object(call, rows, row, 3));
    return object;
}

static const struct hook_kind kind = {
    .model = MODEL,
    .what = "A pre-approval webhook",
    .objects = &SQL_webhook_objects,
    .object = object_of,
    .remove = &SQL_webhook_delete,
    .insert = insert_one,
    .update = update_one,
};

/* --- reading ---------------------------------------------------------------------------------- */

static int read_all(struct api_call *call, struct hooks *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, &SQL_webhook_all, NULL, &rows, err);

    if (r == 0)
        *ret = hooks_of(call, rows);
    return r;
}

/* The one of the path, read within the call's write or by itself. */
static int read_one(struct api_call *call, struct hooks *hooks, const struct hook **ret,
                    struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = read_all(call, hooks, err);
    if (r < 0)
        return r;
    *ret = hook_by_key(hooks, "", key);
    return *ret ? 0 : err_set(err, ERR_NOT_FOUND, "No " MODEL " found for key %s.", key);
}

static int webhook_list(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct api_page page;
    long long total;
    int count, r = api_page(call, &page, err);

    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    r = db_run(call->db, &SQL_webhook_page, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    return api_answer_page(call, &page, hook_objects(call, &kind, rows, count), total);
}

static int webhook_get(struct api_call *call, struct err *err)
{
    const struct hook *stored;
    struct hooks hooks;
    json_object *object;
    int r = read_one(call, &hooks, &stored, err);

    if (r == 0)
        r = hook_show(call, &kind, stored->id, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* One look at the waiting requests sees all that the write did to them. */
static int sweep(struct api_call *call, const struct hook_list *list, struct err *err)
{
    const char *reason = list->added     ? "webhook_added"
                         : list->deleted ? "webhook_deleted"
                         : list->moved   ? "webhook_changed"
                                         : NULL;

    return reason ? resource_sweep(call, reason, err) : 0;
}

static int replace_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct hooks stored;
    struct hook_list list;
    int r = hook_list_read(call, &kind, "", &list, err);

    if (r == 0)
        r = read_all(call, &stored, err);
    if (r == 0)
        r = hook_list_plan(call, &kind, &stored, &list, err);
    if (r == 0)
        r = hook_list_write(call, &kind, &stored, &list, err);
    if (r == 0)
        r = sweep(call, &list, err);
    return r < 0 ? r : hook_list_show(call, &kind, &list, ret, err);
}

static int webhook_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_all, err);
}

static int change_one(struct api_call *call, json_object **ret, struct err *err)
{
    struct hook_wanted wanted;
    struct hook_list list = { 0 };
    struct hooks stored;
    int r = read_one(call, &stored, &wanted.stored, err);

    if (r == 0)
        r = hook_plan_change(call, &kind, &stored, &wanted, err);
    if (r == 0)
        r = hook_write_one(call, &kind, &wanted, &list, err);
    if (r == 0)
        r = sweep(call, &list, err);
    return r < 0 ? r : hook_show(call, &kind, wanted.hook.id, ret, err);
}

static int webhook_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, change_one, err);
}

static int delete_named(struct api_call *call, json_object **ret, struct err *err)
{
    const struct hook *stored;
    struct hooks hooks;
    int r = read_one(call, &hooks, &stored, err);

    (void)ret;
    if (r == 0)
        r = hook_delete(call, &kind, stored->id, err);
    return r < 0 ? r : resource_sweep(call, "webhook_deleted", err);
}

static int webhook_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, delete_named, err);
}

/* The path of the contract, and those that documents and habit write for it. */
#define PRE_APPROVAL(path) \
    { "GET", path, "webhook:read", .handler = webhook_list }, \
        { "PUT", path, "webhook:create_or_update", &list_schema, .handler = webhook_put }, \
        { "GET", path "/{key}", "webhook:read", .handler = webhook_get }, \
        { "PATCH", path "/{key}", "webhook:create_or_update", &patch_schema, \
          .handler = webhook_patch }, \
    { \
        "DELETE", path "/{key}", "webhook:delete", .handler = webhook_delete \
    }

const struct api_route webhook_routes[] = {
    PRE_APPROVAL("/dsr/webhook/pre_approval"),
    PRE_APPROVAL("/dsr/webhook/pre-approval"),
    PRE_APPROVAL("/webhook/pre_approval"),
    PRE_APPROVAL("/webhook/pre-approval"),
    { 0 },
};
