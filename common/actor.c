#include "common/actor.h"

#include "common/actor.sql.h"

int actor_set(struct db *db, const struct actor *actor, struct arena *arena, struct err *err)
{
    struct db_args *args = db_args_new(arena);

    db_text(args, actor->by);
    db_text(args, actor->client_id);
    db_text(args, actor->user_id);
    db_text(args, actor->reason);
    db_text(args, actor->source);
    return db_do(db, &SQL_actor_set, args, err);
}
