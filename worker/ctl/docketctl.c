/* docketctl - what an operator does by hand: the schema, the topics, keys, the settings' page. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "worker/ctl/verb.h"

enum {
    FAILED = 1, /* what a verb ends with unless it says otherwise */
    USAGE = 2,
    NOT_DONE = 3, /* of those for which 1 is a finding */
};

/* Of the settings, those that a verb can do without are not required. */
enum { NEEDS_POSTGRES = 1, NEEDS_KAFKA = 2, NEEDS_NOTHING = 4 /* no settings at all */ };

static const struct verb {
    const char *name, *args, *help;
    int needs;
    int (*run)(const struct config *config, char **args, struct err *err);
    bool has_findings;        /* ERR_REFUSED is one: 1, and any other failure NOT_DONE */
    void (*more)(FILE *out);  /* after the verb, --help */
} verbs[] = {
    { "migrate", "[--wait]", "bring the database's schema up to date; --wait for the database first", NEEDS_POSTGRES,
      migrate_verb },
    { "topics", "[OPTION...]", "create the topics that are missing, and list them; hold them against what is wanted",
      NEEDS_KAFKA, topics_verb, .has_findings = true, .more = topics_help },
    { "config", "--markdown", "print the page of all settings", NEEDS_NOTHING, config_verb },
    { "keys", "new | public | rewrap",
      "print fresh keys, as lines of the configuration file; print the public keys of checkpoints; seal anew what "
      "older keys of the ring seal",
      NEEDS_NOTHING, keys_verb },
    { "forget", "REQUEST...", "destroy the keys of requests that have ended", NEEDS_POSTGRES, forget_verb },
    { "ledger", "[--json]", "whether every call owed is accounted for, and no request waits on nobody",
      NEEDS_POSTGRES | NEEDS_KAFKA, ledger_verb, .has_findings = true },
    { "dead", "VERB", "records that could not be understood: list, show, retry, drop", NEEDS_KAFKA, dead_verb },
    { "audit", "VERB", "what the log holds, and whether it is whole: docketctl audit --help", NEEDS_KAFKA, audit_verb,
      .has_findings = true, .more = audit_help },
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(verbs); i++)
        if (!strcmp(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

/* The words of --help: what stands above the settings. */
static struct buf about(void)
{
    struct buf text = BUF_INIT(4096);

    buf_adds(&text, "docket's operator's tool\n\n  docketctl [OPTIONS] VERB\n\nVerbs:\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        buf_printf(&text, "  %s %-*s  %s\n", verbs[i].name, 17 - (int)strlen(verbs[i].name),
                   verbs[i].args, verbs[i].help);
    text.data[--text.length] = '\0'; /* the caller ends the line */
    return text;
}

static int verb_unknown(const char *name)
{
    fprintf(stderr, "docketctl: %s%s; see docketctl --help\n",
            name ? "there is no verb " : "no verb", name ? name : "");
    return USAGE;
}

static int verb_run(const struct verb *verb, const struct config *config, char **args)
{
    struct err err;

    if (verb->run(config, args, &err) == 0)
        return 0;
    /* The text of an error with a cause is made for callers of the API. */
    fprintf(stderr, "docketctl: %s\n", *err.cause ? err.cause : err.text);
    if (err.code == ERR_BAD_REQUEST)
        return USAGE;
    return verb->has_findings && err.code != ERR_REFUSED ? NOT_DONE : FAILED;
}

static int settings_check(const struct verb *verb, const struct config *config, struct err *err)
{
    int r = 0;

    if (verb->needs & NEEDS_POSTGRES)
        r = config_require(config->postgres_url, "DOCKET_POSTGRES_URL", err);
    if (r == 0 && verb->needs & NEEDS_KAFKA)
        r = config_require(config->kafka_brokers, "DOCKET_KAFKA_BROKERS", err);
    return r;
}

/* Anywhere after the verb. */
static bool wants_help(char **args)
{
    for (; *args; args++)
        if (!strcmp(*args, "--help"))
            return true;
    return false;
}

static int verb_configured(const struct verb *verb, const struct config *config, char **args)
{
    struct err err;

    if (settings_check(verb, config, &err) == 0)
        return verb_run(verb, config, args);
    fprintf(stderr, "docketctl: %s\n", err.text);
    return USAGE;
}

int main(int argc, char **argv)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(buf_free) struct buf text = about();
    const char *first = argc > 1 ? argv[1] : NULL;
    const struct verb *verb = verb_find(first);
    int rest = 1, r;

    if (verb && verb->more && wants_help(argv + 2)) {
        verb->more(stdout);
        return 0;
    }
    if (verb && verb->needs == NEEDS_NOTHING)
        return verb_run(verb, NULL, argv + 2);
    if (!verb && (!first || first[0] != '-'))
        return verb_unknown(first); /* said before any setting is missed */
    r = config_main(CONFIG_CTL, "docketctl", text.data, argc, argv, &rest, &config);
    if (r <= 0)
        return r == 0 ? 0 : USAGE;
    verb = verb_find(argv[rest]);
    return verb ? verb_configured(verb, config, argv + rest + 1) : verb_unknown(argv[rest]);
}
