#include "api/scope.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static const char *const scope_words[SCOPES] = {
#define SCOPE(name, word) word,
#include "api/scope.tbl.h"
#undef SCOPE
};

static const char *const role_words[ROLES] = {
#define ROLE(name, word) word,
#include "api/role.tbl.h"
#undef ROLE
};

/* Contributors: all but these. */
static const enum scope not_contributor[] = { SCOPE_CONNECTOR_TEMPLATE_REGISTER,
                                              SCOPE_STORAGE_CREATE_OR_UPDATE,
                                              SCOPE_STORAGE_DELETE,
                                              SCOPE_MESSAGING_CREATE_OR_UPDATE,
                                              SCOPE_MESSAGING_DELETE,
                                              SCOPE_PRIVACY_REQUEST_NOTIFICATIONS_CREATE_OR_UPDATE,
                                              SCOPE_PRIVACY_REQUEST_EMAIL_INTEGRATIONS_SEND,
                                              SCOPE_USER_PERMISSION_ASSIGN_OWNERS,
                                              SCOPE_HEAP_DUMP_EXEC };

static const enum scope viewer[] = { SCOPE_CLI_OBJECTS_READ,
                                     SCOPE_CLIENT_READ,
                                     SCOPE_CONNECTION_READ,
                                     SCOPE_CONNECTION_TYPE_READ,
                                     SCOPE_CONSENT_READ,
                                     SCOPE_CONSENT_SETTINGS_READ,
                                     SCOPE_CTL_DATASET_READ,
                                     SCOPE_CTL_POLICY_READ,
                                     SCOPE_DATA_CATEGORY_READ,
                                     SCOPE_DATA_SUBJECT_READ,
                                     SCOPE_DATA_USE_READ,
                                     SCOPE_DATASET_READ,
                                     SCOPE_EVALUATION_READ,
                                     SCOPE_MASKING_READ,
                                     SCOPE_MASKING_EXEC,
                                     SCOPE_MESSAGING_READ,
                                     SCOPE_ORGANIZATION_READ,
                                     SCOPE_POLICY_READ,
                                     SCOPE_PRIVACY_EXPERIENCE_READ,
                                     SCOPE_PRIVACY_NOTICE_READ,
                                     SCOPE_PRIVACY_REQUEST_NOTIFICATIONS_READ,
                                     SCOPE_RULE_READ,
                                     SCOPE_SAAS_CONFIG_READ,
                                     SCOPE_SCOPE_READ,
                                     SCOPE_STORAGE_READ,
                                     SCOPE_SYSTEM_READ,
                                     SCOPE_SYSTEM_INTEGRATION_LINK_READ,
                                     SCOPE_SYSTEM_MANAGER_READ,
                                     SCOPE_USER_READ,
                                     SCOPE_WEBHOOK_READ };

static const enum scope approver[] = { SCOPE_PRIVACY_REQUEST_REVIEW,
                                       SCOPE_PRIVACY_REQUEST_READ,
                                       SCOPE_PRIVACY_REQUEST_RESUME,
                                       SCOPE_PRIVACY_REQUEST_UPLOAD_DATA,
                                       SCOPE_PRIVACY_REQUEST_VIEW_DATA,
                                       SCOPE_PRIVACY_REQUEST_DELETE,
                                       SCOPE_PRIVACY_REQUEST_CREATE,
                                       SCOPE_PRIVACY_REQUEST_MANUAL_STEPS_REVIEW,
                                       SCOPE_USER_READ };

static const enum scope steward[] = { SCOPE_SYSTEM_INTEGRATION_LINK_CREATE_OR_UPDATE,
                                      SCOPE_SYSTEM_INTEGRATION_LINK_DELETE };

static const enum scope respondent[] = { SCOPE_PRIVACY_REQUEST_MANUAL_STEPS_RESPOND,
                                         SCOPE_USER_READ_OWN };
static const enum scope external[] = { SCOPE_PRIVACY_REQUEST_MANUAL_STEPS_RESPOND };

/* A role is what it lists of its own, or (all) everything else. */
static const struct {
    bool all;
    struct {
        const enum scope *scopes;
        size_t count;
    } lists[2];
} role_rows[ROLES] = {
    [ROLE_OWNER] = { .all = true },
    [ROLE_CONTRIBUTOR] = { .all = true, { { not_contributor, COUNT_OF(not_contributor) } } },
    [ROLE_VIEWER] = { .lists = { { viewer, COUNT_OF(viewer) } } },
    [ROLE_APPROVER] = { .lists = { { approver, COUNT_OF(approver) } } },
    [ROLE_VIEWER_AND_APPROVER] = { .lists = { { viewer, COUNT_OF(viewer) },
                                              { approver, COUNT_OF(approver) } } },
    [ROLE_DATA_STEWARD] = { .lists = { { viewer, COUNT_OF(viewer) },
                                       { steward, COUNT_OF(steward) } } },
    [ROLE_RESPONDENT] = { .lists = { { respondent, COUNT_OF(respondent) } } },
    [ROLE_EXTERNAL_RESPONDENT] = { .lists = { { external, COUNT_OF(external) } } },
};

const char *scope_word(enum scope scope)
{
    return scope_words[scope];
}

static int words_compare(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

int scope_parse(const char *word)
{
    const char *const *found =
        bsearch(word, scope_words, SCOPES, sizeof(*scope_words), words_compare);

    return found ? (int)(found - scope_words) : -1;
}

const char *role_word(enum role role)
{
    return role_words[role];
}

int role_parse(const char *word)
{
    for (int i = 0; i < ROLES; i++)
        if (!strcmp(role_words[i], word))
            return i;
    return -1;
}

void scope_set_add(struct scope_set *set, enum scope scope)
{
    set->bits[scope / 64] |= (uint64_t)1 << scope % 64;
}

bool scope_set_has(const struct scope_set *set, enum scope scope)
{
    return set->bits[scope / 64] >> scope % 64 & 1;
}

bool scope_set_covers(const struct scope_set *set, const struct scope_set *subset)
{
    for (int i = 0; i < SCOPE_SET_WORDS; i++)
        if (subset->bits[i] & ~set->bits[i])
            return false;
    return true;
}

struct scope_set scope_set_union(struct scope_set a, struct scope_set b)
{
    for (int i = 0; i < SCOPE_SET_WORDS; i++)
        a.bits[i] |= b.bits[i];
    return a;
}

struct scope_set role_scopes(enum role role)
{
    struct scope_set listed = { 0 }, rest = { 0 };

    for (size_t i = 0; i < COUNT_OF(role_rows[role].lists); i++)
        for (size_t j = 0; j < role_rows[role].lists[i].count; j++)
            scope_set_add(&listed, role_rows[role].lists[i].scopes[j]);
    if (!role_rows[role].all)
        return listed;
    for (int i = 0; i < SCOPES; i++)
        if (!scope_set_has(&listed, (enum scope)i))
            scope_set_add(&rest, (enum scope)i);
    return rest;
}

struct scope_set scope_set_of(const char *const *scopes)
{
    struct scope_set set = { 0 };

    for (; *scopes; scopes++) {
        int scope = scope_parse(*scopes);

        if (scope >= 0)
            scope_set_add(&set, (enum scope)scope);
    }
    return set;
}

struct scope_set scope_set_of_roles(const char *const *roles)
{
    struct scope_set set = { 0 };

    for (; *roles; roles++) {
        int role = role_parse(*roles);

        if (role >= 0)
            set = scope_set_union(set, role_scopes((enum role)role));
    }
    return set;
}
