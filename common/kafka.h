/*
 * kafka - what every client of the bus begins with, and its errors in our words.
 *
 * Ownership: the configuration is the caller's until rd_kafka_new() takes it (rd_kafka_conf_destroy
 * before).
 * Errors:    ERR_BAD_REQUEST for a setting that cannot be right, named without its value.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "common/err.h"

struct config;

DEFINE_CLEANUP(rd_kafka_t *, rd_kafka_destroy)
DEFINE_CLEANUP(rd_kafka_conf_t *, rd_kafka_conf_destroy)

/*
 * Brokers, client.id (the program's name), log lines into common/log, then DOCKET_KAFKA_PROPERTIES
 * over these: name=value with commas; where there is a line end, with line ends alone, so that a
 * value may hold commas.
 */
int kafka_conf(const struct config *config, rd_kafka_conf_t **ret, struct err *err) MUST_CHECK;

/* Translates librdkafka's error into err: ERR_UNAVAILABLE, unless trying again can never help. */
int kafka_err(rd_kafka_resp_err_t error, struct err *err);
