/*
 * sink - where a package's bytes go next: into a member of a zip file, through a cipher, into a storage. Each kind has
 * a `struct sink` as its first member.
 */
#pragma once

#include "common/err.h"

struct sink {
    int (*put)(struct sink *sink, const void *bytes, size_t length, struct err *err);
};

static inline int sink_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    return sink->put(sink, bytes, length, err);
}
