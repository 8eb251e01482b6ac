/*
 * verb - what docketctl can do: one function a verb, all of them in the table of docketctl.c.
 *
 * A verb prints what it did on standard output and returns 0, or an error that docketctl.c tells.
 * `args` are the words after the verb and end with NULL; words that it does not know are
 * ERR_BAD_REQUEST by verb_usage().
 */
#pragma once

#include <stdio.h>

#include "common/err.h"

struct config;

int migrate_verb(const struct config *config, char **args, struct err *err);
int dead_verb(const struct config *config, char **args, struct err *err);
int forget_verb(const struct config *config, char **args, struct err *err);
int topics_verb(const struct config *config, char **args, struct err *err);
void topics_help(FILE *out);
int ledger_verb(const struct config *config, char **args, struct err *err);
int audit_verb(const struct config *config, char **args, struct err *err); /* ctl/audit/ has verbs of its own */
void audit_help(FILE *out);

/* These run without a configuration: `config` is NULL. */
int config_verb(const struct config *config, char **args, struct err *err);
int keys_verb(const struct config *config, char **args, struct err *err);
int rewrap_verb(const struct config *config, struct err *err); /* of keys; NULL: it reads the configuration itself */

/* "usage: docketctl <usage>" */
int verb_usage(const char *usage, struct err *err);
