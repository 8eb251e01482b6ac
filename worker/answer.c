#include "worker/answer.h"

#include "common/buf.h"
#include "common/identity.h"

enum { ERRORS_TOLD = 5, DETAILS_BYTES = 4096 };

static void check_derived(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (value)
        identity_check_derived(value, loc, errors);
}

static const struct schema_field fields[] = {
    { "halt", .required = true, .schema = { .type = SCHEMA_BOOL } },
    { "derived_identity", .nullable = true, .schema = { .type = SCHEMA_ANY, .check = check_derived } },
    { 0 },
};
static const struct schema answer_schema = { .type = SCHEMA_OBJECT, .fields = fields };

static int refuse(struct err *err, const char *webhook_key, const char *details)
{
    return err_set(err, ERR_BAD_REQUEST, "Webhook '%s' returned an invalid response format: %s", webhook_key, details);
}

/* "derived_identity.email: value is not a valid email address: ...": place and rule. */
static void add_error(struct buf *details, json_object *error)
{
    json_object *loc = schema_get(error, "loc");
    size_t parts = json_object_array_length(loc);

    if (details->length)
        buf_adds(details, "; ");
    for (size_t i = 0; i < parts; i++)
        buf_printf(details, "%s%s", i ? "." : "", json_object_get_string(json_object_array_get_idx(loc, i)));
    buf_printf(details, ": %s", schema_text(error, "msg"));
}

static int refuse_errors(struct err *err, const char *webhook_key, const struct schema_errors *errors)
{
    _cleanup_(buf_free) struct buf details = BUF_INIT(DETAILS_BYTES);
    size_t count = json_object_array_length(errors->list);

    for (size_t i = 0; i < count && i < ERRORS_TOLD; i++)
        add_error(&details, json_object_array_get_idx(errors->list, i));
    return refuse(err, webhook_key, details.data);
}

/* An empty object is no objection: the contract keeps that for receivers that know no better. */
static int read_object(json_object *value, const char *webhook_key, struct arena *arena, struct answer *ret,
                       struct err *err)
{
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };
    struct answer answer = { 0 };
    json_object *derived;

    if (json_object_object_length(value) && !schema_check(&answer_schema, value, NULL, &errors))
        return refuse_errors(err, webhook_key, &errors);
    answer.halt = schema_bool(value, "halt", false);
    derived = schema_get(value, "derived_identity");
    if (derived)
        answer.derived = identity_derived(derived, arena, &answer.derived_names);
    *ret = answer;
    return 0;
}

static int parse(const char *body, size_t length, const char *webhook_key, json_object **ret, struct err *err)
{
    _cleanup_(schema_errors_free) struct schema_errors errors = { 0 };

    if (!length)
        return refuse(err, webhook_key, "the body is empty");
    if (schema_parse(body, length, ret, &errors) < 0)
        return refuse_errors(err, webhook_key, &errors);
    return 0;
}

int answer_read(const char *body, size_t length, bool cut, const char *webhook_key, struct arena *arena,
                struct answer *ret, struct err *err)
{
    _cleanup_(json_object_putp) json_object *value = NULL;
    int r;

    if (cut)
        return refuse(err, webhook_key, "the body is longer than what is read of an answer");
    r = parse(body, length, webhook_key, &value, err);
    if (r < 0)
        return r;
    if (!json_object_is_type(value, json_type_object))
        return refuse(err, webhook_key, "the body is not a JSON object");
    return read_object(value, webhook_key, arena, ret, err);
}
