/*
 * chains - every chain of the log, followed event by event: what breaks one is found and named as what was done to it.
 *
 * What a single record shows is told at once. What may yet turn out to be something else (an event that is missing may
 * come later, of two events with one number the next one tells which is right) is kept as a doubt until that is known, or
 * the log has ended. Heads of checkpoints are the truth: after a finding, a chain goes on from them.
 *
 * Threads:   one at a time.
 * Errors:    ERR_UNAVAILABLE from states.h.
 */
#pragma once

#include "common/checkpoint.h"
#include "common/record.h"
#include "worker/ctl/audit/finding.h"
#include "worker/ctl/audit/states.h"

struct chains;

/* What is kept of a record until its window was looked at. */
struct chains_entry {
    char id[CHAIN_ID_MAX + 1]; /* "": it is no event */
    int64_t seq, offset;
    uint8_t mark[DIGEST_BYTES]; /* what it counts with; of an event, the chain that it states */
    bool is_repeat, is_found;   /* something was found about it */
};

/* The part of the log that a head or an entry is looked at in. */
struct chains_scope {
    int64_t checkpoint;
    const char *topic;
    int32_t partition; /* -1: not known */
    bool is_whole;     /* the window's digest is right */
};

struct chains_counts {
    long long events, repeats, late; /* late: repeats that can only be compared by reading once more */
};

struct chains *chains_new(struct findings *findings, int64_t memory);
void chains_free(struct chains *chains); /* accepts NULL */
DEFINE_CLEANUP(struct chains *, chains_free)

/* What is known to be gone before a record: nothing; its partition's beginning, so that a chain may begin anywhere; the
 * beginning of the window that it lies in, so that a chain may have a gap. */
enum chains_gone { CHAINS_GONE_NOTHING, CHAINS_GONE_BEGINNING, CHAINS_GONE_BEFORE };

int chains_take(struct chains *chains, const struct record *record, const char *topic, enum chains_gone gone,
                struct chains_entry *ret, struct err *err) MUST_CHECK;

/* Whether a chain stands where a checkpoint says, as far as is known: no doubt, nothing more to look at. */
int chains_is_at(struct chains *chains, const struct checkpoint_head *head, bool *ret, struct err *err) MUST_CHECK;

/* A head, with the highest of the entries of its chain in the checkpoint's windows (NULL: there is none), and one that
 * should be among them and stands behind (NULL). *found: its chain is not what it should be, which was told or is
 * remembered. */
int chains_head(struct chains *chains, const struct checkpoint_head *head, const struct chains_entry *top,
                struct chains_entry *behind, const struct chains_scope *scope, bool *found,
                struct err *err) MUST_CHECK;

/* An entry that no head of its checkpoint accounts for. */
int chains_extra(struct chains *chains, const struct chains_entry *entry, const struct checkpoint_head *head,
                 const struct chains_scope *scope, struct err *err) MUST_CHECK;

/* A head is taken as it is: what led to it is gone with the beginning or the end of the log. */
int chains_adopt(struct chains *chains, const struct checkpoint_head *head, struct err *err) MUST_CHECK;
/* That a chain's head was missed is explained by such a cut, as it turns out. */
int chains_forgive(struct chains *chains, const char *id, struct err *err) MUST_CHECK;

/* The log has ended: what was in doubt is told. */
int chains_finish(struct chains *chains, struct err *err) MUST_CHECK;

struct states *chains_states(struct chains *chains);
struct chains_counts chains_counts(const struct chains *chains);

/* Repeats that came so late that what they repeat is not known any more: their partitions are read once more, and each
 * is held against the first of its kind. */
bool chains_is_late(const struct chains *chains, const char *topic, int32_t partition);
int chains_compare(struct chains *chains, const struct record *record, const char *topic, struct err *err) MUST_CHECK;
