/*
 * checkpoint - what docket states, now and then, of its own topics: which records lay there, and how far each request
 * had come. Signed, so that a log that is changed afterwards contradicts it (schemas/README.md, "Checkpoints").
 *
 * Here is the document: it is put together record by record, written, and read back. Making, signing and publishing them
 * is worker/checkpoint's; holding a log against them is that of `docketctl audit verify`.
 *
 * Threads:   one at a time per builder or document.
 * Ownership: what is read lives in the caller's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/chain.h"
#include "common/digest.h"
#include "common/err.h"
#include "common/merkle.h"
#include "common/sign.h"
#include "common/usec.h"

#define CHECKPOINT_TYPE "docket.checkpoint.v1"
#define CHECKPOINT_SUBJECT "checkpoint" /* also the record's key; ce_id is "checkpoint.<number>" */

/* So many at the most in one of them: its record stays well below a broker's megabyte, and what it speaks of fits into
 * memory. */
enum { CHECKPOINT_HEADS_MAX = 4000, CHECKPOINT_RECORDS_MAX = 65536, CHECKPOINT_BYTES = 4 * 1024 * 1024 };

/* The topics that are watched, without their prefix. A chain's id says which it is on. */
extern const char *const checkpoint_topics[]; /* ends with NULL */

/* The records of a partition with offsets of `from` to `to`, which is not among them. */
struct checkpoint_window {
    const char *topic; /* without the prefix */
    int32_t partition;
    int64_t from, to;
    int64_t records;
    uint8_t digest[DIGEST_BYTES]; /* over the records' marks (chain_mark()), in their order */
};

/* How far a chain had come: the highest of its events in the windows. */
struct checkpoint_head {
    const char *id;
    int64_t seq;
    uint8_t chain[DIGEST_BYTES];
};

struct checkpoint {
    int64_t number; /* from 1 */
    bool has_previous;
    uint8_t previous[DIGEST_BYTES]; /* SHA-256 of the previous one's value */
    usec_t made_at;
    char key_id[SIGN_ID_MAX + 1]; /* who signs it */
    uint8_t public_key[SIGN_PUBLIC_BYTES];
    const struct checkpoint_window *windows;
    int window_count;
    const struct checkpoint_head *heads; /* sorted by id, bytewise */
    int head_count;
    struct merkle_hash root; /* over the heads */
};

/* The value of its record. */
void checkpoint_write(const struct checkpoint *checkpoint, struct buf *out);

/* ERR_INVALID, with the reason, for what is none: no JSON, a member is missing, heads out of order, a root that is not
 * theirs. Members that are not known are skipped. */
int checkpoint_read(const void *value, size_t length, struct digest *digest, struct arena *arena,
                    struct checkpoint *ret, struct err *err) MUST_CHECK;

/* The same for what stands before its lists: number, previous, time and key. Windows, heads and root are not looked at. */
int checkpoint_read_outline(const void *value, size_t length, struct arena *arena, struct checkpoint *ret,
                            struct err *err) MUST_CHECK;

/* The leaves of its tree. */
const struct merkle_hash *checkpoint_leaves(const struct checkpoint *checkpoint, struct digest *digest,
                                            struct arena *arena);

/* --- putting one together: window after window, record after record ----------------------------------- */

struct checkpoint_builder;

struct checkpoint_builder *checkpoint_builder_new(void);
void checkpoint_builder_free(struct checkpoint_builder *builder); /* accepts NULL */
DEFINE_CLEANUP(struct checkpoint_builder *, checkpoint_builder_free)

void checkpoint_window_begin(struct checkpoint_builder *builder, const char *topic, int32_t partition, int64_t from);
/* False when it does not fit any more; then it was not added. */
bool checkpoint_add(struct checkpoint_builder *builder, const struct record *record);
/* `to`: how far the partition was read. A window of no offsets is left out. */
void checkpoint_window_end(struct checkpoint_builder *builder, int64_t to);

/* What was added, as windows, heads and root; the rest is the caller's. NULL windows: nothing was. Lives until the
 * builder's next call. */
void checkpoint_built(struct checkpoint_builder *builder, struct checkpoint *ret);
void checkpoint_builder_clear(struct checkpoint_builder *builder);
