#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/ctl/dead/plain.h"
#include "worker/ctl/dead/verbs.h"

enum { LINE_BYTES = 16384 };

/* How many letters there are of a reason and a state. */
struct tally {
    const char *reason;
    int counts[DEAD_STATES];
};

struct tallies {
    struct tally *rows;
    int count;
};

static void count(struct tallies *tallies, const struct entry *entry)
{
    int i = 0;

    while (i < tallies->count && strcmp(tallies->rows[i].reason, entry->letter.reason) != 0)
        i++;
    if (i == tallies->count)
        tallies->rows[tallies->count++] = (struct tally){ .reason = entry->letter.reason };
    tallies->rows[i].counts[entry->note.state]++;
}

/* At most as many reasons as letters. */
static struct tallies count_all(const struct config *config, const struct options *options, const struct shelf *shelf,
                                struct arena *arena)
{
    struct tallies tallies = { arena_array(arena, struct tally, (size_t)shelf->count + 1), 0 };

    for (int i = 0; i < shelf->count; i++)
        if (options_mean(options, &shelf->entries[i], config->topic_prefix))
            count(&tallies, &shelf->entries[i]);
    return tallies;
}

static int total(const struct tallies *tallies, enum dead_state state)
{
    int sum = 0;

    for (int i = 0; i < tallies->count; i++)
        sum += tallies->rows[i].counts[state];
    return sum;
}

/* --- for people -------------------------------------------------------------------------------------- */

static const char *when(usec_t time, char text[USEC_TEXT_BYTES])
{
    if (time == USEC_NONE)
        return "-";
    usec_format_z(time, text);
    strcpy(text + sizeof("2026-01-02T03:04:05") - 1, "Z"); /* to the second */
    return text;
}

static void print_row(const struct entry *entry, int place_width)
{
    _cleanup_(buf_free) struct buf place = BUF_INIT(LINE_BYTES), detail = BUF_INIT(LINE_BYTES);
    const struct dead_letter *letter = &entry->letter;
    char time[USEC_TEXT_BYTES];

    buf_adds(&place, "");
    buf_adds(&detail, "");
    plain_line(&place, letter->place, strlen(letter->place));
    if (letter->detail)
        plain_line(&detail, letter->detail, strlen(letter->detail));
    printf("%8" PRId64 "  %-7s  %-15s  %-20s  %-*s  %s\n", entry->number, dead_state_word(entry->note.state),
           letter->reason, when(letter->time, time), place_width, place.data, detail.data);
}

static void print_counts(const struct tallies *tallies)
{
    for (int state = 0; state < DEAD_STATES; state++) {
        const char *between = ": ";

        if (!total(tallies, (enum dead_state)state))
            continue;
        printf("%d %s", total(tallies, (enum dead_state)state), dead_state_word((enum dead_state)state));
        for (int i = 0; i < tallies->count; i++)
            if (tallies->rows[i].counts[state]) {
                printf("%s%d %s", between, tallies->rows[i].counts[state], tallies->rows[i].reason);
                between = ", ";
            }
        printf("\n");
    }
}

static int place_width(const struct config *config, const struct options *options, const struct shelf *shelf)
{
    size_t width = 5;

    for (int i = 0; i < shelf->count; i++)
        if (options_mean(options, &shelf->entries[i], config->topic_prefix) &&
            strlen(shelf->entries[i].letter.place) > width)
            width = strlen(shelf->entries[i].letter.place);
    return width < 60 ? (int)width : 60;
}

static void print_table(const struct config *config, const struct options *options, const struct shelf *shelf,
                        const struct tallies *tallies)
{
    int width = place_width(config, options, shelf);

    if (!tallies->count) {
        printf("no dead letter%s\n", options->any_state ? "" : " in that state");
        return;
    }
    printf("%8s  %-7s  %-15s  %-20s  %-*s  %s\n", "number", "state", "reason", "since", width, "place", "detail");
    for (int i = 0; i < shelf->count; i++)
        if (options_mean(options, &shelf->entries[i], config->topic_prefix))
            print_row(&shelf->entries[i], width);
    print_counts(tallies);
}

/* --- for programs ------------------------------------------------------------------------------------ */

static void add_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, ",\"%s\":", name);
    buf_json_string(out, value);
}

static void add_time(struct buf *out, const char *name, usec_t time)
{
    char text[USEC_TEXT_BYTES];

    add_text(out, name, time == USEC_NONE ? NULL : usec_format_z(time, text));
}

void dead_json(struct buf *out, const struct entry *entry)
{
    const struct dead_letter *letter = &entry->letter;
    bool is_open = entry->note.state == DEAD_OPEN;

    buf_printf(out, "\"number\":%" PRId64, entry->number);
    add_text(out, "state", dead_state_word(entry->note.state));
    add_text(out, "reason", letter->reason);
    add_text(out, "detail", letter->detail);
    add_text(out, "sqlstate", letter->sqlstate);
    add_text(out, "place", letter->place);
    add_time(out, "time", letter->time);
    buf_printf(out, ",\"bytes\":%zu", entry->bytes);
    add_text(out, "lacks", letter->lacks);
    if (is_open)
        return;
    add_time(out, "settled_at", entry->note.time);
    add_text(out, "by", entry->note.by);
    add_text(out, "to", entry->note.to);
    add_text(out, "mended", entry->note.mended);
}

static void print_json(const struct config *config, const struct options *options, const struct shelf *shelf,
                       const struct tallies *tallies)
{
    _cleanup_(buf_free) struct buf line = BUF_INIT(LINE_BYTES);
    const char *between = "";

    printf("{\"counts\":{");
    for (int i = 0; i < tallies->count; i++) {
        const int *counts = tallies->rows[i].counts;

        buf_clear(&line);
        buf_json_string(&line, tallies->rows[i].reason);
        printf("%s%s:{\"open\":%d,\"retried\":%d,\"dropped\":%d}", i ? "," : "", line.data, counts[DEAD_OPEN],
               counts[DEAD_RETRIED], counts[DEAD_DROPPED]);
    }
    printf("},\"letters\":[");
    for (int i = 0; i < shelf->count; i++) {
        if (!options_mean(options, &shelf->entries[i], config->topic_prefix))
            continue;
        buf_clear(&line);
        dead_json(&line, &shelf->entries[i]);
        printf("%s\n{%s}", between, line.data);
        between = ",";
    }
    printf("]}\n");
}

int dead_list(const struct config *config, const struct options *options, struct arena *arena, struct err *err)
{
    struct tallies tallies;
    struct shelf shelf;
    int r = shelf_read(config, arena, &shelf, err);

    if (r < 0)
        return r;
    tallies = count_all(config, options, &shelf, arena);
    if (options->json)
        print_json(config, options, &shelf, &tallies);
    else
        print_table(config, options, &shelf, &tallies);
    return 0;
}
