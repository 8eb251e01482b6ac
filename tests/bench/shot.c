#include "tests/bench/shot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct lengths {
    uint32_t head, body;
};

_Noreturn void shot_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "ill-formed");
    exit(1);
}

void shot_write(FILE *file, const struct shot *shot)
{
    struct lengths lengths = { (uint32_t)shot->head_bytes, (uint32_t)shot->body_bytes };

    fwrite(&lengths, sizeof(lengths), 1, file);
    fwrite(shot->head, 1, shot->head_bytes, file);
    fwrite(shot->body, 1, shot->body_bytes, file);
}

/* Takes the next shot off the front of `bytes`; false when that is none. */
static bool shot_next(const char **bytes, size_t *left, struct shot *shot)
{
    struct lengths lengths;

    if (*left < sizeof(lengths))
        return false;
    memcpy(&lengths, *bytes, sizeof(lengths));
    if (*left - sizeof(lengths) < (size_t)lengths.head + lengths.body)
        return false;
    shot->head = *bytes + sizeof(lengths);
    shot->head_bytes = lengths.head;
    shot->body = shot->head + lengths.head;
    shot->body_bytes = lengths.body;
    *left -= sizeof(lengths) + lengths.head + lengths.body;
    *bytes = shot->body + lengths.body;
    return true;
}

static const char *map_file(const char *path, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    void *bytes;

    if (fd < 0 || fstat(fd, &stat))
        shot_die(path);
    *length = (size_t)stat.st_size;
    bytes = *length ? mmap(NULL, *length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
    if (bytes == MAP_FAILED)
        shot_die(path);
    return bytes;
}

struct shot_file shot_file_open(const char *path)
{
    struct shot_file file = {0};
    size_t left, room = 0;
    const char *bytes = map_file(path, &left);

    errno = 0;
    while (left) {
        if (file.count == room) {
            room = room ? room * 2 : 1024;
            file.shots = realloc(file.shots, room * sizeof(*file.shots));
            if (!file.shots)
                abort();
        }
        if (!shot_next(&bytes, &left, &file.shots[file.count]))
            shot_die(path);
        file.count++;
    }
    return file;
}

size_t shot_content_length(const char *head)
{
    const char *line = strcasestr(head, "\r\nContent-Length:");

    return line ? strtoul(line + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}
