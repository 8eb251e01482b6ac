/*
 * store - where packages lie: a directory, or an S3 bucket. What is stored is always sealed with the request's key
 * (libsodium's secretstream in frames of 64 KiB under a key derived for the location), so that a package is gone with
 * the key, wherever copies of it are; who fetches it gets it opened, frame by frame.
 *
 * Threads:   blocking; one caller at a time per open object.
 * Errors:    ERR_UNAVAILABLE when the storage is away, ERR_NOT_FOUND, ERR_REFUSED (its own words in err->cause),
 *            ERR_INTERNAL when what lies there can't be opened with this key.
 */
#pragma once

#include <stdint.h>

#include "common/config.h"
#include "common/seal.h"

/* A storage of the configuration (rest.md 14), opened. */
struct store_target {
    const char *key, *type;    /* "local", "s3" */
    const char *details;       /* JSON object */
    const char *secrets;       /* JSON object, opened; NULL */
    const char *directory;     /* of "local": DOCKET_STORAGE_DIRECTORY */
};

struct store_writer;
/* `location`: below the directory or the bucket's prefix; no "..", no leading "/". Local: mode 0600, in place at once
 * and synced to the disk when finished. S3: in parts of 8 MiB. */
int store_write(const struct store_target *target, const char *location, const struct seal_key *key,
                const char *request_id, struct store_writer **ret, struct err *err) MUST_CHECK;
int store_put(struct store_writer *writer, const void *bytes, size_t length, struct err *err) MUST_CHECK;
int store_finish(struct store_writer *writer, int64_t *bytes, struct err *err) MUST_CHECK;
void store_writer_free(struct store_writer *writer); /* one that was not finished leaves nothing behind */
DEFINE_CLEANUP(struct store_writer *, store_writer_free)

struct store_reader;
int store_read(const struct store_target *target, const char *location, const struct seal_key *key,
               const char *request_id, struct store_reader **ret, struct err *err) MUST_CHECK;
/* Up to `size` bytes; 0 at the end, which is only told when all of it was there and is authentic. */
int64_t store_get(struct store_reader *reader, void *buffer, size_t size, struct err *err) MUST_CHECK;
void store_reader_free(struct store_reader *reader);
DEFINE_CLEANUP(struct store_reader *, store_reader_free)

/* One that is not there is deleted already. */
int store_delete(const struct store_target *target, const char *location, struct err *err) MUST_CHECK;
