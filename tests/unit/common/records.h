/*
 * records - records as tests make them: right ones of both topics, and changes of them.
 */
#pragma once

#include "common/arrival.h"
#include "tests/unit/test.h"

#define REQUEST_ID "pri_1f0c4a52-6f5e-4a0e-9d5b-0a5c2f1f7b3e"
#define CHAIN_TEXT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { SAMPLE_HEADERS_MAX = 32 };

struct sample {
    struct arrival record;
    struct record_header headers[SAMPLE_HEADERS_MAX];
};

static inline void set_text(const void **bytes, size_t *length, const char *text)
{
    *bytes = text;
    *length = text ? strlen(text) : 0;
}

static inline void sample_add(struct sample *sample, const char *name, const char *value)
{
    struct record_header *header = &sample->headers[sample->record.header_count++];

    assert_true(sample->record.header_count <= SAMPLE_HEADERS_MAX);
    header->name = name;
    set_text(&header->value, &header->length, value);
    sample->record.headers = sample->headers;
}

/* value NULL: the header is not there. */
static inline void sample_set(struct sample *sample, const char *name, const char *value)
{
    int kept = 0;

    for (int i = 0; i < sample->record.header_count; i++)
        if (strcmp(sample->headers[i].name, name) != 0)
            sample->headers[kept++] = sample->headers[i];
    sample->record.header_count = kept;
    if (value)
        sample_add(sample, name, value);
}

static inline void sample_value(struct sample *sample, const char *value)
{
    set_text(&sample->record.value, &sample->record.length, value);
}

static inline void sample_key(struct sample *sample, const char *key)
{
    set_text(&sample->record.key, &sample->record.key_length, key);
}

static inline void sample_begin(struct sample *sample)
{
    memset(sample, 0, sizeof(*sample));
    sample_key(sample, REQUEST_ID);
    sample_add(sample, "content-type", "application/json");
    sample_add(sample, "ce_specversion", "1.0");
}

static inline void sample_lifecycle(struct sample *sample)
{
    sample_begin(sample);
    sample_add(sample, "ce_id", REQUEST_ID ".3");
    sample_add(sample, "ce_source", "/docket/local/docket-worker");
    sample_add(sample, "ce_type", "docket.request.completed.v1");
    sample_add(sample, "ce_subject", REQUEST_ID);
    sample_add(sample, "ce_time", "2026-01-02T03:04:05.678901Z");
    sample_add(sample, "ce_dataschema", "docket:events/docket.request.completed.v1.json");
    sample_add(sample, "ce_traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    sample_add(sample, "ce_sequence", "00000000000000000003");
    sample_add(sample, "ce_chain", CHAIN_TEXT);
    sample_value(sample, "{\"request_id\":\"" REQUEST_ID "\",\"status\":\"complete\"}");
}

#define REPLY_DATA                                                                                            \
    "{\"request_id\":\"" REQUEST_ID "\",\"webhook_id\":\"pre_1\",\"eligible\":true,\"received_at\":"            \
    "\"2026-01-02T03:04:05.678901Z\"}"

static inline void sample_reply(struct sample *sample)
{
    sample_begin(sample);
    sample_add(sample, "ce_id", REQUEST_ID ".pre_1.eligible");
    sample_add(sample, "ce_source", "/docket/local/docket-callback");
    sample_add(sample, "ce_type", "docket.reply.eligible.v1");
    sample_add(sample, "ce_subject", REQUEST_ID);
    sample_add(sample, "ce_time", "2026-01-02T03:04:05.678901Z");
    sample_value(sample, REPLY_DATA);
}

#define STRUCTURED(more, data)                                                                                \
    "{\"specversion\":\"1.0\",\"id\":\"x-1\",\"source\":\"/crm\",\"type\":\"docket.reply.eligible.v1\"" more data "}"

static inline void sample_structured(struct sample *sample, const char *value)
{
    memset(sample, 0, sizeof(*sample));
    sample_key(sample, REQUEST_ID);
    sample_add(sample, "content-type", "application/cloudevents+json; charset=UTF-8");
    sample_value(sample, value);
}
