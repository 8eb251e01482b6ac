#include "worker/ctl/audit/audit.h"

#include <stdio.h>
#include <string.h>

#include "worker/ctl/verb.h"

static const struct audit_verb {
    const char *name, *args, *help;
    int (*run)(const struct config *config, char **args, struct err *err);
} verbs[] = {
    { "verify", "[--public-key ID:BASE64]... [--topics-only] [--memory 256M] [--json] [--progress]",
      "whether the log is whole: every chain, every checkpoint, and PostgreSQL where its URL is set", audit_verify },
    { "show", "REQUEST [--at TIME] [--json] [--proof FILE] [--public-key ID:BASE64]...",
      "what happened to a request until now, or until a time; --proof: a file that proves it to anybody", audit_show },
    { "disclosures", "REQUEST [--json] [--export FILE]",
      "to whom a request's person's data went, when, what of it and why; --export also writes it down, signed",
      audit_disclosures },
    { "report", "[--since TIME] [--until TIME] [--html FILE] [--csv FILE] [--json] [--memory BYTES]",
      "what came of requests over a period: counts, times, who decided, what failed, what was called (-: here)",
      audit_report },
    { "rebuild", "--into URL [--compare] [--json]",
      "an empty database is filled from the topic alone, and held against the one that docket runs on", audit_rebuild },
    { "replay", "--to TOPIC|FILE [--since TIME] [--until TIME] [--type TYPE]... [--request ID]...\n"
                "         [--from-topic lifecycle|callbacks|configuration]",
      "records of a topic as they are, to another topic or as lines of JSON to a file (-: here)", audit_replay },
};

static const struct audit_verb *verb_find(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(verbs); i++)
        if (!strcmp(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

void audit_help(FILE *out)
{
    fputs("docketctl audit - what the log holds, and whether it is whole\n\n", out);
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        fprintf(out, "  docketctl audit %s %s\n         %s\n\n", verbs[i].name, verbs[i].args, verbs[i].help);
    fputs("It reads the topics alone, unless a verb says otherwise. Exit codes: 0 all is well, 1 something was found,\n"
          "2 the words or settings are wrong, 3 it could not be done.\n",
          out);
}

int audit_verb(const struct config *config, char **args, struct err *err)
{
    const struct audit_verb *verb = verb_find(args[0]);

    if (!verb)
        return verb_usage("audit VERB; see docketctl audit --help", err);
    return verb->run(config, args + 1, err);
}
