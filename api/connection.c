#include "api/connection.h"

#include <string.h>

#include "api/connection.sql.h"
#include "api/connection_kind.h"
#include "api/connection_try.h"
#include "api/resource.h"
#include "api/secret.h"
#include "common/log.h"

enum { TYPES_ASKED_MAX = 64, DESCRIPTION_CHARS_MAX = 10000 };

static const char *const types[] = {
#define CONNECTION_TYPE(name) name,
#include "api/connection.tbl.h"
#undef CONNECTION_TYPE
    NULL,
};
static const char *const accesses[] = { "read", "write", NULL };
static const char *const test_statuses[] = { "passed", "failed", "untested", NULL };

/* --- the object ------------------------------------------------------------------------------- */

static int open_sealed(struct api_call *call, const char *what, const char *id,
                       struct bytes sealed, json_object **ret, struct err *err)
{
    struct bytes plain;
    int r = seal_ring_open(call->api->ring, what, id, sealed, call->arena, &plain, err);

    if (r < 0)
        return r;
    *ret = api_json_parse(plain.data);
    return 0;
}

json_object *connection_unseal(struct api_call *call, const char *what, const char *id,
                               const PGresult *rows, int row, int column)
{
    json_object *object = NULL;
    struct bytes sealed;
    struct err err;

    sealed.data = db_get_bytes(rows, row, column, &sealed.length);
    if (sealed.data && open_sealed(call, what, id, sealed, &object, &err) < 0)
        log_err("connection.unreadable", &err, log_id("connection", id), log_word("what", what));
    return object;
}

struct bytes connection_seal(struct api_call *call, const char *what, const char *id,
                             json_object *object)
{
    struct bytes plain;

    plain.data = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &plain.length);
    return seal_ring_close(call->api->ring, what, id, plain, call->arena);
}


static json_object *texts(const PGresult *rows, int row, int column, struct arena *arena)
{
    json_object *list;
    const char **each;
    int count;

    if (db_is_null(rows, row, column))
        return NULL;
    each = db_get_texts(rows, row, column, arena, &count);
    list = json_object_new_array();
    for (int i = 0; i < count; i++)
        json_object_array_add(list, api_json_text(each[i]));
    return list;
}

static json_object *boolean(const PGresult *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NULL
                                         : json_object_new_boolean(db_get_bool(rows, row, column));
}

/* The columns in their order. */
enum { ID, KEY, NAME, DESCRIPTION, TYPE, ACCESS, CREATED, UPDATED, DISABLED, TESTED, SUCCEEDED };
enum { ACTIONS = SUCCEEDED + 1, SECRETS };

static json_object *shown_secrets(struct api_call *call, const PGresult *rows, int row, int column)
{
    const struct connection_kind *kind = connection_kind_of(db_get_text(rows, row, column + TYPE));
    _cleanup_(json_object_putp) json_object *secrets =
        connection_unseal(call, "secrets", db_get_text(rows, row, column + ID), rows, row, column + SECRETS);

    return kind && secrets ? kind->masked(secrets) : NULL;
}

json_object *connection_object(struct api_call *call, const PGresult *rows, int row, int column)
{
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "name", api_json_text(db_get_text(rows, row, column + NAME)) },
        { "key", api_json_text(db_get_text(rows, row, column + KEY)) },
        { "description", api_json_text(db_get_text(rows, row, column + DESCRIPTION)) },
        { "connection_type", api_json_text(db_get_text(rows, row, column + TYPE)) },
        { "access", api_json_text(db_get_text(rows, row, column + ACCESS)) },
        { "created_at", api_json_time(db_get_time(rows, row, column + CREATED)) },
        { "updated_at", api_json_time(db_get_time(rows, row, column + UPDATED)) },
        { "disabled", boolean(rows, row, column + DISABLED) },
        { "last_test_timestamp", api_json_time(db_get_time(rows, row, column + TESTED)) },
        { "last_test_succeeded", boolean(rows, row, column + SUCCEEDED) },
        { "secrets", shown_secrets(call, rows, row, column) },
        { "saas_config", NULL },
        { "authorized", json_object_new_boolean(false) },
        { "enabled_actions", texts(rows, row, column + ACTIONS, call->arena) },
        { "linked_systems", json_object_new_array() },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

/* --- finding one ------------------------------------------------------------------------------ */

int connection_unknown(const char *key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "No connection configuration found with key '%s'.", key);
}

/* One row, or none, by a key or an id. */
static int run_by(struct api_call *call, const struct sql *sql, const char *value, PGresult **ret,
                  struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, value);
    return db_run(call->db, sql, args, ret, err);
}

static int read_object(struct api_call *call, const char *key, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = run_by(call, &SQL_connection_by_key, key, &rows, err);

    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(key, err);
    *ret = connection_object(call, rows, 0, 0);
    return 0;
}

/* What decides about a change; id NULL: there is none. */
struct state {
    const char *id, *type;
    bool disabled, has_webhooks; /* also what people are asked for */
    json_object *secrets; /* to be put; NULL: none, or none that can be opened */
};

static void state_free(struct state *state)
{
    json_object_put(state->secrets);
}

static int read_state(struct api_call *call, const char *key, struct state *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = run_by(call, &SQL_connection_state, key, &rows, err);

    if (r < 0 || !PQntuples(rows))
        return r;
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->disabled = db_get_bool(rows, 0, 1);
    ret->has_webhooks = db_get_bool(rows, 0, 2);
    ret->secrets = connection_unseal(call, "secrets", ret->id, rows, 0, 3);
    ret->type = db_dup_text(rows, 0, 4, call->arena);
    return 0;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* Null when the query says nothing. */
static int query_flag(struct api_call *call, const char *name, struct db_args *args,
                      struct err *err)
{
    bool value = false;
    int r = api_query_bool(call, name, false, &value, err);

    if (r < 0)
        return r;
    if (http_query(call->http, name))
        db_bool(args, value);
    else
        db_null(args);
    return 0;
}

/* Types that nobody knows are taken for names of SaaS connectors, of which there are none: they
 * match nothing. */
static void query_types(struct api_call *call, struct db_args *args)
{
    struct db_column *column = db_array(args, DB_TEXT);
    const char *asked[TYPES_ASKED_MAX];
    int count = http_queries(call->http, "connection_type", asked, TYPES_ASKED_MAX);

    for (int i = 0; i < count && i < TYPES_ASKED_MAX; i++)
        db_add_text(column, asked[i]);
}

static int query_filters(struct api_call *call, struct db_args *args, struct err *err)
{
    const char *test_status = NULL, *system_type = NULL;
    int r;

    db_text(args, http_query(call->http, "search"));
    r = query_flag(call, "disabled", args, err);
    if (r == 0)
        r = resource_query_word(call, "test_status", test_statuses, &test_status, err);
    db_text(args, test_status);
    if (r == 0)
        r = resource_query_word(call, "system_type", resource_system_types, &system_type, err);
    db_text(args, system_type);
    if (r == 0)
        r = query_flag(call, "orphaned_from_system", args, err);
    if (r == 0)
        query_types(call, args);
    return r;
}

static int connection_list(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    json_object *items;
    struct api_page page;
    long long total;
    int count, r = api_page(call, &page, err);

    if (r < 0)
        return r;
    db_int(args, page.size);
    db_int(args, api_page_offset(&page));
    r = query_filters(call, args, err);
    if (r < 0)
        return r;
    r = db_run(call->db, &SQL_connection_page, args, &rows, err);
    if (r < 0)
        return r;
    count = resource_page_rows(rows, &total);
    items = json_object_new_array();
    for (int row = 0; row < count; row++)
        json_object_array_add(items, connection_object(call, rows, row, 1));
    return api_answer_page(call, &page, items, total);
}

static int connection_get(struct api_call *call, struct err *err)
{
    json_object *object, *name;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r < 0)
        return r;
    r = read_object(call, key, &object, err);
    if (r < 0)
        return r;
    /* The linked system's key, of which there is none, else the connection's name. */
    name = json_object_get(schema_get(object, "name"));
    json_object_object_add(object, "system_key", name);
    return api_answer(call, 200, object);
}

json_object *connection_test_status(struct api_call *call, const char *what, const char *key,
                                    const char *status)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "msg",
                           api_json_text(arena_printf(call->arena, "%s: %s.", what, key)));
    json_object_object_add(object, "test_status", api_json_text(status));
    json_object_object_add(object, "failure_reason", NULL);
    return object;
}

static int connection_test(struct api_call *call, struct err *err)
{
    json_object *status = NULL;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = connection_try(call, key, "Test completed for ConnectionConfig with key", &status, err);
    return r < 0 ? r : api_answer(call, 200, status);
}

/* --- secrets ---------------------------------------------------------------------------------- */

/* `stored` is what they replace. */
static int store_secrets(struct api_call *call, const struct connection_kind *kind, const char *id,
                         json_object *stored, json_object *secrets, struct err *err)
{
    _cleanup_(json_object_putp) json_object *trimmed = kind->trim(secrets);
    struct db_args *args = db_args_new(call->arena);
    struct bytes sealed;

    secret_keep_previous(trimmed, stored, call->now, call->api->config->signing_overlap);
    if (stored && json_object_equal(stored, trimmed))
        return 0; /* sealed anew they would look like others */
    sealed = connection_seal(call, "secrets", id, trimmed);
    db_text(args, id);
    db_bytes(args, sealed.data, sealed.length);
    return db_do(call->db, &SQL_connection_set_secrets, args, err);
}

static int write_secrets(struct api_call *call, const char *key, bool merge, struct err *err)
{
    _cleanup_(json_object_putp) json_object *secrets = NULL;
    _cleanup_(state_free) struct state state = { 0 };
    const struct connection_kind *kind;
    int r = read_state(call, key, &state, err);

    if (r < 0)
        return r;
    if (!state.id)
        return err_set(err, ERR_NOT_FOUND, "No connection config found with key %s", key);
    kind = connection_kind_of(state.type);
    secrets = merge ? kind->merge(state.secrets, call->body) : json_object_get(call->body);
    if (!kind->check(secrets, call->api->config, &call->errors))
        return err_set(err, ERR_INVALID, "invalid secrets");
    return store_secrets(call, kind, state.id, state.secrets, secrets, err);
}

/* fresh NULL: none from now on, not the former one either. */
static int store_signing(struct api_call *call, const struct state *state, const char *fresh,
                         struct err *err)
{
    _cleanup_(json_object_putp) json_object *changes = json_object_new_object();
    _cleanup_(json_object_putp) json_object *secrets = NULL;

    json_object_object_add(changes, "signing_secret", api_json_text(fresh));
    secrets = secret_merge(state->secrets, changes);
    return store_secrets(call, connection_kind_of(state->type), state->id, state->secrets, secrets, err);
}

/* Only calls are signed. */
static int check_called(const struct state *state, const char *key, struct err *err)
{
    if (!strcmp(state->type, types[0]))
        return 0;
    return err_set(err, ERR_CONFLICT, "Connection '%s' is of type '%s': no calls are made to it.", key, state->type);
}

int connection_rotate_secret(struct api_call *call, const char *key, const char **ret_secret,
                             struct err *err)
{
    _cleanup_(state_free) struct state state = { 0 };
    const char *fresh;
    int r = read_state(call, key, &state, err);

    if (r < 0)
        return r;
    if (!state.id)
        return connection_unknown(key, err);
    r = check_called(&state, key, err);
    if (r < 0)
        return r;
    if (!state.secrets)
        return err_set(err, ERR_CONFLICT, "Connection '%s' has no secrets yet: set its url first.",
                       key);
    fresh = secret_signing_new(call->arena);
    r = store_signing(call, &state, fresh, err);
    if (r == 0)
        *ret_secret = fresh;
    return r;
}

int connection_drop_secret(struct api_call *call, const char *key, struct err *err)
{
    _cleanup_(state_free) struct state state = { 0 };
    int r = read_state(call, key, &state, err);

    if (r < 0)
        return r;
    if (!state.id)
        return connection_unknown(key, err);
    r = check_called(&state, key, err);
    if (r < 0)
        return r;
    return state.secrets ? store_signing(call, &state, NULL, err) : 0;
}

static int replace_secrets(struct api_call *call, json_object **ret, struct err *err)
{
    (void)ret;
    return write_secrets(call, call->params[0], false, err);
}

static int merge_secrets(struct api_call *call, json_object **ret, struct err *err)
{
    (void)ret;
    return write_secrets(call, call->params[0], true, err);
}

/* They are tried once they are written: nobody waits for a database with the configuration locked. */
static int change_secrets(struct api_call *call, resource_write *write, struct err *err)
{
    static const char what[] = "Secrets updated for ConnectionConfig with key";
    json_object *none = NULL, *status;
    bool verify = true;
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    if (r == 0)
        r = api_query_bool(call, "verify", true, &verify, err);
    if (r == 0)
        r = resource_change(call, write, &none, err);
    if (r < 0)
        return r;
    if (verify)
        r = connection_try(call, key, what, &status, err);
    else
        status = connection_test_status(call, what, key, NULL);
    return r < 0 ? r : api_answer(call, 200, status);
}

static int secrets_put(struct api_call *call, struct err *err)
{
    return change_secrets(call, replace_secrets, err);
}

static int secrets_patch(struct api_call *call, struct err *err)
{
    return change_secrets(call, merge_secrets, err);
}

/* --- creating and changing -------------------------------------------------------------------- */

static const char *const actions[] = { "access", "erasure", "consent", NULL };
static const struct schema action_schema = { SCHEMA_STRING, .words = actions };

static const struct schema_field element_fields[] = {
    { "name", .nullable = true, .schema = { SCHEMA_STRING, .max = RESOURCE_NAME_MAX } },
    { "key", .nullable = true, .schema = { SCHEMA_KEY } },
    { "connection_type", .required = true, .schema = { SCHEMA_STRING, .words = types } },
    { "access", .required = true, .schema = { SCHEMA_STRING, .words = accesses } },
    { "disabled", .nullable = true, .schema = { SCHEMA_BOOL } },
    { "description", .nullable = true, .schema = { SCHEMA_STRING, .max = DESCRIPTION_CHARS_MAX } },
    { "enabled_actions", .nullable = true,
      .schema = { SCHEMA_LIST, .item = &action_schema, .min = 1, .max = COUNT_OF(actions) - 1 } },
    { "secrets", .nullable = true, .schema = { SCHEMA_OBJECT } },
    { "saas_connector_type", .nullable = true, .schema = { SCHEMA_STRING } },
    { 0 },
};
static const struct schema element_schema = { SCHEMA_OBJECT, .fields = element_fields };
static const struct schema list_schema = { SCHEMA_LIST, .item = &element_schema, .max = 50 };
static const struct schema secrets_schema = { SCHEMA_OBJECT };

/* What the elements of a call have done to requests that wait. */
struct effects {
    bool enabled, disabled, changed;
};

/* Inline secrets fail their element in the words of the first error. */
static int check_inline(struct api_call *call, const struct connection_kind *kind, json_object *element,
                        struct err *err)
{
    json_object *secrets = schema_get(element, "secrets");
    struct schema_errors errors = { 0 };
    int r;

    if (!secrets || kind->check(secrets, call->api->config, &errors))
        return 0;
    r = resource_refuse_first(&errors, "", err);
    schema_errors_free(&errors);
    return r;
}

/* Absent: they stay. Null: all of them. */
static void actions_args(struct db_args *args, json_object *element)
{
    json_object *list = schema_get(element, "enabled_actions");
    struct db_column *column;

    db_bool(args, schema_has(element, "enabled_actions"));
    if (!list) {
        db_null(args);
        return;
    }
    column = db_array(args, DB_TEXT);
    for (size_t i = 0; i < json_object_array_length(list); i++)
        db_add_text(column, json_object_get_string(json_object_array_get_idx(list, i)));
}

static int write_element(struct api_call *call, const struct sql *sql, const char *key,
                         json_object *element, const char **id, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, key);
    db_text(args, schema_text(element, "name"));
    db_text(args, schema_text(element, "description"));
    db_text(args, schema_text(element, "connection_type"));
    db_text(args, schema_text(element, "access"));
    if (schema_get(element, "disabled"))
        db_bool(args, schema_bool(element, "disabled", false));
    else
        db_null(args);
    actions_args(args, element);
    r = db_run(call->db, sql, args, &rows, err);
    if (r < 0)
        return r;
    *id = db_dup_text(rows, 0, 0, call->arena);
    return 0;
}

/* Only what webhooks use, or what people are asked for, has requests that wait for it. */
static void note_effect(struct effects *effects, const struct state *before, json_object *element)
{
    bool disabled = schema_bool(element, "disabled", before->disabled);

    if (!before->id || !before->has_webhooks)
        return;
    if (disabled != before->disabled)
        *(disabled ? &effects->disabled : &effects->enabled) = true;
    else if (schema_has(element, "enabled_actions"))
        effects->changed = true;
}

/* What stands under the key must be of the same type: its secrets, webhooks and datasets are of that type. */
static int check_standing(const struct resource_key *key, const struct state *state, const char *type,
                          struct err *err)
{
    if (!key->given)
        return resource_key_taken(key->key, "ConnectionConfig", err);
    if (strcmp(state->type, type) != 0)
        return err_set(err, ERR_BAD_REQUEST, "Connection '%s' is of type '%s': a connection's type cannot be changed.",
                       key->key, state->type);
    return 0;
}

/* Whether the element may be saved, and what stands under its key now. */
static int check_element(struct api_call *call, json_object *element, struct resource_key *key,
                         struct state *state, struct err *err)
{
    const char *type = schema_text(element, "connection_type");
    const struct connection_kind *kind = connection_kind_of(type);
    int r;

    if (!kind)
        return err_set(err, ERR_BAD_REQUEST,
                       "Connection type '%s' is not available in this version.", type);
    *key = resource_key(call, element);
    if (!key->key)
        return err_set(err, ERR_BAD_REQUEST, "This connection configuration could not be added.");
    r = read_state(call, key->key, state, err);
    if (r == 0 && state->id)
        r = check_standing(key, state, type, err);
    return r < 0 ? r : check_inline(call, kind, element, err);
}

static int save_element(struct api_call *call, void *context, json_object *element,
                        json_object **ret, struct err *err)
{
    _cleanup_(state_free) struct state state = { 0 };
    struct resource_key key;
    const char *id = NULL;
    int r = check_element(call, element, &key, &state, err);

    if (r < 0)
        return r;
    r = write_element(call, state.id ? &SQL_connection_update : &SQL_connection_insert, key.key,
                      element, &id, err);
    if (r == 0 && schema_get(element, "secrets"))
        r = store_secrets(call, connection_kind_of(schema_text(element, "connection_type")), id, state.secrets,
                          schema_get(element, "secrets"), err);
    if (r < 0)
        return r;
    note_effect(context, &state, element);
    return read_object(call, key.key, ret, err);
}

static int save_all(struct api_call *call, json_object **ret, struct err *err)
{
    struct effects effects = { 0 };
    int r = resource_bulk(call, &list_schema, "secrets", save_element, &effects, ret, err);

    if (r == 0 && effects.enabled)
        r = resource_sweep(call, "connection_enabled", err);
    if (r == 0 && effects.disabled)
        r = resource_sweep(call, "connection_disabled", err);
    if (r == 0 && effects.changed)
        r = resource_sweep(call, "connection_changed", err);
    return r;
}

static int connection_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, save_all, err);
}

/* --- deleting --------------------------------------------------------------------------------- */

/* A policy's list is not cut short behind its back. */
static int check_unused(struct api_call *call, const char *key, const char *id, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    long long more;
    int r = run_by(call, &SQL_connection_users, id, &rows, err);

    if (r < 0 || db_is_null(rows, 0, 0))
        return r;
    more = db_get_int(rows, 0, 1);
    return err_set(err, ERR_CONFLICT,
                   "Cannot delete connection %s: it is used by policy webhooks %s%s.", key,
                   db_get_text(rows, 0, 0),
                   more ? arena_printf(call->arena, " and %lld more", more) : "");
}

static int delete_named(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(state_free) struct state state = { 0 };
    struct db_args *args = db_args_new(call->arena);
    const char *key;
    int r = api_key_param(call, 0, &key, err);

    (void)ret;
    if (r == 0)
        r = read_state(call, key, &state, err);
    if (r < 0)
        return r;
    if (!state.id)
        return connection_unknown(key, err);
    r = check_unused(call, key, state.id, err);
    db_text(args, state.id);
    if (r == 0)
        r = db_do(call->db, &SQL_connection_delete, args, err);
    if (r == 0 && state.has_webhooks)
        r = resource_sweep(call, "connection_deleted", err);
    return r;
}

static int connection_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_named, err);
}

#define WRITE "connection:create_or_update"

const struct api_route connection_routes[] = {
    { "GET", "/connection", "connection:read", .handler = connection_list },
    { "PATCH", "/connection", WRITE, &list_schema, .handler = connection_patch },
    /* As a product document has it. */
    { "POST", "/connection", WRITE, &list_schema, .handler = connection_patch },
    { "GET", "/connection/{key}", "connection:read", .handler = connection_get },
    { "DELETE", "/connection/{key}", "connection:delete", .handler = connection_delete },
    { "PUT", "/connection/{key}/secret", WRITE, &secrets_schema, .handler = secrets_put },
    { "PATCH", "/connection/{key}/secret", WRITE, &secrets_schema, .handler = secrets_patch },
    { "GET", "/connection/{key}/test", "connection:read", .handler = connection_test },
    { 0 },
};
