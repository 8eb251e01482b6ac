#include "common/catalog.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/catalog.sql.h"
#include "common/log.h"
#include "common/schema.h"

/* A catalog with what only this module needs of it. Indexes are pointers, sorted by what they are named after. */
struct picture {
    struct catalog catalog; /* first: the handle is a pointer to it */
    atomic_int references;
    struct arena *arena;
    const struct catalog_policy **policies_by_key;
};

static struct picture *picture_of(const struct catalog *catalog)
{
    return (struct picture *)(uintptr_t)catalog;
}

const struct catalog *catalog_ref(const struct catalog *catalog)
{
    atomic_fetch_add(&picture_of(catalog)->references, 1);
    return catalog;
}

void catalog_unref(const struct catalog *catalog)
{
    struct picture *picture = picture_of(catalog);

    if (!catalog || atomic_fetch_sub(&picture->references, 1) > 1)
        return;
    arena_free(picture->arena);
    free(picture);
}

static void catalog_unref_picture(struct picture *picture)
{
    catalog_unref(&picture->catalog);
}
DEFINE_CLEANUP(struct picture *, catalog_unref_picture)

static struct picture *picture_new(void)
{
    struct picture *picture = calloc(1, sizeof(*picture));

    if (!picture)
        abort();
    picture->arena = arena_new();
    atomic_init(&picture->references, 1);
    return picture;
}

/* What was read as ordered by id is searched as it lies: every element begins with its id. */
static int by_leading_id(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static const void *find_by_id(const void *array, int count, size_t size, const char *id)
{
    return id && count ? bsearch(id, array, (size_t)count, size, by_leading_id) : NULL;
}

static int policies_compare(const void *a, const void *b)
{
    return strcmp((*(const struct catalog_policy *const *)a)->key,
                  (*(const struct catalog_policy *const *)b)->key);
}

const struct catalog_policy *catalog_policy_by_key(const struct catalog *catalog, const char *key)
{
    const struct catalog_policy wanted = { .key = key }, *pointer = &wanted;
    const struct catalog_policy **found;

    if (!key || !catalog->policy_count)
        return NULL;
    found = bsearch(&pointer, picture_of(catalog)->policies_by_key, (size_t)catalog->policy_count,
                    sizeof(*found), policies_compare);
    return found ? *found : NULL;
}

const struct catalog_policy *catalog_policy_by_id(const struct catalog *catalog, const char *id)
{
    return find_by_id(catalog->policies, catalog->policy_count, sizeof(*catalog->policies), id);
}

const struct catalog_connection *catalog_connection_by_id(const struct catalog *catalog, const char *id)
{
    return find_by_id(catalog->connections, catalog->connection_count, sizeof(*catalog->connections), id);
}

const struct catalog_client *catalog_client_by_id(const struct catalog *catalog, const char *id)
{
    return find_by_id(catalog->clients, catalog->client_count, sizeof(*catalog->clients), id);
}

static int webhooks_compare(const void *a, const void *b)
{
    return strcmp((*(const struct catalog_webhook *const *)a)->id, (*(const struct catalog_webhook *const *)b)->id);
}

const struct catalog_webhook *catalog_webhook_by_id(const struct catalog *catalog, const char *id)
{
    const struct catalog_webhook wanted = { .id = id }, *pointer = &wanted;
    const struct catalog_webhook **found;

    /* Pre-approval ones are in the order of their creation, and never more than a list of them may hold. */
    for (int i = 0; id && i < catalog->webhook_count; i++)
        if (!strcmp(catalog->webhooks[i].id, id))
            return &catalog->webhooks[i];
    if (!id || !catalog->policy_webhook_count)
        return NULL;
    found = bsearch(&pointer, catalog->policy_webhooks, (size_t)catalog->policy_webhook_count, sizeof(*found),
                    webhooks_compare);
    return found ? *found : NULL;
}

static const char *const kinds[WEBHOOK_KINDS] = {
    [WEBHOOK_PRE_APPROVAL] = "pre_approval",
    [WEBHOOK_PRE] = "pre",
    [WEBHOOK_POST] = "post",
};

const char *webhook_kind_word(enum webhook_kind kind)
{
    return kinds[kind];
}

enum webhook_kind webhook_kind_parse(const char *word)
{
    enum webhook_kind kind = WEBHOOK_PRE_APPROVAL;

    while (kind < WEBHOOK_POST && strcmp(kinds[kind], word) != 0)
        kind++;
    return kind; /* the table's checks allow no other word */
}

const char *catalog_policy_action(const struct catalog_policy *policy)
{
    return policy->rule_count ? policy->rules[0].action_type : NULL;
}

bool catalog_policy_has(const struct catalog_policy *policy, const char *action_type)
{
    for (int i = 0; i < policy->rule_count; i++)
        if (!strcmp(policy->rules[i].action_type, action_type))
            return true;
    return false;
}

const struct catalog_rule *catalog_rule_by_key(const struct catalog_policy *policy, const char *key)
{
    for (int i = 0; i < policy->rule_count; i++)
        if (!strcmp(policy->rules[i].key, key))
            return &policy->rules[i];
    return NULL;
}

const struct catalog_connection *catalog_connection_by_key(const struct catalog *catalog, const char *key)
{
    for (int i = 0; key && i < catalog->connection_count; i++)
        if (!strcmp(catalog->connections[i].key, key))
            return &catalog->connections[i];
    return NULL;
}

const struct catalog_dataset *catalog_dataset_by_key(const struct catalog *catalog, const char *key)
{
    for (int i = 0; key && i < catalog->dataset_count; i++)
        if (!strcmp(catalog->datasets[i].dataset->key, key))
            return &catalog->datasets[i];
    return NULL;
}

struct catalog_form catalog_form(const struct catalog_manual *manual, const char *action)
{
    if (!strcmp(action, "erasure"))
        return (struct catalog_form){ manual->erasure_labels, manual->erasure_count };
    return (struct catalog_form){ manual->labels, manual->label_count };
}

bool catalog_form_is(const struct catalog_form *form, const char *const *labels, int count)
{
    if (count != form->count)
        return false;
    for (int i = 0; i < count; i++)
        if (strcmp(labels[i], form->labels[i]) != 0)
            return false;
    return true;
}

bool catalog_asks(const struct catalog_connection *connection, const struct catalog_policy *policy, const char *action)
{
    return connection->manual && connection->manual->label_count && !connection->disabled &&
           (strcmp(action, "erasure") ? connection->does_access : connection->does_erasure) &&
           catalog_policy_has(policy, action);
}

enum approval catalog_approval(const struct catalog *catalog, const struct catalog_policy *policy)
{
    const char *action = catalog_policy_action(policy);

    if (!catalog->manual_approval || (action && !strcmp(action, "consent")))
        return APPROVAL_NOT_REQUIRED;
    return catalog->webhook_count ? APPROVAL_BY_WEBHOOKS : APPROVAL_BY_PERSON;
}

/* Reading: one function a section, all within one snapshot. */

struct loading {
    struct picture *picture;
    const struct seal_ring *ring;
    const struct config *config;
    const char *active_storage; /* its type */
};

static int load_settings(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct catalog *catalog = &loading->picture->catalog;

    if (PQntuples(rows) != 1)
        return err_cause(err, ERR_INTERNAL, "the catalog has %d rows", PQntuples(rows));
    catalog->version = db_get_int(rows, 0, 0);
    catalog->manual_approval = db_is_null(rows, 0, 1) ? loading->config->manual_approval
                                                      : db_get_bool(rows, 0, 1);
    loading->active_storage = db_dup_text(rows, 0, 2, loading->picture->arena);
    return 0;
}

static char *member_text(struct arena *arena, json_object *object, const char *name)
{
    json_object *value;

    if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
        return NULL;
    return arena_strdup(arena, json_object_get_string(value));
}

static void read_headers(struct arena *arena, json_object *secrets, struct catalog_connection *connection)
{
    struct catalog_header *headers;
    json_object *object;

    if (!json_object_object_get_ex(secrets, "headers", &object) ||
        !json_object_is_type(object, json_type_object))
        return;
    headers = arena_array(arena, struct catalog_header, (size_t)json_object_object_length(object));
    json_object_object_foreach(object, name, value)
        headers[connection->header_count++] = (struct catalog_header){
            arena_strdup(arena, name), arena_strdup(arena, json_object_get_string(value)),
        };
    connection->headers = headers;
}

static void read_endpoint(struct arena *arena, json_object *secrets, struct catalog_connection *connection)
{
    connection->url = member_text(arena, secrets, "url");
    connection->host = disclosure_host(connection->url, arena);
    connection->authorization = member_text(arena, secrets, "authorization");
    connection->signing_secret = member_text(arena, secrets, "signing_secret");
    connection->signing_previous = member_text(arena, secrets, "signing_previous");
    connection->signing_until = json_object_get_int64(schema_get(secrets, "signing_until"));
    connection->ca_certificate = member_text(arena, secrets, "ca_certificate");
    connection->client_certificate = member_text(arena, secrets, "client_certificate");
    connection->client_key = member_text(arena, secrets, "client_key");
    read_headers(arena, secrets, connection);
}

static void read_source(struct arena *arena, json_object *secrets, struct catalog_connection *connection)
{
    struct catalog_source *source = arena_new_of(arena, struct catalog_source);

    *source = (struct catalog_source){
        .host = member_text(arena, secrets, "host"),
        .database = member_text(arena, secrets, "dbname"),
        .username = member_text(arena, secrets, "username"),
        .password = member_text(arena, secrets, "password"),
        .schema = member_text(arena, secrets, "db_schema"),
        .sslmode = member_text(arena, secrets, "sslmode"),
        .port = (int)schema_int(secrets, "port", 5432),
    };
    connection->source = source;
}

/* What a connection's secrets are read by; types that need none here are left out. */
static const struct {
    const char *type;
    void (*read)(struct arena *arena, json_object *secrets, struct catalog_connection *connection);
} secret_kinds[] = {
    { "https", read_endpoint },
    { "postgres", read_source },
};

static int read_secrets(struct loading *loading, struct bytes sealed, struct catalog_connection *connection,
                        struct err *err)
{
    _cleanup_(json_object_putp) json_object *secrets = NULL;
    struct arena *arena = loading->picture->arena;
    struct bytes plain;
    int r = seal_ring_open(loading->ring, "secrets", connection->id, sealed, arena, &plain, err);

    if (r < 0)
        return r;
    secrets = json_tokener_parse(plain.data);
    if (!json_object_is_type(secrets, json_type_object))
        return err_cause(err, ERR_INTERNAL, "secrets are no JSON object");
    for (size_t i = 0; i < COUNT_OF(secret_kinds); i++)
        if (!strcmp(secret_kinds[i].type, connection->type))
            secret_kinds[i].read(arena, secrets, connection);
    return 0;
}

static int read_oauth(struct loading *loading, struct bytes sealed, struct catalog_connection *connection,
                      struct err *err)
{
    _cleanup_(json_object_putp) json_object *stored = NULL;
    struct arena *arena = loading->picture->arena;
    struct catalog_oauth *oauth = arena_new_of(arena, struct catalog_oauth);
    struct bytes plain;
    int r = seal_ring_open(loading->ring, "oauth", connection->id, sealed, arena, &plain, err);

    if (r < 0)
        return r;
    stored = json_tokener_parse(plain.data);
    if (!json_object_is_type(stored, json_type_object))
        return err_cause(err, ERR_INTERNAL, "an OAuth2 configuration is no JSON object");
    *oauth = (struct catalog_oauth){
        .token_url = member_text(arena, stored, "token_url"),
        .scope = member_text(arena, stored, "scope"),
        .client_id = member_text(arena, stored, "client_id"),
        .client_secret = member_text(arena, stored, "client_secret"),
    };
    connection->oauth = oauth;
    return 0;
}

/* A connection whose secrets can't be opened stays, without a url or a source: what needs them fails and says so, the
 * others run. */
static void load_connection_secrets(struct loading *loading, const PGresult *rows, int row,
                                    struct catalog_connection *connection)
{
    struct bytes sealed;
    struct err err = { 0 };

    sealed.data = db_get_bytes(rows, row, 4, &sealed.length);
    if (sealed.data && read_secrets(loading, sealed, connection, &err) < 0)
        log_err("catalog.secrets_unreadable", &err, log_id("connection", connection->key));
    sealed.data = db_get_bytes(rows, row, 8, &sealed.length);
    if (sealed.data && read_oauth(loading, sealed, connection, &err) < 0) {
        log_err("catalog.oauth_unreadable", &err, log_id("connection", connection->key));
        connection->url = NULL; /* never called without the token that its owner asked for */
    }
}

static const struct config_schedule *load_schedule(struct arena *arena, const char *text)
{
    struct config_schedule *schedule = text ? arena_new_of(arena, struct config_schedule) : NULL;
    struct err err;

    if (schedule && config_parse_schedule(text, schedule, &err) < 0)
        return NULL; /* the API stores none that does not parse */
    return schedule;
}

static bool does_action(const PGresult *rows, int row, const char *action, struct arena *arena)
{
    int count;
    const char **actions = db_get_texts(rows, row, 10, arena, &count);

    for (int i = 0; i < count; i++)
        if (!strcmp(actions[i], action))
            return true;
    return db_is_null(rows, row, 10);
}

static int load_connections(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    struct catalog_connection *connections =
        arena_array(arena, struct catalog_connection, (size_t)PQntuples(rows));

    (void)err;
    for (int row = 0; row < PQntuples(rows); row++) {
        connections[row].id = db_dup_text(rows, row, 0, arena);
        connections[row].key = db_dup_text(rows, row, 1, arena);
        connections[row].type = db_dup_text(rows, row, 2, arena);
        connections[row].disabled = db_get_bool(rows, row, 3);
        connections[row].paused = db_get_bool(rows, row, 5);
        connections[row].rate_limit = db_is_null(rows, row, 6) ? 0 : (int)db_get_int(rows, row, 6);
        connections[row].retry = load_schedule(arena, db_get_text(rows, row, 7));
        connections[row].writable = db_get_bool(rows, row, 9);
        connections[row].does_access = does_action(rows, row, "access", arena);
        connections[row].does_erasure = does_action(rows, row, "erasure", arena);
        connections[row].statement_timeout_ms = (int)db_get_int(rows, row, 11);
        connections[row].row_limit = db_get_int(rows, row, 12);
        connections[row].disclosure = disclosure_read(db_get_text(rows, row, 13), arena);
        load_connection_secrets(loading, rows, row, &connections[row]);
    }
    catalog->connections = connections;
    catalog->connection_count = PQntuples(rows);
    return 0;
}

static int load_manuals(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog_manual *manuals = arena_array(arena, struct catalog_manual, (size_t)PQntuples(rows));

    for (int row = 0; row < PQntuples(rows); row++) {
        struct catalog_connection *connection = (struct catalog_connection *)(uintptr_t)catalog_connection_by_id(
            &loading->picture->catalog, db_get_text(rows, row, 0));
        struct catalog_manual *manual = &manuals[row];

        if (!connection)
            return err_cause(err, ERR_INTERNAL, "a manual webhook without its connection");
        manual->id = db_dup_text(rows, row, 1, arena);
        manual->labels = (const char *const *)db_get_texts(rows, row, 2, arena, &manual->label_count);
        manual->erasure_labels = (const char *const *)db_get_texts(rows, row, 3, arena, &manual->erasure_count);
        connection->manual = manual;
        loading->picture->catalog.asks_people = true;
    }
    return 0;
}

/* Checked when it was stored: one that can't be read by this version is left out, and told. */
static const struct dataset *load_dataset(struct arena *arena, const char *key, const char *document)
{
    _cleanup_(json_object_putp) json_object *parsed = json_tokener_parse(document);
    const struct schema_loc loc = { .name = "body" };
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;
    struct err err = { 0 };

    if (dataset_read(parsed, &loc, NULL, arena, &dataset, &errors, &err) < 0)
        log_err("catalog.dataset_unreadable", &err, log_id("dataset", key));
    schema_errors_free(&errors);
    return dataset;
}

static void make_graph(struct catalog *catalog, struct arena *arena)
{
    struct graph_dataset *datasets = arena_array(arena, struct graph_dataset, (size_t)catalog->dataset_count);
    struct err err;
    int count = 0;

    for (int i = 0; i < catalog->dataset_count; i++)
        if (!catalog->datasets[i].connection->disabled)
            datasets[count++] = (struct graph_dataset){ catalog->datasets[i].dataset,
                                                        catalog->datasets[i].connection->key };
    if (graph_new(datasets, count, arena, &catalog->graph, &err) < 0)
        catalog->graph_problem = arena_strdup(arena, err.text);
}

static int load_datasets(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    struct catalog_dataset *datasets = arena_array(arena, struct catalog_dataset, (size_t)PQntuples(rows));

    for (int row = 0; row < PQntuples(rows); row++) {
        const struct catalog_connection *connection = catalog_connection_by_id(catalog, db_get_text(rows, row, 0));
        const struct dataset *dataset = load_dataset(arena, db_get_text(rows, row, 2), db_get_text(rows, row, 1));

        if (!connection)
            return err_cause(err, ERR_INTERNAL, "a dataset without its connection");
        if (dataset)
            datasets[catalog->dataset_count++] = (struct catalog_dataset){ dataset, connection };
    }
    catalog->datasets = datasets;
    make_graph(catalog, arena);
    return 0;
}

static const char *open_storage_secrets(struct loading *loading, const PGresult *rows, int row)
{
    struct bytes sealed, plain;
    struct err err = { 0 };

    sealed.data = db_get_bytes(rows, row, 5, &sealed.length);
    if (!sealed.data)
        return NULL;
    if (seal_ring_open(loading->ring, "storage", db_get_text(rows, row, 0), sealed, loading->picture->arena, &plain,
                       &err) < 0) {
        log_err("catalog.secrets_unreadable", &err, log_id("storage", db_get_text(rows, row, 1)));
        return NULL;
    }
    return plain.data;
}

static int load_storages(struct loading *loading, const PGresult *rows, struct err *err)
{
    /* Where nobody has configured any. */
    static const struct catalog_storage fallback = {
        .id = "", .key = "default_local", .type = "local", .format = "html", .details = "{\"naming\":\"request_id\"}"
    };
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    struct catalog_storage *storages = arena_array(arena, struct catalog_storage, (size_t)PQntuples(rows));

    (void)err;
    catalog->active_storage = &fallback;
    for (int row = 0; row < PQntuples(rows); row++) {
        storages[row] = (struct catalog_storage){
            .id = db_dup_text(rows, row, 0, arena),
            .key = db_dup_text(rows, row, 1, arena),
            .type = db_dup_text(rows, row, 2, arena),
            .format = db_dup_text(rows, row, 3, arena),
            .details = db_dup_text(rows, row, 4, arena),
            .secrets = open_storage_secrets(loading, rows, row),
            .is_default = db_get_bool(rows, row, 6),
        };
        if (storages[row].is_default && !strcmp(storages[row].type, loading->active_storage))
            catalog->active_storage = &storages[row];
    }
    catalog->storages = storages;
    catalog->storage_count = PQntuples(rows);
    return 0;
}

/* A JSON text of the database's making, without its spaces: it goes into every webhook's body. */
static const char *compact_json(struct arena *arena, const char *json)
{
    _cleanup_(json_object_putp) json_object *object = json_tokener_parse(json);

    return arena_strdup(arena, json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
}

static int load_policies(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct picture *picture = loading->picture;
    struct arena *arena = picture->arena;
    size_t count = (size_t)PQntuples(rows);
    struct catalog_policy *policies = arena_array(arena, struct catalog_policy, count);

    (void)err;
    picture->policies_by_key = arena_array(arena, const struct catalog_policy *, count);
    for (int row = 0; row < PQntuples(rows); row++) {
        policies[row] = (struct catalog_policy){
            .id = db_dup_text(rows, row, 0, arena),
            .key = db_dup_text(rows, row, 1, arena),
            .name = db_dup_text(rows, row, 2, arena),
            .execution_timeframe = (int)db_get_int(rows, row, 3),
            .body_json = compact_json(arena, db_get_text(rows, row, 4)),
            .api_json = compact_json(arena, db_get_text(rows, row, 5)),
            .webhooks_revision = db_get_int(rows, row, 6),
        };
        picture->policies_by_key[row] = &policies[row];
    }
    qsort(picture->policies_by_key, count, sizeof(*picture->policies_by_key), policies_compare);
    picture->catalog.policies = policies;
    picture->catalog.policy_count = (int)count;
    return 0;
}

/* Rules come in the order of their policies' ids, and a policy's own in the order of their creation: each
 * policy's are a run of one array. */
static int load_rules(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    struct catalog_rule *rules = arena_array(arena, struct catalog_rule, (size_t)PQntuples(rows));

    for (int row = 0; row < PQntuples(rows); row++) {
        struct catalog_policy *policy = (struct catalog_policy *)(uintptr_t)catalog_policy_by_id(
            catalog, db_get_text(rows, row, 0));

        if (!policy)
            return err_cause(err, ERR_INTERNAL, "a rule without its policy");
        rules[row] = (struct catalog_rule){
            .id = db_dup_text(rows, row, 1, arena),
            .key = db_dup_text(rows, row, 2, arena),
            .action_type = db_dup_text(rows, row, 3, arena),
            .storage = find_by_id(catalog->storages, catalog->storage_count, sizeof(*catalog->storages),
                                  db_get_text(rows, row, 4)),
            .strategy = db_dup_text(rows, row, 5, arena),
            .strategy_configuration = db_dup_text(rows, row, 6, arena),
        };
        rules[row].targets.texts =
            (const char *const *)db_get_texts(rows, row, 7, arena, &rules[row].targets.count);
        if (!policy->rule_count++)
            policy->rules = &rules[row];
    }
    return 0;
}

static int load_webhooks(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct picture *picture = loading->picture;
    struct arena *arena = picture->arena;
    size_t count = (size_t)PQntuples(rows);
    struct catalog_webhook *webhooks = arena_array(arena, struct catalog_webhook, count);

    for (int row = 0; row < PQntuples(rows); row++) {
        webhooks[row] = (struct catalog_webhook){
            .id = db_dup_text(rows, row, 0, arena),
            .key = db_dup_text(rows, row, 1, arena),
            .name = db_dup_text(rows, row, 2, arena),
            .connection = catalog_connection_by_id(&picture->catalog, db_get_text(rows, row, 3)),
            .two_way = true,
        };
        if (!webhooks[row].connection)
            return err_cause(err, ERR_INTERNAL, "a webhook without its connection");
    }
    picture->catalog.webhooks = webhooks;
    picture->catalog.webhook_count = (int)count;
    return 0;
}

static void policy_webhook_join(struct catalog_policy *policy, const struct catalog_webhook *webhook)
{
    const struct catalog_webhook **first = webhook->kind == WEBHOOK_PRE ? &policy->pre : &policy->post;
    int *count = webhook->kind == WEBHOOK_PRE ? &policy->pre_count : &policy->post_count;

    if (!(*count)++)
        *first = webhook;
}

/* As the rules: a policy's list of a kind is a run of one array, in its order. */
static int load_policy_webhooks(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    size_t count = (size_t)PQntuples(rows);
    struct catalog_webhook *webhooks = arena_array(arena, struct catalog_webhook, count);

    catalog->policy_webhooks = arena_array(arena, const struct catalog_webhook *, count);
    for (int row = 0; row < PQntuples(rows); row++) {
        struct catalog_policy *policy = (struct catalog_policy *)(uintptr_t)catalog_policy_by_id(
            catalog, db_get_text(rows, row, 0));

        webhooks[row] = (struct catalog_webhook){
            .id = db_dup_text(rows, row, 2, arena),
            .key = db_dup_text(rows, row, 3, arena),
            .name = db_dup_text(rows, row, 4, arena),
            .connection = catalog_connection_by_id(catalog, db_get_text(rows, row, 6)),
            .kind = webhook_kind_parse(db_get_text(rows, row, 1)),
            .two_way = !strcmp(db_get_text(rows, row, 5), "two_way"),
        };
        if (!policy || !webhooks[row].connection)
            return err_cause(err, ERR_INTERNAL, "a policy webhook without its policy or connection");
        policy_webhook_join(policy, &webhooks[row]);
        catalog->policy_webhooks[row] = &webhooks[row];
    }
    qsort(catalog->policy_webhooks, count, sizeof(*catalog->policy_webhooks), webhooks_compare);
    catalog->policy_webhook_count = (int)count;
    return 0;
}

static int load_clients(struct loading *loading, const PGresult *rows, struct err *err)
{
    struct arena *arena = loading->picture->arena;
    struct catalog *catalog = &loading->picture->catalog;
    struct catalog_client *clients = arena_array(arena, struct catalog_client, (size_t)PQntuples(rows));
    int ignored;

    (void)err;
    for (int row = 0; row < PQntuples(rows); row++) {
        clients[row].id = db_dup_text(rows, row, 0, arena);
        clients[row].scopes = db_get_texts(rows, row, 1, arena, &ignored);
        clients[row].roles = db_get_texts(rows, row, 2, arena, &ignored);
    }
    catalog->clients = clients;
    catalog->client_count = PQntuples(rows);
    return 0;
}

/* In this order: each section may refer to the ones before it. */
static const struct {
    const struct sql *sql;
    int (*load)(struct loading *loading, const PGresult *rows, struct err *err);
} sections[] = {
    { &SQL_catalog_settings, load_settings },
    { &SQL_catalog_connections, load_connections },
    { &SQL_catalog_manuals, load_manuals },
    { &SQL_catalog_datasets, load_datasets },
    { &SQL_catalog_storages, load_storages },
    { &SQL_catalog_policies, load_policies },
    { &SQL_catalog_rules, load_rules },
    { &SQL_catalog_webhooks, load_webhooks },
    { &SQL_catalog_policy_webhooks, load_policy_webhooks },
    { &SQL_catalog_clients, load_clients },
};

static int load_sections(struct db *db, struct loading *loading, struct err *err)
{
    int r = db_script(db, "set transaction isolation level repeatable read, read only", err);

    for (size_t i = 0; r == 0 && i < COUNT_OF(sections); i++) {
        _cleanup_(db_result_freep) PGresult *rows = NULL;

        r = db_run(db, sections[i].sql, NULL, &rows, err);
        if (r == 0)
            r = sections[i].load(loading, rows, err);
    }
    return r;
}

int catalog_load(struct db *db, const struct seal_ring *ring, const struct config *config,
                 const struct catalog **ret, struct err *err)
{
    _cleanup_(catalog_unref_picturep) struct picture *picture = picture_new();
    struct loading loading = { picture, ring, config };
    int r = db_begin(db, err);

    if (r < 0)
        return r;
    r = load_sections(db, &loading, err);
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    r = db_commit(db, err);
    if (r < 0)
        return r;
    *ret = &TAKE(picture)->catalog;
    return 0;
}

int catalog_version(struct db *db, int64_t *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = db_run(db, &SQL_catalog_version, NULL, &rows, err);

    if (r < 0)
        return r;
    if (PQntuples(rows) != 1)
        return err_cause(err, ERR_INTERNAL, "the catalog has %d rows", PQntuples(rows));
    *ret = db_get_int(rows, 0, 0);
    return 0;
}
