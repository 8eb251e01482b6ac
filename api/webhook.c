/*
 * webhook - the pre-approval webhooks (rest.md 6): global, each on a connection of type https.
 */
#include <string.h>

#include "api/connection.h"
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

struct stored {
    const char *id, *key, *name, *connection_id;
};

/* All webhooks as they stand when a write begins. */
struct webhooks {
    struct stored *each;
    int count;
};

/* One as it is to be. */
struct wanted {
    const char *key, *name, *connection_id;
    const struct stored *stored; /* NULL: it is new */
    const char *id;
};

/* A list as it is to be, and what writing it does to requests that wait. */
struct wanted_list {
    struct wanted *each;
    int count;
    bool added, moved, deleted;
};

/* --- reading ---------------------------------------------------------------------------------- */

static json_object *object_of(struct api_call *call, const PGresult *rows, int row)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "key", api_json_text(db_get_text(rows, row, 1)));
    json_object_object_add(object, "name", api_json_text(db_get_text(rows, row, 2)));
    json_object_object_add(object, "connection_config", connection_object(call, rows, row, 3));
    return object;
}

static json_object *objects_of(struct api_call *call, const PGresult *rows, int count)
{
    json_object *list = json_object_new_array();

    for (int row = 0; row < count; row++)
        json_object_array_add(list, object_of(call, rows, row));
    return list;
}

static int read_objects(struct api_call *call, const struct wanted *each, int count,
                        json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);
    int r;

    for (int i = 0; i < count; i++)
        db_add_text(ids, each[i].id);
    r = db_run(call->db, &SQL_webhook_objects, args, &rows, err);
    if (r == 0)
        *ret = objects_of(call, rows, PQntuples(rows));
    return r;
}

static int read_object(struct api_call *call, const char *id, json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *list = NULL;
    const struct wanted one = { .id = id };
    int r = read_objects(call, &one, 1, &list, err);

    if (r == 0)
        *ret = json_object_get(json_object_array_get_idx(list, 0));
    return r;
}

static int read_all(struct api_call *call, struct webhooks *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct arena *arena = call->arena;
    int r = db_run(call->db, &SQL_webhook_all, NULL, &rows, err);

    if (r < 0)
        return r;
    ret->count = PQntuples(rows);
    ret->each = arena_array(arena, struct stored, (size_t)ret->count);
    for (int row = 0; row < ret->count; row++)
        ret->each[row] = (struct stored){
            db_dup_text(rows, row, 0, arena),
            db_dup_text(rows, row, 1, arena),
            db_dup_text(rows, row, 2, arena),
            db_dup_text(rows, row, 3, arena),
        };
    return 0;
}

static const struct stored *stored_by_key(const struct webhooks *webhooks, const char *key)
{
    for (int i = 0; i < webhooks->count; i++)
        if (!strcmp(webhooks->each[i].key, key))
            return &webhooks->each[i];
    return NULL;
}

static const struct stored *stored_by_name(const struct webhooks *webhooks, const char *name)
{
    for (int i = 0; i < webhooks->count; i++)
        if (!strcmp(webhooks->each[i].name, name))
            return &webhooks->each[i];
    return NULL;
}

/* The one of the path, read within the call's write or by itself. */
static int read_one(struct api_call *call, struct webhooks *webhooks, const struct stored **ret,
                    struct err *err)
{
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = read_all(call, webhooks, err);
    if (r < 0)
        return r;
    *ret = stored_by_key(webhooks, key);
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
    return api_answer_page(call, &page, objects_of(call, rows, count), total);
}

static int webhook_get(struct api_call *call, struct err *err)
{
    json_object *object;
    struct webhooks webhooks = { 0 };
    const struct stored *stored;
    int r = read_one(call, &webhooks, &stored, err);

    if (r == 0)
        r = read_object(call, stored->id, &object, err);
    return r < 0 ? r : api_answer(call, 200, object);
}

/* --- checking --------------------------------------------------------------------------------- */

static int find_connection(struct api_call *call, const char *key, const char **ret,
                           struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_webhook_connection, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(key, err);
    if (strcmp(db_get_text(rows, 0, 1), "https") != 0)
        return err_set(
            err, ERR_BAD_REQUEST,
            "A pre-approval webhook needs a connection of type 'https': '%s' is of type '%s'.", key,
            db_get_text(rows, 0, 1));
    *ret = db_dup_text(rows, 0, 0, call->arena);
    return 0;
}

static int check_duplicates(const struct wanted_list *list, struct err *err)
{
    for (int i = 0; i < list->count; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(list->each[i].key, list->each[j].key) ||
                !strcmp(list->each[i].name, list->each[j].name))
                return err_set(err, ERR_BAD_REQUEST,
                               "Check request body: there are multiple webhooks whose keys or "
                               "names resolve to the same value.");
    return 0;
}

/* Keys and names as given or made; what stands under a key that was given is the one that is
 * meant. */
static int resolve(struct api_call *call, const struct webhooks *webhooks, struct wanted_list *list,
                   struct err *err)
{
    for (int i = 0; i < list->count; i++) {
        json_object *element = json_object_array_get_idx(call->body, (size_t)i);
        struct resource_key key = resource_key(call, element);

        if (!key.key)
            return resource_no_key(MODEL, err);
        list->each[i] = (struct wanted){
            .key = key.key,
            .name = schema_text(element, "name"),
            .stored = key.given ? stored_by_key(webhooks, key.key) : NULL,
        };
    }
    return check_duplicates(list, err);
}

static int check_clash(const struct webhooks *webhooks, const struct wanted *wanted,
                       struct err *err)
{
    const struct stored *named = stored_by_name(webhooks, wanted->name);

    if (!wanted->stored && stored_by_key(webhooks, wanted->key))
        return resource_key_taken(wanted->key, MODEL, err);
    if (named && named != wanted->stored)
        return resource_name_taken(wanted->name, MODEL, err);
    return 0;
}

static int plan_list(struct api_call *call, const struct webhooks *webhooks,
                     struct wanted_list *list, struct err *err)
{
    int r = resolve(call, webhooks, list, err);

    for (int i = 0; r == 0 && i < list->count; i++) {
        json_object *element = json_object_array_get_idx(call->body, (size_t)i);

        r = find_connection(call, schema_text(element, "connection_config_key"),
                            &list->each[i].connection_id, err);
        if (r == 0)
            r = check_clash(webhooks, &list->each[i], err);
    }
    return r;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool is_wanted(const struct wanted_list *list, const struct stored *stored)
{
    for (int i = 0; i < list->count; i++)
        if (list->each[i].stored == stored)
            return true;
    return false;
}

static int delete_one(struct api_call *call, const struct stored *stored, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, stored->id);
    return db_do(call->db, &SQL_webhook_delete, args, err);
}

static int delete_others(struct api_call *call, const struct webhooks *webhooks,
                         struct wanted_list *list, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < webhooks->count; i++) {
        if (is_wanted(list, &webhooks->each[i]))
            continue;
        r = delete_one(call, &webhooks->each[i], err);
        list->deleted = true;
    }
    return r;
}

static int insert_one(struct api_call *call, struct wanted *wanted, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, wanted->key);
    db_text(args, wanted->name);
    db_text(args, wanted->connection_id);
    r = db_run(call->db, &SQL_webhook_insert, args, &rows, err);
    if (r == 0)
        wanted->id = db_dup_text(rows, 0, 0, call->arena);
    return r;
}

static int update_one(struct api_call *call, const struct wanted *wanted, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, wanted->id);
    db_text(args, wanted->name);
    db_text(args, wanted->connection_id);
    return db_do(call->db, &SQL_webhook_update, args, err);
}

static int write_one(struct api_call *call, struct wanted *wanted, struct wanted_list *list,
                     struct err *err)
{
    bool moves, renames;

    if (!wanted->stored) {
        list->added = true;
        return insert_one(call, wanted, err);
    }
    wanted->id = wanted->stored->id;
    moves = strcmp(wanted->connection_id, wanted->stored->connection_id) != 0;
    renames = strcmp(wanted->name, wanted->stored->name) != 0;
    list->moved = list->moved || moves;
    return moves || renames ? update_one(call, wanted, err) : 0;
}

/* One look at the waiting requests sees all that the write did to them. */
static int sweep(struct api_call *call, const struct wanted_list *list, struct err *err)
{
    const char *reason = list->added     ? "webhook_added"
                         : list->deleted ? "webhook_deleted"
                         : list->moved   ? "webhook_changed"
                                         : NULL;

    return reason ? resource_sweep(call, reason, err) : 0;
}

static int write_list(struct api_call *call, struct wanted_list *list, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < list->count; i++)
        r = write_one(call, &list->each[i], list, err);
    return r < 0 ? r : sweep(call, list, err);
}

/* --- the handlers that write ------------------------------------------------------------------ */

static int replace_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct webhooks webhooks = { 0 };
    struct wanted_list list = { .count = (int)json_object_array_length(call->body) };
    int r = read_all(call, &webhooks, err);

    list.each = arena_array(call->arena, struct wanted, (size_t)list.count);
    if (r == 0)
        r = plan_list(call, &webhooks, &list, err);
    if (r == 0)
        r = delete_others(call, &webhooks, &list, err);
    if (r == 0)
        r = write_list(call, &list, err);
    return r < 0 ? r : read_objects(call, list.each, list.count, ret, err);
}

static int webhook_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_all, err);
}

static int change_one(struct api_call *call, json_object **ret, struct err *err)
{
    const char *name = schema_text(call->body, "name");
    const char *connection = schema_text(call->body, "connection_config_key");
    struct webhooks webhooks = { 0 };
    struct wanted wanted = { 0 };
    struct wanted_list list = { &wanted, 1 };
    int r = read_one(call, &webhooks, &wanted.stored, err);

    if (r < 0)
        return r;
    wanted.key = wanted.stored->key;
    wanted.name = name ? name : wanted.stored->name;
    wanted.connection_id = wanted.stored->connection_id;
    if (connection)
        r = find_connection(call, connection, &wanted.connection_id, err);
    if (r == 0)
        r = check_clash(&webhooks, &wanted, err);
    if (r == 0)
        r = write_list(call, &list, err);
    return r < 0 ? r : read_object(call, wanted.id, ret, err);
}

static int webhook_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, change_one, err);
}

static int delete_named(struct api_call *call, json_object **ret, struct err *err)
{
    struct webhooks webhooks = { 0 };
    const struct stored *stored;
    int r = read_one(call, &webhooks, &stored, err);

    (void)ret;
    if (r == 0)
        r = delete_one(call, stored, err);
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
