/* docketctl - what an operator does by hand: the schema, the topics, keys, the settings' page. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "worker/ctl/verb.h"

static const struct verb {
    const char *name, *args, *help;
    bool needs_config;
    int (*run)(const struct config *config, char **args, struct err *err);
} verbs[] = {
    { "migrate", "[--wait]",
      "bring the database's schema up to date; --wait for the database first", true, migrate_verb },
    { "topics", "", "create the topics that are missing, and list them", true, topics_verb },
    { "config", "--markdown", "print the page of all settings", false, config_verb },
    { "keys", "new | rewrap",
      "print fresh keys, as lines of the configuration file; seal anew what older keys of the ring seal", false,
      keys_verb },
    { "forget", "REQUEST...", "destroy the keys of requests that have ended", true, forget_verb },
    { "dead", "VERB", "records that could not be understood: list, show, retry, drop", true, dead_verb },
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
    return 2;
}

static int verb_run(const struct verb *verb, const struct config *config, char **args)
{
    struct err err;

    if (verb->run(config, args, &err) == 0)
        return 0;
    /* The text of an error with a cause is made for callers of the API. */
    fprintf(stderr, "docketctl: %s\n", *err.cause ? err.cause : err.text);
    return err.code == ERR_BAD_REQUEST ? 2 : 1;
}

int main(int argc, char **argv)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(buf_free) struct buf text = about();
    const char *first = argc > 1 ? argv[1] : NULL;
    const struct verb *verb = verb_find(first);
    int rest = 1, r;

    if (verb && !verb->needs_config)
        return verb_run(verb, NULL, argv + 2);
    if (!verb && (!first || first[0] != '-'))
        return verb_unknown(first); /* said before any setting is missed */
    r = config_main(CONFIG_CTL, "docketctl", text.data, argc, argv, &rest, &config);
    if (r <= 0)
        return r == 0 ? 0 : 2;
    verb = verb_find(argv[rest]);
    return verb ? verb_run(verb, config, argv + rest + 1) : verb_unknown(argv[rest]);
}
