#include "api/auth.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/scope.h"

enum { SECRET_HASH_BYTES = crypto_generichash_BYTES };

bool auth_is_root(const struct config *config, const char *client_id)
{
    return auth_is_same(config->root_client_id, client_id);
}

bool auth_is_same(const char *expected, const char *given)
{
    uint8_t a[SECRET_HASH_BYTES], b[SECRET_HASH_BYTES];

    crypto_generichash(a, sizeof(a), (const uint8_t *)expected, strlen(expected), NULL, 0);
    crypto_generichash(b, sizeof(b), (const uint8_t *)given, strlen(given), NULL, 0);
    return sodium_memcmp(a, b, sizeof(a)) == 0;
}

const char *auth_bearer(const struct http_call *http)
{
    static const char scheme[] = "bearer";
    const char *header = http_header(http, "Authorization");

    if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) ||
        header[sizeof(scheme) - 1] != ' ')
        return NULL;
    header += sizeof(scheme) - 1;
    header += strspn(header, " ");
    return *header ? header : NULL;
}

static int forbidden(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "Not Authorized for this action");
}

/* --- what a caller may do --------------------------------------------------------------------- */

/* Scopes that somebody has, by name and by role, kept apart: a token is held against its client in
 * each. */
struct grant {
    struct scope_set scopes;
    const char *const *roles;
};

static bool has_role(const struct grant *grant, const char *role)
{
    for (const char *const *at = grant->roles; *at; at++)
        if (!strcmp(*at, role))
            return true;
    return false;
}

static bool roles_cover(const struct grant *client, const struct grant *token)
{
    for (const char *const *role = token->roles; *role; role++)
        if (!has_role(client, *role))
            return false;
    return true;
}

static struct scope_set all_scopes(void)
{
    return role_scopes(ROLE_OWNER);
}

static const char *const owner_roles[] = { "owner", NULL };

/* What the client of the token may do now; false when there is none any more. */
static bool client_grant(const struct api_call *call, const char *client_id, struct grant *ret)
{
    const struct catalog_client *client;

    if (auth_is_root(call->api->config, client_id)) {
        *ret = (struct grant){ all_scopes(), owner_roles };
        return true;
    }
    client = catalog_client_by_id(call->catalog, client_id);
    if (!client)
        return false;
    *ret = (struct grant){ scope_set_of(client->scopes), (const char *const *)client->roles };
    return true;
}

static const char **scope_words_of(const struct scope_set *set, struct arena *arena)
{
    const char **words = arena_array(arena, const char *, SCOPES + 1);
    int count = 0;

    for (int i = 0; i < SCOPES; i++)
        if (scope_set_has(set, (enum scope)i))
            words[count++] = scope_word((enum scope)i);
    return words;
}

static bool is_granted(int scope, const struct grant *token, const struct scope_set *by_role,
                       const struct grant *client)
{
    if (scope_set_has(&token->scopes, (enum scope)scope) &&
        scope_set_covers(&client->scopes, &token->scopes))
        return true;
    return scope_set_has(by_role, (enum scope)scope) && roles_cover(client, token);
}

int auth_check(struct api_call *call, const char *scope, struct err *err)
{
    return auth_check_bearer(call, auth_bearer(call->http), scope, err);
}

int auth_check_bearer(struct api_call *call, const char *bearer, const char *scope, struct err *err)
{
    struct token_access access;
    struct grant token, client;
    struct scope_set by_role, all;
    int r, wanted = scope_parse(scope);

    if (!bearer)
        return err_set(err, ERR_UNAUTHORIZED, "Failed to authenticate");
    r = token_access_open(call->api->tokens, bearer, call->now,
                          call->api->config->access_token_life, call->arena, &access, err);
    if (r < 0)
        return r;
    if (!client_grant(call, access.client_id, &client))
        return forbidden(err);
    token = (struct grant){ scope_set_of(access.scopes), access.roles };
    by_role = scope_set_of_roles(access.roles);
    if (wanted < 0 || !is_granted(wanted, &token, &by_role, &client))
        return err_set(err, ERR_FORBIDDEN,
                       "Not Authorized for this action. Required scope(s): [%s]", scope);
    call->client_id = access.client_id;
    call->is_root = auth_is_root(call->api->config, access.client_id);
    all = scope_set_union(token.scopes, by_role);
    call->scopes = scope_words_of(&all, call->arena);
    return 0;
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* The contract's `expires_at` is local time and says no zone. */
static json_object *local_time(usec_t time)
{
    time_t seconds = (time_t)(time / USEC_PER_S);
    char text[USEC_TEXT_BYTES];
    struct tm local;
    size_t length;

    localtime_r(&seconds, &local);
    length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &local);
    snprintf(text + length, sizeof(text) - length, ".%06d", (int)(time % USEC_PER_S));
    return json_object_new_string(text);
}

int auth_token(struct api_call *call, const char *client_id, const char **scopes,
               const char **roles, json_object **ret, struct err *err)
{
    usec_t life = call->api->config->access_token_life;
    const struct token_access access = { .client_id = client_id,
                                         .scopes = scopes,
                                         .roles = roles,
                                         .issued_at = call->now,
                                         .expires_at = call->now + life };
    json_object *body;
    char *token;
    int r = token_access_make(call->api->tokens, &access, call->arena, &token, err);

    if (r < 0)
        return r;
    body = json_object_new_object();
    json_object_object_add(body, "access_token", json_object_new_string(token));
    json_object_object_add(body, "token_type", json_object_new_string("Bearer"));
    json_object_object_add(body, "expires_in", json_object_new_int64(life / USEC_PER_S));
    json_object_object_add(body, "expires_at", local_time(access.expires_at));
    *ret = body;
    return 0;
}

int auth_root_token(struct api_call *call, json_object **ret, struct err *err)
{
    /* By its role alone: a list of all scopes would make each of its calls 5 kB longer. */
    const char *scopes[] = { NULL }, *roles[] = { role_word(ROLE_OWNER), NULL };

    return auth_token(call, call->api->config->root_client_id, scopes, roles, ret, err);
}
