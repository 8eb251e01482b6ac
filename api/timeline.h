/*
 * timeline - what happened to a request, as people read it: its events in the words of rest.md 9.1,
 * lifecycle.md 5.1 and dsr.md 7. Audit entries tell decisions, log entries tell what was tried and failed.
 *
 * Threads:   any. Ownership: entries borrow from their event and its arena.
 */
#pragma once

#include "api/api.h"
#include "common/event.h"

struct timeline_event {
    enum event_type type;
    json_object *data;
    usec_t time;
    const struct catalog *catalog;
    const char *action_type; /* of the request's policy */
    const char *reason;      /* why it was denied or canceled, opened; NULL: none, or forgotten */
    bool failed;             /* a call that was given up: the request failed by it; that failure: a task told it */
    const char *former_key;  /* of a webhook that was deleted meanwhile; NULL */
    bool begun;              /* no event: a collection was begun */
    struct arena *arena;
};

struct timeline_entry {
    const char *group, *status, *message;
    const char *connection_key, *collection; /* NULL */
    json_object *fields;     /* fields_affected, borrowed; NULL */
    const char *user_id;     /* who decided; NULL */
    const char *action_type; /* log entries only */
    usec_t time;
    bool is_audit;
};

/* Hands on what an event tells people: nothing, one entry, or several. Pure. */
typedef void timeline_take(void *context, const struct timeline_entry *entry);
void timeline_tell(const struct timeline_event *event, timeline_take *take, void *context);

struct timeline_subject {
    const char *request_id;
    const struct catalog_policy *policy; /* may be NULL */
    const char *reason;
    enum pr_status status; /* while it awaits pre-approval, who is waited for is told too */
    json_object *results;  /* filled: {"group": [entries]}, the caller's */
    json_object *datasets; /* filled: {"dataset": worst status}, the caller's */
};

/* Fills `results` and `datasets` of each, on failure too: they are to be released. */
int timeline_read(struct api_call *call, struct timeline_subject *subjects, int count, struct err *err) MUST_CHECK;

/* GET /privacy-request/{id}/log */
int timeline_log(struct api_call *call, struct err *err);
/* GET /privacy-request/{id}/tasks */
int timeline_tasks(struct api_call *call, struct err *err);
