#include <inttypes.h>
#include <stdio.h>

#include "worker/ctl/dead/post.h"
#include "worker/ctl/dead/verbs.h"
#include "worker/ctl/verb.h"

static int drop_all(const struct config *config, const struct options *options, const struct shelf *shelf,
                    struct arena *arena, struct err *err)
{
    _cleanup_(post_freep) struct post *post = NULL;
    struct slip *slips = arena_array(arena, struct slip, (size_t)shelf->count + 1);
    struct dead_note note = { .state = DEAD_DROPPED, .time = usec_now(), .by = post_author(options->by, arena) };
    int r = post_new(config, &post, err), failed = 0;

    if (r < 0)
        return r;
    for (int i = 0; i < shelf->count; i++) {
        note.of = shelf->entries[i].number;
        if (options_mean(options, &shelf->entries[i], config->topic_prefix))
            post_note(post, config, &note, &slips[i]);
    }
    post_wait(post);
    for (int i = 0; i < shelf->count; i++) {
        if (!options_mean(options, &shelf->entries[i], config->topic_prefix))
            continue;
        printf("%" PRId64 ": %s\n", shelf->entries[i].number,
               slips[i].error ? rd_kafka_err2name(slips[i].error) : "dropped");
        failed += slips[i].error != 0;
    }
    return failed ? err_set(err, ERR_REFUSED, "%d of them could not be dropped", failed) : 0;
}

int dead_drop(const struct config *config, const struct options *options, struct arena *arena, struct err *err)
{
    struct shelf shelf;
    int64_t first;
    int r;

    if (!options_name_any(options))
        return verb_usage("dead drop N... | --all | --reason R | --topic T | --since TIME", err);
    r = shelf_read(config, arena, &shelf, err);
    if (r == 0)
        r = options_check(options, &shelf, err);
    if (r < 0)
        return r;
    if (options_count(options, &shelf, config->topic_prefix, &first))
        return drop_all(config, options, &shelf, arena, err);
    printf("no dead letter is meant\n");
    return 0;
}
