/*
 * audit - what docketctl says about docket's own log: one function a verb, all of them in the table of audit.c.
 *
 * A verb reads topics and prints on standard output; it returns 0, or an error that docketctl.c tells. ERR_REFUSED is a
 * finding: it was looked at to the end, and not all is as it should be. `args` are the words after the verb and end with
 * NULL.
 */
#pragma once

#include "common/err.h"

struct config;

int audit_verify(const struct config *config, char **args, struct err *err);
int audit_show(const struct config *config, char **args, struct err *err);
int audit_disclosures(const struct config *config, char **args, struct err *err);
int audit_report(const struct config *config, char **args, struct err *err);
int audit_rebuild(const struct config *config, char **args, struct err *err);
int audit_replay(const struct config *config, char **args, struct err *err);
