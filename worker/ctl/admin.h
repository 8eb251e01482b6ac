/*
 * admin - topics as an administrator sees and changes them.
 *
 * Threads:   one. Ownership: what is read is the arena's.
 * Errors:    librdkafka's in our words (common/kafka.h); ERR_UNAVAILABLE when no broker answers in time.
 */
#pragma once

#include <stdbool.h>

#include "common/arena.h"
#include "common/kafka.h"

struct admin_setting {
    const char *name, *value;
};

/* As it is; `settings` are those in effect, wherever they come from. */
struct admin_topic {
    bool exists;
    int partitions, replicas; /* replicas: of the partition that has the fewest */
    int setting_count;
    struct admin_setting *settings;
};

/* As it is to be made. */
struct admin_new {
    const char *name;
    int partitions, replicas;
    int setting_count;
    const struct admin_setting *settings;
};

int admin_open(const struct config *config, rd_kafka_t **ret, struct err *err) MUST_CHECK;

/* Returns once its partitions have leaders. *created is false when it was there before. */
int admin_create(rd_kafka_t *client, const struct admin_new *topic, bool *created, struct err *err) MUST_CHECK;

int admin_partitions(rd_kafka_t *client, const char *name, int *ret, struct err *err) MUST_CHECK;

/* 0 with exists false when there is none. */
int admin_describe(rd_kafka_t *client, const char *name, struct arena *arena, struct admin_topic *ret,
                   struct err *err) MUST_CHECK;
const char *admin_value(const struct admin_topic *topic, const char *name); /* NULL: the broker does not know it */

/* Sets these and leaves the topic's other settings as they are. */
int admin_alter(rd_kafka_t *client, const char *name, const struct admin_setting *settings, int count,
                struct err *err) MUST_CHECK;
int admin_grow(rd_kafka_t *client, const char *name, int partitions, struct err *err) MUST_CHECK;
