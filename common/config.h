/*
 * config - the settings of a program, from the environment and a file; config.tbl.h has them all.
 *
 * A value comes from the environment, else from the file named by NAME_FILE (secrets and others: the file's
 * content, one trailing line end dropped), else from the file `DOCKET_CONFIG_FILE` or --config FILE
 * (lines NAME=value, # comments), else it is the default. A value out of bounds, an unknown DOCKET_ name in
 * the file, or a missing required one is an error that names it and the allowed values.
 *
 * Ownership: config_free(). Values never change while a program runs.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "common/err.h"
#include "common/usec.h"

enum { CONFIG_SCHEDULE_MAX = 64 };

struct config_schedule {
    int count; /* further attempts; 0 is "none" */
    usec_t waits[CONFIG_SCHEDULE_MAX];
};

#define CONFIG_C_TEXT const char *
#define CONFIG_C_NUMBER long long
#define CONFIG_C_BOOL bool
#define CONFIG_C_DURATION usec_t
#define CONFIG_C_SCHEDULE struct config_schedule

struct config {
#define CONFIG(field, name, type, fallback, min, max, unit, secret, programs, help) CONFIG_C_##type field;
#include "common/config.tbl.h"
#undef CONFIG
};

enum { CONFIG_API = 'a', CONFIG_CALLBACK = 'c', CONFIG_WORKER = 'w', CONFIG_CTL = 'k' };

/* Reads what `program` (one of the letters above) needs. `file` may be NULL. */
int config_load(int program, const char *file, struct config **ret, struct err *err) MUST_CHECK;
void config_free(struct config *config); /* accepts NULL */
DEFINE_CLEANUP(struct config *, config_free)

/* One schedule's text, for a connection's own; the same rules as DOCKET_WEBHOOK_RETRY_SCHEDULE. */
int config_parse_schedule(const char *text, struct config_schedule *ret, struct err *err) MUST_CHECK;

/* For a setting that the program may be without and that is needed now: `value` NULL is the error of a missing one. */
int config_require(const char *value, const char *name, struct err *err) MUST_CHECK;

/* True when a reply token ends before the pause that it could end: between the two, a paused request can't be resumed.
 * False for a program that reads neither. */
bool config_has_token_life_gap(const struct config *config);
/* Tells in the log what is allowed and hardly meant. */
void config_warn(const struct config *config);

void config_help(int program, FILE *out);     /* what --help prints below the program's own words */
void config_markdown(FILE *out);              /* the table of docs/configuration.md */

/* The start of every main(): reads --help, --version, --config FILE; loads; sets up the log, and warns. Returns 1 when
 * the program is to go on, 0 when it has said what was asked, -1 on an error that it has printed. `rest` is
 * the index of the first argument that is none of these. */
int config_main(int program, const char *name, const char *about, int argc, char **argv, int *rest,
                struct config **ret);
