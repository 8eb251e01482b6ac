#include "common/chain.h"

#include <string.h>

enum { NEAR_BYTES = 1536 }; /* most events fit: then they are hashed in one go */

/* Collects small parts, so that the hash is not called for each of them. */
struct parts {
    struct digest *digest;
    size_t length;
    uint8_t bytes[NEAR_BYTES];
};

static void parts_add(struct parts *parts, const void *bytes, size_t length)
{
    if (parts->length + length > NEAR_BYTES) {
        digest_add(parts->digest, parts->bytes, parts->length);
        parts->length = 0;
    }
    if (length > NEAR_BYTES) {
        digest_add(parts->digest, bytes, length);
        return;
    }
    memcpy(parts->bytes + parts->length, bytes, length);
    parts->length += length;
}

static const enum record_attribute covered[] = { RECORD_ID,     RECORD_TYPE,  RECORD_TIME,
                                                 RECORD_SOURCE, RECORD_CAUSE, RECORD_TRACEPARENT };

void chain_text(const struct record_event *event, const void *value, size_t length, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(covered); i++) {
        const char *text = event->attributes[covered[i]];

        buf_adds(out, text ? text : "");
        buf_addc(out, '\n');
    }
    buf_add(out, value, length);
}

void chain_next(struct digest *digest, const uint8_t *previous, const struct record_event *event, const void *value,
                size_t length, uint8_t ret[DIGEST_BYTES])
{
    struct parts parts;

    parts.digest = digest;
    parts.length = 0;
    digest_begin(digest);
    if (previous)
        parts_add(&parts, previous, DIGEST_BYTES);
    for (size_t i = 0; i < COUNT_OF(covered); i++) {
        const char *text = event->attributes[covered[i]];

        if (text)
            parts_add(&parts, text, strlen(text));
        parts_add(&parts, "\n", 1);
    }
    if (length)
        parts_add(&parts, value, length);
    digest_add(digest, parts.bytes, parts.length);
    digest_end(digest, ret);
}

bool chain_id_read(const void *bytes, size_t length, char ret[CHAIN_ID_MAX + 1])
{
    const char *text = bytes;
    bool wrong = false;

    if (!text || !length || length > CHAIN_ID_MAX)
        return false;
    for (size_t i = 0; i < length; i++) /* it stands in JSON and in lines as it is */
        wrong |= text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\';
    memcpy(ret, text, length);
    ret[length] = '\0';
    return !wrong;
}

bool chain_link_of(const struct record *record, const struct record_event *event, struct chain_link *ret)
{
    if (!event->sequence || !event->has_chain || !chain_id_read(record->key, record->key_length, ret->id))
        return false;
    ret->seq = event->sequence;
    memcpy(ret->chain, event->chain, DIGEST_BYTES);
    return true;
}

void chain_mark(struct digest *digest, const struct record *record, const struct chain_link *link,
                uint8_t ret[DIGEST_BYTES])
{
    if (link)
        memcpy(ret, link->chain, DIGEST_BYTES);
    else
        digest_of(digest, record->value ? record->value : "", record->value_length, ret);
}
