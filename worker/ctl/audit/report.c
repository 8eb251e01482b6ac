/*
 * report - what came of requests over a period, from the topic alone: for a terminal, as a page, as CSV or as JSON.
 *
 * A request's events are on one partition, so partitions are read one after another, and only the requests of one are
 * in memory. Where even these are too many, the partition is read again in slices of them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/log.h"
#include "worker/ctl/audit/page.h"
#include "worker/ctl/audit/report_sheet.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit report [--since TIME] [--until TIME] [--html FILE] [--csv FILE] [--json] [--memory BYTES]"

enum { MEMORY = 256 * 1024 * 1024, MEMORY_MIN = 64 * 1024, SLICES_MAX = 1 << 20, LOOK_EVERY = 1024 };

struct options {
    usec_t since, until;
    const char *html, *csv;
    bool json;
    int64_t memory;
};

static const struct option_row rows[] = {
    { "--since", OPTION_TIME, offsetof(struct options, since) },
    { "--until", OPTION_TIME, offsetof(struct options, until) },
    { "--html", OPTION_TEXT, offsetof(struct options, html) },
    { "--csv", OPTION_TEXT, offsetof(struct options, csv) },
    { "--json", OPTION_FLAG, offsetof(struct options, json) },
    { "--memory", OPTION_BYTES, offsetof(struct options, memory) },
    { 0 },
};

struct report {
    const struct config *config;
    struct options options;
    struct tally_period period;
    struct tally *all;
    int partitions;
};

/* --- reading ------------------------------------------------------------------------------------------- */

/* One slice of a partition. *full: its requests are too many, and what was counted is of no use. */
static int slice_read(const struct report *report, struct log *log, struct tally *tally, bool *full, struct err *err)
{
    const struct record *record;
    long long count = 0;
    int r;

    *full = false;
    while ((r = log_next(log, &record, err)) == 0 && record) {
        tally_add(tally, record);
        if (++count % LOOK_EVERY == 0 && tally_bytes(tally) > report->options.memory) {
            *full = true;
            return 0;
        }
    }
    return r;
}

static int slice_take(struct report *report, int32_t partition, int slice, int slices, bool *full, struct err *err)
{
    const struct log_range range = { .since = USEC_NONE, .partition = partition };
    _cleanup_(tally_freep) struct tally *tally = tally_new(&report->period, slice, slices);
    _cleanup_(log_closep) struct log *log = NULL;
    int r = log_open(report->config, "lifecycle", &range, &log, err);

    if (r == 0)
        r = slice_read(report, log, tally, full, err);
    if (r < 0 || *full)
        return r;
    report->partitions = log_partitions(log);
    tally_close(tally);
    tally_merge(report->all, tally);
    return 0;
}

/* Slices that were counted stay counted: one that is too full is cut in two, which together have the same requests. */
static int slices_take(struct report *report, int32_t partition, int slice, int slices, struct err *err)
{
    bool full;
    int r = slice_take(report, partition, slice, slices, &full, err);

    if (r < 0 || !full)
        return r;
    if (slices >= SLICES_MAX)
        return err_set(err, ERR_BAD_REQUEST, "--memory is too little for the requests of partition %d", partition);
    r = slices_take(report, partition, slice, 2 * slices, err);
    return r < 0 ? r : slices_take(report, partition, slice + slices, 2 * slices, err);
}

static int partitions_take(struct report *report, struct err *err)
{
    int r = 0;

    report->partitions = 1; /* until the first one was read */
    for (int32_t i = 0; r == 0 && i < report->partitions; i++)
        r = slices_take(report, i, 0, 1, err);
    return r;
}

/* --- telling ------------------------------------------------------------------------------------------- */

static int write_to(const char *path, void (*write)(const struct sheet *, FILE *), const struct sheet *sheet,
                    struct err *err)
{
    bool here = !strcmp(path, "-"), failed;
    FILE *file = here ? stdout : fopen(path, "we");

    if (!file)
        return err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno));
    write(sheet, file);
    failed = ferror(file);
    failed |= (here ? fflush(file) : fclose(file)) != 0;
    return failed ? err_set(err, ERR_UNAVAILABLE, "%.200s: %s", path, strerror(errno)) : 0;
}

static int report_tell(const struct report *report, struct err *err)
{
    _cleanup_(arena_freep) struct arena *arena = arena_new();
    const struct options *options = &report->options;
    const struct sheet *sheet =
        report_sheet(report->all, &report->period, arena_printf(arena, "%s.lifecycle", report->config->topic_prefix),
                     usec_now(), arena);
    int r = 0;

    if (options->html)
        r = write_to(options->html, page_write, sheet, err);
    if (r == 0 && options->csv)
        r = write_to(options->csv, sheet_csv, sheet, err);
    if (r == 0 && options->json)
        r = write_to("-", sheet_json, sheet, err);
    if (r == 0 && !options->html && !options->csv && !options->json)
        r = write_to("-", sheet_print, sheet, err);
    return r;
}

/* --- the verb ------------------------------------------------------------------------------------------ */

static int options_read(char **args, struct options *ret, struct err *err)
{
    struct option_texts words = { 0 };
    int r;

    *ret = (struct options){ .since = USEC_NONE, .until = USEC_NONE, .memory = MEMORY };
    r = option_read(args, rows, ret, &words, err);
    if (r < 0)
        return r;
    if (words.count)
        return verb_usage(USAGE, err);
    if (ret->memory < MEMORY_MIN)
        return err_set(err, ERR_BAD_REQUEST, "--memory is %d bytes at least", MEMORY_MIN);
    if (ret->until == USEC_NONE)
        ret->until = usec_now();
    if (ret->since != USEC_NONE && ret->since >= ret->until)
        return err_set(err, ERR_BAD_REQUEST, "--since is not before --until");
    return 0;
}

int audit_report(const struct config *config, char **args, struct err *err)
{
    struct report report = { .config = config };
    int r = options_read(args, &report.options, err);

    if (r < 0)
        return r;
    report.period = (struct tally_period){ report.options.since, report.options.until };
    report.all = tally_new(&report.period, 0, 1);
    r = partitions_take(&report, err);
    if (r == 0)
        r = report_tell(&report, err);
    tally_free(report.all);
    return r;
}
