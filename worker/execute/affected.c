#include "worker/execute/affected.h"

#include <string.h>

#include "common/buf.h"

/* A dataset has 10,000 fields at the most. */
enum { FIELDS_BYTES_MAX = 64 * 1024 * 1024 };

static bool is_target(const struct catalog_policy *policy, const char *action_type, const char *category)
{
    for (int i = 0; i < policy->rule_count; i++) {
        const struct catalog_rule *rule = &policy->rules[i];

        for (int j = 0; !strcmp(rule->action_type, action_type) && j < rule->targets.count; j++)
            if (dataset_category_in(category, rule->targets.texts[j]))
                return true;
    }
    return false;
}

/* The number of them. */
static int add_categories(struct buf *json, const struct dataset_field *field, const struct catalog_policy *policy,
                          const char *action_type)
{
    int count = 0;

    for (int i = 0; i < field->categories.count; i++) {
        if (!is_target(policy, action_type, field->categories.texts[i]))
            continue;
        buf_adds(json, count++ ? "," : "");
        buf_json_string(json, field->categories.texts[i]);
    }
    return count;
}

static void add_field(struct buf *json, const struct dataset *dataset, const struct dataset_collection *collection,
                      const struct dataset_field *field, const char *categories, struct arena *arena)
{
    buf_adds(json, json->length ? ",{\"path\":" : "[{\"path\":");
    buf_json_string(json, arena_printf(arena, "%s:%s:%s", dataset->key, collection->name, field->path));
    buf_adds(json, ",\"field_name\":");
    buf_json_string(json, field->path);
    buf_printf(json, ",\"data_categories\":[%s]}", categories);
}

const char *affected_fields(const struct dataset *dataset, const struct dataset_collection *collection,
                            const struct catalog_policy *policy, const char *action_type, struct arena *arena)
{
    _cleanup_(buf_free) struct buf json = BUF_INIT(FIELDS_BYTES_MAX), categories = BUF_INIT(FIELDS_BYTES_MAX);

    for (int i = 0; i < collection->all_count; i++) {
        buf_clear(&categories);
        if (add_categories(&categories, collection->all[i], policy, action_type))
            add_field(&json, dataset, collection, collection->all[i], categories.data, arena);
    }
    if (!json.length)
        return NULL;
    buf_adds(&json, "]");
    return arena_strdup(arena, json.data);
}
