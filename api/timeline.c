#include "api/timeline.h"

#include <string.h>

#include "api/timeline.sql.h"

enum { GROUP_ENTRIES_MAX = 1000 };

/* --- words --------------------------------------------------------------------------------------------- */

/* The webhook's name as it is now, or the key it had: it may be deleted. */
static const char *webhook_name(const struct timeline_event *event, json_object *webhook)
{
    const struct catalog_webhook *found =
        catalog_webhook_by_id(event->catalog, schema_text(webhook, "webhook_id"));
    const char *key = schema_text(webhook, "webhook_key");

    return found ? found->name : key ? key : "deleted";
}

static const char *webhook_key(const struct timeline_event *event)
{
    const char *key = schema_text(event->data, "webhook_key");

    return key ? key : event->former_key ? event->former_key : "deleted";
}

static const char *say_nothing(const struct timeline_event *event)
{
    (void)event;
    return "";
}

static const char *say_reason(const struct timeline_event *event)
{
    return event->reason ? event->reason : "";
}

static const char *say_triggered(const struct timeline_event *event)
{
    json_object *webhooks = schema_get(event->data, "webhooks");
    const char *names = "";

    for (size_t i = 0; webhooks && i < json_object_array_length(webhooks); i++)
        names = arena_printf(event->arena, "%s%s%s", names, i ? ", " : "",
                             webhook_name(event, json_object_array_get_idx(webhooks, i)));
    return arena_printf(event->arena, "Triggered pre-approval webhooks: %s", names);
}

static const char *say_owed(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Triggered pre-approval webhooks: %s", webhook_name(event, event->data));
}

static const char *say_approved(const struct timeline_event *event)
{
    const char *by = schema_text(event->data, "by");

    return by && !strcmp(by, "webhooks") ? "Request auto-approved by pre-approval webhooks" : "";
}

static const char *say_eligible(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Pre-approval webhook '%s' responded: eligible",
                        webhook_name(event, event->data));
}

static const char *say_not_eligible(const struct timeline_event *event)
{
    return arena_printf(event->arena,
                        "Request flagged for manual review by pre-approval webhooks. "
                        "Webhook '%s' responded: not eligible",
                        webhook_name(event, event->data));
}

static const char *say_ignored(const struct timeline_event *event)
{
    static const char *const whys[][2] = {
        { "late", "the request was already decided" },
        { "opposite", "it contradicts the webhook's first reply" },
        { "webhook_deleted", "the webhook was deleted" },
    };
    const char *reason = schema_text(event->data, "reason"), *why = "it does not count";

    for (size_t i = 0; reason && i < COUNT_OF(whys); i++)
        if (!strcmp(whys[i][0], reason))
            why = whys[i][1];
    return arena_printf(event->arena, "Webhook '%s' responded: %s. The reply was ignored: %s",
                        webhook_name(event, event->data),
                        schema_bool(event->data, "eligible", false) ? "eligible" : "not eligible", why);
}

/* Why a call is not made, and why it is made after all. */
static const struct reason {
    const char *word, *against, *again;
} reasons[] = {
    { "connection_disabled", "its connection is disabled", "its connection is enabled again" },
    { "endpoint_paused", "its endpoint is paused", "its endpoint is resumed" },
    { "webhook_deleted", "it was deleted", "it was deleted" },
    { "request_decided", "the request does not wait for it any more", "" },
    { "replied", "its reply is here", "" },
};

/* Events of older releases give none: then it was the connection's. */
static const struct reason *reason_of(const struct timeline_event *event)
{
    const char *word = schema_text(event->data, "reason");

    for (size_t i = 0; word && i < COUNT_OF(reasons); i++)
        if (!strcmp(reasons[i].word, word))
            return &reasons[i];
    return &reasons[0];
}

static const char *say_held(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' was not called: %s", webhook_key(event),
                        reason_of(event)->against);
}

static const char *say_skipped(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' was not called: %s. The request goes on without it",
                        webhook_key(event), reason_of(event)->against);
}

static const char *say_withdrawn(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' is not called any more: %s", webhook_key(event),
                        reason_of(event)->against);
}

static const char *say_released(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' is called: %s", webhook_key(event), reason_of(event)->again);
}

/* The contract's words. Where there was no answer, it counts that as a 500. */
static const char *say_error(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' returned an error: Client call failed with status code '%lld'",
                        webhook_key(event), schema_int(event->data, "status_code", 500));
}

static bool has_outcome(const struct timeline_event *event, const char *wanted)
{
    const char *outcome = schema_text(event->data, "outcome");

    return outcome && !strcmp(outcome, wanted);
}

/* The outcome says what it was when it was no answer. */
static const char *say_failed(const struct timeline_event *event)
{
    const char *next = schema_text(event->data, "next_attempt_at"), *what = say_error(event);

    if (has_outcome(event, "bad_answer"))
        what = arena_printf(event->arena, "Webhook '%s' returned an invalid response format", webhook_key(event));
    what = arena_printf(event->arena, "%s (%s)", what, schema_text(event->data, "outcome"));
    return next ? arena_printf(event->arena, "%s. Next attempt at %s", what, next)
                : arena_printf(event->arena, "%s. No further attempt is made", what);
}

static const char *say_sent(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' was called successfully at attempt %lld",
                        webhook_key(event), schema_int(event->data, "attempt", 1));
}

/* A one_way webhook's refusal is told like a two_way one's, only that the request goes on. */
static const char *say_answered(const struct timeline_event *event)
{
    return has_outcome(event, "succeeded") ? say_sent(event) : say_error(event);
}

static const char *answered_status(const struct timeline_event *event)
{
    return has_outcome(event, "succeeded") ? "complete" : "error";
}

static const char *say_gone(const struct timeline_event *event)
{
    return arena_printf(event->arena,
                        "Webhook '%s' answered with status code '410': its endpoint is paused. Its calls are held until "
                        "an operator resumes it",
                        webhook_key(event));
}

static const char *say_redelivered(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook '%s' is called once more, as an operator asked", webhook_key(event));
}

static const char *say_reminded(const struct timeline_event *event)
{
    const char *next = schema_text(event->data, "next_attempt_at");
    const char *what = arena_printf(event->arena, "Webhook '%s' has not replied and was reminded (%s)",
                                    webhook_key(event), schema_text(event->data, "outcome"));

    return next ? arena_printf(event->arena, "%s. Next reminder at %s", what, next) : what;
}

/* The names of a list with commas, or "none". */
static const char *names_of(const struct timeline_event *event, const char *member)
{
    json_object *list = schema_get(event->data, member);
    size_t count = list ? json_object_array_length(list) : 0;
    const char *names = count ? "" : "none";

    for (size_t i = 0; i < count; i++)
        names = arena_printf(event->arena, "%s%s%s", names, i ? ", " : "",
                             json_object_get_string(json_object_array_get_idx(list, i)));
    return names;
}

static const char *say_changed(const struct timeline_event *event)
{
    return arena_printf(event->arena,
                        "The policy's webhooks were changed while the request was running. Those that were called are "
                        "not called again. Pre-execution webhooks: %s. Post-execution webhooks: %s",
                        names_of(event, "pre_execution"), names_of(event, "post_execution"));
}

static const char *say_paused(const struct timeline_event *event)
{
    return arena_printf(event->arena,
                        "Webhook '%s' halted the request. It waits for the webhook's reply until %s, and expires then",
                        webhook_key(event), schema_text(event->data, "expires_at"));
}

/* What a reply told beside: names only. */
static const char *with_derived(const struct timeline_event *event, const char *text)
{
    return schema_get(event->data, "derived")
               ? arena_printf(event->arena, "%s. It told: %s", text, names_of(event, "derived"))
               : text;
}

static const char *say_kept(const struct timeline_event *event)
{
    return with_derived(event, arena_printf(event->arena,
                                            "Webhook '%s' replied before its answer to the call was on record. The "
                                            "reply is kept for then",
                                            webhook_key(event)));
}

static const char *say_resumed(const struct timeline_event *event)
{
    const char *by = schema_text(event->data, "by");

    if (by && !strcmp(by, "system"))
        return "The webhook that halted the request was deleted. The request goes on";
    return with_derived(event, arena_printf(event->arena, "Webhook '%s' replied. The request goes on",
                                            webhook_key(event)));
}

static const char *say_retried(const struct timeline_event *event)
{
    const char *step = schema_text(event->data, "step");

    return step ? arena_printf(event->arena, "From %s", step) : "";
}

static const char *say_step(const struct timeline_event *event)
{
    const char *message = schema_text(event->data, "message");

    return message ? message : "";
}

/* "access:crm,erasure:erp" as "crm (access), erp (erasure)". */
static const char *awaited_words(const struct timeline_event *event)
{
    const char *awaited = schema_text(event->data, "awaited"), *words = "";

    while (awaited && *awaited) {
        int action = (int)strcspn(awaited, ":,"), whole = (int)strcspn(awaited, ",");
        int key = action < whole ? action + 1 : whole;

        words = arena_printf(event->arena, "%s%s%.*s (%.*s)", words, *words ? ", " : "", whole - key, awaited + key,
                             action, awaited);
        awaited += awaited[whole] ? whole + 1 : whole;
    }
    return *words ? words : "none";
}

static const char *say_input_required(const struct timeline_event *event)
{
    return arena_printf(event->arena, "The request waits for manual input: %s", awaited_words(event));
}

static const char *say_input_given(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Manual input was given for connection '%s' (%s)",
                        schema_text(event->data, "connection_key"), schema_text(event->data, "action"));
}

static const char *say_input_completed(const struct timeline_event *event)
{
    const char *by = schema_text(event->data, "by");

    return by && !strcmp(by, "system") ? "No manual input is waited for any more. The request goes on"
                                       : "All manual input is there. The request goes on";
}

static const char *say_retrying(const struct timeline_event *event)
{
    const char *message = schema_text(event->data, "message");

    return message ? message : "retrying";
}

static const char *say_starting(const struct timeline_event *event)
{
    (void)event;
    return "starting";
}

static const char *say_references(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Dataset reference validation successful for privacy request: %s",
                        schema_text(event->data, "request_id"));
}

static const char *say_disclosed(const struct timeline_event *event)
{
    const char *what = schema_text(event->data, "what"), *to = schema_text(event->data, "to");

    if (what && !strcmp(what, "links"))
        return arena_printf(event->arena, "Links to packages were given out: %s", names_of(event, "rule_keys"));
    if (what && !strcmp(what, "transfer"))
        return arena_printf(event->arena, "What was collected was given out: %s", names_of(event, "rule_keys"));
    return arena_printf(event->arena, "A package was fetched%s: %s", to && !strcmp(to, "link") ? " by its link" : "",
                        names_of(event, "rule_keys"));
}

static const char *say_package_deleted(const struct timeline_event *event)
{
    const char *reason = schema_text(event->data, "reason");

    return arena_printf(event->arena, "The access package of rule %s was deleted from its storage: %s",
                        schema_text(event->data, "rule_key"),
                        reason && !strcmp(reason, "forgotten") ? "the request was forgotten" : "its time was over");
}

static const char *say_forgotten(const struct timeline_event *event)
{
    const char *by = schema_text(event->data, "by");

    return by && !strcmp(by, "retention")  ? "Its time was over"
           : by && !strcmp(by, "operator") ? "By an operator"
                                           : "";
}

/* A collection is told among those of its dataset. */
static const char *group_task(const struct timeline_event *event)
{
    const char *dataset = schema_text(event->data, "dataset");

    return dataset ? dataset : "Access package upload";
}

static const char *group_webhook(const struct timeline_event *event)
{
    return arena_printf(event->arena, "Webhook: %s", webhook_key(event));
}

static const char *group_step(const struct timeline_event *event)
{
    const char *log = schema_text(event->data, "log"), *step = schema_text(event->data, "step");

    return log ? log : step ? step : "Privacy request processing";
}

/* A call that went well at once needs no words. */
static bool only_after_failure(const struct timeline_event *event)
{
    return schema_int(event->data, "attempt", 1) > 1;
}

static bool unless_well_at_once(const struct timeline_event *event)
{
    return only_after_failure(event) || !has_outcome(event, "succeeded");
}

/* The failure that it led to says it, once. */
static bool only_alone(const struct timeline_event *event)
{
    return !event->failed;
}

static bool only_pre_approval(const struct timeline_event *event)
{
    const char *kind = schema_text(event->data, "kind");

    return !kind || !strcmp(kind, "pre_approval");
}

/* --- what each event tells ----------------------------------------------------------------------------- */

/* The collections are walked once a run. */
static bool plans_reading(const struct timeline_event *event)
{
    const char *action = schema_text(event->data, "action");

    return action && !strcmp(action, "access");
}

struct telling {
    const char *group;                                        /* NULL: see group_of */
    const char *(*group_of)(const struct timeline_event *event);
    const char *status;                                       /* NULL: the event tells nothing */
    const char *(*message)(const struct timeline_event *event);
    bool is_audit;
    bool (*tells)(const struct timeline_event *event);        /* NULL: always */
    const char *(*status_of)(const struct timeline_event *event); /* NULL: `status` */
    bool names_user;                                          /* a log entry that tells who did it */
};

#define AUDIT(group, status, message) { group, NULL, status, message, true, NULL, NULL, false }
#define WEBHOOK(status, message) { NULL, group_webhook, status, message, false, NULL, NULL, false }
#define WEBHOOK_WHEN(status, message, tells) { NULL, group_webhook, status, message, false, tells, NULL, false }
#define STEP(status, message) { NULL, group_step, status, message, false, only_alone, NULL, false }
#define TASK(status, message) { NULL, group_task, status, message, false, NULL, NULL, false }
#define INPUT(status, message, names_user) { "Manual input", NULL, status, message, false, NULL, NULL, names_user }

static const struct telling tellings[EVENT_TYPES] = {
    [EVENT_PRE_APPROVAL_REQUESTED] = AUDIT("Triggered pre-approval webhooks", "pre_approval_webhook_triggered",
                                           say_triggered),
    [EVENT_WEBHOOK_OWED] = { "Triggered pre-approval webhooks", NULL, "pre_approval_webhook_triggered", say_owed, true,
                             only_pre_approval, NULL, false },
    [EVENT_WEBHOOK_SENT] = WEBHOOK_WHEN("complete", say_sent, only_after_failure),
    [EVENT_WEBHOOK_FAILED] = WEBHOOK("retrying", say_failed),
    [EVENT_WEBHOOK_GIVEN_UP] = WEBHOOK_WHEN("error", say_failed, only_alone),
    [EVENT_WEBHOOK_HELD] = WEBHOOK("skipped", say_held),
    [EVENT_WEBHOOK_RELEASED] = WEBHOOK("pending", say_released),
    [EVENT_WEBHOOK_ANSWERED] = { NULL, group_webhook, "complete", say_answered, false, unless_well_at_once,
                                 answered_status, false },
    [EVENT_WEBHOOK_SKIPPED] = WEBHOOK("skipped", say_skipped),
    [EVENT_WEBHOOKS_CHANGED] = { "Policy webhooks", NULL, "in_processing", say_changed, false, NULL, NULL, false },
    [EVENT_ENDPOINT_PAUSED] = WEBHOOK("pending", say_gone),
    [EVENT_WEBHOOK_REDELIVERED] = WEBHOOK("pending", say_redelivered),
    [EVENT_WEBHOOK_REMINDED] = WEBHOOK("pending", say_reminded),
    [EVENT_WEBHOOK_WITHDRAWN] = WEBHOOK("skipped", say_withdrawn),
    [EVENT_ELIGIBLE] = AUDIT("Request auto-approved by pre-approval webhooks", "pre_approval_eligible",
                             say_eligible),
    [EVENT_NOT_ELIGIBLE] = AUDIT("Request flagged for manual review by pre-approval webhooks",
                                 "pre_approval_not_eligible", say_not_eligible),
    [EVENT_REPLY_IGNORED] = WEBHOOK("skipped", say_ignored),
    [EVENT_APPROVED] = AUDIT("Request approved", "approved", say_approved),
    [EVENT_DENIED] = AUDIT("Request denied", "denied", say_reason),
    [EVENT_CANCELED] = AUDIT("Request canceled", "canceled", say_reason),
    [EVENT_COMPLETED] = AUDIT("Request finished", "finished", say_nothing),
    [EVENT_INPUT_REQUIRED] = INPUT("awaiting_processing", say_input_required, false),
    [EVENT_INPUT_GIVEN] = INPUT("complete", say_input_given, true),
    [EVENT_INPUT_COMPLETED] = INPUT("complete", say_input_completed, true),
    [EVENT_TASKS_PLANNED] = { "Dataset reference validation", NULL, "complete", say_references, false, plans_reading,
                              NULL, false }, /* and more: plan_tell() */
    [EVENT_TASK_COMPLETED] = TASK("complete", say_step),
    [EVENT_TASK_SKIPPED] = TASK("skipped", say_step),
    [EVENT_TASK_RETRIED] = TASK("retrying", say_retrying),
    [EVENT_TASK_FAILED] = TASK("error", say_step),
    [EVENT_PAUSED] = WEBHOOK("awaiting_processing", say_paused), /* the contract's word for it in logs */
    [EVENT_RESUME_KEPT] = WEBHOOK("pending", say_kept),
    [EVENT_RESUMED] = WEBHOOK("complete", say_resumed),
    [EVENT_EXPIRED] = STEP("error", say_step),
    [EVENT_RETRIED] = AUDIT("Request retried", "retried", say_retried),
    [EVENT_FAILED] = STEP("error", say_step),
    [EVENT_DISCLOSED] = AUDIT("Access results given out", "disclosed", say_disclosed),
    [EVENT_FORGOTTEN] = AUDIT("Request forgotten", "forgotten", say_forgotten),
    [EVENT_PACKAGE_DELETED] = { "Access package upload", NULL, "complete", say_package_deleted, false, NULL, NULL, false },
    [EVENT_DELETED] = AUDIT("Request deleted", "deleted", say_nothing),
};

/* Who decided: a user's id, or "system" where nobody had to. */
static const char *decider(const struct timeline_event *event)
{
    const char *by = schema_text(event->data, "by");

    return by && !strcmp(by, "system") ? "system" : schema_text(event->data, "user_id");
}

/* Collections are begun without an event: that is looked up. */
static const struct telling task_begun = TASK("in_processing", say_starting);

/* Of a collection or package its own: making a package is part of the access. */
static const char *action_type(const struct timeline_event *event)
{
    const char *action = schema_text(event->data, "action");

    return !action ? event->action_type : !strcmp(action, "package") ? "access" : action;
}

static bool entry_make(const struct timeline_event *event, struct timeline_entry *ret)
{
    const struct telling *telling = event->begun ? &task_begun : &tellings[event->type];

    if (!telling->status || (telling->tells && !telling->tells(event)))
        return false;
    *ret = (struct timeline_entry){
        .group = telling->group ? telling->group : telling->group_of(event),
        .connection_key = schema_text(event->data, "connection_key"),
        .collection = schema_text(event->data, "collection"),
        .fields = schema_get(event->data, "fields_affected"),
        .status = telling->status_of ? telling->status_of(event) : telling->status,
        .message = telling->message(event),
        .user_id = telling->is_audit || telling->names_user ? decider(event) : NULL,
        .action_type = telling->is_audit ? NULL : action_type(event),
        .time = event->time,
        .is_audit = telling->is_audit,
    };
    return true;
}

/* An address as the contract's log has it: "dataset.collection". */
static const char *dotted(const struct timeline_event *event, const char *address)
{
    int dataset = (int)strcspn(address, ":");

    return address[dataset] ? arena_printf(event->arena, "%.*s.%s", dataset, address, address + dataset + 1) : address;
}

/* That all is reached that must be, and what is not reached for a reason. */
static void plan_tell(const struct timeline_event *event, timeline_take *take, void *context)
{
    json_object *skips = schema_get(event->data, "skips");
    struct timeline_entry entry = {
        .group = "Dataset traversal",
        .status = "complete",
        .message = arena_printf(event->arena, "Traversal successful for privacy request: %s",
                                schema_text(event->data, "request_id")),
        .action_type = action_type(event),
        .time = event->time,
    };

    take(context, &entry);
    for (size_t i = 0; skips && i < json_object_array_length(skips); i++) {
        json_object *skip = json_object_array_get_idx(skips, i);

        entry.status = "skipped";
        entry.collection = dotted(event, schema_text(skip, "address"));
        entry.message = schema_text(skip, "reason");
        if (entry.message && *entry.message)
            take(context, &entry);
    }
}

void timeline_tell(const struct timeline_event *event, timeline_take *take, void *context)
{
    struct timeline_entry entry;

    if (entry_make(event, &entry))
        take(context, &entry);
    if (event->type == EVENT_TASKS_PLANNED && plans_reading(event))
        plan_tell(event, take, context);
}

/* --- reading ------------------------------------------------------------------------------------------- */

/* Tells a row of SQL_timeline_events, while its event is at hand. */
static int row_tell(struct api_call *call, const PGresult *rows, int row, const struct timeline_subject *subject,
                    timeline_take *take, void *context, struct err *err)
{
    size_t length;
    const char *payload = db_get_bytes(rows, row, 3, &length);
    _cleanup_(json_object_putp) json_object *data = json_tokener_parse(arena_strndup(call->arena, payload, length));
    struct timeline_event event = {
        .type = event_parse(db_get_text(rows, row, 1)),
        .begun = db_is_null(rows, row, 1),
        .data = data,
        .time = db_get_time(rows, row, 2),
        .catalog = call->catalog,
        .action_type = subject->policy ? catalog_policy_action(subject->policy) : NULL,
        .reason = subject->reason,
        .failed = db_get_bool(rows, row, 4),
        .former_key = db_dup_text(rows, row, 6, call->arena),
        .arena = call->arena,
    };

    if (!data)
        return err_cause(err, ERR_INTERNAL, "an event's payload is no JSON");
    timeline_tell(&event, take, context);
    return 0;
}

static int read_of(struct api_call *call, const struct sql *sql, const struct timeline_subject *subjects, int count,
                   PGresult **ret, struct err *err)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        db_add_text(ids, subjects[i].request_id);
    return db_run_planned(call->db, sql, args, ret, err);
}

static void results_take(void *context, const struct timeline_entry *entry)
{
    json_object *results = context, *group = schema_get(results, entry->group), *shown;

    if (!group) {
        group = json_object_new_array();
        json_object_object_add(results, entry->group, group);
    }
    if (json_object_array_length(group) >= GROUP_ENTRIES_MAX)
        return;
    shown = json_object_new_object();
    json_object_object_add(shown, "connection_key", api_json_text(entry->connection_key));
    json_object_object_add(shown, "collection_name", api_json_text(entry->collection));
    json_object_object_add(shown, "fields_affected", json_object_get(entry->fields));
    json_object_object_add(shown, "message", api_json_text(entry->message));
    json_object_object_add(shown, "action_type", api_json_text(entry->action_type));
    json_object_object_add(shown, "status", api_json_text(entry->status));
    json_object_object_add(shown, "updated_at", api_json_time(entry->time));
    json_object_object_add(shown, "user_id", api_json_text(entry->user_id));
    json_object_object_add(shown, "saas_version", NULL);
    json_object_array_add(group, shown);
}

static struct timeline_subject *subject_of(struct timeline_subject *subjects, int count, const char *request_id)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(subjects[i].request_id, request_id))
            return &subjects[i];
    return NULL;
}

/* A webhook that is configured no more is not waited for. */
static void waiting_tell(struct api_call *call, const PGresult *rows, int row, struct timeline_subject *subject)
{
    const struct catalog_webhook *webhook = catalog_webhook_by_id(call->catalog, db_get_text(rows, row, 1));
    usec_t since = db_get_time(rows, row, 2);
    char text[USEC_TEXT_BYTES];

    if (!webhook)
        return;
    results_take(subject->results,
                 &(struct timeline_entry){
                     .group = "Waiting for pre-approval webhooks",
                     .status = "pending",
                     .message = arena_printf(call->arena, "Webhook '%s' was called and has not replied since %s",
                                             webhook->name, usec_format_z(since, text)),
                     .action_type = subject->policy ? catalog_policy_action(subject->policy) : NULL,
                     .time = since,
                 });
}

static bool is_waiting(const struct timeline_subject *subject)
{
    return subject->status == PR_AWAITING_PRE_APPROVAL;
}

static struct db_args *waiting_args(struct api_call *call, const struct timeline_subject *subjects, int count)
{
    struct db_args *args = db_args_new(call->arena);
    struct db_column *ids = db_array(args, DB_TEXT);

    for (int i = 0; i < count; i++)
        if (is_waiting(&subjects[i]))
            db_add_text(ids, subjects[i].request_id);
    return args;
}

/* Who has still to reply is no event: it is looked up, and told last. */
static int waiting_read(struct api_call *call, struct timeline_subject *subjects, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int first = 0, r;

    while (first < count && !is_waiting(&subjects[first]))
        first++;
    if (first == count)
        return 0;
    r = db_run_planned(call->db, &SQL_timeline_waiting, waiting_args(call, subjects, count), &rows, err);
    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        waiting_tell(call, rows, row, subject_of(subjects, count, db_get_text(rows, row, 0)));
    return r;
}

static int events_tell(struct api_call *call, struct timeline_subject *subjects, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct timeline_subject *subject = NULL;
    int r = read_of(call, &SQL_timeline_events, subjects, count, &rows, err);

    if (r < 0)
        return r;
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *id = db_get_text(rows, row, 0);

        if (!subject || strcmp(subject->request_id, id) != 0)
            subject = subject_of(subjects, count, id);
        r = row_tell(call, rows, row, subject, results_take, subject->results, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int datasets_tell(struct api_call *call, struct timeline_subject *subjects, int count, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = read_of(call, &SQL_timeline_datasets, subjects, count, &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        json_object_object_add(subject_of(subjects, count, db_get_text(rows, row, 0))->datasets,
                               db_get_text(rows, row, 1), api_json_text(db_get_text(rows, row, 2)));
    return r;
}

int timeline_read(struct api_call *call, struct timeline_subject *subjects, int count, struct err *err)
{
    int r;

    for (int i = 0; i < count; i++) {
        subjects[i].results = json_object_new_object();
        subjects[i].datasets = json_object_new_object();
    }
    r = events_tell(call, subjects, count, err);
    if (r == 0)
        r = waiting_read(call, subjects, count, err);
    return r < 0 ? r : datasets_tell(call, subjects, count, err);
}

/* --- the log ------------------------------------------------------------------------------------------- */

/* One page of log entries: those before and after it are counted only. */
struct log_page {
    long long first, end, total;
    json_object *items;
};

static void log_take(void *context, const struct timeline_entry *entry)
{
    struct log_page *page = context;
    json_object *item;

    if (entry->is_audit)
        return;
    page->total++;
    if (page->total <= page->first || page->total > page->end)
        return;
    item = json_object_new_object();
    json_object_object_add(item, "collection_name", api_json_text(entry->collection));
    json_object_object_add(item, "fields_affected", json_object_get(entry->fields));
    json_object_object_add(item, "message", api_json_text(entry->message));
    json_object_object_add(item, "action_type", api_json_text(entry->action_type));
    json_object_object_add(item, "status", api_json_text(entry->status));
    json_object_object_add(item, "updated_at", api_json_time(entry->time));
    json_object_object_add(item, "connection_key", api_json_text(entry->connection_key));
    json_object_object_add(item, "dataset_name", api_json_text(entry->group));
    json_object_object_add(item, "saas_version", NULL);
    json_object_array_add(page->items, item);
}

static int subject_find(struct api_call *call, const char *id, struct timeline_subject *ret, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    int r;

    db_text(args, id);
    r = db_run_planned(call->db, &SQL_timeline_subject, args, &rows, err);
    if (r < 0)
        return r;
    if (!PQntuples(rows))
        return err_set(err, ERR_NOT_FOUND, "No privacy request found with id '%s'.", id);
    *ret = (struct timeline_subject){
        .request_id = id,
        .policy = catalog_policy_by_id(call->catalog, db_get_text(rows, 0, 1)),
    };
    return 0;
}

static int log_read(struct api_call *call, const struct timeline_subject *subject, struct log_page *page,
                    struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    int r = read_of(call, &SQL_timeline_events, subject, 1, &rows, err);

    for (int row = 0; r == 0 && row < PQntuples(rows); row++)
        r = row_tell(call, rows, row, subject, log_take, page, err);
    return r;
}

int timeline_log(struct api_call *call, struct err *err)
{
    _cleanup_(json_object_putp) json_object *items = json_object_new_array();
    struct log_page log = { .items = items };
    struct timeline_subject subject;
    struct api_page page;
    int r = api_page(call, &page, err);

    if (r < 0)
        return r;
    log.first = api_page_offset(&page);
    log.end = log.first + page.size;
    r = subject_find(call, call->params[0], &subject, err);
    if (r < 0)
        return r;
    r = log_read(call, &subject, &log, err);
    if (r < 0)
        return r;
    return api_answer_page(call, &page, TAKE(items), log.total);
}

/* --- tasks --------------------------------------------------------------------------------------------- */

static json_object *addresses(struct api_call *call, const PGresult *rows, int row, int column)
{
    json_object *list = json_object_new_array();
    int count;
    const char **each = db_get_texts(rows, row, column, call->arena, &count);

    for (int i = 0; i < count; i++)
        json_object_array_add(list, api_json_text(each[i]));
    return list;
}

static json_object *task_object(struct api_call *call, const PGresult *rows, int row)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "id", api_json_text(db_get_text(rows, row, 0)));
    json_object_object_add(object, "collection_address", api_json_text(db_get_text(rows, row, 1)));
    json_object_object_add(object, "created_at", api_json_time(db_get_time(rows, row, 2)));
    json_object_object_add(object, "updated_at", api_json_time(db_get_time(rows, row, 3)));
    json_object_object_add(object, "upstream_tasks", addresses(call, rows, row, 4));
    json_object_object_add(object, "downstream_tasks", addresses(call, rows, row, 5));
    json_object_object_add(object, "action_type", api_json_text(db_get_text(rows, row, 6)));
    json_object_object_add(object, "status", api_json_text(db_get_text(rows, row, 7)));
    return object;
}

int timeline_tasks(struct api_call *call, struct err *err)
{
    _cleanup_(db_result_freep) PGresult *rows = NULL;
    struct db_args *args = db_args_new(call->arena);
    struct timeline_subject subject;
    json_object *list;
    int r = subject_find(call, call->params[0], &subject, err);

    db_text(args, call->params[0]);
    if (r == 0)
        r = db_run_planned(call->db, &SQL_timeline_tasks, args, &rows, err);
    if (r < 0)
        return r;
    list = json_object_new_array();
    for (int row = 0; row < PQntuples(rows); row++)
        json_object_array_add(list, task_object(call, rows, row));
    return api_answer(call, 200, list);
}
