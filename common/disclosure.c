#include "common/disclosure.h"

#include <curl/curl.h>
#include <string.h>

#include "common/buf.h"
#include "common/identity.h"
#include "common/scan.h"
#include "common/schema.h"

/* A body's identity is bounded by the body that brought it. */
enum { IDENTITY_BYTES = 16 * 1024 * 1024, TOLD_BYTES = 256 * 1024 };

const char *const disclosure_parts[] = {
    "id",
    "external_id",
    "status",
    "requested_at",
    "started_processing_at",
    "finished_processing_at",
    "reviewed_at",
    "reviewed_by",
    "finalized_at",
    "finalized_by",
    "submitted_by",
    "custom_privacy_request_fields_approved_by",
    "identity_verified_at",
    "custom_privacy_request_fields_approved_at",
    "client_id",
    "origin",
    "policy_id",
    "policy",
    "property_id",
    "cancel_reason",
    "canceled_at",
    "consent_preferences",
    "source",
    "paused_at",
    "due_date",
    "days_left",
    "custom_fields",
    "location",
    NULL,
};
_Static_assert(COUNT_OF(disclosure_parts) == DISCLOSURE_PARTS + 1, "the contract's");

/* --- what is disclosed --------------------------------------------------------------------------------- */

static bool list_has(json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(list, i));

        if (text && !strcmp(text, name))
            return true;
    }
    return false;
}

static void read_identity(json_object *list, struct disclosure *ret, struct arena *arena)
{
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    const char **keys = arena_array(arena, const char *, count + 1);

    for (size_t i = 0; i < count; i++) {
        json_object *key = json_object_array_get_idx(list, i);

        if (json_object_is_type(key, json_type_string))
            keys[ret->identity_count++] = arena_strdup(arena, json_object_get_string(key));
    }
    ret->identity = keys;
}

/* Ids and status stay: a call is about a request that its receiver must know, and about what becomes of it. */
static bool is_always_told(const char *part)
{
    return !strcmp(part, "id") || !strcmp(part, "status");
}

static void read_parts(json_object *list, struct disclosure *ret, struct arena *arena)
{
    bool is_list = json_object_is_type(list, json_type_array);
    const char **parts = arena_array(arena, const char *, DISCLOSURE_PARTS + 1);

    for (int i = 0; disclosure_parts[i]; i++)
        if (is_always_told(disclosure_parts[i]) || (is_list && list_has(list, disclosure_parts[i])))
            parts[ret->part_count++] = disclosure_parts[i];
    ret->parts = parts;
}

const struct disclosure *disclosure_read(const char *json, struct arena *arena)
{
    _cleanup_(json_object_putp) json_object *object = json ? json_tokener_parse(json) : NULL;
    struct disclosure *disclosure;

    if (!json)
        return NULL;
    disclosure = arena_new_of(arena, struct disclosure);
    disclosure->whole_identity = json_object_is_type(object, json_type_object) && !schema_has(object, "identity");
    disclosure->whole_request = json_object_is_type(object, json_type_object) && !schema_has(object, "parts");
    if (!disclosure->whole_identity)
        read_identity(schema_get(object, "identity"), disclosure, arena);
    if (!disclosure->whole_request)
        read_parts(schema_get(object, "parts"), disclosure, arena);
    return disclosure;
}

bool disclosure_has_part(const struct disclosure *disclosure, const char *name)
{
    if (!disclosure || disclosure->whole_request)
        return true;
    for (int i = 0; i < disclosure->part_count; i++)
        if (!strcmp(disclosure->parts[i], name))
            return true;
    return false;
}

/* --- an identity --------------------------------------------------------------------------------------- */

struct member {
    struct scan_token name, value;
};

static bool member_next(struct scan *scan, struct member *ret)
{
    ret->name = scan_next(scan);
    if (ret->name.kind != SCAN_KEY)
        return false;
    ret->value = scan_next(scan);
    if (ret->value.kind == SCAN_OBJECT || ret->value.kind == SCAN_LIST)
        ret->value = scan_whole(scan, ret->value);
    return true;
}

/* False: there is no object. */
static bool members_begin(const char *identity, struct scan *ret)
{
    *ret = scan_of(identity ? identity : "", identity ? strlen(identity) : 0);
    return scan_next(ret).kind == SCAN_OBJECT;
}

/* The name of the list that it says; NULL for none of them. */
static const char *name_in(struct scan_token name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (scan_is(name, names[i]))
            return names[i];
    return NULL;
}

const char *disclosure_identity(const struct disclosure *disclosure, const char *identity, struct arena *arena)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(IDENTITY_BYTES);
    struct member member;
    struct scan scan;

    if (!disclosure || disclosure->whole_identity || !members_begin(identity, &scan))
        return identity;
    buf_addc(&out, '{');
    while (member_next(&scan, &member)) {
        if (!name_in(member.name, disclosure->identity, disclosure->identity_count))
            continue;
        buf_adds(&out, out.length > 1 ? "," : "");
        buf_add(&out, member.name.text, member.name.length);
        buf_addc(&out, ':');
        buf_add(&out, member.value.text, member.value.length);
    }
    buf_addc(&out, '}');
    return arena_strndup(arena, out.data, out.length);
}

/* --- what is told of it -------------------------------------------------------------------------------- */

static void add_member(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_adds(out, out->length > 1 ? ",\"" : "\"");
    buf_adds(out, name);
    buf_adds(out, "\":");
    buf_json_string(out, value);
}

static void add_name(struct buf *out, const char *name)
{
    if (out->data[out->length - 1] != '[')
        buf_addc(out, ',');
    buf_json_string(out, name);
}

/* What it may be called on the bus; NULL: it is the request's own word. */
static const char *known_name(const struct disclosure *disclosure, struct scan_token name)
{
    const char *known = name_in(name, identity_defaults, IDENTITY_DEFAULTS);

    if (known || !disclosure || disclosure->whole_identity)
        return known;
    return name_in(name, disclosure->identity, disclosure->identity_count);
}

static bool has_value(struct scan_token value)
{
    return value.kind != SCAN_PLAIN || value.length != 4 || memcmp(value.text, "null", 4) != 0;
}

static void add_identity(struct buf *out, const struct disclosure *disclosure, const char *identity)
{
    bool custom = false;
    struct member member;
    struct scan scan;

    buf_adds(out, ",\"identity\":[");
    if (members_begin(identity, &scan))
        while (member_next(&scan, &member)) {
            const char *known = known_name(disclosure, member.name);

            if (known && has_value(member.value))
                add_name(out, known);
            custom = custom || !known;
        }
    if (custom)
        add_name(out, IDENTITY_CUSTOM_WORD);
    buf_addc(out, ']');
}

static void add_parts(struct buf *out, const struct disclosure *disclosure)
{
    buf_adds(out, ",\"parts\":[");
    if (!disclosure || disclosure->whole_request)
        add_name(out, "*");
    else
        for (int i = 0; i < disclosure->part_count; i++)
            add_name(out, disclosure->parts[i]);
    buf_addc(out, ']');
}

const char *disclosure_tell(const struct disclosure *disclosure, const struct disclosure_place *place,
                            const char *identity, struct arena *arena)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(TOLD_BYTES);

    buf_addc(&out, '{');
    add_member(&out, "connection_key", place->connection_key);
    add_member(&out, "host", place->host);
    add_member(&out, "policy_key", place->policy_key);
    add_identity(&out, disclosure, identity);
    add_parts(&out, disclosure);
    buf_addc(&out, '}');
    return arena_strndup(arena, out.data, out.length);
}

const char *disclosure_host(const char *url, struct arena *arena)
{
    CURLU *parts = url ? curl_url() : NULL;
    const char *ret = NULL;
    char *host = NULL;

    if (!parts)
        return NULL;
    if (!curl_url_set(parts, CURLUPART_URL, url, 0) && !curl_url_get(parts, CURLUPART_HOST, &host, 0))
        ret = arena_strdup(arena, host);
    curl_free(host);
    curl_url_cleanup(parts);
    return ret;
}
