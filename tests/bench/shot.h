/*
 * shot - HTTP requests as they stand on the wire, in a file: what the sink records, and what the load tools send.
 *
 * A file is shots one after another, each two 32-bit lengths in the machine's own order, then the head (request line
 * and header lines, with the empty line that ends them), then the body.
 *
 * Ownership: shot_file maps the file; what a shot points to lives until the program ends.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct shot {
    const char *head, *body;
    size_t head_bytes, body_bytes;
};

struct shot_file {
    struct shot *shots;
    size_t count;
};

/* Ends the program, with a word on stderr, when the file is none of shots or empty: nobody can go on without it. */
struct shot_file shot_file_open(const char *path);

void shot_write(FILE *file, const struct shot *shot);

/* The length that a head announces for its body; 0 when it announces none. `head` is NUL-terminated. */
size_t shot_content_length(const char *head);

_Noreturn void shot_die(const char *what);
