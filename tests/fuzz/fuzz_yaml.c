/* Any bytes as YAML: a value within its bounds that JSON can say and YAML reads again, or one error. */

#include "api/yaml.h"

#include "tests/fuzz/fuzz.h"

static int depth_of(json_object *value)
{
    int depth = 0;

    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member) {
            int below = depth_of(member);

            CHECK(name);
            depth = below > depth ? below : depth;
        }
        return depth + 1;
    }
    if (!json_object_is_type(value, json_type_array))
        return 0;
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        int below = depth_of(json_object_array_get_idx(value, i));

        depth = below > depth ? below : depth;
    }
    return depth + 1;
}

/* Line ends to libyaml, within quotes too, and not to JSON: U+0085, U+2028, U+2029. */
static bool has_line_end(const char *text)
{
    return strstr(text, "\xc2\x85") || strstr(text, "\xe2\x80\xa8") || strstr(text, "\xe2\x80\xa9");
}

/* JSON is YAML, as far as libyaml reads it: what it does read is the same value. */
static void check_again(json_object *value)
{
    const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
    struct schema_errors errors = { 0 };
    json_object *parsed = NULL, *again = NULL;
    struct err err;

    CHECK(schema_parse(text, strlen(text), &parsed, &errors) == 0);
    if (!has_line_end(text) && yaml_read(text, strlen(text), &again, &err) == 0)
        CHECK(json_object_equal(parsed, again));
    json_object_put(parsed);
    json_object_put(again);
    schema_errors_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    json_object *value = NULL;
    int r = yaml_read((const char *)data, size, &value, &err);

    if (r < 0) {
        CHECK(r == -ERR_BAD_REQUEST && !value && !strncmp(err.text, "Invalid YAML format: ", 21));
        return 0;
    }
    CHECK(depth_of(value) <= YAML_DEPTH_MAX);
    check_again(value);
    json_object_put(value);
    return 0;
}
