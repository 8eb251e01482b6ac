/*
 * route - every path that docket-api answers, in one place: the tables of all resources as a tree
 * of segments.
 *
 * Threads: built once by the first caller; read-only then.
 */
#pragma once

#include "api/api.h"

enum { ROUTE_ALLOWED_BYTES = 64 };

struct route_match {
    const struct api_route *route;      /* NULL: no such path, or not this method */
    const char *params[API_PARAMS_MAX]; /* the arena's */
    char allowed[ROUTE_ALLOWED_BYTES];  /* methods of this path, "GET, POST"; "": no such path */
};

/* `path` as it came, decoded. HEAD is answered as GET. */
void route_find(const char *method, const char *path, struct arena *arena, struct route_match *ret);

/* All tables, for those who check them as a whole. `top`: the paths are not below a prefix. */
struct route_table {
    const struct api_route *routes;
    bool top;
};
extern const struct route_table route_tables[]; /* ends with NULL routes */
