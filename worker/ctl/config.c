#include "common/config.h"

#include <string.h>

#include "worker/ctl/verb.h"

int config_verb(const struct config *config, char **args, struct err *err)
{
    (void)config;
    if (!args[0] || strcmp(args[0], "--markdown") != 0 || args[1])
        return verb_usage("config --markdown", err);
    config_markdown(stdout);
    return 0;
}
