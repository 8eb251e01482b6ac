/*
 * zip - a zip file, member after member, passed on as it grows. A member of up to ZIP_HELD_BYTES is written with its
 * size in front, as every program that opens zip files likes it; a larger one has its size behind it, in zip64.
 *
 * Threads:   one caller at a time. Ownership: zip_free(); the sink behind is the caller's.
 */
#pragma once

#include "common/usec.h"
#include "worker/execute/sink.h"

enum { ZIP_HELD_BYTES = 1024 * 1024 };

struct zip;

/* `time` is that of all members. */
int zip_new(struct sink *next, usec_t time, struct zip **ret, struct err *err) MUST_CHECK;
/* Begins a member, the one before being ended. `name`: ASCII, below the top. */
int zip_begin(struct zip *zip, const char *name, struct err *err) MUST_CHECK;
struct sink *zip_sink(struct zip *zip); /* of the member under way */
int zip_finish(struct zip *zip, struct err *err) MUST_CHECK;
void zip_free(struct zip *zip); /* accepts NULL; passes nothing on */
DEFINE_CLEANUP(struct zip *, zip_free)
