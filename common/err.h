/*
 * err - what went wrong: a code that decides, a text that explains.
 *
 * What can fail returns 0 or a negative `enum err_code`, and fills the caller's `struct err`, which is its
 * last argument. Set once, where it is known; passed up unchanged; told once, where the request or event ends.
 */
#pragma once

#include "common/cleanup.h"

enum err_code {
    ERR_NONE = 0,
#define ERR(name, word, http, fate) ERR_##name,
#include "common/err.tbl.h"
#undef ERR
    ERR_CODES
};

enum err_fate { ERR_FATE_GIVE_UP, ERR_FATE_RETRY, ERR_FATE_STOP };

struct err {
    enum err_code code;
    char text[640];  /* for the user, in the contract's words: crosses HTTP as {"detail": text} */
    char cause[256]; /* for our log: SQLSTATE, curl's words. Never personal data, never crosses HTTP */
    char sqlstate[6]; /* of PostgreSQL's errors; else empty */
};

/* Fills *err and returns -code. A longer text is cut. */
int err_set(struct err *err, enum err_code code, const char *text, ...) PRINTF_LIKE(3, 4);

/* As err_set() with text "Internal Server Error" or "Service Unavailable" and `cause` for the log. */
int err_cause(struct err *err, enum err_code code, const char *cause, ...) PRINTF_LIKE(3, 4);

const char *err_word(enum err_code code);       /* for logs: "bad_request" */
int err_http_status(enum err_code code);        /* 400 ... */
enum err_fate err_fate(enum err_code code);
