#include "api/search.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/csv.h"
#include "api/request.h"
#include "api/search.sql.h"
#include "api/timeline.h"
#include "common/identity.h"
#include "common/lifecycle.h"

enum { LIST_MAX = 100, VALUES_MAX = 64 };

#define ID_PREFIX "pri_"
#define ID_CHARACTERS "pri_0123456789abcdef-" /* all that an id has */
enum { ID_LENGTH = 40 };

/* What a caller asks for, ready to be a statement's parameters. NULL, and USEC_NONE: no such condition. */
struct search {
    const char **ids;                    /* one of these; ends with NULL */
    const char *id_like;                 /* pattern */
    const char **fuzzy_ids;              /* one of these, or by pattern */
    const char *fuzzy_like;
    const char **statuses, **policy_ids; /* end with NULL */
    const char *external_like, *location;
    usec_t created_lt, created_gt, started_lt, started_gt;
    usec_t completed_lt, completed_gt, errored_lt, errored_gt;
    bool has_overdue, is_overdue, with_deleted;
    const char *sort_field;
    bool descending;
    bool with_identities, with_custom_fields, verbose, as_csv;
};

/* --- what a caller may send ---------------------------------------------------------------------------- */

static const char *const status_words[] = {
#define STATUS(name, word, terminal, active) word,
#include "common/lifecycle.tbl.h"
#undef STATUS
    NULL,
};
static const char *const action_words[] = { "access", "consent", "erasure", "update", NULL };
static const char *const directions[] = { "asc", "desc", NULL };

/* One word or a list of words. */
static void check_words(const char *const *words, json_object *value, const struct schema_loc *loc,
                        struct schema_errors *errors)
{
    const struct schema word = { .type = SCHEMA_STRING, .words = words };
    const struct schema list = { .type = SCHEMA_LIST, .item = &word, .max = LIST_MAX };

    schema_check(json_object_is_type(value, json_type_array) ? &list : &word, value, loc, errors);
}

static void check_statuses(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    check_words(status_words, value, loc, errors);
}

static void check_actions(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    check_words(action_words, value, loc, errors);
}

static void check_identities(json_object *value, const struct schema_loc *loc, struct schema_errors *errors)
{
    if (json_object_object_length(value) > VALUES_MAX)
        schema_error(errors, loc, "value_error", "Value error, At most %d identities may be given", VALUES_MAX);
}

#define TEXT(name) { name, .nullable = true, .schema = { .type = SCHEMA_STRING } }
#define TIME(name) { name, .nullable = true, .schema = { .type = SCHEMA_DATETIME } }
#define FLAG(name) { name, .nullable = true, .schema = { .type = SCHEMA_BOOL } }
/* Both ways of searching have these. */
#define COMMON_FIELDS                                                                              \
    TEXT("request_id"), TEXT("fuzzy_search_str"),                                                  \
        { "status", .nullable = true, .schema = { .type = SCHEMA_ANY, .check = check_statuses } }, \
        TIME("created_lt"), TIME("created_gt"), TIME("started_lt"), TIME("started_gt"),            \
        TIME("completed_lt"), TIME("completed_gt"), TIME("errored_lt"), TIME("errored_gt"),        \
        TEXT("external_id"), TEXT("location"),                                                     \
        { "action_type", .nullable = true, .schema = { .type = SCHEMA_ANY, .check = check_actions } }, \
        FLAG("include_deleted_requests"), FLAG("verbose"), FLAG("include_identities"),             \
        FLAG("include_custom_privacy_request_fields"), FLAG("download_csv"), TEXT("sort_field"),   \
        { "sort_direction", .nullable = true, .schema = { .type = SCHEMA_STRING, .words = directions } }

static const struct schema_field body_fields[] = {
    COMMON_FIELDS,
    { "identities", .nullable = true, .schema = { .type = SCHEMA_OBJECT, .check = check_identities } },
    { "custom_privacy_request_fields", .nullable = true, .schema = { .type = SCHEMA_OBJECT } },
    FLAG("is_overdue"),
    FLAG("include_consent_webhook_requests"),
    { 0 },
};
const struct schema search_schema = { .type = SCHEMA_OBJECT, .forbid_extra = true, .fields = body_fields };

static const struct schema_field query_fields[] = { COMMON_FIELDS, TEXT("identity"), { 0 } };
static const struct schema query_schema = { .type = SCHEMA_OBJECT, .fields = query_fields };

/* Request columns by which a list may be sorted; search.sql knows each. */
static const char *const sort_fields[] = {
    "id", "created_at", "updated_at", "requested_at", "due_date", "identity_verified_at", "reviewed_at",
    "custom_privacy_request_fields_approved_at", "started_processing_at", "finished_processing_at",
    "paused_at", "canceled_at", "finalized_at", "deleted_at", "status", "policy_id", "source", "location",
    "property_id", "external_id", "submitted_by", "reviewed_by",
    "custom_privacy_request_fields_approved_by", "finalized_by", "deleted_by", NULL,
};

/* --- conditions ---------------------------------------------------------------------------------------- */

struct parsing {
    struct api_call *call;
    struct arena *arena;
    json_object *filters; /* never NULL */
    struct search *search;
};

/* Texts that stand for themselves in a pattern. */
static const char *like_escape(struct arena *arena, const char *text)
{
    char *escaped = arena_alloc(arena, 2 * strlen(text) + 1), *to = escaped;

    for (; *text; text++) {
        if (strchr("\\%_", *text))
            *to++ = '\\';
        *to++ = *text;
    }
    return escaped;
}

static const char *lower(struct arena *arena, const char *text)
{
    char *lowered = arena_strdup(arena, text);

    for (char *c = lowered; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return lowered;
}

/* A part of an id: that very id, or a pattern for those that have the part; neither when none can have it. */
static void id_part(struct arena *arena, const char *text, const char **id, const char **pattern)
{
    const char *part = lower(arena, text);

    *id = *pattern = NULL;
    if (part[strspn(part, ID_CHARACTERS)] || strlen(part) > ID_LENGTH)
        return;
    if (strlen(part) == ID_LENGTH)
        *id = part;
    else
        *pattern = arena_printf(arena, "%%%s%%", like_escape(arena, part));
}

static const char **list_of(struct arena *arena, const char *text)
{
    const char **list = arena_array(arena, const char *, 2);

    list[0] = text;
    return list;
}

static int parse_request_id(struct parsing *parsing, struct err *err)
{
    const char *text = schema_text(parsing->filters, "request_id"), *id;

    (void)err;
    if (!text)
        return 0;
    id_part(parsing->arena, text, &id, &parsing->search->id_like);
    if (id || !parsing->search->id_like)
        parsing->search->ids = list_of(parsing->arena, id);
    return 0;
}

/* Requests that have one of the hashed values. */
static int ids_by_hash(struct parsing *parsing, uint8_t (*hashes)[SEAL_HASH_BYTES], int count, const char ***ret,
                       struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(parsing->arena);
    struct db_column *column = db_array(args, DB_BYTES);
    int r, ignored;

    for (int i = 0; i < count; i++)
        db_add_bytes(column, hashes[i], SEAL_HASH_BYTES);
    r = db_run_planned(parsing->call->db, &SQL_search_by_hash, args, &rows, err);
    if (r == 0)
        *ret = db_get_texts(rows, 0, 0, parsing->arena, &ignored);
    return r;
}

/* Requests that have `value` as one of the default identities. */
static int ids_by_value(struct parsing *parsing, const char *value, const char ***ret, struct err *err)
{
    uint8_t hashes[IDENTITY_DEFAULTS][SEAL_HASH_BYTES];

    for (int i = 0; i < IDENTITY_DEFAULTS; i++)
        identity_search_hash(parsing->call->api->ring, identity_defaults[i], value, parsing->arena, hashes[i]);
    return ids_by_hash(parsing, hashes, IDENTITY_DEFAULTS, ret, err);
}

static int list_length(const char *const *list)
{
    int length = 0;

    while (list && list[length])
        length++;
    return length;
}

static bool list_has(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (!strcmp(*list, text))
            return true;
    return false;
}

/* The search's ids are to be among `ids` as well. */
static void narrow(struct parsing *parsing, const char **ids)
{
    const char **kept = arena_array(parsing->arena, const char *, (size_t)list_length(ids) + 1);
    int count = 0;

    for (const char **id = ids; *id; id++)
        if (!parsing->search->ids || list_has(parsing->search->ids, *id))
            kept[count++] = *id;
    parsing->search->ids = kept;
}

static int parse_identity(struct parsing *parsing, struct err *err)
{
    const char *value = schema_text(parsing->filters, "identity");
    const char **ids;
    int r;

    if (!value)
        return 0;
    r = ids_by_value(parsing, value, &ids, err);
    if (r == 0)
        narrow(parsing, ids);
    return r;
}

static int parse_identities(struct parsing *parsing, struct err *err)
{
    json_object *identities = schema_get(parsing->filters, "identities");
    uint8_t hashes[VALUES_MAX][SEAL_HASH_BYTES];
    const char **ids;
    int count = 0, r;

    if (!identities || !json_object_object_length(identities))
        return 0;
    json_object_object_foreach(identities, field, value)
    {
        if (value)
            identity_search_hash(parsing->call->api->ring, field,
                                 json_object_is_type(value, json_type_string)
                                     ? json_object_get_string(value)
                                     : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                                                 JSON_C_TO_STRING_NOSLASHESCAPE),
                                 parsing->arena, hashes[count++]);
    }
    r = ids_by_hash(parsing, hashes, count, &ids, err);
    if (r == 0)
        narrow(parsing, ids);
    return r;
}

static const char **list_with(struct arena *arena, const char **list, const char *text)
{
    int length = list_length(list);
    const char **longer = arena_array(arena, const char *, (size_t)length + 2);

    memcpy(longer, list, (size_t)length * sizeof(*list));
    longer[length] = text;
    return longer;
}

static int parse_fuzzy(struct parsing *parsing, struct err *err)
{
    const char *text = schema_text(parsing->filters, "fuzzy_search_str"), *id;
    int r;

    if (!text || !*text)
        return 0;
    r = ids_by_value(parsing, text, &parsing->search->fuzzy_ids, err);
    if (r < 0)
        return r;
    id_part(parsing->arena, text, &id, &parsing->search->fuzzy_like);
    if (id)
        parsing->search->fuzzy_ids = list_with(parsing->arena, parsing->search->fuzzy_ids, id);
    return 0;
}

/* The words of a filter that is one word or a list; NULL when it was not given. */
static const char **words_of(struct arena *arena, json_object *value)
{
    size_t count = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
    const char **words;

    if (!value)
        return NULL;
    if (json_object_is_type(value, json_type_string))
        return list_of(arena, json_object_get_string(value));
    words = arena_array(arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        words[i] = json_object_get_string(json_object_array_get_idx(value, i));
    return words;
}

static bool policy_has_action(const struct catalog_policy *policy, const char *const *actions)
{
    for (int i = 0; i < policy->rule_count; i++)
        if (list_has(actions, policy->rules[i].action_type))
            return true;
    return false;
}

static int parse_lists(struct parsing *parsing, struct err *err)
{
    const struct catalog *catalog = parsing->call->catalog;
    const char **actions = words_of(parsing->arena, schema_get(parsing->filters, "action_type"));
    int count = 0;

    (void)err;
    parsing->search->statuses = words_of(parsing->arena, schema_get(parsing->filters, "status"));
    if (parsing->search->statuses && !parsing->search->statuses[0])
        parsing->search->statuses = NULL; /* an empty list asks for nothing */
    if (!actions || !actions[0])
        return 0;
    parsing->search->policy_ids =
        arena_array(parsing->arena, const char *, (size_t)catalog->policy_count + 1);
    for (int i = 0; i < catalog->policy_count; i++)
        if (policy_has_action(&catalog->policies[i], actions))
            parsing->search->policy_ids[count++] = catalog->policies[i].id;
    return 0;
}

static int parse_texts(struct parsing *parsing, struct err *err)
{
    const char *external_id = schema_text(parsing->filters, "external_id");
    const char *location = schema_text(parsing->filters, "location");
    struct search *search = parsing->search;
    char normal[REQUEST_LOCATION_BYTES];

    (void)err;
    if (external_id)
        search->external_like = arena_printf(parsing->arena, "%s%%", like_escape(parsing->arena, external_id));
    if (location && request_location(location, normal))
        search->location = arena_strdup(parsing->arena, normal);
    else if (location)
        search->ids = list_of(parsing->arena, NULL); /* no request is there */
    return 0;
}

static usec_t time_of(const struct parsing *parsing, const char *name)
{
    const char *text = schema_text(parsing->filters, name);
    usec_t time = USEC_NONE;

    if (text)
        usec_parse(text, &time);
    return time;
}

static int check_range(const struct parsing *parsing, const char *field, usec_t lt, usec_t gt, struct err *err)
{
    char end[USEC_TEXT_BYTES], start[USEC_TEXT_BYTES];

    (void)parsing;
    if (lt == USEC_NONE || gt == USEC_NONE || lt > gt)
        return 0;
    return err_set(err, ERR_BAD_REQUEST, "Value specified for %s_lt: %s must be after %s_gt: %s.", field,
                   usec_format_z(lt, end), field, usec_format_z(gt, start));
}

static int parse_times(struct parsing *parsing, struct err *err)
{
    struct search *search = parsing->search;
    const struct {
        const char *field;
        usec_t *lt, *gt;
    } ranges[] = {
        { "created", &search->created_lt, &search->created_gt },
        { "started", &search->started_lt, &search->started_gt },
        { "completed", &search->completed_lt, &search->completed_gt },
        { "errored", &search->errored_lt, &search->errored_gt },
    };

    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        int r;

        *ranges[i].lt = time_of(parsing, arena_printf(parsing->arena, "%s_lt", ranges[i].field));
        *ranges[i].gt = time_of(parsing, arena_printf(parsing->arena, "%s_gt", ranges[i].field));
        r = check_range(parsing, ranges[i].field, *ranges[i].lt, *ranges[i].gt, err);
        if (r < 0)
            return r;
    }
    if ((search->completed_lt != USEC_NONE || search->completed_gt != USEC_NONE) &&
        (search->errored_lt != USEC_NONE || search->errored_gt != USEC_NONE))
        return err_set(err, ERR_BAD_REQUEST, "Cannot specify both succeeded and failed query params.");
    return 0;
}

static int parse_flags(struct parsing *parsing, struct err *err)
{
    json_object *filters = parsing->filters;
    struct search *search = parsing->search;

    (void)err;
    search->has_overdue = schema_get(filters, "is_overdue") != NULL;
    search->is_overdue = schema_bool(filters, "is_overdue", false);
    search->with_deleted = schema_bool(filters, "include_deleted_requests", false);
    search->with_identities = schema_bool(filters, "include_identities", false);
    search->with_custom_fields = schema_bool(filters, "include_custom_privacy_request_fields", false);
    search->verbose = schema_bool(filters, "verbose", false);
    search->as_csv = schema_bool(filters, "download_csv", false);
    return 0;
}

static int parse_order(struct parsing *parsing, struct err *err)
{
    const char *field = schema_text(parsing->filters, "sort_field");
    const char *direction = schema_text(parsing->filters, "sort_direction");

    parsing->search->sort_field = field ? field : "created_at";
    parsing->search->descending = !direction || !strcmp(direction, "desc");
    if (!list_has(sort_fields, parsing->search->sort_field))
        return err_set(err, ERR_INVALID, "%.100s is not on PrivacyRequest", field);
    return 0;
}

static int refuse_custom_fields(struct parsing *parsing, struct err *err)
{
    json_object *fields = schema_get(parsing->filters, "custom_privacy_request_fields");

    if (!fields || !json_object_object_length(fields))
        return 0;
    return err_set(err, ERR_NOT_IMPLEMENTED, "Filtering by custom fields is not available in this version.");
}

int search_parse(struct api_call *call, json_object *filters, const struct search **ret, struct err *err)
{
    static int (*const steps[])(struct parsing *parsing, struct err *err) = {
        refuse_custom_fields, parse_order, parse_flags,      parse_times, parse_request_id,
        parse_identity,       parse_lists, parse_identities, parse_fuzzy, parse_texts,
    };
    _cleanup_(json_object_putp) json_object *none = json_object_new_object();
    struct search *search = arena_new_of(call->arena, struct search);
    struct parsing parsing = { call, call->arena, filters ? filters : none, search };

    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        int r = steps[i](&parsing, err);

        if (r < 0)
            return r;
    }
    *ret = search;
    return 0;
}

/* --- finding ------------------------------------------------------------------------------------------- */

static void args_list(struct db_args *args, const char *const *list)
{
    struct db_column *column;

    if (!list) {
        db_null(args);
        return;
    }
    column = db_array(args, DB_TEXT);
    for (; *list; list++)
        db_add_text(column, *list);
}

/* True when no final status is asked for: then an index has all that can match. */
static bool only_open(const struct search *search)
{
    static const char *const closed[] = { "complete", "denied", "canceled", NULL };

    for (const char **status = search->statuses; status && *status; status++)
        if (list_has(closed, *status))
            return false;
    return search->statuses != NULL;
}

static void args_active(struct db_args *args)
{
    struct db_column *column = db_array(args, DB_TEXT);

    for (int i = PR_NONE + 1; i < PR_STATUSES; i++)
        if (lifecycle_is_active((enum pr_status)i))
            db_add_text(column, lifecycle_word((enum pr_status)i));
}

static struct db_args *search_args(struct api_call *call, const struct search *search)
{
    struct db_args *args = db_args_new(call->arena);

    args_list(args, search->ids);
    db_text(args, search->id_like);
    args_list(args, search->fuzzy_ids);
    db_text(args, search->fuzzy_like);
    args_list(args, search->statuses);
    db_bool(args, only_open(search));
    args_list(args, search->policy_ids);
    db_text(args, search->external_like);
    db_text(args, search->location);
    db_time(args, search->created_lt);
    db_time(args, search->created_gt);
    db_time(args, search->started_lt);
    db_time(args, search->started_gt);
    db_time(args, search->completed_lt);
    db_time(args, search->completed_gt);
    db_time(args, search->errored_lt);
    db_time(args, search->errored_gt);
    if (search->has_overdue)
        db_bool(args, search->is_overdue);
    else
        db_null(args);
    args_active(args);
    db_time(args, call->now);
    db_bool(args, search->with_deleted);
    db_text(args, search->sort_field);
    db_bool(args, search->descending);
    return args;
}

int search_ids(struct api_call *call, const struct search *search, long long offset, long long limit,
               struct search_found *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = search_args(call, search);
    int r;

    db_int(args, limit);
    db_int(args, offset);
    r = db_run_planned(call->db, &SQL_search_ids, args, &rows, err);
    if (r < 0)
        return r;
    ret->total = db_get_int(rows, 0, 0);
    ret->ids = db_get_texts(rows, 0, 1, call->arena, &ret->count);
    return 0;
}

/* --- showing ------------------------------------------------------------------------------------------- */

static json_object *identity_shown(const char *text)
{
    _cleanup_(json_object_putp) json_object *body = api_json_parse(text);

    return body ? identity_labelled(body) : NULL;
}

static unsigned sealed_wanted(const struct search *search)
{
    return (search->with_identities ? REQUEST_IDENTITY : 0u) |
           (search->with_custom_fields ? REQUEST_CUSTOM_FIELDS : 0u) | (search->verbose ? REQUEST_REASON : 0u);
}

/* Every row's object, in a new list, and what its timeline is to be told by. */
static json_object *rows_show(struct api_call *call, const PGresult *rows, unsigned sealed, bool listed,
                              struct timeline_subject *subjects)
{
    json_object *list = json_object_new_array();

    for (int row = 0; row < PQntuples(rows); row++) {
        struct request_view view = request_view_read(call, rows, row);
        struct request_secrets secrets = request_open(call, rows, row, sealed);

        view.identity = identity_shown(secrets.identity);
        view.custom_fields = api_json_parse(secrets.custom_fields);
        view.listed = listed;
        json_object_array_add(list, request_object(&view, call->now));
        subjects[row] = (struct timeline_subject){ view.id, view.policy, secrets.reason, view.status, NULL, NULL };
    }
    return list;
}

static int add_timelines(struct api_call *call, json_object *list, struct timeline_subject *subjects, int count,
                         struct err *err)
{
    int r = timeline_read(call, subjects, count, err);

    for (int i = 0; i < count; i++) {
        json_object *object = json_object_array_get_idx(list, (size_t)i);

        json_object_object_add(object, "results", subjects[i].results);
        json_object_object_add(object, "task_status_by_dataset", subjects[i].datasets);
    }
    return r;
}

int search_objects(struct api_call *call, const struct search *search, const char *const *ids, int count,
                   json_object **ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    _cleanup_(json_object_putp) json_object *list = NULL;
    struct timeline_subject *subjects;
    int r = request_rows(call, ids, count, &rows, err);

    if (r < 0)
        return r;
    subjects = arena_array(call->arena, struct timeline_subject, (size_t)PQntuples(rows));
    list = rows_show(call, rows, search ? sealed_wanted(search) : 0, search != NULL, subjects);
    if (search && search->verbose) {
        r = add_timelines(call, list, subjects, PQntuples(rows), err);
        if (r < 0)
            return r;
    }
    *ret = TAKE(list);
    return 0;
}

int search_answer_one(struct api_call *call, const char *id, struct err *err)
{
    _cleanup_(json_object_putp) json_object *objects = NULL;
    int r = search_objects(call, NULL, &id, 1, &objects, err);

    if (r < 0)
        return r;
    return api_answer(call, 200, json_object_get(json_object_array_get_idx(objects, 0)));
}

static int answer_list(struct api_call *call, const struct search *search, struct err *err)
{
    struct search_found found;
    struct api_page page;
    json_object *items;
    int r = api_page(call, &page, err);

    if (r < 0)
        return r;
    r = search_ids(call, search, api_page_offset(&page), page.size, &found, err);
    if (r < 0)
        return r;
    r = search_objects(call, search, found.ids, found.count, &items, err);
    if (r < 0)
        return r;
    return api_answer_page(call, &page, items, found.total);
}

static int answer_search(struct api_call *call, json_object *filters, struct err *err)
{
    const struct search *search;
    int r = search_parse(call, filters, &search, err);

    if (r < 0)
        return r;
    return search->as_csv ? csv_answer(call, search, err) : answer_list(call, search, err);
}

int search_post(struct api_call *call, struct err *err)
{
    return answer_search(call, call->body, err);
}

/* One parameter as it would stand in a body: those that may be repeated are lists. */
static json_object *query_value(const struct api_call *call, const struct schema_field *field)
{
    const char *values[LIST_MAX];
    int count = http_queries(call->http, field->name, values, LIST_MAX);
    json_object *list;

    if (!count)
        return NULL;
    if (field->schema.check != check_statuses)
        return json_object_new_string(values[0]);
    list = json_object_new_array();
    for (int i = 0; i < count; i++)
        json_object_array_add(list, json_object_new_string(values[i]));
    return list;
}

int search_get(struct api_call *call, struct err *err)
{
    _cleanup_(json_object_putp) json_object *filters = json_object_new_object();
    const struct schema_loc query = { .name = "query" };

    for (const struct schema_field *field = query_fields; field->name; field++) {
        json_object *value = query_value(call, field);

        if (value)
            json_object_object_add(filters, field->name, value);
    }
    if (!schema_check(&query_schema, filters, &query, &call->errors))
        return err_set(err, ERR_INVALID, "Invalid query");
    return answer_search(call, filters, err);
}
