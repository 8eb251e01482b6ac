/*
 * page - a sheet as a page for a browser: one file that needs no other, without a script, made to be read and printed.
 *
 * Threads: any.
 */
#pragma once

#include <stdio.h>

struct sheet;

void page_write(const struct sheet *sheet, FILE *out);
