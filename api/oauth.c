#include <sodium.h>
#include <string.h>

#include "api/api.h"
#include "api/auth.h"
#include "api/login.h"
#include "api/oauth.sql.h"
#include "api/resource.h"

/* Ids and secrets are random, in hex. A secret has 256 bits, which nobody guesses, so that its hash
 * need not be slow to be safe: it costs enough to make a stolen table useless and little enough to
 * give tokens by the hundred. */
enum { ID_BYTES = 16, SECRET_BYTES = 32, HASH_OPS = 2, HASH_MEMORY_BYTES = 8 * 1024 * 1024 };
enum {
    CREDENTIALS_BYTES_MAX = 1024,
    SCOPES_MAX = 1000,
    NAME_CHARS = 500,
    DESCRIPTION_CHARS = 5000
};

/* --- tokens ----------------------------------------------------------------------------------- */

struct credentials {
    const char *id, *secret;
};

static int refused(struct err *err)
{
    return err_set(err, ERR_UNAUTHORIZED, "Authentication Failure");
}

/* HTTP Basic; false when there is none. */
static bool credentials_basic(struct api_call *call, struct credentials *ret)
{
    static const char scheme[] = "Basic ";
    const char *header = http_header(call->http, "Authorization");
    char *text = arena_alloc(call->arena, CREDENTIALS_BYTES_MAX + 1), *colon;
    size_t length;

    if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1))
        return false;
    header += sizeof(scheme) - 1;
    if (sodium_base642bin((uint8_t *)text, CREDENTIALS_BYTES_MAX, header, strlen(header), NULL,
                          &length, NULL, sodium_base64_VARIANT_ORIGINAL))
        return false;
    colon = memchr(text, ':', length);
    if (!colon || memchr(text, '\0', length) || !schema_is_utf8(text, length))
        return false;
    *colon = '\0';
    *ret = (struct credentials){ text, colon + 1 };
    return true;
}

static int credentials_read(struct api_call *call, struct credentials *ret, struct err *err)
{
    const char *grant = http_form(call->http, "grant_type");

    if (grant && !strstr(grant, "client_credentials"))
        return api_invalid(call, err, "body", "grant_type", "string_pattern_mismatch",
                           "String should match pattern 'client_credentials'");
    *ret = (struct credentials){ http_form(call->http, "client_id"),
                                 http_form(call->http, "client_secret") };
    if (ret->id && *ret->id && ret->secret && *ret->secret)
        return 0;
    if (credentials_basic(call, ret))
        return 0;
    return refused(err);
}

static int token_of_root(struct api_call *call, const struct credentials *given, json_object **ret,
                         struct err *err)
{
    if (!auth_is_same(call->api->config->root_client_secret, given->secret))
        return refused(err);
    return auth_root_token(call, ret, err);
}

static int token_of_client(struct api_call *call, const struct credentials *given,
                           json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    const char **scopes, **roles;
    int count, r;

    db_text(args, given->id);
    r = db_run(call->db, &SQL_oauth_credentials, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows) ||
        crypto_pwhash_str_verify(db_get_text(rows, 0, 0), given->secret, strlen(given->secret)))
        return refused(err);
    scopes = db_get_texts(rows, 0, 1, call->arena, &count);
    roles = db_get_texts(rows, 0, 2, call->arena, &count);
    return auth_token(call, given->id, scopes, roles, ret, err);
}

static int token_give(struct api_call *call, struct err *err)
{
    struct credentials given = { 0 };
    json_object *body = NULL;
    int r = credentials_read(call, &given, err);

    if (r == 0)
        r = auth_is_root(call->api->config, given.id) ? token_of_root(call, &given, &body, err)
                                                      : token_of_client(call, &given, &body, err);
    if (r < 0)
        return r;
    http_set_header(call->http, "Cache-Control", "no-store"); /* RFC 6749 5.1 */
    return api_answer(call, 200, body);
}

/* --- which scopes may be given ---------------------------------------------------------------- */

/* ['a', 'b'], as the contract writes lists in texts. */
static void add_list(struct buf *text, const char *const *words)
{
    buf_addc(text, '[');
    for (size_t i = 0; words[i]; i++)
        buf_printf(text, "%s'%s'", i ? ", " : "", words[i]);
    buf_addc(text, ']');
}

/* 403 with a text that is longer than an error's. */
static int answer_forbidden(struct api_call *call, const char *before, const char *const *words)
{
    _cleanup_(buf_free) struct buf text = BUF_INIT(16 * 1024);
    json_object *body = json_object_new_object();

    buf_adds(&text, before);
    add_list(&text, words);
    json_object_object_add(body, "detail", json_object_new_string_len(text.data, (int)text.length));
    api_answer(call, 403, body);
    return API_PENDING;
}

static bool words_have(const char *const *words, const char *word)
{
    for (; *words; words++)
        if (!strcmp(*words, word))
            return true;
    return false;
}

static const char *const *all_words(struct arena *arena)
{
    const char **words = arena_array(arena, const char *, SCOPES + 1);

    for (int i = 0; i < SCOPES; i++)
        words[i] = scope_word((enum scope)i);
    return words;
}

/* The list's texts; those of them that nobody has are a reason to refuse the call, and so are those
 * that the caller has not. 0; or API_PENDING when that was answered. */
static int scopes_take(struct api_call *call, json_object *list, const char ***ret)
{
    size_t count = list ? json_object_array_length(list) : 0, lacking = 0;
    const char **scopes = arena_array(call->arena, const char *, count + 1);
    const char **missing = arena_array(call->arena, const char *, count + 1);

    for (size_t i = 0; i < count; i++) {
        scopes[i] = json_object_get_string(json_object_array_get_idx(list, i));
        if (scope_parse(scopes[i]) < 0)
            return answer_forbidden(call, "Invalid Scope. Scopes must be one of ",
                                    all_words(call->arena));
        if (!call->is_root && !words_have(call->scopes, scopes[i]))
            missing[lacking++] = scopes[i];
    }
    if (lacking)
        return answer_forbidden(
            call, "Cannot assign scopes that you do not have. Missing scopes: ", missing);
    *ret = scopes;
    return 0;
}

static void args_scopes(struct db_args *args, const char *const *scopes)
{
    struct db_column *column = db_array(args, DB_TEXT);

    for (; *scopes; scopes++)
        db_add_text(column, *scopes);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static const struct schema scope_item = { .type = SCHEMA_STRING };
static const struct schema scopes_schema = { .type = SCHEMA_LIST,
                                             .max = SCOPES_MAX,
                                             .item = &scope_item };

static void check_name(json_object *value, const struct schema_loc *loc,
                       struct schema_errors *errors)
{
    const char *name = json_object_get_string(value);

    if (!name[strspn(name, " \t\r\n")])
        schema_error(errors, loc, "value_error", "Value error, Client name must not be blank");
}

static const struct schema_field client_fields[] = {
    { "name", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .max = NAME_CHARS, .check = check_name } },
    { "description", .nullable = true,
      .schema = { .type = SCHEMA_STRING, .max = DESCRIPTION_CHARS } },
    { "scopes", .nullable = true,
      .schema = { .type = SCHEMA_LIST, .max = SCOPES_MAX, .item = &scope_item } },
    { 0 },
};
static const struct schema client_schema = { .type = SCHEMA_OBJECT, .fields = client_fields };

/* Old clients send the list of scopes alone. */
static void check_client(json_object *value, const struct schema_loc *loc,
                         struct schema_errors *errors)
{
    schema_check(json_object_is_type(value, json_type_array) ? &scopes_schema : &client_schema,
                 value, loc, errors);
}

static const struct schema create_client_schema = { .type = SCHEMA_ANY, .check = check_client };

/* --- clients ---------------------------------------------------------------------------------- */

static char *random_hex(struct arena *arena, size_t bytes)
{
    uint8_t random[SECRET_BYTES];
    char *text = arena_alloc(arena, 2 * bytes + 1);

    randombytes_buf(random, bytes);
    return sodium_bin2hex(text, 2 * bytes + 1, random, bytes);
}

static int secret_hash(const char *secret, char hash[crypto_pwhash_STRBYTES], struct err *err)
{
    if (crypto_pwhash_str(hash, secret, strlen(secret), HASH_OPS, HASH_MEMORY_BYTES))
        return err_cause(err, ERR_INTERNAL, "no memory to hash a secret");
    return 0;
}

static int answer_secret(struct api_call *call, const char *id, const char *secret)
{
    json_object *body = json_object_new_object();

    json_object_object_add(body, "client_id", json_object_new_string(id));
    json_object_object_add(body, "client_secret", json_object_new_string(secret));
    http_set_header(call->http, "Cache-Control", "no-store");
    return api_answer(call, 200, body);
}

static int client_not_found(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "Client not found.");
}

static int client_create(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *none = NULL;
    bool is_list = json_object_is_type(call->body, json_type_array);
    json_object *object = is_list ? NULL : call->body;
    struct db_args *args = db_args_new(call->arena);
    const char *id = random_hex(call->arena, ID_BYTES),
               *secret = random_hex(call->arena, SECRET_BYTES);
    char hash[crypto_pwhash_STRBYTES];
    const char **scopes;
    int r = scopes_take(call, is_list ? call->body : schema_get(object, "scopes"), &scopes);

    if (r == API_PENDING)
        return r;
    r = secret_hash(secret, hash, err);
    if (r < 0)
        return r;
    db_text(args, id);
    db_text(args, schema_text(object, "name"));
    db_text(args, schema_text(object, "description"));
    args_scopes(args, scopes);
    db_text(args, hash);
    r = resource_run(call, &SQL_oauth_insert, args, &none, err);
    return r < 0 ? r : answer_secret(call, id, secret);
}

static int client_list(struct api_call *call, struct err *err)
{
    return resource_answer_page(call, &SQL_oauth_page, NULL, err);
}

/* Of a statement whose one row is the client's object, if there is such a client. */
static int answer_client(struct api_call *call, const PGresult *rows, struct err *err)
{
    if (!PQntuples(rows))
        return client_not_found(err);
    return api_answer(call, 200, api_json_parse(db_get_text(rows, 0, 0)));
}

static struct db_args *args_of_client(struct api_call *call)
{
    struct db_args *args = db_args_new(call->arena);

    db_text(args, call->params[0]);
    return args;
}

static int client_get(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, &SQL_oauth_find, args_of_client(call), &rows, err);

    return r < 0 ? r : answer_client(call, rows, err);
}

static int client_put(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = args_of_client(call);
    json_object *list = schema_get(call->body, "scopes");
    const char *name = schema_text(call->body, "name");
    const char **scopes;
    int r;

    if (scopes_take(call, list, &scopes) == API_PENDING)
        return API_PENDING;
    db_bool(args, name);
    db_text(args, name);
    db_bool(args, schema_has(call->body, "description"));
    db_text(args, schema_text(call->body, "description"));
    db_bool(args, list);
    args_scopes(args, scopes);
    r = resource_run(call, &SQL_oauth_update, args, &rows, err);
    return r < 0 ? r : answer_client(call, rows, err);
}

static int client_delete(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *none = NULL;
    int r = resource_run(call, &SQL_oauth_delete, args_of_client(call), &none, err);

    return r < 0 ? r : api_answer_null(call, 200);
}

static int client_secret(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = args_of_client(call);
    const char *secret = random_hex(call->arena, SECRET_BYTES);
    char hash[crypto_pwhash_STRBYTES];
    int r = secret_hash(secret, hash, err);

    if (r < 0)
        return r;
    db_text(args, hash);
    r = resource_run(call, &SQL_oauth_set_secret, args, &rows, err);
    if (r < 0)
        return r;
    return PQntuples(rows) ? answer_secret(call, call->params[0], secret) : client_not_found(err);
}

/* --- scopes and roles ------------------------------------------------------------------------- */

static json_object *words_json(const char *const *words)
{
    json_object *list = json_object_new_array();

    for (; *words; words++)
        json_object_array_add(list, json_object_new_string(*words));
    return list;
}

static int client_scopes_get(struct api_call *call, struct err *err)
{
    static const char *const none[] = { NULL };
    const struct catalog_client *client = catalog_client_by_id(call->catalog, call->params[0]);

    (void)err;
    return api_answer(call, 200, words_json(client ? (const char *const *)client->scopes : none));
}

static int client_scopes_put(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = args_of_client(call);
    const char **scopes;
    int r;

    if (scopes_take(call, call->body, &scopes) == API_PENDING)
        return API_PENDING;
    db_bool(args, false);
    db_text(args, NULL);
    db_bool(args, false);
    db_text(args, NULL);
    db_bool(args, true);
    args_scopes(args, scopes);
    r = resource_run(call, &SQL_oauth_update, args, &rows, err);
    return r < 0 ? r : api_answer_null(call, 200);
}

static int scope_list(struct api_call *call, struct err *err)
{
    (void)err;
    return api_answer(call, 200, words_json(all_words(call->arena)));
}

static int role_list(struct api_call *call, struct err *err)
{
    json_object *body = json_object_new_object();

    (void)err;
    for (int role = 0; role < ROLES; role++) {
        struct scope_set scopes = role_scopes((enum role)role);
        json_object *list = json_object_new_array();

        for (int i = 0; i < SCOPES; i++)
            if (scope_set_has(&scopes, (enum scope)i))
                json_object_array_add(list, json_object_new_string(scope_word((enum scope)i)));
        json_object_object_add(body, role_word((enum role)role), list);
    }
    return api_answer(call, 200, body);
}

const struct api_route oauth_routes[] = {
    { "POST", "/oauth/token", "", .handler = token_give },
    { "POST", "/oauth/client", "client:create", &create_client_schema, .body_optional = true,
      .handler = client_create },
    { "GET", "/oauth/client", "client:read", .handler = client_list },
    { "GET", "/oauth/client/{client_id}", "client:read", .handler = client_get },
    { "PUT", "/oauth/client/{client_id}", "client:update", &client_schema, .handler = client_put },
    { "DELETE", "/oauth/client/{client_id}", "client:delete", .handler = client_delete },
    { "POST", "/oauth/client/{client_id}/secret", "client:update", .handler = client_secret },
    { "GET", "/oauth/client/{client_id}/scope", "client:read", .handler = client_scopes_get },
    { "PUT", "/oauth/client/{client_id}/scope", "client:update", &scopes_schema,
      .handler = client_scopes_put },
    { "GET", "/oauth/scope", "scope:read", .handler = scope_list },
    { "GET", "/oauth/role", "scope:read", .handler = role_list },
    { "POST", "/login", "", &login_schema, .prompt = true, .handler = login_in },
    { "POST", "/logout", "", .prompt = true, .handler = login_out },
    { 0 },
};
