#include "worker/ctl/audit/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT = 256, MISSING_MAX = 4096, WHY_BYTES = 128 };

enum verdict {
    GOOD,    /* signed by a key that is known */
    UNKNOWN, /* rightly signed, by another */
    BAD,     /* not what was signed */
};

struct range {
    int64_t from, to;
};

/* Checkpoints one after another that one key has signed. */
struct run {
    struct range numbers, offsets;
    char key_id[SIGN_ID_MAX + 1];
};

struct line {
    struct findings *findings;
    const struct trust *trust;
    struct arena *arena;
    struct digest *digest;
    struct line_counts counts;
    /* The last one. */
    int64_t number, offset;
    uint8_t hash[DIGEST_BYTES], hash_before[DIGEST_BYTES]; /* of the one before it */
    enum verdict verdict;
    char why[WHY_BYTES]; /* it is BAD */
    int64_t nameless;    /* offset of a record that stands behind it and has no number; -1 */
    struct run *runs;    /* of UNKNOWN ones, each followed by the next, the last one ends with it */
    int run_count;
    struct {
        int64_t number;
        uint8_t hash[DIGEST_BYTES];
    } recent[RECENT];
    struct range missing[MISSING_MAX]; /* numbers that have not come */
    int missing_count;
    struct range *bad; /* offsets that are not believed, ascending */
    int bad_count;
};

/* One that is looked at. */
struct taking {
    const struct record *record;
    struct record_event event;
    struct checkpoint checkpoint; /* what stands before its lists */
    int64_t number;
    uint8_t hash[DIGEST_BYTES];
    enum verdict verdict;
    const char *why, *header;
};

struct line *line_new(struct findings *findings, const struct trust *trust)
{
    struct line *line = calloc(1, sizeof(*line));

    if (!line)
        abort();
    line->findings = findings;
    line->trust = trust;
    line->arena = arena_new();
    line->digest = digest_new();
    line->nameless = -1;
    return line;
}

void line_free(struct line *line)
{
    if (!line)
        return;
    arena_free(line->arena);
    digest_free(line->digest);
    free(line->runs);
    free(line->bad);
    free(line);
}

struct line_counts line_counts(const struct line *line)
{
    return line->counts;
}

bool line_believes(const struct line *line, int64_t offset)
{
    int low = 0, high = line->bad_count;

    while (low < high) {
        int middle = (low + high) / 2;

        if (line->bad[middle].to < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low == line->bad_count || line->bad[low].from > offset;
}

/* --- telling ------------------------------------------------------------------------------------------- */

static void tell(struct line *line, enum finding_kind kind, struct range numbers, int64_t offset, const char *field,
                 const char *text)
{
    struct finding_place place = FINDING_NOWHERE;

    place.topic = "checkpoints";
    place.offset = offset;
    place.partition = offset < 0 ? -1 : 0;
    place.checkpoint = numbers.from;
    place.field = field;
    line->counts.is_broken = true;
    if (numbers.to > numbers.from)
        finding_tell(line->findings, kind, &place, "%s: %lld to %lld", text ? text : finding_means(kind),
                     (long long)numbers.from, (long long)numbers.to);
    else if (text)
        finding_tell(line->findings, kind, &place, "%s", text);
    else
        finding_tell(line->findings, kind, &place, NULL);
}

static struct range only(int64_t number)
{
    return (struct range){ number, number };
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *one = a, *other = b;

    return one->from < other->from ? -1 : one->from > other->from;
}

static void disbelieve(struct line *line, struct range offsets)
{
    line->bad = realloc(line->bad, sizeof(*line->bad) * (size_t)(line->bad_count + 1));
    if (!line->bad)
        abort();
    line->bad[line->bad_count++] = offsets;
}

/* --- what a record is ---------------------------------------------------------------------------------- */

static bool is_text(const char *text, const char *wanted)
{
    return text && !strcmp(text, wanted);
}

/* The first header that does not follow from the value; NULL. */
static const char *header_check(const struct taking *taking)
{
    char id[64], time[USEC_TEXT_BYTES];
    const struct {
        enum record_attribute attribute;
        const char *text;
    } wanted[] = {
        { RECORD_SUBJECT, CHECKPOINT_SUBJECT },
        { RECORD_ID, id },
        { RECORD_TYPE, CHECKPOINT_TYPE },
        { RECORD_TIME, usec_format_z(taking->checkpoint.made_at, time) },
        { RECORD_DATASCHEMA, "docket:events/" CHECKPOINT_TYPE ".json" },
        { RECORD_CONTENT_TYPE, "application/json" },
        { RECORD_SPECVERSION, "1.0" },
        { RECORD_KEY_ID, taking->checkpoint.key_id },
    };
    static const enum record_attribute none[] = { RECORD_CHAIN, RECORD_CAUSE, RECORD_TRACEPARENT };
    const struct record *record = taking->record;
    const char *source = taking->event.attributes[RECORD_SOURCE];

    snprintf(id, sizeof(id), CHECKPOINT_SUBJECT ".%lld", (long long)taking->checkpoint.number);
    if (record->key_length != strlen(CHECKPOINT_SUBJECT) ||
        memcmp(record->key, CHECKPOINT_SUBJECT, record->key_length) != 0)
        return "key";
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!is_text(taking->event.attributes[wanted[i].attribute], wanted[i].text))
            return record_attribute_name(wanted[i].attribute);
    for (size_t i = 0; i < COUNT_OF(none); i++)
        if (taking->event.attributes[none[i]])
            return record_attribute_name(none[i]);
    if (taking->event.sequence != taking->checkpoint.number)
        return record_attribute_name(RECORD_SEQUENCE);
    if (!source || strncmp(source, "/docket/", 8) != 0)
        return record_attribute_name(RECORD_SOURCE);
    return taking->event.unknown ? taking->event.unknown : taking->event.doubled;
}

static enum verdict verdict_of(const struct line *line, struct taking *taking)
{
    const struct checkpoint *checkpoint = &taking->checkpoint;
    const uint8_t *key = trust_key(line->trust, checkpoint);
    const char *text = taking->event.attributes[RECORD_SIGNATURE];
    uint8_t signature[SIGN_BYTES];

    taking->why = "its signature is not right";
    if (!text || !sign_parse(text, signature) ||
        !sign_check(key ? key : checkpoint->public_key, taking->record->value, taking->record->value_length, signature))
        return BAD;
    return key ? GOOD : UNKNOWN;
}

static void taking_read(struct line *line, const struct record *record, struct taking *ret)
{
    struct err err;

    memset(ret, 0, sizeof(*ret));
    ret->record = record;
    record_event(record, &ret->event);
    digest_of(line->digest, record->value ? record->value : "", record->value_length, ret->hash);
    arena_clear(line->arena);
    if (checkpoint_read_outline(record->value, record->value_length, line->arena, &ret->checkpoint, &err) < 0) {
        ret->verdict = BAD;
        ret->why = arena_strdup(line->arena, err.text);
        ret->number = ret->event.sequence;
        return;
    }
    ret->number = ret->checkpoint.number;
    ret->verdict = verdict_of(line, ret);
    if (ret->verdict != BAD)
        ret->header = header_check(ret);
    else if (ret->event.sequence)
        ret->number = ret->event.sequence;
}

/* --- what becomes of the last one ---------------------------------------------------------------------- */

/* The runs are believed, as one that is follows from them; or not, as none does. */
static void runs_settle(struct line *line, bool attested)
{
    for (int i = 0; i < line->run_count; i++) {
        const struct run *run = &line->runs[i];

        if (attested) {
            line->counts.attested += run->numbers.to - run->numbers.from + 1;
            continue;
        }
        tell(line, FINDING_CHECKPOINT_KEY, run->numbers, run->offsets.from, run->key_id, NULL);
        disbelieve(line, run->offsets);
    }
    line->run_count = 0;
}

static void bad_settle(struct line *line, bool attested)
{
    tell(line, FINDING_CHECKPOINT_CHANGED, only(line->number), line->offset, NULL,
         attested ? "its signature was changed; the next one says that the rest was not" : line->why);
    if (!attested)
        disbelieve(line, only(line->offset));
}

/* What comes next is known: by a GOOD one that follows from the last, that is believed too. */
static void last_settle(struct line *line, enum verdict next, bool is_linked)
{
    bool attested = next == GOOD && is_linked;

    if (line->verdict == BAD)
        bad_settle(line, attested);
    if (next != UNKNOWN || !is_linked || line->verdict != UNKNOWN)
        runs_settle(line, attested);
    line->verdict = GOOD;
}

static void run_extend(struct line *line, const struct taking *taking)
{
    struct run *run = line->run_count ? &line->runs[line->run_count - 1] : NULL;

    if (!run || strcmp(run->key_id, taking->checkpoint.key_id) != 0) {
        line->runs = realloc(line->runs, sizeof(*run) * (size_t)(line->run_count + 1));
        if (!line->runs)
            abort();
        run = &line->runs[line->run_count++];
        run->numbers = only(taking->number);
        run->offsets = only(taking->record->offset);
        snprintf(run->key_id, sizeof(run->key_id), "%s", taking->checkpoint.key_id);
    }
    run->numbers.to = taking->number;
    run->offsets.to = taking->record->offset;
}

/* Between the last one and `number`. */
static void gap_note(struct line *line, int64_t number)
{
    bool is_nameless = line->nameless >= 0;

    if (is_nameless)
        tell(line, FINDING_CHECKPOINT_CHANGED, only(number == line->number + 2 ? line->number + 1 : 0), line->nameless,
             NULL, "it can't be read");
    line->nameless = -1;
    if (number <= line->number + 1 + is_nameless || line->missing_count == MISSING_MAX)
        return;
    line->missing[line->missing_count++] = (struct range){ line->number + 1, number - 1 };
}

/* Takes a number out of those that have not come. */
static bool missing_take(struct line *line, int64_t number)
{
    for (int i = 0; i < line->missing_count; i++) {
        struct range *range = &line->missing[i], rest = { number + 1, range->to };

        if (number < range->from || number > range->to)
            continue;
        range->to = number - 1;
        if (rest.from <= rest.to && line->missing_count < MISSING_MAX)
            line->missing[line->missing_count++] = rest;
        return true;
    }
    return false;
}

/* --- taking -------------------------------------------------------------------------------------------- */

static const uint8_t *recent_hash(const struct line *line, int64_t number)
{
    return line->recent[number % RECENT].number == number ? line->recent[number % RECENT].hash : NULL;
}

/* A number that was there already: the same once more, one that stands behind its place, or another in its name. */
static void take_again(struct line *line, const struct taking *taking)
{
    const uint8_t *hash = recent_hash(line, taking->number);
    bool is_same = hash && !memcmp(hash, taking->hash, DIGEST_BYTES);

    if (is_same || (taking->verdict == GOOD && !hash && !missing_take(line, taking->number))) {
        line->counts.repeats++;
        if (taking->header)
            tell(line, FINDING_CHECKPOINT_CHANGED, only(taking->number), taking->record->offset, taking->header,
                 "a header is not what follows from the rest of it");
        return;
    }
    if (taking->verdict == GOOD && !hash)
        tell(line, FINDING_CHECKPOINT_REORDERED, only(taking->number), taking->record->offset, NULL, NULL);
    else
        tell(line, FINDING_CHECKPOINT_DOUBLED, only(taking->number), taking->record->offset, NULL, NULL);
}

static void last_set(struct line *line, const struct taking *taking)
{
    line->verdict = taking->verdict;
    line->number = taking->number;
    line->offset = taking->record->offset;
    snprintf(line->why, sizeof(line->why), "%s", taking->why ? taking->why : "");
    memcpy(line->hash, taking->hash, DIGEST_BYTES);
    line->recent[taking->number % RECENT].number = taking->number;
    memcpy(line->recent[taking->number % RECENT].hash, taking->hash, DIGEST_BYTES);
}

static bool follows(const struct taking *taking, const uint8_t hash[DIGEST_BYTES])
{
    if (taking->verdict == BAD || taking->checkpoint.has_previous != (taking->number > 1))
        return false;
    return taking->number == 1 || !memcmp(taking->checkpoint.previous, hash, DIGEST_BYTES);
}

static void take_next(struct line *line, const struct taking *taking)
{
    bool has_gap = taking->number != line->number + 1, is_linked = !has_gap && follows(taking, line->hash);
    enum verdict before = line->verdict;

    gap_note(line, taking->number);
    last_settle(line, taking->verdict, is_linked);
    if (!has_gap && !is_linked && taking->verdict == GOOD && before == GOOD)
        tell(line, FINDING_CHECKPOINT_FORK, only(taking->number), taking->record->offset, NULL, NULL);
    if (taking->verdict == UNKNOWN)
        run_extend(line, taking);
    if (taking->header)
        tell(line, FINDING_CHECKPOINT_CHANGED, only(taking->number), taking->record->offset, taking->header,
             "a header is not what follows from the rest of it");
    memcpy(line->hash_before, line->hash, DIGEST_BYTES);
    last_set(line, taking);
    line->counts.checkpoints++;
    line->counts.last = taking->number;
}

/* The last one was another in its name: this one is it. */
static void take_instead(struct line *line, const struct taking *taking)
{
    struct run *run = line->run_count ? &line->runs[line->run_count - 1] : NULL;

    tell(line, FINDING_CHECKPOINT_DOUBLED, only(line->number), line->offset, NULL, NULL);
    disbelieve(line, only(line->offset));
    if (line->verdict == UNKNOWN && --run->numbers.to < run->numbers.from)
        line->run_count--;
    runs_settle(line, follows(taking, line->hash_before));
    last_set(line, taking);
}

void line_take(struct line *line, const struct record *record)
{
    struct taking taking;

    taking_read(line, record, &taking);
    if (record->partition != 0) {
        disbelieve(line, only(record->offset));
        tell(line, FINDING_CHECKPOINT_DOUBLED, only(taking.number), record->offset, NULL, "on another partition");
    } else if (!taking.number) {
        disbelieve(line, only(record->offset));
        gap_note(line, 0); /* one before it */
        line->nameless = record->offset;
    } else if (taking.number == line->number && taking.verdict == GOOD && line->verdict != GOOD &&
               memcmp(taking.hash, line->hash, DIGEST_BYTES) != 0) {
        take_instead(line, &taking);
    } else if (taking.number <= line->number) {
        take_again(line, &taking);
    } else {
        take_next(line, &taking);
    }
}

/* Sorted, none in another, so that they can be searched. */
static void bad_sort(struct line *line)
{
    int kept = 0;

    if (line->bad_count)
        qsort(line->bad, (size_t)line->bad_count, sizeof(*line->bad), compare_ranges);
    for (int i = 0; i < line->bad_count; i++) {
        if (kept && line->bad[i].from <= line->bad[kept - 1].to) {
            if (line->bad[i].to > line->bad[kept - 1].to)
                line->bad[kept - 1].to = line->bad[i].to;
        } else {
            line->bad[kept++] = line->bad[i];
        }
    }
    line->bad_count = kept;
}

void line_finish(struct line *line)
{
    gap_note(line, 0);
    last_settle(line, BAD, false);
    for (int i = 0; i < line->missing_count; i++)
        if (line->missing[i].from <= line->missing[i].to)
            tell(line, FINDING_CHECKPOINT_REMOVED, line->missing[i], -1, NULL, NULL);
    bad_sort(line);
}
