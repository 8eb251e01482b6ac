#include "worker/ctl/audit/attest.h"

#include <sodium.h>
#include <string.h>

/* Kafka's time of a record, and when it was read for a checkpoint, are of different clocks. */
#define CLOCKS_APART (10 * 60 * USEC_PER_S)

/* --- finding it ---------------------------------------------------------------------------------------- */

struct search {
    const struct request *request;
    const struct trust *trust;
    struct digest *digest;
    struct arena *arena, *reading; /* of what is kept; of a checkpoint that is looked at */
    struct attest *attest;
};

/* Most checkpoints speak of others: their bytes tell. */
static bool may_name(const struct record *record, const char *id)
{
    return record->value && memmem(record->value, record->value_length, id, strlen(id)) != NULL;
}

static int head_index(const struct checkpoint *checkpoint, const char *id)
{
    for (int i = 0; i < checkpoint->head_count; i++)
        if (!strcmp(checkpoint->heads[i].id, id))
            return i;
    return -1;
}

static bool is_believed(const struct search *search, const struct record *record, const struct checkpoint *checkpoint,
                        const char *text)
{
    const uint8_t *key = trust_key(search->trust, checkpoint);
    uint8_t signature[SIGN_BYTES];

    return key && text && sign_parse(text, signature) && !memcmp(key, checkpoint->public_key, SIGN_PUBLIC_BYTES) &&
           sign_check(key, record->value, record->value_length, signature);
}

static int attest_keep(struct search *search, const struct record *record, const char *signature, int index,
                       struct err *err)
{
    struct attest *attest = search->attest;

    attest->value = arena_memdup(search->arena, record->value, record->value_length);
    attest->value_length = record->value_length;
    attest->signature = arena_strdup(search->arena, signature);
    attest->index = index;
    attest->found = true;
    return checkpoint_read(attest->value, attest->value_length, search->digest, search->arena, &attest->checkpoint,
                           err);
}

static int checkpoint_look(struct search *search, const struct record *record, struct err *err)
{
    struct checkpoint checkpoint;
    struct record_event event;
    struct err wrong;
    int index;

    arena_clear(search->reading);
    if (!may_name(record, search->request->id) ||
        checkpoint_read(record->value, record->value_length, search->digest, search->reading, &checkpoint, &wrong) < 0 ||
        (index = head_index(&checkpoint, search->request->id)) < 0)
        return 0;
    record_event(record, &event);
    if (!is_believed(search, record, &checkpoint, event.attributes[RECORD_SIGNATURE])) {
        search->attest->unknown++;
        return 0;
    }
    if (search->attest->found && attest_head(search->attest)->seq >= checkpoint.heads[index].seq)
        return 0;
    return attest_keep(search, record, event.attributes[RECORD_SIGNATURE], index, err);
}

static bool is_last(const struct search *search)
{
    return search->attest->found && attest_head(search->attest)->seq >= search->request->count;
}

static int checkpoints_look(struct search *search, const struct config *config, usec_t since, struct err *err)
{
    const struct log_range range = { .since = since == USEC_NONE ? USEC_NONE : since - CLOCKS_APART,
                                     .partition = LOG_ALL };
    _cleanup_(log_closep) struct log *log = NULL;
    const struct record *record = NULL;
    int r = log_open(config, "checkpoints", &range, &log, err);

    if (r == -ERR_NOT_FOUND)
        return 0; /* none were ever made */
    search->attest->unknown = 0;
    while (r == 0 && !is_last(search) && (r = log_next(log, &record, err)) == 0 && record)
        r = checkpoint_look(search, record, err);
    return r;
}

int attest_find(const struct config *config, const struct request *request, const struct trust *trust,
                struct arena *arena, struct attest *ret, struct err *err)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    _cleanup_(arena_freep) struct arena *reading = arena_new();
    struct search search = { request, trust, digest, arena, reading, ret };
    int r;

    *ret = (struct attest){ 0 };
    r = checkpoints_look(&search, config, request->events[request->count - 1]->record.timestamp, err);
    if (r == 0 && !is_last(&search))
        r = checkpoints_look(&search, config, request->events[0]->record.timestamp, err);
    return r;
}

const struct checkpoint_head *attest_head(const struct attest *attest)
{
    return &attest->checkpoint.heads[attest->index];
}

bool attest_holds(const struct attest *attest, const struct request *request)
{
    const struct checkpoint_head *head = attest_head(attest);

    return head->seq <= request->whole &&
           !memcmp(request->events[head->seq - 1]->event.chain, head->chain, DIGEST_BYTES);
}

/* --- the proof ----------------------------------------------------------------------------------------- */

static void base64_add(struct arena *arena, const void *bytes, size_t length, struct buf *out)
{
    size_t room = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = arena_alloc(arena, room);

    buf_json_string(out, sodium_bin2base64(text, room, bytes, length, sodium_base64_VARIANT_ORIGINAL));
}

/* Texts of events end in NUL. */
static void event_add(const struct request_event *event, struct buf *out)
{
    buf_adds(out, "{\"headers\":{");
    for (int i = 0; i < event->record.header_count; i++) {
        const struct record_header *header = &event->record.headers[i];

        buf_adds(out, i ? "," : "");
        buf_json_string(out, header->name);
        buf_addc(out, ':');
        buf_json_string(out, header->value ? header->value : "");
    }
    buf_adds(out, "},\"value\":");
    buf_json_string(out, event->record.value);
    buf_addc(out, '}');
}

static void path_add(const struct attest *attest, struct arena *arena, struct buf *out)
{
    _cleanup_(digest_freep) struct digest *digest = digest_new();
    const struct merkle_hash *leaves = checkpoint_leaves(&attest->checkpoint, digest, arena);
    struct merkle_hash path[MERKLE_PATH_MAX];
    char hex[DIGEST_HEX_BYTES];
    int length = merkle_path(digest, leaves, (size_t)attest->checkpoint.head_count, (size_t)attest->index, path);

    buf_adds(out, "[");
    for (int i = 0; i < length; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", digest_hex(path[i].bytes, hex));
    buf_adds(out, "]");
}

void attest_proof(const struct attest *attest, const struct request *request, struct arena *arena, struct buf *out)
{
    const struct checkpoint *checkpoint = &attest->checkpoint;
    const struct checkpoint_head *head = attest_head(attest);
    char hex[DIGEST_HEX_BYTES], key[SIGN_PUBLIC_TEXT_BYTES];

    buf_adds(out, "{\"request_id\":");
    buf_json_string(out, request->id);
    buf_adds(out, ",\n\"events\":[\n");
    for (int64_t i = 0; i < head->seq; i++) {
        buf_adds(out, i ? ",\n" : "");
        event_add(request->events[i], out);
    }
    buf_printf(out, "],\n\"head\":{\"sequence\":%lld,\"chain\":\"%s\"},\n\"checkpoint\":{\"number\":%lld,\"value\":",
               (long long)head->seq, digest_hex(head->chain, hex), (long long)checkpoint->number);
    base64_add(arena, attest->value, attest->value_length, out);
    buf_adds(out, ",\"signature\":");
    buf_json_string(out, attest->signature);
    buf_adds(out, ",\"key_id\":");
    buf_json_string(out, checkpoint->key_id);
    buf_adds(out, "},\n\"path\":");
    path_add(attest, arena, out);
    buf_printf(out, ",\"index\":%d,\"count\":%d,\n\"public_key\":\"%s\"}\n", attest->index, checkpoint->head_count,
               sign_public_text(checkpoint->public_key, key));
}
