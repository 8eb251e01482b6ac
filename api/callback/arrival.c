#include "api/callback/arrival.h"

#include <string.h>
#include <strings.h>

#define SCHEME "Bearer "

int arrival_body(const struct http_call *call, json_object **ret, struct schema_errors *errors, struct err *err)
{
    if (call->body_length > REPLY_BODY_BYTES)
        return err_set(err, ERR_TOO_LARGE, "Request body is larger than %d bytes.", REPLY_BODY_BYTES);
    if (!call->body_length)
        return 0;
    if (schema_parse(call->body, call->body_length, ret, errors) < 0)
        return err_set(err, ERR_INVALID, "JSON decode error");
    return 0;
}

int arrival_token(const struct http_call *call, const struct token_key *tokens, const struct config *config,
                  const char *scope, const char *request_id, struct token_reply *ret, struct err *err)
{
    const char *authorization = http_header(call, "Authorization");

    if (!authorization || strncasecmp(authorization, SCHEME, strlen(SCHEME)) != 0)
        return err_set(err, ERR_UNAUTHORIZED, "Failed to authenticate");
    return token_reply_open(tokens, authorization + strlen(SCHEME), scope, request_id, usec_now(),
                            config->reply_token_life, call->arena, ret, err);
}

bool arrival_is_id(const char *id)
{
    size_t length = strlen(id);

    return length < ARRIVAL_ID_BYTES && schema_is_utf8(id, length);
}

void arrival_refuse(struct http_call *call, const struct schema_errors *errors, const struct err *err)
{
    _cleanup_(json_object_putp) json_object *body = NULL;
    const char *json;

    if (!errors->list) {
        http_answer_err(call, err);
        return;
    }
    body = json_object_new_object();
    json_object_object_add(body, "detail", json_object_get(errors->list));
    json = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    http_answer_json(call, 422, arena_strdup(call->arena, json));
}
