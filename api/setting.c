#include <string.h>

#include "api/api.h"
#include "api/resource.h"
#include "api/setting.sql.h"

/* What the fleet does can be changed while it runs: the values are in the database, and the
 * catalog's version moves with them, so that every program sees them. Requests that wait already
 * stay as they are. */

static const char *const storage_types[] = { "s3", "gcs", "local", NULL };

static const struct setting {
    const char *section, *key;
    struct schema schema;
    const char *off, *also;
} settings[] = {
#define SETTING(section, key, type, allowed, off, also) \
    { #section, #key, { SCHEMA_##type, .words = allowed }, off, also },
#include "api/setting.tbl.h"
#undef SETTING
};

/* Known to the contract; of their keys none has a meaning here. */
static const char *const closed_sections[] = { "admin_ui", "privacy_center", "consent",
                                               "default_policies" };

/* --- bodies ----------------------------------------------------------------------------------- */

static const struct setting *setting_find(const char *section, const char *key)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (!strcmp(settings[i].section, section) && (!key || !strcmp(settings[i].key, key)))
            return &settings[i];
    return NULL;
}

static bool is_closed_section(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(closed_sections); i++)
        if (!strcmp(closed_sections[i], name))
            return true;
    return false;
}

static void refuse_extra(const struct schema_loc *loc, struct schema_errors *errors)
{
    schema_error(errors, loc, "extra_forbidden", "Extra inputs are not permitted");
}

static void check_section(const char *section, json_object *value, const struct schema_loc *loc,
                          struct schema_errors *errors)
{
    json_object_object_foreach(value, key, item) {
        const struct schema_loc here = { .parent = loc, .name = key };
        const struct setting *setting = setting_find(section, key);

        if (setting && item)
            schema_check(&setting->schema, item, &here, errors);
        else if (!setting && strcmp(section, "execution") && !is_closed_section(section))
            refuse_extra(&here,
                         errors); /* the contract lets `execution` hold what it does not know */
    }
}

static void check_settings(json_object *value, const struct schema_loc *loc,
                           struct schema_errors *errors)
{
    static const struct schema object = { .type = SCHEMA_OBJECT };

    if (!json_object_object_length(value))
        schema_error(errors, loc, "value_error", "Value error, At least one setting is required.");
    json_object_object_foreach(value, name, section) {
        const struct schema_loc here = { .parent = loc, .name = name };

        if (!setting_find(name, NULL) && !is_closed_section(name))
            refuse_extra(&here, errors);
        else if (section && schema_check(&object, section, &here, errors))
            check_section(name, section, &here, errors);
    }
}

static const struct schema settings_schema = { .type = SCHEMA_OBJECT, .check = check_settings };

/* --- values ----------------------------------------------------------------------------------- */

static json_object *section_of(json_object *all, const char *name)
{
    json_object *section = schema_get(all, name);

    if (section)
        return section;
    section = json_object_new_object();
    json_object_object_add(all, name, section);
    return section;
}

/* As it is kept: `true` and not "yes". */
static json_object *normal_value(const struct setting *setting, json_object *section)
{
    if (setting->schema.type == SCHEMA_BOOL)
        return json_object_new_boolean(schema_bool(section, setting->key, false));
    if (setting->schema.type == SCHEMA_INT)
        return json_object_new_int64(schema_int(section, setting->key, 0));
    return json_object_get(schema_get(section, setting->key));
}

static bool is_available(const struct setting *setting, json_object *value)
{
    const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);

    return !setting->off || !strcmp(text, setting->off) || (setting->also && !strcmp(text, setting->also));
}

static int not_available(struct err *err, const char *section, const char *key)
{
    return err_set(err, ERR_NOT_IMPLEMENTED, "%s%s%s is not available in this version.", section,
                   key ? "." : "", key ? key : "");
}

static int setting_put(json_object *all, const struct setting *setting, json_object *section,
                       struct err *err)
{
    _cleanup_(json_object_putp) json_object *value = normal_value(setting, section);

    if (!is_available(setting, value))
        return not_available(err, setting->section, setting->key);
    json_object_object_add(section_of(all, setting->section), setting->key, TAKE(value));
    return 0;
}

/* Puts what `body` sets over `all`. */
static int settings_put(json_object *all, json_object *body, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < COUNT_OF(closed_sections); i++) {
        json_object *section = schema_get(body, closed_sections[i]);

        if (section && json_object_object_length(section))
            return not_available(err, closed_sections[i], NULL);
    }
    for (size_t i = 0; i < COUNT_OF(settings) && r == 0; i++) {
        json_object *section = schema_get(body, settings[i].section);

        if (section && schema_get(section, settings[i].key))
            r = setting_put(all, &settings[i], section, err);
    }
    return r;
}

/* --- handlers --------------------------------------------------------------------------------- */

static int settings_read(struct api_call *call, json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(call->db, &SQL_setting_read, NULL, &rows, err);

    if (r == 0)
        *ret = api_json_parse(db_get_text(rows, 0, 0));
    return r;
}

static int settings_write(struct api_call *call, json_object *all, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);

    db_json(args, json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
    return db_do(call->db, &SQL_setting_write, args, err);
}

/* Keeps `*all` with the body's values over it, and gives it as the answer. */
static int settings_keep(struct api_call *call, json_object *all, json_object **ret,
                         struct err *err)
{
    int r = settings_put(all, call->body, err);

    if (r == 0)
        r = settings_write(call, all, err);
    if (r < 0)
        json_object_put(all);
    else
        *ret = all;
    return r;
}

static int settings_patch(struct api_call *call, json_object **ret, struct err *err)
{
    json_object *all = NULL;
    int r = settings_read(call, &all, err);

    return r < 0 ? r : settings_keep(call, all, ret, err);
}

static int settings_replace(struct api_call *call, json_object **ret, struct err *err)
{
    return settings_keep(call, json_object_new_object(), ret, err);
}

static int settings_clear(struct api_call *call, json_object **ret, struct err *err)
{
    json_object *none = json_object_new_object();
    int r = settings_write(call, none, err);

    if (r < 0)
        json_object_put(none);
    else
        *ret = none;
    return r;
}

/* What is in effect when nothing was set through the API. Secrets are not among it. */
static json_object *settings_default(const struct config *config)
{
    json_object *all = json_object_new_object(), *security;

    for (size_t i = 0; i < COUNT_OF(settings); i++)
        json_object_object_add(section_of(all, settings[i].section), settings[i].key,
                               settings[i].off ? api_json_parse(settings[i].off)
                                               : json_object_new_boolean(config->manual_approval));
    security = section_of(all, "security");
    json_object_object_add(security, "oauth_access_token_expire_minutes",
                           json_object_new_int64(config->access_token_life / USEC_PER_S / 60));
    return all;
}

static void settings_overlay(json_object *all, json_object *over)
{
    json_object_object_foreach(over, name, section) {
        json_object_object_foreach(section, key, value) {
            json_object_object_add(section_of(all, name), key, json_object_get(value));
        }
    }
}

static int config_get(struct api_call *call, struct err *err)
{
    json_object *api_set = NULL, *all;
    bool only_set;
    int r = api_query_bool(call, "api_set", false, &only_set, err);

    if (r == 0)
        r = settings_read(call, &api_set, err);
    if (r < 0)
        return r;
    if (only_set)
        return api_answer(call, 200, api_set);
    all = settings_default(call->api->config);
    settings_overlay(all, api_set);
    json_object_put(api_set);
    return api_answer(call, 200, all);
}

static int config_patch(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, settings_patch, err);
}

static int config_put(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, settings_replace, err);
}

static int config_delete(struct api_call *call, struct err *err)
{
    return resource_answer_write(call, 200, settings_clear, err);
}

/* No identity is verified in this version, for nobody, and no message is sent. */
static int verification_get(struct api_call *call, struct err *err)
{
    json_object *body = json_object_new_object();

    (void)err;
    json_object_object_add(body, "identity_verification_required", json_object_new_boolean(false));
    json_object_object_add(body, "disable_consent_identity_verification",
                           json_object_new_boolean(false));
    json_object_object_add(body, "valid_email_config_exists", json_object_new_boolean(false));
    return api_answer(call, 200, body);
}

const struct api_route setting_routes[] = {
    { "GET", "/config", "config:read", .handler = config_get },
    { "PATCH", "/config", "config:update", &settings_schema, .handler = config_patch },
    { "PUT", "/config", "config:update", &settings_schema, .handler = config_put },
    { "DELETE", "/config", "config:update", .handler = config_delete },
    { "GET", "/id-verification/config", "", .prompt = true, .handler = verification_get },
    { 0 },
};
