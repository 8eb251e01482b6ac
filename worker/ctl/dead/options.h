/*
 * options - what stands behind `docketctl dead VERB`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/dead.h"
#include "common/err.h"
#include "worker/ctl/dead/shelf.h"
#include "worker/ctl/option.h"

struct options {
    const int64_t *numbers;
    int number_count;
    const char *reason, *topic, *value, *key, *by;
    struct option_texts headers; /* "name=value", or "name" to leave it out */
    usec_t since;                /* USEC_NONE: no bound */
    const char *state_word;      /* as it was given; NULL */
    enum dead_state state;
    bool any_state, all, json, anyway;
};

/* Which options a verb has, and whether letters' numbers stand beside them. */
struct options_of {
    const struct option_row *rows;
    bool has_numbers;
};
extern const struct options_of options_list, options_show, options_retry, options_drop;

/* ERR_BAD_REQUEST names what is wrong. `args` end with NULL. */
int options_read(char **args, const struct options_of *of, struct arena *arena, struct options *ret,
                 struct err *err) MUST_CHECK;

/* Whether the letter is one of those that the options mean. `prefix`: of topics that are named without it. */
bool options_mean(const struct options *options, const struct entry *entry, const char *prefix);
/* Whether any letter is named, by number or by what it is. */
bool options_name_any(const struct options *options);
/* ERR_NOT_FOUND for a number that no letter has. */
int options_check(const struct options *options, const struct shelf *shelf, struct err *err) MUST_CHECK;
/* How many letters are meant, and the number of the first. */
int options_count(const struct options *options, const struct shelf *shelf, const char *prefix, int64_t *first);
