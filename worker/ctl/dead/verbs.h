/*
 * verbs - what `docketctl dead` can do, each in a file of its own; the table is in dead.c.
 */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "worker/ctl/dead/options.h"

int dead_list(const struct config *config, const struct options *options, struct arena *arena, struct err *err);
int dead_show(const struct config *config, const struct options *options, struct arena *arena, struct err *err);
int dead_retry(const struct config *config, const struct options *options, struct arena *arena, struct err *err);
int dead_drop(const struct config *config, const struct options *options, struct arena *arena, struct err *err);

/* A letter as the members of a JSON object, without its braces. */
void dead_json(struct buf *out, const struct entry *entry);
