/*
 * share - the partitions that this worker has of the group's: claimed before they are read (claim.h), committed up to the
 * first event that is not settled, released when it ends or others get them.
 *
 * Where earlier readers died again and again (hold.h), a partition has a window that is to be read with care: one event
 * at a time over all partitions, each noted before it is begun.
 *
 * Threads:   the loop's; the broker is asked on libuv's thread pool.
 * Ownership: a partition is its share's; one that was given up stays until its last event is over.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <uv.h>

#include "worker/hold.h"
#include "worker/offsets.h"

struct share;

struct partition {
    char topic[192];
    int32_t number;
    struct offsets *offsets;
    bool given_up; /* another worker has it */
    /* share's own: */
    struct hold hold;  /* what its commits carry */
    int64_t position;  /* committed last, or to be; -1: not known */
    int64_t until;     /* its window ends there; 0: it has none, or is past it */
    bool paused;
    struct share *share;
    struct partition *next;
};

/* An event of the partition is over; it may be gone after this. */
typedef void share_over(void *context, struct partition *partition);

/* `counted`: the topic whose partitions share_part() is about. */
struct share *share_new(uv_loop_t *loop, const char *counted, share_over *over, void *context);
void share_free(struct share *share); /* accepts NULL */
/* Before anything else; must outlive it until share_close(). */
void share_connect(struct share *share, rd_kafka_t *consumer);

/* What the consumer's rebalance callback is told. */
void share_assign(struct share *share, rd_kafka_topic_partition_list_t *partitions);
void share_revoke(struct share *share);

struct partition *share_partition(struct share *share, const char *topic, int32_t number);
/* An event that offsets_add() knows by this ticket needs nothing more. */
void share_done(struct partition *partition, uint64_t ticket);
/* Commits what is settled, and claims what could not be claimed: to be told often. */
void share_turn(struct share *share);
/* The counted topic is read no further, or again. */
void share_pause(struct share *share, bool pause);
/* How many partitions it has of the counted topic, over all that there are: 0 to 1; 0 until that is known. */
double share_part(const struct share *share);

/* Partitions that are not past their window. */
int share_windows(const struct share *share);
/* Some were assigned and not claimed yet: more windows may come. */
bool share_is_claiming(const struct share *share);
/* The event at `offset` is about to be begun, all before it are over: written down by the broker, then `noted` is called
 * from rd_kafka_queue_poll_callback(queue). False: it could not be asked. */
typedef void share_noted(rd_kafka_t *consumer, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                         void *context);
bool share_note(struct share *share, struct partition *of, int64_t offset, rd_kafka_queue_t *queue, share_noted *noted,
                void *context);
/* Readers before this one died at it, and nobody is to any more. */
bool share_is_deadly(const struct partition *partition, int64_t offset);
/* All windows are passed: whoever dies next died of something else. */
void share_end_care(struct share *share);

/* Begins nothing more on another thread. */
void share_stop(struct share *share);
bool share_is_busy(const struct share *share); /* on another thread: not to be freed now */
/* The last commit: what is settled, and that this reader ended well. No event is settled after it. */
void share_close(struct share *share);
