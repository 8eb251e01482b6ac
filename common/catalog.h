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
#include "common/db.h"
#include "common/err.h"
#include "common/seal.h"

struct catalog_header {
    const char *name, *value;
};

struct catalog_connection {
    const char *id, *key, *type; /* "https" ... */
    bool disabled;
    /* Of https connections whose secrets were set, else NULL. */
    const char *url, *authorization;
    const struct catalog_header *headers;
    int header_count;
};

struct catalog_rule {
    const char *id, *key, *action_type;
};

struct catalog_policy {
    const char *id, *key, *name;
    int execution_timeframe; /* days; 0: none */
    const struct catalog_rule *rules;
    int rule_count;
    const char *body_json; /* webhooks-out.md 3.1 */
    const char *api_json;  /* rest.md 4, policy object */
};

struct catalog_webhook {
    const char *id, *key, *name;
    const struct catalog_connection *connection;
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
    const struct catalog_webhook *webhooks; /* pre-approval, in the order of their creation */
    int webhook_count;
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
const struct catalog_webhook *catalog_webhook_by_id(const struct catalog *catalog, const char *id);
const struct catalog_client *catalog_client_by_id(const struct catalog *catalog, const char *id);

/* The policy's first rule's action; NULL when it has no rule. */
const char *catalog_policy_action(const struct catalog_policy *policy);

/*
 * The approval stage of a request (lifecycle.md 5): what becomes of one that is `pending`. The same decision
 * for API and worker.
 */
enum approval { APPROVAL_BY_PERSON, APPROVAL_BY_WEBHOOKS, APPROVAL_NOT_REQUIRED };
enum approval catalog_approval(const struct catalog *catalog, const struct catalog_policy *policy);
