/*
 * catalog - the configuration as one unchanging picture: policies, connections, pre-approval webhooks, clients,
 * settings. A program keeps the latest; one read of `catalog.version` tells whether it still stands, and a
 * statement that decides by it names the version and is refused when that moved.
 *
 * Threads:   a catalog never changes; any thread that holds a reference may read it.
 * Ownership: counted references: catalog_unref() when done. Everything in it dies with the last one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/dataset.h"
#include "common/db.h"
#include "common/disclosure.h"
#include "common/err.h"
#include "common/graph.h"
#include "common/seal.h"

struct catalog_header {
    const char *name, *value;
};

/* OAuth2 client credentials: the connection's calls carry a token of this endpoint's. */
struct catalog_oauth {
    const char *token_url, *scope, *client_id, *client_secret; /* scope NULL: none */
};

struct catalog_connection {
    const char *id, *key, *type; /* "https" ... */
    bool disabled, paused;       /* paused: its calls are held (410, or an operator) */
    int rate_limit;              /* calls a second over the whole fleet; 0: none */
    const struct config_schedule *retry; /* its own; NULL: the configuration's */
    /* Of https connections whose secrets were set, else NULL. */
    const char *url, *host, *authorization; /* host: of the url */
    const struct catalog_header *headers;
    int header_count;
    const struct catalog_oauth *oauth;   /* NULL: none */
    const struct disclosure *disclosure; /* what its calls tell of a person; NULL: all */
    /* Standard Webhooks secrets ("whsec_" and base64): the second signs too until `signing_until`. NULL: none. */
    const char *signing_secret, *signing_previous;
    usec_t signing_until;
    const char *ca_certificate, *client_certificate, *client_key; /* PEM; NULL: none */
    /* Of what a run reads, erases or asks people for. */
    bool writable;                 /* access is "write" */
    bool does_access, does_erasure; /* enabled_actions; both when it names none */
    const struct catalog_source *source; /* of type postgres, with secrets; NULL */
    int statement_timeout_ms;      /* 0: the configuration's */
    int64_t row_limit;             /* 0: the configuration's */
    const struct catalog_manual *manual; /* of type manual_webhook, with a definition; NULL */
};

/* Where a customer's database is: the connection's secrets. */
struct catalog_source {
    const char *host, *database, *username, *password, *schema, *sslmode; /* NULL: none */
    int port;
};

/* What people are asked for: `labels` of all fields (access), and of those of type string (erasure), sorted. */
struct catalog_manual {
    const char *id; /* manual_webhook.id */
    const char *const *labels;
    int label_count;
    const char *const *erasure_labels;
    int erasure_count;
};

struct catalog_dataset {
    const struct dataset *dataset;
    const struct catalog_connection *connection;
};

struct catalog_storage {
    const char *id, *key, *type, *format; /* "local", "s3"; "json", "csv", "html" */
    const char *details, *secrets;        /* JSON objects; secrets NULL: none, or can't be opened */
    bool is_default;
};

struct catalog_rule {
    const char *id, *key, *action_type;
    struct dataset_texts targets;                   /* data categories */
    const char *strategy, *strategy_configuration;  /* of erasure rules; NULL */
    const struct catalog_storage *storage;          /* of access rules; NULL: the active default */
};

struct catalog_policy {
    const char *id, *key, *name;
    int execution_timeframe; /* days; 0: none */
    const struct catalog_rule *rules;
    int rule_count;
    /* Its policy webhooks in their order, and the number that moves with every change of the lists. */
    const struct catalog_webhook *pre, *post;
    int pre_count, post_count;
    int64_t webhooks_revision;
    const char *body_json; /* webhooks-out.md 3.1 */
    const char *api_json;  /* rest.md 4, policy object */
};

enum webhook_kind { WEBHOOK_PRE_APPROVAL, WEBHOOK_PRE, WEBHOOK_POST, WEBHOOK_KINDS };
const char *webhook_kind_word(enum webhook_kind kind); /* "pre_approval", "pre", "post": callback_type too */
enum webhook_kind webhook_kind_parse(const char *word);

struct catalog_webhook {
    const char *id, *key, *name;
    const struct catalog_connection *connection;
    enum webhook_kind kind;
    bool two_way;
};

struct catalog_client {
    const char *id;
    const char **scopes, **roles; /* NULL-terminated */
};

struct catalog {
    int64_t version;
    bool manual_approval; /* execution.require_manual_request_approval: API-set, else the configuration's */
    const struct catalog_policy *policies;
    int policy_count;
    const struct catalog_connection *connections;
    int connection_count;
    bool asks_people; /* there is a manual webhook */
    const struct catalog_dataset *datasets; /* that a connection has, in the order of their keys */
    int dataset_count;
    const struct graph *graph; /* of those whose connection is not disabled; NULL: `graph_problem`, in the contract's words */
    const char *graph_problem;
    const struct catalog_storage *storages;
    int storage_count;
    const struct catalog_storage *active_storage; /* where a rule names none; never NULL: at the last a local one, html */
    const struct catalog_webhook *webhooks; /* pre-approval, in the order of their creation */
    int webhook_count;
    const struct catalog_webhook **policy_webhooks; /* of all policies, in the order of their ids */
    int policy_webhook_count;
    const struct catalog_client *clients;
    int client_count;
};

/* Reads all of it, in one snapshot. Secrets are opened with `ring`; one that can't be opened is logged, and its
 * connection has no url. */
int catalog_load(struct db *db, const struct seal_ring *ring, const struct config *config,
                 const struct catalog **ret, struct err *err) MUST_CHECK;
const struct catalog *catalog_ref(const struct catalog *catalog);
void catalog_unref(const struct catalog *catalog); /* accepts NULL */
DEFINE_CLEANUP(const struct catalog *, catalog_unref)

/* The version that stands now. */
int catalog_version(struct db *db, int64_t *ret, struct err *err) MUST_CHECK;

/* NULL when there is none. */
const struct catalog_policy *catalog_policy_by_key(const struct catalog *catalog, const char *key);
const struct catalog_policy *catalog_policy_by_id(const struct catalog *catalog, const char *id);
const struct catalog_connection *catalog_connection_by_id(const struct catalog *catalog, const char *id);
/* Of any kind. */
const struct catalog_webhook *catalog_webhook_by_id(const struct catalog *catalog, const char *id);
const struct catalog_client *catalog_client_by_id(const struct catalog *catalog, const char *id);

/* Whether one of its rules is of `action_type`; and where, by category, its rules of it aim. */
bool catalog_policy_has(const struct catalog_policy *policy, const char *action_type);
const struct catalog_rule *catalog_rule_by_key(const struct catalog_policy *policy, const char *key);
const struct catalog_connection *catalog_connection_by_key(const struct catalog *catalog, const char *key);
const struct catalog_dataset *catalog_dataset_by_key(const struct catalog *catalog, const char *key);

/* What people fill in for an action, "access" or "erasure": the labels, sorted. */
struct catalog_form {
    const char *const *labels;
    int count;
};
struct catalog_form catalog_form(const struct catalog_manual *manual, const char *action);
/* Whether `labels` are exactly those of the form as it is now (dsr.md 5). */
bool catalog_form_is(const struct catalog_form *form, const char *const *labels, int count);
/* Whether this connection's people are asked for it, for requests of such a policy. */
bool catalog_asks(const struct catalog_connection *connection, const struct catalog_policy *policy,
                  const char *action);

/* The policy's first rule's action; NULL when it has no rule. */
const char *catalog_policy_action(const struct catalog_policy *policy);

/*
 * The approval stage of a request (lifecycle.md 5): what becomes of one that is `pending`. The same decision
 * for API and worker.
 */
enum approval { APPROVAL_BY_PERSON, APPROVAL_BY_WEBHOOKS, APPROVAL_NOT_REQUIRED };
enum approval catalog_approval(const struct catalog *catalog, const struct catalog_policy *policy);
