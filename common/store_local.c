#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/random.h"
#include "common/store_kind.h"

/* Directories are opened one within the other and never through a link, so that a location leads nowhere else. */

enum { NAME_BYTES = 300, TRIES = 3 };

struct writing {
    int directory, file;
    char name[NAME_BYTES], partial[NAME_BYTES];
};

static int local_err(const char *what, struct err *err)
{
    static const int away[] = { ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ESTALE, EAGAIN, ETIMEDOUT, EHOSTDOWN };
    int problem = errno;

    if (problem == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "The package is not in its storage.");
    for (size_t i = 0; i < COUNT_OF(away); i++) {
        if (problem == away[i]) {
            err_set(err, ERR_UNAVAILABLE, "The storage directory can't be used: %s", strerror(problem));
            snprintf(err->cause, sizeof(err->cause), "store: %s: %s", what, strerror(problem));
            return -ERR_UNAVAILABLE;
        }
    }
    err_set(err, ERR_REFUSED, "The storage directory can't be used: %s", strerror(problem));
    snprintf(err->cause, sizeof(err->cause), "store: %s: %s", what, strerror(problem));
    return -ERR_REFUSED;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A directory below another, made when `make`; what was made is synced into the one above it. */
static int directory_in(int above, const char *name, bool make, int *ret, struct err *err)
{
    int fd, made = make && mkdirat(above, name, 0700) == 0;

    if (make && !made && errno != EEXIST)
        return local_err("mkdir", err);
    fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return local_err("open a directory", err);
    if (made && above != AT_FDCWD && fsync(above) < 0) {
        close(fd);
        return local_err("sync a directory", err);
    }
    *ret = fd;
    return 0;
}

/* The root itself may be a link: that is the operator's. */
static int root_open(const char *path, bool make, int *ret, struct err *err)
{
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return local_err("mkdir", err);
    *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? local_err("open the directory", err) : 0;
}

/* The directory of `location`, and its last part's name. */
static int place_open(const struct store_target *target, const char *location, bool make, int *ret,
                      char name[NAME_BYTES], struct err *err)
{
    _cleanup_(close_fd) int directory = -1;
    const char *slash;
    int r = root_open(target->directory, make, &directory, err);

    while (r == 0 && (slash = strchr(location, '/'))) {
        int below;

        snprintf(name, NAME_BYTES, "%.*s", (int)(slash - location), location);
        r = directory_in(directory, name, make, &below, err);
        if (r < 0)
            return r;
        close_fd(&directory);
        directory = below;
        location = slash + 1;
    }
    if (r < 0)
        return r;
    snprintf(name, NAME_BYTES, "%s", location);
    *ret = directory;
    directory = -1;
    return 0;
}

/* --- writing -------------------------------------------------------------------------------------------- */

static void writing_free(struct writing *writing)
{
    close_fd(&writing->file);
    close_fd(&writing->directory);
    free(writing);
}

static void local_abandon(void *handle)
{
    struct writing *writing = handle;

    unlinkat(writing->directory, writing->partial, 0);
    writing_free(writing);
}

static void partial_name(struct writing *writing)
{
    uint8_t bytes[8];

    random_bytes(bytes, sizeof(bytes));
    snprintf(writing->partial, sizeof(writing->partial), ".%02x%02x%02x%02x%02x%02x%02x%02x.part", bytes[0], bytes[1],
             bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]);
}

static int writing_open(const struct store_target *target, const char *location, struct writing *writing,
                        struct err *err)
{
    int r = place_open(target, location, true, &writing->directory, writing->name, err);

    if (r < 0)
        return r;
    writing->file = openat(writing->directory, writing->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           0600);
    if (writing->file >= 0)
        return 0;
    r = local_err("create", err);
    close_fd(&writing->directory);
    return r;
}

/* Again where another's deletion took the emptied directory away in between. */
static int local_begin(const struct store_target *target, const char *location, void **handle, struct err *err)
{
    struct writing *writing = calloc(1, sizeof(*writing));
    int r = -ERR_NOT_FOUND;

    if (!writing)
        abort();
    writing->file = writing->directory = -1;
    partial_name(writing);
    for (int i = 0; i < TRIES && r == -ERR_NOT_FOUND; i++)
        r = writing_open(target, location, writing, err);
    if (r == -ERR_NOT_FOUND)
        r = err_set(err, ERR_REFUSED, "The storage directory can't be used: %s", strerror(ENOENT));
    if (r < 0)
        writing_free(writing);
    else
        *handle = writing;
    return r;
}

static int local_put(void *handle, const void *bytes, size_t length, struct err *err)
{
    struct writing *writing = handle;
    const char *at = bytes;

    while (length) {
        ssize_t some = write(writing->file, at, length);

        if (some < 0 && errno != EINTR)
            return local_err("write", err);
        if (some > 0) {
            at += some;
            length -= (size_t)some;
        }
    }
    return 0;
}

static int writing_settle(struct writing *writing, struct err *err)
{
    if (fsync(writing->file) < 0)
        return local_err("sync", err);
    if (renameat(writing->directory, writing->partial, writing->directory, writing->name) < 0)
        return local_err("rename", err);
    return fsync(writing->directory) < 0 ? local_err("sync a directory", err) : 0;
}

static int local_finish(void *handle, struct err *err)
{
    struct writing *writing = handle;
    int r = writing_settle(writing, err);

    if (r < 0)
        local_abandon(writing);
    else
        writing_free(writing);
    return r;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static int local_open(const struct store_target *target, const char *location, void **handle, struct err *err)
{
    _cleanup_(close_fd) int directory = -1;
    char name[NAME_BYTES];
    int *file, fd, r = place_open(target, location, false, &directory, name, err);

    if (r < 0)
        return r;
    fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return local_err("open", err);
    file = malloc(sizeof(*file));
    if (!file)
        abort();
    *file = fd;
    *handle = file;
    return 0;
}

static int64_t local_get(void *handle, void *buffer, size_t size, struct err *err)
{
    const int *file = handle;
    size_t length = 0;

    while (length < size) {
        ssize_t some = read(*file, (char *)buffer + length, size - length);

        if (some < 0 && errno != EINTR)
            return local_err("read", err);
        if (some == 0)
            break;
        length += some > 0 ? (size_t)some : 0;
    }
    return (int64_t)length;
}

static void local_close(void *handle)
{
    close(*(int *)handle);
    free(handle);
}

/* The request's directory goes with its last package. */
static void parent_remove(const struct store_target *target, const char *location)
{
    _cleanup_(close_fd) int directory = -1;
    const char *slash = strrchr(location, '/');
    char above[NAME_BYTES * 2], name[NAME_BYTES];
    struct err err;

    if (!slash)
        return;
    snprintf(above, sizeof(above), "%.*s", (int)(slash - location), location);
    if (place_open(target, above, false, &directory, name, &err) == 0)
        unlinkat(directory, name, AT_REMOVEDIR);
}

static int local_remove(const struct store_target *target, const char *location, struct err *err)
{
    _cleanup_(close_fd) int directory = -1;
    char name[NAME_BYTES];
    int r = place_open(target, location, false, &directory, name, err);

    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    if (unlinkat(directory, name, 0) < 0)
        return errno == ENOENT ? 0 : local_err("unlink", err);
    if (fsync(directory) < 0)
        return local_err("sync a directory", err);
    parent_remove(target, location);
    return 0;
}

const struct store_kind store_local = {
    .type = "local",
    .begin = local_begin,
    .put = local_put,
    .finish = local_finish,
    .abandon = local_abandon,
    .open = local_open,
    .get = local_get,
    .close = local_close,
    .remove = local_remove,
};
