#include "common/forget.h"

#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "worker/ctl/verb.h"

enum { SOURCE_BYTES = 160 };

/* What is said of one. Returns whether it is forgotten. */
static bool case_tell(const struct forget_case *of)
{
    switch (of->fate) {
    case FORGET_DONE:
        printf("%s: forgotten\n", of->id);
        return true;
    case FORGET_ALREADY:
        printf("%s: was forgotten before\n", of->id);
        return true;
    case FORGET_UNKNOWN:
        printf("%s: there is no such request\n", of->id);
        return false;
    default:
        printf("%s: not forgotten, as its status is %s: it must be complete, denied, canceled or error\n", of->id,
               lifecycle_word(of->status));
        return false;
    }
}

static bool is_named_before(char **args, int count)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(args[i], args[count]))
            return true;
    return false;
}

/* Takes the next batch from `args`, each id once; returns how many words that were. */
static int batch_take(char **all, char **args, const char **ids, int *count)
{
    int words = 0;

    *count = 0;
    for (; args[words] && *count < FORGET_BATCH_MAX; words++)
        if (!is_named_before(all, (int)(&args[words] - all)))
            ids[(*count)++] = args[words];
    return words;
}

static int batch_forget(const struct forget *forget, const char *const *ids, int count, int *refused, struct err *err)
{
    struct forget_case cases[FORGET_BATCH_MAX];
    int r = forget_requests(forget, ids, count, cases, err);

    for (int i = 0; r == 0 && i < count; i++)
        *refused += !case_tell(&cases[i]);
    return r;
}

int forget_verb(const struct config *config, char **args, struct err *err)
{
    _cleanup_(db_freep) struct db *db = db_new(config->postgres_url, "docketctl");
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    char source[SOURCE_BYTES];
    const struct forget forget = { db, NULL, source, "operator", arena };
    const char *ids[FORGET_BATCH_MAX];
    int refused = 0, r = 0;

    if (!args[0])
        return verb_usage("forget REQUEST...", err);
    snprintf(source, sizeof(source), "/docket/%s/docketctl", config->cluster);
    for (char **at = args; r == 0 && *at;) {
        int count;

        at += batch_take(args, at, ids, &count);
        r = batch_forget(&forget, ids, count, &refused, err);
        arena_clear(arena);
    }
    if (r == 0 && refused)
        return err_set(err, ERR_REFUSED, "%d of them could not be forgotten", refused);
    return r;
}
