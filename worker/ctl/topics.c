/* topics - those of the bus: made where they are missing, held against what is wanted, changed where that is safe. */

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/schema.h"
#include "worker/ctl/admin.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "topics [--check | --apply [--partitions]]"

enum { SETTINGS = 5, DIFFERENCES_MAX = 64 };

/* Kafka's own default: what docket writes is below a million bytes. */
#define MESSAGE_BYTES "1048588"

static const struct topic {
    const char *name; /* after the prefix */
    bool single;      /* one partition: its order counts, or little goes there */
    const char *retention_ms;
    const char *message_bytes; /* NULL: MESSAGE_BYTES */
} topics[] = {
    { "lifecycle", false, "-1" }, /* the whole history can be replayed */
    { "callbacks", false,
      "604800000" }, /* seven days: what is not consumed by then is long on record */
    { "configuration", true, "-1" }, /* who changed what: one chain */
    { "dead", true, "-1", "2097152" }, /* what is as large as a broker takes comes there with some headers more */
    { "checkpoints", true, "-1" },
};

/* A topic as it is to be. */
struct wanted {
    const struct topic *topic;
    const char *name;
    int partitions, replicas;
    struct admin_setting settings[SETTINGS];
};

/* What is done about a difference, and by which option. */
enum mend { MEND_CREATE, MEND_ALTER, MEND_GROW, MEND_NEVER };

struct difference {
    const struct wanted *wanted;
    const char *setting, *is, *to_be;
    enum mend mend;
    const char *outcome; /* what was done; NULL: nothing */
};

struct differences {
    int count;
    struct difference list[DIFFERENCES_MAX];
};

/* --- what is wanted ---------------------------------------------------------------------------------- */

/* With one replica a second one in sync would be waited for without end. */
static int insync_of(const struct config *config, int replicas)
{
    int insync = config->topic_insync ? (int)config->topic_insync : 2;

    return insync < replicas ? insync : replicas;
}

/* `replicas`: as many as there are, or will be. */
static void wanted_fill(const struct config *config, const struct topic *topic, int replicas, struct arena *arena,
                        struct wanted *ret)
{
    *ret = (struct wanted){
        .topic = topic,
        .name = arena_printf(arena, "%s.%s", config->topic_prefix, topic->name),
        .partitions = topic->single ? 1 : (int)config->topic_partitions,
        .replicas = (int)config->topic_replication,
        .settings = { { "cleanup.policy", "delete" },
                      { "retention.ms", topic->retention_ms },
                      { "retention.bytes", "-1" },
                      { "max.message.bytes", topic->message_bytes ? topic->message_bytes : MESSAGE_BYTES },
                      { "min.insync.replicas", arena_printf(arena, "%d", insync_of(config, replicas)) } },
    };
}

/* A topic may take larger records than it must. */
static bool is_as_wanted(const struct admin_setting *wanted, const char *value)
{
    long long least, found;

    if (!value)
        return false;
    if (strcmp(wanted->name, "max.message.bytes") != 0)
        return !strcmp(wanted->value, value);
    return schema_parse_int(wanted->value, &least) && schema_parse_int(value, &found) && found >= least;
}

/* --- what differs ------------------------------------------------------------------------------------ */

static void difference_add(struct differences *all, const struct wanted *wanted, const char *setting, const char *is,
                           const char *to_be, enum mend mend)
{
    if (all->count < DIFFERENCES_MAX)
        all->list[all->count++] = (struct difference){ wanted, setting, is, to_be, mend, NULL };
}

static void number_compare(struct differences *all, const struct wanted *wanted, const char *setting, int is, int to_be,
                           enum mend mend, struct arena *arena)
{
    if (is != to_be)
        difference_add(all, wanted, setting, arena_printf(arena, "%d", is), arena_printf(arena, "%d", to_be), mend);
}

/* The order of one partition is what a single topic is for, and no partition can be taken away. */
static enum mend partitions_mend(const struct wanted *wanted, const struct admin_topic *is)
{
    return wanted->topic->single || is->partitions > wanted->partitions ? MEND_NEVER : MEND_GROW;
}

static void topic_compare(struct differences *all, const struct wanted *wanted, const struct admin_topic *is,
                          struct arena *arena)
{
    if (!is->exists) {
        difference_add(all, wanted, "topic", "missing", "there", MEND_CREATE);
        return;
    }
    number_compare(all, wanted, "partitions", is->partitions, wanted->partitions, partitions_mend(wanted, is), arena);
    number_compare(all, wanted, "replication", is->replicas, wanted->replicas, MEND_NEVER, arena);
    for (int i = 0; i < SETTINGS; i++) {
        const char *value = admin_value(is, wanted->settings[i].name);

        if (!is_as_wanted(&wanted->settings[i], value))
            difference_add(all, wanted, wanted->settings[i].name, value ? value : "unknown", wanted->settings[i].value,
                           MEND_ALTER);
    }
}

static int topics_compare(rd_kafka_t *client, const struct config *config, struct arena *arena,
                          struct differences *ret, struct err *err)
{
    int r = 0;

    ret->count = 0;
    for (size_t i = 0; r == 0 && i < COUNT_OF(topics); i++) {
        struct wanted *wanted = arena_new_of(arena, struct wanted);
        const char *name = arena_printf(arena, "%s.%s", config->topic_prefix, topics[i].name);
        struct admin_topic is;

        r = admin_describe(client, name, arena, &is, err);
        if (r < 0)
            break;
        wanted_fill(config, &topics[i], is.exists ? is.replicas : (int)config->topic_replication, arena, wanted);
        topic_compare(ret, wanted, &is, arena);
    }
    return r;
}

/* --- mending it -------------------------------------------------------------------------------------- */

static int topic_make(rd_kafka_t *client, const struct wanted *wanted, bool *created, struct err *err)
{
    const struct admin_new topic = {
        .name = wanted->name,
        .partitions = wanted->partitions,
        .replicas = wanted->replicas,
        .setting_count = SETTINGS,
        .settings = wanted->settings,
    };

    return admin_create(client, &topic, created, err);
}

/* All of a topic at once: a broker may not know yet of a change that was made a moment ago, and what a change does not
 * name is put back. */
static int topic_alter(rd_kafka_t *client, struct difference *first, const struct difference *end, struct err *err)
{
    struct admin_setting settings[SETTINGS];
    const struct wanted *wanted = first->wanted;
    int count = 0, r;

    for (const struct difference *of = first; of < end && of->wanted == wanted; of++)
        if (of->mend == MEND_ALTER)
            settings[count++] = (struct admin_setting){ of->setting, of->to_be };
    r = admin_alter(client, wanted->name, settings, count, err);
    for (struct difference *of = first; r == 0 && of < end && of->wanted == wanted; of++)
        if (of->mend == MEND_ALTER)
            of->outcome = "changed";
    return r;
}

static int topic_grow(rd_kafka_t *client, struct difference *of, struct err *err)
{
    int r;

    fprintf(stderr,
            "docketctl: %s gets more partitions: the events of a request that is there may stand on two of them from "
            "now on, and come to their readers out of order\n",
            of->wanted->name);
    r = admin_grow(client, of->wanted->name, of->wanted->partitions, err);
    if (r == 0)
        of->outcome = "changed";
    return r;
}

static int topic_create(rd_kafka_t *client, struct difference *of, struct err *err)
{
    bool created = false;
    int r = topic_make(client, of->wanted, &created, err);

    if (r == 0)
        of->outcome = created ? "created" : "there by now";
    return r;
}

static int topics_mend(rd_kafka_t *client, struct differences *all, bool grow, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < all->count; i++) {
        struct difference *of = &all->list[i];

        if (of->outcome)
            continue;
        if (of->mend == MEND_CREATE)
            r = topic_create(client, of, err);
        else if (of->mend == MEND_ALTER)
            r = topic_alter(client, of, all->list + all->count, err);
        else if (of->mend == MEND_GROW && grow)
            r = topic_grow(client, of, err);
    }
    return r;
}

/* --- telling it -------------------------------------------------------------------------------------- */

static const char *outcome_of(const struct difference *of)
{
    static const char *const options[] = { [MEND_CREATE] = "--apply creates it",
                                           [MEND_ALTER] = "--apply changes it",
                                           [MEND_GROW] = "--apply --partitions adds them",
                                           [MEND_NEVER] = "not changed by docketctl" };

    return of->outcome ? of->outcome : options[of->mend];
}

static int width_of(const struct config *config)
{
    return (int)strlen(config->topic_prefix) + (int)sizeof(".configuration");
}

static void differences_print(const struct config *config, const struct differences *all)
{
    int width = width_of(config);

    if (!all->count) {
        printf("%zu topics are as they are wanted\n", COUNT_OF(topics));
        return;
    }
    printf("%-*s %-20s %12s %12s\n", width, "topic", "setting", "is", "wanted");
    for (int i = 0; i < all->count; i++) {
        const struct difference *of = &all->list[i];

        printf("%-*s %-20s %12s %12s  %s\n", width, of->wanted->name, of->setting, of->is, of->to_be, outcome_of(of));
    }
}

/* Of those that nothing was done about. */
static int differences_left(const struct differences *all, struct err *err)
{
    int left = 0;

    for (int i = 0; i < all->count; i++)
        left += !all->list[i].outcome;
    return left ? err_set(err, ERR_REFUSED, "%d of the topics' settings %s not as wanted", left,
                          left == 1 ? "is" : "are")
                : 0;
}

/* --- the verb ---------------------------------------------------------------------------------------- */

/* An existing topic stays as it is, whatever the settings say now. */
static int topic_ensure(rd_kafka_t *client, const struct topic *topic, const struct config *config,
                        struct arena *arena, struct err *err)
{
    struct wanted wanted;
    bool created = false;
    int partitions = 0, r;

    wanted_fill(config, topic, (int)config->topic_replication, arena, &wanted);
    r = topic_make(client, &wanted, &created, err);
    if (r == 0) /* of one just made too: a program that finds only some of its topics reads only those for a while */
        r = admin_partitions(client, wanted.name, &partitions, err);
    if (r < 0) {
        const struct err why = *err;

        return err_cause(err, why.code, "topic %s: %s", wanted.name, why.cause);
    }
    printf("%-*s %4d partition%s  %s\n", width_of(config), wanted.name, partitions, partitions == 1 ? " " : "s",
           created ? "created" : "exists");
    return 0;
}

static int topics_ensure(rd_kafka_t *client, const struct config *config, struct arena *arena, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < COUNT_OF(topics); i++)
        r = topic_ensure(client, &topics[i], config, arena, err);
    return r;
}

struct options {
    bool check, apply, partitions;
};

static const struct option_row rows[] = {
    { "--check", OPTION_FLAG, offsetof(struct options, check) },
    { "--apply", OPTION_FLAG, offsetof(struct options, apply) },
    { "--partitions", OPTION_FLAG, offsetof(struct options, partitions) },
    { 0 },
};

static int options_read(char **args, struct options *ret, struct err *err)
{
    struct option_texts words = { 0 };
    int r;

    *ret = (struct options){ 0 };
    r = option_read(args, rows, ret, &words, err);
    if (r == 0 && (words.count || (ret->check && ret->apply) || (ret->partitions && !ret->apply)))
        return verb_usage(USAGE, err);
    return r;
}

void topics_help(FILE *out)
{
    fputs("docketctl " USAGE "\n\n"
          "  without an option     create the topics that are missing, and list all\n"
          "  --check               tell what is missing or has other settings than are wanted, and change nothing\n"
          "  --apply               create what is missing and change those settings; a topic's other settings stay\n"
          "  --apply --partitions  add partitions too. The events of a request that is there may then stand on two of\n"
          "                        them, and come to their readers out of order\n\n"
          "Exit codes: 0 all is as wanted, 1 something is not, 2 the words or settings are wrong,\n"
          "3 it could not be done.\n",
          out);
}

static int topics_hold(rd_kafka_t *client, const struct config *config, const struct options *options,
                       struct arena *arena, struct err *err)
{
    struct differences all;
    int r = topics_compare(client, config, arena, &all, err);

    if (r < 0)
        return r;
    if (options->apply)
        r = topics_mend(client, &all, options->partitions, err);
    differences_print(config, &all); /* what was done before one failed too */
    return r < 0 ? r : differences_left(&all, err);
}

int topics_verb(const struct config *config, char **args, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    _cleanup_(rd_kafka_destroyp) rd_kafka_t *client = NULL;
    struct options options;
    int r = options_read(args, &options, err);

    if (r == 0)
        r = admin_open(config, &client, err);
    if (r < 0)
        return r;
    return options.check || options.apply ? topics_hold(client, config, &options, arena, err)
                                          : topics_ensure(client, config, arena, err);
}
