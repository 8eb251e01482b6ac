#include "worker/ctl/audit/account.h"

#include <stdlib.h>
#include <string.h>

#include "common/chain.h"
#include "common/event.h"
#include "common/schema.h"

struct kept {
    int64_t seq;
    enum event_type type;
    struct record_event event; /* its texts are the account's */
    const char *value;
    size_t length;
};

struct account {
    const char *request_id;
    struct arena *arena;
    struct kept *events; /* sorted by account_problem(), each once */
    int count, capacity;
};

struct account *account_new(const char *request_id)
{
    struct account *account = calloc(1, sizeof(*account));

    if (!account)
        abort();
    account->arena = arena_new();
    account->request_id = arena_strdup(account->arena, request_id);
    return account;
}

void account_free(struct account *account)
{
    if (!account)
        return;
    arena_free(account->arena);
    free(account->events);
    free(account);
}

int account_count(const struct account *account)
{
    return account->count;
}

/* --- the events ---------------------------------------------------------------------------------------- */

static struct kept *kept_new(struct account *account)
{
    if (account->count == account->capacity) {
        account->capacity = account->capacity ? 2 * account->capacity : 64;
        account->events = realloc(account->events, sizeof(*account->events) * (size_t)account->capacity);
        if (!account->events)
            abort();
    }
    return &account->events[account->count++];
}

void account_take(struct account *account, const struct record *record)
{
    struct record_event event;
    struct chain_link link;
    struct kept *kept;

    record_event(record, &event);
    if (!chain_link_of(record, &event, &link) || strcmp(link.id, account->request_id) != 0)
        return;
    for (int i = 0; i < RECORD_ATTRIBUTES; i++)
        event.attributes[i] = arena_strdup(account->arena, event.attributes[i]);
    kept = kept_new(account);
    *kept = (struct kept){
        .seq = link.seq,
        .type = event_parse(event.attributes[RECORD_TYPE]),
        .event = event,
        .value = arena_strndup(account->arena, record->value ? record->value : "", record->value_length),
        .length = record->value_length,
    };
}

/* Of the same number, those of the same chain follow each other. */
static int kept_compare(const void *a, const void *b)
{
    const struct kept *first = a, *second = b;

    if (first->seq != second->seq)
        return (first->seq > second->seq) - (first->seq < second->seq);
    return memcmp(first->event.chain, second->event.chain, sizeof(first->event.chain));
}

/* A repeat has the same bytes as what it repeats. Whether these are what the chain is over is looked at of the first. */
static bool is_repeat(const struct kept *kept, const struct kept *of)
{
    return kept->seq == of->seq && kept->length == of->length && !memcmp(kept->value, of->value, of->length) &&
           !memcmp(kept->event.chain, of->event.chain, sizeof(of->event.chain));
}

static void repeats_drop(struct account *account)
{
    int count = 0;

    qsort(account->events, (size_t)account->count, sizeof(*account->events), kept_compare);
    for (int i = 0; i < account->count; i++)
        if (!count || !is_repeat(&account->events[i], &account->events[count - 1]))
            account->events[count++] = account->events[i];
    account->count = count;
}

/* The chain is over the id, and not over the key by which the event was found. */
static bool is_own(struct account *account, const struct kept *kept)
{
    const char *id = kept->event.attributes[RECORD_ID];

    return id && !strcmp(id, arena_printf(account->arena, "%s.%lld", account->request_id, (long long)kept->seq));
}

static const char *kept_problem(struct account *account, struct digest *digest, int place)
{
    const struct kept *kept = &account->events[place];
    uint8_t chain[DIGEST_BYTES];

    if (kept->seq == place)
        return arena_printf(account->arena, "event %d is there twice, and not the same", place);
    if (kept->seq != place + 1)
        return arena_printf(account->arena, "event %d is missing", place + 1);
    chain_next(digest, place ? account->events[place - 1].event.chain : NULL, &kept->event, kept->value, kept->length,
               chain);
    if (memcmp(chain, kept->event.chain, sizeof(chain)) != 0 || !is_own(account, kept))
        return arena_printf(account->arena, "event %d is not what its chain says", place + 1);
    return NULL;
}

const char *account_problem(struct account *account)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    const char *problem = account->count ? NULL : "there is no event of it";

    if (account->count)
        repeats_drop(account);
    for (int i = 0; !problem && i < account->count; i++)
        problem = kept_problem(account, digest, i);
    return problem;
}

/* --- the statement ------------------------------------------------------------------------------------- */

static bool is_attempt(enum event_type type)
{
    return type == EVENT_WEBHOOK_SENT || type == EVENT_WEBHOOK_FAILED || type == EVENT_WEBHOOK_GIVEN_UP ||
           type == EVENT_WEBHOOK_ANSWERED || type == EVENT_WEBHOOK_REMINDED || type == EVENT_ENDPOINT_PAUSED;
}

/* What the events before have told of the request. */
struct known {
    json_object *policy_key, *action_type, *status;
};

static void copy(json_object *from, const char *name, json_object *to)
{
    json_object *value = schema_get(from, name);

    if (value)
        json_object_object_add(to, name, json_object_get(value));
}

static void add_text(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, value ? json_object_new_string(value) : NULL);
}

static json_object *disclosure_new(const struct kept *kept, const char *what)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "event", json_object_new_int64(kept->seq));
    add_text(object, "time", kept->event.attributes[RECORD_TIME]);
    add_text(object, "what", what);
    return object;
}

static void add_why(json_object *object, json_object *data, json_object *policy_key, const struct known *known)
{
    json_object *why = json_object_new_object();

    copy(data, "webhook_key", why);
    copy(data, "webhook_id", why);
    if (schema_has(data, "webhook_id"))
        add_text(why, "kind", schema_text(data, "kind") ? schema_text(data, "kind") : "pre_approval");
    json_object_object_add(why, "policy_key", json_object_get(policy_key ? policy_key : known->policy_key));
    json_object_object_add(why, "action_type", json_object_get(known->action_type));
    json_object_object_add(object, "why", why);
}

static json_object *call_object(const struct kept *kept, json_object *data, const struct known *known)
{
    json_object *disclosed = schema_get(data, "disclosed"), *to = json_object_new_object();
    json_object *object = disclosure_new(kept, "call");

    copy(disclosed, "connection_key", to);
    copy(disclosed, "host", to);
    json_object_object_add(object, "to", to);
    copy(disclosed, "identity", object);
    copy(disclosed, "parts", object);
    add_why(object, data, schema_get(disclosed, "policy_key"), known);
    copy(data, "attempt", object);
    copy(data, "outcome", object);
    copy(data, "status_code", object);
    return object;
}

static json_object *handout_object(const struct kept *kept, json_object *data, const struct known *known)
{
    json_object *object = disclosure_new(kept, schema_text(data, "what")), *to = json_object_new_object();

    add_text(to, "kind", schema_text(data, "to"));
    copy(data, "client_id", to);
    copy(data, "user_id", to);
    json_object_object_add(object, "to", to);
    copy(data, "rule_keys", object);
    add_why(object, data, NULL, known);
    return object;
}

struct tally {
    json_object *disclosures;
    int nothing, untold;
};

/* A call that was answered had been made: where that is not told, it was by a docket that did not tell it yet. */
static void attempt_count(struct tally *tally, const struct kept *kept, json_object *data, const struct known *known)
{
    if (schema_get(data, "disclosed"))
        json_object_array_add(tally->disclosures, call_object(kept, data, known));
    else if (schema_get(data, "status_code"))
        tally->untold++;
    else
        tally->nothing++;
}

static void event_count(struct tally *tally, const struct kept *kept, json_object *data, const struct known *known)
{
    if (is_attempt(kept->type))
        attempt_count(tally, kept, data, known);
    else if (kept->type == EVENT_DISCLOSED)
        json_object_array_add(tally->disclosures, handout_object(kept, data, known));
}

static void replace(json_object **held, json_object *value)
{
    if (!value)
        return;
    json_object_put(*held);
    *held = json_object_get(value);
}

static void known_take(struct known *known, const struct kept *kept, json_object *data)
{
    replace(&known->status, schema_get(data, "status"));
    if (kept->type != EVENT_CREATED)
        return;
    replace(&known->policy_key, schema_get(data, "policy_key"));
    replace(&known->action_type, schema_get(data, "action_type"));
}

json_object *account_statement(const struct account *account, const char *topic, usec_t now)
{
    struct tally tally = { .disclosures = json_object_new_array() };
    json_object *statement = json_object_new_object();
    char time[USEC_TEXT_BYTES], hex[DIGEST_HEX_BYTES];
    struct known known = { 0 };

    for (int i = 0; i < account->count; i++) {
        const struct kept *kept = &account->events[i];
        _cleanup_(json_object_putp) json_object *data = json_tokener_parse(kept->value);

        known_take(&known, kept, data);
        event_count(&tally, kept, data, &known);
    }
    add_text(statement, "statement", "docket.disclosures.v1");
    add_text(statement, "request_id", account->request_id);
    json_object_object_add(statement, "policy_key", known.policy_key);
    json_object_object_add(statement, "action_type", known.action_type);
    json_object_object_add(statement, "status", known.status);
    add_text(statement, "made_at", usec_format_z(now, time));
    add_text(statement, "topic", topic);
    json_object_object_add(statement, "event_count", json_object_new_int(account->count));
    add_text(statement, "chain",
             account->count ? digest_hex(account->events[account->count - 1].event.chain, hex) : NULL);
    json_object_object_add(statement, "disclosures", tally.disclosures);
    json_object_object_add(statement, "nothing_disclosed", json_object_new_int(tally.nothing));
    json_object_object_add(statement, "untold", json_object_new_int(tally.untold));
    return statement;
}
