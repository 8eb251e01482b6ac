#include "common/record.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/digest.h"

enum { SEQUENCE_DIGITS = 20 };

static const struct attribute {
    const char *name;
    size_t length;
} attributes[RECORD_ATTRIBUTES] = {
#define ATTRIBUTE(NAME, name) [RECORD_##NAME] = { name, sizeof(name) - 1 },
#include "common/record.tbl.h"
#undef ATTRIBUTE
};

const char *record_attribute_name(enum record_attribute attribute)
{
    return attributes[attribute].name;
}

static void headers_read(const rd_kafka_message_t *message, struct record *ret)
{
    rd_kafka_headers_t *headers;

    ret->header_count = 0;
    ret->has_more_headers = false;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (ret->header_count < RECORD_HEADERS_MAX) {
        struct record_header *header = &ret->headers[ret->header_count];

        if (rd_kafka_header_get_all(headers, (size_t)ret->header_count, &header->name, &header->value,
                                    &header->length) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        ret->header_count++;
    }
    ret->has_more_headers = rd_kafka_header_cnt(headers) > RECORD_HEADERS_MAX;
}

void record_read(const rd_kafka_message_t *message, struct record *ret)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);

    ret->topic = rd_kafka_topic_name(message->rkt);
    ret->partition = message->partition;
    ret->offset = message->offset;
    ret->timestamp = timestamp < 0 ? USEC_NONE : timestamp * USEC_PER_MS;
    ret->key = message->key;
    ret->key_length = message->key_len;
    ret->value = message->payload;
    ret->value_length = message->len;
    headers_read(message, ret);
}

/* Headers come in docket's order, or nearly: where the one before was found is where to look first. */
static int attribute_find(const char *name, int first)
{
    size_t length;

    if (first < RECORD_ATTRIBUTES && !strcmp(name, attributes[first].name))
        return first;
    length = strlen(name);
    for (int i = 0; i < RECORD_ATTRIBUTES; i++) {
        int at = (first + i) % RECORD_ATTRIBUTES;

        if (attributes[at].length == length && !memcmp(attributes[at].name, name, length))
            return at;
    }
    return -1;
}

static int64_t sequence_read(const char *text)
{
    int64_t number = 0;

    if (!text || strlen(text) != SEQUENCE_DIGITS || text[0] != '0')
        return 0; /* an int64_t has 19 */
    for (int i = 0; i < SEQUENCE_DIGITS; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text[i] - '0', &number))
            return 0;
    return number;
}

void record_attributes(const struct record_header *headers, int count, struct record_event *ret)
{
    const char *chain;
    int next = 0;

    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < count; i++) {
        const struct record_header *header = &headers[i];
        int at = attribute_find(header->name, next);

        if (at < 0) {
            ret->unknown = header->name;
            continue;
        }
        next = at + 1;
        if (ret->attributes[at] || (header->value && memchr(header->value, '\0', header->length)))
            ret->doubled = header->name;
        ret->attributes[at] = header->value;
    }
    ret->sequence = sequence_read(ret->attributes[RECORD_SEQUENCE]);
    chain = ret->attributes[RECORD_CHAIN];
    ret->has_chain = chain && digest_parse(chain, strlen(chain), ret->chain) == 0;
}

void record_event(const struct record *record, struct record_event *ret)
{
    record_attributes(record->headers, record->header_count, ret);
}
