#include "api/connection_kind.h"

#include <string.h>

#include "api/secret.h"
#include "api/source.h"

static bool check_https(json_object *secrets, const struct config *config, struct schema_errors *errors)
{
    return secret_check(secrets, config->webhook_allow_http, errors);
}

static bool check_postgres(json_object *secrets, const struct config *config, struct schema_errors *errors)
{
    (void)config;
    return source_check(secrets, errors);
}

/* --- none: people are asked, and nobody is called ------------------------------------------------------ */

static const struct schema_field no_fields[] = { { 0 } };
static const struct schema no_secrets = { SCHEMA_OBJECT, .forbid_extra = true, .fields = no_fields };

static bool check_none(json_object *secrets, const struct config *config, struct schema_errors *errors)
{
    (void)config;
    return schema_check(&no_secrets, secrets, NULL, errors);
}

static json_object *trim_none(json_object *secrets)
{
    (void)secrets;
    return json_object_new_object();
}

static json_object *merge_none(json_object *stored, json_object *changes)
{
    (void)stored;
    return json_object_get(changes);
}

/* ------------------------------------------------------------------------------------------------------- */

static const struct connection_kind kinds[] = {
    { "https", check_https, secret_trim, secret_merge, secret_masked },
    { "postgres", check_postgres, source_trim, source_merge, source_masked },
    { "manual_webhook", check_none, trim_none, merge_none, trim_none },
};

const struct connection_kind *connection_kind_of(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (!strcmp(kinds[i].type, type))
            return &kinds[i];
    return NULL;
}
