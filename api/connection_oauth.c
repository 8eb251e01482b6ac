/*
 * connection_oauth - the client credentials with which a connection's calls get their tokens
 * (rest.md 3). They are written and replaced, and shown by nothing.
 */
#include <string.h>

#include "api/connection.h"
#include "api/connection_oauth.sql.h"
#include "api/resource.h"
#include "api/secret.h"

enum { SCOPE_CHARS_MAX = 2048, CLIENT_ID_CHARS_MAX = 1024, CLIENT_SECRET_CHARS_MAX = 4096 };

static const char *const grant_types[] = { "client_credentials", NULL };

/* --- bodies ----------------------------------------------------------------------------------- */

static const char *const ascii_members[] = { "scope", "client_id", "client_secret" };

/* RFC 6749, appendix A: what a token endpoint can be asked with. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static void check_members(json_object *body, const struct schema_loc *loc,
                          struct schema_errors *errors)
{
    for (size_t i = 0; i < COUNT_OF(ascii_members); i++) {
        const struct schema_loc place = { .parent = loc, .name = ascii_members[i] };
        const char *text = schema_text(body, ascii_members[i]);

        if (text && !is_printable(text))
            schema_error(errors, &place, "value_error",
                         "Value error, This must be printable ASCII characters.");
    }
}

/* MEMBERS(the contract's mandatory ones: required or nullable) */
#define MEMBERS(mandatory) \
    { "grant_type", .mandatory = true, .schema = { SCHEMA_STRING, .words = grant_types } }, \
        { "token_url", .mandatory = true, \
          .schema = { SCHEMA_STRING, .min = 1, .max = SECRET_URL_MAX } }, \
        { "scope", .nullable = true, .schema = { SCHEMA_STRING, .max = SCOPE_CHARS_MAX } }, \
        { "client_id", .mandatory = true, \
          .schema = { SCHEMA_STRING, .min = 1, .max = CLIENT_ID_CHARS_MAX } }, \
    { \
        "client_secret", .mandatory = true, .schema = { \
            SCHEMA_STRING, \
            .min = 1, \
            .max = CLIENT_SECRET_CHARS_MAX \
        } \
    }

static const struct schema_field put_fields[] = { MEMBERS(required), { 0 } };
static const struct schema_field patch_fields[] = { MEMBERS(nullable), { 0 } };
static const struct schema put_schema = { SCHEMA_OBJECT, .forbid_extra = true,
                                          .fields = put_fields, .check = check_members };
static const struct schema patch_schema = { SCHEMA_OBJECT, .forbid_extra = true,
                                            .fields = patch_fields, .check = check_members };

/* --- the connection --------------------------------------------------------------------------- */

struct target {
    const char *id, *key;
    json_object *stored; /* to be put; NULL: none, or none that can be opened */
    bool is_set;
};

static void target_free(struct target *target)
{
    json_object_put(target->stored);
}

static int find_target(struct api_call *call, const char *not_https, struct target *ret,
                       struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r = api_key_param(call, 0, &ret->key, err);

    if (r < 0)
        return r;
    db_text(args, ret->key);
    r = db_run(call->db, &SQL_connection_oauth_state, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return connection_unknown(ret->key, err);
    if (strcmp(db_get_text(rows, 0, 1), "https") != 0)
        return err_set(err, ERR_INVALID, "%s", not_https);
    ret->id = db_dup_text(rows, 0, 0, call->arena);
    ret->is_set = !db_is_null(rows, 0, 2);
    ret->stored = connection_unseal(call, "oauth", ret->id, rows, 0, 2);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* What `changes` gives laid over `stored` (NULL: nothing). A new object with every member. */
static json_object *lay_over(json_object *stored, json_object *changes)
{
    json_object *merged = json_object_new_object();

    for (const struct schema_field *field = put_fields; field->name; field++) {
        json_object *value = schema_get(changes, field->name);

        if (!value)
            value = schema_get(stored, field->name);
        json_object_object_add(merged, field->name, json_object_get(value));
    }
    return merged;
}

static bool is_complete(json_object *oauth)
{
    for (const struct schema_field *field = put_fields; field->name; field++)
        if (field->required && !schema_get(oauth, field->name))
            return false;
    return true;
}

/* The url of a stored one was checked when it came, maybe under other settings: only a new one is
 * looked at. */
static int check_token_url(struct api_call *call, struct err *err)
{
    const char *url = schema_text(call->body, "token_url");
    const char *problem =
        url ? secret_url_problem(url, call->api->config->webhook_allow_http) : NULL;

    if (!problem)
        return 0;
    return api_invalid(call, err, "body", "token_url", "value_error", "Value error, %s", problem);
}

static int store(struct api_call *call, const char *id, json_object *oauth, struct err *err)
{
    struct bytes sealed = { 0 };
    struct db_args *args = db_args_new(call->arena);

    if (oauth)
        sealed = connection_seal(call, "oauth", id, oauth);
    db_text(args, id);
    db_bytes(args, sealed.data, sealed.length);
    return db_do(call->db, &SQL_connection_oauth_set, args, err);
}

static int write_oauth(struct api_call *call, bool merge, struct target *target, struct err *err)
{
    _cleanup_(json_object_putp) json_object *oauth = NULL;
    int r = find_target(call, "OAuth2 configuration can only be set for HTTPS connections.", target,
                        err);

    if (r == 0)
        r = check_token_url(call, err);
    if (r < 0)
        return r;
    oauth = lay_over(merge ? target->stored : NULL, call->body);
    if (!is_complete(oauth))
        return err_set(err, ERR_INVALID, "Invalid OAuth2 configuration.");
    if (target->stored && json_object_equal(target->stored, oauth))
        return 0; /* sealed anew it would look like another */
    return store(call, target->id, oauth, err);
}

static int change_oauth(struct api_call *call, bool merge, json_object **ret, struct err *err)
{
    _cleanup_(target_free) struct target target = { 0 };
    bool verify = true;
    int r = api_query_bool(call, "verify", true, &verify, err);

    if (r == 0)
        r = write_oauth(call, merge, &target, err);
    if (r == 0)
        *ret = connection_test_status(
            call, "OAuth2 configuration updated for ConnectionConfig with key", target.key,
            verify ? "skipped" : NULL);
    return r;
}

static int replace_oauth(struct api_call *call, json_object **ret, struct err *err)
{
    return change_oauth(call, false, ret, err);
}

static int merge_oauth(struct api_call *call, json_object **ret, struct err *err)
{
    return change_oauth(call, true, ret, err);
}

static int delete_oauth(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(target_free) struct target target = { 0 };
    int r = find_target(call, "OAuth2 configuration can only be deleted for HTTPS connections",
                        &target, err);

    (void)ret;
    if (r < 0)
        return r;
    if (!target.is_set)
        return err_set(err, ERR_NOT_FOUND, "No OAuth2 configuration found to delete.");
    return store(call, target.id, NULL, err);
}

static int oauth_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, replace_oauth, err);
}

static int oauth_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, merge_oauth, err);
}

static int oauth_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 204, delete_oauth, err);
}

#define PATH "/connection/{key}/oauth"
#define WRITE "connection:create_or_update"

const struct api_route connection_oauth_routes[] = {
    { "PUT", PATH, WRITE, &put_schema, .handler = oauth_put },
    { "PATCH", PATH, WRITE, &patch_schema, .handler = oauth_patch },
    { "DELETE", PATH, WRITE, .handler = oauth_delete },
    { 0 },
};
