#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/ctl/dead/plain.h"
#include "worker/ctl/dead/verbs.h"
#include "worker/ctl/verb.h"

enum { OUT_BYTES = 512 * 1024 * 1024 };

struct showing {
    const struct options *options;
    const struct shelf *shelf;
    struct arena *arena;
    int shown, left;
};

/* --- for people -------------------------------------------------------------------------------------- */

static void add_line(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(out, "%-10s ", name);
    plain_line(out, value, strlen(value));
    buf_addc(out, '\n');
}

static void add_time(struct buf *out, const char *name, usec_t time)
{
    char text[USEC_TEXT_BYTES];

    add_line(out, name, time == USEC_NONE ? NULL : usec_format_z(time, text));
}

static void add_letter(struct buf *out, const struct entry *entry)
{
    const struct dead_letter *letter = &entry->letter;
    const char *help = dead_help(dead_parse(letter->reason));

    buf_printf(out, "%-10s %" PRId64 "\n", "number", entry->number);
    add_line(out, "state", dead_state_word(entry->note.state));
    if (entry->note.state != DEAD_OPEN) {
        add_time(out, "  at", entry->note.time);
        add_line(out, "  by", entry->note.by);
        add_line(out, "  to", entry->note.to);
        add_line(out, "  mended", entry->note.mended);
    }
    buf_printf(out, "%-10s ", "reason");
    plain_line(out, letter->reason, strlen(letter->reason));
    buf_printf(out, "%s%s\n", *help ? ": " : "", help);
    add_line(out, "detail", letter->detail);
    add_line(out, "sqlstate", letter->sqlstate);
    add_line(out, "place", letter->place);
    add_time(out, "since", letter->time);
    add_line(out, "lacks", letter->lacks);
}

static void add_headers(struct buf *out, const struct arrival *record)
{
    for (int i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];

        buf_adds(out, i ? "           " : "headers    ");
        plain_line(out, header->name, strlen(header->name));
        if (header->value) {
            buf_adds(out, ": ");
            plain_line(out, header->value, header->length);
        }
        buf_addc(out, '\n');
    }
}

static void add_record(struct buf *out, const struct arrival *record)
{
    if (record->key) {
        buf_printf(out, "%-10s ", "key");
        plain_line(out, record->key, record->key_length);
        buf_addc(out, '\n');
    }
    add_headers(out, record);
    if (!record->value) {
        buf_adds(out, "value      none\n");
        return;
    }
    buf_printf(out, "%-10s %zu bytes\n", "value", record->length);
    plain_block(out, record->value, record->length, "  ");
}

/* --- for programs ------------------------------------------------------------------------------------ */

static void add_json(struct buf *out, const struct entry *entry, const struct arrival *record)
{
    buf_addc(out, '{');
    dead_json(out, entry);
    buf_addc(out, ',');
    plain_json(out, "key", record->key, record->key_length);
    buf_adds(out, ",\"headers\":[");
    for (int i = 0; i < record->header_count; i++) {
        buf_adds(out, i ? ",{" : "{");
        plain_json(out, "name", record->headers[i].name, strlen(record->headers[i].name));
        buf_addc(out, ',');
        plain_json(out, "value", record->headers[i].value, record->headers[i].length);
        buf_addc(out, '}');
    }
    buf_adds(out, "],");
    plain_json(out, "value", record->value, record->length);
    buf_adds(out, "}\n");
}

/* --- showing ----------------------------------------------------------------------------------------- */

static void show(struct showing *showing, const struct entry *entry, const struct arrival *record)
{
    _cleanup_(buf_free) struct buf out = BUF_INIT(OUT_BYTES);

    if (showing->options->json) {
        add_json(&out, entry, record);
    } else {
        if (showing->shown)
            buf_addc(&out, '\n');
        add_letter(&out, entry);
        add_record(&out, record);
    }
    fwrite(out.data, 1, out.length, stdout);
}

static int on_message(void *context, rd_kafka_message_t *message)
{
    struct showing *showing = context;
    const struct entry *entry = shelf_find(showing->shelf, message->offset);
    struct arrival record, original;
    struct dead_letter letter;

    if (!entry || !options_mean(showing->options, entry, ""))
        return 0;
    arena_clear(showing->arena);
    record = arrival_of(message, showing->arena);
    if (!dead_read(&record, showing->arena, &original, &letter))
        return 0;
    show(showing, entry, &original);
    showing->shown++;
    return !--showing->left;
}

int dead_show(const struct config *config, const struct options *options, struct arena *arena, struct err *err)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new();
    struct showing showing = { .options = options, .arena = scratch };
    struct shelf shelf;
    int64_t first;
    int r;

    if (!options->number_count)
        return verb_usage("dead show N... [--json]", err);
    r = shelf_read(config, arena, &shelf, err);
    if (r == 0)
        r = options_check(options, &shelf, err);
    if (r < 0)
        return r;
    showing.shelf = &shelf;
    showing.left = options_count(options, &shelf, config->topic_prefix, &first);
    return shelf_scan(config, first, on_message, &showing, err);
}
