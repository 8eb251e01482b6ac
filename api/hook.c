#include "api/hook.h"

#include <string.h>

#include "api/connection.h"
#include "api/hook.sql.h"
#include "api/resource.h"

/* --- those that stand ------------------------------------------------------------------------- */

struct hooks hooks_of(struct api_call *call, const PGresult *rows)
{
    struct arena *arena = call->arena;
    struct hooks hooks = { .count = PQntuples(rows) };

    hooks.each = arena_array(arena, struct hook, (size_t)hooks.count);
    for (int row = 0; row < hooks.count; row++)
        hooks.each[row] = (struct hook){
            .id = db_dup_text(rows, row, 0, arena),
            .key = db_dup_text(rows, row, 1, arena),
            .name = db_dup_text(rows, row, 2, arena),
            .connection_id = db_dup_text(rows, row, 3, arena),
            .owner = db_dup_text(rows, row, 4, arena),
            .direction = db_dup_text(rows, row, 5, arena),
            .place = (int)db_get_int(rows, row, 6),
        };
    return hooks;
}

const struct hook *hook_by_key(const struct hooks *hooks, const char *owner, const char *key)
{
    for (int i = 0; i < hooks->count; i++)
        if (!strcmp(hooks->each[i].key, key) && !strcmp(hooks->each[i].owner, owner))
            return &hooks->each[i];
    return NULL;
}

/* --- checking --------------------------------------------------------------------------------- */

static int find_connection(struct api_call *call, const struct hook_kind *kind, const char *key,
                           const char **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    r = db_run(call->db, &SQL_hook_connection, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(key, err);
    if (strcmp(db_get_text(rows, 0, 1), "https") != 0)
        return err_set(err, ERR_BAD_REQUEST,
                       "%s needs a connection of type 'https': '%s' is of type '%s'.", kind->what,
                       key, db_get_text(rows, 0, 1));
    *ret = db_dup_text(rows, 0, 0, call->arena);
    return 0;
}

/* Whether another one has its key or its name, of whatever list. */
static int check_clash(const struct hook_kind *kind, const struct hooks *stored,
                       const struct hook_wanted *wanted, struct err *err)
{
    const struct hook *hook = &wanted->hook;

    for (int i = 0; i < stored->count; i++)
        if (&stored->each[i] != wanted->stored && !strcmp(stored->each[i].key, hook->key))
            return resource_key_taken(hook->key, kind->model, err);
    for (int i = 0; i < stored->count; i++)
        if (&stored->each[i] != wanted->stored && !strcmp(stored->each[i].name, hook->name))
            return resource_name_taken(hook->name, kind->model, err);
    return 0;
}

static int check_duplicates(const struct hook_list *list, struct err *err)
{
    for (int i = 0; i < list->count; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(list->each[i].hook.key, list->each[j].hook.key) ||
                !strcmp(list->each[i].hook.name, list->each[j].hook.name))
                return err_set(err, ERR_BAD_REQUEST,
                               "Check request body: there are multiple webhooks whose keys or "
                               "names resolve to the same value.");
    return 0;
}

static json_object *element(struct api_call *call, int place)
{
    return json_object_array_get_idx(call->body, (size_t)place);
}

static int read_element(struct api_call *call, const struct hook_kind *kind, const char *owner,
                        int place, struct hook *ret, struct err *err)
{
    struct resource_key key = resource_key(call, element(call, place));

    if (!key.key)
        return resource_no_key(kind->model, err);
    *ret = (struct hook){
        .key = key.key,
        .name = schema_text(element(call, place), "name"),
        .owner = owner,
        .direction = kind->is_step ? schema_text(element(call, place), "direction") : "",
        .place = kind->is_step ? place : 0,
    };
    return 0;
}

int hook_list_read(struct api_call *call, const struct hook_kind *kind, const char *owner,
                   struct hook_list *ret, struct err *err)
{
    struct hook_list list = { owner, .count = (int)json_object_array_length(call->body) };
    int r = 0;

    list.each = arena_array(call->arena, struct hook_wanted, (size_t)list.count);
    for (int i = 0; r == 0 && i < list.count; i++)
        r = read_element(call, kind, owner, i, &list.each[i].hook, err);
    if (r == 0)
        r = check_duplicates(&list, err);
    if (r == 0)
        *ret = list;
    return r;
}

/* What stands under a key that was given is the one that is meant; under a made one, another is. */
static void find_stored(struct api_call *call, const struct hooks *stored, struct hook_list *list)
{
    for (int i = 0; i < list->count; i++)
        if (schema_text(element(call, i), "key"))
            list->each[i].stored = hook_by_key(stored, list->owner, list->each[i].hook.key);
}

int hook_list_plan(struct api_call *call, const struct hook_kind *kind, const struct hooks *stored,
                   struct hook_list *list, struct err *err)
{
    int r = 0;

    find_stored(call, stored, list);
    for (int i = 0; r == 0 && i < list->count; i++) {
        r = find_connection(call, kind, schema_text(element(call, i), "connection_config_key"),
                            &list->each[i].hook.connection_id, err);
        if (r == 0)
            r = check_clash(kind, stored, &list->each[i], err);
    }
    return r;
}

int hook_plan_change(struct api_call *call, const struct hook_kind *kind,
                     const struct hooks *stored, struct hook_wanted *wanted, struct err *err)
{
    const char *name = schema_text(call->body, "name");
    const char *direction = schema_text(call->body, "direction");
    const char *connection = schema_text(call->body, "connection_config_key");
    int r = 0;

    wanted->hook = *wanted->stored;
    if (name)
        wanted->hook.name = name;
    if (direction)
        wanted->hook.direction = direction;
    if (connection)
        r = find_connection(call, kind, connection, &wanted->hook.connection_id, err);
    return r < 0 ? r : check_clash(kind, stored, wanted, err);
}

/* --- writing ---------------------------------------------------------------------------------- */

int hook_delete(struct api_call *call, const struct hook_kind *kind, const char *id,
                struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, id);
    return db_do(call->db, kind->remove, args, err);
}

static bool is_wanted(const struct hook_list *list, const struct hook *stored)
{
    for (int i = 0; i < list->count; i++)
        if (list->each[i].stored == stored)
            return true;
    return false;
}

static int delete_others(struct api_call *call, const struct hook_kind *kind,
                         const struct hooks *stored, struct hook_list *list, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < stored->count; i++) {
        if (strcmp(stored->each[i].owner, list->owner) != 0 || is_wanted(list, &stored->each[i]))
            continue;
        r = hook_delete(call, kind, stored->each[i].id, err);
        list->deleted = true;
    }
    return r;
}

static bool moves(const struct hook_wanted *wanted)
{
    return strcmp(wanted->hook.connection_id, wanted->stored->connection_id) != 0;
}

static bool differs(const struct hook_wanted *wanted)
{
    const struct hook *a = &wanted->hook, *b = wanted->stored;

    return moves(wanted) || strcmp(a->name, b->name) != 0 ||
           strcmp(a->direction, b->direction) != 0 || a->place != b->place;
}

int hook_write_one(struct api_call *call, const struct hook_kind *kind, struct hook_wanted *wanted,
                   struct hook_list *list, struct err *err)
{
    if (!wanted->stored) {
        list->added = true;
        return kind->insert(call, &wanted->hook, err);
    }
    wanted->hook.id = wanted->stored->id;
    if (!differs(wanted))
        return 0;
    list->changed = true;
    list->moved = list->moved || moves(wanted);
    return kind->update(call, &wanted->hook, err);
}

int hook_list_write(struct api_call *call, const struct hook_kind *kind, const struct hooks *stored,
                    struct hook_list *list, struct err *err)
{
    int r = delete_others(call, kind, stored, list, err);

    for (int i = 0; r == 0 && i < list->count; i++)
        r = hook_write_one(call, kind, &list->each[i], list, err);
    return r;
}

int hook_run_insert(struct api_call *call, const struct sql *sql, struct db_args *args,
                    struct hook *hook, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, sql, args, &rows, err);

    if (r == 0)
        hook->id = db_dup_text(rows, 0, 0, call->arena);
    return r;
}

/* --- showing ---------------------------------------------------------------------------------- */

json_object *hook_objects(struct api_call *call, const struct hook_kind *kind, const PGresult *rows,
                          int count)
{
    json_object *list = json_object_new_array();

    for (int row = 0; row < count; row++)
        json_object_array_add(list, kind->object(call, rows, row));
    return list;
}

int hook_list_show(struct api_call *call, const struct hook_kind *kind,
                   const struct hook_list *list, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);
    int r;

    for (int i = 0; i < list->count; i++)
        db_add_text(ids, list->each[i].hook.id);
    r = db_run(call->db, kind->objects, args, &rows, err);
    if (r == 0)
        *ret = hook_objects(call, kind, rows, PQntuples(rows));
    return r;
}

int hook_show(struct api_call *call, const struct hook_kind *kind, const char *id,
              json_object **ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *objects = NULL;
    struct hook_wanted wanted = { .hook.id = id };
    const struct hook_list one = { .each = &wanted, .count = 1 };
    int r = hook_list_show(call, kind, &one, &objects, err);

    if (r < 0)
        return r;
    if (!json_object_array_length(objects)) /* deleted while it was read, which only GET can see */
        return err_set(err, ERR_NOT_FOUND, "This webhook was just deleted.");
    *ret = json_object_get(json_object_array_get_idx(objects, 0));
    return 0;
}
