#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "common/log.h"

enum { PAGE_SIZE = 50, PAGE_SIZE_MAX = 100, MESSAGE_BYTES = 1024 };

/* What a call holds besides its memory. */
static void call_release(struct api_call *call)
{
    json_object_put(call->body);
    schema_errors_free(&call->errors);
    catalog_unref(call->catalog);
    call->body = NULL;
    call->catalog = NULL;
}

int api_answer(struct api_call *call, int status, json_object *body)
{
    const int form = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    struct http_call *http = call->http;
    size_t length;
    const char *text = json_object_to_json_string_length(body, form, &length);

    http->status = status;
    http->answer = arena_strndup(http->arena, text, length);
    http->answer_length = length;
    json_object_put(body);
    call_release(call);
    http_answer(http);
    return 0;
}

int api_answer_null(struct api_call *call, int status)
{
    struct http_call *http = call->http;

    call_release(call);
    http_answer_json(http, status, status == 204 ? "" : "null");
    return 0;
}

int api_answer_text(struct api_call *call, int status, const char *content_type, const char *text,
                    size_t length)
{
    struct http_call *http = call->http;

    http->status = status;
    http->content_type = content_type;
    http->answer = arena_strndup(http->arena, text, length);
    http->answer_length = length;
    call_release(call);
    http_answer(http);
    return 0;
}

int api_answer_stream(struct api_call *call, int status, const char *content_type,
                      const struct stream_source *source, struct err *err)
{
    struct http_call *http = call->http;

    http->status = status;
    http->content_type = content_type;
    call_release(call);
    return http_answer_stream(http, source, err);
}

void api_answer_feed(struct api_call *call, int status, const char *content_type, struct feed *feed)
{
    struct http_call *http = call->http;

    http->status = status;
    http->content_type = content_type;
    call_release(call);
    http_answer_feed(http, feed);
}

/* What is wrong with us is for the log, with the route but never the path: that is a caller's text.
 * While PostgreSQL is away every call says the same, so the log has a line a second. */
static void log_failure(const struct api_call *call, const struct err *err)
{
    static usec_t said;
    usec_t now = usec_monotonic(), before = __atomic_load_n(&said, __ATOMIC_RELAXED);

    if (!*err->cause)
        return;
    if (err->code == ERR_UNAVAILABLE) {
        if (now - before < USEC_PER_S ||
            !__atomic_compare_exchange_n(&said, &before, now, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            return;
    }
    log_err("api.failed", err, log_word("method", call->route->method),
            log_word("route", call->route->path));
}

void api_answer_err(struct api_call *call, const struct err *err)
{
    struct http_call *http = call->http;
    struct err told = *err;
    json_object *detail;

    log_failure(call, err);
    *told.cause = '\0';
    if (err->code == ERR_INVALID && call->errors.list) {
        detail = json_object_new_object();
        json_object_object_add(detail, "detail", json_object_get(call->errors.list));
        api_answer(call, 422, detail);
        return;
    }
    call_release(call);
    http_answer_err(http, &told);
}

int api_invalid(struct api_call *call, struct err *err, const char *where, const char *name,
                const char *type, const char *msg, ...)
{
    const struct schema_loc root = { .name = where }, here = { .parent = &root, .name = name };
    char text[MESSAGE_BYTES];
    va_list args;

    va_start(args, msg);
    vsnprintf(text, sizeof(text), msg, args);
    va_end(args);
    schema_error(&call->errors, name ? &here : &root, type, "%s", text);
    return err_set(err, ERR_INVALID, "%s", text);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* One number of the query, within bounds, in pydantic's words. */
static int query_number(struct api_call *call, const char *name, long long fallback, long long max,
                        long long *ret, struct err *err)
{
    const char *text = http_query(call->http, name);
    long long value = fallback;

    if (text && !schema_parse_int(text, &value))
        return api_invalid(call, err, "query", name, "int_parsing",
                           "Input should be a valid integer, unable to parse string as an integer");
    if (value < 1)
        return api_invalid(call, err, "query", name, "greater_than_equal",
                           "Input should be greater than or equal to 1");
    if (max && value > max)
        return api_invalid(call, err, "query", name, "less_than_equal",
                           "Input should be less than or equal to %lld", max);
    *ret = value;
    return 0;
}

int api_page_of(struct api_call *call, int size, int size_max, struct api_page *ret, struct err *err)
{
    struct api_page page = { 1, size };
    int r = query_number(call, "page", 1, 0, &page.page, err);
    int s = query_number(call, "size", size, size_max, &page.size, err);

    if (r < 0 || s < 0)
        return r < 0 ? r : s;
    *ret = page;
    return 0;
}

int api_page(struct api_call *call, struct api_page *ret, struct err *err)
{
    return api_page_of(call, PAGE_SIZE, PAGE_SIZE_MAX, ret, err);
}

/* A page so far out that its offset is no number has nothing on it either way. */
long long api_page_offset(const struct api_page *page)
{
    long long offset;

    return __builtin_mul_overflow(page->page - 1, page->size, &offset) ? INT64_MAX : offset;
}

int api_answer_page(struct api_call *call, const struct api_page *page, json_object *items,
                    long long total)
{
    json_object *body = json_object_new_object();

    json_object_object_add(body, "items", items);
    json_object_object_add(body, "total", json_object_new_int64(total));
    json_object_object_add(body, "page", json_object_new_int64(page->page));
    json_object_object_add(body, "size", json_object_new_int64(page->size));
    json_object_object_add(body, "pages",
                           json_object_new_int64((total + page->size - 1) / page->size));
    return api_answer(call, 200, body);
}

/* --- parameters ------------------------------------------------------------------------------- */

/* The name that stands in the path's {braces} number `index`. */
static const char *param_name(struct api_call *call, int index)
{
    const char *at = call->route->path;

    for (at = strchr(at, '{'); at && index--; at = strchr(at + 1, '{'))
        ;
    return at ? arena_strndup(call->arena, at + 1, strcspn(at + 1, "}")) : "key";
}

int api_key_param(struct api_call *call, int index, const char **ret, struct err *err)
{
    const char *key = call->params[index];

    if (!schema_is_key(key))
        return api_invalid(
            call, err, "path", param_name(call, index), "value_error",
            "Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' "
            "or '-'. Value provided: %s",
            key);
    *ret = key;
    return 0;
}

int api_query_bool(struct api_call *call, const char *name, bool fallback, bool *ret,
                   struct err *err)
{
    const char *text = http_query(call->http, name);
    bool value = fallback;

    if (text && !schema_parse_bool(text, &value))
        return api_invalid(call, err, "query", name, "bool_parsing",
                           "Input should be a valid boolean, unable to interpret input");
    *ret = value;
    return 0;
}

/* --- bodies ----------------------------------------------------------------------------------- */

json_object *api_bulk(void)
{
    json_object *bulk = json_object_new_object();

    json_object_object_add(bulk, "succeeded", json_object_new_array());
    json_object_object_add(bulk, "failed", json_object_new_array());
    return bulk;
}

void api_bulk_succeeded(json_object *bulk, json_object *item)
{
    json_object_array_add(json_object_object_get(bulk, "succeeded"), item);
}

void api_bulk_failed(json_object *bulk, const char *message, json_object *data)
{
    json_object *failed = json_object_new_object();

    json_object_object_add(failed, "message", json_object_new_string(message));
    json_object_object_add(failed, "data", data);
    json_object_array_add(json_object_object_get(bulk, "failed"), failed);
}

json_object *api_json_text(const char *text)
{
    return text ? json_object_new_string(text) : NULL;
}

json_object *api_json_time(usec_t time)
{
    char text[USEC_TEXT_BYTES];

    return time == USEC_NONE ? NULL : json_object_new_string(usec_format_z(time, text));
}

json_object *api_json_parse(const char *json)
{
    return json ? json_tokener_parse(json) : NULL;
}
