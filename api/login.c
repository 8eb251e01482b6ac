#include "api/login.h"

#include <sodium.h>
#include <string.h>

#include "api/auth.h"

enum { PASSWORD_CHARS = 1000 };

static const struct schema_field login_fields[] = {
    { "username", .required = true, .schema = { .type = SCHEMA_STRING, .max = PASSWORD_CHARS } },
    { "password", .required = true, .schema = { .type = SCHEMA_STRING, .max = PASSWORD_CHARS } },
    { 0 },
};
const struct schema login_schema = { .type = SCHEMA_OBJECT, .fields = login_fields };

/* The Admin UI sends it in base64; others as it is. */
static bool is_password(const char *expected, const char *given, struct arena *arena)
{
    char *plain = arena_alloc(arena, PASSWORD_CHARS * 4 + 1);
    size_t length;
    bool same = auth_is_same(expected, given);

    if (sodium_base642bin((uint8_t *)plain, PASSWORD_CHARS * 4, given, strlen(given), NULL, &length,
                          NULL, sodium_base64_VARIANT_ORIGINAL) == 0)
        same |= auth_is_same(expected, plain);
    return same;
}

static bool is_root_user(const struct api_call *call)
{
    const struct config *config = call->api->config;
    bool is = *config->root_username && *config->root_password;

    is &= auth_is_same(config->root_username, schema_text(call->body, "username"));
    is &= is_password(config->root_password, schema_text(call->body, "password"), call->arena);
    return is;
}

static json_object *user_object(const struct api_call *call)
{
    json_object *user = json_object_new_object();

    json_object_object_add(user, "id", json_object_new_string(call->api->config->root_client_id));
    json_object_object_add(user, "username",
                           json_object_new_string(call->api->config->root_username));
    json_object_object_add(user, "created_at", api_json_time(call->now));
    json_object_object_add(user, "email_address", NULL);
    json_object_object_add(user, "first_name", NULL);
    json_object_object_add(user, "last_name", NULL);
    json_object_object_add(user, "disabled", json_object_new_boolean(false));
    json_object_object_add(user, "disabled_reason", NULL);
    json_object_object_add(user, "email_verified_at", NULL);
    json_object_object_add(user, "has_invite", json_object_new_boolean(false));
    json_object_object_add(user, "invite_expired", json_object_new_boolean(false));
    return user;
}

int login_in(struct api_call *call, struct err *err)
{
    json_object *body, *token;
    int r;

    if (!is_root_user(call))
        return err_set(err, ERR_FORBIDDEN, "Incorrect username or password.");
    r = auth_root_token(call, &token, err);
    if (r < 0)
        return r;
    body = json_object_new_object();
    json_object_object_add(body, "user_data", user_object(call));
    json_object_object_add(body, "token_data", token);
    http_set_header(call->http, "Cache-Control", "no-store");
    return api_answer(call, 200, body);
}

/* The root client is in the configuration, so nothing of it can be deleted here: its tokens stand
 * until they expire, or until DOCKET_ROOT_CLIENT_ID or DOCKET_APP_ENCRYPTION_KEY is another. */
int login_out(struct api_call *call, struct err *err)
{
    if (!auth_bearer(call->http))
        return err_set(err, ERR_UNAUTHORIZED, "Failed to authenticate");
    return api_answer_null(call, 204);
}
