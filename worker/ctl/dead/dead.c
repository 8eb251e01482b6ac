/* docketctl dead - records that could not be understood: looked at, put back, given up. */

#include <string.h>

#include "worker/ctl/dead/verbs.h"
#include "worker/ctl/verb.h"

static const struct {
    const char *name, *args;
    const struct options_of *options;
    int (*run)(const struct config *config, const struct options *options, struct arena *arena, struct err *err);
} verbs[] = {
    { "list", "[--reason R] [--topic T] [--since TIME] [--state open|retried|dropped|all] [--json]", &options_list,
      dead_list },
    { "show", "N... [--json]", &options_show, dead_show },
    { "retry",
      "N... | --all | --reason R | --topic T | --since TIME [--anyway] [--by WHO]; of one also [--key K] [--value FILE] "
      "[--header NAME[=VALUE]]...",
      &options_retry, dead_retry },
    { "drop", "N... | --all | --reason R | --topic T | --since TIME [--by WHO]", &options_drop,
      dead_drop },
};

static int usage(struct err *err)
{
    struct buf text = BUF_INIT(1024);
    int r;

    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        buf_printf(&text, "%sdead %s %s", i ? "\n       docketctl " : "", verbs[i].name, verbs[i].args);
    r = verb_usage(text.data, err);
    buf_free(&text);
    return r;
}

int dead_verb(const struct config *config, char **args, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    struct options options;
    int r;

    for (size_t i = 0; args[0] && i < COUNT_OF(verbs); i++) {
        if (strcmp(args[0], verbs[i].name) != 0)
            continue;
        r = options_read(args + 1, verbs[i].options, arena, &options, err);
        return r < 0 ? r : verbs[i].run(config, &options, arena, err);
    }
    return usage(err);
}
