#include "common/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/scan.h"

enum { WINDOWS_MAX = 20000 }; /* partitions of all topics: config.tbl.h bounds them */

const char *const checkpoint_topics[] = { "lifecycle", "configuration", NULL };

/* --- writing ----------------------------------------------------------------------------------------- */

static void window_write(const struct checkpoint_window *window, struct buf *out)
{
    char hex[DIGEST_HEX_BYTES];

    buf_printf(out,
               "{\"topic\":\"%s\",\"partition\":%" PRId32 ",\"from\":%" PRId64 ",\"to\":%" PRId64
               ",\"records\":%" PRId64 ",\"digest\":\"%s\"}",
               window->topic, window->partition, window->from, window->to, window->records,
               digest_hex(window->digest, hex));
}

/* Ids are written as they are: chain_link_of() takes none that would need an escape. */
static void head_write(const struct checkpoint_head *head, struct buf *out)
{
    char hex[DIGEST_HEX_BYTES];

    buf_printf(out, "{\"id\":\"%s\",\"sequence\":%" PRId64 ",\"chain\":\"%s\"}", head->id, head->seq,
               digest_hex(head->chain, hex));
}

void checkpoint_write(const struct checkpoint *checkpoint, struct buf *out)
{
    char hex[DIGEST_HEX_BYTES], time[USEC_TEXT_BYTES], key[SIGN_PUBLIC_TEXT_BYTES];

    buf_printf(out, "{\"number\":%" PRId64 ",\"previous\":", checkpoint->number);
    buf_json_string(out, checkpoint->has_previous ? digest_hex(checkpoint->previous, hex) : NULL);
    buf_printf(out, ",\"made_at\":\"%s\",\"key_id\":\"%s\",\"public_key\":\"%s\",\"windows\":[",
               usec_format_z(checkpoint->made_at, time), checkpoint->key_id,
               sign_public_text(checkpoint->public_key, key));
    for (int i = 0; i < checkpoint->window_count; i++) {
        buf_adds(out, i ? "," : "");
        window_write(&checkpoint->windows[i], out);
    }
    buf_printf(out, "],\"root\":\"%s\",\"heads\":[", digest_hex(checkpoint->root.bytes, hex));
    for (int i = 0; i < checkpoint->head_count; i++) {
        buf_adds(out, i ? "," : "");
        head_write(&checkpoint->heads[i], out);
    }
    buf_adds(out, "]}");
}

/* --- reading ----------------------------------------------------------------------------------------- */

/* A member of an object: how its value is read into a field. */
struct member {
    const char *name;
    bool (*read)(struct scan_token token, void *field);
    size_t offset;
};

struct reading {
    struct scan scan;
    struct arena *arena;
    const char *wrong; /* the member that is missing or not as it should be; NULL */
};

static bool read_number(struct scan_token token, void *field)
{
    int64_t number = 0;

    if (token.kind != SCAN_PLAIN || !token.length)
        return false;
    for (size_t i = 0; i < token.length; i++)
        if (token.text[i] < '0' || token.text[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, token.text[i] - '0', &number))
            return false;
    *(int64_t *)field = number;
    return true;
}

static bool read_partition(struct scan_token token, void *field)
{
    int64_t number;

    if (!read_number(token, &number) || number > INT32_MAX)
        return false;
    *(int32_t *)field = (int32_t)number;
    return true;
}

/* What stands between the quotes; texts of ours have no escapes. */
static bool text_of(struct scan_token token, const char **text, size_t *length)
{
    if (token.kind != SCAN_STRING || token.length < 2 || memchr(token.text, '\\', token.length))
        return false;
    *text = token.text + 1;
    *length = token.length - 2;
    return true;
}

static bool read_digest(struct scan_token token, void *field)
{
    const char *text;
    size_t length;

    return text_of(token, &text, &length) && digest_parse(text, length, field) == 0;
}

struct maybe_digest {
    bool has;
    uint8_t bytes[DIGEST_BYTES];
};

static bool read_maybe_digest(struct scan_token token, void *field)
{
    struct maybe_digest *digest = field;

    if (token.kind == SCAN_PLAIN && token.length == 4 && !memcmp(token.text, "null", 4))
        return true;
    digest->has = read_digest(token, digest->bytes);
    return digest->has;
}

struct text {
    const char *text;
    size_t length;
};

static bool read_text(struct scan_token token, void *field)
{
    struct text *text = field;

    return text_of(token, &text->text, &text->length) && text->length > 0;
}

/* Everything in the table is there once, anything else is skipped: false, and what is wrong, otherwise. */
static bool object_read(struct reading *reading, const struct member *members, int count, void *into)
{
    unsigned seen = 0;
    int next = 0;
    struct scan_token key = scan_next(&reading->scan);

    for (; key.kind == SCAN_KEY; key = scan_next(&reading->scan)) {
        struct scan_token value = scan_next(&reading->scan);
        int at = -1;

        for (int i = 0; i < count && at < 0; i++) { /* they come in the table's order, or nearly */
            const char *name = members[(next + i) % count].name;

            if (strlen(name) + 2 == key.length && !memcmp(name, key.text + 1, key.length - 2))
                at = (next + i) % count;
        }
        next = at + 1;
        if (value.kind == SCAN_OBJECT || value.kind == SCAN_LIST)
            value = scan_whole(&reading->scan, value);
        if (at < 0)
            continue;
        if ((seen & 1u << at) || !members[at].read(value, (char *)into + members[at].offset)) {
            reading->wrong = members[at].name;
            return false;
        }
        seen |= 1u << at;
    }
    for (int i = 0; i < count && !reading->wrong; i++)
        if (!(seen & 1u << i))
            reading->wrong = members[i].name;
    return !reading->wrong && key.kind == SCAN_CLOSE;
}

static bool read_list(struct scan_token token, void *field)
{
    struct text *text = field;

    if (token.kind != SCAN_LIST)
        return false;
    text->text = token.text;
    text->length = token.length;
    return true;
}

struct document {
    int64_t number;
    struct maybe_digest previous;
    struct text made_at, key_id, public_key, windows, heads;
    uint8_t root[DIGEST_BYTES];
};

static const struct member document_members[] = {
    { "number", read_number, offsetof(struct document, number) },
    { "previous", read_maybe_digest, offsetof(struct document, previous) },
    { "made_at", read_text, offsetof(struct document, made_at) },
    { "key_id", read_text, offsetof(struct document, key_id) },
    { "public_key", read_text, offsetof(struct document, public_key) },
    { "windows", read_list, offsetof(struct document, windows) },
    { "root", read_digest, offsetof(struct document, root) },
    { "heads", read_list, offsetof(struct document, heads) },
};

struct window_text {
    struct text topic;
    struct checkpoint_window window;
};

static const struct member window_members[] = {
    { "topic", read_text, offsetof(struct window_text, topic) },
    { "partition", read_partition, offsetof(struct window_text, window.partition) },
    { "from", read_number, offsetof(struct window_text, window.from) },
    { "to", read_number, offsetof(struct window_text, window.to) },
    { "records", read_number, offsetof(struct window_text, window.records) },
    { "digest", read_digest, offsetof(struct window_text, window.digest) },
};

struct head_text {
    struct text id;
    struct checkpoint_head head;
};

static const struct member head_members[] = {
    { "id", read_text, offsetof(struct head_text, id) },
    { "sequence", read_number, offsetof(struct head_text, head.seq) },
    { "chain", read_digest, offsetof(struct head_text, head.chain) },
};

/* Of a list: its elements must be objects. Returns how many, -1 for something else. */
static int list_count(struct text list)
{
    struct scan scan = scan_of(list.text, list.length);
    struct scan_token token;
    int count = 0;

    scan_next(&scan); /* the bracket */
    while ((token = scan_next(&scan)).kind == SCAN_OBJECT) {
        scan_whole(&scan, token);
        count++;
    }
    return token.kind == SCAN_CLOSE ? count : -1;
}

/* Of a watched topic; -1 for another. */
static int topic_index(struct text name)
{
    for (int i = 0; checkpoint_topics[i]; i++)
        if (strlen(checkpoint_topics[i]) == name.length && !memcmp(checkpoint_topics[i], name.text, name.length))
            return i;
    return -1;
}

/* Windows begin and end, hold no more than they have room for, and stand in the order of topics and partitions. */
static bool window_is_right(const struct checkpoint_window *window, int topic, const struct checkpoint_window *before,
                            int topic_before)
{
    if (topic < 0 || window->from >= window->to || window->records > window->to - window->from ||
        window->records > CHECKPOINT_RECORDS_MAX)
        return false;
    return topic > topic_before || (topic == topic_before && window->partition > before->partition);
}

static bool windows_read(struct reading *reading, struct text list, struct checkpoint *ret)
{
    int count = list_count(list), topic_before = -1;
    struct checkpoint_window *windows;

    reading->wrong = "windows";
    if (count < 0 || count > WINDOWS_MAX)
        return false;
    windows = arena_array(reading->arena, struct checkpoint_window, (size_t)count + 1);
    reading->scan = scan_of(list.text + 1, list.length - 1);
    for (int i = 0; i < count; i++) {
        struct window_text window = { 0 };
        int topic;

        reading->wrong = NULL;
        scan_next(&reading->scan);
        if (!object_read(reading, window_members, COUNT_OF(window_members), &window))
            return false;
        windows[i] = window.window;
        topic = topic_index(window.topic);
        reading->wrong = "windows";
        if (!window_is_right(&windows[i], topic, i ? &windows[i - 1] : NULL, topic_before))
            return false;
        windows[i].topic = checkpoint_topics[topic];
        topic_before = topic;
    }
    reading->wrong = NULL;
    ret->windows = windows;
    ret->window_count = count;
    return true;
}

static bool heads_read(struct reading *reading, struct text list, struct checkpoint *ret)
{
    int count = list_count(list);
    struct checkpoint_head *heads;

    reading->wrong = "heads";
    if (count < 0 || count > CHECKPOINT_HEADS_MAX)
        return false;
    heads = arena_array(reading->arena, struct checkpoint_head, (size_t)count + 1);
    reading->scan = scan_of(list.text + 1, list.length - 1);
    for (int i = 0; i < count; i++) {
        struct head_text head = { 0 };

        reading->wrong = NULL;
        scan_next(&reading->scan);
        if (!object_read(reading, head_members, COUNT_OF(head_members), &head))
            return false;
        heads[i] = head.head;
        heads[i].id = arena_strndup(reading->arena, head.id.text, head.id.length);
        reading->wrong = "heads";
        if (!heads[i].seq || head.id.length > CHAIN_ID_MAX || (i && strcmp(heads[i - 1].id, heads[i].id) >= 0))
            return false;
    }
    reading->wrong = NULL;
    ret->heads = heads;
    ret->head_count = count;
    return true;
}

static bool key_read(struct reading *reading, const struct document *document, struct checkpoint *ret)
{
    struct sign_public key;

    reading->wrong = "public_key";
    if (!sign_public_parse(arena_printf(reading->arena, "%.*s:%.*s", (int)document->key_id.length,
                                        document->key_id.text, (int)document->public_key.length,
                                        document->public_key.text),
                           &key))
        return false;
    reading->wrong = NULL;
    memcpy(ret->key_id, key.id, sizeof(ret->key_id));
    memcpy(ret->public_key, key.key, sizeof(ret->public_key));
    return true;
}

static bool time_read(struct reading *reading, const struct document *document, struct checkpoint *ret)
{
    reading->wrong = "made_at";
    if (!usec_parse(arena_strndup(reading->arena, document->made_at.text, document->made_at.length), &ret->made_at))
        return false;
    reading->wrong = NULL;
    return true;
}

static bool document_read(struct reading *reading, bool whole, struct checkpoint *ret)
{
    struct document document = { 0 };

    reading->wrong = "object";
    if (scan_next(&reading->scan).kind != SCAN_OBJECT)
        return false;
    reading->wrong = NULL;
    if (!object_read(reading, document_members, COUNT_OF(document_members), &document) ||
        scan_next(&reading->scan).kind != SCAN_END)
        return false;
    ret->number = document.number;
    ret->has_previous = document.previous.has;
    memcpy(ret->previous, document.previous.bytes, DIGEST_BYTES);
    memcpy(ret->root.bytes, document.root, DIGEST_BYTES);
    if (!time_read(reading, &document, ret) || !key_read(reading, &document, ret))
        return false;
    return !whole || (windows_read(reading, document.windows, ret) && heads_read(reading, document.heads, ret));
}

const struct merkle_hash *checkpoint_leaves(const struct checkpoint *checkpoint, struct digest *digest,
                                            struct arena *arena)
{
    struct merkle_hash *leaves = arena_array(arena, struct merkle_hash, (size_t)checkpoint->head_count + 1);

    for (int i = 0; i < checkpoint->head_count; i++) {
        const struct checkpoint_head *head = &checkpoint->heads[i];

        leaves[i] = merkle_leaf(digest, head->id, head->seq, head->chain);
    }
    return leaves;
}

static int value_read(const void *value, size_t length, bool whole, struct arena *arena, struct checkpoint *ret,
                      struct err *err)
{
    struct reading reading = { .scan = scan_of(value, length), .arena = arena };

    if (!value || length > CHECKPOINT_BYTES)
        return err_set(err, ERR_INVALID, "it has %zu bytes", length);
    if (!document_read(&reading, whole, ret))
        return err_set(err, ERR_INVALID, "its %s is missing or wrong", reading.wrong ? reading.wrong : "end");
    return 0;
}

int checkpoint_read_outline(const void *value, size_t length, struct arena *arena, struct checkpoint *ret,
                            struct err *err)
{
    struct checkpoint checkpoint = { 0 };
    int r = value_read(value, length, false, arena, &checkpoint, err);

    if (r == 0)
        *ret = checkpoint;
    return r;
}

int checkpoint_read(const void *value, size_t length, struct digest *digest, struct arena *arena,
                    struct checkpoint *ret, struct err *err)
{
    struct checkpoint checkpoint = { 0 };
    struct merkle_hash root;
    int r = value_read(value, length, true, arena, &checkpoint, err);

    if (r < 0)
        return r;
    root = merkle_root(digest, checkpoint_leaves(&checkpoint, digest, arena), (size_t)checkpoint.head_count);
    if (memcmp(&root, &checkpoint.root, sizeof(root)) != 0)
        return err_set(err, ERR_INVALID, "its root is not that of its heads");
    *ret = checkpoint;
    return 0;
}

/* --- putting one together ---------------------------------------------------------------------------- */

struct tip {
    struct checkpoint_head head;
    char id[CHAIN_ID_MAX + 1];
    UT_hash_handle hh;
};

struct checkpoint_builder {
    struct digest *marks, *digest;
    struct arena *arena;
    struct checkpoint_window *windows; /* the last one is under way */
    int window_count, window_room;
    struct tip *tips;
    int64_t records;
};

struct checkpoint_builder *checkpoint_builder_new(void)
{
    struct checkpoint_builder *builder = calloc(1, sizeof(*builder));

    if (!builder)
        abort();
    builder->marks = digest_new();
    builder->digest = digest_new();
    builder->arena = arena_new();
    return builder;
}

void checkpoint_builder_clear(struct checkpoint_builder *builder)
{
    struct tip *tip, *next;

    HASH_ITER(hh, builder->tips, tip, next)
    {
        HASH_DEL(builder->tips, tip);
        free(tip);
    }
    builder->window_count = 0;
    builder->records = 0;
    arena_clear(builder->arena);
}

void checkpoint_builder_free(struct checkpoint_builder *builder)
{
    if (!builder)
        return;
    checkpoint_builder_clear(builder);
    arena_free(builder->arena);
    digest_free(builder->marks);
    digest_free(builder->digest);
    free(builder->windows);
    free(builder);
}

void checkpoint_window_begin(struct checkpoint_builder *builder, const char *topic, int32_t partition, int64_t from)
{
    if (builder->window_count == builder->window_room) {
        builder->window_room = builder->window_room ? builder->window_room * 2 : 16;
        builder->windows = realloc(builder->windows, sizeof(*builder->windows) * (size_t)builder->window_room);
        if (!builder->windows)
            abort();
    }
    builder->windows[builder->window_count++] =
        (struct checkpoint_window){ .topic = topic, .partition = partition, .from = from };
    digest_begin(builder->marks);
}

/* False when it would be one head too many. */
static bool tip_move(struct checkpoint_builder *builder, const struct chain_link *link)
{
    struct tip *tip;

    HASH_FIND_STR(builder->tips, link->id, tip);
    if (!tip && HASH_COUNT(builder->tips) == CHECKPOINT_HEADS_MAX)
        return false;
    if (!tip) {
        tip = calloc(1, sizeof(*tip));
        if (!tip)
            abort();
        memcpy(tip->id, link->id, sizeof(tip->id));
        tip->head.id = tip->id;
        HASH_ADD_STR(builder->tips, id, tip);
    }
    if (link->seq > tip->head.seq) {
        tip->head.seq = link->seq;
        memcpy(tip->head.chain, link->chain, DIGEST_BYTES);
    }
    return true;
}

bool checkpoint_add(struct checkpoint_builder *builder, const struct record *record)
{
    struct record_event event;
    struct chain_link link;
    uint8_t mark[DIGEST_BYTES];
    bool is_event;

    if (builder->records == CHECKPOINT_RECORDS_MAX)
        return false;
    record_event(record, &event);
    is_event = chain_link_of(record, &event, &link);
    if (is_event && !tip_move(builder, &link))
        return false;
    chain_mark(builder->digest, record, is_event ? &link : NULL, mark);
    digest_add(builder->marks, mark, sizeof(mark));
    builder->windows[builder->window_count - 1].records++;
    builder->records++;
    return true;
}

void checkpoint_window_end(struct checkpoint_builder *builder, int64_t to)
{
    struct checkpoint_window *window = &builder->windows[builder->window_count - 1];

    digest_end(builder->marks, window->digest);
    window->to = to;
    builder->window_count -= window->from == to;
}

static int compare_heads(const void *a, const void *b)
{
    const struct checkpoint_head *one = a, *other = b;

    return strcmp(one->id, other->id);
}

void checkpoint_built(struct checkpoint_builder *builder, struct checkpoint *ret)
{
    size_t count = HASH_COUNT(builder->tips), at = 0;
    struct checkpoint_head *heads = arena_array(builder->arena, struct checkpoint_head, count + 1);
    struct tip *tip, *next;

    HASH_ITER(hh, builder->tips, tip, next)
    {
        heads[at++] = tip->head;
    }
    qsort(heads, count, sizeof(*heads), compare_heads);
    ret->windows = builder->window_count ? builder->windows : NULL;
    ret->window_count = builder->window_count;
    ret->heads = heads;
    ret->head_count = (int)count;
    ret->root = merkle_root(builder->digest, checkpoint_leaves(ret, builder->digest, builder->arena), count);
}
