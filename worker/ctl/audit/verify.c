/*
 * verify - whether the log is whole: every chain followed event by event, every window of every checkpoint held against
 * the records that lie there, in one pass over the topics, window by window.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checkpoint.h"
#include "common/config.h"
#include "common/reader.h"
#include "worker/ctl/audit/audit.h"
#include "worker/ctl/audit/chains.h"
#include "worker/ctl/audit/fit.h"
#include "worker/ctl/audit/line.h"
#include "worker/ctl/audit/log.h"
#include "worker/ctl/audit/progress.h"
#include "worker/ctl/audit/tables.h"
#include "worker/ctl/option.h"
#include "worker/ctl/verb.h"

#define USAGE "audit verify; see docketctl audit --help"

enum {
    LOOK_AHEAD = 256, /* records behind a window that does not fit, at least: what is too much has moved its end */
    MARKS = 64,       /* hashed at once */
};

struct options {
    bool json, topics_only, progress;
    struct option_texts keys;
    int64_t memory;
};

static const struct option_row rows[] = {
    { "--json", OPTION_FLAG, offsetof(struct options, json) },
    { "--topics-only", OPTION_FLAG, offsetof(struct options, topics_only) },
    { "--progress", OPTION_FLAG, offsetof(struct options, progress) },
    { "--public-key", OPTION_TEXTS, offsetof(struct options, keys) },
    { "--memory", OPTION_BYTES, offsetof(struct options, memory) },
    { 0 },
};

/* A partition, and what was read of it and is not accounted for yet. */
struct partition {
    const char *topic;
    int32_t number;
    int partitions; /* of its topic */
    struct reader_run *run;
    struct reader_bounds bounds;
    int64_t covered; /* how far checkpoints have come, in their offsets; -1: none has spoken of it */
    int64_t shift;   /* by how much offsets differ from theirs: what was taken out or put in has moved what follows */
    enum chains_gone gone;
    bool is_cut;
    char short_id[CHAIN_ID_MAX + 1]; /* it ended within a window, and of this one request alone events were missed */
    int64_t short_checkpoint;
    int64_t skips; /* checkpoints that were passed over before its last window */
    char early_id[CHAIN_ID_MAX + 1]; /* an event that was found too early, in a window before its own; "": none */
    int64_t early_seq;
    struct chains_entry *entries;
    size_t count, room;
};

/* A window of the checkpoint that is looked at. */
struct view {
    const struct checkpoint_window *window;
    struct partition *partition;
    size_t end;       /* its records are entries[0..end) of the partition */
    bool is_fine;     /* as many, and their digest */
    bool is_gone;     /* nothing of it, or not all, can be there: the partition begins behind its beginning */
    char early_id[CHAIN_ID_MAX + 1]; /* as the partition's, found in a window before this one: that was told */
    int64_t early_seq;
    bool is_explained;
};

struct verify {
    const struct config *config;
    struct options options;
    struct trust trust;
    struct findings findings;
    struct reader *reader;
    struct digest *digest;
    struct arena *arena; /* of a checkpoint */
    struct chains *chains;
    struct line *line;
    struct partition *partitions;
    int partition_count;
    struct reader_bounds checkpoints;
    struct progress progress;
    int64_t last;        /* the number of the last checkpoint that was used */
    int64_t used, skips; /* how many were, and how many could not be */
};

/* --- the topics ---------------------------------------------------------------------------------------- */

static void partition_add(struct verify *verify, const char *topic, int32_t number, int partitions,
                          struct reader_bounds bounds)
{
    struct partition *partition;

    verify->partitions =
        realloc(verify->partitions, sizeof(*partition) * (size_t)(verify->partition_count + 1));
    if (!verify->partitions)
        abort();
    partition = &verify->partitions[verify->partition_count++];
    *partition = (struct partition){
        .topic = topic, .number = number, .partitions = partitions, .bounds = bounds, .covered = -1
    };
    partition->run = reader_run_new(verify->reader);
    reader_run_add(partition->run, topic, number, bounds.low, bounds.low);
    verify->progress.of += bounds.high - bounds.low;
}

static int topic_add(struct verify *verify, const char *topic, struct err *err)
{
    int partitions, r = reader_partitions(verify->reader, topic, &partitions, err);

    for (int32_t number = 0; r == 0 && number < partitions; number++) {
        struct reader_bounds bounds;

        r = reader_bounds(verify->reader, topic, number, &bounds, err);
        if (r == 0)
            partition_add(verify, topic, number, partitions, bounds);
    }
    return r;
}

/* The ends of the checkpoints first: what they speak of lies before the ends of the others. */
static int topics_open(struct verify *verify, struct err *err)
{
    int partitions, r = reader_new(verify->config, LOG_PATIENCE, &verify->reader, err);

    if (r == 0)
        r = reader_partitions(verify->reader, "checkpoints", &partitions, err);
    if (r == 0 && partitions)
        r = reader_bounds(verify->reader, "checkpoints", 0, &verify->checkpoints, err);
    for (int i = 0; r == 0 && checkpoint_topics[i]; i++)
        r = topic_add(verify, checkpoint_topics[i], err);
    if (r == 0 && !verify->partition_count)
        return err_set(err, ERR_NOT_FOUND, "there is no topic %s.lifecycle", verify->config->topic_prefix);
    return r;
}

/* Once it is known how many there are to share what is read ahead. */
static int partitions_begin(struct verify *verify, struct err *err)
{
    int r = 0;

    for (int i = 0; r == 0 && i < verify->partition_count; i++)
        if (verify->partitions[i].bounds.low < verify->partitions[i].bounds.high)
            r = reader_run_ahead(verify->partitions[i].run, err);
    return r;
}

static struct partition *partition_find(struct verify *verify, const char *topic, int32_t number)
{
    for (int i = 0; i < verify->partition_count; i++)
        if (verify->partitions[i].number == number && !strcmp(verify->partitions[i].topic, topic))
            return &verify->partitions[i];
    return NULL;
}

static void partition_tell(struct verify *verify, const struct partition *partition, enum finding_kind kind,
                           int64_t checkpoint, const char *text)
{
    struct finding_place place = FINDING_NOWHERE;

    place.topic = partition->topic;
    place.partition = partition->number;
    place.checkpoint = checkpoint;
    if (text)
        finding_tell(&verify->findings, kind, &place, "%s", text);
    else
        finding_tell(&verify->findings, kind, &place, NULL);
}

static void beginnings_look(struct verify *verify)
{
    for (int i = 0; i < verify->partition_count; i++) {
        struct partition *partition = &verify->partitions[i];
        struct finding_place place = FINDING_NOWHERE;

        if (!partition->bounds.low)
            continue;
        partition->gone = CHAINS_GONE_BEGINNING;
        place.topic = partition->topic;
        place.partition = partition->number;
        place.offset = partition->bounds.low;
        finding_tell(&verify->findings, FINDING_LOG_CUT, &place, "it begins there: what lay before is gone");
    }
}

/* --- reading ------------------------------------------------------------------------------------------- */

static struct chains_entry *entry_push(struct partition *partition)
{
    if (partition->count == partition->room) {
        partition->room = partition->room ? partition->room * 2 : 1024;
        partition->entries = realloc(partition->entries, sizeof(*partition->entries) * partition->room);
        if (!partition->entries)
            abort();
    }
    return &partition->entries[partition->count++];
}

static void entries_drop(struct partition *partition, size_t count)
{
    partition->count -= count;
    if (partition->count)
        memmove(partition->entries, partition->entries + count, sizeof(*partition->entries) * partition->count);
}

/* Up to an offset of the topic as it is. */
static int read_to(struct verify *verify, struct partition *partition, int64_t until, struct err *err)
{
    const struct record *record = NULL;
    int r = 0;

    if (until > partition->bounds.high)
        until = partition->bounds.high;
    if (until <= reader_run_position(partition->run))
        return 0;
    reader_run_extend(partition->run, until);
    while (r == 0 && (r = reader_next(partition->run, &record, err)) == 0 && record) {
        r = chains_take(verify->chains, record, partition->topic, partition->gone, entry_push(partition), err);
        progress_step(&verify->progress);
    }
    return r;
}

static size_t entries_before(const struct partition *partition, int64_t offset)
{
    size_t low = 0, high = partition->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (partition->entries[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What no checkpoint speaks of is held by its chains alone. */
static int read_uncovered(struct verify *verify, struct partition *partition, int64_t until, struct err *err)
{
    int r = 0;

    while (r == 0 && reader_run_position(partition->run) < until &&
           reader_run_position(partition->run) < partition->bounds.high) {
        int64_t next = reader_run_position(partition->run) + CHECKPOINT_RECORDS_MAX;

        r = read_to(verify, partition, next < until ? next : until, err);
        entries_drop(partition, entries_before(partition, until));
    }
    entries_drop(partition, entries_before(partition, until));
    return r;
}

/* --- windows ------------------------------------------------------------------------------------------- */

/* Over entries[0..end), but for those that `leave` out; NULL: none. */
static bool digest_is(struct verify *verify, const struct view *view, size_t end, const bool *leave)
{
    uint8_t marks[MARKS][DIGEST_BYTES], digest[DIGEST_BYTES];
    int64_t count = 0;
    int filled = 0;

    digest_begin(verify->digest);
    for (size_t i = 0; i < end; i++) {
        if (leave && leave[i])
            continue;
        memcpy(marks[filled++], view->partition->entries[i].mark, DIGEST_BYTES);
        count++;
        if (filled == MARKS) {
            digest_add(verify->digest, marks, sizeof(marks));
            filled = 0;
        }
    }
    digest_add(verify->digest, marks, (size_t)filled * DIGEST_BYTES);
    digest_end(verify->digest, digest);
    return count == view->window->records && !memcmp(digest, view->window->digest, DIGEST_BYTES);
}

/* Windows follow each other: what lies between two of them was covered by a checkpoint that is not there, or none. */
static int window_begin(struct verify *verify, struct view *view, int64_t checkpoint, struct err *err)
{
    const struct checkpoint_window *window = view->window;
    struct partition *partition = view->partition;
    int64_t covered = partition->covered < 0 ? partition->bounds.low : partition->covered;

    if (partition->covered >= 0 && window->from != covered &&
        (verify->skips == partition->skips || window->from < covered))
        partition_tell(verify, partition, FINDING_WINDOW, checkpoint,
                       "its window does not begin where the one before ended");
    partition->skips = verify->skips;
    view->is_gone = window->from + partition->shift < partition->bounds.low;
    if (window->from > covered)
        return read_uncovered(verify, partition, window->from + partition->shift, err);
    return 0;
}

static int window_read(struct verify *verify, struct view *view, int64_t checkpoint, struct err *err)
{
    struct partition *partition = view->partition;
    int64_t until = view->window->to + partition->shift;
    int r = window_begin(verify, view, checkpoint, err);

    memcpy(view->early_id, partition->early_id, sizeof(view->early_id));
    view->early_seq = partition->early_seq;
    partition->early_id[0] = '\0';
    if (r == 0 && view->is_gone)
        partition->gone = CHAINS_GONE_BEFORE;
    if (r == 0)
        r = read_to(verify, partition, until, err);
    if (view->is_gone)
        partition->gone = CHAINS_GONE_BEGINNING;
    if (r < 0)
        return r;
    view->end = entries_before(partition, until);
    view->is_fine = !view->is_gone && digest_is(verify, view, view->end, NULL);
    return 0;
}

/* The window's records are accounted for; where the next ones stand tells by how much offsets have moved. */
static void window_leave(struct view *view)
{
    struct partition *partition = view->partition;
    int64_t next = view->end < partition->count ? partition->entries[view->end].offset
                                                : reader_run_position(partition->run);

    if (view->window->to > partition->covered) {
        partition->covered = view->window->to;
        if (!view->is_gone || next > partition->bounds.low)
            partition->shift = next - view->window->to;
    }
    entries_drop(partition, view->end);
}

/* --- what does not fit --------------------------------------------------------------------------------- */

static int compare_head(const void *id, const void *head)
{
    return strcmp(id, ((const struct checkpoint_head *)head)->id);
}

static const struct checkpoint_head *head_find(const struct checkpoint *checkpoint, const char *id)
{
    return *id ? bsearch(id, checkpoint->heads, (size_t)checkpoint->head_count, sizeof(checkpoint->heads[0]),
                         compare_head)
               : NULL;
}

/* Of several ends that are as good, the one before which just those belong that were there: what else stands between
 * them was put in. Else the one that was found. */
static size_t end_by_digest(struct verify *verify, const struct view *view, const enum fit *sides, size_t found)
{
    size_t count = view->partition->count, end = 0;
    bool *leave = arena_array(verify->arena, bool, count + 1);
    int64_t within = 0;

    while (end < count && within < view->window->records) {
        leave[end] = sides[end] == FIT_BEYOND;
        within += !leave[end++];
    }
    return within == view->window->records && fit_wrong(sides, count, end) <= fit_wrong(sides, count, found) &&
                   digest_is(verify, view, end, leave)
               ? end
               : found;
}

static enum fit entry_side(const struct checkpoint *checkpoint, const struct chains_entry *entry)
{
    const struct checkpoint_head *head = head_find(checkpoint, entry->id);

    if (!*entry->id)
        return FIT_EITHER;
    if (!head || entry->seq > head->seq)
        return FIT_BEYOND;
    return entry->is_repeat ? FIT_EITHER : FIT_WITHIN;
}

/* Where the window ends by what its records say. */
static int window_fit(struct verify *verify, const struct checkpoint *checkpoint, struct view *view, struct err *err)
{
    struct partition *partition = view->partition;
    size_t by_offset = view->end, expected = (size_t)view->window->records;
    int64_t ahead = view->window->records > LOOK_AHEAD ? view->window->records : LOOK_AHEAD;
    int r = read_to(verify, partition, reader_run_position(partition->run) + ahead, err);
    enum fit *sides;

    if (r < 0)
        return r;
    sides = arena_array(verify->arena, enum fit, partition->count + 1);
    for (size_t i = 0; i < partition->count; i++)
        sides[i] = entry_side(checkpoint, &partition->entries[i]);
    view->end = end_by_digest(verify, view, sides, fit_end(sides, partition->count, by_offset, expected));
    view->is_fine = digest_is(verify, view, view->end, NULL);
    return 0;
}

static void entry_tell(struct verify *verify, const struct view *view, struct chains_entry *entry,
                       enum finding_kind kind, int64_t checkpoint)
{
    struct finding_place place = FINDING_NOWHERE;

    entry->is_found = true;
    place.topic = view->partition->topic;
    place.partition = view->partition->number;
    place.offset = entry->offset;
    place.id = *entry->id ? entry->id : NULL;
    place.seq = entry->seq;
    place.checkpoint = checkpoint;
    finding_tell(&verify->findings, kind, &place, NULL);
}

/* Repeats that are too many: without them the window is what it was. */
static bool window_undouble(struct verify *verify, const struct view *view, int64_t checkpoint)
{
    struct chains_entry *entries = view->partition->entries;
    size_t extra = view->end - (size_t)view->window->records, repeats = 0;
    bool *leave = arena_array(verify->arena, bool, view->end + 1);

    for (size_t i = 0; i < view->end; i++)
        repeats += leave[i] = entries[i].is_repeat;
    if (repeats < extra)
        return false;
    if (repeats == extra && digest_is(verify, view, view->end, leave)) {
        for (size_t i = 0; i < view->end; i++)
            if (leave[i])
                entry_tell(verify, view, &entries[i], FINDING_DOUBLED, checkpoint);
        return true;
    }
    memset(leave, 0, sizeof(*leave) * view->end);
    for (size_t i = view->end; extra == 1 && i-- > 0;) {
        if (!entries[i].is_repeat)
            continue;
        leave[i] = true;
        if (digest_is(verify, view, view->end, leave)) {
            entry_tell(verify, view, &entries[i], FINDING_DOUBLED, checkpoint);
            return true;
        }
        leave[i] = false;
    }
    return false;
}

/* What was found of its records, and of heads that should be among them, explains that it is not what it was. */
static void window_explain(struct verify *verify, struct view *view, int64_t checkpoint)
{
    size_t records = (size_t)view->window->records;

    if (view->is_fine || view->is_gone)
        return;
    if (view->end > records && window_undouble(verify, view, checkpoint))
        return;
    for (size_t i = 0; i < view->end; i++)
        view->is_explained |= view->partition->entries[i].is_found;
    if (view->is_explained || (*view->early_id && view->end + 1 == records))
        return;
    if (view->end == records)
        partition_tell(verify, view->partition, FINDING_REORDERED, checkpoint,
                       "its records stand in another order, though those of each request do not");
    else if (view->end > records)
        partition_tell(verify, view->partition, FINDING_DOUBLED, checkpoint,
                       "events stand once more where the checkpoint says that they did not");
    else
        partition_tell(verify, view->partition, FINDING_WINDOW, checkpoint,
                       "repeats of events that lay there are missing; no event is");
}

/* --- heads --------------------------------------------------------------------------------------------- */

/* A checkpoint that is not simply fine. */
struct mending {
    struct verify *verify;
    const struct checkpoint *checkpoint;
    struct view *views;
    struct chains_entry **tops; /* a head's highest entry; NULL */
    struct view **tops_views;   /* and where that is */
};

static struct view *view_of(const struct mending *mending, const char *id)
{
    for (int i = 0; i < mending->checkpoint->window_count; i++) {
        struct view *view = &mending->views[i];
        bool is_lifecycle = !strcmp(view->partition->topic, "lifecycle");

        if (is_lifecycle == !!strcmp(id, "configuration") &&
            view->partition->number == log_partition_of(id, strlen(id), view->partition->partitions))
            return view;
    }
    return NULL;
}

static struct chains_scope scope_of(const struct mending *mending, const struct view *view)
{
    return (struct chains_scope){ .checkpoint = mending->checkpoint->number,
                                  .topic = view ? view->partition->topic : "lifecycle",
                                  .partition = view ? view->partition->number : -1,
                                  .is_whole = view && view->is_fine };
}

/* Each entry to its head. What has none, or goes beyond it, was not there. */
static int entries_look(struct mending *mending, struct view *view, struct err *err)
{
    const struct checkpoint *checkpoint = mending->checkpoint;
    struct chains_scope scope = scope_of(mending, view);
    int r = 0;

    for (size_t i = 0; r == 0 && i < view->end; i++) {
        struct chains_entry *entry = &view->partition->entries[i];
        const struct checkpoint_head *head = head_find(checkpoint, entry->id);
        ptrdiff_t at = head ? head - checkpoint->heads : -1;

        if (head && entry->seq <= head->seq) {
            if (!mending->tops[at] || entry->seq >= mending->tops[at]->seq) {
                mending->tops[at] = entry;
                mending->tops_views[at] = view;
            }
        } else if (entry->is_found && *entry->id) {
            memcpy(view->partition->early_id, entry->id, sizeof(entry->id));
            view->partition->early_seq = entry->seq;
        } else if (*entry->id && !entry->is_repeat && !entry->is_found && !view->is_gone) {
            r = chains_extra(mending->verify->chains, entry, head, &scope, err);
            entry->is_found = true;
        }
    }
    return r;
}

/* Heads that should be in a window and are not: how many, and the last of them. */
static int heads_missed(const struct mending *mending, const struct view *view, const char **id)
{
    int missed = 0;

    for (int i = 0; i < mending->checkpoint->head_count; i++) {
        const struct checkpoint_head *head = &mending->checkpoint->heads[i];

        if (view_of(mending, head->id) != view || (mending->tops[i] && mending->tops[i]->seq >= head->seq))
            continue;
        missed++;
        *id = head->id;
    }
    return missed;
}

/* A log that ends before a window does was cut there, unless it is one request alone that lacks its last events. */
static int cut_look(struct mending *mending, struct view *view, struct err *err)
{
    struct partition *partition = view->partition;
    bool is_at_end = view->end == partition->count && reader_run_position(partition->run) >= partition->bounds.high;
    int64_t checkpoint = mending->checkpoint->number;
    const char *id = NULL;
    int missed, r = 0;

    if (view->is_fine || view->is_gone || partition->is_cut || !is_at_end ||
        (int64_t)view->end >= view->window->records || !(missed = heads_missed(mending, view, &id)))
        return 0;
    if (missed == 1 && (!*partition->short_id || !strcmp(partition->short_id, id))) {
        memccpy(partition->short_id, id, '\0', sizeof(partition->short_id) - 1);
        partition->short_checkpoint = partition->short_checkpoint ? partition->short_checkpoint : checkpoint;
        return 0;
    }
    if (*partition->short_id)
        r = chains_forgive(mending->verify->chains, partition->short_id, err);
    partition->is_cut = true;
    partition_tell(mending->verify, partition, FINDING_LOG_CUT,
                   *partition->short_id ? partition->short_checkpoint : checkpoint,
                   "it ends before what the checkpoint states: what lay behind is gone");
    return r;
}

/* An event up to the head that was read beyond its window. */
static struct chains_entry *entry_behind(struct view *view, const struct checkpoint_head *head, int64_t after)
{
    for (size_t i = view ? view->end : 0; view && i < view->partition->count; i++) {
        struct chains_entry *entry = &view->partition->entries[i];

        if (entry->seq > after && entry->seq <= head->seq && !entry->is_repeat && !strcmp(entry->id, head->id))
            return entry;
    }
    return NULL;
}

static int head_look(struct mending *mending, int at, struct err *err)
{
    const struct checkpoint_head *head = &mending->checkpoint->heads[at];
    struct chains_entry *top = mending->tops[at];
    struct view *view = top ? mending->tops_views[at] : view_of(mending, head->id);
    struct chains_scope scope = scope_of(mending, view);
    bool found = false;
    int r;

    if (view && (view->is_gone || view->partition->is_cut) && (!top || top->seq < head->seq)) {
        view->is_explained = true;
        return chains_adopt(mending->verify->chains, head, err);
    }
    if (view && (!top || top->seq < head->seq) && head->seq == view->early_seq && !strcmp(head->id, view->early_id))
        return chains_adopt(mending->verify->chains, head, err);
    r = chains_head(mending->verify->chains, head, top, entry_behind(view, head, top ? top->seq : 0), &scope, &found,
                    err);
    if (found && top)
        top->is_found = true;
    if (found && view)
        view->is_explained = true;
    return r;
}

/* Where a window does not fit, its end is looked for; then each head is, and what that leaves is told of the windows. */
static int checkpoint_mend(struct verify *verify, const struct checkpoint *checkpoint, struct view *views,
                           struct err *err)
{
    struct mending mending = { .verify = verify, .checkpoint = checkpoint, .views = views };
    int windows = checkpoint->window_count, r = 0;

    mending.tops = arena_array(verify->arena, struct chains_entry *, (size_t)checkpoint->head_count + 1);
    mending.tops_views = arena_array(verify->arena, struct view *, (size_t)checkpoint->head_count + 1);
    for (int i = 0; r == 0 && i < windows; i++)
        if (!views[i].is_fine && !views[i].is_gone)
            r = window_fit(verify, checkpoint, &views[i], err);
    for (int i = 0; r == 0 && i < windows; i++)
        r = entries_look(&mending, &views[i], err);
    for (int i = 0; r == 0 && i < windows; i++)
        r = cut_look(&mending, &views[i], err);
    for (int i = 0; r == 0 && i < checkpoint->head_count; i++)
        r = head_look(&mending, i, err);
    for (int i = 0; r == 0 && i < windows; i++)
        window_explain(verify, &views[i], checkpoint->number);
    return r;
}

static int heads_are_right(struct verify *verify, const struct checkpoint *checkpoint, bool *ret, struct err *err)
{
    int r = 0;

    *ret = true;
    for (int i = 0; r == 0 && *ret && i < checkpoint->head_count; i++)
        r = chains_is_at(verify->chains, &checkpoint->heads[i], ret, err);
    return r;
}

/* --- checkpoints --------------------------------------------------------------------------------------- */

/* The windows of partitions that are there. A partition that is not is a log that was cut. */
static int views_make(struct verify *verify, struct checkpoint *checkpoint, struct view **ret)
{
    struct checkpoint_window *windows =
        arena_array(verify->arena, struct checkpoint_window, (size_t)checkpoint->window_count + 1);
    struct view *views = arena_array(verify->arena, struct view, (size_t)checkpoint->window_count + 1);
    int count = 0;

    for (int i = 0; i < checkpoint->window_count; i++) {
        const struct checkpoint_window *window = &checkpoint->windows[i];
        struct partition *partition = partition_find(verify, window->topic, window->partition);

        if (!partition) {
            const struct partition gone = { .topic = window->topic, .number = window->partition };

            partition_tell(verify, &gone, FINDING_LOG_CUT, checkpoint->number, "there is no such partition");
            continue;
        }
        windows[count] = *window;
        views[count] = (struct view){ .window = &windows[count], .partition = partition };
        count++;
    }
    checkpoint->windows = windows;
    checkpoint->window_count = count;
    *ret = views;
    return count;
}

static int checkpoint_use(struct verify *verify, struct checkpoint *checkpoint, struct err *err)
{
    struct view *views;
    int count = views_make(verify, checkpoint, &views), r = 0;
    bool is_fine = true;

    for (int i = 0; r == 0 && i < count; i++) {
        r = window_read(verify, &views[i], checkpoint->number, err);
        is_fine &= views[i].is_fine;
    }
    if (r == 0 && is_fine)
        r = heads_are_right(verify, checkpoint, &is_fine, err);
    if (r == 0 && !is_fine)
        r = checkpoint_mend(verify, checkpoint, views, err);
    for (int i = 0; r == 0 && i < count; i++)
        window_leave(&views[i]);
    return r;
}

static int checkpoint_take(struct verify *verify, const struct record *record, struct err *err)
{
    struct checkpoint checkpoint;
    struct err wrong;
    int r;

    if (!line_believes(verify->line, record->offset)) {
        verify->skips++;
        return 0;
    }
    arena_clear(verify->arena);
    if (checkpoint_read(record->value, record->value_length, verify->digest, verify->arena, &checkpoint, &wrong) < 0) {
        struct finding_place place = FINDING_NOWHERE;
        struct record_event event;

        record_event(record, &event);
        place.topic = "checkpoints";
        place.partition = 0;
        place.offset = record->offset;
        place.checkpoint = event.sequence;
        finding_tell(&verify->findings, FINDING_CHECKPOINT_CHANGED, &place, "%s", wrong.text);
        verify->skips++;
        return 0;
    }
    if (checkpoint.number <= verify->last)
        return 0; /* a repeat */
    verify->skips += checkpoint.number - verify->last - 1;
    r = checkpoint_use(verify, &checkpoint, err);
    verify->last = checkpoint.number;
    verify->used++;
    return r;
}

static int checkpoints_each(struct verify *verify, int (*take)(struct verify *, const struct record *, struct err *),
                            struct err *err)
{
    struct reader_run *run = reader_run_new(verify->reader);
    const struct record *record = NULL;
    int r = 0;

    reader_run_add(run, "checkpoints", 0, verify->checkpoints.low, verify->checkpoints.high);
    while (r == 0 && (r = reader_next(run, &record, err)) == 0 && record)
        r = take(verify, record, err);
    reader_run_free(run);
    return r;
}

static int line_step(struct verify *verify, const struct record *record, struct err *err)
{
    (void)err;
    line_take(verify->line, record);
    return 0;
}

/* --- all of it ----------------------------------------------------------------------------------------- */

/* Repeats that could not be compared when they came: the first of their kind is read again. */
static int late_compare(struct verify *verify, const struct partition *partition, struct err *err)
{
    struct reader_run *run;
    const struct record *record = NULL;
    int r = 0;

    if (!chains_is_late(verify->chains, partition->topic, partition->number))
        return 0;
    run = reader_run_new(verify->reader);
    reader_run_add(run, partition->topic, partition->number, partition->bounds.low, partition->bounds.high);
    while (r == 0 && (r = reader_next(run, &record, err)) == 0 && record)
        r = chains_compare(verify->chains, record, partition->topic, err);
    reader_run_free(run);
    return r;
}

static int topics_verify(struct verify *verify, struct err *err)
{
    int r = topics_open(verify, err);

    if (r == 0)
        r = partitions_begin(verify, err);
    if (r < 0)
        return r;
    beginnings_look(verify);
    r = checkpoints_each(verify, line_step, err);
    line_finish(verify->line);
    if (r == 0)
        r = checkpoints_each(verify, checkpoint_take, err);
    for (int i = 0; r == 0 && i < verify->partition_count; i++)
        r = read_uncovered(verify, &verify->partitions[i], verify->partitions[i].bounds.high, err);
    for (int i = 0; r == 0 && i < verify->partition_count; i++) {
        reader_run_free(TAKE(verify->partitions[i].run));
        r = late_compare(verify, &verify->partitions[i], err);
    }
    return r;
}

/* What came on the topics since they were opened, for who compares them with what is newer. */
static int topics_catch_up(void *context, struct err *err)
{
    struct verify *verify = context;
    int r = 0;

    for (int i = 0; r == 0 && i < verify->partition_count; i++) {
        struct partition *partition = &verify->partitions[i];
        int64_t from = partition->bounds.high;

        r = reader_bounds(verify->reader, partition->topic, partition->number, &partition->bounds, err);
        if (r < 0 || from >= partition->bounds.high)
            continue;
        partition->run = reader_run_new(verify->reader);
        reader_run_add(partition->run, partition->topic, partition->number, from, from);
        r = read_uncovered(verify, partition, partition->bounds.high, err);
        reader_run_free(TAKE(partition->run));
    }
    return r;
}

static int tables_look(struct verify *verify, struct tables_counts *counts, struct err *err)
{
    struct tables_parts parts = {
        .config = verify->config,
        .findings = &verify->findings,
        .states = chains_states(verify->chains),
        .reader = verify->reader,
        .line = verify->line,
        .catch_up = topics_catch_up,
        .context = verify,
        .progress = verify->options.progress,
    };

    if (!verify->config->postgres_url || verify->options.topics_only)
        return 0;
    return tables_verify(&parts, counts, err);
}

/* --- what is told at the end --------------------------------------------------------------------------- */

static const char *const no_checkpoints = "there are no checkpoints: of events at a request's end, and of whole "
                                          "requests, it does not show that they are missing";

static void note(const struct verify *verify, struct buf *notes, const char *text)
{
    if (verify->options.json) {
        buf_adds(notes, notes->length ? "," : "");
        buf_json_string(notes, text);
    } else {
        fprintf(verify->findings.out, "note: %s\n", text);
    }
}

static void notes_tell(const struct verify *verify, struct buf *notes)
{
    struct line_counts line = line_counts(verify->line);
    char text[160];

    if (!verify->trust.count && line.checkpoints)
        note(verify, notes, trust_nobody);
    if (!line.checkpoints)
        note(verify, notes, no_checkpoints);
    if (!line.attested)
        return;
    snprintf(text, sizeof(text), "%lld checkpoints are signed by other keys, and attested by later ones",
             (long long)line.attested);
    note(verify, notes, text);
}

static void summary_json(const struct verify *verify, const struct tables_counts *tables, const struct buf *notes)
{
    struct chains_counts counts = chains_counts(verify->chains);
    struct line_counts line = line_counts(verify->line);

    fprintf(verify->findings.out,
            "{\"summary\":{\"findings\":%lld,\"records\":%lld,\"chains\":%lld,\"repeats\":%lld,\"checkpoints\":%lld,"
            "\"last_checkpoint\":%lld,\"rows\":%lld,\"database\":%s,\"notes\":[%s]}}\n",
            verify->findings.count, counts.events, (long long)states_count(chains_states(verify->chains)),
            counts.repeats + counts.late, (long long)verify->used, (long long)line.last, (long long)tables->events,
            tables->looked ? "true" : "false", notes->length ? notes->data : "");
}

static void summary_text(const struct verify *verify, const struct tables_counts *tables)
{
    struct chains_counts counts = chains_counts(verify->chains);
    struct line_counts line = line_counts(verify->line);

    fprintf(verify->findings.out, "%lld records of %lld chains, %lld repeats; %lld checkpoints, the last is %lld\n",
            counts.events, (long long)states_count(chains_states(verify->chains)), counts.repeats + counts.late,
            (long long)verify->used, (long long)line.last);
    if (tables->looked)
        fprintf(verify->findings.out, "PostgreSQL: %lld chains with %lld events, %lld of them not published yet\n",
                (long long)tables->chains, (long long)tables->events, (long long)tables->unpublished);
    if (verify->findings.count)
        fprintf(verify->findings.out, "%lld findings\n", verify->findings.count);
    else
        fprintf(verify->findings.out, "the log is whole\n");
}

static void summary_tell(const struct verify *verify, const struct tables_counts *tables)
{
    _cleanup_(buf_free) struct buf notes = BUF_INIT(4096);

    notes_tell(verify, &notes);
    if (verify->options.json)
        summary_json(verify, tables, &notes);
    else
        summary_text(verify, tables);
}

/* --- the verb ------------------------------------------------------------------------------------------ */

static int verify_run(struct verify *verify, struct tables_counts *tables, struct err *err)
{
    int r = topics_verify(verify, err);

    if (r == 0)
        r = tables_look(verify, tables, err);
    if (r == 0)
        r = chains_finish(verify->chains, err);
    progress_end(&verify->progress);
    return r;
}

static void verify_close(struct verify *verify)
{
    reader_free(verify->reader);
    for (int i = 0; i < verify->partition_count; i++)
        free(verify->partitions[i].entries);
    free(verify->partitions);
    chains_free(verify->chains);
    line_free(verify->line);
    digest_free(verify->digest);
    arena_free(verify->arena);
}

int audit_verify(const struct config *config, char **args, struct err *err)
{
    struct verify verify = { .config = config, .options = { .memory = 256 * 1024 * 1024 } };
    struct tables_counts tables = { 0 };
    struct option_texts words;
    int r = option_read(args, rows, &verify.options, &words, err);

    if (r == 0 && words.count)
        r = verb_usage(USAGE, err);
    if (r == 0)
        r = trust_read(&verify.options.keys, config, &verify.trust, err);
    if (r < 0)
        return r;
    verify.findings = (struct findings){ .out = stdout, .json = verify.options.json };
    verify.digest = digest_new();
    verify.arena = arena_new();
    verify.chains = chains_new(&verify.findings, verify.options.memory);
    verify.line = line_new(&verify.findings, &verify.trust);
    progress_begin(&verify.progress, verify.options.progress, "records", 0);
    r = verify_run(&verify, &tables, err);
    if (r == 0)
        summary_tell(&verify, &tables);
    verify_close(&verify);
    if (r == 0 && verify.findings.count)
        return err_set(err, ERR_REFUSED, "%lld findings: the log is not whole", verify.findings.count);
    return r;
}
