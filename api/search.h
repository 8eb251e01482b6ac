/*
 * search - which requests a caller means (rest.md 9): filters for lists, CSV and reviews, and the lists themselves.
 *
 * Identities are sealed, so they are found by their keyed hash: whole values only. `fuzzy_search_str` therefore
 * finds a whole value of a default identity field, or a part of a request's id.
 *
 * Threads:   any. Ownership: a search lives in its call's arena.
 */
#pragma once

#include "api/api.h"

struct search;

/* The body of POST /privacy-request/search, and what reviews take as "filters". */
extern const struct schema search_schema;

/* `filters`: checked by search_schema, or NULL for none. */
int search_parse(struct api_call *call, json_object *filters, const struct search **ret, struct err *err) MUST_CHECK;

/* Ids of what matches, in the search's order: at most `limit` after the first `offset`, and how many match in all. */
struct search_found {
    const char **ids;
    int count;
    long long total;
};
int search_ids(struct api_call *call, const struct search *search, long long offset, long long limit,
               struct search_found *ret, struct err *err) MUST_CHECK;

/* The requests with these ids, each as the API shows it; unknown ids are left out. A new list. */
int search_objects(struct api_call *call, const struct search *search, const char *const *ids, int count,
                   json_object **ret, struct err *err) MUST_CHECK;

/* 200 with the one of this id, which is there. As it is now: a request that goes on may be further already. */
int search_answer_one(struct api_call *call, const char *id, struct err *err) MUST_CHECK;

int search_post(struct api_call *call, struct err *err); /* POST /privacy-request/search */
int search_get(struct api_call *call, struct err *err);  /* GET /privacy-request */
