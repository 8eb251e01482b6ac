/*
 * connection_type - the catalog of connection types (rest.md 3): those that this version has, and what their secrets
 * are made of. The list has what holds data; what is only called or asked is known by its name alone.
 */
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/resource.h"

enum { PAGE_SIZE = 100 };

struct type {
    const char *identifier, *system_type, *human_readable;
    bool listed;
    const char *const *actions; /* ends with NULL */
    const char *secrets;        /* JSON schema, without the descriptions of the checks */
};

static const char *const source_actions[] = { "access", "erasure", NULL };

/* TEXT("title"): a member that is a text. */
#define TEXT(title) "{\"title\": \"" title "\", \"type\": \"string\"}"
#define SECRET(title) "{\"title\": \"" title "\", \"type\": \"string\", \"sensitive\": true}"
#define OBJECT(title, description, required, properties) \
    "{\"title\": \"" title "\", \"description\": \"" description "\", \"type\": \"object\", \"required\": [" required \
    "], \"properties\": {" properties "}}"

static const struct type types[] = {
    { "https", "service", "Generic webhook", false, source_actions,
      OBJECT("HttpsSchema", "How an endpoint is called", "\"url\", \"authorization\"",
             "\"url\": " TEXT("URL") ", \"authorization\": " SECRET("Authorization")
             ", \"headers\": {\"title\": \"Headers\", \"type\": \"object\", \"sensitive\": true,"
             " \"additionalProperties\": {\"type\": \"string\"}}"
             ", \"signing_secret\": " SECRET("Signing secret") ", \"ca_certificate\": " SECRET("CA certificate")
             ", \"client_certificate\": " SECRET("Client certificate") ", \"client_key\": " SECRET("Client key")) },
    { "manual_webhook", "manual", "Manual process", false, source_actions,
      OBJECT("ManualWebhookSchema", "People are asked: there is nothing to log in to", "", "") },
    { "postgres", "database", "PostgreSQL", true, source_actions,
      OBJECT("PostgreSQLSchema", "How to log in to a PostgreSQL database", "\"host\"",
             "\"host\": " TEXT("Host")
             ", \"port\": {\"title\": \"Port\", \"type\": \"integer\", \"default\": 5432, \"minimum\": 1,"
             " \"maximum\": 65535}"
             ", \"username\": " TEXT("Username") ", \"password\": " SECRET("Password")
             ", \"dbname\": " TEXT("Database") ", \"db_schema\": " TEXT("Schema")
             ", \"ssl_mode\": {\"title\": \"SSL mode\", \"type\": \"string\", \"enum\": [\"disable\", \"allow\","
             " \"prefer\", \"require\", \"verify-ca\", \"verify-full\"]}"
             ", \"ssh_required\": {\"title\": \"SSH required\", \"type\": \"boolean\", \"default\": false}") },
};

/* --- the list ------------------------------------------------------------------------------------------ */

static json_object *actions_object(const struct type *type)
{
    json_object *list = json_object_new_array();

    for (const char *const *action = type->actions; *action; action++)
        json_object_array_add(list, api_json_text(*action));
    return list;
}

static json_object *type_object(const struct type *type)
{
    json_object *object = json_object_new_object();
    const struct {
        const char *name;
        json_object *value;
    } members[] = {
        { "identifier", api_json_text(type->identifier) },
        { "type", api_json_text(type->system_type) },
        { "human_readable", api_json_text(type->human_readable) },
        { "encoded_icon", NULL },
        { "authorization_required", json_object_new_boolean(false) },
        { "user_guide", NULL },
        { "supported_actions", actions_object(type) },
        { "category", NULL },
        { "tags", NULL },
        { "enabled_features", NULL },
        { "custom", json_object_new_boolean(false) },
        { "default_connector_available", json_object_new_boolean(false) },
    };

    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_object_add(object, members[i].name, members[i].value);
    return object;
}

/* What is asked for; of the actions, any will do. */
struct filter {
    const char *search, *system_type;
    bool actions[3];
};

static const char *const asked_actions[] = { "access", "erasure", "consent" };

static bool has_action(const struct type *type, const struct filter *filter)
{
    bool asked = false;

    for (size_t i = 0; i < COUNT_OF(asked_actions); i++) {
        asked |= filter->actions[i];
        for (const char *const *action = type->actions; filter->actions[i] && *action; action++)
            if (!strcmp(*action, asked_actions[i]))
                return true;
    }
    return !asked;
}

static bool is_asked_for(const struct type *type, const struct filter *filter)
{
    return type->listed &&
           (!filter->search || strcasestr(type->identifier, filter->search) ||
            strcasestr(type->human_readable, filter->search)) &&
           (!filter->system_type || !strcmp(type->system_type, filter->system_type)) && has_action(type, filter);
}

static int read_filter(struct api_call *call, struct filter *ret, struct err *err)
{
    int r = resource_query_word(call, "system_type", resource_system_types, &ret->system_type, err);

    ret->search = http_query(call->http, "search");
    for (size_t i = 0; r == 0 && i < COUNT_OF(asked_actions); i++)
        r = api_query_bool(call, asked_actions[i], false, &ret->actions[i], err);
    return r;
}

static int type_list(struct api_call *call, struct err *err)
{
    struct filter filter = { 0 };
    long long total = 0;
    json_object *items;
    struct api_page page;
    int r = api_page_of(call, PAGE_SIZE, PAGE_SIZE, &page, err);

    if (r == 0)
        r = read_filter(call, &filter, err);
    if (r < 0)
        return r;
    items = json_object_new_array();
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (!is_asked_for(&types[i], &filter))
            continue;
        if (total >= api_page_offset(&page) && total - api_page_offset(&page) < page.size)
            json_object_array_add(items, type_object(&types[i]));
        total++;
    }
    return api_answer_page(call, &page, items, total);
}

/* --- one ----------------------------------------------------------------------------------------------- */

static int type_secret(struct api_call *call, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (!strcmp(types[i].identifier, call->params[0]))
            return api_answer(call, 200, api_json_parse(types[i].secrets));
    return err_set(err, ERR_NOT_FOUND, "No connection type found with name '%s'.", call->params[0]);
}

const struct api_route connection_type_routes[] = {
    { "GET", "/connection_type", "connection_type:read", .handler = type_list },
    { "GET", "/connection_type/{type}/secret", "connection_type:read", .handler = type_secret },
    { 0 },
};
