#include "common/migrate.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/db.h"
#include "common/log.h"
#include "worker/ctl/verb.h"

/* Again each second while the database is away, which is said once. */
static int migrate_when_there(struct db *db, int *applied, struct err *err)
{
    int r = migrate_run(db, applied, err);

    if (r == -ERR_UNAVAILABLE)
        log_warn("database.waiting", log_word("cause", err->cause));
    while (r == -ERR_UNAVAILABLE) {
        sleep(1);
        r = migrate_run(db, applied, err);
    }
    return r;
}

int migrate_verb(const struct config *config, char **args, struct err *err)
{
    _cleanup_(db_freep) struct db *db = NULL;
    bool wait = args[0] && !strcmp(args[0], "--wait");
    struct migrate_state state;
    int applied = 0, r;

    if (args[wait])
        return verb_usage("migrate [--wait]", err);
    db = db_new(config->postgres_url, "docketctl");
    r = wait ? migrate_when_there(db, &applied, err) : migrate_run(db, &applied, err);
    if (r == 0)
        r = migrate_state(db, &state, err);
    if (r == 0)
        printf("schema version %d, %d applied now\n", state.version, applied);
    return r;
}
