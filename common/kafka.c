#include "common/kafka.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"

DEFINE_CLEANUP(char *, free)

/* What librdkafka says of a connection: names and brokers, never records. Its levels are
 * syslog's. */
static void log_line(const rd_kafka_t *client, int level, const char *facility, const char *message)
{
    static const enum log_level levels[] = { LOG_ERROR, LOG_ERROR, LOG_ERROR, LOG_ERROR,
                                             LOG_WARN,  LOG_INFO,  LOG_INFO,  LOG_DEBUG };

    (void)client;
    log_write(levels[level & 7], "kafka.client",
              LOG_FIELDS(log_word("facility", facility), log_word("message", message)));
}

/* One name=value, cut up in place. Its value may be a password, so only its name or place is
 * told. */
static int property_set(rd_kafka_conf_t *conf, char *entry, int number, struct err *err)
{
    char *equals = strchr(entry, '='), *name = entry, *value, problem[1];
    rd_kafka_conf_res_t set;

    if (!equals)
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_KAFKA_PROPERTIES: entry %d is not name=value",
                       number);
    value = equals + 1 + strspn(equals + 1, " \t");
    while (equals > name && strchr(" \t", equals[-1]))
        equals--;
    *equals = '\0';
    set = rd_kafka_conf_set(conf, name, value, problem, sizeof(problem));
    if (set == RD_KAFKA_CONF_UNKNOWN)
        return err_set(err, ERR_BAD_REQUEST,
                       "DOCKET_KAFKA_PROPERTIES: librdkafka has no property '%.100s'", name);
    if (set != RD_KAFKA_CONF_OK)
        return err_set(err, ERR_BAD_REQUEST,
                       "DOCKET_KAFKA_PROPERTIES: the value of '%.100s' is not allowed", name);
    return 0;
}

static int properties_set(rd_kafka_conf_t *conf, const char *properties, struct err *err)
{
    _cleanup_(freep) char *text = strdup(properties);
    const char *separators = strchr(properties, '\n') ? "\r\n" : ",";
    char *rest = text, *entry;
    int r = 0;

    if (!text)
        abort();
    for (int number = 1; r == 0 && (entry = strsep(&rest, separators)); number++) {
        entry += strspn(entry, " \t");
        if (*entry)
            r = property_set(conf, entry, number, err);
    }
    explicit_bzero(text, strlen(properties));
    return r;
}

int kafka_conf(const struct config *config, rd_kafka_conf_t **ret, struct err *err)
{
    _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char problem[256];
    int r;

    rd_kafka_conf_set_log_cb(conf, log_line);
    if (rd_kafka_conf_set(conf, "client.id", program_invocation_short_name, problem,
                          sizeof(problem)) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "bootstrap.servers", config->kafka_brokers, problem,
                          sizeof(problem)) != RD_KAFKA_CONF_OK)
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_KAFKA_BROKERS: %s", problem);
    /* A broker that comes back is found within a second, not within librdkafka's ten. */
    if (rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "1000", problem, sizeof(problem)) !=
        RD_KAFKA_CONF_OK)
        return err_cause(err, ERR_INTERNAL, "kafka: %s", problem);
    r = properties_set(conf, config->kafka_properties, err);
    if (r < 0)
        return r;
    *ret = TAKE(conf);
    return 0;
}

/* What stays wrong however often it is tried. */
static bool is_final(rd_kafka_resp_err_t error)
{
    static const rd_kafka_resp_err_t finals[] = {
        RD_KAFKA_RESP_ERR__FATAL,
        RD_KAFKA_RESP_ERR__FENCED,
        RD_KAFKA_RESP_ERR__INVALID_ARG,
        RD_KAFKA_RESP_ERR__INVALID_TYPE,
        RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
        RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
        RD_KAFKA_RESP_ERR_INVALID_CONFIG,
        RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
        RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RD_KAFKA_RESP_ERR_INVALID_REQUEST,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
    };

    for (size_t i = 0; i < COUNT_OF(finals); i++)
        if (finals[i] == error)
            return true;
    return false;
}

int kafka_err(rd_kafka_resp_err_t error, struct err *err)
{
    return err_cause(err, is_final(error) ? ERR_INTERNAL : ERR_UNAVAILABLE, "kafka: %s",
                     rd_kafka_err2name(error));
}
