#include "worker/share.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/random.h"
#include "worker/claim.h"

enum { COMMIT_MS = 250, COUNT_PATIENCE_MS = 2000, CLAIM_TRIES = 4 };

struct share {
    uv_loop_t *loop;
    rd_kafka_t *consumer;
    const char *counted;
    share_over *over;
    void *context;
    char run[HOLD_RUN_BYTES]; /* this process, as the holder of partitions */
    struct partition *partitions;
    usec_t committed_at;
    bool stopping, closed;
    /* claims */
    rd_kafka_topic_partition_list_t *unclaimed; /* the group's word, not taken up before they are claimed; NULL */
    int assignment; /* counts them: a claim is of one */
    int tries;      /* of claiming it */
    int claims;     /* under way */
    bool claiming;  /* that of `assignment` */
    int windows;
    /* how many partitions there are */
    int assigned, all; /* of the counted topic: this worker's, all; 0: not known */
    bool counting;
    uv_work_t count;
    int found;
};

/* --- partitions -------------------------------------------------------------------------------------- */

struct partition *share_partition(struct share *share, const char *topic, int32_t number)
{
    struct partition *partition = share->partitions;

    while (partition && (partition->given_up || partition->number != number || strcmp(partition->topic, topic)))
        partition = partition->next;
    if (partition)
        return partition;
    partition = calloc(1, sizeof(*partition));
    if (!partition)
        abort();
    snprintf(partition->topic, sizeof(partition->topic), "%s", topic);
    partition->number = number;
    partition->offsets = offsets_new();
    partition->hold = hold_new(share->run, -1, usec_now());
    partition->position = -1;
    partition->share = share;
    partition->next = share->partitions;
    share->partitions = partition;
    return partition;
}

static void partition_free(struct partition *partition)
{
    struct partition **link = &partition->share->partitions;

    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    offsets_free(partition->offsets);
    free(partition);
}

/* What is settled: true when that is more than before. */
static bool partition_moved(struct partition *partition)
{
    return offsets_position(partition->offsets, &partition->position);
}

/* The window ends where its last event does. */
static void pass_window(struct partition *partition)
{
    partition_moved(partition);
    if (!partition->until || partition->position < partition->until)
        return;
    partition->until = 0;
    partition->share->windows--;
}

void share_done(struct partition *partition, uint64_t ticket)
{
    struct share *share = partition->share;

    offsets_done(partition->offsets, ticket);
    if (share->windows && !partition->given_up)
        pass_window(partition);
    share->over(share->context, partition);
    if (partition->given_up && !offsets_underway(partition->offsets))
        partition_free(partition);
}

/* --- commits ----------------------------------------------------------------------------------------- */

static void commit_add(rd_kafka_topic_partition_list_t *list, const struct partition *partition, const struct hold *hold)
{
    rd_kafka_topic_partition_t *of = rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
    char text[HOLD_TEXT_BYTES];

    of->offset = partition->position;
    of->metadata = strdup(hold_print(hold, text));
    if (!of->metadata)
        abort();
    of->metadata_size = strlen(of->metadata);
}

static void commit_send(struct share *share, rd_kafka_topic_partition_list_t *list, bool wait)
{
    if (list->cnt)
        rd_kafka_commit(share->consumer, list, !wait);
    rd_kafka_topic_partition_list_destroy(list);
}

/* With care it is the notes that commit. */
static void commit(struct share *share)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (struct partition *partition = share->partitions; partition; partition = partition->next)
        if (!partition->given_up && partition_moved(partition))
            commit_add(list, partition, &partition->hold);
    commit_send(share, list, false);
}

/* That nobody reads them now, and that their reader ended well. */
static void release(struct share *share)
{
    static const struct hold nobody;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (struct partition *partition = share->partitions; partition; partition = partition->next) {
        if (partition->given_up)
            continue;
        partition_moved(partition);
        if (partition->position >= 0)
            commit_add(list, partition, &nobody);
    }
    commit_send(share, list, true);
}

/* --- how many there are ------------------------------------------------------------------------------ */

/* The broker is asked, which takes its time. */
static void count_blocking(uv_work_t *count)
{
    struct share *share = count->data;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(share->consumer, share->counted, NULL);
    const struct rd_kafka_metadata *metadata;

    share->found = 0;
    if (topic && !rd_kafka_metadata(share->consumer, 0, topic, &metadata, COUNT_PATIENCE_MS)) {
        if (metadata->topic_cnt == 1)
            share->found = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    if (topic)
        rd_kafka_topic_destroy(topic);
}

static void count_done(uv_work_t *count, int status)
{
    struct share *share = count->data;

    (void)status;
    share->counting = false;
    if (share->found)
        share->all = share->found;
}

static void count_partitions(struct share *share)
{
    if (share->counting || share->stopping)
        return;
    share->counting = true;
    share->count.data = share;
    uv_queue_work(share->loop, &share->count, count_blocking, count_done);
}

double share_part(const struct share *share)
{
    if (!share->all)
        return 0;
    return share->assigned < share->all ? (double)share->assigned / share->all : 1;
}

static int count_assigned(const struct share *share, const rd_kafka_topic_partition_list_t *partitions)
{
    int count = 0;

    for (int i = 0; i < partitions->cnt; i++)
        count += !strcmp(partitions->elems[i].topic, share->counted);
    return count;
}

/* --- claims ------------------------------------------------------------------------------------------ */

struct claim_of {
    struct share *share;
    int assignment;
};

static void take_claimed(struct share *share, const struct claimed *claimed)
{
    struct partition *partition = share_partition(share, claimed->topic, claimed->partition);

    partition->hold = claimed->hold;
    partition->position = claimed->position;
    partition->until = claimed->until;
    rd_kafka_topic_partition_list_set_offset(share->unclaimed, claimed->topic, claimed->partition, claimed->position);
    if (!claimed->until)
        return;
    share->windows++;
    log_warn("care.began", log_word("topic", claimed->topic), log_number("partition", claimed->partition),
             log_number("falls", claimed->hold.falls), log_number("events", claimed->until - claimed->position));
}

/* Now they may be read. */
static void take_up(struct share *share)
{
    rd_kafka_assign(share->consumer, share->unclaimed);
    rd_kafka_topic_partition_list_destroy(TAKE(share->unclaimed));
}

static void on_claimed(void *context, const struct claimed *claimed, int count)
{
    struct claim_of *of = context;
    struct share *share = of->share;
    bool stands = of->assignment == share->assignment && !share->closed;

    free(of);
    share->claims--;
    if (!stands)
        return;
    share->claiming = false;
    if (count < 0 && ++share->tries < CLAIM_TRIES)
        return; /* the next turn tries again; the group does not wait for ever, so in the end without a claim */
    for (int i = 0; i < count; i++)
        take_claimed(share, &claimed[i]);
    take_up(share);
}

static void claim_assigned(struct share *share)
{
    struct claim_of *of;

    if (!share->unclaimed || share->claiming || share->stopping)
        return;
    of = malloc(sizeof(*of));
    if (!of)
        abort();
    *of = (struct claim_of){ share, share->assignment };
    share->claiming = true;
    share->claims++;
    claim_begin(share->loop, share->consumer, share->unclaimed, share->run, on_claimed, of);
}

/* What is assigned or revoked meanwhile makes a claim void. */
static void drop_unclaimed(struct share *share)
{
    share->assignment++;
    share->claiming = false;
    if (share->unclaimed)
        rd_kafka_topic_partition_list_destroy(TAKE(share->unclaimed));
}

void share_assign(struct share *share, rd_kafka_topic_partition_list_t *partitions)
{
    drop_unclaimed(share);
    if (share->closed) {
        rd_kafka_assign(share->consumer, NULL); /* the group is owed an answer */
        return;
    }
    share->assigned = count_assigned(share, partitions);
    count_partitions(share);
    share->unclaimed = rd_kafka_topic_partition_list_copy(partitions);
    share->tries = 0;
    claim_assigned(share);
}

/* All of them: it is always all that are assigned anew. */
void share_revoke(struct share *share)
{
    struct partition *next;

    drop_unclaimed(share);
    share->assigned = 0;
    share->windows = 0;
    /* Who has lost them is no member, and a static one that commits all the same is fenced for it. */
    if (!share->closed && !rd_kafka_assignment_lost(share->consumer))
        release(share);
    for (struct partition *partition = share->partitions; partition; partition = next) {
        next = partition->next;
        partition->given_up = true;
        if (!offsets_underway(partition->offsets))
            partition_free(partition);
    }
    rd_kafka_assign(share->consumer, NULL);
}

void share_turn(struct share *share)
{
    usec_t now = usec_monotonic();

    if (now - share->committed_at < COMMIT_MS * USEC_PER_MS)
        return;
    share->committed_at = now;
    if (!share->windows)
        commit(share);
    claim_assigned(share); /* the broker did not answer */
    if (share->assigned && !share->all)
        count_partitions(share); /* the broker did not answer */
}

void share_pause(struct share *share, bool pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (struct partition *partition = share->partitions; partition; partition = partition->next) {
        if (partition->given_up || partition->paused == pause || strcmp(partition->topic, share->counted))
            continue;
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
        partition->paused = pause;
    }
    if (list->cnt && pause)
        rd_kafka_pause_partitions(share->consumer, list);
    else if (list->cnt)
        rd_kafka_resume_partitions(share->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- care -------------------------------------------------------------------------------------------- */

int share_windows(const struct share *share)
{
    return share->windows;
}

bool share_is_claiming(const struct share *share)
{
    return share->unclaimed != NULL;
}

/* All in one commit: that what came before is over, and that this one begins. */
bool share_note(struct share *share, struct partition *of, int64_t offset, rd_kafka_queue_t *queue, share_noted *noted,
                void *context)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    bool sent;

    for (struct partition *partition = share->partitions; partition; partition = partition->next) {
        bool was_noted = partition->hold.at >= 0, is_this = partition == of;

        if (partition->given_up)
            continue;
        if (is_this)
            partition->position = offset;
        partition->hold.at = is_this ? offset : -1;
        if (is_this || was_noted)
            commit_add(list, partition, &partition->hold);
    }
    sent = !rd_kafka_commit_queue(share->consumer, list, queue, noted, context);
    rd_kafka_topic_partition_list_destroy(list);
    return sent;
}

bool share_is_deadly(const struct partition *partition, int64_t offset)
{
    return hold_is_deadly(&partition->hold, offset);
}

void share_end_care(struct share *share)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    log_warn("care.ended");
    share->windows = 0;
    for (struct partition *partition = share->partitions; partition; partition = partition->next) {
        if (partition->given_up || partition->position < 0)
            continue;
        partition_moved(partition);
        partition->until = 0;
        partition->hold = hold_new(share->run, partition->position, usec_now());
        commit_add(list, partition, &partition->hold);
    }
    commit_send(share, list, false);
}

/* --- birth and end ----------------------------------------------------------------------------------- */

struct share *share_new(uv_loop_t *loop, const char *counted, share_over *over, void *context)
{
    struct share *share = calloc(1, sizeof(*share));
    uint8_t random[(HOLD_RUN_BYTES - 1) / 2];

    if (!share)
        abort();
    share->loop = loop;
    share->counted = counted;
    share->over = over;
    share->context = context;
    random_bytes(random, sizeof(random));
    sodium_bin2hex(share->run, sizeof(share->run), random, sizeof(random));
    return share;
}

void share_connect(struct share *share, rd_kafka_t *consumer)
{
    share->consumer = consumer;
}

void share_stop(struct share *share)
{
    share->stopping = true;
}

bool share_is_busy(const struct share *share)
{
    return share->counting || share->claims;
}

void share_close(struct share *share)
{
    release(share);
    if (share->unclaimed)
        rd_kafka_assign(share->consumer, NULL); /* the group is owed an answer */
    drop_unclaimed(share);
    share->closed = true;
    share->windows = 0;
}

void share_free(struct share *share)
{
    if (!share)
        return;
    while (share->partitions)
        partition_free(share->partitions);
    free(share);
}
