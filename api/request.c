#include "api/request.h"

#include <ctype.h>
#include <string.h>

#include "api/create.h"
#include "api/search.h"
#include "api/timeline.h"
#include "common/log.h"

/* --- as they are stored -------------------------------------------------------------------------------- */

int request_rows(struct api_call *call, const char *const *ids, int count, PGresult **ret, struct err *err)
{
    return view_rows(call->db, ids, count, call->arena, ret, err);
}

struct request_view request_view_read(const struct api_call *call, const PGresult *rows, int row)
{
    struct request_view view = view_read(rows, row);

    view.policy = catalog_policy_by_id(call->catalog, db_get_text(rows, row, VIEW_POLICY_ID));
    return view;
}

static struct bytes row_bytes(const PGresult *rows, int row, int column)
{
    struct bytes bytes;

    bytes.data = db_get_bytes(rows, row, column, &bytes.length);
    return bytes;
}

static int open_one(struct api_call *call, const struct seal_key *key, const char *what, const PGresult *rows, int row,
                    int column, const char **ret, struct err *err)
{
    struct bytes sealed = row_bytes(rows, row, column), plain;
    int r;

    if (!sealed.data)
        return 0;
    r = seal_open(key, what, db_get_text(rows, row, VIEW_ID), sealed, call->arena, &plain, err);
    if (r == 0)
        *ret = plain.data;
    return r;
}

static int open_all(struct api_call *call, const PGresult *rows, int row, unsigned which, struct request_secrets *ret,
                    struct err *err)
{
    const struct {
        enum request_sealed bit;
        const char *what;
        int column;
        const char **ret;
    } places[] = {
        { REQUEST_IDENTITY, "identity", VIEW_IDENTITY, &ret->identity },
        { REQUEST_CUSTOM_FIELDS, "custom_fields", VIEW_CUSTOM_FIELDS, &ret->custom_fields },
        { REQUEST_REASON, "reason", VIEW_REASON, &ret->reason },
    };
    struct seal_key key;
    int r = seal_key_unwrap(call->api->ring, db_get_text(rows, row, VIEW_KEY_ID), row_bytes(rows, row, VIEW_WRAPPED),
                            db_get_text(rows, row, VIEW_ID), &key, err);

    for (size_t i = 0; r == 0 && i < COUNT_OF(places); i++)
        if (which & places[i].bit)
            r = open_one(call, &key, places[i].what, rows, row, places[i].column, places[i].ret, err);
    return r;
}

struct request_secrets request_open(struct api_call *call, const PGresult *rows, int row, unsigned which)
{
    struct request_secrets secrets = { 0 };
    struct err err = { 0 };

    if (which && !db_is_null(rows, row, VIEW_KEY_ID) && open_all(call, rows, row, which, &secrets, &err) < 0)
        log_err("request.unreadable", &err, log_id("request", db_get_text(rows, row, VIEW_ID)));
    return secrets;
}

bool request_location(const char *text, char ret[REQUEST_LOCATION_BYTES])
{
    size_t length = strlen(text), i;

    if (length < 2 || length > 6)
        return false;
    for (i = 0; i <= length; i++)
        ret[i] = text[i] == '_' ? '-' : (char)toupper((unsigned char)text[i]);
    if (!strcmp(ret, "EEA"))
        return true;
    for (i = 0; i < 2; i++)
        if (ret[i] < 'A' || ret[i] > 'Z')
            return false;
    if (length == 2)
        return true;
    if (ret[2] != '-' || length == 3)
        return false;
    for (i = 3; i < length; i++)
        if (!((ret[i] >= 'A' && ret[i] <= 'Z') || (ret[i] >= '0' && ret[i] <= '9')))
            return false;
    return true;
}

/* --- routes -------------------------------------------------------------------------------------------- */

const struct api_route request_routes[] = {
    { "POST", "/privacy-request", "", &create_schema, .optimistic = true, .prompt = true, .handler = create_handle },
    { "POST", "/privacy-request/authenticated", "privacy-request:create", &create_schema, .optimistic = true,
      .prompt = true, .handler = create_handle },
    { "POST", "/privacy-request/search", "privacy-request:read", &search_schema, .body_optional = true,
      .handler = search_post },
    { "GET", "/privacy-request", "privacy-request:read", NULL, .handler = search_get },
    { "GET", "/privacy-request/{id}/log", "privacy-request:read", NULL, .handler = timeline_log },
    { "GET", "/privacy-request/{id}/tasks", "privacy-request:read", NULL, .handler = timeline_tasks },
    { 0 },
};
