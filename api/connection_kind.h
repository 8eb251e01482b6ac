/*
 * connection_kind - what differs between the types of connections that this version has: their secrets.
 *
 * Pure. Threads: any.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/schema.h"

struct connection_kind {
    const char *type;
    /* Whether these may be stored; what of them is; changes laid over stored ones; as they are shown: api/secret.h. */
    bool (*check)(json_object *secrets, const struct config *config, struct schema_errors *errors);
    json_object *(*trim)(json_object *secrets);
    json_object *(*merge)(json_object *stored, json_object *changes);
    json_object *(*masked)(json_object *secrets);
};

/* NULL: this version has no connections of that type. */
const struct connection_kind *connection_kind_of(const char *type);
