#include "worker/execute/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/buf.h"

enum { BLOCK_BYTES = 64 * 1024, NAME_BYTES = 1024 };

struct zip {
    struct sink sink;
    struct sink *next;
    struct archive *archive;
    usec_t time;
    struct err err;        /* of the sink behind: libarchive only knows that there was one */
    char name[NAME_BYTES]; /* of the member under way; "" before the first */
    bool begun;            /* its header is written */
    struct buf held;       /* what came before that */
};

void zip_free(struct zip *zip)
{
    if (!zip)
        return;
    archive_write_fail(zip->archive); /* else it would write the end of a file that has none */
    archive_write_free(zip->archive);
    buf_free(&zip->held);
    free(zip);
}

static ssize_t pass_on(struct archive *archive, void *context, const void *bytes, size_t length)
{
    struct zip *zip = context;

    (void)archive;
    return sink_put(zip->next, bytes, length, &zip->err) < 0 ? -1 : (ssize_t)length;
}

static int zip_err(struct zip *zip, struct err *err)
{
    if (!zip->err.code)
        return err_cause(err, ERR_INTERNAL, "zip: %s", archive_error_string(zip->archive));
    *err = zip->err;
    return -(int)err->code;
}

static int member_bytes(struct zip *zip, const void *bytes, size_t length, struct err *err)
{
    const char *at = bytes;

    while (length) {
        la_ssize_t some = archive_write_data(zip->archive, at, length);

        if (some <= 0)
            return zip_err(zip, err);
        at += some;
        length -= (size_t)some;
    }
    return 0;
}

/* `size` -1: it is told behind the member. */
static int member_begin(struct zip *zip, int64_t size, struct err *err)
{
    struct archive_entry *entry = archive_entry_new();
    int r;

    if (!entry)
        abort();
    archive_entry_set_pathname(entry, zip->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, zip->time / USEC_PER_S, 0);
    if (size >= 0)
        archive_entry_set_size(entry, size);
    r = archive_write_header(zip->archive, entry);
    archive_entry_free(entry);
    if (r != ARCHIVE_OK)
        return zip_err(zip, err);
    zip->begun = true;
    return member_bytes(zip, zip->held.data, zip->held.length, err);
}

static int member_end(struct zip *zip, struct err *err)
{
    int r = 0;

    if (*zip->name && !zip->begun)
        r = member_begin(zip, (int64_t)zip->held.length, err);
    if (r == 0 && *zip->name && archive_write_finish_entry(zip->archive) != ARCHIVE_OK)
        r = zip_err(zip, err);
    buf_clear(&zip->held);
    zip->begun = false;
    return r;
}

static int zip_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    struct zip *zip = (struct zip *)sink;
    int r = 0;

    if (!zip->begun && zip->held.length + length <= ZIP_HELD_BYTES) {
        buf_add(&zip->held, bytes, length);
        return 0;
    }
    if (!zip->begun)
        r = member_begin(zip, -1, err);
    return r < 0 ? r : member_bytes(zip, bytes, length, err);
}

int zip_new(struct sink *next, usec_t time, struct zip **ret, struct err *err)
{
    _cleanup_(zip_freep) struct zip *zip = calloc(1, sizeof(*zip));

    if (!zip || !(zip->archive = archive_write_new()))
        abort();
    zip->sink.put = zip_put;
    zip->next = next;
    zip->time = time;
    zip->held = BUF_INIT(ZIP_HELD_BYTES);
    if (archive_write_set_format_zip(zip->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(zip->archive, BLOCK_BYTES) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(zip->archive, 1) != ARCHIVE_OK ||
        archive_write_open(zip->archive, zip, NULL, pass_on, NULL) != ARCHIVE_OK)
        return zip_err(zip, err);
    *ret = TAKE(zip);
    return 0;
}

int zip_begin(struct zip *zip, const char *name, struct err *err)
{
    int r = member_end(zip, err);

    snprintf(zip->name, sizeof(zip->name), "%s", name);
    return r;
}

struct sink *zip_sink(struct zip *zip)
{
    return &zip->sink;
}

int zip_finish(struct zip *zip, struct err *err)
{
    int r = member_end(zip, err);

    zip->name[0] = '\0';
    if (r == 0 && archive_write_close(zip->archive) != ARCHIVE_OK)
        r = zip_err(zip, err);
    return r;
}
