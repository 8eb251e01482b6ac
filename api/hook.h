/*
 * hook - what pre-approval and policy webhooks have in common: lists that are put whole, whose elements are found
 * by their key, and whose keys and names are taken once among all of a kind.
 *
 * Threads: as the call. Ownership: texts and arrays are the call's arena's.
 */
#pragma once

#include "api/api.h"

/* One as it stands, or as it is to be. */
struct hook {
    const char *id, *key, *name, *connection_id;
    const char *owner;     /* its policy's id; "" of a pre-approval webhook */
    const char *direction; /* "one_way", "two_way"; "" of a pre-approval webhook */
    int place;             /* in its policy's list */
};

/* Those that stand, as far as a write needs to know them: its own list, and who may be in its way. */
struct hooks {
    struct hook *each;
    int count;
};

/* One as it is to be. */
struct hook_wanted {
    struct hook hook;
    const struct hook *stored; /* NULL: it is new */
};

/* A list as it is to be, and what writing it did. */
struct hook_list {
    const char *owner;
    struct hook_wanted *each;
    int count;
    bool added, changed, moved, deleted; /* moved: to another connection, which is a change too */
};

typedef int hook_write(struct api_call *call, struct hook *hook, struct err *err);

/* One a kind. `insert` notes the new row's id. */
struct hook_kind {
    const char *model; /* the contract's name of it */
    const char *what;  /* in a sentence: "A policy webhook" */
    bool is_step;      /* of a run: it has a direction, and a place in its list */
    const struct sql *objects; /* rows for `object` of ids, in their order */
    json_object *(*object)(struct api_call *call, const PGresult *rows, int row);
    const struct sql *remove;
    hook_write *insert, *update;
};

/* As they are shown: the first `count` rows; all of a list in its order; one. */
json_object *hook_objects(struct api_call *call, const struct hook_kind *kind, const PGresult *rows,
                          int count);
int hook_list_show(struct api_call *call, const struct hook_kind *kind,
                   const struct hook_list *list, json_object **ret, struct err *err) MUST_CHECK;
int hook_show(struct api_call *call, const struct hook_kind *kind, const char *id,
              json_object **ret, struct err *err) MUST_CHECK;

/* Of rows with id, key, name, connection_id, owner, direction, place. */
struct hooks hooks_of(struct api_call *call, const PGresult *rows);
/* NULL when there is none. */
const struct hook *hook_by_key(const struct hooks *hooks, const char *owner, const char *key);

/* The call's body, a list, with keys and names as given or made. ERR_BAD_REQUEST when two are the same. */
int hook_list_read(struct api_call *call, const struct hook_kind *kind, const char *owner,
                   struct hook_list *ret, struct err *err) MUST_CHECK;
/* Finds what stands under the keys that were given, and the connections. ERR_NOT_FOUND, or ERR_BAD_REQUEST for a
 * connection of another type than https and for a key or name that another one has. */
int hook_list_plan(struct api_call *call, const struct hook_kind *kind, const struct hooks *stored,
                   struct hook_list *list, struct err *err) MUST_CHECK;
/* Makes it so: what it does not have is deleted, what is as it is to be is left alone. */
int hook_list_write(struct api_call *call, const struct hook_kind *kind, const struct hooks *stored,
                    struct hook_list *list, struct err *err) MUST_CHECK;

/* One of them as the body of a PATCH wants it: absent and null leave what is. Its place is not looked at. */
int hook_plan_change(struct api_call *call, const struct hook_kind *kind, const struct hooks *stored,
                     struct hook_wanted *wanted, struct err *err) MUST_CHECK;
/* Writes it unless it is like that already. */
int hook_write_one(struct api_call *call, const struct hook_kind *kind, struct hook_wanted *wanted,
                   struct hook_list *list, struct err *err) MUST_CHECK;
int hook_delete(struct api_call *call, const struct hook_kind *kind, const char *id,
                struct err *err) MUST_CHECK;

/* For `insert`: runs a statement that gives the new row's id, and notes it. */
int hook_run_insert(struct api_call *call, const struct sql *sql, struct db_args *args,
                    struct hook *hook, struct err *err) MUST_CHECK;
